/* Eigenvalues of a loss's Hessian, from its products with vectors: all is done in the scope in
 * which the loss was made, each product in one of its own. */
#include <math.h>
#include <string.h>

#include "bpcuda/curvature.h"
#include "core/context.h"
#include "core/params.h"
#include "door/philox.h"
#include "minimize/minimize.h"

enum { DENSE_MAX = 4096 };

typedef struct curvature {
    bpi_problem p;
    int64_t n;
    bp_tensor *loss;
    double *v, *hv; /* of length 1; H v */
    double tolerance;
    int64_t most; /* products */
    bp_eigen found;
    double *h, *eigenvalues; /* [n,n]: the matrix itself */
} curvature;

static bp_status multiply(curvature *c)
{
    bpi_problem *p = &c->p;
    bp_tensor *v[BPI_PARTS_MAX], *hv[BPI_PARTS_MAX];
    BPI_TRY(bpi_problem_vectors(p, c->v, v));
    BPI_TRY(bp_hvp_of(p->ctx, c->loss, p->part, v, p->parts, BP_KEEP_GRAPH, hv));
    BPI_TRY(bp_read_all(p->ctx, hv, p->parts, c->hv, c->n));
    c->found.products++;
    for (int64_t i = 0; i < c->n; i++)
        if (!isfinite(c->hv[i]))
            return bpi_fail(p->ctx, BP_ERR_NONFINITE, "%s: the Hessian is not finite in parameter "
                            "number %lld", p->who, (long long)i);
    return BP_OK;
}

static bp_status product(curvature *c)
{
    bp_context *ctx = c->p.ctx;
    BPI_TRY(bp_scope_begin(ctx, 0));
    bp_status st = multiply(c), end = bp_scope_end(ctx);
    return st != BP_OK ? st : end;
}

/* --- the largest ----------------------------------------------------------------------------- */

/* The eigenvalue of largest magnitude of H less `shift`. */
static bp_status power(curvature *c, double shift)
{
    bp_eigen *e = &c->found;
    const bpi_stream stream = {0, 0, bpi_purpose_site(BPI_PURPOSE_SEARCH, 0)};
    int64_t n = c->n, end = e->products + c->most;
    for (int64_t i = 0; i < n; i++)
        c->hv[i] = bpi_random_word(&stream, (uint64_t)i) * 0x1p-31 - 1;
    for (e->converged = 0; !e->converged && e->products < end;) {
        double size = sqrt(bpi_dot(c->hv, c->hv, n)), off = 0;
        if (size == 0) /* of H v: v is one of 0, and stays */
            break;
        for (int64_t i = 0; i < n; i++)
            c->v[i] = c->hv[i] / size;
        BPI_TRY(product(c));
        e->value = bpi_dot(c->v, c->hv, n);
        for (int64_t i = 0; i < n; i++) {
            double rest = c->hv[i] - e->value * c->v[i];
            off += rest * rest;
            c->hv[i] -= shift * c->v[i];
        }
        e->residual = sqrt(off);
        e->converged = e->residual <= c->tolerance * fabs(e->value);
    }
    return BP_OK;
}

static bp_status largest(curvature *c)
{
    bp_eigen *e = &c->found;
    BPI_TRY(power(c, 0));
    if (e->value < 0)
        BPI_TRY(power(c, e->value - e->residual));
    e->rate = e->value > 0 ? 1 / e->value : 0;
    return BP_OK;
}

/* --- all ------------------------------------------------------------------------------------- */

