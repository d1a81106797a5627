/* Scopes and ownership: who keeps what alive, and for how long. */
#include "suite.h"

#define CLAIM(name) Test(scopes, name, .init = setup, .fini = teardown)

static int64_t bytes_now(void)
{
    bp_stats s;
    bp_get_stats(ctx, &s);
    return s.bytes;
}

CLAIM(all_that_a_scope_made_goes_with_it)
{
    bp_tensor *x = random_tensor(BP_SHAPE(100, 100), 0);
    int64_t before = bytes_now();
    begin();
    cr_assert(bp_sum(bp_exp(bp_matmul(bp_require_grad(x), bp_transpose(x, 0, 1)))));
    cr_assert_gt(bytes_now(), before);
    end();
    cr_assert_eq(bytes_now(), before);
}

CLAIM(a_kept_tensor_outlives_its_scope_without_its_history)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 3, -4), *dx;
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_scale(leaf, 2);
    cr_assert_eq(bp_keep(y), y);
    cr_assert_eq(bp_keep(y), y, "keeping twice is keeping");
    cr_assert_eq(bp_grad(ctx, bp_sum(y), NUMBER(1), &leaf, 1, 0, &dx), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    cr_assert_eq(at(y, 0), 6);
    cr_assert_eq(at(y, 1), -8);
    begin();
    cr_assert_eq(at(bp_relu(y), 0), 6);
    end();
    cr_assert_eq(at(y, 1), -8);
    bp_free(y);
}

CLAIM(keeping_a_tensor_spares_its_siblings)
{
    bp_tensor *x = NUMBER(1), *kept[3];
    begin();
    bp_tensor *a = bp_scale(x, 2), *b = bp_scale(x, 3), *c = bp_scale(x, 4);
    kept[0] = bp_keep(b);
    bp_free(c);
    begin();
    kept[1] = bp_keep(bp_scale(a, 5));
    kept[2] = bp_keep(a); /* of the outer scope, from the inner */
    end();
    cr_assert_eq(at(bp_add(a, b), 0), 5);
    end();
    cr_assert_eq(at(kept[0], 0), 3);
    cr_assert_eq(at(kept[1], 0), 10);
    cr_assert_eq(at(kept[2], 0), 2);
}

CLAIM(freeing_early_is_always_allowed)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *dx, *one = TENSOR(BP_SHAPE(2), 1, 1);
    begin();
    bp_tensor *leaf = bp_require_grad(x), *e = bp_exp(leaf), *y = bp_mul(e, e);
    bp_free(e); /* the tape reads it on */
    bp_free(x); /* and the leaf looks at its memory */
    OK(bp_grad(ctx, y, one, &leaf, 1, 0, &dx));
    cr_assert_float_eq(at(dx, 1), 2 * exp(4), 1e-10);
    end();
}

CLAIM(a_view_keeps_the_memory_it_looks_at)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4);
    begin();
    bp_tensor *t = bp_keep(bp_transpose(x, 0, 1));
    bp_free(x);
    bp_tensor *other = bp_scale(t, 0); /* would take freed memory */
    cr_assert(other);
    end();
    cr_assert_eq(at(t, 1), 3);
    double v[] = {5, 6, 7, 8};
    OK(bp_write(t, v, sizeof v));
    cr_assert_eq(at(t, 1), 6);
    cr_assert_eq(at(t, 2), 7);
}

CLAIM(a_view_and_its_tensor_share_what_is_written)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 3), 1, 2, 3, 4, 5, 6);
    double v[] = {10, 20, 30, 40, 50, 60};
    begin();
    bp_tensor *t = bp_transpose(x, 0, 1), *r = bp_reshape(x, BP_SHAPE(3, 2));
    OK(bp_write(t, v, sizeof v)); /* [3, 2] */
    cr_assert_eq(at(x, 1), 30);
    cr_assert_eq(at(x, 3), 20);
    cr_assert_eq(at(r, 1), 30);
    end();
}

CLAIM(an_inner_scope_ends_what_it_made_and_nothing_else)
{
    bp_tensor *x = NUMBER(2);
    double v;
    begin();
    bp_tensor *outer = bp_scale(x, 2);
    begin();
    bp_tensor *inner = bp_scale(outer, 2);
    cr_assert_eq(at(inner, 0), 8);
    end();
    cr_assert_eq(bp_dtype_of(inner), 0);
    cr_assert_eq(at(outer, 0), 4);
    end();
    cr_assert_eq(bp_read(outer, &v, sizeof v), BP_ERR_ARG);
}

