/* What the descriptors of the fake cuDNN describe: tensors, convolutions, operations; and an
 * operation graph, of which a Problem is read. What is wrong has the status of the real library
 * (cudnn_programs.c compares them), which however accepts two tensors of one id, and a virtual
 * tensor that nobody makes: those we refuse. */
#include "cudnn.h"

#include <algorithm>
#include <set>

namespace sim {
namespace {

enum { MOST_DIMS = 8 };

cudnnStatus_t check_tensor(const Descriptor &d)
{
    const auto dims = d.list<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
    const auto strides = d.list<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    const auto alignment = d.get<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    if (dims.size() != strides.size() || dims.size() > MOST_DIMS || alignment <= 0 ||
        alignment % size_of(d.get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)))
        return CUDNN_STATUS_BAD_PARAM;
    for (size_t i = 0; i < dims.size(); i++)
        if (dims[i] < 0 || strides[i] < 0)
            return CUDNN_STATUS_BAD_PARAM;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_window(const Descriptor &d)
{
    const size_t n = static_cast<size_t>(d.get<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS));
    const struct {
        int attribute;
        int64_t least;
    } lists[] = {{CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 0},
                 {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 0},
                 {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 1},
                 {CUDNN_ATTR_CONVOLUTION_DILATIONS, 1}};
    for (const auto &list : lists) {
        const auto all = d.list<int64_t>(list.attribute);
        if (d.has(list.attribute) && all.size() != n)
            return CUDNN_STATUS_BAD_PARAM;
        for (int64_t value : all)
            if (value < list.least)
                return CUDNN_STATUS_BAD_PARAM;
    }
    return CUDNN_STATUS_SUCCESS;
}

/* --- operations ------------------------------------------------------------------------------ */

/* False: not of four dimensions. */
bool read_tensor(const Descriptor &d, Tensor *t)
{
    const auto dims = d.list<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
    const auto strides = d.list<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
    if (d.type != CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        return complain("cuDNN: a descriptor of type %d where a tensor's is wanted", d.type);
    if (dims.size() != 4)
        return false;
    t->type = d.get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE);
    t->uid = d.get<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
    t->alignment = d.get<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    t->is_virtual = d.get<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    std::copy(dims.begin(), dims.end(), t->dims);
    std::copy(strides.begin(), strides.end(), t->strides);
    return true;
}

bool read_window(const Descriptor &d, Window *w)
{
    const struct {
        int attribute;
        int64_t *to;
    } lists[] = {{CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, w->before},
                 {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, w->after},
                 {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, w->stride},
                 {CUDNN_ATTR_CONVOLUTION_DILATIONS, w->dilation}};
    if (d.type != CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR ||
        d.get<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2)
        return false;
    w->compute = d.get<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
    w->flips = d.get<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) !=
               CUDNN_CROSS_CORRELATION;
    for (const auto &list : lists) {
        const auto all = d.list<int64_t>(list.attribute);
        if (all.size() != 2)
            return false;
        std::copy(all.begin(), all.end(), list.to);
    }
    return true;
}

