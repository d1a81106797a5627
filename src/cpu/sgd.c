/* sgd: gradient descent with momentum mu (Polyak, 1964):
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on
 *     u = mu u + g;   w -= rate u
 *
 * Forward: g, state -> w, u, all [n]; nothing where the step is refused. What does not stay finite
 * is held back (update.h). Floor: g, w, u read and w, u written: 20 bytes an f32. Its sibling:
 * adam.c. Called by src/optim. */
#include "cpu/update.h"

typedef struct job {
    bpi_update u;
    real *moment;
    real rate, momentum;
} job;

static inline __attribute__((always_inline)) void update(job *j, int64_t first, int64_t n,
                                                        const int decay)
{
    const real *restrict g = j->u.g + first;
    real *restrict w = j->u.w + first, *restrict moment = j->moment + first;
    real before[BPI_TILE];
    bpi_bits held = 0;
    const job c = *j;
    for (int64_t i = 0; i < n; i++) {
        real gi = g[i], wi = w[i];
        if (decay) {
            real all = bpi_decayed(&c.u, gi, wi);
            gi = bpi_cut_off(&c.u, all);
            held |= bpi_differ(all, gi);
        }
        moment[i] = c.momentum * moment[i] + gi;
        before[i] = wi;
        wi -= c.rate * moment[i];
        held |= bpi_differ(wi, wi);
        w[i] = wi;
    }
    if (held)
        bpi_hold_back(&j->u, first, n, before);
}

BPI_UPDATE_BLOCKS(block_fn, job, update)

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_update_params *p = params;
    const bpi_optimizer_state *s = in[1].data;
    if (s->refused)
        return BP_OK;
    job j = {.u = bpi_update_of(in, out, p, s), .moment = out[1].data, .rate = (real)s->rate,
             .momentum = (real)p->beta1};
    bp_parallel_for(ex, parts(j.u.n, BPI_UPDATE_GRAIN), block_fn, &j);
    bpi_update_done(ex, &j.u, p, s);
    return BP_OK;
}

BPI_CPU_OP(sgd) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
