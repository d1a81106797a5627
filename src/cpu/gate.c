/* gate: y = factor a where !(g <= 0), else 0: the gradient of ReLU, and of ReLU with dropout, from
 * what they gave out. Forward: a, g -> y; backward is gate again.
 * Floor: 3 elements of memory traffic an element. The rule: src/ops/gate.c. */
#include "cpu/elementwise.h"
#include "door/kernel_params.h"

BPI_MAP(block, real, real, b <= 0 ? 0 : a * k)
BPI_ELEMENTWISE_OP(gate, block, BPI_GRAIN, &in[1], ((const bpi_scale_params *)params)->factor);
