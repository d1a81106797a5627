/* conv2d, conv2d_input, conv2d_filter: cuDNN's (cudnn.c), but for windows of one pixel in steps of
 * one, which are products of matrices (lt.c). A bias and ReLU are fused to a product of f32 where
 * cuDNN has a plan for them; else they are added in place: kernels/linear_finish.cu. The plans of
 * calls that are captured are made before. Floor: x, w and y read or written once, or the multiply-
 * adds. The rule: src/ops/conv.c. */
#include <stdbool.h>
#include <string.h>

#include "cuda/cudnn.h"

extern const bpi_op_kernels bpi_cuda_linear_f32, bpi_cuda_linear_f64;

/* A call's images and filters, whichever of them it makes. */
typedef struct convolution {
    const bp_view *x, *w, *y;
    const bp_view *b; /* or NULL */
    bpi_conv_kind kind; /* with nothing fused */
    const bpi_conv_params *params;
} convolution;

static convolution forward_of(const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_conv_params *p = params;
    return (convolution){&in[0], &in[1], out, p->bias ? &in[2] : NULL, BPI_CONV_PLAIN, p};
}

static convolution input_of(const bp_view *in, const bp_view *out, const void *params)
{
    return (convolution){out, &in[1], &in[0], NULL, BPI_CONV_INPUT, params};
}

static convolution filter_of(const bp_view *in, const bp_view *out, const void *params)
{
    return (convolution){&in[1], out, &in[0], NULL, BPI_CONV_FILTER, params};
}

static int64_t pixels_of(const bp_view *image)
{
    return image->shape.dim[0] * image->shape.dim[1] * image->shape.dim[2];
}

/* --- windows of one pixel -------------------------------------------------------------------- */

static int is_matrix_product(const convolution *c)
{
    static const int32_t none[4];
    const bp_window *how = &c->params->how;
    return c->w->shape.dim[1] == 1 && c->w->shape.dim[2] == 1 && how->groups == 1 &&
           how->stride[0] == 1 && how->stride[1] == 1 && !memcmp(how->pad, none, sizeof none);
}

static bp_view matrix_of(const bp_view *v, int64_t rows)
{
    const int64_t cols = v->shape.dim[3];
    bp_view m = {.data = v->data, .dtype = v->dtype, .shape = BP_SHAPE(rows, cols),
                 .stride = {cols, 1}};
    return m;
}

static bp_status multiply(bp_exec *ex, const convolution *c)
{
    const int64_t rows = pixels_of(c->y), inside = c->x->shape.dim[3], outside = c->w->shape.dim[0];
    bpi_product p = {.dtype = c->y->dtype, .alpha = 1};
    if (c->b) {
        const bpi_linear_params linear = {.relu = (uint32_t)c->params->relu, .keep = 65536};
        const bp_view in[4] = {matrix_of(c->x, rows), matrix_of(c->w, outside), *c->b};
        const bp_view out[2] = {matrix_of(c->y, rows)};
        const bpi_op_kernels *op = p.dtype == BP_F64 ? &bpi_cuda_linear_f64 : &bpi_cuda_linear_f32;
        return op->slot[BPI_FORWARD].fn(ex, in, out, &linear);
    }
    const bp_view *a = c->kind == BPI_CONV_PLAIN ? c->x : c->y;
    const bp_view *b = c->kind == BPI_CONV_FILTER ? c->x : c->w;
    const bp_view *made = c->kind == BPI_CONV_PLAIN   ? c->y
                          : c->kind == BPI_CONV_INPUT ? c->x
                                                      : c->w;
    p.a = a->data, p.a_pitch = a->shape.dim[3], p.a_transposed = c->kind == BPI_CONV_FILTER;
    p.b = b->data, p.b_pitch = b->shape.dim[3], p.b_transposed = c->kind == BPI_CONV_PLAIN;
    p.c = made->data, p.c_pitch = made->shape.dim[3];
    p.m = c->kind == BPI_CONV_FILTER ? outside : rows;
    p.n = c->kind == BPI_CONV_PLAIN ? outside : inside;
    p.k = c->kind == BPI_CONV_PLAIN ? inside : c->kind == BPI_CONV_INPUT ? outside : rows;
    return bpi_lt_product(ex, &p);
}

/* --- cuDNN's --------------------------------------------------------------------------------- */