static bp_status all(curvature *c)
{
    int64_t n = c->n;
    for (int64_t i = 0; i < n; i++) {
        memset(c->v, 0, (size_t)n * sizeof *c->v);
        c->v[i] = 1;
        BPI_TRY(product(c));
        memcpy(c->h + i * n, c->hv, (size_t)n * sizeof *c->h);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            c->h[i * n + j] = (c->h[i * n + j] + c->h[j * n + i]) / 2;
    bpi_eigenvalues(c->h, n, c->hv, c->v);
    memcpy(c->eigenvalues, c->hv, (size_t)n * sizeof *c->hv);
    return BP_OK;
}

/* --- the calls ------------------------------------------------------------------------------- */

static bp_status make(curvature *c)
{
    bpi_problem *p = &c->p;
    BPI_TRY(bpi_problem_number(p, &c->loss));
    BPI_TRY(bp_read_f64(c->loss, &p->value, 1));
    if (!isfinite(p->value))
        return bpi_fail(p->ctx, BP_ERR_NONFINITE, "%s: the loss is %g", p->who, p->value);
    return c->eigenvalues ? all(c) : largest(c);
}

static bp_status step(bp_context *ctx, void *user)
{
    curvature *c = user;
    (void)ctx;
    return c->p.st = make(c);
}

/* With `matrices` [n,n] of memory. */
static bp_status run(curvature *c, int matrices)
{
    double n = (double)c->n;
    BPI_ROOM(room);
    BPI_TRY(bpi_problem_few_parts(&c->p));
    BPI_TRY(bpi_room_take(&room, c->p.ctx, c->p.who, 8 * (2 * n + matrices * n * n)));
    c->v = bpi_room_part(&room, c->n);
    c->hv = bpi_room_part(&room, c->n);
    c->h = bpi_room_part(&room, matrices * c->n * c->n);
    return bpi_problem_run(&c->p, step, c);
}

static void end(curvature *c)
{
    bpi_problem_free(&c->p);
}

static bp_status find_largest(bp_params *params, bp_objective_fn loss, void *user,
                              double tolerance, int64_t products, bp_eigen *found)
{
    static const char who[] = "hessian_largest";
    bp_context *ctx = params->ctx;
    __attribute__((cleanup(end))) curvature c = {.most = products ? products : 1000};
    BPI_TRY(bpi_given(ctx, (const void *)(uintptr_t)loss, "hessian_largest: loss"));
    BPI_TRY(bpi_given(ctx, found, "hessian_largest: found"));
    BPI_TRY(bpi_result_fits(ctx, who, "found", found, sizeof *found));
    if (!(tolerance >= 0 && tolerance < 1) || products < 0)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: a tolerance of %g, %lld products; [0, 1) and 0 or "
                        "more are wanted", who, tolerance, (long long)products);
    c.tolerance = tolerance == 0 ? 1e-3 : tolerance;
    BPI_TRY(bpi_problem_open(&c.p, who, params, loss, user));
    c.n = c.p.n;
    BPI_TRY(run(&c, 0));
    c.found.struct_bytes = found->struct_bytes;
    bpi_give_struct(found, found->struct_bytes, &c.found, sizeof c.found);
    return BP_OK;
}

bp_status bp_hessian_largest(bp_params *params, bp_objective_fn loss, void *user, double tolerance,
                             int64_t products, bp_eigen *found)
{
    bpi_result_begin(found, sizeof *found);
    BPI_LEADS(params, "hessian_largest: params");
    BPI_INSIDE(params->ctx, find_largest(params, loss, user, tolerance, products, found));
}

static bp_status find_all(bp_params *params, bp_objective_fn loss, void *user, double *eigenvalues,
                          int64_t room, int64_t *n)
{
    static const char who[] = "hessian_eigenvalues";
    bp_context *ctx = params->ctx;
    __attribute__((cleanup(end))) curvature c = {.eigenvalues = eigenvalues};
    BPI_TRY(bpi_given(ctx, (const void *)(uintptr_t)loss, "hessian_eigenvalues: loss"));
    BPI_TRY(bpi_given(ctx, eigenvalues, "hessian_eigenvalues: eigenvalues"));
    BPI_TRY(bpi_given(ctx, n, "hessian_eigenvalues: n"));
    BPI_TRY(bpi_problem_open(&c.p, who, params, loss, user));
    c.n = c.p.n;
    if (room < c.n || c.n > DENSE_MAX)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: room for %lld, and %lld parameters; as many, and at "
                        "most %d, are wanted", who, (long long)room, (long long)c.n, DENSE_MAX);
    BPI_TRY(run(&c, 1));
    *n = c.n;
    return BP_OK;
}

bp_status bp_hessian_eigenvalues(bp_params *params, bp_objective_fn loss, void *user,
                                 double *eigenvalues, int64_t *n)
{
    int64_t room = n ? *n : 0;
    if (n)
        *n = 0;
    BPI_LEADS(params, "hessian_eigenvalues: params");
    BPI_INSIDE(params->ctx, find_all(params, loss, user, eigenvalues, room, n));
}
