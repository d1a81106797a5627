/* sum: y = x summed over a set of axes. Forward: x, any strides -> y, packed, the axes that stay in
 * order (flag BPI_SUM_ADD: added to what is in y). Backward is an expand.
 *
 * The axis with the smallest stride decides. If it goes, an output is a sum of runs along it; if it
 * stays, strips of it are outputs, and vectors are added up. Sums longer than a block are cut in
 * segments by the shape alone, whose results are then added in order. f32 is summed in double.
 * Floor: x read once. The rule: src/ops/sum.c. */
#include <stdlib.h>

#include "cpu/loop.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

enum { STRIP = 1024, SEGMENTS = 128 }; /* at most */

typedef struct job {
    const real *x;
    real *y;
    double *part; /* [outputs][segments][width]; NULL with one segment */
    int add, runs;
    bpi_loop reduced;             /* the axes that go; operand 1 is x */
    bpi_loop kept;                /* those that stay but the strips'; operand 0 is y */
    int64_t cols, x_step, y_step; /* the strips' axis; 1 column without one */
    int64_t strips, width;
    int64_t outputs, segments;    /* strips in all, parts of their sums */
    int64_t per_block;            /* outputs of a block, with one segment */
} job;

/* Where `output` begins in operand k. */
static int64_t offset_of(const job *w, int64_t output, int k)
{
    int64_t i = output / w->strips;
    int64_t offset = output % w->strips * STRIP * (k == 0 ? w->y_step : w->x_step);
    for (int32_t a = 0; a < w->kept.axes; a++) {
        offset += i % w->kept.size[a] * w->kept.stride[k][a];
        i /= w->kept.size[a];
    }
    return offset;
}

static int64_t width_of(const job *w, int64_t output)
{
    return at_most(w->cols - output % w->strips * STRIP, STRIP);
}

/* acc[0 .. n) += n columns of some rows; four rows at a time save loads and stores of acc. */
static void add_rows(double *restrict acc, const real *x, int64_t n, int64_t step, int64_t rows,
                     int64_t row)
{
    int64_t i = 0;
    if (step == 1)
        for (; i + 4 <= rows; i += 4, x += 4 * row)
            for (int64_t j = 0; j < n; j++)
                acc[j] += ((double)x[j] + (double)x[j + row]) +
                          ((double)x[j + 2 * row] + (double)x[j + 3 * row]);
    for (; i < rows; i++, x += row)
        for (int64_t j = 0; j < n; j++)
            acc[j] += (double)x[j * step];
}

/* sum[0 .. width) = one segment of one output. */
static void reduce(const job *w, int64_t output, int64_t segment, double *sum)
{
    const bpi_loop *l = &w->reduced;
    const int64_t step = l->stride[1][0], n = width_of(w, output);
    for (int64_t j = 0; j < n; j++)
        sum[j] = 0;
    if (w->segments == 0) /* no elements, maybe no memory */
        return;
    const real *x = w->x + offset_of(w, output, 1);
    for (bpi_piece p = bpi_piece_first(l, segment); p.left; bpi_piece_next(l, &p)) {
        if (w->runs && step == 1)
            *sum += bpi_run_sum(x + p.offset[1], p.n);
        else
            add_rows(sum, x + p.offset[1], n, w->x_step, p.n, step);
    }
}

static void put(const job *w, int64_t output, const double *sum)
{
    real *y = w->y + offset_of(w, output, 0);
    const int64_t n = width_of(w, output), step = w->y_step;
    for (int64_t j = 0; j < n; j++)
        y[j * step] = (real)(w->add ? sum[j] + (double)y[j * step] : sum[j]);
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    double sum[STRIP];
    if (w->part) {
        reduce(w, block / w->segments, block % w->segments, w->part + block * w->width);
        return;
    }
    int64_t end = at_most((block + 1) * w->per_block, w->outputs);
    for (int64_t i = block * w->per_block; i < end; i++) {
        reduce(w, i, 0, sum);
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

/* Sorts the axes of x, the inner one first, into those that go and those that stay; cuts blocks. */
static void plan(job *w, const bp_view *x, uint32_t axes)
{
    int64_t y_step[BP_MAX_DIMS], step = 1;
    int32_t inner = inner_axis(x);
    for (int32_t i = x->shape.ndim - 1; i >= 0; i--) {
        y_step[i] = step;
        step *= axes >> i & 1 ? 1 : x->shape.dim[i];
    }
    w->runs = inner < 0 || (axes >> inner & 1);
    w->cols = w->runs ? 1 : x->shape.dim[inner];
    w->x_step = w->runs ? 0 : x->stride[inner];
    w->y_step = w->runs ? 0 : y_step[inner];
    w->reduced.operands = w->kept.operands = 2;
    w->reduced.axes = w->kept.axes = 0;
    if (w->runs)
        bpi_loop_axis(&w->reduced, inner < 0 ? 1 : x->shape.dim[inner],
                      (int64_t[]){0, inner < 0 ? 1 : x->stride[inner]});
    for (int32_t i = x->shape.ndim - 1; i >= 0; i--)
        if (i != inner && x->shape.dim[i] != 1) {
            int goes = axes >> i & 1;
            bpi_loop_axis(goes ? &w->reduced : &w->kept, x->shape.dim[i],
                          (int64_t[]){goes ? 0 : y_step[i], x->stride[i]});
        }
    if (w->reduced.axes == 0)
        bpi_loop_axis(&w->reduced, 1, (int64_t[]){0, 1});
    w->strips = parts(w->cols, STRIP);
    w->width = at_most(w->cols, STRIP);
    w->outputs = w->strips;
    for (int32_t a = 0; a < w->kept.axes; a++)
        w->outputs *= w->kept.size[a];
    int64_t length = 1;
    for (int32_t a = 0; a < w->reduced.axes; a++)
        length *= w->reduced.size[a];
    int64_t grain = at_least(BPI_GRAIN / w->width, parts(length, SEGMENTS));
    w->segments = bpi_loop_cut(&w->reduced, grain, grain);
    w->per_block = at_least(BPI_GRAIN / (at_least(length, 1) * w->width), 1);
}

/* Nothing is cut in segments that fits a block as a whole. */
static size_t workspace_bytes(const bp_view *in, const void *params)
{
    const bpi_sum_params *p = params;
    job w = {0};
    int64_t count = 1;
    for (int32_t i = 0; i < in->shape.ndim; i++)
        count *= in->shape.dim[i];
    if (count <= BPI_GRAIN)
        return 0;
    plan(&w, in, p->axes);
    return w.segments <= 1 ? 0 : (size_t)(w.outputs * w.segments * w.width) * sizeof(double);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_sum_params *p = params;
    job w = {.x = in->data, .y = out->data, .add = (p->axes & BPI_SUM_ADD) != 0};
    plan(&w, in, p->axes);
    if (w.segments <= 1) {
        bp_parallel_for(ex, parts(w.outputs, w.per_block), block_fn, &w);
        return BP_OK;
    }
    int64_t blocks = w.outputs * w.segments;
    w.part = ex->workspace;
    bp_parallel_for(ex, blocks, block_fn, &w);
    for (int64_t i = 0; i < w.outputs; i++) {
        double *sum = w.part + i * w.segments * w.width;
        for (int64_t s = 1; s < w.segments; s++)
            for (int64_t j = 0; j < w.width; j++)
                sum[j] += sum[s * w.width + j];
        put(&w, i, sum);
    }
    return BP_OK;
}

BPI_CPU_OP(sum) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ANY,
                                      .workspace_bytes = workspace_bytes}};
