/* Making the plan of a convolution: it is described as a graph (cudnn_describe.c), and cuDNN is
 * asked what it offers, best first (mode A, then what it falls back to). The first configuration
 * is taken whose notes and workspace fit. That choice is kept in words (cudnn_choice.c), and cuDNN
 * is not asked where there is one already, if it would be taken now.
 *
 * One that adds in no fixed order, or rounds more than a sum of products does, is never taken; one
 * that uses tensor cores, which for f32 are TF32, only where the program asked for TF32. Where none
 * is left that is an error. A workspace may have twice the bytes of the operands (to turn them to
 * another layout and back): the choice follows from shapes, not from what memory is free. */
#include <stdbool.h>
#include <string.h>

#include "cuda/cudnn_describe.h"

/* Kept where nothing will do of what is fused, which is then done in parts. */
#define NO_PLAN "none"

static int64_t most_workspace(const bpi_convolution *key)
{
    const int64_t *size[] = {key->x, key->w, key->y};
    int64_t elements = 0;
    for (int i = 0; i < LENGTH(size); i++)
        elements += size[i][0] * size[i][1] * size[i][2] * size[i][3];
    return BPI_CUDA_WORKSPACE + 2 * elements * (key->dtype == BP_F64 ? 8 : 4);
}

/* What rounds more than a sum of products does: what goes in, on the way, or by adding up something
 * else, where a NaN would spread as well. */
#define BIT_OF(note) (1u << ((unsigned)(note) & 31))
static const uint32_t not_strict = BIT_OF(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_FFT) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13);