static uint32_t alignment(const bp_view *v)
{
    uintptr_t bits = (uintptr_t)(v ? v->data : NULL) | 16;
    return (uint32_t)(bits & -bits);
}

/* With what is fused, where cuDNN has a plan for that. */
static bp_status find_plan(bp_exec *ex, const convolution *c, const bpi_conv_plan **plan)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    const bool f32 = c->y->dtype == BP_F32;
    bpi_convolution key = {.how = c->params->how, .kind = c->kind, .dtype = c->y->dtype,
                           .precision = f32 ? d->precision : BP_PRECISION_F32,
                           .align = {alignment(c->x), alignment(c->w), alignment(c->y),
                                     alignment(NULL)}};
    memcpy(key.x, c->x->shape.dim, sizeof key.x);
    memcpy(key.w, c->w->shape.dim, sizeof key.w);
    memcpy(key.y, c->y->shape.dim, sizeof key.y);
    if (c->b && f32) {
        bpi_convolution fused = key;
        fused.kind = c->params->relu ? BPI_CONV_BIAS_RELU : BPI_CONV_BIAS;
        fused.align[BPI_CONV_B] = alignment(c->b);
        bp_status st = bpi_cudnn_plan(d, &fused, plan);
        if (st != BP_ERR_UNSUPPORTED)
            return st;
    }
    return bpi_cudnn_plan(d, &key, plan);
}

/* y += b, and ReLU. */
static bp_status finish(bp_exec *ex, const convolution *c)
{
    const int64_t filters = c->y->shape.dim[3];
    const bpi_linear_finish f = {.dtype = c->y->dtype, .y = c->y->data, .rows = pixels_of(c->y),
                                 .cols = filters, .pitch = filters, .bias = c->b->data,
                                 .relu = c->params->relu, .keep = 65536};
    return bpi_cuda_linear_finish(ex, &f);
}

/* Of no images there are no products to add up. */
static bp_status convolve_none(bp_exec *ex, const convolution *c)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    const int64_t *dim = c->w->shape.dim;
    const size_t size = c->w->dtype == BP_F64 ? 8 : 4;
    if (c->kind != BPI_CONV_FILTER)
        return BP_OK;
    BPI_TRY(bpi_cuda_flush(ex));
    BPI_CUDA_TRY(d, cudaMemsetAsync(c->w->data, 0,
                                    (size_t)(dim[0] * dim[1] * dim[2] * dim[3]) * size, d->stream));
    return BP_OK;
}

static bp_status convolve(bp_exec *ex, convolution c)
{
    const bpi_conv_plan *plan;
    if (c.x->shape.dim[0] == 0)
        return convolve_none(ex, &c);
    if (is_matrix_product(&c))
        return multiply(ex, &c);
    BPI_TRY(find_plan(ex, &c, &plan));
    BPI_TRY(bpi_cudnn_run(ex, plan, (void *const[]){c.x->data, c.w->data, c.y->data,
                                                    c.b ? c.b->data : NULL}));
    return c.b && plan->key.kind == BPI_CONV_PLAIN ? finish(ex, &c) : BP_OK;
}

static bp_status prepare(bp_exec *ex, convolution c)
{
    const bpi_conv_plan *plan;
    return c.x->shape.dim[0] == 0 || is_matrix_product(&c) ? BP_OK : find_plan(ex, &c, &plan);
}

#define CONVOLUTION(op, of)                                                                       \
    static bp_status op##_run(bp_exec *ex, const bp_view *in, const bp_view *out,                 \
                              const void *params)                                                 \
    {                                                                                             \
        return convolve(ex, of(in, out, params));                                                 \
    }                                                                                             \
    static bp_status op##_prepare(bp_exec *ex, const bp_view *in, const bp_view *out,             \
                                  const void *params)                                             \
    {                                                                                             \
        return prepare(ex, of(in, out, params));                                                  \
    }                                                                                             \
    const bpi_op_kernels bpi_cuda_##op##_f32 = {                                                  \
        .slot[BPI_FORWARD] = {.fn = op##_run, .prepare = op##_prepare}};                          \
    const bpi_op_kernels bpi_cuda_##op##_f64 = {                                                  \
        .slot[BPI_FORWARD] = {.fn = op##_run, .prepare = op##_prepare}}
CONVOLUTION(conv2d, forward_of);
CONVOLUTION(conv2d_input, input_of);
CONVOLUTION(conv2d_filter, filter_of);
