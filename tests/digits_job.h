/* The digits that come with the library, a model and its trainer: what tests of training share. */
#ifndef BPI_TEST_DIGITS_JOB_H
#define BPI_TEST_DIGITS_JOB_H

#include "suite.h"

typedef struct job {
    bp_data *all, *train, *test;
    bp_model *model;
    bp_trainer *trainer;
    int64_t calls, steps, epochs, fail_at; /* of loss function and callbacks, where they count */
    double rate;
} job;

/* Without a trainer; this share of the digits is `test`. */
static inline job digits_job(double share, const char *layers)
{
    job j = {0};
    OK(bp_seed(ctx, 11));
    OK(bp_data_digits(ctx, &j.all));
    OK(bp_data_split(j.all, share, 1, &j.train, &j.test));
    OK(bp_model_create(ctx, 64, layers, 10, &j.model));
    OK(bp_model_normalize(j.model, j.train));
    return j;
}

static inline void finish(job *j)
{
    bp_trainer_free(j->trainer);
    bp_model_free(j->model);
    bp_data_free(j->train);
    bp_data_free(j->test);
    bp_data_free(j->all);
}

static inline void all_of_it(job *j)
{
    int32_t done;
    OK(bp_trainer_run(j->trainer, -1, -1, &done));
    cr_assert(done);
}

#endif
