/* Errors: what their texts say, how long they stay, and that a wrong call is told and not
 * followed. */
#include "suite.h"

#define CLAIM(name) Test(errors, name, .init = setup, .fini = teardown)

CLAIM(a_text_names_the_op_the_shapes_and_the_reason)
{
    bp_tensor *a = random_tensor(BP_SHAPE(64, 784), 0), *b = random_tensor(BP_SHAPE(800, 10), 1);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(64, 784), NULL, 2);
    begin();
    cr_assert_null(bp_matmul(a, b));
    end_with(BP_ERR_SHAPE, "matmul: a [64,784] and b [800,10]: inner sizes 784 and 800 differ");
    begin();
    cr_assert_null(bp_add(a, b));
    end_with(BP_ERR_SHAPE, "add: a [64,784] and b [800,10] do not broadcast");
    begin();
    cr_assert_null(bp_mul(a, f));
    end_with(BP_ERR_DTYPE, "mul: a is f64 and b is f32: equal dtypes are wanted, real or i32");
    begin();
    cr_assert_null(bp_linear(a, b, b));
    end_with(BP_ERR_SHAPE, "linear: x [64,784], w [800,10], b [800,10]: [N,in], [out,in], [out] "
                           "are wanted");
    begin();
    cr_assert_null(bp_reshape(a, BP_SHAPE(7, 3)));
    end_with(BP_ERR_SHAPE, "reshape: [64,784] to [7,3]: the counts differ");
    begin();
    cr_assert_null(bp_dropout(a, 1));
    end_with(BP_ERR_ARG, "dropout: the probability 1 is not in [0, 1)");
    double x;
    cr_assert_eq(bp_read(a, &x, sizeof x), BP_ERR_ARG);
    TEXT("read: 8 bytes for f64 [64,784], which holds 401408");
}

/* y was made by a wrong call: NULL, and the text begins with the op's name. */
static void bad(const char *op, bp_status status, bp_tensor *y)
{
    cr_assert_null(y, "%s took it", op);
    cr_assert_eq(bp_scope_end(ctx), status, "%s: %s", op, bp_error_text(ctx));
    size_t n = strlen(op);
    cr_assert(!strncmp(bp_error_text(ctx), op, n) && bp_error_text(ctx)[n] == ':', "%s: \"%s\"", op,
              bp_error_text(ctx));
}
#define BAD(op, status, call) bad(#op, status, (begin(), (call)))

