/* conv2d, conv2d_input, conv2d_filter: a GPU has no kernel of them yet, and an op that wants one
 * says so. The rule: src/ops/conv.c. */
#include "cuda/inside.h"

#define NONE(op)                                      \
    const bpi_op_kernels bpi_cuda_##op##_f32 = {{{0}}}; \
    const bpi_op_kernels bpi_cuda_##op##_f64 = {{{0}}}
NONE(conv2d);
NONE(conv2d_input);
NONE(conv2d_filter);
