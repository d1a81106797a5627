/* where_equal: y = a where x = m, m where that is NaN, else 0: the gradient of a largest or least
 * element. Forward: a, x, m -> y, any strides. The rule: src/ops/reduce.c. */
#include "cpu/elementwise.h"

BPI_RUN(where_run, real, real,
        const real a = u[i], x = v[i], m = w[i];
        out[i] = x == m ? a : m != m ? m : 0)
BPI_ELEMENTWISE(forward, where_run, BPI_GRAIN, 3, NULL)

BPI_CPU_OP(where_equal) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(forward)};
