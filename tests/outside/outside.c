/* What a user's program does: an op of its own, with a kernel, a gradient and, for machines with a
 * GPU, a composition, trained through the public API of an installed library. Fits
 * y = softplus(w x) to data of w = 0.75. */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

static bp_status softplus_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    out[0].dtype = in[0].dtype;
    out[0].shape = in[0].shape;
    if (in[0].dtype == BP_F64)
        return BP_OK;
    snprintf(why, 160, "x is %s, not f64", bp_dtype_name(in[0].dtype));
    return BP_ERR_DTYPE;
}

typedef struct job {
    const double *x;
    double *y;
    int64_t n;
} job;

static void softplus_block(void *arg, int64_t block)
{
    const job *j = arg;
    for (int64_t i = block * 100; i < j->n && i < (block + 1) * 100; i++)
        j->y[i] = log1p(exp(j->x[i]));
}

static bp_status softplus_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                  const void *params)
{
    job j = {in[0].data, out[0].data, bp_shape_count(in[0].shape)};
    (void)params;
    bp_parallel_for(ex, (j.n + 99) / 100, softplus_block, &j);
    return BP_OK;
}

/* dx = dy (1 - e^-y) */
static bp_status softplus_gradient(bp_grad_call *c)
{
    bp_tensor *rest = bp_exp(bp_scale(c->out[0], -1));
    c->dx[0] = bp_add(c->dout[0], bp_scale(bp_mul(c->dout[0], rest), -1));
    return c->dx[0] ? BP_OK : BP_ERR_NOMEM;
}

/* y = ln(1 + e^x), 1 = e^0 */
static bp_status softplus_compose(bp_context *ctx, bp_tensor *const *x, const void *params,
                                  bp_tensor **y)
{
    (void)ctx, (void)params;
    y[0] = bp_log(bp_add(bp_exp(bp_scale(x[0], 0)), bp_exp(x[0])));
    return y[0] ? BP_OK : BP_ERR_NOMEM;
}

typedef struct fit {
    bp_op *softplus;
    bp_tensor *x, *y, *w, *loss;
    bp_optimizer *adam;
} fit;

static bp_status step(bp_context *ctx, void *user)
{
    fit *f = user;
    bp_tensor *wx = bp_mul(f->x, f->w), *p = bp_op_apply(f->softplus, &wx, NULL, NULL);
    bp_tensor *e = bp_add(p, bp_scale(f->y, -1)), *loss = bp_scale(bp_sum(bp_mul(e, e)), 1e-3);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_copy_into(f->loss, loss);
    return st == BP_OK ? bp_optimizer_step(f->adam) : st;
}

int main(void)
{
    enum { N = 1000 };
    static double x[N], y[N];
    bp_context *ctx;
    bp_params *params = NULL;
    bp_plan *plan = NULL;
    fit f = {0};
    double w = 0, loss = 1;
    bp_op_def def = {.struct_bytes = sizeof def, .name = "softplus", .n_in = 1, .n_out = 1,
                     .saves_out = 1, .infer = softplus_infer, .forward = softplus_forward,
                     .gradient = softplus_gradient, .compose = softplus_compose};
    for (int i = 0; i < N; i++) {
        x[i] = 4.0 * i / N - 2;
        y[i] = log1p(exp(0.75 * x[i]));
    }
    bp_status st = bp_open("auto", &ctx);
    if (st == BP_OK)
        st = bp_op_register(ctx, &def, &f.softplus);
    if (st == BP_OK)
        st = bp_params_create(ctx, BP_F64, &params);
    if (st == BP_OK) {
        f.w = bp_param(params, "w", BP_SCALAR, BP_INIT_ZERO);
        f.x = bp_tensor_create(ctx, BP_F64, BP_SHAPE(N));
        f.y = bp_tensor_create(ctx, BP_F64, BP_SHAPE(N));
        f.loss = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
        st = bp_write(f.x, x, sizeof x);
    }
    if (st == BP_OK)
        st = bp_write(f.y, y, sizeof y);
    if (st == BP_OK)
        st = bp_adam_create(params, 0.05, &f.adam);
    for (int i = 0; i < 20 && st == BP_OK; i++)
        st = bp_run(ctx, 0, step, &f);
    if (st == BP_OK)
        st = bp_plan_record(ctx, step, &f, &plan);
    if (st == BP_OK)
        st = bp_plan_replay(plan, 300);
    if (st == BP_OK)
        st = bp_read(f.w, &w, sizeof w);
    if (st == BP_OK)
        st = bp_read(f.loss, &loss, sizeof loss);
    printf("%s, %s: w = %.6f, loss %g, %s\n", bp_version(), bp_device_text(ctx), w, loss,
           st == BP_OK ? "ok" : bp_error_text(ctx));
    bp_plan_free(plan);
    bp_optimizer_free(f.adam);
    bp_params_free(params);
    bp_free(f.x);
    bp_free(f.y);
    bp_free(f.loss);
    bp_close(ctx);
    return !(st == BP_OK && fabs(w - 0.75) < 1e-4 && loss < 1e-8);
}
