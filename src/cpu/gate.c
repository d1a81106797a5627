/* gate: y = factor a where !(g <= 0), else 0: the gradient of ReLU, and of ReLU with dropout, from
 * what they gave out. Forward: a, g -> y; backward is gate again.
 * Floor: 3 elements of memory traffic an element. The rule: src/ops/gate.c. */
#include "cpu/elementwise.h"

BPI_RUN(gate_run, real, real,
        const real passed = u[i] * (real)k[0]; /* no read hangs on a question: it would be a branch */
        out[i] = v[i] <= 0 ? 0 : passed)
BPI_ELEMENTWISE(forward, gate_run, BPI_GRAIN, 2, &((const bpi_scale_params *)params)->factor)

BPI_CPU_OP(gate) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(forward)};
