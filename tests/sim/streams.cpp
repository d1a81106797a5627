/* Streams of the simulated device, what runs in them, and how it is waited for or made a graph.
 *
 * A stream is a queue. Its head runs when the work is given, or, if lazy, when somebody waits for
 * it: host code that forgets to wait then finds what was there before. There is no work across
 * streams, so their order does not matter. A graph is the list of work that a capture took. */
#include "runtime.h"

#include <map>

namespace sim {
namespace {

const size_t LONGEST_QUEUE = 1024;

std::map<const void *, size_t> &shared_limits = *new std::map<const void *, size_t>;

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

template <typename Body> void for_each_stream(Body body)
{
    for (Object *object : objects)
        if (Stream *stream = dynamic_cast<Stream *>(object))
            body(stream);
}

bool is_capturing(const Stream *stream)
{
    return stream->status != cudaStreamCaptureStatusNone;
}

} // namespace

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

static std::thread::id &in_heuristic = *new std::thread::id;

bool is_alone(const char *call)
{
    const std::thread::id us = std::this_thread::get_id(), nobody;
    bool alone = in_heuristic == nobody || in_heuristic == us;
    for_each_stream([&](Stream *stream) {
        alone = alone && (!is_capturing(stream) || stream->thread == us);
    });
    return alone || complain("%s: another thread is in a heuristic or a capture", call);
}

/* The threads that have been in a heuristic, and live. */
static int &visitors = *new int;
struct Visitor {
    Visitor() { visitors++; }
    ~Visitor()
    {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        visitors--;
    }
};

Alone::Alone(const char *call)
{
    bool others;
    {
        std::lock_guard<std::recursive_mutex> lock(mutex);
        if (is_alone(call))
            in_heuristic = std::this_thread::get_id();
        static thread_local Visitor visitor;
        (void)visitor;
        others = visitors > 1;
    }
    for (int i = 0; others && i < 20; i++)
        std::this_thread::yield();
}

Alone::~Alone()
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    if (in_heuristic == std::this_thread::get_id())
        in_heuristic = std::thread::id();
}

cudaError_t refuse_captured(Stream *stream)
{
    if (!is_capturing(stream))
        return cudaSuccess;
    stream->status = cudaStreamCaptureStatusInvalidated;
    return cudaErrorStreamCaptureUnsupported;
}

/* What calls of this thread may do to captures, its own and those of others. */
static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

