/* Ops of a program's own: compositions and kernels, on every device. The op of the tests is a
 * Gaussian, y = e^(-a x^2), y' = -2 a x y, y'' = (4 a^2 x^2 - 2 a) y. On the simulated device its
 * launches are those of tests/sim/own.cu. */
#include <dlfcn.h>

#include "suite.h"

#define CLAIM(name) Test(own_ops, name, .init = setup, .fini = teardown)

typedef struct gaussian {
    double a;
    bp_op *backward; /* of its rule; NULL: the rule has none */
} gaussian;

static int calls; /* of kernels */

static bp_status like(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    *out = *in;
    return BP_OK;
}

static bp_status compose(bp_context *c, bp_tensor *const *in, const void *params, bp_tensor **out)
{
    const gaussian *g = params;
    out[0] = bp_exp(bp_scale(bp_mul(in[0], in[0]), -g->a));
    return out[0] && bp_context_of(out[0]) == c ? BP_OK : BP_ERR_STATE;
}

/* in: x; or x, y, dy. */
static double at_x(double x, double y, const double *dy, double a)
{
    return dy ? -2 * a * x * y * *dy : exp(-a * x * x);
}

static double element(const bp_view *v, int64_t i)
{
    return v->dtype == BP_F64 ? ((const double *)v->data)[i] : ((const float *)v->data)[i];
}

static bp_status on_cpu(const bp_view *in, const bp_view *out, const void *params, bool backward)
{
    calls++;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++) {
        double dy = backward ? element(&in[2], i) : 0;
        double r = at_x(element(in, i), backward ? element(&in[1], i) : 0, backward ? &dy : NULL,
                        ((const gaussian *)params)->a);
        if (out->dtype == BP_F64)
            ((double *)out->data)[i] = r;
        else
            ((float *)out->data)[i] = (float)r;
    }
    return BP_OK;
}

static bp_status forward_cpu(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    cr_assert_null(bp_cuda_stream(ex));
    return on_cpu(in, out, params, false);
}

static bp_status backward_cpu(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    (void)ex;
    return on_cpu(in, out, params, true);
}

/* --- the launches of a GPU ------------------------------------------------------------------- */

static void (*launch)(void *stream, int f64, int threads, int64_t n, const void *const *in,
                      void *out, double a);
static int threads = 64;

/* Whether this device has kernels of ours; where it is a GPU that we have no launches for, the
 * composition runs. */
static bool has_kernels(void)
{
    char path[1024];
    if (!strncmp(test_device(), "cpu", 3))
        return true;
    if (strncmp(test_device(), "sim", 3) || !getenv("BPCUDA_PLUGIN_DIR"))
        return false;
    snprintf(path, sizeof path, "%s/libbpcuda-sim.so", getenv("BPCUDA_PLUGIN_DIR"));
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* the one that bp_open finds */
    cr_assert(library, "%s", dlerror());
    *(void **)&launch = dlsym(library, "bpi_sim_own_gaussian");
    cr_assert(launch);
    threads = 64;
    return true;
}

static void count_block(void *arg, int64_t block)
{
    *(int64_t *)arg += block;
}

static bp_status launch_on(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params,
                           bool backward)
{
    const void *data[3] = {in[0].data, backward ? in[1].data : NULL, backward ? in[2].data : NULL};
    int64_t blocks = 0;
    calls++;
    bp_parallel_for(ex, 4, count_block, &blocks);
    bp_fault_range(ex, 1); /* touches no memory of the device, and notes nothing */
    if (!bp_cuda_stream(ex) || blocks != 6)
        return BP_ERR_STATE;
    launch(bp_cuda_stream(ex), in->dtype == BP_F64, threads, bp_shape_count(in->shape), data,
           out->data, ((const gaussian *)params)->a);
    return BP_OK;
}

static bp_status forward_gpu(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    return launch_on(ex, in, out, params, false);
}

static bp_status backward_gpu(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    return launch_on(ex, in, out, params, true);
}

/* --- the op ---------------------------------------------------------------------------------- */

/* Its rule applies another op, which has kernels alone. */
static bp_status gradient(bp_grad_call *c)
{
    const gaussian *g = c->params;
    bp_tensor *in[3] = {c->in[0], c->out[0], c->dout[0]};
    c->dx[0] = bp_op_apply(g->backward, in, g, NULL);
    return c->dx[0] ? BP_OK : BP_ERR_STATE;
}

static bp_op_def gaussian_def(void)
{
    return (bp_op_def){.struct_bytes = sizeof(bp_op_def), .name = "gaussian", .n_in = 1,
                       .n_out = 1, .params_bytes = sizeof(gaussian), .compose = compose};
}

