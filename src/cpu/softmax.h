/* The parts of a softmax over rows: the largest element, the terms e^(x - max), and their sum.
 *
 * Rows of up to SHORT_ROW go LANES at a time, a lane each. Used by softmax.c, log_softmax.c,
 * cross_entropy.c and logsumexp.c. */
#ifndef BPI_CPU_SOFTMAX_H
#define BPI_CPU_SOFTMAX_H

#include "cpu/exp_group.h"
#include "door/kernel_params.h"

enum { SHORT_ROW = 4 * LANES, AHEAD = 4096 / (int)sizeof(real), FAR_AHEAD = 1 << 20,
       BLOCKS = 16, PIECE = 4 * SUM_CHUNK, SLAB = 16 * STEP, SLAB_ROOM = SLAB + LANES, DEEP = 8,
       CHEAP_EXP = BPI_VECTOR_BYTES == 64 && !BPI_F64 /* of a row: memory takes longer */ };

/* --- a row that is written while the next one is walked: memory takes it meanwhile ------------ */

/* What it becomes: from a; e^(from - a) b; (from - a) - b; y (from - a). */
enum late_kind { LATE_NONE, LATE_TERMS, LATE_EXPS, LATE_LOGS, LATE_SLOPES };

typedef struct late_row {
    real *to;
    const real *from, *y; /* either may be `to` */
    int64_t at, end;      /* what is left of it, whole steps */
    vec a, b;
    int past; /* it is written past the caches */
} late_row;

/* `vectors` of it from `at` on, of which there are `left` elements. */
INLINE void late_vectors(const int kind, const int vectors, const late_row *l, int64_t at,
                         int64_t left)
{
    vec t[GROUP];
    UNROLL for (int v = 0; v < vectors; v++) {
        t[v] = get(l->from + at, v, left, l->a);
        t[v] = kind == LATE_TERMS ? t[v] * l->a : t[v] - l->a;
    }
    if (kind == LATE_EXPS)
        exp_group(vectors, t);
    UNROLL for (int v = 0; v < vectors; v++)
        put_past(l->past, l->to + at, v, left,
                 kind == LATE_TERMS  ? t[v]
                 : kind == LATE_EXPS ? t[v] * l->b
                 : kind == LATE_LOGS ? t[v] - l->b
                                     : t[v] * get(l->y + at, v, left, l->a));
}

/* Writes what is no whole step of its n elements: up to where `to` is aligned to vectors, if it is
 * to go past the caches, and at the end. */
INLINE void late_begin(const int kind, late_row *l, int64_t n)
{
    const int64_t odd = -(int64_t)((uintptr_t)l->to / sizeof(real)) & (LANES - 1);
    l->at = STREAMS && l->past ? at_most(odd, n) : 0;
    l->end = n - (n - l->at) % STEP;
    if (l->at > 0)
        late_vectors(kind, 1, l, 0, l->at);
    for (int64_t i = l->end; i < n; i += LANES)
        late_vectors(kind, 1, l, i, n - i);
}

/* In a walk of as many elements: its steps come before those of the walk, and there are no more. */
INLINE void late_step(const int kind, late_row *l)
{
    if (l->at < l->end) {
        late_vectors(kind, GROUP, l, l->at, STEP);
        l->at += STEP;
    }
}

/* The sum of e^(x - max); e takes the terms where `keep`, and may be what a late row is from;
 * `largest`, where it is not NULL, the largest x, NaN left out.
 * Meanwhile what comes next is fetched: x AHEAD elements on, which may be the next row, and the row
 * y that will be written, if there is one. */
INLINE double row_exp(const int keep, const int kind, late_row *l, real *e, const real *x,
                      int64_t n, real max, const real *y, real *largest)
{
    const vec m = splat(max), least = splat(-(real)INFINITY);
    vec most[GROUP];
    EACH_VEC most[v] = least;
    const int64_t ahead = at_most(at_least(n, AHEAD), FAR_AHEAD);
    double sum[1];
    ROW_SUMS(1, sum, n,
        vec t[GROUP];
        fetch(VECTORS, x + i + ahead, 0);
        if (keep || (kind && kind != LATE_EXPS))
            fetch(VECTORS, y + i + (keep ? AHEAD : 0), 1);
        STEP_VECS {
            t[v] = get(x + i, v, left, least);
            if (largest)
                most[v] = larger(t[v], most[v]);
            t[v] -= m;
        }
        exp_vectors(!keep, VECTORS, t);
        if (kind && VECTORS > 1)
            late_step(kind, l);
        STEP_VECS {
            acc[0][v] += t[v];
            if (keep)
                put(e + i, v, left, t[v]);
        });
    if (largest)
        *largest = largest_lane(larger(larger(most[0], most[1]), larger(most[2], most[3])));
    return sum[0];
}

