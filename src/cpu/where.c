/* where: y = a where c is not 0, else b, with broadcasting; real, or i32. Forward: c, a, b -> y.
 * Backward is made of gates. Floor: 4 elements of memory traffic an element. The rule:
 * src/ops/where.c. */
#include "cpu/elementwise.h"

/* Both are read: a read that hangs on a question is a branch. */
BPI_RUN(where_real, real, real, const real a = v[i], b = w[i]; out[i] = u[i] != 0 ? a : b)
BPI_RUN(where_int, int32_t, int32_t, const int32_t a = v[i], b = w[i]; out[i] = u[i] != 0 ? a : b)
BPI_ELEMENTWISE(forward, out->dtype == BP_I32 ? where_int : where_real, BPI_GRAIN, 3, NULL)

BPI_CPU_OP(where) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(forward)};
