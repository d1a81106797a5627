/* What a program may do wrong with a plan of cuDNN, each of which the fake must see; work in
 * captures; and every call failing in turn. Part of convolutions.c. */
#include "convolution_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

static void plan_kept_for_other_pointers(job *j)
{
    void *pointers[] = {j->memory[X], (char *)j->memory[W] + 4, j->memory[Y]};
    (void)job_pack(j, 3, (int64_t[]){1, 2, 3}, pointers, j->workspace);
    (void)job_run(j);
}

static void workspace_too_small(job *j)
{
    void *small = NULL;
    (void)cudaMalloc(&small, (size_t)j->workspace_bytes - 1);
    (void)job_pack(j, 0, NULL, NULL, small);
    (void)job_run(j);
    (void)cudaFree(small);
}

static void no_workspace(job *j)
{
    (void)job_pack(j, 0, NULL, NULL, NULL);
    (void)job_run(j);
}

static void workspace_over_x(job *j)
{
    (void)job_pack(j, 0, NULL, NULL, j->memory[X]);
    (void)job_run(j);
}

static void id_missing(job *j)
{
    (void)job_pack(j, 2, (int64_t[]){1, 2}, j->memory, j->workspace);
    (void)job_run(j);
}

static void id_of_no_tensor(job *j)
{
    (void)job_pack(j, 4, (int64_t[]){1, 2, 3, 9}, j->memory, j->workspace);
    (void)job_run(j);
}

static void host_memory(job *j)
{
    static _Alignas(16) char host[1 << 16];
    (void)job_pack(j, 3, (int64_t[]){1, 2, 3}, (void *[]){host, j->memory[W], j->memory[Y]},
                   j->workspace);
    (void)job_run(j);
}

static void filter_without_values(job *j)
{
    void *pointers[] = {j->memory[X], NULL, j->memory[Y]};
    (void)cudaMalloc(&pointers[1], 1 << 10);
    (void)job_pack(j, 3, (int64_t[]){1, 2, 3}, pointers, j->workspace);
    (void)job_run(j);
    (void)cudaFree(pointers[1]);
}

static void result_over_x(job *j)
{
    (void)job_pack(j, 3, (int64_t[]){1, 2, 3},
                   (void *[]){j->memory[X], j->memory[W], j->memory[X]}, j->workspace);
    (void)job_run(j);
}

static void destroy_plan(job *j)
{
    (void)cudnnBackendDestroyDescriptor(j->plan);
    for (int i = 0; i < j->made_count; i++)
        if (j->made[i] == j->plan)
            j->made[i] = NULL;
}

static void plan_destroyed_too_early(job *j)
{
    control->set_lazy(1);
    (void)cudnnBackendExecute(j->handle, j->plan, j->pack);
    destroy_plan(j);
    (void)cudaStreamSynchronize(j->stream);
    control->set_lazy(0);
}

static void plan_destroyed_before_replay(job *j)
{
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    (void)cudaStreamBeginCapture(j->stream, cudaStreamCaptureModeThreadLocal);
    (void)cudnnBackendExecute(j->handle, j->plan, j->pack);
    (void)cudaStreamEndCapture(j->stream, &graph);
    (void)cudaGraphInstantiateWithFlags(&exec, graph, 0);
    destroy_plan(j);
    (void)cudaGraphLaunch(exec, j->stream);
    (void)cudaGraphExecDestroy(exec);
    (void)cudaGraphDestroy(graph);
}

static void used_after_destroy(job *j)
{
    cudnnBackendDescriptor_t d = NULL;
    (void)cudnnBackendCreateDescriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d);
    (void)cudnnBackendDestroyDescriptor(d);
    j->status = cudnnBackendFinalize(d);
}

static void no_stream(job *j)
{
    (void)cudnnDestroy(j->handle);
    (void)cudnnCreate(&j->handle);
    (void)job_run(j);
}

static void heuristic_of_a_tensor(job *j)
{
    cudnnBackendDescriptor_t heuristic = NULL;
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    (void)cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic);
    (void)cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                   CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &j->made[1]);
    (void)cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1,
                                   &mode);
    j->status = cudnnBackendFinalize(heuristic);
    (void)cudnnBackendDestroyDescriptor(heuristic);
}

