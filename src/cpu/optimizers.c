/* The kernels of optimizers.def. Forward: g, state -> w and its moments, flat buffers of which the
 * ranges are taken; nothing where the step is refused.
 *
 * A formula becomes a loop over a tile of a block. Where gradients are clipped or weights decay, a
 * loop before it makes the tile's gradients, and takes the decay from w itself: that costs no
 * memory traffic, and it is compiled once for all formulas. A gradient that got through step_begin
 * keeps the moments finite (src/optim/kinds.c says why); one with L1 and L2 is cut off at the same
 * limit. A weight that would leave the range of real stays where it is. Both are noted, the first
 * in memory, whatever the threads. What depends on t alone is computed once, in double.
 *
 * Floor: g, w and moments read, w and moments written: 28 bytes an f32 with two, 20 with one.
 * Called by src/optim. */
#include "cpu/index.h"
#include "cpu/vmath.h"
#include "door/ranges.h"

enum { GRAIN = 8192, TILE = 1024 }; /* elements of a block, of one loop in it */

#if BPI_F64
#define TOP DBL_MAX
#else
#define TOP FLT_MAX
#endif

typedef struct rule {
    real b1, c1, b2, c2, eps, rate, k, top;
} rule;

/* What happens to g, and to w beside its update. */
typedef struct change {
    real clip, scale, l1, l2, shrink;
    real most; /* of |g| with l1 and l2 */
} change;

/* Not 0 where a w is no longer finite; what was there is in `before`. */
typedef bpi_bits tile_fn(const rule *r, int64_t n, const real *restrict g, real *restrict w,
                         real *restrict a, real *restrict b, real *restrict before);

typedef struct job {
    const bpi_update_params *p;
    const real *g;
    real *w, *a, *b;
    rule rule;
    change change;
    int changes;
    tile_fn *tile;
    _Atomic int64_t held; /* the first place held back */
} job;

/* Not 0 where x and y differ, or are not finite. */
static inline bpi_bits differ(real x, real y) { return bpi_to_bits(x - y); }

/* --- the formulas ------------------------------------------------------------------------ */

#define BPI_OPTIMIZER(name, moments, A, B, corrected, ...)                                     \
    static bpi_bits name##_tile(const rule *r, int64_t n, const real *restrict g_,             \
                                real *restrict w_, real *restrict a_, real *restrict b_,       \
                                real *restrict before)                                         \
    {                                                                                          \
        const real b1 = r->b1, c1 = r->c1, b2 = r->b2, c2 = r->c2, eps = r->eps;               \
        const real rate = r->rate, k = r->k, top = r->top;                                     \
        bpi_bits held = 0;                                                                     \
        (void)b1, (void)c1, (void)b2, (void)c2, (void)eps, (void)k, (void)top, (void)b_;       \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const real g = g_[i];                                                              \
            real w = w_[i], A = a_[i], B = moments == 2 ? b_[i] : 0;                           \
            (void)B;                                                                           \
            before[i] = w;                                                                     \
            __VA_ARGS__;                                                                       \
            held |= differ(w, w);                                                              \
            w_[i] = w;                                                                         \
            a_[i] = A;                                                                         \
            if (moments == 2)                                                                  \
                b_[i] = B;                                                                     \
        }                                                                                      \
        return held;                                                                           \
    }
#include "door/optimizers.def"

/* --- clipping and decay, and what is held back -------------------------------------------- */

/* g clipped, then with L1 and L2, not cut off. */
static inline real changed(const change *c, real g, real w)
{
    g = g > c->clip ? c->clip : g;
    g = (g < -c->clip ? -c->clip : g) * c->scale;
    return g + (c->l2 * w + (w > 0 ? c->l1 : w < 0 ? -c->l1 : 0));
}

static inline real cut_off(const change *c, real g)
{
    g = g > c->most ? c->most : g;
    return g < -c->most ? -c->most : g;
}

/* Fills g, and takes the decay from w, which was `before`; not 0 where a g is cut off. */
static bpi_bits change_tile(const change *change_, int64_t n, const real *restrict from,
                            real *restrict g, real *restrict w, real *restrict before)
{
    const change c = *change_;
    bpi_bits held = 0;
    for (int64_t i = 0; i < n; i++) {
        real all = changed(&c, from[i], w[i]);
        g[i] = cut_off(&c, all);
        held |= differ(all, g[i]);
        before[i] = w[i];
        w[i] -= c.shrink * w[i];
    }
    return held;
}

