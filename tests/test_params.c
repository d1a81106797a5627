/* Parameter stores: declaration, initial values, pitch and padding. */
#include "core/params.h"
#include "door/philox.h"
#include "suite.h"

#define CLAIM(name) Test(params, name, .init = setup, .fini = teardown)

static const bp_shape shapes[] = {{2, {33, 256}}, {1, {33}}, {2, {5, 7}}, {3, {2, 3, 4}}, {0, {0}}};
enum { COUNT = sizeof shapes / sizeof *shapes };

static bp_params *declared(bp_dtype dtype, bp_init init)
{
    static const char *const name[] = {"a", "b", "c", "d", "e"};
    bp_params *p;
    OK(bp_params_create(ctx, dtype, &p));
    for (int i = 0; i < COUNT; i++)
        cr_assert(bp_param(p, name[i], shapes[i], init));
    return p;
}

CLAIM(parameters_keep_their_names_shapes_and_order)
{
    bp_params *p = declared(BP_F32, BP_INIT_ONE);
    cr_assert_eq(bp_param_count(p), COUNT);
    for (int i = 0; i < COUNT; i++) {
        bp_tensor *t = bp_param_at(p, i);
        cr_assert_eq(bp_param_name(p, i)[0], 'a' + i);
        cr_assert_eq(bp_shape_of(t).ndim, shapes[i].ndim);
        cr_assert_eq(bp_shape_count(bp_shape_of(t)), bp_shape_count(shapes[i]));
        cr_assert_eq(at(t, bp_shape_count(shapes[i]) - 1), 1);
    }
    cr_assert_null(bp_param_at(p, COUNT));
    cr_assert_null(bp_param_name(p, -1));
    cr_assert_null(bp_param_grad(p, 0));
    bp_params_free(p);
    bp_params_free(NULL);
}

CLAIM(what_cannot_be_declared_is_refused)
{
    bp_params *p = declared(BP_F32, BP_INIT_ZERO), *none;
    cr_assert_null(bp_param(p, "a", BP_SHAPE(1), BP_INIT_ZERO));
    TEXT("param a: declared twice");
    cr_assert_null(bp_param(p, "", BP_SHAPE(1), BP_INIT_ZERO));
    TEXT("param: a parameter needs a name");
    cr_assert_null(bp_param(p, "x", BP_SHAPE(0, 2), BP_INIT_ZERO));
    TEXT("param x: bad shape [0,2]");
    cr_assert_null(bp_param(p, "x", BP_SHAPE(1), 9));
    TEXT("param x: unknown initialisation 9");
    cr_assert_eq(at(bp_param_at(p, 0), 0), 0); /* the first use */
    cr_assert_null(bp_param(p, "x", BP_SHAPE(1), BP_INIT_ZERO));
    TEXT("param x: the store is in use and takes no more");
    cr_assert_eq(bp_params_create(ctx, BP_I32, &none), BP_ERR_DTYPE);
    cr_assert_null(none);
    bp_params_free(p);
}

CLAIM(initial_values_follow_from_seed_and_index_alone_and_are_rounded_for_f32)
{
    bp_params *p = declared(BP_F64, BP_INIT_HE), *q = declared(BP_F32, BP_INIT_HE);
    OK(bp_seed(ctx, 0xABCDEF0123456789u));
    at(bp_param_at(p, 0), 0); /* the first use */
    OK(bp_seed(ctx, 0xABCDEF0123456789u));
    at(bp_param_at(q, 0), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        bpi_stream s = {0xABCDEF0123456789u, 0, bpi_purpose_site(BPI_PURPOSE_INIT, i)};
        values a, b;
        int64_t n = bp_shape_count(shapes[i]);
        double bound = sqrt(6.0 / (double)(shapes[i].ndim ? n / shapes[i].dim[0] : 1));
        cr_assert(tensor_values(bp_param_at(p, (int)i), &a));
        cr_assert(tensor_values(bp_param_at(q, (int)i), &b));
        for (int64_t e = 0; e < n; e++) {
            double u = ((double)bpi_random_word(&s, (uint64_t)e) + 0.5) / 4294967296.0;
            cr_assert_eq(a.v[e], bound * (2 * u - 1), "parameter %d, value %d", (int)i, (int)e);
            cr_assert_eq(b.v[e], (double)(float)a.v[e]);
        }
        values_free(&a, 1);
        values_free(&b, 1);
    }
    bp_params_free(p);
    bp_params_free(q);
}

