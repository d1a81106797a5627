/* A convolution as a graph of cuDNN's backend interface: descriptors of its tensors and of its
 * operations, the product and what is fused to it. What is made of one: cudnn_plan.c. */
#include <stdbool.h>

#include "cuda/cudnn_describe.h"

/* --- descriptors ----------------------------------------------------------------------------- */

bool bpi_cudnn_says_no(cudnnStatus_t status)
{
    return status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000 ||
           status == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
}

bp_status bpi_cudnn_create(builder *b, cudnnBackendDescriptorType_t type, descriptor *out)
{
    DNN_TRY(b->d, BackendCreateDescriptor(type, out));
    b->made[b->n_made++] = *out;
    return BP_OK;
}

bp_status bpi_cudnn_fill(bpi_cuda *d, descriptor to, const attribute *a, int n)
{
    for (int i = 0; i < n; i++)
        DNN_TRY(d, BackendSetAttribute(to, a[i].name, a[i].type, a[i].count, a[i].value));
    return BP_OK;
}

void bpi_cudnn_clear(builder *b, int from)
{
    while (b->n_made > from)
        (void)b->d->cudnn->call.BackendDestroyDescriptor(b->made[--b->n_made]);
}

static bp_status describe(builder *b, cudnnBackendDescriptorType_t type, descriptor *out,
                          const attribute *a, int n)
{
    BPI_TRY(bpi_cudnn_create(b, type, out));
    BPI_TRY(bpi_cudnn_fill(b->d, *out, a, n));
    DNN_TRY(b->d, BackendFinalize(*out));
    return BP_OK;
}

/* --- a convolution as a graph ---------------------------------------------------------------- */

/* Sizes as cuDNN orders them, [N, C, H, W], of memory whose channels are innermost. */
static bp_status describe_tensor(builder *b, int64_t id, const int64_t *size, bool is_virtual,
                                 uint32_t align, descriptor *out)
{
    const int64_t sizes[4] = {size[0], size[3], size[1], size[2]}, bytes = align;
    const int64_t strides[4] = {size[1] * size[2] * size[3], 1, size[2] * size[3], size[3]};
    const cudnnDataType_t type = b->key->dtype == BP_F64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    const attribute a[] = {ATTR(TENSOR_DATA_TYPE, DATA_TYPE, 1, &type),
                           ATTR(TENSOR_DIMENSIONS, INT64, 4, sizes),
                           ATTR(TENSOR_STRIDES, INT64, 4, strides),
                           ATTR(TENSOR_UNIQUE_ID, INT64, 1, &id),
                           ATTR(TENSOR_BYTE_ALIGNMENT, INT64, 1, &bytes),
                           ATTR(TENSOR_IS_VIRTUAL, BOOLEAN, 1, &is_virtual)};
    return describe(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out, a, LENGTH(a));
}

static bp_status describe_window(builder *b, descriptor *out)
{
    const bp_window *how = &b->key->how;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const cudnnDataType_t type = b->key->dtype == BP_F64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    const int64_t axes = 2, before[2] = {how->pad[0], how->pad[1]};
    const int64_t after[2] = {how->pad[2], how->pad[3]};
    const int64_t stride[2] = {how->stride[0], how->stride[1]};
    const int64_t dilation[2] = {how->dilation[0], how->dilation[1]};
    const attribute a[] = {ATTR(CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, &type),
                           ATTR(CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, &mode),
                           ATTR(CONVOLUTION_SPATIAL_DIMS, INT64, 1, &axes),
                           ATTR(CONVOLUTION_PRE_PADDINGS, INT64, 2, before),
                           ATTR(CONVOLUTION_POST_PADDINGS, INT64, 2, after),
                           ATTR(CONVOLUTION_FILTER_STRIDES, INT64, 2, stride),
                           ATTR(CONVOLUTION_DILATIONS, INT64, 2, dilation)};
    return describe(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out, a, LENGTH(a));
}

