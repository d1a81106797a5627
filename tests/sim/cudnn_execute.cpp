/* A plan of the fake cuDNN, executed: what it reads and writes is memory of the device and has
 * values, and pointers keep the promises of the tensors' descriptors; then the work goes into the
 * handle's stream. What the real library leaves to luck is an error here: pointers that are less
 * aligned, of no tensor, or over one another, a workspace that ends too early, a plan that was
 * destroyed before its work was done. What is left where an execution failed is not documented. */
#include "cudnn.h"

namespace sim {
namespace {

enum { WORKSPACE_ALIGNMENT = 256 };

struct Range {
    const char *name;
    const Tensor *tensor;
    const void *first;
    bool is_written, is_read;
};

/* What the kernels of a plan are given. */
struct Execution {
    std::shared_ptr<const Problem> problem;
    const Engine *engine;
    int64_t tile;
    std::weak_ptr<const Descriptor> plan;
    Pointers at;
    void *workspace;
    size_t workspace_bytes;
    int device;
};

std::vector<Range> ranges_of(const Execution &e)
{
    const Problem &p = *e.problem;
    const bool adds = p.beta != 0;
    std::vector<Range> ranges;
    if (p.direction != DATA_GRADIENT)
        ranges.push_back({"x", &p.x, e.at.x, false, true});
    if (p.direction != FILTER_GRADIENT)
        ranges.push_back({"the filter", &p.w, e.at.w, false, true});
    if (p.direction != FORWARD)
        ranges.push_back({"dy", &p.y, e.at.y, false, true});
    if (p.has_bias)
        ranges.push_back({"the bias", &p.bias, e.at.bias, false, true});
    ranges.push_back({"the result", &p.out, e.at.out, true, adds});
    return ranges;
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Calls for the first byte and the number of bytes of each run of elements. */
template <typename Body> bool for_each_run(const Range &r, Body body)
{
    const Tensor &t = *r.tensor;
    const int64_t size = size_of(t.type);
    const char *first = static_cast<const char *>(r.first);
    if (span_of(t) == elements_of(t) * size)
        return body(first, span_of(t));
    for (int64_t i = 0; i < elements_of(t); i++) {
        int64_t rest = i, offset = 0;
        for (int d = 3; d >= 0; rest /= t.dims[d], d--)
            offset += rest % t.dims[d] * t.strides[d];
        if (!body(first + offset * size, size))
            return false;
    }
    return true;
}

bool is_in_device(const Execution &e)
{
    for (const Range &r : ranges_of(e))
        if (span_of(*r.tensor) && !in_device(r.first, span_of(*r.tensor), e.device, r.name))
            return false;
    return !e.workspace_bytes ||
           in_device(e.workspace, e.workspace_bytes, e.device, "cudnnBackendExecute: workspace");
}

bool has_values(const Execution &e)
{
    for (const Range &r : ranges_of(e))
        if (r.is_read && !for_each_run(r, [&](const char *p, size_t bytes) {
                return is_readable(p, bytes, e.device, r.name);
            }))
            return false;
    return true;
}

bool overlap(const void *a, int64_t a_bytes, const void *b, int64_t b_bytes)
{
    const char *first = static_cast<const char *>(a), *second = static_cast<const char *>(b);
    return first < second + b_bytes && second < first + a_bytes;
}

/* Whether the pointers are what the descriptors promise. */
bool keeps_promises(const Execution &e)
{
    const std::vector<Range> ranges = ranges_of(e);
    const Range &result = ranges.back();
    for (const Range &r : ranges)
        if (reinterpret_cast<uintptr_t>(r.first) % r.tensor->alignment)
            return complain("cudnnBackendExecute: %s at %p is not aligned to %d bytes, as promised",
                            r.name, r.first, static_cast<int>(r.tensor->alignment));
    for (const Range &r : ranges)
        if (&r != &result &&
            overlap(r.first, span_of(*r.tensor), result.first, span_of(*result.tensor)))
            return complain("cudnnBackendExecute: the result is written over %s", r.name);
    if (!e.workspace_bytes)
        return true;
    if (reinterpret_cast<uintptr_t>(e.workspace) % WORKSPACE_ALIGNMENT)
        return complain("cudnnBackendExecute: workspace at %p is not aligned to %d bytes",
                        e.workspace, WORKSPACE_ALIGNMENT);
    for (const Range &r : ranges)
        if (overlap(r.first, span_of(*r.tensor), e.workspace, e.workspace_bytes))
            return complain("cudnnBackendExecute: the workspace is over %s", r.name);
    return true;
}

void mark_written(const Execution &e)
{
    const Range result = ranges_of(e).back();
    for_each_run(result, [](const char *p, size_t bytes) {
        mark_init(p, bytes, true);
        return true;
    });
    if (!e.workspace_bytes)
        return;
    memset(e.workspace, unwritten(), e.workspace_bytes);
    mark_init(e.workspace, e.workspace_bytes, false);
}

cudaError_t run(const Execution &e)
{
    if (e.plan.expired()) {
        complain("cudnnBackendExecute: the plan was destroyed before its work was done");
        return cudaErrorIllegalAddress;
    }
    if (!is_in_device(e) || !has_values(e))
        return cudaErrorIllegalAddress;
    convolve(*e.problem, {e.engine->defect, e.tile}, e.at);
    mark_written(e);
    return cudaSuccess;
}

/* --- the call -------------------------------------------------------------------------------- */

/* False: a tensor of the plan has no pointer, or a pointer no tensor. */
bool read_pack(const Descriptor &pack, Execution *e)
{
    const Problem &p = *e->problem;
    const auto ids = pack.list<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const auto pointers = pack.list<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    const struct {
        const Tensor &tensor;
        const void **to;
        bool is_there;
    } wanted[] = {{p.x, &e->at.x, true},
                  {p.w, &e->at.w, true},
                  {p.y, &e->at.y, !p.y.is_virtual},
                  {p.bias, &e->at.bias, p.has_bias},
                  {p.out, const_cast<const void **>(&e->at.out), p.has_bias}};
    size_t used = 0;
    for (const auto &one : wanted) {
        size_t i = 0;
        while (one.is_there && i < ids.size() && ids[i] != one.tensor.uid)
            i++;
        if (one.is_there && i == ids.size())
            return complain("cudnnBackendExecute: tensor %d has no pointer",
                            static_cast<int>(one.tensor.uid));
        if (one.is_there)
            *one.to = pointers[i];
        used += one.is_there;
    }
    const void *results[] = {e->at.y, e->at.x, e->at.w};
    if (!p.has_bias)
        e->at.out = const_cast<void *>(results[p.direction]);
    e->workspace = pack.get<void *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    return used == ids.size() ||
           complain("cudnnBackendExecute: %zu pointers for %zu tensors", ids.size(), used);
}

/* An execution that failed may have written any of its result. */
void spoil(const Execution &e, Stream *stream)
{
    const Range result = ranges_of(e).back();
    submit(stream, [=] {
        for_each_run(result, [](const char *p, size_t bytes) {
            memset(const_cast<char *>(p), unwritten(), bytes);
            return true;
        });
        return cudaSuccess;
    });
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                             cudnnBackendDescriptor_t pack)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (!handle || !plan || !pack)
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    Handle *h = find<Handle>(handle);
    auto *p = find<DescriptorObject>(plan), *v = find<DescriptorObject>(pack);
    if (!h || !p || !v || p->held->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR ||
        v->held->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        return CUDNN_STATUS_BAD_PARAM;
    if (!p->held->is_final || !v->held->is_final)
        return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    Execution e = {p->held->problem, p->held->engine, p->held->tile, p->held, {},
                   nullptr,          0,               h->device};
    e.workspace_bytes = p->held->get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
    if (p->device != h->device) {
        complain("cudnnBackendExecute: a plan of device %d on device %d", p->device, h->device);
        return CUDNN_STATUS_BAD_PARAM;
    }
    Stream *s;
    if (find_stream(h->stream, &s) || s->device != h->device || !read_pack(*v->held, &e))
        return CUDNN_STATUS_BAD_PARAM;
    if (!keeps_promises(e))
        return CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER;
    const cudnnStatus_t status = dnn("cudnnBackendExecute", WORK, [=] {
        return is_in_device(e) && !submit(s, [=] { return run(e); })
                   ? CUDNN_STATUS_SUCCESS
                   : CUDNN_STATUS_EXECUTION_FAILED;
    });
    if (status != CUDNN_STATUS_SUCCESS && config.undocumented && is_in_device(e))
        spoil(e, s);
    return status;
}
