/* Runs one case: tensors from values, the op in a scope, its outputs and gradients as doubles. */
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "case_run.h"

static values values_new(int64_t n)
{
    return (values){n, calloc((size_t)n + 1, sizeof(double))};
}

void values_free(values *v, int n)
{
    for (int i = 0; i < n; i++) {
        free(v[i].v);
        v[i] = (values){0};
    }
}

void results_free(results *r)
{
    values_free(r->out, BP_MAX_IO);
    values_free(r->grad, BP_MAX_IO);
}

void case_inputs(const op_case *c, bool specials, values *in)
{
    for (int k = 0; k < c->n_in; k++) {
        in[k] = values_new(bp_shape_count(c->in[k].shape));
        for (int64_t i = 0; i < in[k].n; i++)
            in[k].v[i] = op_value(c, k, i, specials);
    }
}

bool case_differentiable(const op_case *c, int input)
{
    return input < c->n_in && c->in[input].dtype == 0 && !(c->constant >> input & 1);
}

/* --- tensors and doubles --------------------------------------------------------------------- */

static void store(void *to, bp_dtype dtype, int64_t i, double v)
{
    switch (dtype) {
    case BP_F32: ((float *)to)[i] = (float)v; break;
    case BP_F64: ((double *)to)[i] = v; break;
    case BP_I32: ((int32_t *)to)[i] = (int32_t)v; break;
    default: ((uint8_t *)to)[i] = (uint8_t)v;
    }
}

static double load(const void *from, bp_dtype dtype, int64_t i)
{
    switch (dtype) {
    case BP_F32: return (double)((const float *)from)[i];
    case BP_F64: return ((const double *)from)[i];
    case BP_I32: return ((const int32_t *)from)[i];
    default: return ((const uint8_t *)from)[i];
    }
}

bool tensor_fill(bp_tensor *t, const values *v)
{
    bp_dtype dtype = bp_dtype_of(t);
    size_t bytes = (size_t)v->n * bp_dtype_bytes(dtype);
    void *host = malloc(bytes + 1);
    for (int64_t i = 0; i < v->n && host; i++)
        store(host, dtype, i, v->v[i]);
    bool done = host && bp_write(t, host, bytes) == BP_OK;
    free(host);
    return done;
}

bool tensor_values(bp_tensor *t, values *v)
{
    bp_dtype dtype = bp_dtype_of(t);
    *v = values_new(bp_shape_count(bp_shape_of(t)));
    size_t bytes = (size_t)v->n * bp_dtype_bytes(dtype);
    void *host = malloc(bytes + 1);
    bool done = host && bp_read(t, host, bytes) == BP_OK;
    for (int64_t i = 0; i < v->n && done; i++)
        v->v[i] = load(host, dtype, i);
    free(host);
    return done;
}

bool case_tensors(bp_context *ctx, const op_case *c, bp_dtype real, const values *in,
                  bp_tensor **t)
{
    for (int i = 0; i < c->n_in; i++) {
        t[i] = bp_tensor_create(ctx, c->in[i].dtype ? c->in[i].dtype : real, c->in[i].shape);
        if (!t[i] || !tensor_fill(t[i], &in[i]))
            return false;
    }
    return true;
}

double case_weight(uint64_t seed, int64_t i)
{
    return (float)(0.5 + op_random(seed + 77, i));
}

bp_tensor *case_weights(bp_tensor *like, uint64_t seed)
{
    bp_tensor *w = bp_tensor_create(bp_context_of(like), bp_dtype_of(like), bp_shape_of(like));
    values v = values_new(bp_shape_count(bp_shape_of(like)));
    for (int64_t i = 0; i < v.n; i++)
        v.v[i] = case_weight(seed, i);
    if (w && !tensor_fill(w, &v)) {
        bp_free(w);
        w = NULL;
    }
    values_free(&v, 1);
    return w;
}