/* The largest x, and the sum of e^(x - max). A wide row is walked in pieces: the largest x of one
 * is looked for, the sum so far brought to it, and the piece walked again, from the nearest cache.
 * With a cheap e^x it is walked once: the largest so far is taken off while that of the piece is
 * looked for. Where it is larger, that was for nothing, and in the next piece it is looked for
 * first. A row whose terms are found again is one piece elsewhere, and its sum that of terms that
 * are kept. */
INLINE double row_terms(const int kind, late_row *l, const real *x, int64_t n, real *max,
                        const real *y)
{
    const int64_t step = CHEAP_EXP && n > PIECE ? SUM_CHUNK : kind == LATE_EXPS ? n : PIECE;
    double sum = 0;
    int rising = 1;
    *max = -(real)INFINITY;
    for (int64_t i = 0; i < n; i += step) {
        const int64_t some = at_most(step, n - i);
        const int first = rising || !CHEAP_EXP;
        real m, base = *max == -(real)INFINITY ? 0 : *max;
        double terms = 0;
        if (first)
            m = row_max(x + i, some);
        else
            terms = row_exp(0, kind, l, NULL, x + i, some, base, y + i, &m);
        rising = m > *max;
        if (rising && sum > 0) {
            vec less[1] = {splat(*max - m)};
            exp_group(1, less);
            sum *= (double)less[0][0];
        }
        if (rising)
            *max = base = m;
        if (first || rising)
            terms = row_exp(0, kind, l, NULL, x + i, some, base, y + i, NULL);
        sum += terms;
    }
    return sum;
}

/* It without a late row. */
double BPI_CPU(terms)(const real *x, int64_t n, real *max);
#define bpi_terms BPI_CPU(terms)

/* Cuts rows into blocks of 8K to 32K elements, a multiple of what is done at a time; of wide rows
 * some, for one of a block is late. */
static inline int64_t softmax_cut(bpi_rows *r)
{
    const int64_t grain = at_most(at_least(r->n * r->size / 16, 8192), 32768);
    const int64_t some = at_least(at_most(r->n / 16, 8), 1);
    r->per_block = at_least(grain / at_least(r->size, 1), some);
    if (r->size <= SHORT_ROW)
        r->per_block = parts(r->per_block, LANES) * LANES;
    return parts(r->n, r->per_block);
}

/* --- short rows: LANES of them at a time, a lane each ------------------------------------- */

enum { COLUMNS = SHORT_ROW + GROUP };

/* col[j] holds element j of every row; lanes beyond the last row repeat it. */
OUTLINE void load_columns(vec col[COLUMNS], const real *x, int64_t pitch, int64_t n, int64_t rows)
{
    for (int64_t c = 0; c < n; c += LANES) {
        vec t[LANES];
        int part = (int)at_most(n - c, LANES);
        UNROLL for (int i = 0; i < LANES; i++) {
            const real *from = x + (i < rows ? i : rows - 1) * pitch + c;
            t[i] = part == LANES ? load(from) : load_part(from, part);
        }
        transpose(t);
        UNROLL for (int i = 0; i < LANES; i++)
            col[c + i] = t[i];
    }
}

OUTLINE void store_columns(real *y, int64_t pitch, const vec col[COLUMNS], int64_t n, int64_t rows)
{
    for (int64_t c = 0; c < n; c += LANES) {
        vec t[LANES];
        int part = (int)at_most(n - c, LANES);
        UNROLL for (int i = 0; i < LANES; i++)
            t[i] = col[c + i];
        transpose(t);
        UNROLL for (int i = 0; i < LANES; i++)
            if (i < rows) {
                if (part == LANES)
                    store(y + i * pitch + c, t[i]);
                else
                    store_part(y + i * pitch + c, t[i], part);
            }
    }
}

INLINE vec columns_max(const vec col[COLUMNS], int64_t n)
{
    vec m = splat(-(real)INFINITY);
    for (int64_t j = 0; j < n; j++)
        m = larger(col[j], m);
    return m;
}

