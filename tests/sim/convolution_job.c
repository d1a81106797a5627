/* One convolution of convolutions.c: its tensors on the host and the device, the choice of an
 * engine by the notes, and what must come out, by seven loops. Its graph: convolution_graph.c. */
#include "convolution_job.h"

#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

/* --- tensors ------------------------------------------------------------------------------- */

static int64_t size_of(const job *j)
{
    return j->shape->is_double ? 8 : 4;
}

int64_t job_count(const job *j, int tensor)
{
    const int64_t *d = j->dims[tensor];
    return d[0] * d[1] * d[2] * d[3];
}

int job_result(const job *j)
{
    return j->shape->direction == FORWARD ? Y : j->shape->direction == DATA_GRADIENT ? X : W;
}

/* Elements from the first to past the last. */
static int64_t span(const job *j, int tensor)
{
    int64_t last = 0;
    for (int i = 0; i < 4; i++)
        last += (j->dims[tensor][i] - 1) * j->strides[tensor][i];
    return last + 1;
}

static int64_t place(const job *j, int tensor, int64_t i)
{
    const int64_t *d = j->dims[tensor], *s = j->strides[tensor];
    const int64_t c = i % d[1], w = i / d[1] % d[3], h = i / d[1] / d[3] % d[2];
    return c * s[1] + w * s[3] + h * s[2] + i / d[1] / d[3] / d[2] * s[0];
}

static void lay_out(job *j, int tensor)
{
    const int64_t *d = j->dims[tensor];
    int64_t *s = j->strides[tensor];
    const int64_t c = d[1] + (j->shape->layout == WITH_GAPS ? 3 : 0);
    if (j->shape->layout == NCHW)
        memcpy(s, (int64_t[]){d[1] * d[2] * d[3], d[2] * d[3], d[3], 1}, 4 * sizeof *s);
    else
        memcpy(s, (int64_t[]){c * d[2] * d[3], 1, c * d[3], c}, 4 * sizeof *s);
}

static double number(uint64_t *state, bool is_double)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    const double value = (double)(int64_t)(*state >> 11) / (double)(1ull << 52) - 1;
    return is_double ? value : (float)value;
}

static void write_tensor(job *j, int tensor)
{
    const int64_t bytes = span(j, tensor) * size_of(j);
    char *host = malloc((size_t)bytes);
    memset(host, 0xff, (size_t)bytes);
    for (int64_t i = 0; i < job_count(j, tensor); i++)
        if (j->shape->is_double)
            ((double *)host)[place(j, tensor, i)] = j->values[tensor][i];
        else
            ((float *)host)[place(j, tensor, i)] = (float)j->values[tensor][i];
    j->error = cudaMalloc(&j->memory[tensor], (size_t)bytes);
    if (!j->error && (tensor != job_result(j) || j->shape->beta != 0))
        j->error = cudaMemcpyAsync(j->memory[tensor], host, (size_t)bytes, cudaMemcpyHostToDevice,
                                   j->stream);
    if (!j->error)
        j->error = cudaStreamSynchronize(j->stream);
    free(host);
}

void job_read(job *j, double *result)
{
    const int tensor = job_result(j);
    const int64_t bytes = span(j, tensor) * size_of(j);
    char *host = malloc((size_t)bytes);
    memset(host, 0, (size_t)bytes);
    for (int64_t i = 0; i < job_count(j, tensor); i++) {
        char *element = host + place(j, tensor, i) * size_of(j);
        const char *from = (char *)j->memory[tensor] + place(j, tensor, i) * size_of(j);
        (void)cudaMemcpyAsync(element, from, (size_t)size_of(j), cudaMemcpyDeviceToHost, j->stream);
        result[i] = j->shape->is_double ? *(double *)element : *(float *)element;
    }
    free(host);
}

/* --- a job --------------------------------------------------------------------------------- */

