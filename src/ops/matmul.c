/* matmul, dot, outer. C = A B of the last two axes, the axes before them broadcast; dA = dC B^T,
 * dB = A^T dC, read through transposed views and summed over what was broadcast. Of an A with more
 * axes than B, a batch of sequences and a weight say, dB is one product of all rows. Kernel:
 * src/cpu/matmul.c. */
#include "ops/rule.h"

/* The axes before the last two, broadcast. */
static bool batch_of(const bp_shape *a, const bp_shape *b, bp_shape *batch)
{
    bp_shape of_a = *a, of_b = *b;
    of_a.ndim -= 2;
    of_b.ndim -= 2;
    return bpi_broadcast(&of_a, &of_b, batch);
}

/* Vectors have one axis too few. */
static bool is_vector(const bp_tensor *t)
{
    return bpi_is_live(t) && bpi_view_of(t)->shape.ndim == 1;
}

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    const bp_shape *a = &in[0].shape, *b = &in[1].shape;
    bp_shape c = {0};
    if (in[0].dtype != in[1].dtype || !bpi_is_real(in[0].dtype))
        return bpi_why(why, BP_ERR_DTYPE, "a is %s and b is %s: equal and real dtypes are wanted",
                       bp_dtype_name(in[0].dtype), bp_dtype_name(in[1].dtype));
    if (a->ndim < 2 || b->ndim < 2)
        return bpi_why(why, BP_ERR_SHAPE, "a %s and b %s: two matrices are wanted",
                       bpi_shape_str(a).s, bpi_shape_str(b).s);
    int64_t m = a->dim[a->ndim - 2], inner = a->dim[a->ndim - 1], n = b->dim[b->ndim - 1];
    if (inner != b->dim[b->ndim - 2])
        return bpi_why(why, BP_ERR_SHAPE, "a %s and b %s: inner sizes %lld and %lld differ",
                       bpi_shape_str(a).s, bpi_shape_str(b).s, (long long)inner,
                       (long long)b->dim[b->ndim - 2]);
    if (a->ndim + b->ndim > 4 && !batch_of(a, b, &c))
        return bpi_why(why, BP_ERR_SHAPE, "a %s and b %s: the axes before the last two do not "
                       "broadcast", bpi_shape_str(a).s, bpi_shape_str(b).s);
    c.dim[c.ndim++] = m;
    c.dim[c.ndim++] = n;
    bpi_view_rows(&out[0], in[0].dtype, c);
    return BP_OK;
}

/* The last two axes swapped: a view. */
static bp_tensor *swapped(bp_tensor *x)
{
    int32_t n = bp_shape_of(x).ndim;
    return bp_transpose(x, n - 2, n - 1);
}

/* All rows of x as one matrix: a view where x is packed. */
static bp_tensor *all_rows(bp_tensor *x)
{
    bp_shape s = bp_shape_of(x);
    int64_t rows = 1;
    for (int i = 0; i < s.ndim - 1; i++)
        rows *= s.dim[i];
    return s.ndim == 2 ? x : bp_reshape(x, BP_SHAPE(rows, s.dim[s.ndim - 1]));
}

static bp_status gradient(bp_grad_call *c)
{
    bp_tensor *dc = c->dout[0];
    if (c->need[0])
        c->dx[0] = bpi_sum_to(bp_matmul(dc, swapped(c->in[1])), &c->in_shape[0]);
    if (c->need[1] && c->in_shape[1].ndim == 2)
        c->dx[1] = bp_matmul(swapped(all_rows(c->in[0])), all_rows(dc));
    else if (c->need[1])
        c->dx[1] = bpi_sum_to(bp_matmul(swapped(c->in[0]), dc), &c->in_shape[1]);
    return BP_OK;
}

const bp_op bpi_op_matmul = {
    .def = {.name = "matmul", .n_in = 2, .n_out = 1, .saves_in = 3, .infer = infer,
            .gradient = gradient},
    .id = BPI_OP_matmul,
};

bp_tensor *bp_matmul(bp_tensor *a, bp_tensor *b)
{
    bool row = is_vector(a), col = is_vector(b);
    if (!row && !col)
        return bpi_apply2(&bpi_op_matmul, a, b, NULL);
    /* a vector is a row before a matrix, a column behind one, and its axis goes again */
    if (row)
        a = bp_reshape(a, BP_SHAPE(1, bp_shape_of(a).dim[0]));
    if (col)
        b = bp_reshape(b, BP_SHAPE(bp_shape_of(b).dim[0], 1));
    bp_tensor *y = bpi_apply2(&bpi_op_matmul, a, b, NULL);
    if (!y)
        return NULL;
    bp_shape s = bp_shape_of(y);
    if (row)
        s.dim[s.ndim - 2] = s.dim[s.ndim - 1];
    s.ndim -= row + col;
    return bp_reshape(y, s);
}

/* Begins a product of two vectors, real, of one dtype, and of one length if `alike`. */
static bp_context *begin(const char *who, const char *none, bp_tensor *a, bp_tensor *b, bool alike)
{
    bp_context *ctx = bpi_begin(NULL, who, none, (bp_tensor *[]){a, b}, 2);
    if (!ctx)
        return NULL;
    const bp_view *va = bpi_view_of(a), *vb = bpi_view_of(b);
    if (va->dtype != vb->dtype || !bpi_is_real(va->dtype))
        bpi_fail(ctx, BP_ERR_DTYPE, "%s: a is %s and b is %s: equal and real dtypes are wanted",
                 who, bp_dtype_name(va->dtype), bp_dtype_name(vb->dtype));
    else if (!is_vector(a) || !is_vector(b) ||
             (alike && !bpi_same_shape(&va->shape, &vb->shape)))
        bpi_fail(ctx, BP_ERR_SHAPE, "%s: a %s and b %s: two vectors%s are wanted", who,
                 bpi_shape_str(&va->shape).s, bpi_shape_str(&vb->shape).s,
                 alike ? " of one length" : "");
    else
        return ctx;
    bpi_leave(ctx);
    return NULL;
}
#define BEGIN(name, alike) begin(name, name ": input 0 is NULL", a, b, alike)

bp_tensor *bp_dot(bp_tensor *a, bp_tensor *b)
{
    bp_context *ctx = BEGIN("dot", true);
    if (!ctx)
        return NULL;
    bp_tensor *y = bp_sum(bp_mul(a, b));
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_outer(bp_tensor *a, bp_tensor *b)
{
    bp_context *ctx = BEGIN("outer", false);
    if (!ctx)
        return NULL;
    bp_tensor *y = bp_matmul(bp_reshape(a, BP_SHAPE(bp_shape_of(a).dim[0], 1)),
                             bp_reshape(b, BP_SHAPE(1, bp_shape_of(b).dim[0])));
    bpi_leave(ctx);
    return y;
}
