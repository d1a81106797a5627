/* The kernels of binary.def: y = f(a, b), and da and db = f(dy, a, b). A formula becomes the body
 * of a run (elementwise.h). Floor: 3 elements of memory traffic an element, 4 backward. */
#include "cpu/asked.h"
#include "door/formulas.h"

#define VALUE(T, formula) const T a = u[i], b = v[i]; T y; formula
#define SLOPE(d, formula)                                                                      \
    const real dy = u[i], a = v[i], b = w[i];                                                  \
    real d;                                                                                    \
    (void)a, (void)b;                                                                          \
    formula
#define RUN(name, made, ...)                                                                   \
    BPI_RUN_UNITS(name, real, real, , BPI_ASKING_UNIT(made, __VA_ARGS__))

/* The kernels of i32 are in the table of f32. */
#if BPI_F64
#define FORWARD_ints(op, value) FORWARD_reals(op, value)
#else
#define FORWARD_ints(op, value)                                                                \
    RUN(op##_value, y, VALUE(real, value))                                                     \
    BPI_RUN(op##_int, int32_t, int32_t, VALUE(int32_t, value); out[i] = y)                     \
    BPI_ELEMENTWISE(op##_forward, out->dtype == BP_I32 ? op##_int : op##_value, BPI_GRAIN, 2,  \
                    NULL)
#endif
#define FORWARD_reals(op, value)                                                               \
    RUN(op##_value, y, VALUE(real, value))                                                     \
    BPI_ELEMENTWISE(op##_forward, op##_value, BPI_GRAIN, 2, NULL)

#define BPI_BINARY(op, types, saved, tested, value, a_slope, b_slope, a_composed, b_composed)  \
    FORWARD_##types(op, value)                                                                 \
    RUN(op##_a_slope, da, SLOPE(da, a_slope))                                                  \
    RUN(op##_b_slope, db, SLOPE(db, b_slope))                                                  \
    BPI_ELEMENTWISE(op##_a, op##_a_slope, BPI_GRAIN, 3, NULL)                                  \
    BPI_ELEMENTWISE(op##_b, op##_b_slope, BPI_GRAIN, 3, NULL)                                  \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(op##_forward),            \
                               [BPI_BACKWARD] = BPI_ELEMENTWISE_ENTRY(op##_a),                 \
                               [BPI_BACKWARD_PARAMS] = BPI_ELEMENTWISE_ENTRY(op##_b)}};
#define BPI_CHOICE(op, types, tested, value)                                                   \
    FORWARD_##types(op, value)                                                                 \
    BPI_CPU_OP(op) = {.slot[BPI_FORWARD] = BPI_ELEMENTWISE_ENTRY(op##_forward)};
#include "door/binary.def"
