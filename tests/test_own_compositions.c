/* Ops of a program's own: what registering tells, what a composition may hand out, and what not. */
#include "own_gaussian.h"

#define CLAIM(name) Test(own_compositions, name, .init = setup, .fini = teardown)

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

CLAIM(registering_refuses_what_does_not_fit_together)
{
    bp_op_def named = gaussian_def(), in = named, out = named;
    named.name = "";
    refused(ctx, &named, BP_ERR_ARG, "op_register: needs a name, and a composition or a kernel");
    in.saves_in = 2;
    refused(ctx, &in, BP_ERR_ARG, "op_register gaussian: saves_in is 0x2, and it has 1 input");
    out.n_out = 2;
    out.saves_out = ~0u;
    refused(ctx, &out, BP_ERR_ARG,
            "op_register gaussian: saves_out is 0xffffffff, and it has 2 outputs");
    out.saves_out = 3;
    registered(&out);
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

/* --- values of their own --------------------------------------------------------------------- */

/* x^2, twice, and x. */
static bp_status same_compose(bp_context *c, bp_tensor *const *in, const void *params,
                              bp_tensor **out)
{
    (void)c, (void)params;
    out[0] = out[1] = bp_square(in[0]);
    out[2] = in[0];
    return BP_OK;
}

static bp_status same_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    out[0] = out[1] = out[2] = *in;
    return BP_OK;
}

static bp_status same_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    (void)ex, (void)params;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++)
        for (int k = 0; k < 3; k++)
            ((double *)out[k].data)[i] = pow(element(in, i), k == 2 ? 1 : 2);
    return BP_OK;
}

/* s = 2 y0 + 3 y1 + 5 y2 + 11 x of y = op(x): the gradient by each y is its factor. */
static void counts_apart(bp_op *op, bp_tensor *x, uint32_t flags)
{
    static const double factor[] = {2, 3, 5, 11};
    bp_tensor *of[BP_MAX_IO], *dx[4], *s = NULL;
    cr_assert(bp_op_apply(op, &x, NULL, of), "%s", bp_error_text(ctx));
    of[3] = x;
    for (int i = 0; i < 4; i++) {
        bp_tensor *term = bp_scale(of[i], factor[i]);
        s = s ? bp_add(s, term) : term;
    }
    OK(bp_grad(ctx, s, bp_full_like(s, 1), of, 4, flags, dx));
    for (int i = 0; i < 3; i++)
        cr_assert_eq(at(dx[i], 1), factor[i], "by output %d: %g", i, at(dx[i], 1));
    cr_assert_eq(at(dx[3], 1), (2 + 3) * 2 * 4 + 5 + 11, "by x: %g", at(dx[3], 1));
}

CLAIM(each_output_of_a_composition_has_a_gradient_of_its_own)
{
    bp_op_def def = {.struct_bytes = sizeof def, .name = "same", .n_in = 1, .n_out = 3,
                     .compose = same_compose};
    bp_tensor *of = TENSOR(BP_SHAPE(2), 3, 4), *w;
    for (int kernel = 0; kernel < 2; kernel++) {
        bp_op *op = registered(&def);
        for (uint32_t flags = 0; flags <= BP_CREATE_GRAPH; flags += BP_CREATE_GRAPH) {
            bp_params *p = store_of(1, &of, &w);
            begin();
            counts_apart(op, bp_require_grad(of), flags);
            counts_apart(op, w, flags);
            end();
            bp_params_free(p);
        }
        def.infer = same_infer; /* the same where the composition is only walked */
        def.forward = same_forward;
    }
}