CLAIM(every_op_refuses_wrong_shapes_and_dtypes_by_name)
{
    bp_tensor *m = random_tensor(BP_SHAPE(2, 3), 0), *v = random_tensor(BP_SHAPE(4), 1), *correct;
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(2, 3), NULL, 2), *s = NUMBER(1);
    bp_tensor *bytes = tensor_in(ctx, BP_U8, BP_SHAPE(2, 3), NULL, 0);
    bp_tensor *i = INTS(BP_SHAPE(3), 0, 1, 0);
    BAD(add, BP_ERR_SHAPE, bp_add(m, v));
    BAD(add, BP_ERR_DTYPE, bp_add(bytes, bytes));
    BAD(mul, BP_ERR_SHAPE, bp_mul(m, v));
    BAD(mul, BP_ERR_DTYPE, bp_mul(bytes, bytes));
    BAD(div, BP_ERR_SHAPE, bp_div(m, v));
    BAD(scale, BP_ERR_DTYPE, bp_scale(i, 2));
    BAD(exp, BP_ERR_DTYPE, bp_exp(i));
    BAD(log, BP_ERR_DTYPE, bp_log(bytes));
    BAD(relu, BP_ERR_DTYPE, bp_relu(i));
    BAD(elu, BP_ERR_DTYPE, bp_elu(i, 1));
    BAD(elu, BP_ERR_ARG, bp_elu(m, NAN));
    BAD(clamp, BP_ERR_ARG, bp_clamp(m, 2, 1));
    BAD(clamp, BP_ERR_ARG, bp_clamp(m, NAN, 1));
    cr_assert(strstr(bp_error_text(ctx), "lo is nan and hi is 1: wanted is lo <= hi"));
    BAD(threshold, BP_ERR_ARG, bp_threshold(m, NAN));
    BAD(sub, BP_ERR_SHAPE, bp_sub(m, v));
    BAD(div, BP_ERR_DTYPE, bp_div(i, i));
    BAD(pow, BP_ERR_DTYPE, bp_pow(m, f));
    BAD(maximum, BP_ERR_DTYPE, bp_maximum(m, f));
    BAD(equal, BP_ERR_DTYPE, bp_equal(bytes, bytes));
    BAD(tanh, BP_ERR_DTYPE, bp_tanh(i));
    BAD(where, BP_ERR_DTYPE, bp_where(i, m, m));
    BAD(where, BP_ERR_DTYPE, bp_where(bytes, bytes, bytes));
    BAD(where, BP_ERR_SHAPE, bp_where(m, m, v));
    BAD(where, BP_ERR_SHAPE, bp_where(v, m, m));
    BAD(gate, BP_ERR_SHAPE, bp_gate(m, v));
    BAD(gate, BP_ERR_DTYPE, bp_gate(m, f));
    BAD(dropout, BP_ERR_DTYPE, bp_dropout(i, 0.5));
    BAD(dropout, BP_ERR_ARG, bp_dropout(m, NAN));
    BAD(cast, BP_ERR_DTYPE, bp_cast(m, (bp_dtype)9));
    BAD(transpose, BP_ERR_SHAPE, bp_transpose(m, 0, 2));
    BAD(reshape, BP_ERR_SHAPE, bp_reshape(m, BP_SHAPE(-2, -3)));
    BAD(expand, BP_ERR_SHAPE, bp_expand(m, BP_SHAPE(3)));
    BAD(norm_l2, BP_ERR_DTYPE, bp_norm_l2(i));
    BAD(sum, BP_ERR_SHAPE, bp_sum_axes(m, BP_AXIS(2), 0));
    BAD(softmax, BP_ERR_SHAPE, bp_softmax(s, 0));
    BAD(softmax, BP_ERR_DTYPE, bp_softmax(i, 0));
    BAD(log_softmax, BP_ERR_SHAPE, bp_log_softmax(s, 0));
    BAD(log_softmax, BP_ERR_DTYPE, bp_log_softmax(i, 0));
    BAD(matmul, BP_ERR_SHAPE, bp_matmul(m, v));
    BAD(matmul, BP_ERR_DTYPE, bp_matmul(m, f));
    BAD(linear, BP_ERR_SHAPE, bp_linear(m, m, v));
    BAD(linear_relu, BP_ERR_DTYPE, bp_linear_relu(m, f, v, 0));
    BAD(linear_relu, BP_ERR_ARG, bp_linear_relu(m, m, v, -0.1));
    BAD(gather, BP_ERR_DTYPE, bp_gather(m, m));
    BAD(gather, BP_ERR_SHAPE, bp_gather(s, i));
    BAD(gather_normalized, BP_ERR_SHAPE, bp_gather_normalized(m, i, v, v, BP_F64));
    BAD(gather_normalized, BP_ERR_DTYPE, bp_gather_normalized(f, i, v, v, BP_F64));
    BAD(gather_normalized, BP_ERR_DTYPE, bp_gather_normalized(f, i, f, v, BP_F32));
    BAD(scatter_rows, BP_ERR_SHAPE, bp_scatter_rows(m, i, 2));
    BAD(scatter_rows, BP_ERR_DTYPE, bp_scatter_rows(i, i, 2));
    BAD(nll_loss, BP_ERR_SHAPE, bp_nll_loss(m, i));
    BAD(nll_loss, BP_ERR_DTYPE, bp_nll_loss(m, m));
    BAD(nll_spread, BP_ERR_SHAPE, bp_nll_spread(m, i, 3));
    BAD(cross_entropy, BP_ERR_SHAPE, bp_cross_entropy(m, i));
    BAD(cross_entropy, BP_ERR_DTYPE, bp_cross_entropy_correct(m, m, &correct));
    cr_assert_null(correct);
    BAD(require_grad, BP_ERR_DTYPE, bp_require_grad(i));
}

