/* cross_entropy: log_softmax, nll_loss, its gradient and the count of correct rows in one pass.
 *
 *     forward:   logits [N, C], labels [N] -> loss, correct; aux: dlogits for dy = 1, [N, C]
 *                loss = 1/N sum_i (ln sum_j e^(x_ij - max_i) - (x_i,label - max_i))
 *                dlogits = (softmax(logits) - onehot(labels)) / N
 *     backward:  dy -> that dlogits, times dy in place
 *
 * A row is walked while it is in cache; its terms e^(x - max) become the gradient where they are.
 * A row with a bad label counts 0 everywhere. Floor: logits read, dlogits written once.
 * The rule: src/ops/cross_entropy.c. */
#include "cpu/elementwise.h"
#include "cpu/index.h"
#include "cpu/softmax.h"

typedef struct row_sum {
    double loss;
    int64_t correct;
} row_sum;

typedef struct job {
    bpi_rows x;
    bpi_indices labels;
    real *dx;      /* [N, C], or NULL */
    row_sum *part; /* [blocks] */
} job;

/* No element is larger than the label's, and none before it as large. */
static int is_correct(const real *x, int64_t label, real max)
{
    int before = 0;
    if (x[label] != max)
        return 0;
    for (int64_t j = 0; j < label; j++)
        before |= x[j] == max;
    return !before;
}

/* Rows r.. of at most LANES. */
static void short_rows(job *w, int64_t r, int64_t rows, row_sum *s)
{
    const int64_t c = w->x.size;
    const double n = (double)w->x.n;
    vec col[COLUMNS], e[COLUMNS];
    load_columns(col, bpi_row(&w->x, r), w->x.pitch, c, rows);
    vec m = columns_max(col, c), first = splat((real)c), at = first;
    for (int64_t j = c - 1; j >= 0; j--) { /* the first column that holds the largest */
        lane_mask is = (lane_mask)(col[j] == m);
        at = (vec)(((lane_mask)splat((real)j) & is) | ((lane_mask)at & ~is));
    }
    vec sum = columns_exp(e, col, c, m);
    real total[LANES], log_sum[LANES], max[LANES], best[LANES], at_label[LANES];
    store(total, sum);
    store(max, m);
    store(best, at);
    for (int i = 0; i < LANES; i++)
        log_sum[i] = log_of(total[i]);
    const int32_t *labels = w->labels.at + r;
    int bad = 0;
    for (int i = 0; i < rows; i++) {
        if (!bpi_index_ok(&w->labels, r + i)) {
            bad = 1;
            at_label[i] = 0;
            continue;
        }
        real x = ((const real *)&col[labels[i]])[i];
        s->loss += (double)log_sum[i] - (double)(x - max[i]);
        s->correct += best[i] == (real)labels[i];
        at_label[i] = (real)(((double)((const real *)&e[labels[i]])[i] / (double)total[i] - 1) / n);
    }
    if (!w->dx)
        return;
    real factor[LANES];
    for (int i = 0; i < LANES; i++)
        factor[i] = (real)(1 / ((double)total[i] * n));
    const vec f = load(factor);
    for (int64_t j = 0; j < c; j++)
        e[j] = e[j] * f;
    real *dx = w->dx + r * c;
    store_columns(dx, c, e, c, rows);
    for (int i = 0; i < rows; i++)
        if (!bad || bpi_index_ok(&w->labels, r + i))
            dx[i * c + labels[i]] = at_label[i];
        else
            for (int64_t j = 0; j < c; j++)
                dx[i * c + j] = 0;
}

static void one_row(job *w, int64_t r, row_sum *s)
{
    int64_t c = w->x.size, label = w->labels.at[r];
    const real *x = bpi_row(&w->x, r);
    real *dx = w->dx ? w->dx + r * c : NULL;
    if (!bpi_index_ok(&w->labels, r)) {
        for (int64_t j = 0; dx && j < c; j++)
            dx[j] = 0;
        return;
    }
    real max = row_max(x, c);
    double sum = dx ? row_exp(1, dx, x, c, max, dx) : row_exp(0, NULL, x, c, max, x);
    s->loss += (double)log_of((real)sum) - (double)(x[label] - max);
    s->correct += is_correct(x, label, max);
    if (dx) {
        double n = (double)w->x.n, at_label = ((double)dx[label] / sum - 1) / n;
        real factor = (real)(1 / (sum * n));
        row_scale(dx, dx, c, factor);
        dx[label] = (real)at_label;
    }
}

static void forward_block(void *arg, int64_t block)
{
    job *w = arg;
    row_sum s = {0, 0};
    int64_t end = bpi_rows_end(&w->x, block);
    int64_t step = w->x.size <= SHORT_ROW ? LANES : 1;
    for (int64_t r = block * w->x.per_block; r < end; r += step)
        if (step > 1)
            short_rows(w, r, at_most(end - r, LANES), &s);
        else
            one_row(w, r, &s);
    w->part[block] = s;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    row_sum one, s = {0, 0};
    job w = {bpi_rows_of(in, 1), BPI_INDICES(in[1], in->shape.dim[1]), out[2].data, &one};
    int64_t blocks = softmax_cut(&w.x);
    if (blocks > 1)
        w.part = ex->workspace;
    bp_parallel_for(ex, blocks, forward_block, &w);
    for (int64_t i = 0; i < blocks; i++) {
        s.loss += w.part[i].loss;
        s.correct += w.part[i].correct;
    }
    *(real *)out[0].data = (real)(s.loss / (double)w.x.n);
    if (out[1].data)
        *(real *)out[1].data = (real)s.correct;
    return bpi_indices_done(ex, &w.labels);
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return (size_t)(in->shape.dim[0] * in->shape.dim[1]) * sizeof(real);
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    (void)params;
    bpi_rows x = bpi_rows_of(in, 1);
    int64_t blocks = softmax_cut(&x);
    return blocks > 1 ? (size_t)blocks * sizeof(row_sum) : 0;
}

BPI_RUN(scale_run, real, real, out[i] = u[i] * (real)k[0])

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    double dy = (double)*(const real *)in->data;
    return dy == 1 ? BP_OK : bpi_elementwise(ex, scale_run, BPI_GRAIN, out, out, 1, &dy);
}

BPI_CPU_OP(cross_entropy) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes,
                              .workspace_bytes = workspace_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_PACKED}}};
