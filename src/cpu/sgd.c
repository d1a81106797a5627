/* sgd: gradient descent with momentum mu (Polyak, 1964):
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on
 *     u = mu u + g;   w -= rate u
 *
 * Forward: g, state -> w, u, all [n]; nothing if there is a fault. Floor: g, w, u read and w, u
 * written: 20 bytes an f32. Its sibling: adam.c. Called by src/optim. */
#include "cpu/reduce.h"
#include "door/kernel_params.h"

enum { GRAIN = 8192 };

typedef struct job {
    const real *g;
    real *w, *u;
    int64_t n;
    real rate, momentum, l1, l2;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job c = *(const job *)arg;
    int64_t first = block * GRAIN, n = at_most(c.n - first, GRAIN);
    const real *restrict g = c.g + first;
    real *restrict w = c.w + first, *restrict u = c.u + first;
    if (c.l1 != 0 || c.l2 != 0)
        for (int64_t i = 0; i < n; i++) {
            real gi = g[i] + (c.l2 * w[i] + (w[i] > 0 ? c.l1 : w[i] < 0 ? -c.l1 : 0));
            u[i] = c.momentum * u[i] + gi;
            w[i] -= c.rate * u[i];
        }
    else
        for (int64_t i = 0; i < n; i++) {
            u[i] = c.momentum * u[i] + g[i];
            w[i] -= c.rate * u[i];
        }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_update_params *p = params;
    const bpi_optimizer_state *s = in[1].data;
    if (ex->fault->what)
        return BP_OK;
    int decay = s->step >= p->decay_from;
    job j = {.g = in[0].data, .w = out[0].data, .u = out[1].data, .n = in[0].shape.dim[0],
             .rate = (real)s->rate, .momentum = (real)p->beta1,
             .l1 = decay ? (real)p->l1 : 0, .l2 = decay ? (real)p->l2 : 0};
    bp_parallel_for(ex, parts(j.n, GRAIN), block_fn, &j);
    return BP_OK;
}

BPI_CPU_OP(sgd) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