CLAIM(initial_values_fill_their_bounds_evenly)
{
    for (bp_init init = BP_INIT_LECUN; init <= BP_INIT_HE; init++) {
        bp_params *p;
        values v;
        double bound = sqrt((init == BP_INIT_HE ? 6.0 : 3.0) / 50), sum = 0, square = 0, max = 0;
        OK(bp_params_create(ctx, BP_F64, &p));
        bp_tensor *t = bp_param(p, "w", BP_SHAPE(1000, 50), init);
        cr_assert(tensor_values(t, &v));
        for (int64_t i = 0; i < v.n; i++) {
            sum += v.v[i] / bound;
            square += v.v[i] * v.v[i] / bound / bound;
            max = fmax(max, fabs(v.v[i]) / bound);
        }
        cr_assert(max <= 1 && max > 0.999);
        cr_assert_lt(fabs(sum / 50000), 0.01); /* 4 sigma */
        cr_assert_lt(fabs(square / 50000 - 1.0 / 3), 0.006);
        values_free(&v, 1);
        bp_params_free(p);
    }
}

CLAIM(padding_stays_zero_through_training)
{
    net n;
    OK(net_open(&n, ctx, BP_F32, 0.1));
    OK(bp_optimizer_set(n.opt, BP_OPT_L2, 0.01));
    OK(net_train(&n, 0, 10));
    OK(bp_run(ctx, 0, net_backward, &n));
    values flat[2] = {{0}};
    int64_t padding = 0;
    cr_assert(tensor_values(n.params->values, &flat[0]));
    cr_assert(tensor_values(n.params->grads, &flat[1]));
    for (int i = 0; i < NET_PARAMS; i++) {
        const bpi_segment *s = &n.params->segment[i];
        const bp_view *v = bpi_view_of(s->value);
        int64_t cols = s->shape.dim[s->shape.ndim - 1];
        int64_t pitch = s->shape.ndim == 2 ? v->stride[0] : cols;
        for (int64_t e = 0; e < s->count; e++) {
            bool inside = e / pitch < bp_shape_count(s->shape) / cols && e % pitch < cols;
            for (int k = 0; k < 2 && !inside; k++, padding++)
                cr_assert_eq(flat[k].v[s->offset + e], 0, "parameter %d, at %d", i, (int)e);
        }
    }
    cr_assert_gt(padding, 0);
    values_free(flat, 2);
    net_close(&n);
}

CLAIM(pitched_rows_read_and_write_as_packed)
{
    bp_params *p;
    OK(bp_params_create(ctx, BP_F32, &p));
    bp_tensor *w = bp_param(p, "w", BP_SHAPE(3, 256), BP_INIT_ZERO), *v = NULL;
    cr_assert_gt(bpi_view_of(w)->stride[0], 256, "else this test shows nothing");
    v = tensor_in(ctx, BP_F32, BP_SHAPE(3, 256), NULL, 1);
    values a = {0};
    cr_assert(tensor_values(v, &a) && tensor_fill(w, &a));
    same(w, v, 0);
    begin();
    same(bp_scale(bp_transpose(w, 0, 1), 1), bp_transpose(v, 0, 1), 0);
    same(bp_reshape(w, BP_SHAPE(768)), bp_reshape(v, BP_SHAPE(768)), 0);
    same(bp_exp(w), bp_exp(v), 0);
    same(bp_sum_axes(w, BP_AXIS(1), 0), bp_sum_axes(v, BP_AXIS(1), 0), 1e-6);
    same(bp_log_softmax(w, 1), bp_log_softmax(v, 1), 1e-6);
    same(bp_dropout(w, 0), bp_dropout(v, 0), 0);
    end();
    values_free(&a, 1);
    bp_params_free(p);
}

CLAIM(freeing_a_store_makes_its_tensors_stale)
{
    bp_params *p = declared(BP_F64, BP_INIT_ONE);
    bp_tensor *t = bp_param_at(p, 1);
    double v[33];
    cr_assert_eq(at(t, 0), 1);
    begin();
    bp_tensor *view = bp_reshape(t, BP_SHAPE(3, 11));
    bp_params_free(p);
    cr_assert_eq(at(view, 5), 1, "a view keeps the memory");
    end();
    cr_assert_eq(bp_read(t, v, sizeof v), BP_ERR_ARG);
}

CLAIM(two_stores_train_in_one_graph)
{
    bp_tensor *a[] = {NUMBER(3)}, *b[] = {NUMBER(4)}, *w[2];
    bp_params *p = store_of(1, a, &w[0]), *q = store_of(1, b, &w[1]);
    begin();
    OK(bp_backward(ctx, bp_mul(w[0], w[1])));
    cr_assert_eq(at(bp_param_grad(p, 0), 0), 4);
    cr_assert_eq(at(bp_param_grad(q, 0), 0), 3);
    end();
    OK(bp_grad_clear(p));
    cr_assert_null(bp_param_grad(p, 0));
    cr_assert_eq(at(bp_param_grad(q, 0), 0), 3);
    bp_params_free(q);
    bp_params_free(p);
}