/* What the message about a file of this name shows of it. */
static const char *quoted(const char *path)
{
    static char text[512];
    bp_model *m;
    cr_assert_eq(bp_model_load(ctx, path, &m), BP_ERR_IO);
    strcpy(text, bp_error_text(ctx));
    char *end = strstr(text, ": cannot be");
    cr_assert(end, "%s", text);
    *end = '\0';
    return text;
}

CLAIM(what_a_message_quotes_can_be_printed_and_leaves_room_for_the_reason)
{
    char path[7000], wanted[8];
    for (int byte = 1; byte < 256; byte++) {
        snprintf(path, sizeof path, "/nowhere/%c.", byte);
        bool prints = byte >= ' ' && byte <= '~';
        snprintf(wanted, sizeof wanted, prints ? "%c" : "\\x%02x", byte);
        cr_assert(strstr(quoted(path), wanted), "byte %d: %s", byte, quoted(path));
        cr_assert_eq(strlen(quoted(path)), prints ? 11 : 14);
    }
    static const char *const name[][2] = {
        {"/nowhere/J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x8e\x88", /* UTF-8 stays */
         "/nowhere/J\xc3\xbcrgen \xe2\x82\xac \xf0\x9f\x8e\x88"},
        {"/nowhere/\x1b[2J\r\n", "/nowhere/\\x1b[2J\\x0d\\x0a"},
        {"/nowhere/\xc2\x9b", "/nowhere/\\xc2\\x9b"},             /* a control character */
        {"/nowhere/\xc0\xae", "/nowhere/\\xc0\\xae"},             /* longer than needed */
        {"/nowhere/\xe0\x9f\xbf", "/nowhere/\\xe0\\x9f\\xbf"},   /* and this */
        {"/nowhere/\xed\xa0\x80", "/nowhere/\\xed\\xa0\\x80"},   /* half a pair */
        {"/nowhere/\xf4\x90\x80\x80", "/nowhere/\\xf4\\x90\\x80\\x80"}, /* beyond the last */
        {"/nowhere/\xe2\x82", "/nowhere/\\xe2\\x82"}};            /* cut */
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        cr_assert_str_eq(quoted(name[i][0]), name[i][1]);
    for (size_t length = 450; length < sizeof path; length += length < 600 ? 1 : 1600) {
        memset(path, length % 2 ? '\x01' : 'p', length);
        path[length] = '\0';
        const char *text = quoted(path);
        cr_assert(strlen(bp_error_text(ctx)) < 512);
        cr_assert(length < 512 || strstr(text, " ... "), "%s", text);
        cr_assert(!strncmp(text, length % 2 ? "\\x01\\x01" : "pppp", 4), "%s", text);
    }
    bp_params *p;
    OK(bp_params_create(ctx, BP_F32, &p));
    memset(path, '\b', 2000);
    path[2000] = '\0';
    cr_assert(bp_param(p, path, BP_SCALAR, BP_INIT_ZERO));
    cr_assert_null(bp_param(p, path, BP_SCALAR, BP_INIT_ZERO));
    const char *text = bp_error_text(ctx);
    cr_assert(!strncmp(text, "param \\x08", 10) && strstr(text, "08: declared twice"), "%s", text);
    bp_params_free(p);
}

