/* The kinds of optimisers: their kernels, their options, and the limits that keep what they store
 * finite. */
#ifndef BPI_KINDS_H
#define BPI_KINDS_H

#include <stdbool.h>

#include "bpcuda/bpcuda.h"
#include "door/backend.h"

/* What a plan is recorded with. */
typedef struct bpi_numbers {
    double beta1, beta2, eps; /* beta1: also the momentum, and alpha */
    double l1, l2, weight_decay, decay_from;
    double clip_value, clip_norm; /* 0: off */
    double groups;                /* calls of bp_optimizer_group so far */
} bpi_numbers;

/* How large a moment becomes. */
typedef enum bpi_growth {
    BPI_GROWS_AS_MEAN,   /* as the largest |g| */
    BPI_GROWS_AS_SUM,    /* that over 1 - beta1 */
    BPI_GROWS_AS_SQUARE, /* as the largest g^2 */
} bpi_growth;

typedef struct bpi_kind {
    const char *name; /* NULL: no such kind */
    bpi_op_id kernel;
    int32_t n_moments;
    bpi_growth growth;
    bool corrected;   /* the rate is divided by 1 - beta1^t */
    uint32_t options; /* a bit for each beside those that all have */
    bpi_numbers start;
} bpi_kind;

const bpi_kind *bpi_kind_of(bp_optimizer_kind kind); /* NULL: there is none */

double bpi_most_rate(const bpi_kind *k, const bpi_numbers *n, bp_dtype dtype);
double bpi_most_gradient(const bpi_kind *k, const bpi_numbers *n, bp_dtype dtype);
/* What step_begin may let pass: clipping makes any finite gradient one that can be taken. */
double bpi_most_unclipped(const bpi_kind *k, const bpi_numbers *n, bp_dtype dtype);

/* Where the numbers of this kind keep an option; NULL: it has none such. */
double *bpi_option_of(const bpi_kind *k, bpi_numbers *n, bp_optimizer_option option);
bool bpi_option_takes(bp_optimizer_option option, bp_dtype dtype, double value);
/* The first option that differs, and its name; 0: none does. */
bp_optimizer_option bpi_option_changed(const bpi_kind *k, const bpi_numbers *now,
                                       const bpi_numbers *then, const char **name);

#endif
