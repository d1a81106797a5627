/* sort: the first k of each row in order, and their places. Forward: x [rows, n] -> y, index
 * [rows, k], the same counted through all rows.
 *
 * The order is that of the values, NaN above all numbers, or the reverse of that; equal values
 * follow each other by their places. So no two elements are equal, any way of sorting is stable,
 * and the row of the output itself is the memory: a heap of the k first elements met so far, the
 * last of them on top, which is then taken apart. n + n ln k steps. The rule: src/ops/sort.c. */
#include "cpu/loop.h"
#include "cpu/reduce.h"
#include "door/kernel_params.h"

typedef struct job {
    bpi_rows x, y;
    int32_t *index, *through; /* places in a row, through all rows */
    int descending;
} job;

typedef struct heap {
    real *value;
    int32_t *place;
    int descending;
} heap;

/* Whether value a at place i comes before b at j. */
static inline int before(const heap *h, real a, int32_t i, real b, int32_t j)
{
    const real low = h->descending ? b : a, high = h->descending ? a : b;
    if (low < high || (high != high && low == low))
        return 1;
    return i < j && (low == high || (low != low && high != high));
}

/* Puts an element into h[0 .. n) from place i on downwards: what comes last is on top. */
static void sift(heap *h, int64_t n, int64_t i, real value, int32_t place)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(h, h->value[child], h->place[child], h->value[child + 1],
                                    h->place[child + 1]))
            child++;
        if (!before(h, value, place, h->value[child], h->place[child]))
            break;
        h->value[i] = h->value[child];
        h->place[i] = h->place[child];
    }
    h->value[i] = value;
    h->place[i] = place;
}

static void sort_row(heap *h, const real *x, int64_t n, int64_t k)
{
    for (int64_t i = 0; i < k; i++) {
        h->value[i] = x[i];
        h->place[i] = (int32_t)i;
    }
    for (int64_t i = k / 2 - 1; i >= 0; i--)
        sift(h, k, i, h->value[i], h->place[i]);
    for (int64_t i = k; i < n; i++)
        if (before(h, x[i], (int32_t)i, h->value[0], h->place[0]))
            sift(h, k, 0, x[i], (int32_t)i);
    for (int64_t i = k - 1; i > 0; i--) {
        const real value = h->value[i];
        const int32_t place = h->place[i];
        h->value[i] = h->value[0];
        h->place[i] = h->place[0];
        sift(h, i, 0, value, place);
    }
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const int64_t end = bpi_rows_end(&w->x, block), k = w->y.size;
    for (int64_t r = block * w->x.per_block; r < end; r++) {
        heap h = {bpi_row(&w->y, r), w->index + r * k, w->descending};
        sort_row(&h, bpi_row(&w->x, r), w->x.size, k);
        for (int64_t i = 0; i < k; i++)
            w->through[r * k + i] = (int32_t)(r * w->x.size + h.place[i]);
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_sort_params *p = params;
    const int32_t outer = in->shape.ndim - 1;
    job w = {bpi_rows_of(in, outer), bpi_rows_of(out, outer), out[1].data, out[2].data,
             p->descending};
    if (w.y.size > 0)
        bp_parallel_for(ex, bpi_rows_cut(&w.x, BPI_GRAIN_EXP), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(sort) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS}};
