/* Devices that live in a library of their own, so that libbpcuda needs none of what they need:
 * where it is looked for, and who may open it. backend.h has the one function such a library has.
 *
 * It is looked for in BPCUDA_PLUGIN_DIR alone, if that is set; else beside the binary that holds
 * this function, then where the library was installed. It stays open: what a library of CUDA has
 * begun in a process cannot be undone. */
#define _GNU_SOURCE /* dladdr, secure_getenv */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "open/open.h"

/* Opens `file` in a folder; without a folder, as the system does. NULL if it is not there; if it is
 * and cannot be opened, `why` says so. */
static void *open_in(const char *dir, int length, const char *file, char *why)
{
    char path[1024];
    if (snprintf(path, sizeof path, "%.*s/%s", length, dir, file) >= (int)sizeof path)
        return NULL;
    FILE *there = fopen(path, "rb");
    if (!there)
        return NULL;
    fclose(there);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        bpi_why(why, BP_ERR_DEVICE, "%s", dlerror());
    return library;
}

static void *find(const char *file, char *why)
{
    const char *dir = secure_getenv("BPCUDA_PLUGIN_DIR");
    Dl_info self = {0};
    if (dir)
        return open_in(dir, (int)strlen(dir), file, why);
    const char *slash = NULL;
    void *library = NULL;
    if (dladdr(__extension__(void *)find, &self) && self.dli_fname)
        slash = strrchr(self.dli_fname, '/');
    if (slash)
        library = open_in(self.dli_fname, (int)(slash - self.dli_fname), file, why);
    return library ? library : open_in(BPI_LIBDIR, (int)strlen(BPI_LIBDIR), file, why);
}

bp_status bpi_plugin_device(const char *kind, int32_t number, const bp_hooks *hooks,
                            bpi_device **device, char *why)
{
    char file[64];
    *device = NULL;
    if (!strcmp(kind, "cuda") && !dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL))
        return bpi_why(why, BP_ERR_DEVICE,
                       "there is no NVIDIA driver here: libcuda.so.1 cannot be opened");
    snprintf(file, sizeof file, "libbpcuda-%s.so", kind);
    bpi_why(why, BP_ERR_DEVICE, "%s is not %s", file,
            secure_getenv("BPCUDA_PLUGIN_DIR") ? "in BPCUDA_PLUGIN_DIR"
                                               : "beside the program or its libbpcuda: a build "
                                                 "without it?");
    void *library = find(file, why);
    if (!library)
        return BP_ERR_DEVICE;
    bpi_plugin_open_fn open_function;
    *(void **)&open_function = dlsym(library, "bpi_plugin_open");
    if (!open_function)
        return bpi_why(why, BP_ERR_DEVICE, "%s is not a device of bpcuda", file);
    return open_function(BPI_DOOR, number, hooks, device, why);
}
