/* adam: Kingma & Ba, 2015, t = state.step:
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on
 *     m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
 *     w -= rate / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
 *
 * Forward: g, state -> w, m, v, all [n]; nothing where the step is refused. What does not stay
 * finite is held back (update.h). What depends on t alone is computed once, in double. Floor: g, w,
 * m, v read and w, m, v written: 28 bytes an f32. Its sibling: sgd.c. Called by src/optim. */
#include "cpu/update.h"

#if BPI_F64
#define SQRT sqrt
#else
#define SQRT sqrtf
#endif

typedef struct job {
    bpi_update u;
    real *m, *v;
    real b1, c1, b2, c2; /* c = 1 - b */
    real rate, v_scale;  /* with the corrections for t */
    real eps;
} job;

static inline __attribute__((always_inline)) void update(job *j, int64_t first, int64_t n,
                                                        const int decay)
{
    const real *restrict g = j->u.g + first;
    real *restrict w = j->u.w + first, *restrict m = j->m + first, *restrict v = j->v + first;
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
        real mi = c.b1 * m[i] + c.c1 * gi, vi = c.b2 * v[i] + c.c2 * gi * gi;
        real next = wi - c.rate * mi / (SQRT(vi * c.v_scale) + c.eps);
        held |= bpi_differ(next, next);
        before[i] = wi;
        w[i] = next;
        m[i] = mi;
        v[i] = vi;
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
    job j = {.u = bpi_update_of(in, out, p, s), .m = out[1].data, .v = out[2].data,
             .b1 = (real)p->beta1, .c1 = (real)(1 - p->beta1),
             .b2 = (real)p->beta2, .c2 = (real)(1 - p->beta2),
             .rate = (real)(s->rate / (1 - pow(p->beta1, s->step))),
             .v_scale = (real)(1 / (1 - pow(p->beta2, s->step))), .eps = (real)p->eps};
    bp_parallel_for(ex, parts(j.u.n, BPI_UPDATE_GRAIN), block_fn, &j);
    bpi_update_done(ex, &j.u, p, s);
    return BP_OK;
}

BPI_CPU_OP(adam) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
