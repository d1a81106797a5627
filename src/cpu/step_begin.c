/* step_begin: what comes before an update. Forward: g [n] or absent -> state, u8 [16], a
 * bpi_optimizer_state. Notes BP_ERR_NONFINITE where g holds a NaN or an infinity, so that the step
 * changes nothing; then, if the params say that it counts, adds 1 to the step, unless there is a
 * fault. Numbers are not finite when their exponent is all ones, which integers can tell many at a
 * time. Floor: g read once. Called by src/optim. */
#include "cpu/index.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

enum { GRAIN = 65536, STEP = 1024 };

typedef struct job {
    const real *g;
    int64_t n;
    _Atomic int64_t first; /* place that is not finite; INT64_MAX: none */
} job;

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    int64_t end = at_most((block + 1) * GRAIN, w->n);
    for (int64_t first = block * GRAIN; first < end; first += STEP) {
        const bpi_bits exponent = bpi_to_bits((real)INFINITY);
        int64_t n = at_most(end - first, STEP);
        bpi_bits found = 0;
        for (int64_t i = 0; i < n; i++)
            found |= (bpi_bits)((bpi_to_bits(w->g[first + i]) & exponent) == exponent);
        for (int64_t i = 0; found && i < n; i++)
            if ((bpi_to_bits(w->g[first + i]) & exponent) == exponent) {
                bpi_note_first(&w->first, first + i);
                return;
            }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_step_begin_params *p = params;
    bpi_optimizer_state *state = out->data;
    job w = {in->data, in->data ? in->shape.dim[0] : 0, INT64_MAX};
    bp_parallel_for(ex, parts(w.n, GRAIN), block_fn, &w);
    if (w.first != INT64_MAX)
        bpi_fault_note(ex, BP_ERR_NONFINITE, w.first);
    if (p->counts && !ex->fault->what)
        state->step += 1;
    return BP_OK;
}

BPI_CPU_OP(step_begin) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