cudaError_t refuse_while_capturing()
{
    cudaError_t error = cudaSuccess;
    if (thread_mode == cudaStreamCaptureModeRelaxed)
        return cudaSuccess;
    for_each_stream([&](Stream *stream) {
        const bool is_ours = stream->thread == std::this_thread::get_id();
        if (stream->mode == cudaStreamCaptureModeGlobal ||
            (stream->mode == cudaStreamCaptureModeThreadLocal && is_ours))
            if (refuse_captured(stream))
                error = cudaErrorStreamCaptureUnsupported;
    });
    return error;
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

namespace {

/* One record of an event. */
struct Mark {
    Stream *stream;
    bool passed = false;
};

struct Event : Object {
    std::shared_ptr<Mark> mark; /* the last; none: as if passed */
};

typedef std::shared_ptr<std::vector<Work>> Nodes;

struct Graph : Object {
    Nodes nodes;
};

struct GraphExec : Object {
    Nodes nodes;
};

bool is_pending(const Event *event)
{
    return event->mark && !event->mark->passed;
}

void end_capture(cudaStream_t handle)
{
    if (Stream *stream = find<Stream>(handle)) {
        stream->status = cudaStreamCaptureStatusNone;
        stream->nodes.clear();
    }
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" {

/* --- streams -------------------------------------------------------------------------------- */

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

cudaError_t cudaFuncSetAttribute(const void *func, enum cudaFuncAttribute attr, int value)
{
    return api("cudaFuncSetAttribute", WORK, [=] {
        const bool is_allowed = value >= 0 && value <= SHARED_BYTES;
        if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize || !is_allowed)
            return cudaErrorInvalidValue;
        shared_limits[func] = value;
        return cudaSuccess;
    });
}

/* --- events --------------------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int)
{
    return api("cudaEventCreateWithFlags", WORK, [=] {
        publish(event, new Event);
        return cudaSuccess;
    });
}

/* In a captured stream it would order streams against each other, which nobody here does. */
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return stream_api("cudaEventRecord", WORK, stream, [=](Stream *s) {
        Event *e = find<Event>(event);
        if (!e || e->device != s->device)
            return cudaErrorInvalidResourceHandle;
        if (cudaError_t error = refuse_captured(s))
            return error;
        auto mark = std::make_shared<Mark>();
        mark->stream = s;
        e->mark = mark;
        auto pass = [=] {
            mark->passed = true;
            return cudaSuccess;
        };
        return submit(s, pass, RELEASE);
    });
}

/* Not ready is said once for each piece of work before it, so that whoever polls gets to an end. */
cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return handle_api<Event>("cudaEventQuery", WORK, event, [](Event *e) {
        if (cudaError_t error = refuse_while_capturing())
            return error;
        if (!is_pending(e))
            return cudaSuccess;
        step(e->mark->stream);
        return cudaErrorNotReady;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return handle_api<Event>("cudaEventSynchronize", WORK, event, [](Event *e) {
        if (cudaError_t error = refuse_while_capturing())
            return error;
        while (is_pending(e))
            step(e->mark->stream);
        return devices[e->device].sticky;
    });
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return destroy_handle<Event>("cudaEventDestroy", event);
}

/* --- graphs --------------------------------------------------------------------------------- */

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    return api("cudaThreadExchangeStreamCaptureMode", QUERY, [=] {
        if (!has_device("cudaThreadExchangeStreamCaptureMode"))
            return cudaErrorIllegalState;
        std::swap(*mode, thread_mode);
        return cudaSuccess;
    });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
    return stream_api("cudaStreamBeginCapture", WORK, stream, [=](Stream *s) {
        if (is_capturing(s) || !is_alone("cudaStreamBeginCapture"))
            return cudaErrorIllegalState;
        s->status = cudaStreamCaptureStatusActive;
        s->mode = mode;
        s->thread = std::this_thread::get_id();
        return cudaSuccess;
    });
}

/* Ends the capture even when it fails. */
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    *graph = nullptr;
    cudaError_t error = handle_api<Stream>("cudaStreamEndCapture", WORK, stream, [=](Stream *s) {
        if (!is_capturing(s))
            return cudaErrorIllegalState;
        if (s->mode != cudaStreamCaptureModeRelaxed && s->thread != std::this_thread::get_id())
            return cudaErrorStreamCaptureWrongThread;
        if (s->status == cudaStreamCaptureStatusInvalidated)
            return cudaErrorStreamCaptureInvalidated;
        Graph *g = new Graph;
        g->nodes = std::make_shared<std::vector<Work>>(std::move(s->nodes));
        publish(graph, g);
        return cudaSuccess;
    });
    if (error != cudaErrorStreamCaptureWrongThread)
        end_capture(stream);
    return error;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph,
                                          unsigned long long flags)
{
    return handle_api<Graph>("cudaGraphInstantiateWithFlags", WORK, graph, [=](Graph *g) {
        if (flags)
            return cudaErrorInvalidValue;
        GraphExec *e = new GraphExec;
        e->nodes = g->nodes;
        publish(exec, e);
        return cudaSuccess;
    });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    return handle_api<Graph>("cudaGraphGetNodes", WORK, graph, [=](Graph *g) {
        if (nodes) /* nobody asks what they are */
            return cudaErrorInvalidValue;
        *count = g->nodes->size();
        return cudaSuccess;
    });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    return stream_api("cudaGraphUpload", WORK, stream, [=](Stream *s) {
        return find<GraphExec>(exec) ? refuse_captured(s) : cudaErrorInvalidValue;
    });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    return stream_api("cudaGraphLaunch", WORK, stream, [=](Stream *s) {
        GraphExec *e = find<GraphExec>(exec);
        if (!e || e->device != s->device)
            return cudaErrorInvalidValue;
        if (cudaError_t error = refuse_captured(s))
            return error;
        const Nodes nodes = e->nodes;
        return submit(s, [=] {
            for (const Work &work : *nodes)
                if (cudaError_t error = work())
                    return error;
            return cudaSuccess;
        });
    });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return destroy_handle<Graph>("cudaGraphDestroy", graph);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    return destroy_handle<GraphExec>("cudaGraphExecDestroy", exec);
}

} // extern "C"
