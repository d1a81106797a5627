/* adam: Kingma & Ba, 2015, t = state.step:
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on
 *     m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
 *     w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Forward: g, state -> w, m, v, all [n]; nothing if there is a fault. What depends on t alone is
 * computed once, in double. Floor: g, w, m, v read and w, m, v written: 28 bytes an f32.
 * Its sibling: sgd.c. Called by src/optim. */
#include "cpu/reduce.h"
#include "door/kernel_params.h"

#if BPI_F64
#define SQRT sqrt
#else
#define SQRT sqrtf
#endif

enum { GRAIN = 8192 };

typedef struct job {
    const real *g;
    real *w, *m, *v;
    int64_t n;
    real b1, c1, b2, c2; /* c = 1 - b */
    real rate, v_scale;  /* with the corrections for t */
    real eps, l1, l2;
} job;

static inline void update(const job *j, int64_t first, int64_t n, const int decay)
{
    const real *restrict g = j->g + first;
    real *restrict w = j->w + first, *restrict m = j->m + first, *restrict v = j->v + first;
    const job c = *j;
    for (int64_t i = 0; i < n; i++) {
        real gi = g[i];
        if (decay)
            gi += c.l2 * w[i] + (w[i] > 0 ? c.l1 : w[i] < 0 ? -c.l1 : 0);
        m[i] = c.b1 * m[i] + c.c1 * gi;
        v[i] = c.b2 * v[i] + c.c2 * gi * gi;
        w[i] -= c.rate * m[i] / (SQRT(v[i] * c.v_scale) + c.eps);
    }
}

static void block_fn(void *arg, int64_t block)
{
    const job *j = arg;
    int64_t first = block * GRAIN, n = at_most(j->n - first, GRAIN);
    if (j->l1 != 0 || j->l2 != 0)
        update(j, first, n, 1);
    else
        update(j, first, n, 0);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_update_params *p = params;
    const bpi_optimizer_state *s = in[1].data;
    if (ex->fault->what)
        return BP_OK;
    int decay = s->step >= p->decay_from;
    job j = {.g = in[0].data, .w = out[0].data, .m = out[1].data, .v = out[2].data,
             .n = in[0].shape.dim[0],
             .b1 = (real)p->beta1, .c1 = (real)(1 - p->beta1),
             .b2 = (real)p->beta2, .c2 = (real)(1 - p->beta2),
             .rate = (real)(s->rate / (1 - pow(p->beta1, s->step))),
             .v_scale = (real)(1 / (1 - pow(p->beta2, s->step))), .eps = (real)p->eps,
             .l1 = decay ? (real)p->l1 : 0, .l2 = decay ? (real)p->l2 : 0};
    bp_parallel_for(ex, parts(j.n, GRAIN), block_fn, &j);
    return BP_OK;
}

BPI_CPU_OP(adam) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
