/* Finding cuDNN, and loading it; what its statuses say.
 *
 * libcudnn_graph.so.9 loads the rest of cuDNN by bare names, so a copy of another version that the
 * loader finds first would be mixed in, and fail. So it is loaded by its full path, its parts right
 * after it from the same folder, and where the process has one already, that is taken. */
#define _GNU_SOURCE /* secure_getenv, dladdr */
#include <cublasLt.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda/cudnn.h"

#define LIBRARY "libcudnn_graph.so.9"
enum { OLDEST = 90000, FLAGS = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE };

/* What every convolution loads, in the order of what rests on what. */
static const char *const parts[] = {"libcudnn_engines_precompiled.so.9", "libcudnn_heuristic.so.9",
                                    "libcudnn_engines_runtime_compiled.so.9"};

/* From a folder that has it; what a part lacks cuDNN says when it wants it. */
static void *load_from(const char *folder, const char *below)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s/" LIBRARY, folder, below) >= (int)sizeof path)
        return NULL;
    void *library = dlopen(path, FLAGS);
    for (size_t i = 0; library && i < sizeof parts / sizeof *parts; i++)
        if (snprintf(path, sizeof path, "%s%s/%s", folder, below, parts[i]) < (int)sizeof path &&
            access(path, R_OK) == 0)
            (void)dlopen(path, FLAGS);
    return library;
}

/* The folder of the cuBLAS that is loaded; on the simulated device that is its own. */
static void find_cublas(char folder[PATH_MAX])
{
    __typeof__(cublasLtCreate) *const create = cublasLtCreate;
    Dl_info cublas;
    folder[0] = '\0';
    if (!dladdr(*(void *const *)&create, &cublas) || !realpath(cublas.dli_fname, folder))
        return;
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
}

static void *find(char *why)
{
    char beside[PATH_MAX];
    const char *told = secure_getenv("BPCUDA_CUDNN_DIR");
    void *library;
    if (told && told[0]) {
        library = load_from(told, "");
        if (!library) {
            const char *error = dlerror();
            snprintf(why, 160, "BPCUDA_CUDNN_DIR: %s", error ? error : "a path that is too long");
        }
        return library;
    }
    find_cublas(beside);
    if ((library = dlopen(LIBRARY, FLAGS | RTLD_NOLOAD)) || (library = load_from(beside, "")) ||
        (library = load_from(beside, "/../../cudnn/lib")) || (library = dlopen(LIBRARY, FLAGS)))
        return library;
    snprintf(why, 160, "cuDNN 9 is wanted, and " LIBRARY " is neither beside cuBLAS in %.40s nor "
             "the system's; set BPCUDA_CUDNN_DIR", beside);
    return NULL;
}

bp_status bpi_cudnn_load(bpi_cudnn *cudnn, char *why)
{
    bpi_cudnn_calls *calls = &cudnn->call;
    void *library = find(why);
    if (!library)
        return BP_ERR_DEVICE;
    const char *missing = NULL;
#define BPI_CUDNN_CALL(name)                                \
    *(void **)&calls->name = dlsym(library, "cudnn" #name); \
    if (!calls->name && !missing)                           \
        missing = "cudnn" #name;
    BPI_CUDNN_CALLS(BPI_CUDNN_CALL)
    Dl_info file = {.dli_fname = LIBRARY};
    if (calls->GetVersion)
        (void)dladdr(*(void **)&calls->GetVersion, &file);
    const size_t version = calls->GetVersion ? calls->GetVersion() : 0;
    const size_t major = version < OLDEST ? 1000 : 10000;
    snprintf(cudnn->version, sizeof cudnn->version, "cuDNN %zu.%zu.%zu", version / major,
             version % major / 100, version % 100);
    if (version >= OLDEST && !missing)
        return BP_OK;
    if (missing)
        snprintf(why, 160, "%.100s has no %s", file.dli_fname, missing);
    else
        snprintf(why, 160, "%.90s is %s; 9.0 or later is wanted", file.dli_fname, cudnn->version);
    return BP_ERR_DEVICE;
}

bp_status bpi_cudnn_check(bpi_cuda *d, cudnnStatus_t status, const char *call)
{
    if (status == CUDNN_STATUS_SUCCESS)
        return BP_OK;
    (void)cudaGetLastError();
    if (status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
        status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
        return BP_ERR_NOMEM;
    const int parts_fail = status == CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED ||
                           status == CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH;
    snprintf(d->base.why, sizeof d->base.why, "cudnn%.*s: %s (%s%s)", (int)strcspn(call, "("), call,
             d->cudnn->call.GetErrorString(status), d->cudnn->version,
             parts_fail ? ", of which a part is missing or another's" : "");
    return BP_ERR_DEVICE;
}
