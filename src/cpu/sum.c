/* sum: y = x summed over a set of axes. Forward: x, any strides -> y, packed, the axes that stay in
 * order (flag BPI_SUM_ADD of reduce.h: added to what is in y). Backward is an expand.
 *
 * The axis with the smallest stride decides. If it goes, outputs are sums of runs along it; if it
 * stays, strips of it are vectors that are added up. Sums longer than a block are cut in segments
 * by the shape alone, whose results are then added in order. f32 is summed in double.
 * Floor: x read once. The rule: src/ops/sum.c. */
#include <stdlib.h>

#include "cpu/elementwise.h"
#include "cpu/reduce.h"
#include "kernel_params.h"

enum { STRIP = 1024, SEGMENTS = 128 };

typedef struct job {
    const real *x;
    real *y;
    double *part; /* [outputs or strips][segments][width]; NULL with one segment */
    int add;
    bpi_loop reduced;                /* operand 1: the axes that go */
    bpi_loop kept;                   /* operands 0, 1: those that stay, without the strip's axis */
    int64_t outputs, segments;       /* outputs: strips, or numbers */
    int64_t per_block;               /* outputs of a block, with one segment */
    int64_t cols, x_step, y_step;    /* the strips' axis; 0 cols: none */
    int64_t strips, width;           /* 1, 1 without it */
} job;

/* Where output `i` of the kept axes begins in operand k. */
static int64_t offset_of(const bpi_loop *l, int64_t i, int k)
{
    int64_t offset = 0;
    for (int32_t a = 0; a < l->axes; a++) {
        offset += (a + 1 < l->axes ? i % l->size[a] : i) * l->stride[k][a];
        i = a + 1 < l->axes ? i / l->size[a] : 0;
    }
    return offset;
}

/* acc[0 .. n) += segment of the vectors that begin at x. The reduced loop runs in pieces of its
 * innermost axis; four vectors at a time save loads and stores of acc. */
static void add_columns(const job *w, const real *x, int64_t n, int64_t segment, double *acc)
{
    const bpi_loop *l = &w->reduced;
    const int64_t row = l->stride[1][0], s = w->x_step;
    for (bpi_piece p = bpi_piece_first(l, segment); p.left; bpi_piece_next(l, &p)) {
        const real *r = x + p.offset[1];
        int64_t i = 0;
        if (s == 1)
            for (; i + 4 <= p.n; i += 4, r += 4 * row) {
                BPI_INDEPENDENT
                for (int64_t j = 0; j < n; j++)
                    acc[j] += ((double)r[j] + (double)r[j + row]) +
                              ((double)r[j + 2 * row] + (double)r[j + 3 * row]);
            }
        for (; i < p.n; i++, r += row)
            for (int64_t j = 0; j < n; j++)
                acc[j] += (double)r[j * s];
    }
}

static double sum_runs(const job *w, const real *x, int64_t segment)
{
    const bpi_loop *l = &w->reduced;
    const int64_t s = l->stride[1][0];
    double sum = 0;
    for (bpi_piece p = bpi_piece_first(l, segment); p.left; bpi_piece_next(l, &p)) {
        const real *r = x + p.offset[1];
        if (s == 1)
            sum += bpi_run_sum(r, p.n);
        else
            for (int64_t i = 0; i < p.n; i++)
                sum += (double)r[i * s];
    }
    return sum;
}

static void put(const job *w, int64_t output, const double *sum)
{
    int64_t first = output % w->strips * STRIP;
    int64_t n = w->cols ? bpi_at_most(w->cols - first, STRIP) : 1;
    real *y = w->y + offset_of(&w->kept, output / w->strips, 0) + first * w->y_step;
    for (int64_t j = 0; j < n; j++)
        y[j * w->y_step] = (real)(w->add ? sum[j] + (double)y[j * w->y_step] : sum[j]);
}

