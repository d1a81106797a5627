/* step_begin: what comes before an update. Forward: g [n] or absent -> state, u8 [24], a
 * bpi_optimizer_state, and suspect. Notes the first element of g that is NaN, infinite or too
 * large; then, if the params say that it decides, the step is counted or refused (fault.h). Floor:
 * g read once, or nothing where those who wrote it have looked already and found it fit. Called by
 * src/optim. */
#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/unfit.h"

enum { GRAIN = 65536, STEP = 1024 };

typedef struct job {
    const real *g;
    int64_t n;
    real most;
    _Atomic int64_t first; /* place that does not fit; INT64_MAX: none */
} job;

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    int64_t end = at_most((block + 1) * GRAIN, w->n);
    for (int64_t first = block * GRAIN; first < end; first += STEP) {
        int64_t n = at_most(end - first, STEP);
        if (!bpi_unfit(w->g + first, n, w->most))
            continue;
        while (!bpi_is_unfit(w->g[first], w->most))
            first++;
        bpi_note_first(&w->first, first);
        return;
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_step_begin_params *p = params;
    job w = {in->data, in->data ? in->shape.dim[0] : 0, (real)p->most_gradient, INT64_MAX};
    if (!p->noted || *(const int32_t *)out[1].data)
        bp_parallel_for(ex, parts(w.n, GRAIN), block_fn, &w);
    if (w.first != INT64_MAX && ex->fault->gradient == 0) { /* runs come in order of place */
        real g = w.g[w.first];
        int why = isnan(g) ? BPI_NAN : isinf(g) ? BPI_INFINITE : BPI_TOO_LARGE;
        ex->fault->gradient = BPI_FAULT_ELEMENT(p->begin + w.first, why);
    }
    if (p->decides) {
        bpi_step_decide(ex->fault, out->data, p);
        *(int32_t *)out[1].data = 0;
    }
    return BP_OK;
}

BPI_CPU_OP(step_begin) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
