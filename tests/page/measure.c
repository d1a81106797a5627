/* What the library does with every row of the table of cases, for docs/ops.md: one line a row,
 * type and device, that ops_page.py makes the page of.
 *
 *     call    builder, the expression it stands for ("" for a function of op_builders.c)
 *     row     builder, op, device, type, its operands, its results, inputs that have a gradient,
 *             whether that could be differentiated again; fields are divided by tabs
 *
 * A type is tried with every row: reals take the row's values, integers those values away from
 * zero (u8 without their signs), whose results must be what f64 says, cut to an integer where they
 * are integers. A row that is refused for
 * its dtype is no line; one that fails in another way ends the program with 1. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "case_run.h"

static int failures;

static void fail(const op_case *c, const char *device, bp_dtype type, const char *why)
{
    fprintf(stderr, "%s on %s, %s: %s\n", c->name, device, bp_dtype_name(type), why);
    failures++;
}

/* --- one row --------------------------------------------------------------------------------- */

static bool real(bp_dtype type)
{
    return type == BP_F32 || type == BP_F64;
}

typedef struct job {
    const op_case *c;
    bp_dtype type;
    bp_tensor *t[BP_MAX_IO];
    bool gradient; /* ask for it, and if it comes, for the second */
    bp_dtype out_type[BP_MAX_IO];
    int n_out, n_grad;
    bool second;
    values y; /* of output 0 */
} job;

/* The gradient of sum(gradient * weights) by x and by dy, which it always depends on. */
static bp_status second(bp_context *ctx, bp_tensor **x, bp_tensor **dx, int n)
{
    bp_tensor *s = NULL, *h[BP_MAX_IO + 1];
    for (int i = 0; i < n; i++) {
        bp_tensor *part = bp_sum(bp_mul(dx[i], dx[i]));
        s = i ? bp_add(s, part) : part;
    }
    bp_tensor *one = s ? case_weights(s, 99) : NULL;
    bp_status st = one ? bp_grad(ctx, s, one, x, n + 1, 0, h) : BP_ERR_STATE;
    bp_free(one);
    return st;
}

static bp_status step(bp_context *ctx, void *user)
{
    job *j = user;
    const op_case *c = j->c;
    bp_tensor *seen[BP_MAX_IO] = {NULL}, *out[BP_MAX_IO], *x[BP_MAX_IO + 1], *dx[BP_MAX_IO];
    int n = 0;
    for (int k = 0; k < c->n_in; k++) {
        bool asks = j->gradient && case_differentiable(c, k);
        bp_tensor *leaf = asks ? bp_require_grad(j->t[k]) : j->t[k];
        seen[k] = op_seen(c, k, leaf);
        if (asks)
            x[n++] = leaf;
    }
    j->n_out = op_builder(c->builder)(c, j->type, seen, out);
    if (j->n_out == 0)
        return BP_ERR_STATE;
    for (int i = 0; i < j->n_out; i++)
        j->out_type[i] = bp_dtype_of(out[i]);
    if (!tensor_values(out[0], &j->y))
        return BP_ERR_STATE;
    if (n == 0)
        return BP_OK;
    bp_tensor *dy = case_weights(out[0], 0);
    x[n] = bp_require_grad(dy);
    bp_status st = x[n] ? bp_grad(ctx, out[0], x[n], x, n, BP_CREATE_GRAPH, dx) : BP_ERR_STATE;
    if (st == BP_OK) {
        j->n_grad = n;
        j->second = second(ctx, x, dx, n) == BP_OK;
    }
    bp_free(dy);
    return st;
}

