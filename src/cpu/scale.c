/* scale: y = factor x. Forward: x -> y; backward is scale again.
 * Floor: 2 elements of memory traffic an element. The rule: src/ops/scale.c. */
#include "cpu/elementwise.h"
#include "door/kernel_params.h"

BPI_MAP(block, real, real, k * a)
BPI_ELEMENTWISE_OP(scale, block, BPI_GRAIN, NULL, ((const bpi_scale_params *)params)->factor);