/* e[j] = e^(col[j] - max), and their sum; e may be col. */
OUTLINE vec columns_exp(vec e[COLUMNS], vec col[COLUMNS], int64_t n, vec max)
{
    vec acc[GROUP];
    UNROLL for (int v = 0; v < GROUP; v++) {
        acc[v] = splat(0);
        col[n + v] = splat(-(real)INFINITY);
    }
    for (int64_t j = 0; j < n; j += GROUP) {
        vec t[GROUP];
        UNROLL for (int v = 0; v < GROUP; v++)
            t[v] = col[j + v] - max;
        exp_group(GROUP, t);
        UNROLL for (int v = 0; v < GROUP; v++) {
            acc[v] += t[v];
            e[j + v] = t[v];
        }
    }
    return (acc[0] + acc[1]) + (acc[2] + acc[3]);
}

/* --- softmax and log_softmax, which differ in what a row, LANES short rows and columns are --- */

typedef struct softmax_job {
    bpi_rows x, y, dx; /* backward: x is dy */
    /* Along an axis that is not the last: x.n tables of x.size rows of `inner` elements. */
    int64_t inner, width, slabs; /* elements; of a slab; slabs of a table */
    int64_t per_block;           /* slabs */
    int past;              /* rows are written past the caches */
} softmax_job;

/* A slab: `width` columns side by side, at most SLAB, `rows` elements each. */
typedef struct softmax_slab {
    const real *x, *y; /* backward: x is dy */
    real *to;
    int64_t rows, width, x_pitch, y_pitch, to_pitch;
    int past;
} softmax_slab;

/* A view in BPI_ROWS as tables of columns, or as rows along the last axis. */
OUTLINE bpi_rows softmax_rows(const bp_view *v, int32_t axis)
{
    if (axis == v->shape.ndim - 1)
        return bpi_rows_of(v, axis);
    bpi_rows r = {v->data, 1, v->shape.dim[axis], 1, 1};
    for (int32_t i = 0; i < axis; i++)
        r.n *= v->shape.dim[i];
    for (int32_t i = axis + 1; i < v->shape.ndim; i++)
        r.pitch *= v->shape.dim[i];
    if (v->shape.ndim == 2)
        r.pitch = v->stride[0];
    return r;
}

static inline void softmax_run(bp_exec *ex, const bp_view *x, const bp_view *y, const bp_view *dx,
                               const void *params, bp_block_fn shorts, bp_block_fn rows,
                               bp_block_fn wides, bp_block_fn columns)
{
    const int32_t axis = ((const bpi_softmax_params *)params)->axis, last = x->shape.ndim - 1;
    softmax_job w = {softmax_rows(x, axis), softmax_rows(y, axis), softmax_rows(dx, axis),
                     .inner = 1, /* with what is read, which is as large: */
                     .past = 2 * count_of(dx) * (int64_t)sizeof(real) >= PAST_BYTES};
    if (axis == last) {
        bp_parallel_for(ex, softmax_cut(&w.x),
                        w.x.size <= SHORT_ROW          ? shorts
                        : w.x.size <= PIECE || !w.past ? rows
                                                       : wides,
                        &w);
        return;
    }
    for (int32_t i = axis + 1; i <= last; i++)
        w.inner *= x->shape.dim[i];
    const int64_t least = w.past ? 4 : 1; /* strips: memory likes long pieces, threads many */
    w.width = STEP * at_most(at_least(w.x.n * w.inner / (STEP * BLOCKS), least), SLAB / STEP);
    w.slabs = parts(w.inner, w.width);
    w.per_block = at_least(8192 / (w.x.size * w.width), 1);
    bp_parallel_for(ex, parts(w.x.n * w.slabs, w.per_block), columns, &w);
}

static inline softmax_slab softmax_slab_of(const softmax_job *w, int64_t i, real *to,
                                           int64_t to_pitch)
{
    const int64_t table = i / w->slabs, first = i % w->slabs * w->width, n = w->x.size;
    return (softmax_slab){w->x.data + table * n * w->x.pitch + first,
                          w->y.data + table * n * w->y.pitch + first,
                          to + table * n * to_pitch + first,
                          n, at_most(w->inner - first, w->width),
                          w->x.pitch, w->y.pitch, to_pitch, w->past};
}

/* Statements for rows `row` to `end` of columns c to c + left: memory is read along rows, some at a
 * time. */
