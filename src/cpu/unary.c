/* The kernels of unary.def: y = f(x), and dx = f(dy, x or y). A formula becomes the body of a run
 * (elementwise.h). Floor: 2 elements of memory traffic an element, 3 backward. */
#include "cpu/elementwise.h"
#include "cpu/normal.h"
#include "cpu/sine.h"
#include "door/formulas.h"

#define K(params) ((const bpi_elementwise_params *)(params))->k

/* A run that knows whether x, which is `from`, goes far, if its formula asks (sine.h): else the
 * question is dropped by the compiler. */
#define RUN(name, from, ...)                                                                  \
    BPI_RUN_WHOLE(name, real, real,                                                           \
                  const real p_value = (real)k[0]; const real q_value = (real)k[1];           \
                  const int goes_far = bpi_goes_far(from, from##_step ? n : UNIT);            \
                  (void)p_value; (void)q_value; (void)goes_far, __VA_ARGS__)

#define BPI_UNARY_OP(op, p, tp, q, tq, wanted, saved, tested, value, slope, composed)        \
    RUN(op##_value, u,                                                                       \
        const real p = p_value, q = q_value, x = u[i]; real y;                               \
        (void)p, (void)q, (void)x; value; out[i] = y)                                        \
    RUN(op##_slope, v,                                                                       \
        const real p = p_value, q = q_value, dy = u[i], saved = v[i]; real dx;                \
        (void)p, (void)q, (void)dy, (void)saved; slope;  out[i] = dx)                        \
    BPI_ELEMENTWISE(op##_forward, op##_value, BPI_GRAIN / 2, 1, K(params))                   \
    BPI_ELEMENTWISE(op##_backward, op##_slope, BPI_GRAIN / 2, 2, K(params))                  \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(op##_forward),          \
                               [BPI_BACKWARD] = BPI_ELEMENTWISE_ENTRY(op##_backward)}};
#include "door/unary.def"
