/* scale: y = factor x. Forward: x -> y; backward is scale again.
 * Floor: 2 elements of memory traffic an element. The rule: src/ops/scale.c. */
#include "cpu/elementwise.h"

BPI_RUN(scale_run, real, real, out[i] = (real)k[0] * u[i])
BPI_ELEMENTWISE(forward, scale_run, BPI_GRAIN, 1, &((const bpi_scale_params *)params)->factor)

BPI_CPU_OP(scale) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(forward)};
