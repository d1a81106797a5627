/* mul: y = a b, with broadcasting. Forward: a, b -> y. Backward is made of mul and sum.
 * Floor: 3 elements of memory traffic an element. The rule: src/ops/mul.c. */
#include "cpu/elementwise.h"

BPI_MAP(block, real, real, a * b)
BPI_ELEMENTWISE_OP(mul, block, BPI_GRAIN, &in[1], 0);
