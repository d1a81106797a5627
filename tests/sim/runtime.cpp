/* The fake CUDA runtime: how its calls begin and end, devices, errors, and what a test controls.
 * Memory: arena.cpp, memory.cpp. Work: streams.cpp, events.cpp, graphs.cpp. cuBLASLt on top:
 * cublaslt.h.
 *
 * All of it compiles against the toolkit's own headers as well, so the prototypes are right. */
#include "runtime.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

namespace sim {

std::recursive_mutex &mutex = *new std::recursive_mutex;
std::set<Object *> &objects = *new std::set<Object *>;
Device devices[MAX_DEVICES];
thread_local int current_device;

namespace {

thread_local bool device_is_set;
thread_local cudaError_t last_call_error; /* what cudaGetLastError tells this thread */

struct Fault {
    int nth; /* call from now */
    int error;
};
std::map<std::string, Fault> &faults = *new std::map<std::string, Fault>;
std::map<std::string, int64_t> &counts = *new std::map<std::string, int64_t>;

/* The error of the fault, if this is the call it waited for. */
int take_fault(const char *key)
{
    auto fault = faults.find(key);
    if (fault == faults.end() || --fault->second.nth > 0)
        return 0;
    const int error = fault->second.error;
    faults.erase(fault);
    return error;
}

} // namespace

/* A release that fails leaks by its nature, so only its own name makes it. */
Injected injected(const char *name, Kind kind)
{
    counts[name]++;
    const int named = take_fault(name);
    int any = 0;
    if (kind != RELEASE) {
        counts["*"]++;
        any = take_fault("*");
    }
    return named ? Injected{named, false} : Injected{any, true};
}

cudaError_t enter(const char *name, Kind kind)
{
    if (config.devices < 0)
        return cudaErrorInsufficientDriver;
    if (config.devices == 0)
        return cudaErrorNoDevice;
    if (int error = injected(name, kind).error)
        return static_cast<cudaError_t>(error);
    if (kind != QUERY && !has_device(name))
        return cudaErrorInvalidDevice;
    return kind == WORK ? devices[current_device].sticky : cudaSuccess;
}

bool has_device(const char *call)
{
    return device_is_set || complain("%s: before cudaSetDevice", call);
}

cudaError_t leave(cudaError_t error, Kind kind)
{
    if (error == cudaSuccess && kind == RELEASE)
        error = devices[current_device].sticky;
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_call_error = error;
    return error;
}

bool complain(const char *format, ...)
{
    char text[400] = "simulated device: ";
    const size_t start = strlen(text);
    va_list args;
    va_start(args, format);
    vsnprintf(text + start, sizeof text - start, format, args);
    va_end(args);
    report_error(text);
    return false;
}

/* --- what a test controls ------------------------------------------------------------------- */

namespace {

typedef std::lock_guard<std::recursive_mutex> Lock;

void control_order(sim_order order, uint64_t seed)
{
    Lock lock(mutex);
    config.order = order;
    seed_random(seed);
}

void control_lazy(int on)
{
    Lock lock(mutex);
    drain_everything();
    config.lazy = on;
}

void control_devices(int count)
{
    Lock lock(mutex);
    config.devices = count < MAX_DEVICES ? count : (int)MAX_DEVICES;
}

void control_memory(size_t bytes)
{
    Lock lock(mutex);
    config.memory_bytes = bytes;
}

void control_guard(int on)
{
    Lock lock(mutex);
    set_guard(on);
}

void control_fail(const char *name, int nth, int error)
{
    Lock lock(mutex);
    faults.erase(name);
    if (nth)
        faults[name] = Fault{nth, error};
}

int64_t control_calls(const char *name)
{
    Lock lock(mutex);
    if (strcmp(name, "kernel:read") == 0)
        return bytes_read;
    if (strcmp(name, "kernel:write") == 0)
        return bytes_written;
    return strcmp(name, "kernel:wait") ? counts[name] : arrivals;
}

void control_reset()
{
    Lock lock(mutex);
    while (!objects.empty())
        discard(*objects.begin());
    free_everything();
    forget_kernels();
    faults.clear();
    counts.clear();
    last_error.clear();
    for (Device &device : devices)
        device.sticky = cudaSuccess;
    last_call_error = cudaSuccess;
    current_device = 0;
}

size_t control_live_bytes()
{
    Lock lock(mutex);
    size_t bytes = 0;
    for (const Device &device : devices)
        bytes += device.used_bytes;
    return bytes;
}

int64_t control_live_allocations()
{
    Lock lock(mutex);
    return count_allocations();
}

int64_t control_live_objects()
{
    Lock lock(mutex);
    return (int64_t)objects.size();
}

void control_expect_error(int on)
{
    Lock lock(mutex);
    config.expect_error = on;
    last_error.clear();
}

const char *control_last_error()
{
    Lock lock(mutex);
    return last_error.c_str();
}

int control_checks_accesses()
{
    return checks_accesses();
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" {

__attribute__((visibility("default"))) const struct sim_control *bpi_sim_control(void)
{
    static const sim_control control = {
        control_order, control_lazy, control_devices, control_memory, control_guard,
        control_fail, control_calls, control_reset,
        control_live_bytes, control_live_allocations, control_live_objects,
        control_expect_error, control_last_error, control_checks_accesses};
    return &control;
}

/* --- devices --------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    return api("cudaGetDeviceCount", QUERY, [=] {
        *count = config.devices;
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device)
{
    return api("cudaSetDevice", QUERY, [=] {
        if (device < 0 || device >= config.devices)
            return cudaErrorInvalidDevice;
        current_device = device;
        device_is_set = true;
        return cudaSuccess;
    });
}

static cudaError_t describe(struct cudaDeviceProp *prop, int device)
{
    if (device < 0 || device >= config.devices)
        return cudaErrorInvalidDevice;
    *prop = cudaDeviceProp();
    snprintf(prop->name, sizeof prop->name, "simulated device");
    prop->major = config.arch / 10;
    prop->minor = config.arch % 10;
    prop->multiProcessorCount = 4;
    prop->totalGlobalMem = config.memory_bytes;
    prop->l2CacheSize = 4 << 20;
    prop->sharedMemPerBlockOptin = shared_optin();
    prop->memoryPoolsSupported = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    return api("cudaGetDeviceProperties", QUERY, [=] { return describe(prop, device); });
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
    return api("cudaDeviceGetAttribute", QUERY, [=] {
        cudaDeviceProp prop;
        if (cudaError_t error = describe(&prop, device))
            return error;
        const std::map<cudaDeviceAttr, int> values = {
            {cudaDevAttrMultiProcessorCount, prop.multiProcessorCount},
            {cudaDevAttrComputeCapabilityMajor, prop.major},
            {cudaDevAttrComputeCapabilityMinor, prop.minor},
            {cudaDevAttrMaxSharedMemoryPerBlockOptin, (int)prop.sharedMemPerBlockOptin},
            {cudaDevAttrMemoryPoolsSupported, prop.memoryPoolsSupported}};
        auto found = values.find(attr);
        if (found == values.end())
            return cudaErrorInvalidValue;
        *value = found->second;
        return cudaSuccess;
    });
}

/* Without a driver its version is 0, which is no error. */
cudaError_t cudaDriverGetVersion(int *version)
{
    *version = config.devices < 0 ? 0 : CUDART_VERSION;
    if (config.devices <= 0)
        return cudaSuccess;
    return api("cudaDriverGetVersion", QUERY, [] { return cudaSuccess; });
}

/* --- errors ---------------------------------------------------------------------------------- */

cudaError_t cudaGetLastError(void)
{
    const cudaError_t sticky = devices[current_device].sticky;
    const cudaError_t error = sticky == cudaSuccess ? last_call_error : sticky;
    last_call_error = cudaSuccess;
    return error;
}

const char *cudaGetErrorName(cudaError_t error)
{
#define NAMED(name) {name, #name}
    static const auto &names = *new std::map<cudaError_t, const char *>{
        NAMED(cudaSuccess),
        NAMED(cudaErrorInvalidValue),
        NAMED(cudaErrorMemoryAllocation),
        NAMED(cudaErrorInvalidConfiguration),
        NAMED(cudaErrorInsufficientDriver),
        NAMED(cudaErrorNoDevice),
        NAMED(cudaErrorInvalidDevice),
        NAMED(cudaErrorECCUncorrectable),
        NAMED(cudaErrorInvalidResourceHandle),
        NAMED(cudaErrorIllegalState),
        NAMED(cudaErrorNotReady),
        NAMED(cudaErrorIllegalAddress),
        NAMED(cudaErrorLaunchFailure),
        NAMED(cudaErrorNotSupported),
        NAMED(cudaErrorStreamCaptureUnsupported),
        NAMED(cudaErrorStreamCaptureInvalidated),
        NAMED(cudaErrorStreamCaptureWrongThread)};
#undef NAMED
    auto found = names.find(error);
    return found == names.end() ? "unrecognized error code" : found->second;
}

const char *cudaGetErrorString(cudaError_t error)
{
    return cudaGetErrorName(error);
}

} // extern "C"