CLAIM(null_in_null_out_and_the_first_error_stays)
{
    bp_tensor *x = NUMBER(1), *correct = x;
    begin();
    cr_assert_null(bp_add(NULL, x));
    cr_assert_null(bp_div(x, NULL));
    cr_assert_null(bp_exp(NULL));
    cr_assert_null(bp_dropout(NULL, 0.5));
    cr_assert_null(bp_cast(NULL, BP_F32));
    cr_assert_null(bp_transpose(NULL, 0, 1));
    cr_assert_null(bp_reshape(NULL, BP_SCALAR));
    cr_assert_null(bp_sum(NULL));
    cr_assert_null(bp_softmax(NULL, 0));
    cr_assert_null(bp_log_softmax(NULL, 0));
    cr_assert_null(bp_linear_relu(NULL, x, x, 0));
    cr_assert_null(bp_gather_normalized(x, x, NULL, x, BP_F64));
    cr_assert_null(bp_cross_entropy_correct(NULL, x, &correct));
    cr_assert_null(correct);
    cr_assert_null(bp_require_grad(NULL));
    cr_assert_null(bp_detach(NULL));
    cr_assert_null(bp_keep(NULL));
    bp_free(NULL);
    end_with(BP_ERR_ARG, "add: input 0 is NULL");
    begin();
    cr_assert_null(bp_relu(bp_exp(NULL)));
    TEXT("relu: input 0 is NULL");
    end();
    begin();
    cr_assert_null(bp_relu(bp_matmul(x, x)));
    cr_assert_eq(bp_optimizer_step(NULL), BP_ERR_ARG);
    cr_assert(!strncmp(bp_error_text(ctx), "matmul: ", 8), "%s", bp_error_text(ctx));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
    cr_assert(!strncmp(bp_error_text(ctx), "matmul: ", 8), "%s", bp_error_text(ctx));
    cr_assert_eq(bp_shape_of(NULL).ndim, 0);
    cr_assert_eq(bp_dtype_of(NULL), 0);
}

static bp_status two_errors(bp_context *c, void *user)
{
    bp_tensor **t = user;
    double nine = 9;
    cr_assert_null(bp_matmul(t[0], t[0]));
    cr_assert_null(bp_add(t[0], t[1]), "an op after the error does nothing");
    cr_assert_null(bp_relu(t[0]));
    cr_assert_eq(bp_write(t[2], &nine, sizeof nine), BP_ERR_SHAPE, "a writer does nothing");
    cr_assert_eq(bp_copy_into(t[2], t[3]), BP_ERR_SHAPE);
    cr_assert_eq(bp_backward(c, NULL), BP_ERR_SHAPE, "and so does backward");
    return BP_ERR_STOPPED; /* the pending error comes first */
}

CLAIM(the_first_error_stays_pending_and_is_returned_and_cleared_by_bp_run)
{
    const char *text = "matmul: a [2,3] and b [2,3]: inner sizes 3 and 2 differ";
    bp_tensor *t[4] = {random_tensor(BP_SHAPE(2, 3), 0), random_tensor(BP_SHAPE(4), 1), NUMBER(1),
                       NUMBER(2)};
    cr_assert_eq(bp_run(ctx, 0, two_errors, t), BP_ERR_SHAPE);
    TEXT(text);
    cr_assert_eq(at(t[2], 0), 1);
    begin();
    cr_assert(bp_relu(t[0]), "the next scope starts without it");
    end();
    TEXT(text); /* which stays readable */
}

CLAIM(an_error_in_an_inner_scope_stays_until_the_outermost_ends)
{
    bp_tensor *m = random_tensor(BP_SHAPE(2, 3), 0);
    begin();
    begin();
    cr_assert_null(bp_matmul(m, m));
    OK(bp_scope_end(ctx));
    cr_assert_null(bp_relu(m));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
}

