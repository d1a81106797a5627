/* Pools: a window of x becomes a pixel of y, and back.
 *
 *     max_pool    x -> y, places u8     y = the first of the largest in each window, NaN before all
 *     max_pick    x, places -> y        y = what is at its place, 0 where there is none such
 *     max_spread  y, places -> x        the transpose: the sum of the y whose place it is
 *     avg_pool    x -> y                y = the mean of those in the image
 *     avg_spread  y -> x                the transpose
 *
 * A vector is neighbouring channels. A row of y, or of x on the way back, is made by one thread, in
 * order, of those of the other that reach it. Floor: each of x, y and places once. The rules:
 * src/ops/pooling.c. */
#include <string.h>

#include "cpu/conv.h"
#include "cpu/vec.h"

/* Choices by lane, and places as lanes. No plain C becomes the one instruction that each of them is
 * where the level has it. more: x is larger than v, or the first NaN. */
#if BPI_VECTOR_BYTES == 64
typedef __mmask16 choice;
#if BPI_F64
INLINE choice more(vec x, vec v)
{
    return _mm512_cmp_pd_mask(x, v, _CMP_NLE_UQ) & _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q);
}
INLINE choice same(lane_mask a, lane_mask b)
{
    return _mm512_cmpeq_epi64_mask((__m512i)a, (__m512i)b);
}
INLINE vec chosen(choice m, vec a, vec b) { return _mm512_mask_mov_pd(b, m, a); }
INLINE lane_mask wide(__m128i b) { return (lane_mask)_mm512_cvtepu8_epi64(b); }
INLINE __m128i narrow(lane_mask m) { return _mm512_cvtepi64_epi8((__m512i)m); }
#else
INLINE choice more(vec x, vec v)
{
    return _mm512_cmp_ps_mask(x, v, _CMP_NLE_UQ) & _mm512_cmp_ps_mask(v, v, _CMP_ORD_Q);
}
INLINE choice same(lane_mask a, lane_mask b)
{
    return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b);
}
INLINE vec chosen(choice m, vec a, vec b) { return _mm512_mask_mov_ps(b, m, a); }
INLINE lane_mask wide(__m128i b) { return (lane_mask)_mm512_cvtepu8_epi32(b); }
INLINE __m128i narrow(lane_mask m) { return _mm512_cvtepi32_epi8((__m512i)m); }
#endif
#else
typedef lane_mask choice;
INLINE choice more(vec x, vec v) { return ~(lane_mask)(x <= v) & (lane_mask)(v == v); }
INLINE choice same(lane_mask a, lane_mask b) { return (lane_mask)(a == b); }
INLINE vec chosen(choice m, vec a, vec b)
{
    return (vec)(((lane_mask)a & m) | ((lane_mask)b & ~m));
}
typedef uint8_t some_bytes __attribute__((vector_size(LANES)));
INLINE lane_mask wide(some_bytes b) { return __builtin_convertvector(b, lane_mask); }
INLINE some_bytes narrow(lane_mask m) { return __builtin_convertvector(m, some_bytes); }
#endif

enum { GRAIN = 32768 }; /* elements of x in a block */

typedef struct job {
    bpi_conv g; /* r x s: the window; c = o */
    real *x, *y;
    uint8_t *places;
    int64_t per_block; /* rows */
} job;

static job job_of(const bp_view *x, const bp_view *y, const bp_view *places,
                  const bpi_pool_params *p)
{
    const bp_view window = {.shape = BP_SHAPE(x->shape.dim[3], p->window[0], p->window[1], 1)};
    return (job){.g = bpi_conv_of(x, &window, y, &p->how), .x = x->data, .y = y->data,
                 .places = places ? places->data : NULL};
}

/* The taps [*first, *end) of a window that begins at `at` which are in the image; mostly all, and
 * then there is nothing to divide. */
static void taps(int64_t at, int64_t step, int64_t size, int64_t count, int64_t *first,
                 int64_t *end)
{
    *first = 0;
    *end = count;
    if (at < 0 || at + (count - 1) * step >= size)
        conv_inside(at, step, size, count, first, end);
}

/* Of y's row p, and column q; where the window begins. */
static int64_t taps_down(const bpi_conv *g, int64_t p, int64_t *first, int64_t *end)
{
    const int64_t at = p * g->down - g->top;
    taps(at, g->apart, g->h, g->r, first, end);
    return at;
}
static int64_t taps_across(const bpi_conv *g, int64_t q, int64_t *first, int64_t *end)
{
    const int64_t at = q * g->across - g->left;
    taps(at, g->beside, g->w, g->s, first, end);
    return at;
}