/* One segment of one output, to `sum`. */
static void reduce(const job *w, int64_t output, int64_t segment, double *sum)
{
    int64_t first = output % w->strips * STRIP;
    const real *x = w->x + offset_of(&w->kept, output / w->strips, 1) + first * w->x_step;
    if (!w->cols) {
        *sum = sum_runs(w, x, segment);
        return;
    }
    int64_t n = bpi_at_most(w->cols - first, STRIP);
    for (int64_t j = 0; j < n; j++)
        sum[j] = 0;
    add_columns(w, x, n, segment, sum);
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    double sum[STRIP];
    if (w->part) {
        reduce(w, block / w->segments, block % w->segments, w->part + block * w->width);
        return;
    }
    int64_t end = bpi_at_most((block + 1) * w->per_block, w->outputs);
    for (int64_t i = block * w->per_block; i < end; i++) {
        sum[0] = 0;
        for (int64_t j = 1; j < w->width; j++)
            sum[j] = 0;
        if (w->segments) /* no elements: 0 */
            reduce(w, i, 0, sum);
        put(w, i, sum);
    }
}

static void combine(const job *w)
{
    for (int64_t i = 0; i < w->outputs; i++) {
        double *sum = w->part + i * w->segments * w->width;
        for (int64_t s = 1; s < w->segments; s++)
            for (int64_t j = 0; j < w->width; j++)
                sum[j] += sum[s * w->width + j];
        put(w, i, sum);
    }
}

/* The axis along which memory is walked: the one with the smallest stride that is not 0. */
static int32_t inner_axis(const bp_view *x)
{
    int32_t best = -1;
    for (int32_t i = x->shape.ndim - 1; i >= 0; i--)
        if (x->shape.dim[i] > 1 && x->stride[i] != 0 &&
            (best < 0 || llabs(x->stride[i]) < llabs(x->stride[best])))
            best = i;
    return best;
}

/* Sorts the axes of x into those that go and those that stay; y is packed. */
static void plan(job *w, const bp_view *x, uint32_t axes)
{
    int64_t out_step[BP_MAX_DIMS], step = 1;
    int32_t inner = inner_axis(x);
    w->reduced.axes = w->kept.axes = 0;
    w->cols = w->x_step = w->y_step = 0;
    for (int32_t i = x->shape.ndim - 1; i >= 0; i--) {
        out_step[i] = step;
        step *= axes >> i & 1 ? 1 : x->shape.dim[i];
    }
    if (inner >= 0 && axes >> inner & 1) {
        bpi_loop_axis(&w->reduced, x->shape.dim[inner], 0, x->stride[inner], 0);
    } else if (inner >= 0) {
        w->cols = x->shape.dim[inner];
        w->x_step = x->stride[inner];
        w->y_step = out_step[inner];
    }
    for (int32_t i = x->shape.ndim - 1; i >= 0; i--)
        if (i != inner && x->shape.dim[i] != 1) {
            if (axes >> i & 1)
                bpi_loop_axis(&w->reduced, x->shape.dim[i], 0, x->stride[i], 0);
            else
                bpi_loop_axis(&w->kept, x->shape.dim[i], out_step[i], x->stride[i], 0);
        }
    if (w->reduced.axes == 0)
        bpi_loop_axis(&w->reduced, 1, 0, 1, 0);
    w->strips = w->cols ? bpi_parts(w->cols, STRIP) : 1;
    w->width = w->cols ? bpi_at_most(w->cols, STRIP) : 1;
    w->outputs = w->strips;
    for (int32_t a = 0; a < w->kept.axes; a++)
        w->outputs *= w->kept.size[a];
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_sum_params *p = params;
    job w = {.x = in->data, .y = out->data, .add = (p->axes & BPI_SUM_ADD) != 0};
    plan(&w, in, p->axes);
    if (w.outputs == 0)
        return BP_OK;
    int64_t length = 1;
    for (int32_t a = 0; a < w.reduced.axes; a++)
        length *= w.reduced.size[a];
    int64_t grain = bpi_at_least(BPI_GRAIN / w.width, bpi_parts(length, SEGMENTS));
    w.segments = bpi_loop_cut(&w.reduced, grain, grain);
    if (w.segments > 1) {
        int64_t blocks = w.outputs * w.segments;
        w.part = bpi_workspace(ex, (size_t)(blocks * w.width) * sizeof(double));
        if (!w.part)
            return BP_ERR_NOMEM;
        bp_parallel_for(ex, blocks, block_fn, &w);
        combine(&w);
        return BP_OK;
    }
    w.per_block = bpi_at_least(BPI_GRAIN / (bpi_at_least(length, 1) * w.width), 1);
    bp_parallel_for(ex, bpi_parts(w.outputs, w.per_block), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(sum) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ANY}};
