/* Rows with labels, and an order that a composer makes of them. Users: test_compose.c,
 * test_compose_places.c. */
#ifndef BPI_TEST_COMPOSED_H
#define BPI_TEST_COMPOSED_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpcuda/bpcuda.h"
#include "check.h"
#include "train/compose.h"

enum { ROWS_MAX = 1300, CLASSES_MAX = 12 };

static bp_context *ctx;
static int32_t label[ROWS_MAX], order[4 * ROWS_MAX];

static inline void count_classes(const bpi_epoch *e, int64_t batch, int64_t n[CLASSES_MAX])
{
    memset(n, 0, CLASSES_MAX * sizeof *n);
    for (int64_t i = 0; i < bpi_batch_size(e, batch); i++)
        n[label[order[batch * e->batch + i]]]++;
}

static inline bpi_epoch cut_for(const bpi_wish *w, int64_t rows, int64_t batch)
{
    int64_t least = w->way == BP_ROWS_STRATIFIED
                        ? 1 : (w->least ? w->least : 1) * (w->each ? w->each : 1);
    return bpi_epoch_cut(rows, batch, least);
}

#endif