INLINE lane_mask number(int64_t i) { return (lane_mask){0} + (lane_int)i; }
#if BPI_VECTOR_BYTES == 64 /* no memcpy: its call takes longer than a pixel of few channels */
INLINE __mmask16 byte_mask(int64_t left) { return (__mmask16)((1u << at_most(left, LANES)) - 1); }
INLINE lane_mask load_bytes(const uint8_t *p, int64_t left)
{
    return wide(_mm_maskz_loadu_epi8(byte_mask(left), p));
}
INLINE void store_bytes(uint8_t *p, lane_mask m, int64_t left)
{
    _mm_mask_storeu_epi8(p, byte_mask(left), narrow(m));
}
#else
INLINE lane_mask load_bytes(const uint8_t *p, int64_t left)
{
    some_bytes b = {0};
    memcpy(&b, p, (size_t)at_most(left, LANES));
    return wide(b);
}
INLINE void store_bytes(uint8_t *p, lane_mask m, int64_t left)
{
    const some_bytes b = narrow(m);
    memcpy(p, &b, (size_t)at_most(left, LANES));
}
#endif

/* --- y from x --------------------------------------------------------------------------------- */

typedef enum way { MAX, PICK, MEAN } way;

typedef struct window {
    int64_t r, r_end, s, s_end;
    const real *x; /* where its first tap would be */
} window;

/* `vecs` vectors of channels from c on, `left` of them; a vector in part comes alone. */
INLINE void pool_vectors(const way how, const int vecs, const int masked, const bpi_conv *g,
                         const window *w, int64_t c, real *y, uint8_t *places)
{
    const int64_t left = masked ? at_most(g->c - c, LANES) : vecs * LANES;
    const int64_t row = g->apart * g->w * g->c, column = g->beside * g->c;
    const real *first = w->x + w->r * row + w->s * column + c;
    vec v[2];
    lane_mask k[2];
#define EACH UNROLL for (int i = 0; i < vecs; i++)
#define LOAD(p) (masked ? load_part(p, (int)left) : load((p) + i * LANES))
    EACH
    {
        v[i] = how == MAX ? LOAD(first) : splat(0);
        k[i] = how == PICK ? load_bytes(places + c + i * LANES, left) : number(w->r * g->s + w->s);
    }
    for (int64_t r = w->r; r < w->r_end; r++, first += row) {
        const real *at = first;
        for (int64_t s = w->s; s < w->s_end; s++, at += column) {
            const lane_mask here = number(r * g->s + s);
            EACH
            {
                const vec x = LOAD(at);
                if (how == MAX) {
                    const choice taken = more(x, v[i]);
                    v[i] = chosen(taken, x, v[i]);
                    k[i] = (lane_mask)chosen(taken, (vec)here, (vec)k[i]);
                } else if (how == PICK) {
                    v[i] = chosen(same(here, k[i]), x, v[i]);
                } else {
                    v[i] += x;
                }
            }
        }
    }
    const vec count = splat((real)((w->r_end - w->r) * (w->s_end - w->s)));
    EACH
    {
        if (how == MEAN)
            v[i] /= count;
        if (masked)
            store_part(y + c, v[i], (int)left);
        else
            store(y + c + i * LANES, v[i]);
        if (how == MAX)
            store_bytes(places + c + i * LANES, k[i], left);
    }
#undef LOAD
#undef EACH
}

INLINE void pool_block(const way how, const job *j, int64_t block)
{
    const bpi_conv *g = &j->g;
    const int64_t end = at_most((block + 1) * j->per_block, g->n * g->p);
    for (int64_t i = block * j->per_block; i < end; i++) {
        window w;
        const int64_t h = taps_down(g, i % g->p, &w.r, &w.r_end);
        for (int64_t q = 0; q < g->q; q++) {
            const int64_t at = taps_across(g, q, &w.s, &w.s_end), to = (i * g->q + q) * g->c;
            w.x = j->x + ((i / g->p * g->h + h) * g->w + at) * g->c;
            int64_t c = 0;
            for (; how != PICK && c + 2 * LANES <= g->c; c += 2 * LANES)
                pool_vectors(how, 2, 0, g, &w, c, j->y + to, j->places + to);
            for (; c < g->c; c += LANES)
                pool_vectors(how, 1, 1, g, &w, c, j->y + to, j->places + to);
        }
    }
}

static void max_block(void *arg, int64_t block) { pool_block(MAX, arg, block); }
static void pick_block(void *arg, int64_t block) { pool_block(PICK, arg, block); }
static void mean_block(void *arg, int64_t block) { pool_block(MEAN, arg, block); }

/* --- x from y --------------------------------------------------------------------------------- */

/* A pixel of y, added to the x of `taps` taps of a row, which are `column` apart, or, where no other
 * pixel reaches them, stored there; of tap numbers from `tap` on. */