/* --- the run --------------------------------------------------------------------------------- */

typedef struct job {
    const op_case *c;
    bp_dtype real;
    uint32_t what;
    bp_tensor *t[BP_MAX_IO];
    results *r;
} job;

/* What lies behind the last element an output can reach, in memory that was never used before. */
static bool tail_clean(const bp_tensor *t)
{
    const bpi_storage *s = bpi_at(t)->storage;
    const bp_view *v = bpi_view_of(t);
    size_t span = 1; /* elements; outputs have no negative strides */
    for (int i = 0; i < v->shape.ndim; i++)
        span = span && v->shape.dim[i] ? span + (size_t)((v->shape.dim[i] - 1) * v->stride[i]) : 0;
    for (size_t i = span * bp_dtype_bytes(v->dtype); i < s->bytes; i++)
        if (((const unsigned char *)s->data)[i] != GUARD_POISON)
            return false;
    return true;
}

/* Of an input: nothing was written. */
static bool is_view(const job *j, const bp_tensor *t)
{
    bool found = false;
    for (int i = 0; i < j->c->n_in; i++)
        found |= bpi_at(j->t[i])->storage == bpi_at(t)->storage;
    return found;
}

static bp_status gradients(bp_context *ctx, job *j, bp_tensor *const *leaf, bp_tensor *y)
{
    bp_tensor *x[BP_MAX_IO], *dx[BP_MAX_IO];
    int32_t n = 0;
    for (int i = 0; i < j->c->n_in; i++)
        if (case_differentiable(j->c, i))
            x[n++] = leaf[i];
    if (n == 0)
        return BP_OK;
    bp_tensor *dy = case_weights(y, 0);
    bp_status st = dy ? bp_grad(ctx, y, dy, x, n, 0, dx) : BP_ERR_NOMEM;
    bp_free(dy);
    n = 0;
    for (int i = 0; i < j->c->n_in && st == BP_OK; i++)
        if (case_differentiable(j->c, i) && !tensor_values(dx[n++], &j->r->grad[i]))
            st = BP_ERR_STATE;
    return st;
}

static bp_status step(bp_context *ctx, void *user)
{
    job *j = user;
    results *r = j->r;
    bp_tensor *leaf[BP_MAX_IO] = {NULL}, *seen[BP_MAX_IO] = {NULL}, *out[BP_MAX_IO];
    for (int i = 0; i < j->c->n_in; i++) {
        bool asks = j->what & RUN_GRADIENTS && case_differentiable(j->c, i);
        leaf[i] = asks ? bp_require_grad(j->t[i]) : j->t[i];
        seen[i] = op_seen(j->c, i, leaf[i]);
    }
    r->n_out = op_builder(j->c->builder)(j->c, j->real, seen, out);
    if (r->n_out == 0)
        return BP_ERR_STATE;
    r->tails_clean = true;
    for (int i = 0; i < r->n_out && j->what & RUN_TAILS; i++)
        r->tails_clean &= is_view(j, out[i]) || tail_clean(out[i]);
    for (int i = 0; i < r->n_out; i++)
        if (!tensor_values(out[i], &r->out[i]))
            return BP_ERR_STATE;
    return j->what & RUN_GRADIENTS ? gradients(ctx, j, leaf, out[0]) : BP_OK;
}

bool case_run(bp_context *ctx, const op_case *c, bp_dtype real, const values *in, uint32_t what,
              results *r)
{
    job j = {.c = c, .real = real, .what = what, .r = r};
    memset(r, 0, sizeof *r);
    bool done = bp_seed(ctx, 7) == BP_OK && case_tensors(ctx, c, real, in, j.t) &&
                bp_run(ctx, what & RUN_GRADIENTS ? 0 : BP_NO_GRAD, step, &j) == BP_OK;
    for (int i = 0; i < c->n_in; i++)
        bp_free(j.t[i]);
    return done;
}
