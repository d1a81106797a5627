/* The kernels of unary.def: y = f(x), and dx = f(dy, x or y). A formula becomes the body of a run
 * (elementwise.h). Floor: 2 elements of memory traffic an element, 3 backward. */
#include "cpu/elementwise.h"
#include "cpu/normal.h"
#include "cpu/power.h"
#include "cpu/sine.h"
#include "door/formulas.h"

#define K(params) ((const bpi_elementwise_params *)(params))->k

/* Whether a formula has a word, as its macros make it. */
#define HAS(word, ...) (__builtin_strstr(#__VA_ARGS__, word) != NULL)

/* A run; where its formula asks whether x, which is in[from], goes far (sine.h), one of two. */
#define RUN(name, from, made, ...)                                                           \
    RUN_IF(name##_near, 0, made, __VA_ARGS__)                                                \
    RUN_IF(name##_far, 1, made, __VA_ARGS__)                                                 \
    static void name(void *y, const bpi_operand *in, int64_t n, const double *k, int past)   \
    {                                                                                        \
        if (HAS("goes_far", __VA_ARGS__))                                                    \
            bpi_wave_run(name##_near, name##_far, from, y, in, n, k, past);                  \
        else                                                                                 \
            name##_near(y, in, n, k, past);                                                  \
    }
#define RUN_IF(name, far, made, ...)                                                         \
    BPI_RUN_UNITS(name, real, real, enum {goes_far = far},                                   \
                  BPI_UNIT(__VA_ARGS__; out[i] = made))

/* A run with a parameter, whose formula may ask for powers. */
#define RUN_1(name, from, made, ...)                                                          \
    BPI_RUN_UNITS(name, real, real, const real p_value = (real)k[0],                          \
                  BPI_POWER_UNIT(made, __VA_ARGS__))

/* One with two. */
#define RUN_2(name, from, made, ...)                                                          \
    BPI_RUN_UNITS(name, real, real,                                                           \
                  const real p_value = (real)k[0]; const real q_value = (real)k[1],           \
                  BPI_UNIT(__VA_ARGS__; out[i] = made))

/* What calls a function of vmath.h and its kin, all of which end in _of, is heavier. */
#define GRAIN(formula) (HAS("_of(", formula) ? BPI_GRAIN_EXP : BPI_GRAIN)

#define OP(RUN, op, parameters, saved, value, slope)                                         \
    RUN(op##_value, 0, y,                                                                    \
        parameters; const real x = u[i]; real y; (void)x; value)                             \
    RUN(op##_slope, 1, dx,                                                                   \
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
