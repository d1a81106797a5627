/* What the files of the fake CUDA runtime share, and the fake cuBLASLt builds on: how a call begins
 * and ends (runtime.cpp), handles, memory (arena.cpp, memory.cpp), work in a stream (streams.cpp),
 * events (events.cpp), captures and graphs (graphs.cpp).
 *
 * Where real hardware leaves a mistake of the host unseen, the simulation is the stricter one. */
#ifndef BPI_SIM_RUNTIME_H
#define BPI_SIM_RUNTIME_H

#include "simt_internal.h"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace sim {

/* Never destroyed, like all tables here: threads may call until the process has ended. */
extern std::recursive_mutex &mutex;

enum { MAX_DEVICES = 8 };

struct Device {
    cudaError_t sticky; /* the fault after which a device does nothing any more */
    size_t used_bytes;
};
extern Device devices[MAX_DEVICES];
extern thread_local int current_device;

/* What the architecture has: blocks of a cluster, shared memory of a block. */
static inline bool has_clusters() { return config.arch >= 90; }
static inline int most_cluster() { return has_clusters() ? (int)MOST_CLUSTER : 1; }
static inline int shared_optin() { return has_clusters() ? (int)SHARED_BYTES : 99 << 10; }

/* --- calls --------------------------------------------------------------------------------- */

/* What a call does after a fault of the device: WORK fails; QUERY does not look; RELEASE does its
 * work all the same, so that what is still alive at the end is a leak of the host code. */
enum Kind { WORK, QUERY, RELEASE };

/* Counts a call. The error a test wants of it, or 0. */
struct Injected {
    int error;
    bool any; /* it was meant for "*", so that it need not be an error of this library */
};
Injected injected(const char *name, Kind kind);

cudaError_t enter(const char *name, Kind kind);
cudaError_t leave(cudaError_t error, Kind kind);

template <typename Body> cudaError_t api(const char *name, Kind kind, Body body)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    cudaError_t error = enter(name, kind);
    return leave(error == cudaSuccess ? body() : error, kind);
}

/* Whether this thread has said which device it means. A call that needs one takes device 0
 * otherwise, which is not what the host code wants. */
bool has_device(const char *call);

/* Reports a mistake of the host code; false. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- handles ------------------------------------------------------------------------------- */

struct Object {
    int device = current_device;
    virtual ~Object() {}
};
extern std::set<Object *> &objects;

/* NULL if the handle is none, or of another kind. */
template <typename T, typename Handle> T *find(Handle handle)
{
    Object *object = reinterpret_cast<Object *>(handle);
    T *found = objects.count(object) ? dynamic_cast<T *>(object) : nullptr;
    if (!found)
        complain("%p is no handle of that kind", reinterpret_cast<void *>(handle));
    return found;
}

template <typename Handle> void publish(Handle *handle, Object *object)
{
    objects.insert(object);
    *handle = reinterpret_cast<Handle>(object);
}

static inline void discard(Object *object)
{
    objects.erase(object);
    delete object;
}

/* A call about a handle. */
template <typename T, typename Handle, typename Body>
cudaError_t handle_api(const char *name, Kind kind, Handle handle, Body body)
{
    return api(name, kind, [&] {
        T *object = find<T>(handle);
        return object ? body(object) : cudaErrorInvalidResourceHandle;
    });
}

template <typename T, typename Handle> cudaError_t destroy_handle(const char *name, Handle handle)
{
    return handle_api<T>(name, RELEASE, handle, [](T *object) {
        discard(object);
        return cudaSuccess;
    });
}

/* --- memory -------------------------------------------------------------------------------- */

/* Whether the bytes are of one allocation of the device; if not, says so with their name. */
bool in_device(const void *p, size_t bytes, int device, const char *name);
/* Whether, in addition, each has a value. */
bool is_readable(const void *p, size_t bytes, int device, const char *name);
void set_guard(bool on);
size_t count_device_memory(); /* allocations */
void free_device_memory();
int64_t count_allocations(); /* device and pinned */
void free_everything();

/* --- streams ------------------------------------------------------------------------------- */

/* Runs when its turn comes; an error is the device's from then on. */
typedef std::function<cudaError_t()> Work;

struct Task {
    Work work;
    Kind kind; /* RELEASE: also after a fault */
};

struct Stream : Object {
    std::deque<Task> queue;
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    std::thread::id thread; /* that captures */
    std::vector<Work> nodes;
};

template <typename Body> void for_each_stream(Body body)
{
    for (Object *object : objects)
        if (Stream *stream = dynamic_cast<Stream *>(object))
            body(stream);
}

static inline bool is_capturing(const Stream *stream)
{
    return stream->status != cudaStreamCaptureStatusNone;
}

/* Puts work in, or makes it a node. Unless lazy it runs at once, and its error is returned. */
cudaError_t submit(Stream *stream, Work work, Kind kind = WORK);
/* Runs the head of the queue. */
void step(Stream *stream);
void drain(Stream *stream);
void drain_device(int device);
void drain_everything();
void forget_kernels();

/* --- captures ------------------------------------------------------------------------------ */

/* While one lives, its thread is in a heuristic, and others may come. Complains of a thread that
 * comes while another is in one, or captures: CUDA forbids neither, but nothing says it works. */
class Alone {
public:
    explicit Alone(const char *call);
    ~Alone();
};
bool is_alone(const char *call);

/* Refuses a call for which a capturing stream has no node; the capture is spoiled. */
cudaError_t refuse_captured(Stream *stream);
/* Refuses a call that may wait: in a thread that captures, unless it does so relaxed, and in all
 * threads while one captures globally. The capture is spoiled. */
cudaError_t refuse_while_capturing();

/* --- calls about a stream ------------------------------------------------------------------ */

/* The stream, if it is of the current device. Hardware would forgive a copy for which it is not;
 * we always have our device current. The legacy stream is the host's, and no stream here. */
cudaError_t find_stream(cudaStream_t handle, Stream **stream);

template <typename Body>
cudaError_t stream_api(const char *name, Kind kind, cudaStream_t handle, Body body)
{
    return api(name, kind, [&] {
        Stream *stream = nullptr;
        cudaError_t error = find_stream(handle, &stream);
        return error == cudaSuccess ? body(stream) : error;
    });
}

} // namespace sim
#endif
