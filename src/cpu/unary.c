/* The kernels of unary.def: y = f(x), and dx = f(dy, x or y). A formula becomes the body of a run
 * (elementwise.h). Floor: 2 elements of memory traffic an element, 3 backward. */
#include "cpu/asked.h"
#include "cpu/sine.h"
#include "door/formulas.h"

#define K(params) ((const bpi_elementwise_params *)(params))->k

/* Whether a formula has a word, as its macros make it. */
#define HAS(word, ...) (__builtin_strstr(#__VA_ARGS__, word) != NULL)

/* A run; `begin` declares parameters. Where its formula asks whether x, which is in[from], goes far
 * (sine.h), one of two. */
#define RUN(name, from, begin, made, ...)                                                    \
    RUN_IF(name##_near, 0, begin, made, __VA_ARGS__)                                         \
    RUN_IF(name##_far, 1, begin, made, __VA_ARGS__)                                          \
    static void name(void *y, const bpi_operand *in, int64_t n, const double *k, int past)   \
    {                                                                                        \
        if (HAS("goes_far", __VA_ARGS__))                                                    \
            bpi_wave_run(name##_near, name##_far, from, y, in, n, k, past);                  \
        else                                                                                 \
            name##_near(y, in, n, k, past);                                                  \
    }
#define RUN_IF(name, far, begin, made, ...)                                                  \
    BPI_RUN_UNITS(name, real, real, enum {goes_far = far}; begin,                            \
                  BPI_ASKING_UNIT(made, __VA_ARGS__))

/* What calls a function of vmath.h and its kin, all of which end in _of, is heavier. */
#define GRAIN(formula) (HAS("_of(", formula) ? BPI_GRAIN_EXP : BPI_GRAIN)

#define OP(op, begin, saved, value, slope)                                                   \
    RUN(op##_value, 0, begin, y, const real x = u[i]; real y; (void)x; value)                \
    RUN(op##_slope, 1, begin, dx,                                                            \
        const real dy = u[i], saved = v[i]; real dx; (void)dy, (void)saved; slope)           \
    BPI_ELEMENTWISE(op##_forward, op##_value, GRAIN(value), 1, K(params))                     \
    BPI_ELEMENTWISE(op##_backward, op##_slope, GRAIN(slope), 2, K(params))                    \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(op##_forward),          \
                               [BPI_BACKWARD] = BPI_ELEMENTWISE_ENTRY(op##_backward)}};

#define BPI_UNARY(op, saved, tested, value, slope, composed) OP(op, , saved, value, slope)
#define BPI_UNARY_1(op, p, tp, wanted, saved, tested, value, slope, composed)                \
    OP(op, const real p = (real)k[0]; (void)p, saved, value, slope)
#define BPI_UNARY_2(op, p, tp, q, tq, wanted, saved, tested, value, slope, composed)         \
    OP(op, const real p = (real)k[0]; const real q = (real)k[1]; (void)p, saved, value, slope)
#include "door/unary.def"