/* What the report must say; engine 44 has a workspace, 0 none. */
static const struct mistake {
    const char *name;
    void (*make)(job *j);
    int64_t engine;
    const char *report;
    bool is_checked; /* only a build that knows what has a value can see it */
} mistakes[] = {
    {"a plan kept for pointers less aligned", plan_kept_for_other_pointers, 0, "is not aligned",
     false},
    {"a workspace too small", workspace_too_small, 44, "workspace: ", false},
    {"no workspace", no_workspace, 44, "workspace: (nil) is not device memory", false},
    {"the workspace over x", workspace_over_x, 44, "the workspace is over x", false},
    {"a tensor without a pointer", id_missing, 0, "tensor 3 has no pointer", false},
    {"a pointer of no tensor", id_of_no_tensor, 0, "4 pointers for 3 tensors", false},
    {"a pointer to the host", host_memory, 0, "x: ", false},
    {"a filter without values", filter_without_values, 0, "uninitialised read", true},
    {"the result over x", result_over_x, 0, "the result is written over x", false},
    {"a plan destroyed before its work", plan_destroyed_too_early, 0, "the plan was destroyed",
     false},
    {"a plan destroyed before a replay", plan_destroyed_before_replay, 0, "the plan was destroyed",
     false},
    {"a descriptor used after its end", used_after_destroy, 0, "is no handle", false},
    {"no stream was set", no_stream, 0, "is no handle", false},
    {"a heuristic of a tensor", heuristic_of_a_tensor, 0, "a heuristic of a descriptor", false},
};

static int check_mistake(const struct mistake *m)
{
    char why[300] = "";
    job j;
    job_begin(&j, plain);
    if (!job_plan(&j, m->engine)) {
        job_end(&j);
        return close_row(m->name, m->engine == 44, "no such engine"); /* its plan may be refused */
    }
    m->make(&j);
    if (!strstr(control->last_error(), m->report) &&
        (!m->is_checked || control->checks_accesses()))
        snprintf(why, sizeof why, "\"%s\"", control->last_error());
    job_end(&j);
    return close_row(m->name, !why[0], why);
}

/* --- captures and failures ----------------------------------------------------------------- */

static int check_capture(void)
{
    const size_t bytes = (size_t)(2 * 4 * 7 * 6) * sizeof(double);
    double *first = malloc(bytes), *second = malloc(bytes);
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    job j;
    job_begin(&j, plain);
    bool ok = job_plan(&j, BY_NOTES) && job_run(&j);
    job_read(&j, first);
    ok = ok && !cudaMemsetAsync(j.result, 0, bytes / 2, j.stream) &&
         !cudaStreamBeginCapture(j.stream, cudaStreamCaptureModeThreadLocal) &&
         !cudnnBackendExecute(j.handle, j.plan, j.pack) &&
         !cudaStreamEndCapture(j.stream, &graph) &&
         !cudaGraphInstantiateWithFlags(&exec, graph, 0);
    job_read(&j, second);
    const bool waited = ok && memcmp(first, second, bytes) != 0;
    ok = waited && !cudaGraphLaunch(exec, j.stream) && !cudaStreamSynchronize(j.stream);
    job_read(&j, second);
    ok = ok && memcmp(first, second, bytes) == 0;
    (void)cudaGraphExecDestroy(exec);
    (void)cudaGraphDestroy(graph);
    job_end(&j);
    free(first);
    free(second);
    return close_row("captured and replayed", ok, waited ? "other bits" : "not captured");
}

static int check_plan_in_capture(void)
{
    cudaGraph_t graph = NULL;
    job j;
    job_begin(&j, plain);
    (void)cudaStreamBeginCapture(j.stream, cudaStreamCaptureModeThreadLocal);
    const bool made = job_plan(&j, 0);
    const cudaError_t error = cudaStreamEndCapture(j.stream, &graph);
    job_end(&j);
    return close_row("a plan made in a capture", !made && error, "the capture took it");
}

/* Each call in turn fails: the next one works, and nothing is left over. */
static int check_failures(void)
{
    int failed = 0, count = 0;
    for (int nth = 1; nth < 1000 && count == 0; nth++) {
        job j;
        job_begin(&j, plain);
        control->fail("*", nth, cudaErrorMemoryAllocation);
        const bool ok = job_plan(&j, BY_NOTES) && job_run(&j);
        if (ok)
            count = nth - 1;
        control->fail("*", 0, 0);
        job_end(&j);
        if (control->live_objects())
            failed++;
        control->reset();
        control->expect_error(1);
    }
    char name[100];
    snprintf(name, sizeof name, "each of %d calls fails", count);
    return close_row(name, !failed && count > 20, "something was left, or never failed");
}

int check_mistakes(void)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        failed += check_mistake(&mistakes[i]);
    return failed + check_capture() + check_plan_in_capture() + check_failures();
}