/* The product of x, w and `y`, which is virtual where something is fused. */
static bp_status describe_product(builder *b, descriptor y, descriptor *out)
{
    const double one64 = 1, zero64 = 0;
    const float one32 = 1, zero32 = 0;
    const bool f64 = b->key->dtype == BP_F64;
    const cudnnBackendAttributeType_t type = f64 ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_FLOAT;
    const void *one = f64 ? (const void *)&one64 : &one32;
    const void *zero = f64 ? (const void *)&zero64 : &zero32;
    const descriptor x = b->operand[BPI_CONV_X], w = b->operand[BPI_CONV_W];
    descriptor window;
    BPI_TRY(describe_window(b, &window));
#define PRODUCT(direction, dx, dw, dy)                                                  \
    {ATTR(OPERATION_CONVOLUTION_##direction##_CONV_DESC, BACKEND_DESCRIPTOR, 1, &window), \
     ATTR(OPERATION_CONVOLUTION_##direction##_##dx, BACKEND_DESCRIPTOR, 1, &x),           \
     ATTR(OPERATION_CONVOLUTION_##direction##_##dw, BACKEND_DESCRIPTOR, 1, &w),           \
     ATTR(OPERATION_CONVOLUTION_##direction##_##dy, BACKEND_DESCRIPTOR, 1, &y),           \
     {CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_ALPHA, type, 1, one},                \
     {CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_BETA, type, 1, zero}}
    const attribute forward[] = PRODUCT(FORWARD, X, W, Y);
    const attribute input[] = PRODUCT(BWD_DATA, DX, W, DY);
    const attribute filter[] = PRODUCT(BWD_FILTER, X, DW, DY);
    if (b->key->kind == BPI_CONV_INPUT)
        return describe(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, out,
                        input, LENGTH(input));
    if (b->key->kind == BPI_CONV_FILTER)
        return describe(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, out,
                        filter, LENGTH(filter));
    return describe(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, out, forward,
                    LENGTH(forward));
}

/* to = from + bias, or relu(from). */
static bp_status describe_pointwise(builder *b, cudnnPointwiseMode_t mode, descriptor from,
                                    descriptor to, descriptor *out)
{
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
    const bool adds = mode == CUDNN_POINTWISE_ADD;
    const attribute how[] = {ATTR(POINTWISE_MODE, POINTWISE_MODE, 1, &mode),
                             ATTR(POINTWISE_MATH_PREC, DATA_TYPE, 1, &type),
                             ATTR(POINTWISE_NAN_PROPAGATION, NAN_PROPOGATION, 1, &nan)};
    descriptor pointwise;
    BPI_TRY(describe(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &pointwise, how,
                     adds ? LENGTH(how) - 1 : LENGTH(how)));
    const attribute a[] = {
        ATTR(OPERATION_POINTWISE_PW_DESCRIPTOR, BACKEND_DESCRIPTOR, 1, &pointwise),
        ATTR(OPERATION_POINTWISE_XDESC, BACKEND_DESCRIPTOR, 1, &from),
        ATTR(OPERATION_POINTWISE_YDESC, BACKEND_DESCRIPTOR, 1, &to),
        ATTR(OPERATION_POINTWISE_BDESC, BACKEND_DESCRIPTOR, 1, &b->operand[BPI_CONV_B])};
    return describe(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out, a,
                    adds ? LENGTH(a) : LENGTH(a) - 1);
}

static bp_status describe_operands(builder *b)
{
    const bpi_convolution *key = b->key;
    const int64_t bias[4] = {1, 1, 1, key->w[0]};
    const int64_t *size[BPI_CONV_OPERANDS] = {key->x, key->w, key->y, bias};
    for (int i = 0; i < BPI_CONV_OPERANDS; i++)
        BPI_TRY(describe_tensor(b, i, size[i], false, key->align[i], &b->operand[i]));
    return BP_OK;
}

bp_status bpi_cudnn_graph(builder *b, descriptor *out)
{
    const bool adds = b->key->kind == BPI_CONV_BIAS || b->key->kind == BPI_CONV_BIAS_RELU;
    const bool relu = b->key->kind == BPI_CONV_BIAS_RELU;
    descriptor op[3], between[2], y;
    int64_t n = 0;
    BPI_TRY(describe_operands(b));
    y = b->operand[BPI_CONV_Y];
    for (int i = 0; i < adds + relu; i++)
        BPI_TRY(describe_tensor(b, BPI_CONV_OPERANDS + i, b->key->y, true, 16, &between[i]));
    BPI_TRY(describe_product(b, adds ? between[0] : y, &op[n++]));
    if (adds)
        BPI_TRY(describe_pointwise(b, CUDNN_POINTWISE_ADD, between[0], relu ? between[1] : y,
                                   &op[n++]));
    if (relu)
        BPI_TRY(describe_pointwise(b, CUDNN_POINTWISE_RELU_FWD, between[1], y, &op[n++]));
    const attribute a[] = {ATTR(OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, n, op),
                           ATTR(OPERATIONGRAPH_HANDLE, HANDLE, 1, &b->d->cudnn->handle)};
    return describe(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out, a,
                    b->d->cudnn->described ? LENGTH(a) - 1 : LENGTH(a));
}
