/* average: y += rate (x - y), unless there is a state whose step that began last is refused.
 *
 * Forward: x, state or none, rate or none -> y. Floor: x and y read, y written. Called by
 * src/core/tensor.c and params_copy.c. */
#include "cpu/loop.h"
#include "door/kernel_params.h"

typedef struct job {
    const real *x;
    real *y, rate;
    int64_t n;
} job;

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const int64_t first = block * BPI_GRAIN, n = at_most(w->n - first, BPI_GRAIN);
    const real *x = w->x + first, rate = w->rate;
    real *y = w->y + first;
    BPI_EACH(n, y[i] += rate * (x[i] - y[i]))
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job w = {in[0].data, out->data, (real)((const bpi_average_params *)params)->rate, 1};
    for (int i = 0; i < out->shape.ndim; i++)
        w.n *= out->shape.dim[i];
    const bpi_optimizer_state *state = in[1].data;
    if (in[2].data)
        w.rate = (real)*(const double *)in[2].data;
    if (!state || !state->refused)
        bp_parallel_for(ex, parts(w.n, BPI_GRAIN), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(average) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