static int64_t outputs(const shape *s, int axis)
{
    const int64_t reach = s->dilation * (s->w[2 + axis] - 1) + 1;
    return (s->x[2 + axis] + s->pads[axis] + s->pads[2 + axis] - reach) / s->stride + 1;
}

void job_begin(job *j, const shape *s)
{
    *j = (job){.shape = s};
    const int64_t y[] = {s->x[0], s->w[0], outputs(s, 0), outputs(s, 1)};
    memcpy(j->dims[X], s->x, sizeof y);
    memcpy(j->dims[W], s->w, sizeof y);
    memcpy(j->dims[Y], y, sizeof y);
    memcpy(j->dims[BIAS], (int64_t[]){1, s->w[0], 1, 1}, sizeof y);
    uint64_t state = 1;
    j->error = cudaSetDevice(0);
    if (!j->error)
        j->error = cudaStreamCreateWithFlags(&j->stream, cudaStreamNonBlocking);
    for (int t = 0; t < TENSORS; t++) {
        lay_out(j, t);
        j->values[t] = calloc((size_t)job_count(j, t), sizeof(double));
        for (int64_t i = 0; i < job_count(j, t); i++)
            j->values[t][i] = number(&state, s->is_double);
        if (!j->error)
            write_tensor(j, t);
    }
    j->result = j->memory[job_result(j)];
    job_note(j, cudnnCreate(&j->handle));
    job_note(j, cudnnSetStream(j->handle, j->stream));
    job_graph(j);
}

void job_end(job *j)
{
    while (j->made_count)
        if (j->made[--j->made_count])
            (void)cudnnBackendDestroyDescriptor(j->made[j->made_count]);
    if (j->handle)
        (void)cudnnDestroy(j->handle);
    for (int t = 0; t < TENSORS; t++) {
        free(j->values[t]);
        (void)cudaFree(j->memory[t]);
    }
    (void)cudaFree(j->workspace);
    (void)cudaStreamDestroy(j->stream);
}

static bool is_wanted(job *j, cudnnBackendDescriptor_t configuration, int64_t engine)
{
    cudnnBackendNumericalNote_t notes[16];
    int64_t count = 0, one = 0;
    cudnnBackendDescriptor_t d = job_make(j, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    job_note(j, cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &d));
    job_note(j, cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                         &one, &j->engine));
    job_note(j, cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                         CUDNN_TYPE_NUMERICAL_NOTE, 16, &count, notes));
    if (engine != BY_NOTES)
        return j->engine == engine;
    for (int64_t i = 0; i < count; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
            notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
            notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
            notes[i] == CUDNN_NUMERICAL_NOTE_WINOGRAD)
            return false;
    return true;
}

/* Whether the engine of this configuration has a plan; if it is our choice, one of no more than
 * 64 MiB. */
