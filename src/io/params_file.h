/* Stores in files whose tensors have other names than the parameters, and in files of others. */
#ifndef BPI_PARAMS_FILE_H
#define BPI_PARAMS_FILE_H

#include "io/safetensors.h"

/* bp_params_save and bp_params_load (of all, without a pattern) in the name of `who`: parameter i
 * is as[i] in the file; with NULL it has its own name there. */
bp_status bpi_params_save_as(bp_params *params, const char *path, const char *const *as,
                             const char *who);
bp_status bpi_params_load_as(bp_params *params, const char *path, const char *const *as,
                             const char *who);
/* bp_params_load of a file that was read. */
bp_status bpi_params_load_from(bp_params *params, const bpi_safetensors *file, const char *path,
                               const char *pattern, const char *who);

#endif
