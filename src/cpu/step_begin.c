/* step_begin: what comes before an update. Forward: g [n] or absent -> state, u8 [24], a
 * bpi_optimizer_state. Notes the first element of g that is NaN, infinite or too large; then, if
 * the params say that it decides, the step is counted or refused (fault.h). Magnitudes are in the
 * order of their bits, NaN above all of them, so integers tell many at a time. Floor: g read once.
 * Called by src/optim. */
#include "cpu/index.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

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
    const bpi_bits sign = bpi_to_bits((real)-0.0), most = bpi_to_bits(w->most);
    int64_t end = at_most((block + 1) * GRAIN, w->n);
    for (int64_t first = block * GRAIN; first < end; first += STEP) {
        int64_t n = at_most(end - first, STEP);
        bpi_bits found = 0;
        for (int64_t i = 0; i < n; i++)
            found |= (bpi_bits)((bpi_to_bits(w->g[first + i]) & ~sign) > most);
        for (int64_t i = 0; found && i < n; i++)
            if ((bpi_to_bits(w->g[first + i]) & ~sign) > most) {
                bpi_note_first(&w->first, first + i);
                return;
            }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_step_begin_params *p = params;
    job w = {in->data, in->data ? in->shape.dim[0] : 0, (real)p->most_gradient, INT64_MAX};
    bp_parallel_for(ex, parts(w.n, GRAIN), block_fn, &w);
    if (w.first != INT64_MAX && ex->fault->gradient == 0) { /* runs come in order of place */
        real g = w.g[w.first];
        int why = isnan(g) ? BPI_NAN : isinf(g) ? BPI_INFINITE : BPI_TOO_LARGE;
        ex->fault->gradient = BPI_FAULT_ELEMENT(p->begin + w.first, why);
    }
    if (p->decides)
        bpi_step_decide(ex->fault, out->data, p);
    return BP_OK;
}

BPI_CPU_OP(step_begin) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED}};
