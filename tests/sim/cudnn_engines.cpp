/* The engines of the fake cuDNN. They have the defects that their notes state, and those come
 * first: who chooses without reading the notes gets wrong values, other bits each time, or no
 * memory. BPCUDA_SIM_CUDNN_LOOSE=1: none is right. What NVIDIA does not document has two answers
 * (config.undocumented): the order in which engines are offered; whether a plan of each can be
 * made; whether mode A offers one that is strict for the gradient of a filter, and any for a graph
 * of more than the convolution. */
#include "cudnn.h"

#include <algorithm>
#include <cstdlib>

namespace sim {
namespace {

int64_t no_bytes(const Problem &)
{
    return 0;
}

int64_t a_gigabyte(const Problem &)
{
    return int64_t(1) << 30;
}

/* As engines do that turn NHWC into NCHW and back. */
int64_t copies(const Problem &p)
{
    return (elements_of(p.x) + elements_of(p.y)) * size_of(p.x.type);
}

enum { WITH_COPIES = 44, PLAIN = 0 };

const std::vector<Engine> &engines = *new std::vector<Engine>{
    {100, ROUNDS_TO_TF32, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, no_bytes},
    {101, ROUNDS_TO_BF16, {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, no_bytes},
    {102, ADDS_AT_RANDOM, {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, no_bytes},
    {105, ROUNDS_MORE, {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4},
     no_bytes},
    {103, RIGHT, {}, a_gigabyte},
    {WITH_COPIES, RIGHT, {}, copies},
    {PLAIN, RIGHT, {}, no_bytes},
};

/* Doubles are not rounded. */
bool serves(const Engine &e, const Problem &p)
{
    return e.defect == RIGHT || e.defect == ADDS_AT_RANDOM || p.x.type == CUDNN_DATA_FLOAT;
}

bool is_offered(const Engine &e, const Problem &p, cudnnBackendHeurMode_t mode)
{
    const char *loose = getenv("BPCUDA_SIM_CUDNN_LOOSE");
    if ((loose && strcmp(loose, "1") == 0 && e.defect == RIGHT) ||
        (config.undocumented && p.has_bias))
        return false;
    if (mode == CUDNN_HEUR_MODE_FALLBACK)
        return e.index == PLAIN;
    if (config.undocumented && p.direction == FILTER_GRADIENT && e.defect == RIGHT)
        return false;
    return mode == CUDNN_HEUR_MODE_A;
}

Described configuration_of(const Engine &e, const std::shared_ptr<const Problem> &problem)
{
    auto engine = std::make_shared<Descriptor>();
    engine->type = CUDNN_BACKEND_ENGINE_DESCRIPTOR;
    engine->is_final = true;
    engine->problem = problem;
    engine->engine = &e;
    engine->put<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, {e.index});
    engine->put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, e.notes);
    auto configuration = std::make_shared<Descriptor>();
    configuration->type = CUDNN_BACKEND_ENGINECFG_DESCRIPTOR;
    configuration->is_final = true;
    configuration->put(CUDNN_ATTR_ENGINECFG_ENGINE, {engine});
    return configuration;
}

/* Whether a heuristic knows for which device: that of the graph's handle, or one described. */
bool has_device(const Descriptor &heuristic, const Descriptor &graph)
{
    if (heuristic.has(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP))
        return heuristic.descriptor(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP).type ==
               CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
    if (!graph.has(CUDNN_ATTR_OPERATIONGRAPH_HANDLE))
        return false;
    const Handle *handle = find<Handle>(graph.get<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE));
    return handle && handle->device == current_device;
}

} // namespace

cudnnStatus_t choose_engines(Descriptor *d)
{
    const Descriptor &graph = d->descriptor(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    if (graph.type != CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
        complain("cuDNN: a heuristic of a descriptor of type %d", graph.type);
        return CUDNN_STATUS_BAD_PARAM;
    }
    const auto mode = d->get<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE);
    std::vector<Described> found;
    if (graph.problem && has_device(*d, graph))
        for (const Engine &e : engines)
            if (serves(e, *graph.problem) && is_offered(e, *graph.problem, mode))
                found.push_back(configuration_of(e, graph.problem));
    if (config.undocumented && found.size() > 2)
        std::rotate(found.begin(), found.begin() + 2, found.end());
    d->put(CUDNN_ATTR_ENGINEHEUR_RESULTS, found);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t configure_engine(Descriptor *d)
{
    return d->descriptor(CUDNN_ATTR_ENGINECFG_ENGINE).type == CUDNN_BACKEND_ENGINE_DESCRIPTOR
               ? CUDNN_STATUS_SUCCESS
               : CUDNN_STATUS_BAD_PARAM;
}

/* A plan may load code, which a capture does not allow. */
cudnnStatus_t make_plan(Descriptor *d)
{
    if (!d->has(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG))
        return CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED;
    const Descriptor &configuration = d->descriptor(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (configuration.type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR ||
        (d->has(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) &&
         !find<Handle>(d->get<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE))))
        return CUDNN_STATUS_BAD_PARAM;
    if (refuse_while_capturing())
        return CUDNN_STATUS_EXECUTION_FAILED;
    const Descriptor &engine = configuration.descriptor(CUDNN_ATTR_ENGINECFG_ENGINE);
    if (config.undocumented && engine.engine->index == WITH_COPIES)
        return CUDNN_STATUS_NOT_SUPPORTED;
    d->problem = engine.problem;
    d->engine = engine.engine;
    d->put<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                    {d->engine->workspace_bytes(*d->problem)});
    return CUDNN_STATUS_SUCCESS;
}

} // namespace sim
