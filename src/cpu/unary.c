/* The kernels of unary.def: y = f(x), and dx = f(dy, x or y). A formula becomes the body of a run
 * (elementwise.h). Floor: 2 elements of memory traffic an element, 3 backward. */
#include "cpu/elementwise.h"
#include "cpu/vmath.h"
#include "door/formulas.h"

#define K(params) ((const bpi_elementwise_params *)(params))->k

#define BPI_UNARY_OP(op, p, tp, q, tq, wanted, saved, tested, value, slope, composed)        \
    BPI_RUN(op##_value, real, real,                                                          \
            const real p = (real)k[0], q = (real)k[1], x = u[i]; real y;                     \
            (void)p, (void)q; value; out[i] = y)                                             \
    BPI_RUN(op##_slope, real, real,                                                          \
            const real p = (real)k[0], q = (real)k[1], dy = u[i], saved = v[i]; real dx;     \
            (void)p, (void)q, (void)dy, (void)saved; slope; out[i] = dx)                     \
    BPI_ELEMENTWISE(op##_forward, op##_value, BPI_GRAIN_EXP, 1, K(params))                  \
    BPI_ELEMENTWISE(op##_backward, op##_slope, BPI_GRAIN_EXP, 2, K(params))                 \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = {.fn = op##_forward, .layout = BPI_ANY},      \
                               [BPI_BACKWARD] = {.fn = op##_backward, .layout = BPI_ANY}}};
#include "door/unary.def"
