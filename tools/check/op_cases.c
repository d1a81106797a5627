/* The rows, a file of cases/ for each header of ops, and their values. REAL(layout, lo, hi,
 * sizes...), INDEX(count-of-values, sizes...), BYTES(sizes...).
 * Tolerances are in units of epsilon: f32 against f64 has one rounding more than nothing. */
#include <math.h>
#include <string.h>

#include "op_cases.h"

#define SIZES(...) {BP_SHAPE_COUNT(__VA_ARGS__), {__VA_ARGS__}}
#define REAL(layout, lo, hi, ...) {0, layout, lo, hi, SIZES(__VA_ARGS__)}
#define NUMBER(lo, hi) {0, AS_IS, lo, hi, {0, {0}}}
#define INDEX(n, ...) {BP_I32, AS_IS, 0, n, SIZES(__VA_ARGS__)}
#define BITS(...) {BP_U8, AS_IS, 0, 2, SIZES(__VA_ARGS__)}
#define INDEX_NUMBER(n) {BP_I32, AS_IS, 0, n, {0, {0}}}
#define BYTES(...) {BP_U8, AS_IS, 0, 256, SIZES(__VA_ARGS__)}
#define IN(...) .in = {__VA_ARGS__}, .n_in = sizeof((op_input[]){__VA_ARGS__}) / sizeof(op_input)
#define TOL(relative, absolute, why) .tol = {relative, absolute, why}

/* op, its builder, what is special about the row */
#define ROW(op, build, name) #op, #op " " name, .builder = #build

#define ROUND TOL(1, 0, "one rounding")
#define ROUND_SUM(terms) TOL(3, 3 * (terms), "one rounding a term, terms cancel")
#define EXACT TOL(0, 0, "values are moved, not computed")
#define EXP_TOL TOL(6, 1, "2 ulp exp, a product")
#define PRODUCT(k) TOL(4, 2 * (k), "K products of at most 1: at worst K eps, mostly sqrt(K) eps")
#define ATTENTION(n) TOL(8, 16 + 4 * (n), "2 ulp exp of scores that lose sqrt(D) eps; n terms")
#define SOFTMAX(c) TOL(4, 16 + (c), "2 ulp exp and log, C terms, |x| up to 8")
#define SHARES(c) TOL(14, (c) < 1000 ? 16 : 1, "|x - max| up to 16 rounds, 2 ulp exp; terms cancel")
#define NORM_SUM(n) TOL(8, 2 * (n), "n rows of |dy z| up to 4 are summed")
#define NORM TOL(8, 16, "half of the variance's roundings, 5 more; terms cancel")
/* A window's steps down and across, dilation, padding at top, left, bottom, right. */
#define WINDOW(...) .shape = {8, {__VA_ARGS__}}
#define PADDED(n) WINDOW(1, 1, 1, 1, n, n, n, n)
#define IMAGES(n, h, w, c) REAL(AS_IS, -1, 1, n, h, w, c)
#define MOVED TOL(4, 600, "a place loses 65 eps, a displacement 50 terms; neighbours differ by 2")
#define PAIR(lo, hi) REAL(AS_IS, lo, hi, 31, 7), REAL(AS_IS, lo, hi, 31, 7)
#define LOSS(n) TOL(12, 8 + (n) / 16, "up to 4 functions of 2 to 4 ulp; n terms are added in f64")
#define CELL(k) TOL(16, 8 + 4 * (k), "gates of k terms up to 2 and 4, functions of 4 ulp; terms cancel")

#include "family_rows.h"

static const op_case table[] = {
#include "cases/elementwise.inc"
#include "cases/reduce.inc"
#include "cases/shape.inc"
#include "cases/index.inc"
#include "cases/product.inc"
#include "cases/conv.inc"
#include "cases/norm.inc"
#include "cases/loss.inc"
#include "cases/random.inc"
#include "cases/recurrent.inc"
};
const op_case *op_cases = table;
int op_cases_n = sizeof table / sizeof *table;

bool op_cases_only(const char *op)
{
    while (op_cases_n > 0 && strcmp(op_cases->op, op))
        op_cases++, op_cases_n--;
    int n = 0;
    while (n < op_cases_n && !strcmp(op_cases[n].op, op))
        n++;
    op_cases_n = n;
    return n > 0;
}

/* splitmix64 (Steele, Lea, Flood, 2014). */
double op_random(uint64_t seed, int64_t i)
{
    uint64_t z = (seed + 1) * 0xD1342543DE82EF95u + ((uint64_t)i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

double op_value(const op_case *c, int input, int64_t i, bool specials)
{
    const op_input *in = &c->in[input];
    uint64_t seed = (uint64_t)input;
    for (const char *s = c->name; *s; s++)
        seed = seed * 31 + (unsigned char)*s;
    double v = in->lo + (in->hi - in->lo) * op_random(seed, i);
    if (in->dtype == BP_I32 || in->dtype == BP_U8)
        return floor(v);
    if (specials && op_random(seed + 1, i) < 0.25) {
        static const double special[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e-40f};
        return special[(int)(op_random(seed + 2, i) * (c->flags & CASE_TINY ? 6 : 5))];
    }
    if (fabs(v) < 0.02 && in->lo < in->hi && in->hi >= 0.02) /* away from the kink of ReLU and kin */
        v += v < 0 && in->lo < -0.04 ? -0.02 : 0.02;
    return (float)v;
}

bp_tensor *op_seen(const op_case *c, int input, bp_tensor *t)
{
    bp_shape s = c->in[input].shape;
    switch (c->in[input].layout) {
    case SWAPPED: return bp_transpose(t, s.ndim - 2, s.ndim - 1);
    case REPEATED: s.dim[0] = 5; return bp_expand(t, s);
    default: return t;
    }
}
