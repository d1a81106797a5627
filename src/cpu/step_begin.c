/* step_begin: what comes before an update. Forward: g, a flat buffer of which the ranges are taken,
 * or absent -> state, a bpi_optimizer_state, and suspect. Notes the first element of g that is NaN,
 * infinite or too large, and adds up the squares of g, clipped by value, where they are asked for:
 * by blocks, then block by block, in the same order whatever the threads. Then, if the params say
 * that it decides, the step is counted or refused (fault.h). Floor: g read once, or nothing where
 * those who wrote it have looked already and found it fit. Called by src/optim. */
#include <string.h>

#include "cpu/index.h"
#include "cpu/reduce.h"
#include "cpu/unfit.h"
#include "door/ranges.h"

enum { GRAIN = 65536, STEP = 1024 };

typedef struct squares {
    double sum, far;
} squares;

typedef struct job {
    const real *g;
    const bpi_step_begin_params *p;
    real most, clip;
    int checks;
    squares *part;         /* of each block, or NULL */
    _Atomic int64_t first; /* place that does not fit; INT64_MAX: none */
} job;

static void check_block(job *w, bpi_range r)
{
    for (int64_t first = r.begin; first < r.end; first += STEP) {
        int64_t n = at_most(r.end - first, STEP);
        if (!bpi_unfit(w->g + first, n, w->most))
            continue;
        while (!bpi_is_unfit(w->g[first], w->most))
            first++;
        bpi_note_first(&w->first, first);
        return;
    }
}

INLINE void add_lanes(double *restrict sum, double *restrict far, const real *g, real clip)
{
    for (int j = 0; j < BPI_LANES; j++) {
        real x = g[j];
        x = x > clip ? clip : x;
        x = x < -clip ? -clip : x;
        sum[j] += (double)x * (double)x;
#if BPI_F64
        far[j] += 0x1p-540 * x * (0x1p-540 * x);
#endif
    }
    (void)far;
}

/* In lanes, as in reduce.h. */
static squares squares_of(const real *g, int64_t n, real clip)
{
    double sum[BPI_LANES] = {0}, far[BPI_LANES] = {0};
    real rest[BPI_LANES] = {0};
    int64_t i = 0;
    for (; i + BPI_LANES <= n; i += BPI_LANES)
        add_lanes(sum, far, g + i, clip);
    memcpy(rest, g + i, (size_t)(n - i) * sizeof *rest);
    add_lanes(sum, far, rest, clip);
    return (squares){bpi_fold(sum), bpi_fold(far)};
}

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    bpi_range r = bpi_block_range(&w->p->ranges, block, GRAIN);
    if (w->checks)
        check_block(w, r);
    if (w->part)
        w->part[block] = squares_of(w->g + r.begin, r.end - r.begin, w->clip);
}

static void add_squares(bpi_optimizer_state *s, const job *w, int64_t blocks)
{
    if (w->p->begins)
        s->sum = s->far = 0;
    for (int64_t i = 0; i < blocks; i++) {
        s->sum += w->part[i].sum;
        s->far += w->part[i].far;
    }
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    const bpi_step_begin_params *p = params;
    (void)in;
    return p->clip_norm != 0 ? (size_t)bpi_all_blocks(&p->ranges, GRAIN) * sizeof(squares) : 0;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_step_begin_params *p = params;
    int64_t blocks = bpi_all_blocks(&p->ranges, GRAIN);
    job w = {.g = in->data, .p = p, .most = (real)p->most_gradient, .first = INT64_MAX,
             .clip = p->clip_value != 0 ? (real)p->clip_value : (real)INFINITY,
             .checks = !p->noted || *(const int32_t *)out[1].data,
             .part = p->clip_norm != 0 ? ex->workspace : NULL};
    if (w.checks || w.part)
        bp_parallel_for(ex, blocks, block_fn, &w);
    if (w.part)
        add_squares(out->data, &w, blocks);
    if (w.first != INT64_MAX && ex->fault->gradient == 0) { /* ranges come in order of place */
        real g = w.g[w.first];
        int why = isnan(g) ? BPI_NAN : isinf(g) ? BPI_INFINITE : BPI_TOO_LARGE;
        ex->fault->gradient = BPI_FAULT_ELEMENT(w.first, why);
    }
    if (p->decides) {
        bpi_step_decide(ex->fault, out->data, p);
        *(int32_t *)out[1].data = 0;
    }
    return BP_OK;
}

BPI_CPU_OP(step_begin) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED,
                                                .workspace_bytes = workspace_bytes}};
