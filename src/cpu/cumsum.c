/* cumsum: y[i] = sum of x[0 .. i] along an axis, or of x[i ..] in reverse. Forward: x -> y.
 *
 * Around the axis x is [outer, n, inner]. A block adds up a strip of the inner elements of one row,
 * or of a segment of it where rows are few: the sums of the segments come first then, and each
 * begins with those before it. f32 is added in double. Floor: x read, y written once (of segments x
 * is read twice, from cache where it fits). The rule: src/ops/cumsum.c. */
#include "cpu/loop.h"
#include "cpu/vec_rows.h"
#include "door/kernel_params.h"

enum { STRIP = 256, SEGMENTS = 64 }; /* at most */

typedef struct job {
    const real *x;
    real *y;
    double *part; /* [segments][outer * inner]: their sums */
    int64_t outer, n, inner;
    int64_t strips, segments, segment; /* of inner, of n, elements of one */
    int64_t per_block;                 /* strips of segments */
    int reverse, sums;                 /* the sums of the segments are wanted, not y */
} job;

static job job_of(const bp_view *in, const bpi_cumsum_params *p)
{
    job w = {.outer = 1, .n = in->shape.dim[p->axis], .inner = 1, .reverse = p->reverse};
    for (int32_t i = 0; i < in->shape.ndim; i++)
        if (i != p->axis)
            *(i < p->axis ? &w.outer : &w.inner) *= in->shape.dim[i];
    w.strips = parts(w.inner, STRIP);
    int64_t lines = at_least(w.outer * w.strips, 1);
    w.segment = at_least(parts(w.n, at_least(SEGMENTS / lines, 1)),
                         BPI_GRAIN / at_least(at_most(w.inner, STRIP), 1));
    w.segments = parts(w.n, w.segment);
    w.per_block = at_least(BPI_GRAIN / at_least(w.n * at_most(w.inner, STRIP), 1), 1);
    return w;
}

/* Doubles of a vector, 4 at most: shuffles across a longer one cost more than they save. */
#if BPI_VECTOR_BYTES > 16
enum { WIDE = 4 };
#define TURNED(v) SHUFFLE(v, v, 3, 2, 1, 0)
#else
enum { WIDE = 2 };
#define TURNED(v) SHUFFLE(v, v, 1, 0)
#endif
typedef double wide_vec __attribute__((vector_size(WIDE * 8)));
typedef real part_vec __attribute__((vector_size(WIDE * sizeof(real))));
typedef part_vec part_at __attribute__((aligned(sizeof(real)), may_alias));

/* In and out of memory; `past` the caches, like stream() of vec.h. */
INLINE wide_vec get_part(const real *x)
{
#if BPI_VECTOR_BYTES > 16 && !BPI_F64
    return _mm256_cvtps_pd(_mm_loadu_ps(x));
#else
    return __builtin_convertvector(*(const part_at *)x, wide_vec);
#endif
}
INLINE void put_part(int past, real *y, part_vec v)
{
    if (!past || BPI_VECTOR_BYTES == 16)
        *(part_at *)y = v;
#if BPI_VECTOR_BYTES > 16 && BPI_F64
    else
        _mm256_stream_pd(y, v);
#elif BPI_VECTOR_BYTES > 16
    else
        _mm_stream_ps(y, v);
#endif
}

/* One line of n neighbours, step 1 or -1: a vector's own sums, to which those before are added. */
INLINE void add_line(double before, const real *x, real *y, int64_t n, int past, const int step)
{
    const wide_vec none = {0};
    wide_vec sum = before - none;
    for (; n >= WIDE; n -= WIDE, x += step * WIDE, y += step * WIDE) {
        const int64_t low = step > 0 ? 0 : 1 - WIDE;
        wide_vec v = get_part(x + low);
        v = step > 0 ? v : TURNED(v);
#if BPI_VECTOR_BYTES > 16
        v += SHUFFLE(none, v, 0, 4, 2, 6);
        v += SHUFFLE(none, v, 0, 0, 5, 5);
        const wide_vec all = SHUFFLE(v, v, 3, 3, 3, 3);
#else
        v += SHUFFLE(none, v, 0, 2);
        const wide_vec all = SHUFFLE(v, v, 1, 1);
#endif
        const part_vec part = __builtin_convertvector(v + sum, part_vec);
        put_part(past, y + low, step > 0 ? part : TURNED(part));
        sum += all;
    }
    for (before = sum[0]; n > 0; n--, x += step, y += step)
        *y = (real)(before += (double)*x);
}

/* A strip of one segment. */
static void scan(const job *w, int64_t item)
{
    const int64_t segment = item % w->segments, line = item / w->segments;
    const int64_t col = line % w->strips * STRIP, outer = line / w->strips;
    const int64_t width = at_most(w->inner - col, STRIP), first = segment * w->segment;
    const int64_t n = at_most(w->n - first, w->segment), step = w->reverse ? -w->inner : w->inner;
    const int64_t at = (outer * w->n + (w->reverse ? w->n - 1 - first : first)) * w->inner + col;
    const int64_t apart = w->outer * w->inner, mine = outer * w->inner + col;
    const real *x = w->x + at;
    double sum[STRIP];
    for (int64_t j = 0; j < width; j++)
        sum[j] = 0;
    for (int64_t s = 0; s < segment && !w->sums; s++)
        for (int64_t j = 0; j < width; j++)
            sum[j] += w->part[s * apart + mine + j];
    if (w->inner == 1 && w->sums) {
        w->part[segment * apart + mine] = bpi_run_sum(w->reverse ? x - (n - 1) : x, n);
        return;
    }
    if (w->inner == 1) {
        real *y = w->y + at;
        const int past = w->outer * w->n * (int64_t)sizeof(real) >= PAST_BYTES &&
                         (uintptr_t)(y + w->reverse) % sizeof(part_vec) == 0;
        if (w->reverse)
            add_line(*sum, x, y, n, past, -1);
        else
            add_line(*sum, x, y, n, past, 1);
        stream_end();
        return;
    }
    for (int64_t i = 0; i < n; i++, x += step) {
        for (int64_t j = 0; j < width; j++)
            sum[j] += (double)x[j];
        real *y = w->y + at + i * step;
        for (int64_t j = 0; j < width && !w->sums; j++)
            y[j] = (real)sum[j];
    }
    for (int64_t j = 0; j < width && w->sums; j++)
        w->part[segment * apart + mine + j] = sum[j];
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const int64_t items = w->outer * w->strips * w->segments;
    const int64_t end = at_most((block + 1) * w->per_block, items);
    for (int64_t i = block * w->per_block; i < end; i++)
        scan(w, i);
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    const job w = job_of(in, params);
    return w.segments > 1 ? (size_t)(w.segments * w.outer * w.inner) * sizeof(double) : 0;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job w = job_of(in, params);
    const int64_t blocks = parts(w.outer * w.strips * w.segments, w.per_block);
    w.x = in->data;
    w.y = out->data;
    w.part = ex->workspace;
    if (w.segments > 1) {
        w.sums = 1;
        bp_parallel_for(ex, blocks, block_fn, &w);
        w.sums = 0;
    }
    bp_parallel_for(ex, blocks, block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(cumsum) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED,
                                            .workspace_bytes = workspace_bytes}};
