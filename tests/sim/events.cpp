/* Events of the simulated device: a mark in a stream's queue, which is passed when the work before
 * it has run. */
#include "runtime.h"

namespace sim {
namespace {

/* One record of an event. */
struct Mark {
    Stream *stream;
    bool passed = false;
};

struct Event : Object {
    std::shared_ptr<Mark> mark; /* the last; none: as if passed */
};

bool is_pending(const Event *event)
{
    return event->mark && !event->mark->passed;
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" {

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

} // extern "C"
