/* Products of batches and attention: what is read in place, what is not held, who gets no key, and
 * what a wrong call is told. */
#include "suite.h"

#define CLAIM(name) Test(products, name, .init = setup, .fini = teardown)

static bp_stats stats(void)
{
    bp_stats s;
    bp_stats_of(ctx, &s, sizeof s);
    return s;
}

CLAIM(swapped_matrices_of_a_batch_are_read_in_place)
{
    bp_tensor *a = random_tensor(BP_SHAPE(3, 5, 4), 0), *b = random_tensor(BP_SHAPE(3, 6, 5), 1);
    int64_t before = stats().layout_copies;
    begin();
    bp_tensor *x = bp_require_grad(a), *w = bp_require_grad(b), *dx[2];
    bp_tensor *y = bp_matmul(bp_transpose(x, 1, 2), bp_transpose(w, 1, 2));
    OK(bp_grad(ctx, y, random_tensor(BP_SHAPE(3, 4, 6), 2), (bp_tensor *[]){x, w}, 2, 0, dx));
    end();
    cr_assert_eq(stats().layout_copies, before);
    bp_free(a);
    bp_free(b);
}

/* [B, T, H, D], as a layer makes it, seen as [B, H, T, D]. */
CLAIM(heads_of_a_sequence_are_read_in_place)
{
    bp_tensor *x = random_tensor(BP_SHAPE(2, 5, 3, 4), 0), *same_x;
    int64_t before = stats().layout_copies;
    begin();
    bp_tensor *heads = bp_transpose(x, 1, 2);
    bp_tensor *y = bp_attention(heads, heads, heads, BP_CAUSAL, 0);
    cr_assert(y, "%s", bp_error_text(ctx));
    cr_assert_eq(stats().layout_copies, before);
    same_x = bp_reshape(heads, BP_SHAPE(2, 3, 5, 4)); /* a packed copy */
    same(bp_attention(same_x, same_x, same_x, BP_CAUSAL, 0), y, 0);
    end();
    bp_free(x);
}

CLAIM(a_vector_is_a_row_or_a_column)
{
    bp_tensor *v = TENSOR(BP_SHAPE(2), 3, 4), *m = TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4);
    bp_tensor *b = random_tensor(BP_SHAPE(5, 2, 2), 0);
    begin();
    cr_assert_eq(at(bp_matmul(v, v), 0), 25);
    cr_assert_eq(bp_shape_of(bp_matmul(v, v)).ndim, 0);
    cr_assert_eq(at(bp_matmul(m, v), 1), 25);
    cr_assert_eq(at(bp_matmul(v, m), 1), 22);
    cr_assert_eq(bp_shape_of(bp_matmul(b, v)).ndim, 2);
    cr_assert_eq(bp_shape_of(bp_matmul(v, b)).dim[1], 2);
    cr_assert_eq(at(bp_dot(v, v), 0), 25);
    cr_assert_eq(at(bp_outer(v, v), 1), 12);
    end();
    bp_free(v);
    bp_free(m);
    bp_free(b);
}

/* A query without a key: bytes that are all 0, or -Inf added. */
static void no_key(bp_tensor *mask)
{
    bp_tensor *t[3], *x[3], *dx[3], *ddx[3];
    for (int i = 0; i < 3; i++)
        t[i] = random_tensor(BP_SHAPE(2, 3, 4), (uint64_t)i);
    begin();
    for (int i = 0; i < 3; i++)
        x[i] = bp_require_grad(t[i]);
    bp_tensor *y = bp_attention_masked(x[0], x[1], x[2], mask, 0, 0);
    bp_tensor *dy = random_tensor(BP_SHAPE(2, 3, 4), 7);
    OK(bp_grad(ctx, y, dy, x, 3, BP_KEEP_GRAPH, dx));
    for (int64_t i = 0; i < 4; i++) {
        cr_assert_eq(at(y, 4 + i), 0);
        cr_assert_eq(at(dx[0], 4 + i), 0);
        cr_assert(at(y, i) != 0 && isfinite(at(y, i)) && isfinite(at(dx[1], i)));
    }
    bp_tensor *again[3];
    OK(bp_grad(ctx, y, dy, x, 3, BP_CREATE_GRAPH, again)); /* the composition's */
    for (int i = 0; i < 3; i++)
        same(again[i], dx[i], 1e-14);
    bp_tensor *s = bp_sum(bp_mul(again[1], again[1]));
    OK(bp_grad(ctx, s, NUMBER(1), x, 3, 0, ddx));
    for (int64_t i = 0; i < 24; i++)
        cr_assert(isfinite(at(ddx[0], i)) && isfinite(at(ddx[2], i)));
    end();
    for (int i = 0; i < 3; i++)
        bp_free(t[i]);
}

CLAIM(a_query_without_a_key_gives_zeros_and_no_gradient)
{
    const double kept[] = {1, 1, 0, 0, 0, 0, 1, 0, 1}, inf = -INFINITY;
    bp_tensor *bytes = tensor_in(ctx, BP_U8, BP_SHAPE(3, 3), kept, 0);
    bp_tensor *added = TENSOR(BP_SHAPE(3, 3), 0, 0, inf, inf, inf, inf, 0, inf, 0);
    bp_tensor *q = random_tensor(BP_SHAPE(2, 3, 4), 0);
    no_key(bytes);
    no_key(added);
    begin();
    same(bp_attention_masked(q, q, q, bytes, BP_CAUSAL, 0.5),
         bp_attention_masked(q, q, q, added, BP_CAUSAL, 0.5), 0);
    end();
    bp_free(bytes);
    bp_free(added);
    bp_free(q);
}

