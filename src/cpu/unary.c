/* The kernels of unary.def: y = f(x), and dx = f(dy, x or y). A formula becomes the body of a run
 * (elementwise.h). Floor: 2 elements of memory traffic an element, 3 backward. */
#include "cpu/elementwise.h"
#include "cpu/normal.h"
#include "cpu/power.h"
#include "cpu/sine.h"
#include "door/formulas.h"

#define K(params) ((const bpi_elementwise_params *)(params))->k

/* A run that knows whether x, which is `from`, goes far, if its formula asks (sine.h): else the
 * question is dropped by the compiler. */
#define RUN(name, from, made, ...)                                                            \
    BPI_RUN_WHOLE(name, real, real,                                                           \
                  const int goes_far = bpi_goes_far(from, from##_step ? part : UNIT);         \
                  (void)goes_far, __VA_ARGS__; out[i] = made)

/* A run with a parameter, whose formula may ask for powers. */
#define RUN_1(name, from, made, ...)                                                          \
    BPI_RUN_UNITS(name, real, real, const real p_value = (real)k[0],                          \
                  BPI_POWER_UNIT(made, __VA_ARGS__))

/* One with two. */
#define RUN_2(name, from, made, ...)                                                          \
    BPI_RUN_WHOLE(name, real, real,                                                           \
                  const real p_value = (real)k[0]; const real q_value = (real)k[1],           \
                  __VA_ARGS__; out[i] = made)

/* A formula that calls no function of vmath.h and its kin, all of which end in _of whatever macros
 * make of them, waits for memory alone; one of the longest of these hardly waits for it. */
#define HAS(formula, word) (__builtin_strstr(#formula, word) != NULL)
#define GRAIN(formula)                                                                         \
    (HAS(formula, "power_of(") || HAS(formula, "normal_") || HAS(formula, "expm1_of(") ||      \
             HAS(formula, "tanh_")                                                             \
         ? BPI_GRAIN / 4                                                                       \
     : HAS(formula, "_of(") ? BPI_GRAIN / 2                                                    \
                            : BPI_GRAIN)

#define OP(RUN, op, parameters, saved, value, slope)                                         \
    RUN(op##_value, u, y,                                                                    \
        parameters; const real x = u[i]; real y; (void)x; value)                             \
    RUN(op##_slope, v, dx,                                                                   \
        parameters; const real dy = u[i], saved = v[i]; real dx;                             \
        (void)dy, (void)saved; slope)                                                        \
    BPI_ELEMENTWISE(op##_forward, op##_value, GRAIN(value), 1, K(params))                     \
    BPI_ELEMENTWISE(op##_backward, op##_slope, GRAIN(slope), 2, K(params))                    \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(op##_forward),          \
                               [BPI_BACKWARD] = BPI_ELEMENTWISE_ENTRY(op##_backward)}};

#define BPI_UNARY(op, saved, tested, value, slope, composed)                                 \
    OP(RUN, op, , saved, value, slope)
#define BPI_UNARY_1(op, p, tp, wanted, saved, tested, value, slope, composed)                \
    OP(RUN_1, op, const real p = p_value; (void)p, saved, value, slope)
#define BPI_UNARY_2(op, p, tp, q, tq, wanted, saved, tested, value, slope, composed)         \
    OP(RUN_2, op, const real p = p_value; const real q = q_value; (void)p, saved, value, slope)
#include "door/unary.def"
