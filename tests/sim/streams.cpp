/* Streams of the simulated device, and what runs in them.
 *
 * A stream is a queue. Its head runs when the work is given, or, if lazy, when somebody waits for
 * it: host code that forgets to wait then finds what was there before. There is no work across
 * streams, so their order does not matter. Events: events.cpp. Captures and graphs: graphs.cpp. */
#include "runtime.h"

#include <map>

namespace sim {

static const size_t LONGEST_QUEUE = 1024;

static std::map<const void *, size_t> &shared_limits = *new std::map<const void *, size_t>;

void step(Stream *stream)
{
    Device &device = devices[stream->device];
    Task task = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (device.sticky != cudaSuccess && task.kind != RELEASE)
        return;
    dev_open();
    cudaError_t error = task.work();
    dev_close();
    if (device.sticky == cudaSuccess)
        device.sticky = error;
}

void drain(Stream *stream)
{
    while (!stream->queue.empty())
        step(stream);
}

void drain_device(int device)
{
    for_each_stream([=](Stream *stream) {
        if (stream->device == device)
            drain(stream);
    });
}

void drain_everything()
{
    for_each_stream(drain);
}

cudaError_t submit(Stream *stream, Work work, Kind kind)
{
    if (stream->status == cudaStreamCaptureStatusInvalidated)
        return cudaErrorStreamCaptureInvalidated;
    if (is_capturing(stream)) {
        stream->nodes.push_back(std::move(work));
        return cudaSuccess;
    }
    stream->queue.push_back(Task{std::move(work), kind});
    if (!config.lazy)
        drain(stream);
    else if (stream->queue.size() > LONGEST_QUEUE)
        step(stream);
    return devices[stream->device].sticky;
}

cudaError_t find_stream(cudaStream_t handle, Stream **stream)
{
    *stream = find<Stream>(handle);
    if (!*stream || (*stream)->device != current_device)
        return cudaErrorInvalidResourceHandle;
    return cudaSuccess;
}

cudaError_t launch(const Launch &launch, cudaStream_t stream)
{
    return stream_api("kernel:launch", WORK, stream, [&](Stream *s) {
        const unsigned threads = launch.threads.x, blocks = launch.blocks.x;
        if (launch.cluster > (unsigned)most_cluster() || blocks % launch.cluster != 0)
            return cudaErrorInvalidClusterSize;
        if (threads == 0 || threads > BLOCK_THREADS || blocks == 0 || blocks > INT32_MAX)
            return cudaErrorInvalidConfiguration;
        auto limit = shared_limits.find(launch.kernel);
        const bool is_asked_for = limit != shared_limits.end();
        if (launch.shared_bytes > (is_asked_for ? limit->second : (size_t)SHARED_STATIC))
            return cudaErrorInvalidValue;
        const char *args = static_cast<const char *>(launch.args);
        auto kept = std::make_shared<std::vector<char>>(args, args + launch.args_bytes);
        return submit(s, [launch, kept] {
            if (int error = injected("kernel:run", WORK).error)
                return static_cast<cudaError_t>(error);
            Launch with_kept = launch;
            with_kept.args = kept->data();
            return run_kernel(with_kept) ? cudaSuccess : cudaErrorLaunchFailure;
        });
    });
}

void forget_kernels()
{
    shared_limits.clear();
}

} // namespace sim

using namespace sim;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    return api("cudaStreamCreateWithFlags", WORK, [=] {
        if (flags != cudaStreamNonBlocking) { /* others wait for the host's legacy stream */
            complain("cudaStreamCreateWithFlags: flags %u", flags);
            return cudaErrorInvalidValue;
        }
        publish(stream, new Stream);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return handle_api<Stream>("cudaStreamDestroy", RELEASE, stream, [](Stream *s) {
        drain(s);
        discard(s);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return handle_api<Stream>("cudaStreamSynchronize", WORK, stream, [](Stream *s) {
        if (cudaError_t error = refuse_captured(s))
            return error;
        if (cudaError_t error = refuse_while_capturing())
            return error;
        drain(s);
        return devices[s->device].sticky;
    });
}

cudaError_t cudaDeviceSynchronize(void)
{
    return api("cudaDeviceSynchronize", WORK, [] {
        if (cudaError_t error = refuse_while_capturing())
            return error;
        drain_device(current_device);
        return devices[current_device].sticky;
    });
}

cudaError_t cudaFuncSetAttribute(const void *func, enum cudaFuncAttribute attr, int value)
{
    return api("cudaFuncSetAttribute", WORK, [=] {
        const bool is_allowed = value >= 0 && value <= shared_optin();
        if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize || !is_allowed)
            return cudaErrorInvalidValue;
        shared_limits[func] = value;
        return cudaSuccess;
    });
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attr, const void *)
{
    return api("cudaFuncGetAttributes", WORK, [=] {
        *attr = cudaFuncAttributes();
        attr->ptxVersion = attr->binaryVersion = config.arch;
        return cudaSuccess;
    });
}

cudaError_t cudaOccupancyMaxPotentialClusterSize(int *size, const void *,
                                                 const cudaLaunchConfig_t *)
{
    return api("cudaOccupancyMaxPotentialClusterSize", WORK, [=] {
        *size = most_cluster();
        return has_clusters() ? cudaSuccess : cudaErrorNotSupported;
    });
}

} // extern "C"
