/* take_along: y = x at an index along an axis. Forward: x of any dtype [outer, n, inner], index
 * [outer, K, inner] -> y [outer, K, inner], packed. A bad index gives 0 and is noted. Backward is
 * add_along. Floor: index and y once, what is taken of x once. The rule: src/ops/take_along.c. */
#include "cpu/along.h"
#include "cpu/elementwise.h"
#include "cpu/index.h"

enum { CHUNK = 256 };

typedef struct job {
    const char *x;
    char *y;
    bpi_indices index;
    bpi_along from, at;
    int64_t runs, length; /* of neighbours in y: [outer, K] of inner, or [outer] of K */
    int64_t lines;        /* 1 for the former, which an index that steps along the axis takes */
    int64_t per_block;
    size_t element;
} job;

/* Whether all of n indices are good. */
static int all_ok(const job *w, int64_t at, int64_t n)
{
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t index = (uint32_t)w->index.at[at + i];
        most = index > most ? index : most;
    }
    return (int64_t)most < w->index.limit && most <= INT32_MAX;
}

/* CHUNK neighbours at a time, so that what was checked is still near. */
#define RUN(T)                                                                             \
    for (int64_t first = 0; first < w->length; first += CHUNK, at += CHUNK) {              \
        const T *x = (const T *)w->x + o * w->from.outer_step + first * lines;             \
        T *y = (T *)w->y + r * w->length + first;                                          \
        const int32_t *index = w->index.at + at;                                           \
        const int64_t n = at_most(w->length - first, CHUNK), step = w->from.step;          \
        if (all_ok(w, at, n))                                                              \
            BPI_EACH(n, y[i] = x[index[i] * step + i * lines])                             \
        else                                                                               \
            for (int64_t i = 0; i < n; i++)                                                \
                y[i] = bpi_index_ok(&w->index, at + i) ? x[index[i] * step + i * lines]    \
                                                       : (T)0;                             \
    }

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    const int64_t lines = w->lines;
    int64_t end = at_most((block + 1) * w->per_block, w->runs);
    for (int64_t r = block * w->per_block; r < end; r++) {
        int64_t o = lines ? r / w->at.size : r, k = lines ? r % w->at.size : 0;
        int64_t at = o * w->at.outer_step + k * w->at.step;
        switch (w->element) {
        case 1: RUN(uint8_t) break;
        case 4: RUN(uint32_t) break;
        default: RUN(uint64_t)
        }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    int32_t axis = ((const bpi_along_params *)params)->axis;
    job w = {in->data, out->data, BPI_INDICES(in[1], in->shape.dim[axis]),
             bpi_along_of(in, axis), bpi_along_of(&in[1], axis), 0, 0, 0, 0,
             in->dtype == BP_F64 ? 8 : in->dtype == BP_U8 ? 1 : 4};
    w.lines = w.at.inner > 1 || w.at.step != 1;
    w.length = w.lines ? w.at.inner : w.at.size;
    w.runs = w.lines ? w.at.outer * w.at.size : w.at.outer;
    w.per_block = at_least(BPI_GRAIN / at_least(w.length, 1), 1);
    if (w.length > 0)
        bp_parallel_for(ex, parts(w.runs, w.per_block), block_fn, &w);
    return bpi_indices_done(ex, &w.index);
}

BPI_CPU_OP(take_along) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
