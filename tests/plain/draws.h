/* What the tests of draws call: each kind by number, twice in a scope. */
#ifndef BPI_TEST_DRAWS_H
#define BPI_TEST_DRAWS_H

#include <bpcuda/bpcuda.h>
#include <stdbool.h>

static bp_context *ctx;

enum { UNIFORM, NORMAL, BERNOULLI, BERNOULLI_OF, PERMUTATION, KINDS };

typedef struct job {
    int kind;
    bp_dtype dtype;
    int64_t n;
    bp_tensor *p;   /* of BERNOULLI_OF */
    void *to[2];    /* what the first and the second call in a scope give; NULL: no call */
    bp_tensor *out; /* or it is copied there */
} job;

static bp_tensor *draw(bp_context *c, const job *j)
{
    switch (j->kind) {
    case UNIFORM: return bp_uniform(c, j->dtype, BP_SHAPE(j->n), 0, 1);
    case NORMAL: return bp_normal(c, j->dtype, BP_SHAPE(j->n), 0, 1);
    case BERNOULLI: return bp_bernoulli(c, j->dtype, BP_SHAPE(j->n), 0.3);
    case BERNOULLI_OF: return bp_bernoulli_of(j->p);
    default: return bp_permutation(c, j->n);
    }
}

static size_t bytes_of(const job *j)
{
    return (size_t)j->n * (j->dtype == BP_F64 && j->kind != PERMUTATION ? 8 : 4);
}

static bp_status step(bp_context *c, void *user)
{
    const job *j = user;
    for (int k = 0; k < 2; k++) {
        bp_tensor *y = j->to[k] || j->out ? draw(c, j) : NULL;
        if (j->to[k] && bp_read(y, j->to[k], bytes_of(j)) != BP_OK)
            return BP_ERR_STATE;
        if (j->out && bp_copy_into(j->out, y) != BP_OK)
            return BP_ERR_STATE;
    }
    return BP_OK;
}

#endif