static bool records(bp_tensor *x)
{
    bp_tensor *dx, *leaf = bp_require_grad(x), *y = bp_scale(leaf, 3);
    bp_tensor *one = TENSOR(BP_SCALAR, 1);
    return bp_grad(ctx, y, one, &leaf, 1, 0, &dx) == BP_OK && at(dx, 0) == 3;
}

static bp_status fails(bp_context *c, void *user)
{
    (void)c, (void)user;
    return BP_ERR_STOPPED;
}

CLAIM(no_grad_ends_with_its_scope)
{
    bp_tensor *x = NUMBER(1);
    OK(bp_scope_begin(ctx, BP_NO_GRAD));
    begin(); /* inherits it */
    cr_assert_not(records(x));
    OK(bp_scope_end(ctx));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    begin();
    cr_assert(records(x));
    OK(bp_scope_begin(ctx, BP_NO_GRAD));
    cr_assert(bp_relu(x));
    end();
    cr_assert(records(x));
    end();
    cr_assert_eq(bp_run(ctx, BP_NO_GRAD, fails, NULL), BP_ERR_STOPPED);
    begin();
    cr_assert(records(x), "also after a step that failed");
    end();
}

CLAIM(copy_into_and_add_into_write_where_they_are_told)
{
    bp_tensor *d = TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4), *row = TENSOR(BP_SHAPE(2), 10, 20);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(2, 2), (double[]){5, 6, 7, 8}, 0);
    OK(bp_add_into(d, row));
    cr_assert_eq(at(d, 3), 24);
    OK(bp_copy_into(d, f)); /* converts */
    cr_assert_eq(at(d, 3), 8);
    cr_assert_eq(bp_copy_into(d, row), BP_ERR_SHAPE);
    TEXT("copy_into: target [2,2] and source [2] do not fit");
    cr_assert_eq(bp_add_into(d, f), BP_ERR_DTYPE);
    cr_assert_eq(bp_add_into(row, d), BP_ERR_SHAPE);
    cr_assert_eq(bp_add_into(row, NULL), BP_ERR_ARG);
    cr_assert_eq(bp_copy_into(NULL, NULL), BP_ERR_ARG);
    begin();
    OK(bp_copy_into(bp_transpose(d, 0, 1), f));
    end();
    cr_assert_eq(at(d, 1), 7);
}

CLAIM(a_tensor_can_take_its_own_transpose)
{
    bp_tensor *d = TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4);
    begin();
    bp_tensor *t = bp_transpose(d, 0, 1);
    OK(bp_add_into(d, t));
    cr_assert(at(d, 0) == 2 && at(d, 1) == 5 && at(d, 2) == 5 && at(d, 3) == 8);
    OK(bp_write(d, ((double[]){1, 2, 3, 4}), 32));
    OK(bp_copy_into(d, t));
    cr_assert(at(d, 0) == 1 && at(d, 1) == 3 && at(d, 2) == 2 && at(d, 3) == 4);
    OK(bp_add_into(d, d));
    cr_assert_eq(at(d, 3), 8);
    end();
}

CLAIM(an_expanded_view_cannot_be_written_to)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *m = random_tensor(BP_SHAPE(3, 2), 1);
    double v[6] = {0};
    begin();
    bp_tensor *e = bp_keep(bp_expand(x, BP_SHAPE(3, 2)));
    end();
    cr_assert_eq(bp_write(e, v, sizeof v), BP_ERR_ARG);
    TEXT("write: the target [3,2] is expanded: its elements share memory");
    cr_assert_eq(bp_copy_into(e, m), BP_ERR_ARG);
    cr_assert_eq(bp_add_into(e, m), BP_ERR_ARG);
    cr_assert_eq(at(e, 5), 2);
}

CLAIM(new_tensors_are_zero_even_in_memory_that_was_used)
{
    for (int i = 0; i < 3; i++) {
        bp_tensor *x = bp_tensor_create(ctx, BP_F64, BP_SHAPE(1000));
        for (int k = 0; k < 1000; k += 111)
            cr_assert_eq(at(x, k), 0);
        OK(bp_copy_into(x, random_tensor(BP_SHAPE(1000), 1)));
        bp_free(x);
    }
}

CLAIM(a_thousand_nested_scopes_are_fine)
{
    bp_tensor *x = NUMBER(1);
    for (int i = 0; i < 1000; i++)
        begin();
    cr_assert_eq(at(bp_scale(x, 2), 0), 2);
    for (int i = 0; i < 1000; i++)
        end();
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
}