/* Forward and backward, of 2 heads of 512 x 512 weights: 4 MB of f64, were they held. */
CLAIM(attention_holds_no_weights)
{
    enum { T = 512, D = 4, HEADS = 2 };
    bp_tensor *q = random_tensor(BP_SHAPE(HEADS, T, D), 0), *dx;
    begin();
    bp_tensor *x = bp_require_grad(q);
    OK(bp_grad(ctx, bp_attention(x, x, x, 0, 0), q, &x, 1, 0, &dx));
    end();
    cr_assert_lt(stats().peak_bytes, HEADS * T * T * 8 / 4);
    bp_free(q);
}

/* 2^42 scores, of vectors of no numbers. */
CLAIM(attention_looks_at_no_keys_where_there_is_nothing_to_write)
{
    bp_tensor *q = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1 << 21, 0)), *dx;
    begin();
    bp_tensor *x = bp_require_grad(q), *y = bp_attention(x, x, x, 0, 1);
    cr_assert_eq(bp_shape_of(y).dim[0], 1 << 21);
    OK(bp_grad(ctx, y, q, &x, 1, 0, &dx));
    OK(bp_sync(ctx));
    end();
    bp_free(q);
}

/* y was made by a wrong call: NULL, and the text says why. */
static void told(bp_status status, const char *text, bp_tensor *y)
{
    cr_assert_null(y, "taken: %s", text);
    end_with(status, text);
}
#define TOLD(status, text, call) told(status, text, (begin(), (call)))

CLAIM(what_does_not_fit_is_named)
{
    bp_tensor *a = random_tensor(BP_SHAPE(2, 3, 4), 0), *b = random_tensor(BP_SHAPE(5, 4, 6), 1);
    bp_tensor *v = random_tensor(BP_SHAPE(4), 2), *s = NUMBER(1);
    bp_tensor *i = INTS(BP_SHAPE(3), 0, 1, 0), *m = random_tensor(BP_SHAPE(4, 3), 3);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SHAPE(2, 3, 4), NULL, 4);
    TOLD(BP_ERR_SHAPE, "matmul: a [2,3,4] and b [5,4,6]: the axes before the last two do not "
         "broadcast", bp_matmul(a, b));
    TOLD(BP_ERR_SHAPE, "matmul: a [2,3,4] and b [2,3,4]: inner sizes 4 and 3 differ",
         bp_matmul(a, a));
    TOLD(BP_ERR_SHAPE, "matmul: a [2,3,4] and b []: two matrices are wanted", bp_matmul(a, s));
    TOLD(BP_ERR_SHAPE, "matmul: a [1,4] and b [2,3,4]: inner sizes 4 and 3 differ",
         bp_matmul(v, a));
    TOLD(BP_ERR_DTYPE, "matmul: a is f64 and b is f32: equal and real dtypes are wanted",
         bp_matmul(a, f));
    TOLD(BP_ERR_SHAPE, "dot: a [4] and b [4,3]: two vectors of one length are wanted",
         bp_dot(v, m));
    TOLD(BP_ERR_SHAPE, "outer: a [2,3,4] and b [4]: two vectors are wanted", bp_outer(a, v));
    TOLD(BP_ERR_SHAPE, "attention: q [2,3,4], k [5,4,6], v [2,3,4]: [..,T,D], [..,S,D], [..,S,E] "
         "are wanted", bp_attention(a, b, a, 0, 0));
    TOLD(BP_ERR_SHAPE, "attention: q [4], k [4], v [4]: [..,T,D], [..,S,D], [..,S,E] are wanted",
         bp_attention(v, v, v, 0, 0));
    TOLD(BP_ERR_DTYPE, "attention: q is f64, k is f64, v is f32: equal and real are wanted",
         bp_attention(a, a, f, 0, 0));
    TOLD(BP_ERR_ARG, "attention: flags 0x2: 0 or BP_CAUSAL is wanted",
         bp_attention(a, a, a, 2, 0));
    TOLD(BP_ERR_ARG, "attention: scale inf is not finite", bp_attention(a, a, a, 0, INFINITY));
    TOLD(BP_ERR_SHAPE, "attention_masked: mask [4,3] does not broadcast to the scores' [2,3,3]",
         bp_attention_masked(a, a, a, m, 0, 0));
    TOLD(BP_ERR_DTYPE, "attention_masked: mask is i32: u8 is wanted, or f64 as q is",
         bp_attention_masked(a, a, a, i, 0, 0));
    TOLD(BP_ERR_SHAPE, "attention_weights: scores [4]: [..,T,S] is wanted",
         bp_attention_weights(v, 0));
    TOLD(BP_ERR_ARG, "attention_weights: flags 0x8: 0 or BP_CAUSAL is wanted",
         bp_attention_weights(a, 8));
    for (int k = 0; k < 7; k++)
        bp_free((bp_tensor *[]){a, b, v, s, i, m, f}[k]);
}
