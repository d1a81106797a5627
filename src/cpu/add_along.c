/* add_along: y[index] += x along an axis, from 0, in the order of x. Forward: x and index [outer,
 * K, inner] -> y [outer, n, inner], packed. A bad index is left out and noted. Backward is
 * take_along.
 *
 * A block owns some outer ones as a whole, or a strip of the inner ones of one, so that no two
 * blocks write one element. Floor: x and index read, y written once. The rule:
 * src/ops/add_along.c. */
#include <string.h>

#include "cpu/along.h"
#include "cpu/elementwise.h"
#include "cpu/index.h"

enum { STRIP = 64 }; /* elements at least */

typedef struct job {
    const real *x;
    real *y;
    bpi_indices index;
    bpi_along from, at, to;
    int64_t strip, strips; /* of the inner ones; in all of them */
    int64_t per_block;     /* outer ones, where there is one strip */
} job;

static void add(job *w, int64_t o, int64_t first, int64_t n)
{
    real *y = w->y + o * w->to.outer_step + first;
    if (n == w->to.inner)
        memset(y, 0, (size_t)(w->to.size * n) * sizeof(real));
    else
        for (int64_t k = 0; k < w->to.size; k++)
            memset(y + k * w->to.step, 0, (size_t)n * sizeof(real));
    for (int64_t k = 0; k < w->at.size; k++) {
        const real *x = w->x + o * w->from.outer_step + k * w->from.step + first;
        int64_t at = o * w->at.outer_step + k * w->at.step + first;
        for (int64_t i = 0; i < n; i++)
            if (bpi_index_ok(&w->index, at + i))
                y[w->index.at[at + i] * w->to.step + i] += x[i];
    }
}

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    int64_t first = block % w->strips * w->strip, o = block / w->strips * w->per_block;
    int64_t end = at_most(o + w->per_block, w->to.outer);
    for (; o < end; o++)
        add(w, o, first, at_most(w->to.inner - first, w->strip));
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    int32_t axis = ((const bpi_along_params *)params)->axis;
    job w = {in->data, out->data, BPI_INDICES(in[1], out->shape.dim[axis]), bpi_along_of(in, axis),
             bpi_along_of(&in[1], axis), bpi_along_of(out, axis), 0, 0, 0};
    int64_t line = at_least(w.at.size + w.to.size, 1); /* elements that one inner one means */
    if (w.to.inner == 0)
        return BP_OK;
    w.strip = at_most(at_least(BPI_GRAIN / line, STRIP), w.to.inner);
    w.strips = parts(w.to.inner, w.strip);
    w.per_block = w.strips > 1 ? 1 : at_least(BPI_GRAIN / line / w.to.inner, 1);
    bp_parallel_for(ex, parts(w.to.outer, w.per_block) * w.strips, block_fn, &w);
    return bpi_indices_done(ex, &w.index);
}

BPI_CPU_OP(add_along) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
