/* log: y = ln x, at most 2 ulp (vmath.h). Forward: x -> y; backward is a div by x.
 * Floor: 2 elements of memory traffic an element. The rule: src/ops/log.c. */
#include "cpu/elementwise.h"
#include "cpu/vmath.h"

BPI_MAP(block, real, real, bpi_log(a))
BPI_ELEMENTWISE_OP(log, block, BPI_GRAIN_EXP, NULL, 0);