/* The row in `type`, with the values that a tensor of type `like` can have. */
static bp_status run(bp_context *ctx, job *j, bp_dtype type, bp_dtype like)
{
    values in[BP_MAX_IO] = {{0}};
    case_inputs(j->c, false, in);
    for (int k = 0; k < j->c->n_in && !real(like); k++)
        for (int64_t i = 0; i < in[k].n && !j->c->in[k].dtype; i++)
            in[k].v[i] = like == BP_U8 ? fmin(ceil(fabs(in[k].v[i])), UINT8_MAX)
                                       : copysign(fmin(ceil(fabs(in[k].v[i])), INT32_MAX),
                                                  in[k].v[i]);
    j->type = type;
    bool made = bp_seed(ctx, 7) == BP_OK && case_tensors(ctx, j->c, type, in, j->t);
    bp_status st = made ? bp_run(ctx, j->gradient ? 0 : BP_NO_GRAD, step, j) : BP_ERR_NOMEM;
    for (int k = 0; k < j->c->n_in; k++) {
        bp_free(j->t[k]);
        j->t[k] = NULL;
    }
    values_free(in, BP_MAX_IO);
    return st;
}

/* --- the lines ------------------------------------------------------------------------------- */

static void print_row(const job *j, const char *device)
{
    const op_case *c = j->c;
    printf("row\t%s\t%s\t%s\t%s\t", c->builder, c->op, device, bp_dtype_name(j->type));
    for (int k = 0; k < c->n_in; k++)
        printf("%s%s", k ? " " : "", c->in[k].dtype ? bp_dtype_name(c->in[k].dtype) : "T");
    printf("\t");
    for (int i = 0; i < j->n_out; i++)
        printf("%s%s", i ? " " : "", bp_dtype_name(j->out_type[i]));
    printf("\t");
    for (int k = 0; k < c->n_in && j->n_grad; k++)
        if (case_differentiable(c, k))
            printf("%d ", k);
    printf("\t%s\n", j->second ? "second" : "");
}

/* What f32 makes of the same integers. */
static bool near(double x, double want)
{
    return fabs(x - want) <= 1e-5 * (1 + fabs(want));
}

static void measure(bp_context *ctx, const char *device, const op_case *c, bp_dtype type)
{
    job j = {.c = c, .gradient = real(type)}, want = {.c = c};
    bool any = real(type), same = true;
    for (int k = 0; k < c->n_in; k++)
        any |= c->in[k].dtype == 0;
    if (!any)
        return;
    bp_status st = run(ctx, &j, type, type);
    if (st == BP_OK) {
        if (!real(type) && run(ctx, &want, BP_F64, type) == BP_OK)
            for (int64_t i = 0; i < j.y.n; i++)
                same &= real(j.out_type[0]) ? near(j.y.v[i], want.y.v[i])
                                            : j.y.v[i] == trunc(want.y.v[i]);
        if (!same)
            fail(c, device, type, "is not refused, and is not what f64 says");
        print_row(&j, device);
    } else if (real(type) || (st != BP_ERR_DTYPE && st != BP_ERR_UNSUPPORTED)) {
        fail(c, device, type, bp_error_text(ctx));
    }
    values_free(&j.y, 1);
    values_free(&want.y, 1);
}

/* A large row says nothing that a small one of its builder does not. */
static bool spared(const op_case *c)
{
    bool smaller = false;
    for (int i = 0; i < op_cases_n; i++)
        smaller |= !(op_cases[i].flags & CASE_BIG) && !strcmp(op_cases[i].builder, c->builder);
    return c->flags & CASE_BIG && smaller;
}

int main(int argc, char **argv)
{
    static const bp_dtype types[] = {BP_F32, BP_F64, BP_I32, BP_U8};
#define BUILDER(name, ...) printf("call\t%s\t%s\n", #name, #__VA_ARGS__);
#define BUILT(name) printf("call\t%s\t\n", #name);
#include "builders.def"
    for (int d = 1; d < argc; d++) {
        bp_context *ctx;
        if (bp_open(argv[d], &ctx) != BP_OK) {
            fprintf(stderr, "%s: %s\n", argv[d], bp_error_text(ctx));
            return 2;
        }
        for (int i = 0; i < op_cases_n; i++)
            for (int k = 0; k < 4 && !spared(&op_cases[i]); k++)
                measure(ctx, argv[d], &op_cases[i], types[k]);
        bp_close(ctx);
    }
    return failures != 0;
}
