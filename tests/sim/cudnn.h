/* What the files of the fake cuDNN share. Everything that its backend calls make is a Descriptor:
 * a type, and values by attribute. cudnn.cpp has the calls, and says what may be set and read;
 * cudnn_finalize.cpp reads a descriptor, and an operation graph becomes a Problem;
 * cudnn_engines.cpp has the engines, heuristics and plans, cudnn_execute.cpp runs a plan, and
 * convolution.cpp has the arithmetic. */
#ifndef BPI_SIM_CUDNN_H
#define BPI_SIM_CUDNN_H

#include "runtime.h"

#pragma GCC visibility push(default) /* looked up by name */
#include "cuda/cudnn_abi.h"
#pragma GCC visibility pop

#include <cstring>
#include <map>

namespace sim {

/* Of an element. */
static inline size_t bytes_of(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
        return 1;
    default:
        return 4;
    }
}

struct Descriptor;
typedef std::shared_ptr<const Descriptor> Described; /* finalised: nobody changes it any more */

/* Elements of one attribute: bytes, or descriptors. */
struct Value {
    cudnnBackendAttributeType_t type;
    int64_t count;
    std::vector<char> bytes;
    std::vector<Described> descriptors;
};

struct Problem;
struct Engine;

struct Descriptor {
    cudnnBackendDescriptorType_t type;
    bool is_final;
    std::map<int, Value> values;
    std::shared_ptr<const Problem> problem; /* of a graph that engines know, and what follows */
    const Engine *engine;
    int64_t tile; /* of a plan */

    bool has(int attribute) const { return values.count(attribute) != 0; }
    template <typename T> T get(int attribute, T otherwise = T()) const
    {
        auto found = values.find(attribute);
        if (found != values.end())
            memcpy(&otherwise, found->second.bytes.data(), sizeof otherwise);
        return otherwise;
    }
    template <typename T> std::vector<T> list(int attribute) const
    {
        auto found = values.find(attribute);
        std::vector<T> all(found == values.end() ? 0 : found->second.count);
        if (!all.empty())
            memcpy(all.data(), found->second.bytes.data(), all.size() * sizeof(T));
        return all;
    }
    template <typename T>
    void put(int attribute, cudnnBackendAttributeType_t type_, const std::vector<T> &all)
    {
        const char *first = reinterpret_cast<const char *>(all.data());
        values[attribute] = Value{type_, static_cast<int64_t>(all.size()),
                                  std::vector<char>(first, first + all.size() * sizeof(T)), {}};
    }
    void put(int attribute, const std::vector<Described> &all)
    {
        values[attribute] = Value{CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(all.size()),
                                  {}, all};
    }
    const std::vector<Described> &descriptors(int attribute) const
    {
        return values.at(attribute).descriptors;
    }
    const Descriptor &descriptor(int attribute) const { return *descriptors(attribute)[0]; }
};

/* --- a convolution, and what is done with its result ----------------------------------------- */

enum Direction { FORWARD, DATA_GRADIENT, FILTER_GRADIENT };

struct Tensor {
    cudnnDataType_t type;
    int64_t uid, alignment;
    bool is_virtual;
    int64_t dims[4], strides[4]; /* [N, C, H, W], of a filter [K, C / groups, R, S] */
};

struct Window {
    cudnnDataType_t compute;
    bool flips; /* the filter: which no engine here does */
    int64_t before[2], after[2], stride[2], dilation[2];
};

/* result = alpha * convolution + beta * result; and then, forwards, + bias, ReLU. */
struct Problem {
    Direction direction;
    Window window;
    Tensor x, w, y; /* one of them is the result of the convolution */
    double alpha, beta;
    bool has_bias, has_relu, relu_passes_nan;
    Tensor bias, out; /* out: what is written in the end */
};

static inline int64_t size_of(cudnnDataType_t type)
{
    return type == CUDNN_DATA_DOUBLE ? sizeof(double) : sizeof(float);
}

static inline int64_t elements_of(const Tensor &t)
{
    return t.dims[0] * t.dims[1] * t.dims[2] * t.dims[3];
}

/* From the first byte of a tensor past its last. */
static inline int64_t span_of(const Tensor &t)
{
    int64_t last = 0;
    for (int i = 0; i < 4; i++)
        last += (t.dims[i] - 1) * t.strides[i];
    return elements_of(t) ? (last + 1) * size_of(t.type) : 0;
}

/* --- engines --------------------------------------------------------------------------------- */

enum Defect { RIGHT, ROUNDS_TO_TF32, ROUNDS_TO_BF16, ROUNDS_MORE, ADDS_AT_RANDOM };

struct Engine {
    int64_t index;
    Defect defect;
    std::vector<cudnnBackendNumericalNote_t> notes; /* that say so */
    int64_t (*workspace_bytes)(const Problem &);
    int64_t tiles; /* values of its knob, from 0 on; 0: it has none */
};

/* Where its tensors are, by name. */
struct Pointers {
    const void *x, *w, *y, *bias;
    void *out; /* x, w or y of a problem with nothing behind the convolution */
};

/* How a plan computes; tile: the value of its engine's knob. */
struct How {
    Defect defect;
    int64_t tile;
};

void convolve(const Problem &problem, How how, const Pointers &at);

/* --- descriptors ----------------------------------------------------------------------------- */

/* What finalising one does, when all that it needs was set. */
cudnnStatus_t check_description(Descriptor *d); /* all but: */
cudnnStatus_t choose_engines(Descriptor *heuristic);
cudnnStatus_t find_engine(Descriptor *engine);
cudnnStatus_t configure_engine(Descriptor *configuration);
cudnnStatus_t make_plan(Descriptor *plan);

/* A call, unless a test wants it to fail. */
template <typename Body> cudnnStatus_t dnn(const char *name, Kind kind, Body body)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    const Injected fault = injected(name, kind);
    if (!fault.error)
        return body();
    if (!fault.any)
        return static_cast<cudnnStatus_t>(fault.error);
    return fault.error == cudaErrorMemoryAllocation
               ? CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED
               : CUDNN_STATUS_EXECUTION_FAILED;
}

struct Handle : Object {
    cudaStream_t stream = nullptr;
};

struct DescriptorObject : Object {
    std::shared_ptr<Descriptor> held;
};

} // namespace sim
#endif
