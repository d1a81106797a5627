/* The order of the rows in an epoch: epoch.h says what holds. */
#include "train/epoch.h"

#include <stdbool.h>

#include "door/philox.h"

bpi_epoch bpi_epoch_cut(int64_t rows, int64_t batch)
{
    bpi_epoch e = {rows, batch, rows / batch, rows % batch};
    if (e.rest == 1 && e.full > 0) {
        e.full--;
        e.rest += batch;
    }
    return e;
}

int64_t bpi_epoch_steps(const bpi_epoch *e)
{
    return e->full + (e->rest > 0);
}

static int64_t batch_end(const bpi_epoch *e, int64_t batch)
{
    return batch < e->full ? (batch + 1) * e->batch : e->rows;
}

static void swap(int32_t *order, int64_t i, int64_t j)
{
    int32_t row = order[i];
    order[i] = order[j];
    order[j] = row;
}

/* Rows of the batch whose class is not `class`, counted up to 2. */
static int others(const bpi_epoch *e, int64_t batch, int32_t class, const int32_t *label,
                  const int32_t *order)
{
    int n = 0;
    for (int64_t i = batch * e->batch; i < batch_end(e, batch) && n < 2; i++)
        n += label[order[i]] != class;
    return n;
}

/* Gives each batch of one class a row of another: the next one after the batch, else one that an
 * earlier batch can spare. `ahead` and `behind` only move forward: what they passed is of the one
 * class, or cannot be spared. */
static void mix(const bpi_epoch *e, const int32_t *label, int32_t *order)
{
    int64_t ahead = 0, behind = 0;
    for (int64_t b = 0; b < bpi_epoch_steps(e); b++) {
        int64_t begin = b * e->batch, end = batch_end(e, b);
        int32_t class = label[order[begin]];
        if (end - begin < 2 || others(e, b, class, label, order))
            continue;
        ahead = ahead > end ? ahead : end;
        while (ahead < e->rows && label[order[ahead]] == class)
            ahead++;
        if (ahead < e->rows) {
            swap(order, end - 1, ahead);
            continue;
        }
        while (behind < begin && (label[order[behind]] == class ||
                                  others(e, behind / e->batch, class, label, order) < 2))
            behind++;
        if (behind < begin)
            swap(order, end - 1, behind);
    }
}

void bpi_epoch_order(const bpi_epoch *e, uint64_t seed, int64_t epoch, const int32_t *label,
                     int32_t *order)
{
    bpi_stream stream = {seed, (uint64_t)epoch, bpi_purpose_site(BPI_PURPOSE_SHUFFLE, 0)};
    for (int64_t i = 0; i < e->rows; i++)
        order[i] = (int32_t)i;
    for (int64_t i = e->rows - 1; i > 0; i--)
        swap(order, i, bpi_random_below(&stream, (uint64_t)i, (uint32_t)(i + 1)));
    mix(e, label, order);
}