CLAIM(stores_drawn_one_after_the_other_differ_and_repeat_from_the_seed)
{
    double first[2][4];
    for (int round = 0; round < 2; round++) {
        OK(bp_seed(ctx, 11));
        for (int k = 0; k < 4; k++) {
            bp_params *p;
            OK(bp_params_create(ctx, BP_F64, &p));
            first[round][k] = at(bp_param(p, "w", BP_SHAPE(3, 4), BP_INIT_HE), 0);
            bp_params *zeros; /* draws nothing, and does not count */
            OK(bp_params_create(ctx, BP_F64, &zeros));
            at(bp_param(zeros, "z", BP_SHAPE(3, 4), BP_INIT_ZERO), 0);
            bp_params_free(zeros);
            bp_params_free(p);
            for (int j = 0; j < k; j++)
                cr_assert_neq(first[round][k], first[round][j], "stores %d and %d", j, k);
        }
    }
    cr_assert_arr_eq(first[0], first[1], sizeof first[0]);
}

CLAIM(a_store_that_is_too_large_is_refused_where_it_is_declared)
{
    bp_params *p, *q;
    OK(bp_params_create(ctx, BP_F32, &p));
    cr_assert_null(bp_param(p, "huge", BP_SHAPE((int64_t)1 << 58), BP_INIT_ONE));
    TEXT("param huge: with f32 [288230376151711744] the store would hold more than "
         "1125899906842624 bytes");
    cr_assert_null(bp_param(p, "rows", BP_SHAPE((int64_t)1 << 50, 256), BP_INIT_ONE));
    int n = 0;
    char name[8];
    for (; n < 10; n++) { /* 2^50 bytes, less some padding: two of 2^47 elements are too many */
        snprintf(name, sizeof name, "p%d", n);
        if (!bp_param(p, name, BP_SHAPE((int64_t)1 << 47), BP_INIT_ZERO))
            break;
    }
    cr_assert_eq(n, 1);
    cr_assert(!strncmp(bp_error_text(ctx), "param p1: ", 10));
    bp_params_free(p);
    OK(bp_params_create(ctx, BP_F64, &q));
    cr_assert(bp_param(q, "w", BP_SHAPE(2, 2), BP_INIT_ONE)); /* and the context goes on */
    cr_assert_null(bp_tensor_create(ctx, BP_F32, BP_SHAPE((int64_t)1 << 58)));
    bp_params_free(q);
}

/* w is read by the graph; `written`, of the same store, is not. */
CLAIM(writing_one_parameter_leaves_what_was_saved_of_another_alone)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(1, 2), 1, 2), TENSOR(BP_SHAPE(1, 2), 3, 4)}, *w[2];
    bp_params *p = store_of(2, init, w);
    begin();
    bp_tensor *loss = bp_sum(bp_mul(w[0], w[0]));
    OK(bp_copy_into(w[1], init[0]));
    OK(bp_write(w[1], &(double[]){7, 8}, 16));
    OK(bp_backward(ctx, loss));
    cr_assert_eq(at(bp_param_grad(p, 0), 1), 4);
    end();
    OK(bp_grad_clear(p));
    begin();
    loss = bp_sum(bp_mul(w[0], w[0]));
    OK(bp_copy_into(w[0], init[1]));
    cr_assert_eq(bp_backward(ctx, loss), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "mul: its input 0 was changed by copy_into after it was saved for the "
                           "gradient");
    OK(bp_grad_clear(p));
    begin(); /* views of a parameter share its version */
    bp_tensor *view = bp_reshape(w[0], BP_SHAPE(2));
    loss = bp_sum(bp_mul(view, view));
    OK(bp_copy_into(w[0], init[1]));
    cr_assert_eq(bp_backward(ctx, loss), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    bp_params_free(p);
}

CLAIM(a_store_freed_between_forward_and_backward_is_told)
{
    bp_tensor *init[] = {TENSOR(BP_SHAPE(1, 2), 1, 2)}, *w[1];
    for (int again = 0; again < 2; again++) {
        bp_params *p = store_of(1, init, w), *q = NULL;
        begin();
        bp_tensor *loss = bp_sum(bp_mul(w[0], w[0]));
        bp_params_free(p);
        if (again) /* at the same address, if anything is */
            q = store_of(1, init, w);
        cr_assert_eq(bp_backward(ctx, loss), BP_ERR_STATE);
        end_with(BP_ERR_STATE, "backward: its parameter store was freed");
        bp_params_free(q);
    }
}
