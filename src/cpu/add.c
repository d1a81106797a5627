/* add: y = a + b, with broadcasting; real, or i32, which wraps. Forward: a, b -> y. Backward is dy,
 * summed where an input was broadcast. Floor: 3 elements of memory traffic an element. The rule:
 * src/ops/add.c. */
#include "cpu/elementwise.h"

BPI_RUN(add_real, real, real, out[i] = u[i] + v[i])
BPI_RUN(add_int, int32_t, int32_t, out[i] = (int32_t)((uint32_t)u[i] + (uint32_t)v[i]))
BPI_ELEMENTWISE(forward, out->dtype == BP_I32 ? add_int : add_real, BPI_GRAIN, 2, NULL)

BPI_CPU_OP(add) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(forward)};