CLAIM(an_op_outside_a_scope_is_told_of_bp_run)
{
    bp_tensor *x = NUMBER(1);
    cr_assert_null(bp_relu(x));
    TEXT("relu: an op outside any scope: call it in bp_run, or after bp_scope_begin");
    cr_assert_null(bp_require_grad(x));
    TEXT("require_grad: outside any scope: call it in bp_run");
    cr_assert_eq(bp_backward(ctx, x), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    TEXT("scope_end: there is no open scope");
}

CLAIM(a_handle_from_an_ended_scope_is_reported)
{
    bp_tensor *x = NUMBER(1);
    double v;
    begin();
    bp_tensor *y = bp_relu(x);
    end();
    cr_assert_eq(bp_read(y, &v, sizeof v), BP_ERR_ARG);
    TEXT("read: the tensor is a stale handle: its scope has ended, or it was freed");
    cr_assert_eq(bp_dtype_of(y), 0);
    cr_assert_null(bp_context_of(y));
    begin();
    cr_assert_null(bp_add(x, y));
    end_with(BP_ERR_ARG, "add: input 1 is a stale handle: its scope has ended, or it was freed");
    for (int i = 0; i < 1000; i++) {
        begin();
        cr_assert(bp_exp(bp_relu(x)));
        end();
    }
    cr_assert_eq(bp_read(y, &v, sizeof v), BP_ERR_ARG, "also after many more scopes");
    cr_assert_eq(bp_write(y, &v, sizeof v), BP_ERR_ARG);
    bp_free(y);
}

CLAIM(a_freed_handle_is_reported)
{
    bp_tensor *x = NUMBER(1), *kept = NUMBER(2);
    double v = 3;
    bp_free(x);
    bp_free(x); /* twice does nothing */
    cr_assert_eq(bp_write(x, &v, sizeof v), BP_ERR_ARG);
    begin();
    cr_assert_null(bp_relu(x));
    end_with(BP_ERR_ARG, "relu: input 0 is a stale handle: its scope has ended, or it was freed");
    cr_assert_eq(bp_copy_into(kept, x), BP_ERR_ARG);
    TEXT("copy_into: the source is a stale handle: its scope has ended, or it was freed");
    cr_assert_eq(at(kept, 0), 2);
}

CLAIM(a_slot_is_not_used_again_within_its_scope)
{
    bp_tensor *x = NUMBER(1);
    begin();
    bp_tensor *freed = bp_relu(x);
    bp_free(freed);
    for (int i = 0; i < 1000; i++) {
        cr_assert_neq(bp_exp(x), freed, "after %d ops", i);
        cr_assert_eq(bp_dtype_of(freed), 0);
    }
    cr_assert_null(bp_relu(freed));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_ARG);
}

CLAIM(a_tensor_of_another_context_is_refused)
{
    bp_context *other;
    cr_assert_eq(bp_open(test_device(), &other), BP_OK);
    bp_tensor *x = NUMBER(1), *y = tensor_in(other, BP_F64, BP_SCALAR, (double[]){2}, 0);
    begin();
    cr_assert_null(bp_add(x, y));
    end_with(BP_ERR_DEVICE, "add: input 1 belongs to another context");
    cr_assert_eq(bp_copy_into(x, y), BP_ERR_DEVICE);
    bp_close(other);
}

CLAIM(a_device_that_cannot_be_opened_says_why_and_its_context_refuses_every_call)
{
    bp_context *c;
    bp_params *p = NULL;
    bp_plan *plan = NULL;
    bp_stats stats;
    cr_assert_eq(bp_open("abacus", &c), BP_ERR_DEVICE);
    cr_assert(strstr(bp_error_text(c), "open \"abacus\":"), "%s", bp_error_text(c));
    cr_assert_null(bp_tensor_create(c, BP_F32, BP_SCALAR));
    cr_assert_neq(bp_scope_begin(c, 0), BP_OK);
    cr_assert_neq(bp_run(c, 0, two_errors, NULL), BP_OK);
    cr_assert_neq(bp_seed(c, 1), BP_OK);
    cr_assert_neq(bp_set_threads(c, 1), BP_OK);
    cr_assert_neq(bp_sync(c), BP_OK);
    cr_assert_neq(bp_plan_record(c, two_errors, NULL, &plan), BP_OK);
    (void)!bp_params_create(c, BP_F32, &p);
    bp_get_stats(c, &stats);
    cr_assert_str_eq(bp_device_text(c), "no device");
    bp_params_free(p);
    bp_close(c);
    cr_assert_eq(bp_open(NULL, &c), BP_ERR_ARG);
    bp_close(c);
    cr_assert_eq(bp_open("cpu:z80", &c), BP_ERR_DEVICE);
    bp_close(c);
    bp_close(NULL);
}

