/* The second derivatives of the ops of unary.def far out, where a composition that cancels or
 * overflows shows: against differences of the slope, which is the kernel's. */
#include "suite.h"
#include <float.h>

typedef struct entry {
    const char *name;
    bp_tensor *(*y)(bp_tensor *x);
    double far[2], absolute; /* as `tested` says */
} entry;

#define BPI_UNARY(name, ...) \
    static bp_tensor *call_##name(bp_tensor *x) { return bp_##name(x); }
#define BPI_UNARY_1(name, p, tp, ...) \
    static bp_tensor *call_##name(bp_tensor *x) { return bp_##name(x, tp); }
#define BPI_UNARY_2(name, p, tp, q, tq, ...) \
    static bp_tensor *call_##name(bp_tensor *x) { return bp_##name(x, tp, tq); }
#include "door/unary.def"

#define FAR_OF(lo, hi, far_lo, far_hi, relative, absolute, why) {far_lo, far_hi}, absolute
#define BPI_UNARY(name, saved, tested, ...) {#name, call_##name, FAR_OF tested},
#define BPI_UNARY_1(name, p, tp, wanted, saved, tested, ...) {#name, call_##name, FAR_OF tested},
#define BPI_UNARY_2(name, p, tp, q, tq, wanted, saved, tested, ...) \
    {#name, call_##name, FAR_OF tested},
static const entry entries[] = {
#include "door/unary.def"
};

enum { POINTS = 200 };

/* dx of the sum of y; the kernel's, or in the form that can be differentiated. */
static bp_tensor *slope(const entry *e, bp_tensor *x, int graph)
{
    bp_tensor *dx, *y = e->y(x);
    OK(bp_grad(ctx, y, bp_full_like(y, 1), &x, 1, graph ? BP_CREATE_GRAPH : 0, &dx));
    return dx;
}

static values slopes_at(const entry *e, const double *v)
{
    values out = {0};
    bp_tensor *x = bp_require_grad(tensor_in(ctx, BP_F64, BP_SHAPE(POINTS), v, 0));
    cr_assert(tensor_values(slope(e, x, 0), &out), "%s", bp_error_text(ctx));
    return out;
}

static void check_entry(const entry *e)
{
    const double step = 1e-6; /* of x */
    const int wave = strcmp(e->name, "sin") == 0 || strcmp(e->name, "cos") == 0;
    double v[POINTS], above[POINTS], below[POINTS];
    for (int i = 0; i < POINTS; i++) {
        const double end = e->far[i % 2], far = fabs(end) * (fabs(end) < 1e3 ? 20 : 1);
        const double most = wave ? 1e3 : far; /* `tested` stays where f32 does */
        v[i] = copysign(most * pow(1e-5 / most, 1 - (i + 1.0) / POINTS), e->far[0] > 0 ? 1 : end);
        above[i] = v[i] * (1 + step);
        below[i] = v[i] * (1 - step);
    }
    begin();
    values high = slopes_at(e, above), low = slopes_at(e, below), second = {0};
    bp_tensor *dx2, *x = bp_require_grad(tensor_in(ctx, BP_F64, BP_SHAPE(POINTS), v, 0));
    bp_tensor *dx = bp_add(slope(e, x, 1), bp_scale(x, 0)); /* one that has a history, if constant */
    OK(bp_grad(ctx, dx, bp_full_like(dx, 1), &x, 1, 0, &dx2));
    cr_assert(tensor_values(dx2, &second));
    for (int i = 0; i < POINTS; i++) {
        const double wide = above[i] - below[i], wanted = (high.v[i] - low.v[i]) / wide;
        const double slopes = fabs(high.v[i]) + fabs(low.v[i]), lost = 1e-14 * slopes / fabs(wide) +
                     e->absolute * DBL_EPSILON * (1 + 2 / fabs(wide));
        cr_assert(!isfinite(wanted) ||
                      fabs(second.v[i] - wanted) <= 1e-5 * fabs(wanted) + lost + DBL_MIN,
                  "%s at %.17g: %.17g, and %.17g by differences", e->name, v[i], second.v[i],
                  wanted);
    }
    values_free(&high, 1);
    values_free(&low, 1);
    values_free(&second, 1);
    end();
}

Test(far, second_derivatives_are_those_of_the_slopes, .init = setup, .fini = teardown)
{
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        check_entry(&entries[i]);
}
