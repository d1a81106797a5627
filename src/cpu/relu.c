/* relu: y = max(x, 0); the comparison is false for NaN, which stays. Forward: x -> y; backward is
 * gate.
 * Floor: 2 elements of memory traffic an element. The rule: src/ops/relu.c. */
#include "cpu/elementwise.h"

BPI_MAP(block, real, real, a <= 0 ? 0 : a)
BPI_ELEMENTWISE_OP(relu, block, BPI_GRAIN, NULL, 0);