CLAIM(tensors_and_reads_check_their_arguments)
{
    cr_assert_null(bp_tensor_create(ctx, 9, BP_SCALAR));
    TEXT("tensor_create: unknown dtype 9");
    cr_assert_null(bp_tensor_create(ctx, BP_F32, BP_SHAPE(2, -1)));
    cr_assert_null(bp_tensor_create(ctx, BP_F32, ((bp_shape){9, {1}})));
    cr_assert_null(bp_tensor_create(ctx, BP_F32, BP_SHAPE(INT64_MAX, 4)));
    cr_assert_null(bp_tensor_create(NULL, BP_F32, BP_SCALAR));
    cr_assert_eq(bp_read(NULL, NULL, 0), BP_ERR_ARG);
    cr_assert_eq(bp_write(NULL, NULL, 0), BP_ERR_ARG);
    cr_assert_eq(bp_write(NUMBER(1), NULL, 8), BP_ERR_ARG);
    cr_assert_eq(bp_set_threads(ctx, -1), BP_ERR_ARG);
    cr_assert_eq(bp_scope_begin(ctx, 0x80), BP_ERR_ARG);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
}

CLAIM(what_no_memory_can_hold_is_refused)
{
    const int64_t huge = (int64_t)1 << 32;
    bp_tensor *one = TENSOR(BP_SHAPE(1, 1), 1), *s = NUMBER(1), *i = INTS(BP_SHAPE(1), 0);
    bp_tensor *tall = bp_tensor_create(ctx, BP_F64, BP_SHAPE(huge, 0));
    bp_tensor *wide = bp_tensor_create(ctx, BP_F64, BP_SHAPE(0, huge));
    for (int bits = 30; bits < 59; bits++) {
        begin();
        bp_tensor *e = bp_expand(one, BP_SHAPE((int64_t)1 << bits, 1));
        cr_assert(e, "a view takes no memory");
        if (bits > 44) {
            cr_assert_null(bp_relu(e));
            cr_assert_eq(bp_scope_end(ctx), BP_ERR_NOMEM, "2^%d", bits);
        } else {
            end();
        }
    }
    cr_assert_null(bp_tensor_create(ctx, BP_F64, BP_SHAPE(INT64_MAX / 16)));
    BAD(add, BP_ERR_SHAPE, bp_add(bp_expand(one, BP_SHAPE(huge, 1)),
                                  bp_expand(one, BP_SHAPE(1, huge))));
    BAD(matmul, BP_ERR_SHAPE, bp_matmul(tall, wide));
    BAD(scatter_rows, BP_ERR_SHAPE, bp_scatter_rows(bp_expand(one, BP_SHAPE(1, 4)), i, INT64_MAX));
    BAD(nll_spread, BP_ERR_SHAPE, bp_nll_spread(s, i, INT64_MAX));
}

Test(errors, names_and_texts_exist_for_everything)
{
    cr_assert_str_eq(bp_error_text(NULL), "there is no context: NULL, closed, or no memory for it");
    for (bp_status s = 0; s <= BP_ERR_NONFINITE; s++)
        cr_assert(strcmp(bp_status_name(s), "unknown status"), "%d", (int)s);
    cr_assert_str_eq(bp_status_name(BP_ERR_NONFINITE + 1), "unknown status");
    cr_assert_str_eq(bp_status_name(-1), "unknown status");
    cr_assert_str_eq(bp_dtype_name(0), "?");
    cr_assert_eq(bp_dtype_bytes(0), 0);
    cr_assert_str_eq(bp_version(), "0.1.0");
    cr_assert_eq(bp_shape_count(BP_SHAPE(3, 0, 5)), 0);
    cr_assert_eq(bp_shape_count((bp_shape){.ndim = 99999999}), 0);
    cr_assert_eq(bp_shape_count((bp_shape){.ndim = -1, .dim = {3}}), 0);
    cr_assert_eq(bp_shape_count(BP_SHAPE(INT64_MAX, 2)), 0);
}
