/* Ops of a program's own: compositions, kernels, rules and launches, on every device. What
 * registering refuses, and what a composition may hand out: test_own_compositions.c. */
#include "own_gaussian.h"

#define CLAIM(name) Test(own_ops, name, .init = setup, .fini = teardown)

/* Its rule applies another op, which has kernels alone. */
static bp_status gradient(bp_grad_call *c)
{
    const gaussian *g = c->params;
    bp_tensor *in[3] = {c->in[0], c->out[0], c->dout[0]};
    c->dx[0] = bp_op_apply(g->backward, in, g, NULL);
    return c->dx[0] ? BP_OK : BP_ERR_STATE;
}

/* y, y' and y'' at some points, against the formulas, in one scope. */
static void derivatives(bp_op *op, const gaussian *g, bp_dtype dtype, double tolerance)
{
    const double v[6] = {-2, -0.5, 0, 0.25, 1, 3};
    bp_tensor *of = tensor_in(ctx, dtype, BP_SHAPE(2, 3), v, 0), *dx, *ddx;
    bp_tensor *one = tensor_in(ctx, dtype, BP_SHAPE(2, 3), (double[]){1, 1, 1, 1, 1, 1}, 0);
    begin();
    bp_tensor *x = bp_require_grad(of), *y = bp_op_apply(op, &x, g, NULL);
    OK(bp_grad(ctx, y, one, &x, 1, BP_CREATE_GRAPH, &dx));
    OK(bp_grad(ctx, dx, one, &x, 1, 0, &ddx));
    for (int i = 0; i < 6; i++) {
        double a = g->a, z = exp(-a * v[i] * v[i]);
        double want[] = {z, -2 * a * v[i] * z, (4 * a * a * v[i] * v[i] - 2 * a) * z};
        double got[] = {at(y, i), at(dx, i), at(ddx, i)};
        for (int k = 0; k < 3; k++)
            cr_assert_float_eq(got[k], want[k], tolerance, "derivative %d at %g", k, v[i]);
    }
    y = bp_op_apply(op, &x, g, NULL);
    OK(bp_grad(ctx, y, one, &x, 1, 0, &dx)); /* the other way: by the rule, if there is one */
    for (int i = 0; i < 6; i++)
        cr_assert_float_eq(at(dx, i), -2 * g->a * v[i] * exp(-g->a * v[i] * v[i]), tolerance);
    end();
}

CLAIM(a_composition_needs_no_kernel_anywhere)
{
    bp_op_def def = gaussian_def();
    gaussian g = {.a = 0.7};
    bp_op *op = registered(&def);
    derivatives(op, &g, BP_F64, 1e-15);
    derivatives(op, &g, BP_F32, 1e-6);
    def.infer = like; /* with a rule of shapes, and a kernel that no device of these has */
    derivatives(registered(&def), &g, BP_F64, 1e-15);
    cr_assert_eq(calls, 0);
}

CLAIM(a_kernel_runs_where_the_device_has_one)
{
    bp_op_def def = gaussian_def();
    gaussian g = {.a = 0.7};
    bool cpu = !strncmp(test_device(), "cpu", 3), own = has_kernels();
    def.infer = like;
    def.forward = forward_cpu;
    derivatives(registered(&def), &g, BP_F64, 1e-15);
    cr_assert_eq(calls, cpu ? 2 : 0, "else its composition");
    def.forward_cuda = own ? forward_gpu : NULL;
    derivatives(registered(&def), &g, BP_F64, 1e-15);
    derivatives(registered(&def), &g, BP_F32, 1e-6);
    cr_assert_eq(calls, cpu ? 6 : own ? 4 : 0);
}

static gaussian with_rule(bp_op **op)
{
    bp_op_def def = gaussian_def();
    gaussian g = {.a = 0.7};
    if (has_kernels()) {
        def.infer = like;
        def.forward = forward_cpu;
        def.forward_cuda = forward_gpu;
        def.gradient = gradient;
        def.saves_in = def.saves_out = 1;
        bp_op_def back = def;
        back.name = "gaussian_backward";
        back.n_in = 3;
        back.forward = backward_cpu;
        back.forward_cuda = backward_gpu;
        back.gradient = NULL;
        back.compose = NULL;
        g.backward = registered(&back);
    }
    *op = registered(&def);
    return g;
}

CLAIM(a_rule_may_have_a_kernel_of_its_own)
{
    bp_op *op;
    gaussian g = with_rule(&op);
    derivatives(op, &g, BP_F64, 1e-15);
    derivatives(op, &g, BP_F32, 1e-6);
    cr_assert_eq(calls, g.backward ? 6 : 0, "differentiable gradients are the composition's");
}

typedef struct fit {
    bp_op *op;
    gaussian g;
    bp_tensor *x, *w;
    bp_optimizer *sgd;
} fit;

