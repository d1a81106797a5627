/* Stores in files whose tensors have other names than the parameters, and in files of others. */
#ifndef BPI_PARAMS_FILE_H
#define BPI_PARAMS_FILE_H

#include "io/safetensors.h"

/* A parameter in a file. Others have the pixels of an image, or of a filter, behind its channels:
 * where the store has [rows, pixels, channels], in whatever shape, the file has [rows, channels,
 * pixels]. 0 pixels: as in the store. */
typedef struct bpi_param_as {
    const char *name;
    int64_t pixels;
} bpi_param_as;

/* bp_params_save and bp_params_load (of all, without a pattern) in the name of `who`: parameter i
 * is as[i] in the file; with NULL it is there as in the store. */
bp_status bpi_params_save_as(bp_params *params, const char *path, const bpi_param_as *as,
                             const char *who);
bp_status bpi_params_load_as(bp_params *params, const char *path, const bpi_param_as *as,
                             const char *who);
/* A parameter as others have it; t itself where it is the same. Of the innermost scope. */
bp_tensor *bpi_param_turned(bp_tensor *t, int64_t pixels);
/* bp_params_load of a file that was read. */
bp_status bpi_params_load_from(bp_params *params, const bpi_safetensors *file, const char *path,
                               const char *pattern, const char *who);

#endif
