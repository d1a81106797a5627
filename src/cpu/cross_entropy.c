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
#include "cpu/reduce.h"

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
    real max = bpi_run_max(x, c);
    double sum = bpi_run_exp(dx, x, c, max);
    s->loss += (double)log_of((real)sum) - (double)(x[label] - max);
    s->correct += is_correct(x, label, max);
    if (dx) {
        double n = (double)w->x.n, at_label = ((double)dx[label] / sum - 1) / n;
        real factor = (real)(1 / (sum * n));
        BPI_EACH(c, dx[i] *= factor)
        dx[label] = (real)at_label;
    }
}

static void forward_block(void *arg, int64_t block)
{
    job *w = arg;
    row_sum s = {0, 0};
    int64_t end = bpi_rows_end(&w->x, block);
    for (int64_t r = block * w->x.per_block; r < end; r++)
        one_row(w, r, &s);
    w->part[block] = s;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    row_sum one, s = {0, 0};
    job w = {bpi_rows_of(in, 1), BPI_INDICES(in[1], in->shape.dim[1]), out[2].data, &one};
    int64_t blocks = bpi_rows_cut(&w.x, BPI_GRAIN_EXP);
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
    int64_t blocks = bpi_rows_cut(&x, BPI_GRAIN_EXP);
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
