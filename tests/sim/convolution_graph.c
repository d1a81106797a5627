/* The operation graph of a job of convolutions.c: one descriptor after the other. */
#include "convolution_job.h"

void job_note(job *j, cudnnStatus_t status)
{
    if (!j->status)
        j->status = status;
}

cudnnBackendDescriptor_t job_make(job *j, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    job_note(j, cudnnBackendCreateDescriptor(type, &d));
    if (d)
        j->made[j->made_count++] = d;
    return d;
}

void job_put(job *j, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
             cudnnBackendAttributeType_t type, int64_t count, const void *elements)
{
    job_note(j, cudnnBackendSetAttribute(d, name, type, count, elements));
}

void job_put_part(job *j, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                  cudnnBackendDescriptor_t part)
{
    job_put(j, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part);
}

static cudnnDataType_t type_of(const job *j)
{
    return j->shape->is_double ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
}

static cudnnBackendDescriptor_t make_tensor(job *j, int tensor, int64_t id, bool is_virtual)
{
    const cudnnDataType_t type = type_of(j);
    const int64_t alignment = 16;
    cudnnBackendDescriptor_t d = job_make(j, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    job_put(j, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    job_put(j, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, j->dims[tensor]);
    job_put(j, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, j->strides[tensor]);
    job_put(j, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    job_put(j, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    job_put(j, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    job_note(j, cudnnBackendFinalize(d));
    return d;
}

static cudnnBackendDescriptor_t make_window(job *j)
{
    const shape *s = j->shape;
    const cudnnDataType_t type = type_of(j);
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const int64_t two = 2, stride[] = {s->stride, s->stride};
    const int64_t dilation[] = {s->dilation, s->dilation};
    cudnnBackendDescriptor_t d = job_make(j, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &two);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, s->pads);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, s->pads + 2);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    job_put(j, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    job_note(j, cudnnBackendFinalize(d));
    return d;
}

static cudnnBackendDescriptor_t make_convolution(job *j)
{
    static const struct {
        cudnnBackendDescriptorType_t type;
        cudnnBackendAttributeName_t window, parts[3], alpha, beta;
    } names[] = {{CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                  {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
                 {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                  {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY},
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
                 {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                  {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};
    const shape *s = j->shape;
    const float f32[] = {(float)s->alpha, (float)s->beta};
    const double f64[] = {s->alpha, s->beta};
    const cudnnBackendAttributeType_t scalar = s->is_double ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_FLOAT;
    const int i = (int)s->direction;
    cudnnBackendDescriptor_t d = job_make(j, names[i].type);
    job_put_part(j, d, names[i].window, make_window(j));
    for (int t = X; t <= Y; t++)
        job_put_part(j, d, names[i].parts[t], make_tensor(j, t, t + 1, t == Y && s->fused));
    for (int k = 0; k < 2 && (s->alpha != 0 || s->beta != 0); k++)
        job_put(j, d, k ? names[i].beta : names[i].alpha, scalar, 1,
            s->is_double ? (const void *)&f64[k] : (const void *)&f32[k]);
    job_note(j, cudnnBackendFinalize(d));
    return d;
}

/* y + bias, or max(sum, 0), between y's descriptors of these ids. */
static cudnnBackendDescriptor_t make_pointwise(job *j, cudnnPointwiseMode_t mode, int64_t from,
                                               int64_t to, bool is_last)
{
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnNanPropagation_t nan =
        j->shape->fused == 3 ? CUDNN_NOT_PROPAGATE_NAN : CUDNN_PROPAGATE_NAN;
    cudnnBackendDescriptor_t how = job_make(j, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    job_put(j, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    job_put(j, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &type);
    job_put(j, how, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_TYPE_NAN_PROPOGATION, 1, &nan);
    job_note(j, cudnnBackendFinalize(how));
    cudnnBackendDescriptor_t d = job_make(j, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    job_put_part(j, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    job_put_part(j, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, make_tensor(j, Y, from, true));
    if (mode == CUDNN_POINTWISE_ADD)
        job_put_part(j, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, make_tensor(j, BIAS, 4, false));
    job_put_part(j, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, make_tensor(j, Y, to, !is_last));
    job_note(j, cudnnBackendFinalize(d));
    return d;
}

void job_graph(job *j)
{
    cudnnBackendDescriptor_t operations[3] = {make_convolution(j)};
    int count = 1;
    if (j->shape->fused)
        operations[count++] =
            make_pointwise(j, CUDNN_POINTWISE_ADD, 3, 11, j->shape->fused == 1);
    if (j->shape->fused > 1)
        operations[count++] =
            make_pointwise(j, CUDNN_POINTWISE_RELU_FWD, 11, 10 + j->shape->fused, true);
    j->graph = job_make(j, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    job_put(j, j->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &j->handle);
    job_put(j, j->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
        operations);
    job_note(j, cudnnBackendFinalize(j->graph));
}
