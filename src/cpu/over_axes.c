/* Reductions over a set of axes (over_axes.h). Forward: x, any strides -> y, packed, the axes that
 * stay in order (flag BPI_SUM_ADD: added to what is in y).
 *
 * The axis with the smallest stride decides. If it goes, an output is made of runs along it; if it
 * stays, strips of it are outputs, and vectors are taken up; so are strips of another axis where
 * runs would be short. What are not neighbours is brought into a buffer first. Long ones are cut in
 * segments by the shape alone, whose results are then joined in order. f32 is summed in double.
 * Floor: x read once. The rules: src/ops/reduce.c. */
#include <stdlib.h>

#include "cpu/bring.h"
#include "cpu/loop.h"
#include "cpu/over_axes.h"
#include "door/kernel_params.h"

enum { STRIP = BPI_STRIP, SEGMENTS = 128, LEAST = 16, /* of all outputs; of one */
       SHORT = 256,     /* elements of a run that is hardly one */
       TABLE = 32, BUFFER = 8 * STRIP };

typedef struct job {
    const bpi_fold_rule *rule;
    const void *params;
    const real *x;
    const bp_view *out;
    int n_out;
    double *part; /* [outputs][segments][values][width]; NULL with one segment */
    int add, runs;
    bpi_loop reduced;             /* the axes that go; operand 1 is x */
    bpi_loop kept;                /* those that stay but the strips'; operand 0 is y */
    int64_t cols, x_step, y_step; /* the strips' axis; 1 column without one */
    int64_t strips, width;
    int64_t outputs, segments;    /* strips in all, parts of their sums */
    int64_t per_block;            /* outputs of a block, with one segment */
} job;
_Static_assert(sizeof(job) <= BPI_OVER_AXES_JOB, "a plan has room for it");

/* Where `output` begins in operand k. */
static int64_t offset_of(const job *w, int64_t output, int k)
{
    if (w->strips == 1 && w->kept.axes <= 1) /* often, and a division takes as long as a row */
        return output * w->kept.stride[k][0];
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
    return w->strips == 1 ? w->cols : at_most(w->cols - output % w->strips * STRIP, STRIP);
}

/* acc takes a table of neighbours, t->rows of t->n. Some of its rows together become one, of up to
 * TABLE lanes, which are taken as outputs and then folded in halves. */
OUTLINE void take_together(const bpi_fold_rule *rule, double *acc, const bpi_taken *t)
{
    _Alignas(64) double lane[BPI_FOLD_VALUES * TABLE];
    const int64_t n = t->n, together = TABLE / n, lanes = together * n;
    for (int32_t k = 0; k < rule->values; k++)
        for (int64_t j = 0; j < lanes; j++)
            lane[k * lanes + j] = rule->start[k];
    bpi_taken l = {.x = t->x, .n = lanes, .rows = t->rows / together, .row = lanes,
                   .width = lanes};
    rule->take(lane, &l);
    l.x += l.rows * lanes;
    l.n = t->rows % together * n;
    l.rows = 1;
    if (l.n > 0)
        rule->take(lane, &l);
    for (int64_t many = together; many > 1;) {
        const int64_t half = (many + 1) / 2;
        rule->join(lane, lane + half * n, (many - half) * n, lanes);
        many = half;
    }
    for (int32_t k = 1; k < rule->values; k++)
        for (int64_t j = 0; j < n; j++)
            lane[k * n + j] = lane[k * lanes + j];
    rule->join(acc, lane, n, n);
}

/* The same, in that way where there are two such rows at least. */
static inline void take_table(const bpi_fold_rule *rule, double *acc, const bpi_taken *t)
{
    const int64_t n = t->n;
    if (2 * n > TABLE || (t->rows + 1) * n <= TABLE || t->width != n || rule->places)
        rule->take(acc, t);
    else
        take_together(rule, acc, t);
}