static bp_op *registered(const bp_op_def *def)
{
    bp_op *op;
    OK(bp_op_register(ctx, def, &op));
    return op;
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

/* --- registration ---------------------------------------------------------------------------- */

static void refused(bp_context *c, const bp_op_def *def, bp_status status, const char *text)
{
    bp_op *op;
    cr_assert_eq(bp_op_register(c, def, &op), status);
    cr_assert_null(op);
    cr_assert(strstr(bp_error_text(c), text), "%s", bp_error_text(c));
}

CLAIM(registering_tells_what_a_device_lacks)
{
    bool cpu = !strncmp(test_device(), "cpu", 3);
    bp_op_def def = gaussian_def();
    def.compose = NULL;
    refused(ctx, &def, BP_ERR_ARG, "op_register: needs a name, and a composition or a kernel");
    def.forward = cpu ? NULL : forward_cpu;
    def.forward_cuda = cpu ? forward_gpu : NULL;
    refused(ctx, &def, BP_ERR_ARG, "op_register gaussian: a kernel needs a shape rule");
    def.infer = like;
    refused(ctx, &def, BP_ERR_UNSUPPORTED,
            "op_register gaussian: it has no composition, and no kernel for ");
    cr_assert(strstr(bp_error_text(ctx), bp_device_text(ctx)));
    def.compose = compose;
    registered(&def);
}

CLAIM(auto_takes_what_runs_on_every_machine)
{
    bp_context *any;
    bp_op_def def = gaussian_def(), one = def;
    bp_op *op;
    OK(bp_open("auto", &any));
    bool cpu = !strncmp(bp_device_text(any), "cpu", 3);
    cr_assert_eq(bp_op_register(any, &def, &op), BP_OK, "a composition runs on all");
    one.compose = NULL;
    one.infer = like;
    one.forward = cpu ? forward_cpu : NULL;
    one.forward_cuda = cpu ? NULL : forward_gpu;
    refused(any, &one, BP_ERR_UNSUPPORTED,
            cpu ? "op_register gaussian: it has no composition, and no kernel for a GPU, which "
                  "\"auto\" is on other machines: open \"cpu\""
                : "no kernel for the CPU, which \"auto\" is on other machines: open \"cuda:0\"");
    one.forward = forward_cpu;
    one.forward_cuda = forward_gpu;
    cr_assert_eq(bp_op_register(any, &one, &op), BP_OK, "and so do two kernels");
    bp_close(any);
}

/* --- compositions that are wrong ------------------------------------------------------------- */

static bp_tensor *answer; /* of the composition */
static bp_status answers;

static bp_status odd_compose(bp_context *c, bp_tensor *const *in, const void *params,
                             bp_tensor **out)
{
    (void)c, (void)in, (void)params;
    out[0] = answer;
    return answers;
}

static void odd(bp_op *op, bp_tensor *given, bp_status st, bp_status status, const char *text)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2);
    gaussian g = {0};
    answer = given;
    answers = st;
    begin();
    cr_assert_null(bp_op_apply(op, &x, &g, NULL));
    end_with(status, text);
    bp_free(x);
}

static bp_status no_end(bp_context *c, bp_tensor *const *in, const void *params, bp_tensor **out)
{
    out[0] = in[0];
    (void)params;
    return bp_scope_begin(c, 0);
}

CLAIM(a_wrong_composition_is_told)
{
    bp_op_def def = gaussian_def();
    def.compose = odd_compose;
    bp_op *op = registered(&def);
    def.infer = like;
    bp_op *shaped = registered(&def);
    bp_tensor *stale = NUMBER(1), *wide = random_tensor(BP_SHAPE(3), 0);
    bp_tensor *narrow = tensor_in(ctx, BP_F32, BP_SHAPE(2), NULL, 0);
    bp_free(stale);
    odd(op, NULL, BP_OK, BP_ERR_ARG, "gaussian: its composition's out[0] is NULL");
    odd(op, wide, BP_ERR_RANGE, BP_ERR_RANGE,
        "gaussian: its composition failed: index out of range");
    odd(op, stale, BP_OK, BP_ERR_ARG, "gaussian: its composition's out[0] is a stale handle: its "
                                      "scope has ended, or it was freed");
    odd(shaped, wide, BP_OK, BP_ERR_SHAPE,
        "gaussian: its composition's out[0] is f64 [3], and f64 [2] is wanted");
    odd(shaped, narrow, BP_OK, BP_ERR_DTYPE,
        "gaussian: its composition's out[0] is f32 [2], and f64 [2] is wanted");
    def.compose = no_end;
    odd(registered(&def), NULL, BP_OK, BP_ERR_STATE,
        "gaussian: the function that it called left a scope open");
    bp_free(wide);
    bp_free(narrow);
}

static bp_status identity(bp_context *c, bp_tensor *const *in, const void *params, bp_tensor **out)
{
    (void)c, (void)params;
    out[0] = in[0];
    return BP_OK;
}

CLAIM(a_composition_may_hand_out_its_input)
{
    bp_op_def def = gaussian_def();
    def.compose = identity;
    gaussian g = {0};
    bp_op *op = registered(&def);
    bp_tensor *of = TENSOR(BP_SHAPE(2), 3, 4), *one = TENSOR(BP_SHAPE(2), 1, 1), *dx;
    begin();
    bp_tensor *x = bp_require_grad(of), *y = bp_op_apply(op, &x, &g, NULL);
    cr_assert_neq(x, y);
    OK(bp_grad(ctx, bp_mul(y, x), one, &x, 1, 0, &dx));
    cr_assert(at(dx, 0) == 6 && at(dx, 1) == 8);
    bp_free(y);
    cr_assert_eq(at(x, 1), 4, "freeing the output frees nothing else");
    end();
    def.infer = like; /* the same where it is only walked */
    def.forward = forward_cpu;
    def.forward_cuda = has_kernels() ? forward_gpu : NULL;
    op = registered(&def);
    begin();
    x = bp_require_grad(of), y = bp_op_apply(op, &x, &g, NULL);
    OK(bp_grad(ctx, y, one, &x, 1, 0, &dx));
    cr_assert(at(dx, 0) == 1 && at(dx, 1) == 1);
    end();
}