#define EACH_PATCH(s, ...)                                                \
    for (int64_t row = 0; row < (s)->rows; row += DEEP) {                 \
        const int64_t end = at_most(row + DEEP, (s)->rows);               \
        for (int64_t c = 0; c < (s)->width; c += STEP) {                  \
            const int64_t left = at_most((s)->width - c, STEP);           \
            __VA_ARGS__                                                   \
        }                                                                 \
    }

/* Asks for what the walks of a slab come to next: a strip of a row for the second cache, for rows
 * may meet in the first; and how far on in a walk over whole rows. */
INLINE void slab_fetch(const real *p)
{
    UNROLL for (int b = 0; b < GROUP * BPI_VECTOR_BYTES; b += 64)
        __builtin_prefetch((const char *)p + b, 0, 2);
}
INLINE int64_t slab_ahead(const softmax_slab *s, int64_t pitch)
{
    return parts(AHEAD, s->width) * pitch;
}

/* m: the largest of each column; sum: of its e^(x - m). */
void BPI_CPU(slab_terms)(const softmax_slab *s, real m[SLAB], double sum[SLAB]);
#define bpi_slab_terms BPI_CPU(slab_terms)

/* static void name(job, block) over the rows of a block. one_row ends the late row and begins one,
 * if they are of a kind. */
#define SOFTMAX_ROWS(name, kind, one_row)                                                        \
    static void name(void *arg, int64_t block)                                                   \
    {                                                                                            \
        const softmax_job *w = arg;                                                              \
        const int64_t end = bpi_rows_end(&w->x, block);                                          \
        real room[PIECE];                                                                        \
        late_row late = {.past = w->past};                                                       \
        for (int64_t r = block * w->x.per_block; r < end; r++)                                   \
            one_row(w, r, room, &late);                                                          \
        while (late.at < late.end)                                                               \
            late_step(kind, &late);                                                              \
        stream_end();                                                                            \
    }

/* The same over short rows. */
#define SOFTMAX_SHORT_ROWS(name, short_rows)                                                     \
    static void name(void *arg, int64_t block)                                                   \
    {                                                                                            \
        const softmax_job *w = arg;                                                              \
        const int64_t end = bpi_rows_end(&w->x, block);                                          \
        for (int64_t r = block * w->x.per_block; r < end; r += LANES)                            \
            short_rows(w, r, at_most(end - r, LANES));                                           \
    }

/* The same over its slabs, which are written to `to`. */
#define SOFTMAX_SLABS(name, one_slab, to)                                                        \
    static void name(void *arg, int64_t block)                                                   \
    {                                                                                            \
        const softmax_job *w = arg;                                                              \
        int64_t end = at_most((block + 1) * w->per_block, w->x.n * w->slabs);                    \
        for (int64_t i = block * w->per_block; i < end; i++) {                                   \
            const softmax_slab s = softmax_slab_of(w, i, to.data, to.pitch);                     \
            one_slab(&s);                                                                        \
        }                                                                                        \
        stream_end();                                                                            \
    }

/* The table entry, from {forward, backward}_{short, row, slab}, the kinds of late rows, and what
 * takes a block of wide ones forward past the caches. */
#define SOFTMAX_OP(op, kind, slope_kind, wide_rows)                                              \
    SOFTMAX_SHORT_ROWS(forward_shorts, forward_short)                                            \
    SOFTMAX_SHORT_ROWS(backward_shorts, backward_short)                                          \
    SOFTMAX_ROWS(forward_rows, kind, forward_row)                                                \
    SOFTMAX_ROWS(backward_rows, slope_kind, backward_row)                                        \
    SOFTMAX_SLABS(forward_slabs, forward_slab, w->y)                                             \
    SOFTMAX_SLABS(backward_slabs, backward_slab, w->dx)                                          \
    static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out,                 \
                             const void *params)                                                 \
    {                                                                                            \
        softmax_run(ex, in, out, out, params, forward_shorts, forward_rows, wide_rows,           \
                    forward_slabs);                                                              \
        return BP_OK;                                                                            \
    }                                                                                            \
    static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out,                \
                              const void *params)                                                \
    {                                                                                            \
        softmax_run(ex, &in[0], &in[1], out, params, backward_shorts, backward_rows,             \
                    backward_rows, backward_slabs);                                              \
        return BP_OK;                                                                            \
    }                                                                                            \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS},              \
                               [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS}}}

#endif