INLINE void spread_pixel(const int by_place, const int alone, int64_t channels, real *x,
                         int64_t column, int64_t taps, const real *y, const uint8_t *places,
                         int64_t tap, real count)
{
    const vec over = splat(count), zero = splat(0);
#define SPREAD(LOAD, STORE, left)                                                              \
    {                                                                                          \
        const vec v = by_place ? LOAD(y + c) : LOAD(y + c) / over;                             \
        const lane_mask k = by_place ? load_bytes(places + c, left) : number(0);               \
        real *to = x + c;                                                                      \
        for (int64_t s = 0; s < taps; s++, to += column) {                                     \
            const choice here = same(k, number(tap + s));                                      \
            STORE(to, (alone ? zero : LOAD(to)) + (by_place ? chosen(here, v, zero) : v));     \
        }                                                                                      \
    }
#define LOAD_REST(p) load_part(p, (int)(channels - c))
#define STORE_REST(p, v) store_part(p, v, (int)(channels - c))
    int64_t c = 0;
    for (; c + LANES <= channels; c += LANES)
        SPREAD(load, store, LANES)
    if (c < channels)
        SPREAD(LOAD_REST, STORE_REST, channels - c)
#undef SPREAD
#undef LOAD_REST
#undef STORE_REST
}

/* Whether windows that do not overlap leave nothing of the image between or beside them. */
static int are_tiles(const bpi_conv *g)
{
    return g->top == 0 && g->left == 0 && g->r == g->down && g->s == g->across &&
           g->p * g->down == g->h && g->q * g->across == g->w && g->apart == 1 && g->beside == 1;
}

/* Row h of an image of x, of all rows of y that reach it. */
INLINE void spread_row(const int by_place, const int alone, const job *j, int64_t n, int64_t h)
{
    const bpi_conv *g = &j->g;
    real *x = j->x + (n * g->h + h) * g->w * g->c;
    if (!(alone && are_tiles(g)))
        memset(x, 0, (size_t)(g->w * g->c) * sizeof *x);
    for (int64_t r = 0; r < g->r; r++) {
        const int64_t from = h + g->top - r * g->apart, p = from / g->down;
        int64_t r0, r1, s0, s1;
        if (from < 0 || from % g->down || p >= g->p)
            continue;
        (void)taps_down(g, p, &r0, &r1);
        for (int64_t q = 0; q < g->q; q++) {
            const int64_t at = taps_across(g, q, &s0, &s1) + s0 * g->beside;
            const int64_t y = ((n * g->p + p) * g->q + q) * g->c;
            spread_pixel(by_place, alone, g->c, x + at * g->c, g->beside * g->c, s1 - s0, j->y + y,
                         j->places + y, r * g->s + s0, (real)((r1 - r0) * (s1 - s0)));
        }
    }
}

INLINE void spread_block(const int by_place, const job *j, int64_t block)
{
    const bpi_conv *g = &j->g;
    const int64_t end = at_most((block + 1) * j->per_block, g->n * g->h);
    const int alone = conv_height(g, 1) <= g->down && (g->s - 1) * g->beside < g->across;
    for (int64_t i = block * j->per_block; i < end; i++)
        if (alone)
            spread_row(by_place, 1, j, i / g->h, i % g->h);
        else
            spread_row(by_place, 0, j, i / g->h, i % g->h);
}

static void max_spread_block(void *arg, int64_t block) { spread_block(1, arg, block); }
static void avg_spread_block(void *arg, int64_t block) { spread_block(0, arg, block); }

/* --- the kernels ------------------------------------------------------------------------------ */

/* Rows of y, each of `of_x` elements of x. */
static bp_status run(bp_exec *ex, job *j, int64_t rows, int64_t of_x, bp_block_fn body)
{
    j->per_block = at_least(GRAIN / of_x, 1);
    bp_parallel_for(ex, parts(rows, j->per_block), body, j);
    return BP_OK;
}

#define POOL(op, x, y, places, rows, of_x, body)                                              \
    static bp_status op##_run(bp_exec *ex, const bp_view *in, const bp_view *out,             \
                              const void *params)                                             \
    {                                                                                         \
        job j = job_of(x, y, places, params);                                                 \
        return run(ex, &j, j.g.n * j.g.rows, j.g.of_x * j.g.w * j.g.c, body);                 \
    }                                                                                         \
    BPI_CPU_OP(op) = {.slot[BPI_FORWARD] = {.fn = op##_run}}

POOL(max_pool, &in[0], &out[0], &out[1], p, down, max_block);
POOL(max_pick, &in[0], &out[0], &in[1], p, down, pick_block);
POOL(avg_pool, &in[0], &out[0], NULL, p, down, mean_block);
POOL(max_spread, &out[0], &in[0], &in[1], h, cg, max_spread_block);
POOL(avg_spread, &out[0], &in[0], NULL, h, cg, avg_spread_block);
