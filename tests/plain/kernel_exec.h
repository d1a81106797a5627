/* What kernels run with, for programs that call one directly: the exec of a context, with the
 * library's own threads and workspace. Include it in one file of a program. */
#ifndef KERNEL_EXEC_H
#define KERNEL_EXEC_H

#include <stdio.h>
#include <stdlib.h>

#include "core/context.h"

static bp_context *kernel_context;

/* The exec, from now on with so many threads, the caller counted. */
static bp_exec *kernel_exec(int32_t threads)
{
    bp_status st = kernel_context ? BP_OK : bp_open("cpu", &kernel_context);
    if (st == BP_OK)
        st = bp_set_threads(kernel_context, threads);
    if (st != BP_OK) {
        fprintf(stderr, "%s\n", bp_error_text(kernel_context));
        exit(1);
    }
    return &kernel_context->exec;
}

#endif
