/* The order of the rows in an epoch: epoch.h says what holds.
 *
 * After the shuffle, batches of one class are taken in a random order. Two of different classes
 * give each other a row, until what is left is of one class. Those left get a row of another class
 * from all that can be spared: the rows of other classes in batches that hold two of them or more.
 * When none can be spared, no batch has more than one row that is not of that class, so no order
 * has more batches of two classes. */
#include "train/epoch.h"

#include <stdbool.h>

#include "door/philox.h"

bpi_epoch bpi_epoch_cut(int64_t rows, int64_t batch, int64_t least)
{
    bpi_epoch e = {rows, batch, rows / batch, rows % batch};
    if (e.rest > 0 && (e.rest == 1 || e.rest < least) && e.full > 0) {
        e.full--;
        e.rest += batch;
    }
    return e;
}

int64_t bpi_epoch_steps(const bpi_epoch *e)
{
    return e->full + (e->rest > 0);
}

/* What an order is made of. */
typedef struct work {
    const bpi_epoch *e;
    const int32_t *label;
    int32_t *order, *mono; /* [rows]; mono: batches of one class, then rows to be spared */
    bpi_stream stream;
    uint64_t drawn; /* words of the stream */
} work;

static int64_t below(work *w, int64_t n)
{
    return bpi_random_below(&w->stream, w->drawn++, (uint32_t)n);
}

static void swap(int32_t *a, int64_t i, int64_t j)
{
    int32_t at_i = a[i];
    a[i] = a[j];
    a[j] = at_i;
}

static void shuffle(work *w, int32_t *a, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--)
        swap(a, i, bpi_random_below(&w->stream, w->drawn + (uint64_t)i, (uint32_t)(i + 1)));
    w->drawn += (uint64_t)n;
}

static int64_t batch_of(const bpi_epoch *e, int64_t place)
{
    int64_t batch = place / e->batch;
    return batch < e->full ? batch : e->full;
}

static int64_t batch_size(const bpi_epoch *e, int64_t batch)
{
    return batch < e->full ? e->batch : e->rest;
}

static int32_t label_at(const work *w, int64_t place)
{
    return w->label[w->order[place]];
}

/* Rows of the batch whose class is not `class`, counted up to 2. */
static int others(const work *w, int64_t batch, int32_t class)
{
    int n = 0;
    int64_t begin = batch * w->e->batch, end = begin + batch_size(w->e, batch);
    for (int64_t i = begin; i < end && n < 2; i++)
        n += label_at(w, i) != class;
    return n;
}

/* The class of a batch of one class, or of its first row. */
static int32_t class_of(const work *w, int64_t batch)
{
    return label_at(w, batch * w->e->batch);
}

static int64_t find_mono(work *w)
{
    int64_t n = 0;
    for (int64_t b = 0; b < bpi_epoch_steps(w->e); b++)
        if (batch_size(w->e, b) >= 2 && !others(w, b, class_of(w, b)))
            w->mono[n++] = (int32_t)b;
    return n;
}

static int64_t random_row(work *w, int64_t batch)
{
    return batch * w->e->batch + below(w, batch_size(w->e, batch));
}

/* Those that wait for a batch of another class are of one class: a new one joins them, or takes
 * the last of them. How many wait at the end. */
static int64_t pair(work *w, int64_t n)
{
    int64_t waiting = 0;
    shuffle(w, w->mono, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t b = w->mono[i];
        if (waiting == 0 || class_of(w, w->mono[waiting - 1]) == class_of(w, b)) {
            w->mono[waiting++] = (int32_t)b;
        } else {
            int64_t row = random_row(w, w->mono[--waiting]);
            swap(w->order, row, random_row(w, b));
        }
    }
    return waiting;
}

/* The places of the rows not of `class` in batches that hold two such rows or more; their number.
 * Each of the batches in mono[] has two rows of `class`, so there is room behind them. */
static int64_t find_spare(const work *w, int32_t class, int32_t *spare)
{
    int64_t n = 0;
    for (int64_t b = 0; b < bpi_epoch_steps(w->e); b++) {
        int64_t begin = b * w->e->batch, end = begin + batch_size(w->e, b), before = n;
        for (int64_t i = begin; i < end; i++)
            if (label_at(w, i) != class)
                spare[n++] = (int32_t)i;
        if (n - before < 2)
            n = before;
    }
    return n;
}

/* Gives the n batches in mono[], all of one class, a row of another. A batch is taken as often as
 * it has rows: where there are not enough for all, the rest, which is smaller, is not preferred. */
static void spend(work *w, int64_t n)
{
    const bpi_epoch *e = w->e;
    int32_t class = class_of(w, w->mono[0]), *spare = w->mono + n;
    int64_t left = find_spare(w, class, spare);
    for (int64_t i = 0; i < n; i++) /* the rest stays the last */
        if (w->mono[i] == e->full)
            swap(w->mono, i, n - 1);
    while (n > 0 && left > 0) {
        int64_t k = below(w, left), place = spare[k];
        spare[k] = spare[--left];
        if (others(w, batch_of(e, place), class) < 2)
            continue;
        int64_t row = below(w, (n - 1) * e->batch + batch_size(e, w->mono[n - 1]));
        int64_t i = row / e->batch < n ? row / e->batch : n - 1;
        swap(w->order, w->mono[i] * e->batch + row - i * e->batch, place);
        if (i < n - 1)
            w->mono[i] = w->mono[n - 2];
        if (i < n - 1)
            w->mono[n - 2] = w->mono[n - 1];
        n--;
    }
}

void bpi_epoch_order(const bpi_epoch *e, uint64_t seed, int64_t epoch, const int32_t *label,
                     int32_t *order, int32_t *scratch)
{
    work w = {e, label, order, scratch,
              {seed, (uint64_t)epoch, bpi_purpose_site(BPI_PURPOSE_SHUFFLE, 0)}, 0};
    for (int64_t i = 0; i < e->rows; i++)
        order[i] = (int32_t)i;
    shuffle(&w, order, e->rows);
    int64_t waiting = label ? pair(&w, find_mono(&w)) : 0;
    if (waiting > 0)
        spend(&w, waiting);
}