CLAIM(closing_with_scopes_open_and_tensors_alive_is_fine)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    bp_tensor *x = tensor_in(c, BP_F64, BP_SHAPE(50), NULL, 0);
    cr_assert_eq(bp_scope_begin(c, 0), BP_OK);
    cr_assert(bp_exp(bp_require_grad(x)));
    bp_close(c);
    cr_assert_eq(g.live, 0);
    cr_assert_not(g.broken);
}

/* --- numbers that are not finite ------------------------------------------------------------------ */

CLAIM(a_scope_tells_the_first_op_that_makes_a_number_that_is_not_finite)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 2), 1, 0, 4, 9), *mask = TENSOR(BP_SHAPE(2, 2), 0, -INFINITY, 0, 0);
    OK(bp_scope_begin(ctx, BP_CHECK_FINITE));
    cr_assert(bp_softmax(bp_add(x, mask), 1), "infinities that came in may go out");
    cr_assert_null(bp_sqrt(bp_log(x)));
    end_with(BP_ERR_NONFINITE, "log: y [2,2] is -inf at element 1, of finite inputs");
    begin();
    cr_assert(bp_log(x), "elsewhere nobody looks");
    OK(bp_scope_begin(ctx, BP_CHECK_FINITE | BP_NO_GRAD));
    OK(bp_scope_begin(ctx, 0));
    cr_assert_null(bp_reciprocal(x));
    OK(bp_scope_end(ctx));
    OK(bp_scope_end(ctx));
    end_with(BP_ERR_NONFINITE, "reciprocal: y [2,2] is inf at element 1, of finite inputs");
    bp_free(mask);
    mask = TENSOR(BP_SHAPE(2), 1, NAN);
    OK(bp_scope_begin(ctx, BP_CHECK_FINITE));
    cr_assert_null(bp_exp(mask));
    end_with(BP_ERR_NONFINITE, "exp: input 0 [2] is nan at element 1");
    bp_free(mask);
    bp_free(x);
}

CLAIM(a_scope_tells_the_first_gradient_that_is_not_finite)
{
    bp_tensor *t = TENSOR(BP_SHAPE(3), 1, 0, 4), *mask = TENSOR(BP_SHAPE(3), 0, -INFINITY, 0), *dx;
    OK(bp_scope_begin(ctx, BP_CHECK_FINITE));
    bp_tensor *x = bp_require_grad(t);
    OK(bp_grad_scalar(ctx, bp_sum(bp_softmax(bp_add(x, mask), 0)), &x, 1, 0, &dx));
    cr_assert(bp_scale(dx, 2), "infinities that came in may go out");
    cr_assert_eq(bp_grad_scalar(ctx, bp_sum(bp_sqrt(x)), &x, 1, 0, &dx), BP_ERR_NONFINITE);
    end_with(BP_ERR_NONFINITE, "sqrt: dx of input 0 [3] is inf at element 1");
    bp_free(mask);
    bp_free(t);
}

/* --- contexts and errors -------------------------------------------------------------------------- */

CLAIM(a_tensor_of_another_context_is_told_to_the_scope_that_is_open)
{
    bp_context *other;
    cr_assert_eq(bp_open("cpu", &other), BP_OK);
    bp_tensor *x = TENSOR(BP_SHAPE(1), 1), *y = tensor_in(other, BP_F64, BP_SHAPE(1), NULL, 0);
    for (int k = 0; k < 2; k++) {
        begin();
        cr_assert_null(k ? bp_add(y, x) : bp_add(x, y));
        cr_assert_eq(bp_scope_end(ctx), BP_ERR_DEVICE);
        cr_assert_eq(bp_scope_begin(other, 0), BP_OK);
        cr_assert_null(k ? bp_add(y, x) : bp_add(x, y));
        cr_assert_eq(bp_scope_end(other), BP_ERR_DEVICE);
    }
    bp_close(other);
    bp_free(x);
}

CLAIM(waiting_tells_the_error_that_is_pending)
{
    bp_tensor *x = TENSOR(BP_SHAPE(3), 1, 2, 3);
    begin();
    cr_assert_null(bp_reshape(x, BP_SHAPE(5)));
    cr_assert_eq(bp_sync(ctx), BP_ERR_SHAPE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
    OK(bp_sync(ctx));
    bp_free(x);
}
