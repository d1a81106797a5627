/* Batches that keep to a wish about classes: compose.c makes the order of an epoch, deal.c finds out
 * whether a wish can be met and how, before the first step.
 *
 * SHUFFLED   each row once; every batch has `least` classes or more, and of each that it has `each`
 *            rows or more.
 * STRATIFIED each row once; of a class with the share p of all rows a batch of B has B p of them,
 *            rounded down or up, up just as often as makes the mean B p.
 * BALANCED   drawn with replacement: as many classes as have room with `each` rows, the same number
 *            of rows of each but for what is left over, which is given to classes that are drawn.
 *
 * Nothing depends on where a batch stands: full batches change places with one another, and rows of
 * a class, so a row is equally likely at each place of them. */
#ifndef BPI_COMPOSE_H
#define BPI_COMPOSE_H

#include "bpcuda/bpcuda.h"
#include "door/philox.h"
#include "train/epoch.h"

typedef struct bpi_wish {
    bp_rows way;         /* SHUFFLED, STRATIFIED or BALANCED */
    int64_t least, each; /* classes of a batch; rows of each of them */
} bpi_wish;

typedef struct bpi_composer {
    bpi_wish wish;
    bpi_epoch cut;
    int64_t steps, rows;  /* batches of an epoch; rows of the set */
    int32_t classes, met; /* that the labels know; that have rows */
    const int32_t *label; /* [rows] */
    size_t bytes;         /* of the block that holds what follows */
    int64_t *count, *next; /* [classes]: rows of a class; where its next one stands in of_class */
    int32_t *of_class;    /* [rows]: the rows, class by class */
    int32_t *held, *now;  /* [steps, classes]: rows of a class in a batch: as dealt, as they are */
    int32_t *present;     /* [steps]: classes in a batch */
    int32_t *class_at;    /* [cut.rows]: of each place */
    int32_t *pick;        /* [steps + classes] */
} bpi_composer;

/* Makes one, or tells with numbers why the wish cannot be met. label[rows], all below `classes`,
 * must outlive it. *c is as it was on failure. */
bp_status bpi_composer_create(bp_context *ctx, const bpi_wish *wish, const bpi_epoch *cut,
                              const int32_t *label, int64_t rows, int32_t classes,
                              bpi_composer **c);
void bpi_composer_free(bp_context *ctx, bpi_composer *c); /* NULL is fine */

/* The rows of an epoch, batch after batch: follows from (seed, epoch) alone. */
void bpi_composer_order(bpi_composer *c, uint64_t seed, int64_t epoch, int32_t *order);

/* deal.c: whether the wish can be met. Fills held where rows are shuffled. */
bp_status bpi_deal(bp_context *ctx, bpi_composer *c);

/* --- draws of one stream, in a row -------------------------------------------------------- */

typedef struct bpi_draws {
    bpi_stream stream;
    uint64_t n; /* words that were drawn */
    uint32_t word[4];
} bpi_draws;

static inline int64_t bpi_draw_below(bpi_draws *d, int64_t n)
{
    if (d->n % 4 == 0)
        bpi_philox_block(&d->stream, d->n / 4, d->word);
    return (int64_t)((uint64_t)d->word[d->n++ % 4] * (uint64_t)n >> 32);
}

static inline void bpi_draw_order(bpi_draws *d, int32_t *a, int64_t n)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = bpi_draw_below(d, i + 1);
        int32_t at_i = a[i];
        a[i] = a[k];
        a[k] = at_i;
    }
}

static inline int64_t bpi_batch_size(const bpi_epoch *e, int64_t batch)
{
    return batch < e->full ? e->batch : e->rest;
}

#endif
