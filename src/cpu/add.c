/* add: y = a + b, with broadcasting; real, or i32, which wraps. Forward: a, b -> y. Backward is dy,
 * summed where an input was broadcast. Floor: 3 elements of memory traffic an element. The rule:
 * src/ops/add.c. */
#include "cpu/elementwise.h"

BPI_MAP(add_real, real, real, a + b)
BPI_MAP(add_int, int32_t, int32_t, (int32_t)((uint32_t)a + (uint32_t)b))
BPI_ELEMENTWISE_OP(add, out->dtype == BP_I32 ? add_int : add_real, BPI_GRAIN, &in[1], 0);
