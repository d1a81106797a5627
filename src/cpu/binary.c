/* The kernels of binary.def: y = f(a, b), and da and db = f(dy, a, b). A formula becomes the body
 * of a run (elementwise.h). Floor: 3 elements of memory traffic an element, 4 backward. */
#include "cpu/elementwise.h"
#include "cpu/vmath.h"
#include "door/formulas.h"

#define SLOPE(d, formula)                                                                      \
    const real dy = u[i], a = v[i], b = w[i];                                                  \
    real d;                                                                                    \
    (void)a, (void)b;                                                                          \
    formula;                                                                                   \
    out[i] = d

#define BPI_BINARY(op, saved, tested, value, a_slope, b_slope, a_composed, b_composed)         \
    BPI_RUN(op##_value, real, real, const real a = u[i], b = v[i]; real y; value; out[i] = y)  \
    BPI_RUN(op##_a_slope, real, real, SLOPE(da, a_slope))                                      \
    BPI_RUN(op##_b_slope, real, real, SLOPE(db, b_slope))                                      \
    BPI_ELEMENTWISE(op##_forward, op##_value, BPI_GRAIN, 2, NULL)                              \
    BPI_ELEMENTWISE(op##_a, op##_a_slope, BPI_GRAIN, 3, NULL)                                  \
    BPI_ELEMENTWISE(op##_b, op##_b_slope, BPI_GRAIN, 3, NULL)                                  \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = {.fn = op##_forward, .layout = BPI_ANY},        \
                               [BPI_BACKWARD] = {.fn = op##_a, .layout = BPI_ANY},             \
                               [BPI_BACKWARD_PARAMS] = {.fn = op##_b, .layout = BPI_ANY}}};
#include "door/binary.def"