/* acc takes t->rows rows of outputs that are `step` apart: side by side in a buffer. */
OUTLINE void take_brought(const bpi_fold_rule *rule, double *acc, const bpi_taken *t, int64_t step,
                          int is_run)
{
    _Alignas(64) real buffer[BUFFER + LANES];
    const int64_t most = BUFFER / t->n;
    bpi_taken b = *t;
    b.x = buffer;
    b.row = t->n;
    for (int64_t i = 0; i < t->rows; i += most, b.first += most) {
        b.rows = at_most(t->rows - i, most);
        bpi_bring(buffer, t->x + i * t->row, sizeof(real), b.rows, t->row, b.n, step,
                  0);
        if (is_run)
            rule->run(acc, buffer, b.rows, b.first);
        else
            take_table(rule, acc, &b);
    }
}

/* The same, as they lie where that will do. */
static void take(const bpi_fold_rule *rule, double *acc, const bpi_taken *t, int64_t step,
                 int is_run)
{
    if (is_run && t->row == 1)
        rule->run(acc, t->x, t->rows, t->first);
    else if (step == 1 && t->row == t->n)
        take_table(rule, acc, t);
    else if (step == 1 && !is_run)
        rule->take(acc, t);
    else
        take_brought(rule, acc, t, step, is_run);
}

/* acc = one segment of one output. */
static void reduce(const job *w, int64_t output, int64_t segment, double *acc)
{
    const bpi_loop *l = &w->reduced;
    bpi_taken t = {.n = width_of(w, output), .row = l->stride[1][0], .down = 1,
                   .width = w->width};
    for (int32_t k = 0; k < w->rule->values; k++)
        for (int64_t j = 0; j < t.n; j++)
            acc[k * w->width + j] = w->rule->start[k];
    if (w->segments == 0) /* no elements, maybe no memory */
        return;
    const real *x = w->x + offset_of(w, output, 1);
    for (bpi_piece p = bpi_piece_first(l, segment); p.left; bpi_piece_next(l, &p)) {
        t.x = x + p.offset[1];
        t.rows = p.n;
        t.first = p.number * l->piece;
        take(w->rule, acc, &t, w->x_step, w->runs);
    }
}

/* NaN is no count. */
static int32_t to_int(double v)
{
    return v >= INT32_MAX ? INT32_MAX : v > INT32_MIN ? (int32_t)v : INT32_MIN;
}

static void put(const job *w, int64_t output, double *acc)
{
    const int64_t n = width_of(w, output), step = w->y_step, at = offset_of(w, output, 0);
    if (w->rule->finish)
        w->rule->finish(acc, n, w->width, w->params);
    for (int k = 0; k < w->n_out; k++, acc += w->width)
        if (w->out[k].dtype == BP_I32) {
            int32_t *y = (int32_t *)w->out[k].data + at;
            for (int64_t j = 0; j < n; j++)
                y[j * step] = to_int(acc[j]);
        } else {
            real *y = (real *)w->out[k].data + at;
            for (int64_t j = 0; j < n; j++)
                y[j * step] = (real)(w->add ? acc[j] + (double)y[j * step] : acc[j]);
        }
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    _Alignas(64) double acc[BPI_FOLD_VALUES * STRIP];
    if (w->part) {
        reduce(w, block / w->segments, block % w->segments,
               w->part + block * w->rule->values * w->width);
        return;
    }
    int64_t end = at_most((block + 1) * w->per_block, w->outputs);
    for (int64_t i = block * w->per_block; i < end; i++) {
        reduce(w, i, 0, acc);
        put(w, i, acc);
    }
}

/* The segments of an output. */
static void join_fn(void *arg, int64_t output)
{
    const job *w = arg;
    const int64_t apart = w->rule->values * w->width;
    double *acc = w->part + output * w->segments * apart;
    for (int64_t s = 1; s < w->segments; s++)
        w->rule->join(acc, acc + s * apart, width_of(w, output), w->width);
    put(w, output, acc);
}

/* One output that takes all there is in one go, a loss say. */
static void one_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const bpi_taken t = {.x = w->x, .n = 1, .rows = w->reduced.size[0],
                         .row = w->reduced.stride[1][0], .down = 1, .width = 1};
    double acc[BPI_FOLD_VALUES];
    (void)block;
    for (int32_t k = 0; k < w->rule->values; k++)
        acc[k] = w->rule->start[k];
    take(w->rule, acc, &t, w->x_step, w->runs);
    put(w, 0, acc);
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

