/* log_softmax along the last axis.
 *
 *     forward:   x -> y,      y = (x - max) - ln sum_j e^(x_j - max)
 *     backward:  dy, y -> dx, dx = dy - e^y sum_j dy_j
 *
 * A row is walked three times while it is in cache. Floor: 2 elements of memory traffic an element,
 * backward 3. The rule: src/ops/log_softmax.c. */
#include "cpu/loop.h"
#include "cpu/reduce.h"

typedef struct job {
    bpi_rows x, y, dx; /* backward: x is dy */
} job;

static void forward_block(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = bpi_rows_end(&w->x, block);
    for (int64_t r = block * w->x.per_block; r < end; r++) {
        const real *x = bpi_row(&w->x, r);
        real *y = bpi_row(&w->y, r), max = bpi_run_max(x, w->x.size);
        real log_sum = log_of((real)bpi_run_exp(NULL, x, w->x.size, max));
        BPI_EACH(w->x.size, y[i] = (x[i] - max) - log_sum)
    }
}

static void backward_block(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = bpi_rows_end(&w->x, block);
    for (int64_t r = block * w->x.per_block; r < end; r++) {
        const real *dy = bpi_row(&w->x, r), *y = bpi_row(&w->y, r);
        real *dx = bpi_row(&w->dx, r), sum = (real)bpi_run_sum(dy, w->x.size);
        BPI_EACH(w->x.size, dx[i] = dy[i] - exp_of(y[i]) * sum)
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const int32_t outer = in->shape.ndim - 1;
    job w = {.x = bpi_rows_of(in, outer), .y = bpi_rows_of(out, outer)};
    bp_parallel_for(ex, bpi_rows_cut(&w.x, BPI_GRAIN_EXP), forward_block, &w);
    return BP_OK;
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const int32_t outer = in->shape.ndim - 1;
    job w = {bpi_rows_of(&in[0], outer), bpi_rows_of(&in[1], outer), bpi_rows_of(out, outer)};
    bp_parallel_for(ex, bpi_rows_cut(&w.x, BPI_GRAIN_EXP), backward_block, &w);
    return BP_OK;
}

BPI_CPU_OP(log_softmax) = {.slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS},
                                    [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS}}};
