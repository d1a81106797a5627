/* Calls about memory: device and pinned memory, pools, copies. What is allocated: arena.cpp. */
#include "runtime.h"

#include <cstdlib>
#include <cstring>
#include <map>

namespace sim {
namespace {

std::map<char *, size_t> &pinned = *new std::map<char *, size_t>;

bool is_pinned(const void *p, size_t bytes)
{
    const char *first = static_cast<const char *>(p);
    auto it = pinned.upper_bound(const_cast<char *>(first));
    if (it == pinned.begin())
        return false;
    --it;
    return first + bytes <= it->first + it->second;
}

struct Pool : Object {};

/* What a call about no bytes at all says, nobody documents. */
cudaError_t of_nothing()
{
    return config.undocumented ? cudaErrorInvalidValue : cudaSuccess;
}

/* Memory that waits in the streams to be freed is there to be had, as in a pool of CUDA. */
cudaError_t allocate(void **ptr, size_t bytes)
{
    *ptr = nullptr;
    if (bytes == 0)
        return of_nothing();
    void *p = dev_alloc(bytes);
    if (!p) {
        drain_device(current_device);
        p = dev_alloc(bytes);
    }
    *ptr = p;
    return p ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t give_back(void *p)
{
    if (dev_free(p))
        return cudaSuccess;
    complain("cudaFreeAsync: %p is free already", p);
    return cudaErrorIllegalAddress;
}

cudaError_t fill(void *p, int value, size_t bytes, int device)
{
    if (!in_device(p, bytes, device, "cudaMemsetAsync"))
        return cudaErrorIllegalAddress;
    memset(p, value, bytes);
    mark_init(p, bytes, true);
    return cudaSuccess;
}

struct Copy {
    void *dst;
    const void *src;
    size_t bytes;
    bool to_device, from_device;
    int device;
};

bool is_valid(const Copy &c)
{
    if (c.to_device && !in_device(c.dst, c.bytes, c.device, "cudaMemcpyAsync: destination"))
        return false;
    if (c.from_device && !in_device(c.src, c.bytes, c.device, "cudaMemcpyAsync: source"))
        return false;
    if (!c.to_device && is_dev(c.dst))
        return complain("cudaMemcpyAsync: destination: %p is device memory", c.dst);
    if (!c.from_device && is_dev(c.src))
        return complain("cudaMemcpyAsync: source: %p is device memory", c.src);
    return true;
}

/* A host that reads what was never written has forgotten a kernel; a copy within the device only
 * passes that on. */
cudaError_t run_copy(const Copy &c)
{
    if (!is_valid(c))
        return cudaErrorIllegalAddress;
    if (c.from_device && !c.to_device &&
        !is_readable(c.src, c.bytes, c.device, "cudaMemcpyAsync: source"))
        return cudaErrorIllegalAddress;
    memmove(c.dst, c.src, c.bytes);
    if (c.to_device)
        mark_init(c.dst, c.bytes, !c.from_device || check_init(c.src, c.bytes));
    return cudaSuccess;
}

/* Pinned memory is read and written when the copy runs. Pageable memory is read at the call, and
 * written before it returns. */
cudaError_t copy(const Copy &c, Stream *stream)
{
    const char *first = static_cast<const char *>(c.src);
    const bool is_staged = !c.from_device && !is_pinned(c.src, c.bytes);
    const bool waits = !c.to_device && !is_pinned(c.dst, c.bytes);
    if (is_staged || waits)
        if (cudaError_t error = refuse_captured(stream))
            return error;
    std::shared_ptr<std::vector<char>> stage;
    if (is_staged)
        stage = std::make_shared<std::vector<char>>(first, first + c.bytes);
    cudaError_t error = submit(stream, [=] {
        Copy now = c;
        if (stage)
            now.src = stage->data();
        return run_copy(now);
    });
    if (waits)
        drain(stream);
    return error ? error : devices[c.device].sticky;
}

} // namespace

int64_t count_allocations()
{
    return static_cast<int64_t>(count_device_memory() + pinned.size());
}

void free_everything()
{
    free_device_memory();
    for (const auto &p : pinned)
        free(p.first);
    pinned.clear();
}

} // namespace sim

using namespace sim;

extern "C" {

cudaError_t cudaMalloc(void **ptr, size_t size)
{
    return api("cudaMalloc", WORK, [=] {
        if (cudaError_t error = refuse_while_capturing())
            return error;
        return allocate(ptr, size);
    });
}

cudaError_t cudaFree(void *ptr)
{
    return api("cudaFree", RELEASE, [=] {
        if (!ptr)
            return cudaSuccess;
        if (cudaError_t error = refuse_while_capturing())
            return error;
        drain_device(current_device);
        return dev_free(ptr) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

cudaError_t cudaMallocHost(void **ptr, size_t size)
{
    return api("cudaMallocHost", WORK, [=] {
        if (cudaError_t error = refuse_while_capturing())
            return error;
        char *p = static_cast<char *>(malloc(size ? size : 1));
        if (!p)
            return cudaErrorMemoryAllocation;
        pinned[p] = size;
        *ptr = p;
        return cudaSuccess;
    });
}

cudaError_t cudaFreeHost(void *ptr)
{
    return api("cudaFreeHost", RELEASE, [=] {
        if (!ptr)
            return cudaSuccess;
        if (cudaError_t error = refuse_while_capturing())
            return error;
        drain_everything();
        if (!pinned.erase(static_cast<char *>(ptr)))
            return cudaErrorInvalidValue;
        free(ptr);
        return cudaSuccess;
    });
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props)
{
    return api("cudaMemPoolCreate", WORK, [=] {
        const int device = props->location.id;
        if (props->allocType != cudaMemAllocationTypePinned ||
            props->handleTypes != cudaMemHandleTypeNone ||
            props->location.type != cudaMemLocationTypeDevice)
            return cudaErrorInvalidValue;
        if (device < 0 || device >= config.devices)
            return cudaErrorInvalidDevice;
        Pool *p = new Pool;
        p->device = device;
        publish(pool, p);
        return cudaSuccess;
    });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, enum cudaMemPoolAttr attr, void *value)
{
    return handle_api<Pool>("cudaMemPoolSetAttribute", WORK, pool, [=](Pool *) {
        const bool is_known = attr >= cudaMemPoolReuseFollowEventDependencies &&
                              attr <= cudaMemPoolAttrReleaseThreshold;
        return is_known && value ? cudaSuccess : cudaErrorInvalidValue;
    });
}

/* There is nothing to give back: a pool keeps no memory. */
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t)
{
    return api("cudaMemPoolTrimTo", WORK, [=] {
        return find<Pool>(pool) ? cudaSuccess : cudaErrorInvalidValue;
    });
}

/* What was allocated from it stays until it is freed. */
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    return destroy_handle<Pool>("cudaMemPoolDestroy", pool);
}

cudaError_t cudaMallocFromPoolAsync(void **ptr, size_t size, cudaMemPool_t pool,
                                    cudaStream_t stream)
{
    return stream_api("cudaMallocFromPoolAsync", WORK, stream, [=](Stream *s) {
        Pool *p = find<Pool>(pool);
        if (!p || p->device != s->device)
            return cudaErrorInvalidValue;
        if (cudaError_t error = refuse_captured(s))
            return error;
        return allocate(ptr, size);
    });
}

cudaError_t cudaFreeAsync(void *ptr, cudaStream_t stream)
{
    return stream_api("cudaFreeAsync", RELEASE, stream, [=](Stream *s) {
        if (!ptr)
            return cudaSuccess;
        if (cudaError_t error = refuse_captured(s))
            return error;
        size_t room;
        const size_t bytes = dev_size(ptr, &room);
        if (bytes == 0 || bytes != room)
            return cudaErrorInvalidValue;
        return submit(s, [=] { return give_back(ptr); }, RELEASE);
    });
}

cudaError_t cudaMemsetAsync(void *ptr, int value, size_t count, cudaStream_t stream)
{
    return stream_api("cudaMemsetAsync", WORK, stream, [=](Stream *s) {
        const int device = s->device;
        if (count == 0)
            return of_nothing();
        if (!in_device(ptr, count, device, "cudaMemsetAsync"))
            return cudaErrorInvalidValue;
        return submit(s, [=] { return fill(ptr, value, count, device); });
    });
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t count, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return stream_api("cudaMemcpyAsync", WORK, stream, [=](Stream *s) {
        if (count == 0)
            return of_nothing();
        Copy c = {dst, src, count, false, false, s->device};
        c.to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice ||
                      (kind == cudaMemcpyDefault && is_dev(dst));
        c.from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice ||
                        (kind == cudaMemcpyDefault && is_dev(src));
        return is_valid(c) ? copy(c, s) : cudaErrorInvalidValue;
    });
}

} // extern "C"