static bp_status step(bp_context *c, void *user)
{
    fit *f = user;
    bp_tensor *wx = bp_mul(f->x, f->w), *y = bp_op_apply(f->op, &wx, &f->g, NULL);
    bp_status st = bp_backward(c, bp_sum(y));
    return st == BP_OK ? bp_optimizer_step(f->sgd) : st;
}

static void train(fit *f, bool replayed, double *w)
{
    bp_params *p;
    bp_plan *plan;
    OK(bp_params_create(ctx, BP_F64, &p));
    f->w = bp_param(p, "w", BP_SCALAR, BP_INIT_ONE);
    OK(bp_sgd_create(p, 0.1, 0, &f->sgd));
    if (replayed) {
        OK(bp_plan_record(ctx, step, f, &plan));
        OK(bp_plan_replay(plan, 19)); /* by eights on a GPU */
        bp_plan_free(plan);
    } else {
        for (int i = 0; i < 20; i++)
            OK(bp_run(ctx, 0, step, f));
    }
    OK(bp_read_f64(f->w, w, 1));
    bp_optimizer_free(f->sgd);
    bp_params_free(p);
}

CLAIM(a_replay_has_the_bits_of_the_steps)
{
    fit f = {.x = random_tensor(BP_SHAPE(300), 3)};
    double eager, replayed;
    f.g = with_rule(&f.op);
    train(&f, false, &eager);
    train(&f, true, &replayed);
    cr_assert_neq(eager, 1);
    cr_assert_eq(eager, replayed, "%.17g %.17g", eager, replayed);
    bp_op_def def = gaussian_def(); /* and so has the composition, to rounding */
    f.op = registered(&def);
    train(&f, true, &replayed);
    cr_assert_float_eq(eager, replayed, 1e-12);
}

typedef struct small {
    bp_op *op;
    gaussian g;
    bp_tensor *x, *y;
} small;

static bp_status small_step(bp_context *c, void *user)
{
    small *s = user;
    bp_tensor *twice = bp_add(s->x, s->x), *y = bp_op_apply(s->op, &twice, &s->g, NULL);
    (void)c;
    return bp_copy_into(s->y, bp_add(y, y));
}

CLAIM(a_launch_comes_after_the_small_calls_that_it_reads)
{
    small s = {.x = TENSOR(BP_SHAPE(3), 0.1, 0.2, 0.3), .y = TENSOR(BP_SHAPE(3), 0, 0, 0)};
    bp_tensor *other = TENSOR(BP_SHAPE(3), -0.5, 1, 2);
    bp_plan *plan;
    s.g = with_rule(&s.op);
    OK(bp_plan_record(ctx, small_step, &s, &plan));
    OK(bp_copy_into(s.x, other));
    OK(bp_plan_replay(plan, 1));
    for (int i = 0; i < 3; i++) {
        double x = 2 * at(other, i);
        cr_assert_float_eq(at(s.y, i), 2 * exp(-0.7 * x * x), 1e-15);
    }
    bp_plan_free(plan);
}

CLAIM(a_launch_that_fails_is_told)
{
    bp_op *op;
    gaussian g = with_rule(&op);
    bp_tensor *x = random_tensor(BP_SHAPE(5), 0);
    if (!launch)
        cr_skip_test("no launches for this device");
    threads = 100000;
    begin();
    cr_assert_null(bp_op_apply(op, &x, &g, NULL));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_DEVICE);
    cr_assert(strstr(bp_error_text(ctx), "gaussian on sim:0"), "%s", bp_error_text(ctx));
    cr_assert(strstr(bp_error_text(ctx), "kernel of the program's own: "), "%s",
              bp_error_text(ctx));
    threads = 64;
    begin();
    cr_assert(bp_op_apply(op, &x, &g, NULL));
    end();
}

static bp_status sees_no_data(const bp_view *in, bp_view *out, const void *params, char *why)
{
    return in->data ? BP_ERR_STATE : like(in, out, params, why);
}

CLAIM(a_rule_of_shapes_sees_no_data)
{
    bp_op_def def = gaussian_def();
    gaussian g = {.a = 0.7};
    def.infer = sees_no_data;
    derivatives(registered(&def), &g, BP_F64, 1e-15);
}

CLAIM(an_op_takes_tensors_of_its_context_alone)
{
    bp_context *other;
    cr_assert_eq(bp_open("cpu", &other), BP_OK);
    bp_op_def def = gaussian_def();
    gaussian g = {.a = 0.7};
    bp_op *op = registered(&def);
    bp_tensor *x = tensor_in(other, BP_F64, BP_SHAPE(2), NULL, 0);
    begin();
    cr_assert_eq(bp_scope_begin(other, 0), BP_OK);
    cr_assert_null(bp_op_apply(op, &x, &g, NULL));
    cr_assert_eq(bp_scope_end(other), BP_ERR_DEVICE);
    end_with(BP_ERR_DEVICE, "gaussian: input 0 belongs to another context");
    bp_close(other);
}