/* Where the inner axis goes and is short, an output is less work than what is around it: the axis
 * that stays with the smallest stride, for strips; -1 if that is short too. */
static int32_t strip_axis(const bp_view *x, uint32_t axes, int32_t inner)
{
    int32_t best = -1;
    if (x->shape.dim[inner] >= SHORT)
        return -1;
    for (int32_t i = 0; i < x->shape.ndim; i++)
        if (!(axes >> i & 1) && x->stride[i] != 0 && x->shape.dim[i] > 1 &&
            (best < 0 || llabs(x->stride[i]) < llabs(x->stride[best])))
            best = i;
    return best >= 0 && x->shape.dim[best] >= 64 ? best : -1;
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
    const int goes_inner = inner < 0 || (axes >> inner & 1);
    const int32_t strip = inner < 0 ? -1 : goes_inner ? strip_axis(x, axes, inner) : inner;
    w->runs = strip < 0;
    w->cols = w->runs ? 1 : x->shape.dim[strip];
    w->x_step = w->runs ? 0 : x->stride[strip];
    w->y_step = w->runs ? 0 : y_step[strip];
    w->reduced.operands = w->kept.operands = 2;
    w->reduced.axes = w->kept.axes = 0;
    w->kept.stride[0][0] = w->kept.stride[1][0] = 0; /* of no axis: offset_of */
    if (goes_inner)
        bpi_loop_axis(&w->reduced, inner < 0 ? 1 : x->shape.dim[inner],
                      (int64_t[]){0, inner < 0 ? 1 : x->stride[inner]});
    for (int32_t i = x->shape.ndim - 1; i >= 0; i--)
        if (i != inner && i != strip && x->shape.dim[i] != 1) {
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
    const int64_t most = at_least(SEGMENTS / at_least(w->outputs, 1), LEAST);
    int64_t grain = at_least(BPI_GRAIN / w->width, parts(length, most));
    w->segments = bpi_loop_cut(&w->reduced, grain, grain);
    w->per_block = at_least(BPI_GRAIN / (at_least(length, 1) * w->width), 1);
}

/* Nothing is cut in segments that fits a block as a whole. */
size_t BPI_CPU(over_axes_bytes)(const bpi_fold_rule *rule, const bp_view *in, const void *params)
{
    const bpi_sum_params *p = params;
    job w;
    int64_t count = 1;
    for (int32_t i = 0; i < in->shape.ndim; i++)
        count *= in->shape.dim[i];
    if (count <= BPI_GRAIN)
        return 0;
    plan(&w, in, p->axes);
    int64_t doubles = w.outputs * w.segments * rule->values * w.width;
    return w.segments <= 1 ? 0 : (size_t)doubles * sizeof(double);
}

bp_status BPI_CPU(over_axes)(bp_exec *ex, const bpi_fold_rule *rule, const bp_view *in,
                             const bp_view *out, int n_out, const void *params)
{
    const bpi_sum_params *p = params;
    job w; /* not cleared: that would take longer than a small sum */
    w.rule = rule;
    w.params = params;
    w.x = in->data;
    w.out = out;
    w.n_out = n_out;
    w.part = NULL;
    w.add = (p->axes & BPI_SUM_ADD) != 0;
    plan(&w, in, p->axes);
    if (w.outputs == 1 && w.width == 1 && w.segments == 1 && w.reduced.axes == 1)
        return bpi_leave_work(ex, 1, one_fn, &w, sizeof w);
    if (w.segments <= 1)
        return bpi_leave_work(ex, parts(w.outputs, w.per_block), block_fn, &w, sizeof w);
    ex->work = NULL; /* the workspace may move */
    w.part = ex->workspace;
    bp_parallel_for(ex, w.outputs * w.segments, block_fn, &w);
    bp_parallel_for(ex, w.outputs, join_fn, &w);
    return BP_OK;
}
