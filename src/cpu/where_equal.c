/* where_equal: y = a where x = m, m where that is NaN, else 0: the gradient of a largest or least
 * element. Forward: a, x, m -> y, any strides. The rule: src/ops/reduce.c. */
#include "cpu/loop.h"

static inline void piece(real *y, const real *a, const real *x, const real *m, int64_t n,
                         int64_t a_step, int64_t x_step, int64_t m_step)
{
    BPI_EACH(n, const real v = x[i * x_step], to = m[i * m_step];
             y[i] = v == to ? a[i * a_step] : to != to ? to : 0)
}

static void block_fn(void *arg, int64_t block)
{
    const bpi_loop *l = arg;
    const int64_t sa = l->stride[1][0], sx = l->stride[2][0], sm = l->stride[3][0];
    for (bpi_piece p = bpi_piece_first(l, block); p.left; bpi_piece_next(l, &p)) {
        real *y = (real *)l->data[0] + p.offset[0];
        const real *a = (const real *)l->data[1] + p.offset[1];
        const real *x = (const real *)l->data[2] + p.offset[2];
        const real *m = (const real *)l->data[3] + p.offset[3];
        if (sx == 1 && sa == 0 && sm == 0) /* runs went */
            piece(y, a, x, m, p.n, 0, 1, 0);
        else if (sx == 1 && sa == 1 && sm == 1) /* columns stayed */
            piece(y, a, x, m, p.n, 1, 1, 1);
        else
            piece(y, a, x, m, p.n, sa, sx, sm);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    bpi_loop l;
    bp_parallel_for(ex, bpi_loop_init(&l, out, in, 3, BPI_GRAIN), block_fn, &l);
    return BP_OK;
}

BPI_CPU_OP(where_equal) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ANY}};
