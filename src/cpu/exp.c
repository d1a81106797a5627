/* exp: y = e^x, at most 2 ulp (vmath.h). Forward: x -> y; backward is a mul by y.
 * Floor: 2 elements of memory traffic an element. The rule: src/ops/exp.c. */
#include "cpu/elementwise.h"
#include "cpu/vmath.h"

BPI_MAP(block, real, real, bpi_exp(a))
BPI_ELEMENTWISE_OP(exp, block, BPI_GRAIN_EXP, NULL, 0);
