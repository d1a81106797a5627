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

/* The knob that engines have, and what heuristics turn it to. */
enum { TILE_SIZE = 2, TILES = 8, CHOSEN_TILE = 5 };

const std::vector<Engine> &engines = *new std::vector<Engine>{
    {100, ROUNDS_TO_TF32, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, no_bytes, TILES},
    {101, ROUNDS_TO_BF16, {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, no_bytes, TILES},
    {102, ADDS_AT_RANDOM, {CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, no_bytes, 0},
    {105, ROUNDS_MORE, {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4},
     no_bytes, 0},
    {103, RIGHT, {}, a_gigabyte, 0},
    {WITH_COPIES, RIGHT, {}, copies, TILES},
    {PLAIN, RIGHT, {}, no_bytes, 0},
};

/* Doubles are not rounded. */
bool serves(const Engine &e, const Problem &p)
{
    return e.defect == RIGHT || e.defect == ADDS_AT_RANDOM || p.x.type == CUDNN_DATA_FLOAT;
}

/* Whether there is such an engine for the graph. */
bool is_there(const Engine &e, const Problem &p)
{
    const char *loose = getenv("BPCUDA_SIM_CUDNN_LOOSE");
    return serves(e, p) && !(loose && strcmp(loose, "1") == 0 && e.defect == RIGHT) &&
           !(config.undocumented && p.has_bias);
}

bool is_offered(const Engine &e, const Problem &p, cudnnBackendHeurMode_t mode)
{
    if (!is_there(e, p))
        return false;
    if (mode == CUDNN_HEUR_MODE_FALLBACK)
        return e.index == PLAIN;
    if (config.undocumented && p.direction == FILTER_GRADIENT && e.defect == RIGHT)
        return false;
    return mode == CUDNN_HEUR_MODE_A;
}

void become(Descriptor *d, const Engine &e, const std::shared_ptr<const Problem> &problem)
{
    d->problem = problem;
    d->engine = &e;
    d->put(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, e.notes);
}

std::shared_ptr<Descriptor> final_one(cudnnBackendDescriptorType_t type)
{
    auto d = std::make_shared<Descriptor>();
    d->type = type;
    d->is_final = true;
    return d;
}

Described configuration_of(const Engine &e, const std::shared_ptr<const Problem> &problem)
{
    auto engine = final_one(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    engine->put<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, {e.index});
    become(engine.get(), e, problem);
    auto configuration = final_one(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    configuration->put(CUDNN_ATTR_ENGINECFG_ENGINE, {engine});
    if (e.tiles) {
        auto knob = final_one(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        knob->put<int>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, {TILE_SIZE});
        knob->put<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, {CHOSEN_TILE});
        configuration->put(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, {knob});
        configuration->tile = CHOSEN_TILE;
    }
    return configuration;
}

/* Whether what thinks of a graph knows for which device: that of the graph's handle, or one that is
 * described to it. */
bool has_device(const Descriptor &thinker, int described, const Descriptor &graph)
{
    if (thinker.has(described))
        return thinker.descriptor(described).type == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
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
    if (int error = injected("cudnnBackendFinalize:heuristic", RELEASE).error)
        return static_cast<cudnnStatus_t>(error);
    const auto mode = d->get<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE);
    std::vector<Described> found;
    if (graph.problem && has_device(*d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, graph))
        for (const Engine &e : engines)
            if (serves(e, *graph.problem) && is_offered(e, *graph.problem, mode))
                found.push_back(configuration_of(e, graph.problem));
    if (config.undocumented && found.size() > 2)
        std::rotate(found.begin(), found.begin() + 2, found.end());
    d->put(CUDNN_ATTR_ENGINEHEUR_RESULTS, found);
    return CUDNN_STATUS_SUCCESS;
}

/* An engine by its number. */
cudnnStatus_t find_engine(Descriptor *d)
{
    if (!d->has(CUDNN_ATTR_ENGINE_OPERATION_GRAPH))
        return CUDNN_STATUS_BAD_PARAM_NULL_POINTER;
    const Descriptor &graph = d->descriptor(CUDNN_ATTR_ENGINE_OPERATION_GRAPH);
    const auto index = d->get<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
    for (const Engine &e : engines)
        if (e.index == index && graph.problem && is_there(e, *graph.problem)) {
            if (!has_device(*d, CUDNN_ATTR_ENGINE_DEVICEPROP, graph))
                return CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH;
            become(d, e, graph.problem);
            return CUDNN_STATUS_SUCCESS;
        }
    return CUDNN_STATUS_NOT_SUPPORTED;
}

cudnnStatus_t configure_engine(Descriptor *d)
{
    const Descriptor &engine = d->descriptor(CUDNN_ATTR_ENGINECFG_ENGINE);
    if (engine.type != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
        return CUDNN_STATUS_BAD_PARAM;
    if (d->has(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES))
        for (const Described &knob : d->descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES)) {
            d->tile = knob->get<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE);
            if (knob->get<int>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE) != TILE_SIZE || d->tile < 0 ||
                d->tile >= engine.engine->tiles)
                return CUDNN_STATUS_NOT_SUPPORTED;
        }
    return CUDNN_STATUS_SUCCESS;
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
    d->tile = configuration.tile;
    d->put<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64,
                    {d->engine->workspace_bytes(*d->problem)});
    return CUDNN_STATUS_SUCCESS;
}

} // namespace sim
