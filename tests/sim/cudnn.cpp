/* The fake cuDNN, whose plans compute a convolution in plain loops (cudnn.h): its handles, and the
 * calls that make, set and read descriptors. A finalised descriptor does not change any more; one
 * that is put into another is that one's own from then on, and may be destroyed.
 *
 * BPCUDA_SIM_CUDNN_VERSION=8907 is another version than our own. */
#include "cudnn.h"

#include <algorithm>
#include <cstdlib>

namespace sim {
namespace {

/* --- what may be set and read ---------------------------------------------------------------- */

enum Access { NEEDED, OPTIONAL, MADE }; /* MADE: by finalising */

struct Attribute {
    cudnnBackendDescriptorType_t of;
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t most; /* elements */
    Access access;
};

#define TENSOR(name) CUDNN_BACKEND_TENSOR_DESCRIPTOR, CUDNN_ATTR_TENSOR_##name
#define WINDOW(name) CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, CUDNN_ATTR_CONVOLUTION_##name
#define FORWARDS(name)                                                                             \
    CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,                                        \
        CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_##name
#define OF_DATA(name)                                                                              \
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,                                  \
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_##name
#define OF_FILTER(name)                                                                            \
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,                                \
        CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_##name
#define MODE(name) CUDNN_BACKEND_POINTWISE_DESCRIPTOR, CUDNN_ATTR_POINTWISE_##name
#define POINTS(name)                                                                               \
    CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, CUDNN_ATTR_OPERATION_POINTWISE_##name
#define GRAPH(name) CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, CUDNN_ATTR_OPERATIONGRAPH_##name
#define HEURISTIC(name) CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, CUDNN_ATTR_ENGINEHEUR_##name
#define ENGINE(name) CUDNN_BACKEND_ENGINE_DESCRIPTOR, CUDNN_ATTR_ENGINE_##name
#define KNOB(name) CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_ATTR_KNOB_CHOICE_##name
#define CONFIG(name) CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, CUDNN_ATTR_ENGINECFG_##name
#define PLAN(name) CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, CUDNN_ATTR_EXECUTION_PLAN_##name
#define PACK(name) CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, CUDNN_ATTR_VARIANT_PACK_##name
#define DEVICE(name) CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, CUDNN_ATTR_DEVICEPROP_##name

enum { MOST_DIMS = 64, MOST_OPS = 50, MOST_TENSORS = 128, MOST_KNOBS = 50, MOST_TEXT = 1 << 20 };

const Attribute attributes[] = {
    {TENSOR(DATA_TYPE), CUDNN_TYPE_DATA_TYPE, 1, OPTIONAL},
    {TENSOR(DIMENSIONS), CUDNN_TYPE_INT64, MOST_DIMS, NEEDED},
    {TENSOR(STRIDES), CUDNN_TYPE_INT64, MOST_DIMS, NEEDED},
    {TENSOR(UNIQUE_ID), CUDNN_TYPE_INT64, 1, OPTIONAL},
    {TENSOR(BYTE_ALIGNMENT), CUDNN_TYPE_INT64, 1, NEEDED},
    {TENSOR(IS_VIRTUAL), CUDNN_TYPE_BOOLEAN, 1, OPTIONAL},
    {WINDOW(COMP_TYPE), CUDNN_TYPE_DATA_TYPE, 1, OPTIONAL},
    {WINDOW(CONV_MODE), CUDNN_TYPE_CONVOLUTION_MODE, 1, OPTIONAL},
    {WINDOW(SPATIAL_DIMS), CUDNN_TYPE_INT64, 1, NEEDED},
    {WINDOW(DILATIONS), CUDNN_TYPE_INT64, MOST_DIMS, NEEDED},
    {WINDOW(FILTER_STRIDES), CUDNN_TYPE_INT64, MOST_DIMS, NEEDED},
    {WINDOW(PRE_PADDINGS), CUDNN_TYPE_INT64, MOST_DIMS, OPTIONAL},
    {WINDOW(POST_PADDINGS), CUDNN_TYPE_INT64, MOST_DIMS, OPTIONAL},
    {FORWARDS(CONV_DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {FORWARDS(X), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {FORWARDS(W), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {FORWARDS(Y), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {FORWARDS(ALPHA), CUDNN_TYPE_FLOAT, 1, OPTIONAL},
    {FORWARDS(BETA), CUDNN_TYPE_FLOAT, 1, OPTIONAL},
    {OF_DATA(CONV_DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_DATA(DX), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_DATA(W), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_DATA(DY), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_DATA(ALPHA), CUDNN_TYPE_FLOAT, 1, OPTIONAL},
    {OF_DATA(BETA), CUDNN_TYPE_FLOAT, 1, OPTIONAL},
    {OF_FILTER(CONV_DESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_FILTER(X), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_FILTER(DW), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_FILTER(DY), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {OF_FILTER(ALPHA), CUDNN_TYPE_FLOAT, 1, OPTIONAL},
    {OF_FILTER(BETA), CUDNN_TYPE_FLOAT, 1, OPTIONAL},
    {MODE(MODE), CUDNN_TYPE_POINTWISE_MODE, 1, OPTIONAL},
    {MODE(MATH_PREC), CUDNN_TYPE_DATA_TYPE, 1, OPTIONAL},
    {MODE(NAN_PROPAGATION), CUDNN_TYPE_NAN_PROPOGATION, 1, OPTIONAL},
    {POINTS(PW_DESCRIPTOR), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {POINTS(XDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {POINTS(BDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {POINTS(YDESC), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {GRAPH(HANDLE), CUDNN_TYPE_HANDLE, 1, OPTIONAL},
    {GRAPH(OPS), CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_OPS, NEEDED},
    {HEURISTIC(OPERATION_GRAPH), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {HEURISTIC(MODE), CUDNN_TYPE_HEUR_MODE, 1, OPTIONAL},
    {HEURISTIC(DEVICEPROP), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {HEURISTIC(RESULTS), CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, MADE},
    {ENGINE(OPERATION_GRAPH), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {ENGINE(GLOBAL_INDEX), CUDNN_TYPE_INT64, 1, OPTIONAL},
    {ENGINE(DEVICEPROP), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {ENGINE(NUMERICAL_NOTE), CUDNN_TYPE_NUMERICAL_NOTE, 0, MADE},
    {KNOB(KNOB_TYPE), CUDNN_TYPE_KNOB_TYPE, 1, OPTIONAL},
    {KNOB(KNOB_VALUE), CUDNN_TYPE_INT64, 1, OPTIONAL},
    {CONFIG(ENGINE), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, NEEDED},
    {CONFIG(KNOB_CHOICES), CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST_KNOBS, OPTIONAL},
    {PLAN(HANDLE), CUDNN_TYPE_HANDLE, 1, OPTIONAL},
    {PLAN(DEVICEPROP), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {PLAN(ENGINE_CONFIG), CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, OPTIONAL},
    {PLAN(WORKSPACE_SIZE), CUDNN_TYPE_INT64, 0, MADE},
    {PACK(UNIQUE_IDS), CUDNN_TYPE_INT64, MOST_TENSORS, OPTIONAL},
    {PACK(DATA_POINTERS), CUDNN_TYPE_VOID_PTR, MOST_TENSORS, OPTIONAL},
    {PACK(WORKSPACE), CUDNN_TYPE_VOID_PTR, 1, OPTIONAL},
    {DEVICE(JSON_REPRESENTATION), CUDNN_TYPE_CHAR, MOST_TEXT, OPTIONAL},
};
#undef MODE

/* A double may stand for a float. */
bool is_of_type(const Attribute &a, cudnnBackendAttributeType_t type)
{
    return type == a.type || (a.type == CUDNN_TYPE_FLOAT && type == CUDNN_TYPE_DOUBLE);
}

const Attribute *find_attribute(cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name)
{
    for (const Attribute &a : attributes)
        if (a.of == of && a.name == name)
            return &a;
    return nullptr;
}

bool is_type(cudnnBackendDescriptorType_t type)
{
    return std::any_of(std::begin(attributes), std::end(attributes),
                       [=](const Attribute &a) { return a.of == type; });
}

/* What an element of a wrong type is to a descriptor. */
cudnnStatus_t status_of_type(cudnnBackendDescriptorType_t type)
{
    switch (type) {
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        return CUDNN_STATUS_NOT_SUPPORTED;
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        return CUDNN_STATUS_BAD_PARAM;
    default:
        return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
    }
}

/* --- setting and reading --------------------------------------------------------------------- */

cudnnStatus_t set_value(Descriptor *d, const Attribute &a, cudnnBackendAttributeType_t type,
                        int64_t count, const void *elements)
{
    const char *first = static_cast<const char *>(elements);
    Value value = {type, count, std::vector<char>(first, first + count * bytes_of(type)), {}};
    const auto *handles = static_cast<const cudnnBackendDescriptor_t *>(elements);
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++) {
        if (!handles[i])
            return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
        DescriptorObject *object = find<DescriptorObject>(handles[i]);
        if (!object)
            return CUDNN_STATUS_BAD_PARAM;
        if (!object->held->is_final)
            return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
        value.descriptors.push_back(object->held);
    }
    d->values[a.name] = value;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t get_value(const Value &value, bool is_counted, int64_t wanted, int64_t *count,
                        void *elements)
{
    const int64_t n = std::min(wanted, value.count);
    if (count)
        *count = wanted || !is_counted ? n : value.count;
    if (value.type != CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        if (n)
            memcpy(elements, value.bytes.data(), n * bytes_of(value.type));
        return CUDNN_STATUS_SUCCESS;
    }
    for (int64_t i = 0; i < n; i++) {
        auto *object = find<DescriptorObject>(static_cast<cudnnBackendDescriptor_t *>(elements)[i]);
        if (!object || object->held->type != value.descriptors[i]->type)
            return CUDNN_STATUS_BAD_PARAM;
        object->held = std::make_shared<Descriptor>(*value.descriptors[i]);
    }
    return CUDNN_STATUS_SUCCESS;
}

template <typename Body>
cudnnStatus_t about(const char *name, Kind kind, cudnnBackendDescriptor_t descriptor, Body body)
{
    return dnn(name, kind, [&] {
        if (!descriptor)
            return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
        DescriptorObject *object = find<DescriptorObject>(descriptor);
        return object ? body(object) : CUDNN_STATUS_BAD_PARAM;
    });
}

/* Whether to finalise it is to think, which two threads do not do at a time. */
bool is_choice(cudnnBackendDescriptor_t descriptor)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    Object *object = static_cast<Object *>(descriptor);
    auto *found = objects.count(object) ? dynamic_cast<DescriptorObject *>(object) : nullptr;
    return found && (found->held->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR ||
                     found->held->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
}

cudnnStatus_t finalize(Descriptor *d)
{
    for (const Attribute &a : attributes)
        if (a.of == d->type && a.access == NEEDED && !d->has(a.name))
            return CUDNN_STATUS_BAD_PARAM;
    switch (d->type) {
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        return choose_engines(d);
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        return find_engine(d);
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        return configure_engine(d);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return make_plan(d);
    default:
        return check_description(d);
    }
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" {

/* --- the library and its handles ------------------------------------------------------------- */

size_t cudnnGetVersion(void)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    (void)injected("cudnnGetVersion", QUERY);
    const char *version = getenv("BPCUDA_SIM_CUDNN_VERSION");
    return version ? strtoul(version, nullptr, 10) : 91900;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
#define NAMED(name) {name, #name}
    static const auto &names = *new std::map<int, const char *>{
        NAMED(CUDNN_STATUS_SUCCESS),
        NAMED(CUDNN_STATUS_NOT_INITIALIZED),
        NAMED(CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED),
        NAMED(CUDNN_STATUS_BAD_PARAM),
        NAMED(CUDNN_STATUS_BAD_PARAM_NULL_POINTER),
        NAMED(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER),
        NAMED(CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED),
        NAMED(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE),
        NAMED(CUDNN_STATUS_NOT_SUPPORTED),
        NAMED(CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH),
        NAMED(CUDNN_STATUS_INTERNAL_ERROR),
        NAMED(CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED),
        NAMED(CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED),
        NAMED(CUDNN_STATUS_EXECUTION_FAILED)};
#undef NAMED
    auto found = names.find(status);
    return found == names.end() ? "CUDNN_UNKNOWN_STATUS" : found->second;
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    return dnn("cudnnCreate", WORK, [=] {
        if (config.devices <= 0)
            return CUDNN_STATUS_NOT_INITIALIZED;
        if (!has_device("cudnnCreate") || refuse_while_capturing())
            return CUDNN_STATUS_EXECUTION_FAILED;
        publish(handle, new Handle);
        return CUDNN_STATUS_SUCCESS;
    });
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    return dnn("cudnnDestroy", RELEASE, [=] {
        Handle *found = find<Handle>(handle);
        if (!found)
            return CUDNN_STATUS_BAD_PARAM;
        discard(found);
        return CUDNN_STATUS_SUCCESS;
    });
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    return dnn("cudnnSetStream", WORK, [=] {
        Stream *s;
        Handle *found = find<Handle>(handle);
        if (!found || find_stream(stream, &s) || found->device != s->device)
            return CUDNN_STATUS_BAD_PARAM;
        found->stream = stream;
        return CUDNN_STATUS_SUCCESS;
    });
}

/* --- descriptors ----------------------------------------------------------------------------- */

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *descriptor)
{
    return dnn("cudnnBackendCreateDescriptor", WORK, [=] {
        if (!descriptor)
            return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
        if (!is_type(type)) /* so the real one says */
            return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
        DescriptorObject *object = new DescriptorObject;
        object->held = std::make_shared<Descriptor>();
        object->held->type = type;
        publish(descriptor, object);
        return CUDNN_STATUS_SUCCESS;
    });
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor)
{
    return about("cudnnBackendDestroyDescriptor", RELEASE, descriptor, [](Object *object) {
        discard(object);
        return CUDNN_STATUS_SUCCESS;
    });
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *elements)
{
    return about("cudnnBackendSetAttribute", WORK, descriptor, [=](DescriptorObject *object) {
        Descriptor *d = object->held.get();
        const Attribute *a = find_attribute(d->type, name);
        if (d->is_final || !elements || !a || a->access == MADE || count < 1 || count > a->most)
            return CUDNN_STATUS_BAD_PARAM;
        if (!is_of_type(*a, type))
            return status_of_type(d->type);
        return set_value(d, *a, type, count, elements);
    });
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *elements)
{
    if (!descriptor)
        return CUDNN_STATUS_BAD_PARAM;
    return about("cudnnBackendGetAttribute", WORK, descriptor, [=](DescriptorObject *object) {
        const Descriptor &d = *object->held;
        const Attribute *a = find_attribute(d.type, name);
        if (!d.is_final)
            return CUDNN_STATUS_NOT_INITIALIZED;
        if (!a || wanted < 0 || (wanted && !elements))
            return CUDNN_STATUS_BAD_PARAM;
        if (!is_of_type(*a, type))
            return CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE;
        const auto found = d.values.find(name);
        const bool is_counted = name != CUDNN_ATTR_ENGINECFG_KNOB_CHOICES;
        return get_value(found == d.values.end() ? Value() : found->second, is_counted, wanted,
                         count, elements);
    });
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor)
{
    std::unique_ptr<Alone> alone;
    if (is_choice(descriptor))
        alone.reset(new Alone("cudnnBackendFinalize"));
    return about("cudnnBackendFinalize", WORK, descriptor, [](DescriptorObject *object) {
        Descriptor *d = object->held.get();
        if (d->is_final)
            return CUDNN_STATUS_BAD_PARAM;
        const cudnnStatus_t status = finalize(d);
        d->is_final = status == CUDNN_STATUS_SUCCESS;
        return status;
    });
}

} // extern "C"
