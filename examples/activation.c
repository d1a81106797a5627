/* An activation of one's own: tanh-shrink, y = x - tanh(a x) / a. Its composition in public calls
 * is all that a device needs; the kernel is what the CPU runs in its place. Prints y, y' and y'',
 * and exits with 1 where they are not what the formulas say.
 *
 *     activation [device]        "auto" if there is none: the op runs on every device */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { N = 5 };

typedef struct shrink_params {
    double a;
} shrink_params;

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    out[0].dtype = in[0].dtype;
    out[0].shape = in[0].shape;
    if (in[0].dtype == BP_F64)
        return BP_OK;
    snprintf(why, 160, "x is %s, not f64", bp_dtype_name(in[0].dtype));
    return BP_ERR_DTYPE;
}

/* What the op is, on every device, and what its gradients of all orders follow from. */
static bp_status compose(bp_context *ctx, bp_tensor *const *in, const void *params, bp_tensor **out)
{
    const shrink_params *p = params;
    (void)ctx;
    out[0] = bp_sub(in[0], bp_scale(bp_tanh(bp_scale(in[0], p->a)), 1 / p->a));
    return out[0] ? BP_OK : BP_ERR_STATE; /* the op that failed has said why */
}

/* In blocks of 1024 elements, so that results do not depend on the threads. */
typedef struct job {
    const double *x;
    double *y, a;
    int64_t n;
} job;

static void block(void *arg, int64_t i)
{
    const job *j = arg;
    for (int64_t k = i * 1024; k < j->n && k < (i + 1) * 1024; k++)
        j->y[k] = j->x[k] - tanh(j->a * j->x[k]) / j->a;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const shrink_params *p = params;
    job j = {in[0].data, out[0].data, p->a, bp_shape_count(in[0].shape)};
    bp_parallel_for(ex, (j.n + 1023) / 1024, block, &j);
    return BP_OK;
}

typedef struct problem {
    bp_op *shrink;
    shrink_params p;
    bp_tensor *x, *v[3]; /* x; y, y' and y'' */
} problem;

static bp_status derive(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *x = bp_require_grad(p->x), *y = bp_op_apply(p->shrink, &x, &p->p, NULL), *d1, *d2;
    bp_status st = bp_grad_scalar(ctx, bp_sum(y), &x, 1, BP_CREATE_GRAPH, &d1);
    if (st == BP_OK)
        st = bp_grad_scalar(ctx, bp_sum(d1), &x, 1, 0, &d2);
    if (st == BP_OK)
        st = bp_copy_into(p->v[0], y);
    if (st == BP_OK)
        st = bp_copy_into(p->v[1], d1);
    return st == BP_OK ? bp_copy_into(p->v[2], d2) : st;
}

int main(int argc, char **argv)
{
    static const double x[N] = {-1.5, -0.5, 0, 1, 2};
    bp_op_def def = {.struct_bytes = sizeof def, .name = "shrink", .n_in = 1, .n_out = 1,
                     .params_bytes = sizeof(shrink_params), .infer = infer, .forward = forward,
                     .compose = compose};
    problem p = {.p = {.a = 0.7}};
    bp_context *ctx;
    bp_plan *plan = NULL;
    double v[3 * N], worst = 0;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_op_register(ctx, &def, &p.shrink));
    p.x = bp_tensor_create(ctx, BP_F64, BP_SHAPE(N));
    for (int k = 0; k < 3; k++)
        p.v[k] = bp_tensor_create(ctx, BP_F64, BP_SHAPE(N));
    CHECK(bp_plan_record(ctx, derive, &p, &plan)); /* of zeros; then replayed with other x */
    CHECK(bp_write(p.x, x, sizeof x));
    CHECK(bp_plan_replay(plan, 1));
    CHECK(bp_read_all(ctx, p.v, 3, v, 3 * N));
    printf("%s\n%6s %20s %20s %20s\n", bp_device_text(ctx), "x", "y", "y'", "y''");
    for (int i = 0; i < N; i++) {
        double a = p.p.a, t = tanh(a * x[i]);
        double want[3] = {x[i] - t / a, t * t, 2 * a * t * (1 - t) * (1 + t)};
        for (int k = 0; k < 3; k++)
            worst = fmax(worst, fabs(v[k * N + i] - want[k]));
        printf("%6.2f %20.16f %20.16f %20.16f\n", x[i], v[i], v[N + i], v[2 * N + i]);
    }
    printf("at most %.1e from the formulas\n", worst);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_plan_free(plan);
    bp_free(p.x);
    for (int k = 0; k < 3; k++)
        bp_free(p.v[k]);
    bp_close(ctx);
    return st != BP_OK || !(worst < 1e-15);
}