static void hold_back(job *j, int64_t first, int64_t n, const real *before)
{
    for (int64_t i = n - 1; i >= 0; i--) {
        real *w = j->w + first + i, g = changed(&j->change, j->g[first + i], before[i]);
        if (!isfinite(*w) || differ(g, cut_off(&j->change, g)))
            bpi_note_first(&j->held, first + i);
        *w = isfinite(*w) ? *w : before[i];
    }
}

static void update_tile(job *j, int64_t i, int64_t n)
{
    real before[TILE], between[TILE], g[TILE];
    bpi_bits held = 0;
    if (j->changes)
        held = change_tile(&j->change, n, j->g + i, g, j->w + i, before);
    held |= j->tile(&j->rule, n, j->changes ? g : j->g + i, j->w + i, j->a + i,
                    j->b ? j->b + i : NULL, j->changes ? between : before);
    if (held)
        hold_back(j, i, n, before);
}

static void block_fn(void *arg, int64_t block)
{
    job *j = arg;
    bpi_range r = bpi_block_range(&j->p->ranges, block, GRAIN);
    for (int64_t i = r.begin; i < r.end; i += TILE)
        update_tile(j, i, at_most(r.end - i, TILE));
}

/* --- a launch ---------------------------------------------------------------------------- */

static rule rule_of(const bpi_update_params *p, const bpi_optimizer_state *s, int corrected)
{
    double rate = s->rate * p->rate, k = 1;
    if (corrected) {
        rate /= 1 - pow(p->beta1, s->step);
        k /= 1 - pow(p->beta2, s->step);
    }
    return (rule){.b1 = (real)p->beta1, .c1 = (real)(1 - p->beta1), .b2 = (real)p->beta2,
                  .c2 = (real)(1 - p->beta2), .eps = (real)p->eps, .rate = (real)rate,
                  .k = (real)k, .top = TOP};
}

static int decays(const bpi_update_params *p, const bpi_optimizer_state *s)
{
    return (p->l1 != 0 || p->l2 != 0 || p->decay != 0) && s->step >= p->decay_from;
}

static change change_of(const bpi_update_params *p, const bpi_optimizer_state *s)
{
    int decay = decays(p, s);
    return (change){.clip = p->clip_value != 0 ? (real)p->clip_value : TOP,
                    .scale = p->scales ? (real)s->scale : 1, .l1 = decay ? (real)p->l1 : 0,
                    .l2 = decay ? (real)p->l2 : 0,
                    .shrink = decay ? (real)(s->rate * p->rate * p->decay) : 0,
                    .most = (real)p->most_gradient};
}

static bp_status update(bp_exec *ex, const bp_view *in, const bp_view *out,
                        const bpi_update_params *p, tile_fn *tile, int moments, int corrected)
{
    const bpi_optimizer_state *s = in[1].data;
    bpi_reason *held = &ex->fault->held;
    if (s->refused)
        return BP_OK;
    job j = {.p = p, .g = in[0].data, .w = out[0].data, .a = out[1].data,
             .b = moments == 2 ? out[2].data : NULL, .rule = rule_of(p, s, corrected),
             .changes = p->clip_value != 0 || (p->scales && s->scale != 1) || decays(p, s),
             .tile = tile, .held = INT64_MAX};
    if (j.changes)
        j.change = change_of(p, s);
    bp_parallel_for(ex, bpi_all_blocks(&p->ranges, GRAIN), block_fn, &j);
    if (j.held != INT64_MAX && held->step == 0) {
        held->step = BPI_STEP(p->store, s->step);
        held->first = BPI_FAULT_ELEMENT(j.held, BPI_INFINITE);
    }
    return BP_OK;
}

#define BPI_OPTIMIZER(name, moments, A, B, corrected, ...)                                      \
    static bp_status name##_forward(bp_exec *ex, const bp_view *in, const bp_view *out,         \
                                    const void *params)                                         \
    {                                                                                           \
        return update(ex, in, out, params, name##_tile, moments, corrected);                    \
    }                                                                                           \
    BPI_CPU_OP(name) = {.slot[BPI_FORWARD] = {.fn = name##_forward, .layout = BPI_PACKED}};
#include "door/optimizers.def"
