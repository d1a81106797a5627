/* What adam.c and sgd.c share: weight decay, and holding back what would not stay finite.
 *
 * A gradient that got through step_begin keeps the moments finite (src/optim says why); one with
 * decay is cut off at the same limit. A weight that would leave the range of real stays where it
 * is. Both are noted, the first in memory, whatever the threads. */
#ifndef BPI_CPU_UPDATE_H
#define BPI_CPU_UPDATE_H

#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/vmath.h"
#include "door/kernel_params.h"

enum { BPI_UPDATE_GRAIN = 8192, BPI_TILE = 1024 }; /* elements of a block, of one loop in it */

typedef struct bpi_update {
    const real *g;
    real *w;
    int64_t n;
    real l1, l2, most; /* most: of |g| with decay */
    _Atomic int64_t held; /* the first place held back */
} bpi_update;

static inline bpi_update bpi_update_of(const bp_view *in, const bp_view *out,
                                       const bpi_update_params *p, const bpi_optimizer_state *s)
{
    int decays = s->step >= p->decay_from;
    return (bpi_update){.g = in[0].data, .w = out[0].data, .n = in[0].shape.dim[0],
                        .l1 = decays ? (real)p->l1 : 0, .l2 = decays ? (real)p->l2 : 0,
                        .most = (real)p->most_gradient, .held = INT64_MAX};
}

static inline real bpi_decayed(const bpi_update *u, real g, real w)
{
    return g + (u->l2 * w + (w > 0 ? u->l1 : w < 0 ? -u->l1 : 0));
}

static inline real bpi_cut_off(const bpi_update *u, real g)
{
    g = g > u->most ? u->most : g;
    return g < -u->most ? -u->most : g;
}

/* Not 0 where a and b differ, or are not finite. */
static inline bpi_bits bpi_differ(real a, real b) { return bpi_to_bits(a - b); }

/* For n elements from `first` on, among them some to be held back; w was `before`. */
static inline void bpi_hold_back(bpi_update *u, int64_t first, int64_t n, const real *before)
{
    for (int64_t i = n - 1; i >= 0; i--) {
        real *w = u->w + first + i;
        real g = bpi_decayed(u, u->g[first + i], before[i]);
        if (!isfinite(*w) || bpi_differ(g, bpi_cut_off(u, g)))
            bpi_note_first(&u->held, first + i);
        *w = isfinite(*w) ? *w : before[i];
    }
}

/* static void block_fn(job, block), of a job whose `u` is its bpi_update: tiles of a block by
 * update(job, first, n, decay). */
#define BPI_UPDATE_BLOCKS(block_fn, job, update)                                  \
    static void block_fn(void *arg, int64_t block)                                \
    {                                                                             \
        job *j = arg;                                                             \
        int64_t end = at_most((block + 1) * BPI_UPDATE_GRAIN, j->u.n);            \
        for (int64_t i = block * BPI_UPDATE_GRAIN; i < end; i += BPI_TILE)        \
            if (j->u.l1 != 0 || j->u.l2 != 0)                                     \
                update(j, i, at_most(end - i, BPI_TILE), 1);                      \
            else                                                                  \
                update(j, i, at_most(end - i, BPI_TILE), 0);                      \
    }

/* After the last block. */
static inline void bpi_update_done(bp_exec *ex, const bpi_update *u, const bpi_update_params *p,
                                   const bpi_optimizer_state *s)
{
    bpi_reason *held = &ex->fault->held;
    if (u->held == INT64_MAX || held->step != 0)
        return;
    held->step = BPI_STEP(p->store, s->step);
    held->first = BPI_FAULT_ELEMENT(p->begin + u->held, BPI_INFINITE);
}

#endif