/* The attributes of the three operations, in the order of Direction. */
const struct Names {
    cudnnBackendDescriptorType_t type;
    int window, x, w, y, alpha, beta;
} names_of[] = {{CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
                {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
                {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};

double scalar_of(const Descriptor &d, int attribute, double otherwise)
{
    auto found = d.values.find(attribute);
    if (found == d.values.end())
        return otherwise;
    return found->second.type == CUDNN_TYPE_DOUBLE ? d.get<double>(attribute)
                                                   : d.get<float>(attribute);
}

/* False: no convolution, or none of two dimensions. */
bool read_convolution(const Descriptor &d, Problem *p)
{
    for (int i = FORWARD; i <= FILTER_GRADIENT; i++) {
        const Names &names = names_of[i];
        if (d.type != names.type)
            continue;
        p->direction = static_cast<Direction>(i);
        p->alpha = scalar_of(d, names.alpha, 1);
        p->beta = scalar_of(d, names.beta, 0);
        return read_window(d.descriptor(names.window), &p->window) &&
               read_tensor(d.descriptor(names.x), &p->x) &&
               read_tensor(d.descriptor(names.w), &p->w) &&
               read_tensor(d.descriptor(names.y), &p->y);
    }
    return false;
}

/* Whether two elements may lie at one place. A stride of 0 says so, and is no mistake yet. */
bool overlaps(const Tensor &t)
{
    std::vector<std::pair<int64_t, int64_t>> axes; /* stride, size */
    for (int i = 0; i < 4; i++)
        if (t.dims[i] != 1)
            axes.push_back({t.strides[i], t.dims[i]});
    std::sort(axes.begin(), axes.end());
    for (size_t i = 1; i < axes.size(); i++)
        if (axes[i - 1].first && axes[i].first < axes[i - 1].first * axes[i - 1].second)
            return true;
    return false;
}

bool repeats(const Tensor &t)
{
    return std::count(t.strides, t.strides + 4, 0) != 0;
}

bool has_sizes(const Problem &p)
{
    const int64_t *x = p.x.dims, *w = p.w.dims, *y = p.y.dims;
    for (int i = 0; i < 4; i++)
        if (x[i] < 1 || w[i] < 1 || y[i] < 1)
            return false;
    if (x[1] % w[1] || w[0] % (x[1] / w[1]) || y[0] != x[0] || y[1] != w[0])
        return false;
    for (int i = 0; i < 2; i++) {
        const int64_t reach = p.window.dilation[i] * (w[2 + i] - 1) + 1;
        const int64_t room = x[2 + i] + p.window.before[i] + p.window.after[i] - reach;
        if (room < 0 || y[2 + i] != room / p.window.stride[i] + 1)
            return false;
    }
    return true;
}

cudnnStatus_t check_convolution(const Descriptor &d)
{
    Problem p = {};
    const bool is_right = read_convolution(d, &p) && has_sizes(p) && !overlaps(p.x) &&
                          !overlaps(p.w) && !overlaps(p.y);
    return is_right ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

struct Pointwise {
    cudnnPointwiseMode_t mode;
    cudnnDataType_t compute;
    bool passes_nan;
    Tensor x, b, y;
};

bool read_pointwise(const Descriptor &d, Pointwise *p)
{
    if (d.type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR ||
        !d.has(CUDNN_ATTR_OPERATION_POINTWISE_XDESC) ||
        !d.has(CUDNN_ATTR_OPERATION_POINTWISE_YDESC))
        return false;
    const Descriptor &how = d.descriptor(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    p->mode = how.get<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    p->compute = how.get<cudnnDataType_t>(CUDNN_ATTR_POINTWISE_MATH_PREC);
    p->passes_nan = how.get<cudnnNanPropagation_t>(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION) ==
                    CUDNN_PROPAGATE_NAN;
    if (p->mode != CUDNN_POINTWISE_RELU_FWD &&
        (!d.has(CUDNN_ATTR_OPERATION_POINTWISE_BDESC) ||
         !read_tensor(d.descriptor(CUDNN_ATTR_OPERATION_POINTWISE_BDESC), &p->b)))
        return false;
    return read_tensor(d.descriptor(CUDNN_ATTR_OPERATION_POINTWISE_XDESC), &p->x) &&
           read_tensor(d.descriptor(CUDNN_ATTR_OPERATION_POINTWISE_YDESC), &p->y);
}

cudnnStatus_t check_pointwise(const Descriptor &d)
{
    Pointwise p = {};
    return read_pointwise(d, &p) ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

/* --- graphs ---------------------------------------------------------------------------------- */

struct Ends {
    std::vector<Tensor> inputs;
    Tensor output;
};

Ends ends_of(const Descriptor &operation)
{
    Problem p = {};
    Pointwise q = {};
    if (read_pointwise(operation, &q))
        return q.mode == CUDNN_POINTWISE_ADD ? Ends{{q.x, q.b}, q.y} : Ends{{q.x}, q.y};
    (void)read_convolution(operation, &p);
    if (p.direction == FORWARD)
        return {{p.x, p.w}, p.y};
    return p.direction == DATA_GRADIENT ? Ends{{p.w, p.y}, p.x} : Ends{{p.x, p.y}, p.w};
}

/* Each id is of one tensor, and a virtual one is made before it is used. */
bool is_connected(const std::vector<Described> &operations)
{
    std::set<int64_t> ids, made;
    for (const Described &operation : operations) {
        const Ends ends = ends_of(*operation);
        for (const Tensor &t : ends.inputs)
            if (!made.erase(t.uid) && (t.is_virtual || !ids.insert(t.uid).second))
                return false;
        if (!ids.insert(ends.output.uid).second)
            return false;
        made.insert(ends.output.uid);
    }
    return true;
}

bool is_all_of(const Problem &p, cudnnDataType_t type)
{
    return p.x.type == type && p.w.type == type && p.y.type == type && p.window.compute == type &&
           (!p.has_bias || (p.bias.type == type && p.out.type == type));
}

bool is_bias_of(const Tensor &bias, const Tensor &y)
{
    return bias.dims[0] == 1 && bias.dims[1] == y.dims[1] && bias.dims[2] == 1 &&
           bias.dims[3] == 1;
}

/* A convolution; forwards in float there may be a bias behind it, and then a ReLU. NULL: another
 * graph, which no engine knows. */
std::shared_ptr<const Problem> read_graph(const std::vector<Described> &operations)
{
    Problem p = {};
    if (!read_convolution(*operations[0], &p) || p.window.flips ||
        (operations.size() > 1 && p.beta != 0))
        return nullptr;
    const Tensor results[] = {p.y, p.x, p.w};
    p.out = results[p.direction];
    for (size_t i = 1; i < operations.size(); i++) {
        Pointwise q = {};
        if (!read_pointwise(*operations[i], &q) || q.x.uid != p.out.uid || !q.x.is_virtual ||
            q.compute != CUDNN_DATA_FLOAT || p.direction != FORWARD ||
            !std::equal(q.x.dims, q.x.dims + 4, q.y.dims))
            return nullptr;
        if (i == 1 && q.mode == CUDNN_POINTWISE_ADD && is_bias_of(q.b, q.y)) {
            p.has_bias = true;
            p.bias = q.b;
        } else if (i == 2 && q.mode == CUDNN_POINTWISE_RELU_FWD) {
            p.has_relu = true;
            p.relu_passes_nan = q.passes_nan;
        } else {
            return nullptr;
        }
        p.out = q.y;
    }
    const bool is_known = is_all_of(p, CUDNN_DATA_FLOAT) ||
                          (is_all_of(p, CUDNN_DATA_DOUBLE) && !p.has_bias);
    const bool is_written = !p.out.is_virtual && !repeats(p.out) && !overlaps(p.out);
    const bool is_read = !repeats(p.x) && !repeats(p.w) && !repeats(p.y);
    return is_known && is_written && is_read ? std::make_shared<Problem>(p) : nullptr;
}

bool is_operation(cudnnBackendDescriptorType_t type)
{
    return type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR ||
           std::any_of(std::begin(names_of), std::end(names_of),
                       [=](const Names &names) { return names.type == type; });
}

cudnnStatus_t finalize_graph(Descriptor *d)
{
    const std::vector<Described> &operations = d->descriptors(CUDNN_ATTR_OPERATIONGRAPH_OPS);
    for (const Described &operation : operations)
        if (!is_operation(operation->type)) {
            complain("cuDNN: a graph of a descriptor of type %d", operation->type);
            return CUDNN_STATUS_BAD_PARAM;
        }
    if (!is_connected(operations))
        return CUDNN_STATUS_BAD_PARAM;
    d->problem = read_graph(operations);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_pack(const Descriptor &d)
{
    const auto ids = d.list<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = d.list<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    return ids.size() == pointers.size() ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

} // namespace

cudnnStatus_t check_description(Descriptor *d)
{
    switch (d->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        return check_tensor(*d);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        return check_window(*d);
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
        return check_convolution(*d);
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return check_pointwise(*d);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        return finalize_graph(d);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        return check_pack(*d);
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
        return d->has(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION) ? CUDNN_STATUS_SUCCESS
                                                                 : CUDNN_STATUS_NOT_INITIALIZED;
    default:
        return CUDNN_STATUS_SUCCESS;
    }
}

} // namespace sim
