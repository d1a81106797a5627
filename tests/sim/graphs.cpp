/* Captures and graphs of the simulated device. A capture takes the work of a stream as a list, and
 * a graph is that list. What may not be done while somebody captures is refused, or spoils it. */
#include "runtime.h"

namespace sim {

/* --- one thread at a time in heuristics and captures --------------------------------------- */

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

/* --- what a capture forbids ---------------------------------------------------------------- */

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

/* --- graphs -------------------------------------------------------------------------------- */

namespace {

typedef std::shared_ptr<std::vector<Work>> Nodes;

struct Graph : Object {
    Nodes nodes;
};

struct GraphExec : Object {
    Nodes nodes;
};

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