static bool try_plan(job *j, cudnnBackendDescriptor_t configuration, int64_t engine)
{
    int64_t one = 0;
    j->plan = job_make(j, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    job_put(j, j->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &j->handle);
    job_put_part(j, j->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    if (cudnnBackendFinalize(j->plan))
        return false;
    job_note(j, cudnnBackendGetAttribute(j->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                         CUDNN_TYPE_INT64, 1, &one, &j->workspace_bytes));
    return engine != BY_NOTES || j->workspace_bytes <= 64 << 20;
}

static bool plan_of(job *j, cudnnBackendHeurMode_t mode, int64_t engine)
{
    enum { MOST = 16 };
    cudnnBackendDescriptor_t configurations[MOST];
    int64_t count = 0;
    cudnnBackendDescriptor_t d = job_make(j, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    job_put_part(j, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, j->graph);
    job_put(j, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    job_note(j, cudnnBackendFinalize(d));
    for (int i = 0; i < MOST; i++)
        configurations[i] = job_make(j, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    job_note(j, cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, MOST, &count,
                                         configurations));
    bool found = false;
    for (int64_t i = 0; i < count && !found && !j->status; i++)
        found = is_wanted(j, configurations[i], engine) && try_plan(j, configurations[i], engine);
    return found;
}

bool job_plan(job *j, int64_t engine)
{
    if (j->status || j->error || (!plan_of(j, CUDNN_HEUR_MODE_A, engine) &&
                                  !plan_of(j, CUDNN_HEUR_MODE_FALLBACK, engine)))
        return false;
    if (j->workspace_bytes)
        j->error = cudaMalloc(&j->workspace, (size_t)j->workspace_bytes);
    return !j->error && job_pack(j, 0, NULL, NULL, j->workspace);
}

bool job_pack(job *j, int count, const int64_t *ids, void *const *pointers, void *workspace)
{
    const bool is_fused = j->shape->fused != 0;
    const int64_t own_ids[] = {1, 2, is_fused ? 10 + j->shape->fused : 3, 4};
    j->pack = job_make(j, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    if (!ids)
        count = is_fused ? 4 : 3;
    job_put(j, j->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count,
        ids ? ids : own_ids);
    job_put(j, j->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
        pointers ? (const void *)pointers : j->memory);
    job_put(j, j->pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    job_note(j, cudnnBackendFinalize(j->pack));
    return !j->status;
}

bool job_run(job *j)
{
    job_note(j, cudnnBackendExecute(j->handle, j->plan, j->pack));
    j->error = cudaStreamSynchronize(j->stream);
    return !j->status && !j->error;
}

/* --- what has to be ------------------------------------------------------------------------ */

static int64_t at(const job *j, int tensor, int64_t n, int64_t h, int64_t w, int64_t c)
{
    const int64_t *d = j->dims[tensor];
    return ((n * d[2] + h) * d[3] + w) * d[1] + c;
}

/* Every product of an element of x, one of the filter and one of y goes where the third is. */
static void add_products(const job *j, double *result, double *sizes)
{
    const shape *s = j->shape;
    const int64_t *x = j->dims[X], *w = j->dims[W], *y = j->dims[Y];
    const int64_t groups = x[1] / w[1], each = w[0] / groups;
    for (int64_t n = 0; n < y[0]; n++)
        for (int64_t p = 0; p < y[2]; p++)
            for (int64_t q = 0; q < y[3]; q++)
                for (int64_t k = 0; k < y[1]; k++)
                    for (int64_t r = 0; r < w[2]; r++)
                        for (int64_t t = 0; t < w[3]; t++)
                            for (int64_t c = 0; c < w[1]; c++) {
                                const int64_t h = p * s->stride + r * s->dilation - s->pads[0];
                                const int64_t v = q * s->stride + t * s->dilation - s->pads[1];
                                if (h < 0 || h >= x[2] || v < 0 || v >= x[3])
                                    continue;
                                const int64_t places[] = {at(j, X, n, h, v, k / each * w[1] + c),
                                                          at(j, W, k, r, t, c),
                                                          at(j, Y, n, p, q, k)};
                                double product = 1;
                                for (int i = X; i <= Y; i++)
                                    if (i != job_result(j))
                                        product *= j->values[i][places[i]];
                                result[places[job_result(j)]] += product;
                                sizes[places[job_result(j)]] += product < 0 ? -product : product;
                            }
}

void job_expect(const job *j, double *result, double *sizes)
{
    const shape *s = j->shape;
    const int tensor = job_result(j);
    const bool is_scaled = s->alpha != 0 || s->beta != 0;
    memset(result, 0, (size_t)job_count(j, tensor) * sizeof *result);
    memset(sizes, 0, (size_t)job_count(j, tensor) * sizeof *sizes);
    add_products(j, result, sizes);
    for (int64_t i = 0; i < job_count(j, tensor); i++) {
        if (is_scaled)
            result[i] = s->alpha * result[i] + s->beta * j->values[tensor][i];
        if (s->fused)
            result[i] += j->values[BIAS][i % j->dims[tensor][1]];
        if (s->fused == 2 && result[i] < 0)
            result[i] = 0;
        sizes[i] += 1;
    }
}