/* Reads the notes of a configuration; counts it. */
static bp_status judge(builder *b, descriptor configuration, bpi_conv_plan *p, bool *fits,
                       int64_t *number)
{
    cudnnBackendNumericalNote_t note[32];
    int64_t n = 0;
    descriptor engine;
    uint32_t notes = 0;
    BPI_TRY(bpi_cudnn_create(b, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
    DNN_TRY(b->d, BackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine));
    DNN_TRY(b->d, BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                      &n, number));
    DNN_TRY(b->d, BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                      CUDNN_TYPE_NUMERICAL_NOTE, LENGTH(note), &n, note));
    for (int64_t i = 0; i < n; i++)
        notes |= BIT_OF(note[i]);
    if (b->key->precision == BP_PRECISION_TF32)
        notes &= ~BIT_OF(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    const bool deterministic = !(notes & BIT_OF(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
    p->offered++;
    p->deterministic += deterministic;
    p->strict += *fits = deterministic && !(notes & not_strict);
    return BP_OK;
}

/* The plan of a configuration, unless cuDNN then has none, or it wants too much memory. */
static bp_status try_plan(builder *b, descriptor configuration, bpi_conv_plan *p)
{
    const bpi_cudnn *cudnn = b->d->cudnn;
    const attribute a[] = {
        ATTR(EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, 1, &configuration),
        cudnn->described
            ? (attribute)ATTR(EXECUTION_PLAN_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &cudnn->described)
            : (attribute)ATTR(EXECUTION_PLAN_HANDLE, HANDLE, 1, &cudnn->handle)};
    descriptor plan;
    int64_t n;
    BPI_TRY(bpi_cudnn_create(b, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan));
    BPI_TRY(bpi_cudnn_fill(b->d, plan, a, LENGTH(a)));
    const cudnnStatus_t status = cudnn->call.BackendFinalize(plan);
    if (bpi_cudnn_says_no(status))
        return BP_OK;
    BPI_TRY(bpi_cudnn_check(b->d, status, "BackendFinalize"));
    DNN_TRY(b->d, BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                      CUDNN_TYPE_INT64, 1, &n, &p->workspace_bytes));
    if (p->workspace_bytes > most_workspace(b->key))
        return BP_OK;
    b->n_made--; /* it is the last one, and stays */
    p->plan = plan;
    return BP_OK;
}

/* The plan is of the first configuration that will do, and that choice is kept. */
static bp_status consider(builder *b, descriptor configuration, bpi_conv_plan *p)
{
    char key[BPI_CHOICE_LINE / 2], words[BPI_CHOICE_LINE / 2];
    bool fits;
    int64_t engine;
    BPI_TRY(judge(b, configuration, p, &fits, &engine));
    if (!fits || p->plan)
        return BP_OK;
    BPI_TRY(try_plan(b, configuration, p));
    if (!p->plan)
        return BP_OK;
    p->engine = engine;
    bpi_cudnn_key(b->d, b->key, key);
    BPI_TRY(bpi_cudnn_say(b, configuration, engine, words));
    return words[0] ? bpi_choice_keep(b->d, key, words) : BP_OK;
}

/* The first of what a mode offers that will do. */
static bp_status choose(builder *b, descriptor graph, cudnnBackendHeurMode_t mode,
                        bpi_conv_plan *p)
{
    const bpi_cudnn *cudnn = b->d->cudnn;
    const attribute a[] = {
        ATTR(ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &graph),
        ATTR(ENGINEHEUR_MODE, HEUR_MODE, 1, &mode),
        ATTR(ENGINEHEUR_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &cudnn->described)};
    descriptor heuristic, offer[OFFERS];
    int64_t n = 0;
    BPI_TRY(bpi_cudnn_create(b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
    BPI_TRY(bpi_cudnn_fill(b->d, heuristic, a, cudnn->described ? LENGTH(a) : LENGTH(a) - 1));
    const cudnnStatus_t status = cudnn->call.BackendFinalize(heuristic);
    if (bpi_cudnn_says_no(status))
        return BP_OK;
    BPI_TRY(bpi_cudnn_check(b->d, status, "BackendFinalize"));
    for (int i = 0; i < OFFERS; i++)
        BPI_TRY(bpi_cudnn_create(b, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &offer[i]));
    DNN_TRY(b->d, BackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, OFFERS, &n, offer));
    for (int64_t i = 0; i < n; i++)
        BPI_TRY(consider(b, offer[i], p));
    return BP_OK;
}

/* The plan of a choice that was kept, by this process or another, where cuDNN takes it and it would
 * be taken now. */
static bp_status recall(builder *b, descriptor graph, const char *words, bpi_conv_plan *p)
{
    descriptor configuration;
    BPI_TRY(bpi_cudnn_mean(b, graph, words, &configuration));
    if (configuration)
        BPI_TRY(consider(b, configuration, p));
    if (!p->plan)
        *p = (bpi_conv_plan){.key = p->key};
    return BP_OK;
}

static bp_status ask_cudnn(builder *b, descriptor graph, bpi_conv_plan *p)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    const int from = b->n_made;
    for (int i = 0; i < LENGTH(modes) && !p->plan; i++) {
        BPI_TRY(choose(b, graph, modes[i], p));
        bpi_cudnn_clear(b, from);
    }
    return BP_OK;
}

bp_status bpi_cudnn_make(bpi_cuda *d, bpi_conv_plan *p)
{
    const bool fused = p->key.kind == BPI_CONV_BIAS || p->key.kind == BPI_CONV_BIAS_RELU;
    builder b = {.d = d, .key = &p->key};
    char key[BPI_CHOICE_LINE / 2];
    descriptor graph;
    bpi_cudnn_key(d, &p->key, key);
    const char *words = bpi_choice_find(d, key);
    if (words && fused && !strcmp(words, NO_PLAN "\n"))
        return BP_OK;
    bp_status st = bpi_cudnn_graph(&b, &graph);
    if (st == BP_OK && words)
        st = recall(&b, graph, words, p);
    if (st == BP_OK && !p->plan)
        st = ask_cudnn(&b, graph, p);
    if (st == BP_OK && !p->plan && fused)
        st = bpi_choice_keep(d, key, NO_PLAN);
    bpi_cudnn_clear(&b, 0);
    return st;
}
