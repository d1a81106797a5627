/* The functions of cpu/vmath.h, sine.h, power.h and normal.h against the long double functions of
 * the C library.
 *
 * Compiled once per compute type and instruction level, with the flags of a kernel file; values go
 * through loops, so that it is the vectorised code that is tested. An error is counted in units in
 * the last place of the exact result; infinity counts as the number after the largest. */
#include <string.h>

#include "cpu/asked.h"
#include "cpu/sine.h"
#include "check.h"
#include "door/philox.h"

#define NAME_(x) #x
#define NAME(x) NAME_(x)

enum { BATCH = 1024 };
#if BPI_F64
enum { SAMPLES = 10000000 / 3 };
#define LARGEST DBL_MAX
#define LEAST 0x1p-1074
#define LEAST_LOG (-745.2)
#define LARGEST_LOG 709.79
#define LAST_EXP 0x1.62e42fefa39efp+9 /* the last whose e^ is finite */
#define BEYOND 0x1p1024L
#else
enum { SAMPLES = 1 << 22 };
#define LARGEST FLT_MAX
#define LEAST 0x1p-149f
#define LEAST_LOG (-103.98f)
#define LARGEST_LOG 88.73f
#define LAST_EXP 0x1.62e42ep+6f
#define BEYOND 0x1p128L
#endif

typedef struct function {
    const char *name;
    void (*run)(const real *x, real *y, int64_t n);
    long double (*exact)(long double);
    double bound; /* ulp */
    int64_t values;
    long double worst;
    real worst_at;
} function;

#define RUN(name)                                                                   \
    static void run_##name(const real *restrict x, real *restrict y, int64_t n)     \
    {                                                                               \
        for (int64_t i = 0; i < n; i++)                                             \
            y[i] = name##_of(x[i]);                                                 \
    }
#define goes_far bpi_goes_far(x, n)
RUN(exp)
RUN(expm1)
RUN(log)
RUN(log1p)
RUN(tanh)
RUN(sin)
RUN(cos)

/* One that a formula asks for, in units. */
#define ASKING_RUN(name)                                                            \
    BPI_RUN_UNITS(units_##name, real, real, ,                                       \
                  BPI_ASKING_UNIT(y, const real y = name##_of(u[i])))               \
    static void run_##name(const real *x, real *y, int64_t n)                       \
    {                                                                               \
        real in[BATCH + UNIT] = {0}, out[BATCH + UNIT];                             \
        memcpy(in, x, (size_t)n * sizeof *x);                                       \
        const bpi_operand each[] = {{in, UNIT}, {in, UNIT}, {in, UNIT}};            \
        units_##name(out, each, (n + UNIT - 1) / UNIT * UNIT, NULL, 0);             \
        memcpy(y, out, (size_t)n * sizeof *y);                                      \
    }
ASKING_RUN(erf)
ASKING_RUN(normal_pdf)
ASKING_RUN(normal_cdf)

static long double normal_pdfl(long double x)
{
    return 0.398942280401432677939946059934381868L * expl(-0.5L * x * x);
}

static long double normal_cdfl(long double x)
{
    const long double root = 0.707106781186547524400844362104849039L;
    long double z = -x * root, lost = isfinite(x) ? fmal(-x, root, -z) : 0; /* of the product */
    return 0.5L * erfcl(z) - 0.564189583547756286948079451560772586L * expl(-z * z) * lost;
}

static function functions[] = {
    {.name = "exp", .run = run_exp, .exact = expl, .bound = 2},
    {.name = "expm1", .run = run_expm1, .exact = expm1l, .bound = 2},
    {.name = "log", .run = run_log, .exact = logl, .bound = 2},
    {.name = "log1p", .run = run_log1p, .exact = log1pl, .bound = 2},
    {.name = "tanh", .run = run_tanh, .exact = tanhl, .bound = 3},
    {.name = "sin", .run = run_sin, .exact = sinl, .bound = 2},
    {.name = "cos", .run = run_cos, .exact = cosl, .bound = 2},
    {.name = "erf", .run = run_erf, .exact = erfl, .bound = 3},
    {.name = "normal_pdf", .run = run_normal_pdf, .exact = normal_pdfl, .bound = 3},
    {.name = "normal_cdf", .run = run_normal_cdf, .exact = normal_cdfl, .bound = 4}};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static long double ulp_of(long double exact)
{
    real x = (real)(exact < 0 ? -exact : exact);
    bpi_bits exponent = bpi_to_bits(x < LARGEST ? x : LARGEST) >> BPI_MANTISSA;
    if (exponent <= BPI_MANTISSA) /* the unit itself is a denormal */
        return bpi_from_bits((bpi_bits)1 << (exponent ? exponent - 1 : 0));
    return bpi_from_bits((exponent - BPI_MANTISSA) << BPI_MANTISSA);
}

static long double finite(long double x)
{
    return x > BEYOND ? BEYOND : x < -BEYOND ? -BEYOND : x;
}

static long double error_in_ulps(real got, long double exact)
{
    if (isnan(got) || isnan(exact))
        return isnan(got) && isnan(exact) ? 0 : INFINITY;
    exact = finite(exact);
    return fabsl(finite(got) - exact) / ulp_of(exact);
}

static void compare(function *f, const real *x, int64_t n)
{
    real y[BATCH];
    f->run(x, y, n);
    f->values += n;
    for (int64_t i = 0; i < n; i++) {
        long double e = error_in_ulps(y[i], f->exact(x[i]));
        if (e > f->worst) {
            f->worst = e;
            f->worst_at = x[i];
        }
    }
}

static real uniform(uint32_t high, uint32_t low, real from, real to)
{
    return from + (to - from) * (real)(((double)high + low * 0x1p-32) * 0x1p-32);
}

/* All bit patterns alike for f32; for f64 random ones, and every other batch from where a function
 * is neither trivial nor saturated. */
static void fill(real *x, int64_t batch)
{
    static const real from[] = {LEAST_LOG, -1, 0, (real)0.5}, to[] = {LARGEST_LOG, 1, 100, 2};
    bpi_stream stream = {.seed = 1, .step = (uint64_t)batch};
    for (int64_t i = 0; i < BATCH; i += 2) {
        uint32_t w[4];
        bpi_philox_block(&stream, (uint64_t)i, w);
        for (int j = 0; j < 2; j++) {
            uint32_t high = w[2 * j], low = w[2 * j + 1];
#if BPI_F64
            bpi_bits bits = (bpi_bits)high << 32 | low;
#else
            bpi_bits bits = (bpi_bits)(batch * BATCH + i + j) << 10 | (low & 1023);
#endif
            int k = batch / 2 % 4;
            x[i + j] = BPI_F64 && batch % 2 ? uniform(high, low, from[k], to[k])
                                            : bpi_from_bits(bits);
        }
    }
}

static void test_samples(void)
{
    real x[BATCH];
    for (int64_t batch = 0; batch < SAMPLES / BATCH; batch++) {
        fill(x, batch);
        for (int f = 0; f < FUNCTIONS; f++)
            compare(&functions[f], x, BATCH);
    }
}

/* The neighbours of a value, on both sides, with both signs. */
static void compare_around(real centre)
{
    enum { SIDE = 32 };
    real x[4 * SIDE + 2];
    bpi_bits bits = bpi_to_bits(centre < 0 ? -centre : centre);
    int64_t n = 0;
    for (bpi_bits i = 0; i <= 2 * SIDE; i++) {
        real v = bpi_from_bits(bits > SIDE ? bits - SIDE + i : i);
        x[n++] = v;
        x[n++] = -v;
    }
    for (int f = 0; f < FUNCTIONS; f++)
        compare(&functions[f], x, n);
}

/* Where the reduction steps from one n to the next, where a result overflows or becomes a denormal
 * or 0, and where a function is clamped. */
static void test_borders(void)
{
    static const real borders[] = {0, BPI_MIN_NORMAL, LARGEST, LEAST_LOG, LARGEST_LOG, LAST_EXP,
                                   BPI_EXP_MAX, BPI_EXP_MIN, BPI_EXPM1_MIN, BPI_EXPM1_TINY,
                                   (real)INFINITY};
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++)
        compare_around(borders[i]);
    for (int k = 0; k <= 2 * (BPI_BIAS + BPI_MANTISSA + 2); k++)
        compare_around((real)(k * 0.34657359027997264)); /* ln2 / 2 */
    for (int k = -(BPI_BIAS + BPI_MANTISSA); k <= BPI_BIAS; k++) {
        compare_around((real)ldexp(1, k));
        compare_around((real)ldexp(0.70710678118654752, k));
    }
}

static int same(real a, real b)
{
    return bpi_to_bits(a) == bpi_to_bits(b) || (isnan(a) && isnan(b));
}

static void test_special_values(void)
{
    const real inf = (real)INFINITY, nan = (real)NAN, peak = (real)0.398942280401432678L;
    const real x[] = {nan, inf, -inf, 0, -(real)0, LARGEST, -LARGEST, LEAST, -LEAST};
    const real want[FUNCTIONS][sizeof x / sizeof *x] = {
        {nan, inf, 0, 1, 1, inf, 0, 1, 1},
        {nan, inf, -1, 0, -(real)0, inf, -1, LEAST, -LEAST},
        {nan, inf, nan, -inf, -inf, (real)logl(LARGEST), nan, (real)logl(LEAST), nan},
        {nan, inf, nan, 0, -(real)0, (real)logl(LARGEST), nan, LEAST, -LEAST},
        {nan, 1, -1, 0, -(real)0, 1, -1, LEAST, -LEAST},
        {nan, nan, nan, 0, -(real)0, (real)sinl(LARGEST), (real)-sinl(LARGEST), LEAST, -LEAST},
        {nan, nan, nan, 1, 1, (real)cosl(LARGEST), (real)cosl(LARGEST), 1, 1},
        {nan, 1, -1, 0, -(real)0, 1, -1, LEAST, -LEAST},
        {nan, 0, 0, peak, peak, 0, 0, peak, peak},
        {nan, 1, 0, (real)0.5, (real)0.5, 1, 0, (real)0.5, (real)0.5}};
    for (int f = 0; f < FUNCTIONS; f++) {
        char name[80];
        real y[sizeof x / sizeof *x];
        int good = 1;
        functions[f].run(x, y, sizeof x / sizeof *x);
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            good &= same(y[i], want[f][i]);
        snprintf(name, sizeof name, NAME(BPI_REAL) " " NAME(BPI_LEVEL) " %s of special values",
                 functions[f].name);
        check(good, name);
    }
    real one = 1, zero;
    run_log(&one, &zero, 1);
    check(same(zero, 0), NAME(BPI_REAL) " " NAME(BPI_LEVEL) " log of 1 is +0");
}

/* Results depend on the element alone, not on where in a vector or a remainder it comes to lie. */
static void test_position(void)
{
    real x[BATCH], y[BATCH], z[BATCH];
    int good = 1;
    for (int64_t batch = 0; batch < 40; batch++) {
        fill(x, batch * (SAMPLES / BATCH / 40) + batch % 2);
        for (int f = 0; f < FUNCTIONS; f++) {
            functions[f].run(x, y, BATCH);
            for (int64_t i = 0, n = 1; i < BATCH; i += n, n = 1 + i % 7)
                functions[f].run(x + i, z + i, n < BATCH - i ? n : BATCH - i);
            for (int64_t i = 0; i < BATCH; i++)
                good &= same(y[i], z[i]);
        }
    }
    check(good, NAME(BPI_REAL) " " NAME(BPI_LEVEL) " the same bits at every position");
}

BPI_RUN_UNITS(run_pow, real, real, , BPI_ASKING_UNIT(y, const real y = pow_of(u[i], v[i])))

/* All pairs of numbers at which pow is an exception, or nearly, and samples; each number has an
 * exponent, or all have one. */
static void test_powers(void)
{
    static const real special[] = {(real)NAN, (real)INFINITY, 0, 1, 2, 3, 4, (real)0.5, (real)2.5,
                                   LARGEST, LEAST, BPI_MIN_NORMAL, 8388607, 8388607.5f, 8388608,
                                   8388609, 16777215, 16777216, 16777218, (real)0.999999, 90};
    enum { SPECIAL = 2 * (sizeof special / sizeof *special) };
    function f = {.name = "pow"};
    real x[BATCH], y[BATCH], p[BATCH];
    const bpi_operand each[] = {{x, UNIT}, {p, UNIT}, {x, UNIT}};
    const bpi_operand all[] = {{x, UNIT}, {p, 0}, {x, UNIT}};
    int good = 1;
    for (int i = 0; i < SPECIAL * SPECIAL; i++) {
        x[i % UNIT] = special[i % SPECIAL / 2] * (i % 2 ? -1 : 1);
        p[i % UNIT] = special[i / SPECIAL / 2] * (i / SPECIAL % 2 ? -1 : 1);
        run_pow(y, each, UNIT, NULL, 0);
        const long double e = powl(x[i % UNIT], p[i % UNIT]), got = y[i % UNIT];
        good &= error_in_ulps((real)got, e) <= 1 && (isnan(e) || signbit(e) == signbit(got));
    }
    check(good, NAME(BPI_REAL) " " NAME(BPI_LEVEL) " pow of special values");
    for (int batch = 0; batch < 400; batch++) {
        fill(x, batch);
        for (int i = 0; i < BATCH; i++) {
            x[i] = batch % 4 ? uniform(bpi_to_bits(x[i]) & 0xFFFFFF, 0, 0, 400) : x[i];
            p[i] = (real)((batch % 50 - 25 + i / 64 * (batch / 50 % 2)) * (batch % 3 ? 1 : 0.37));
        }
        run_pow(y, batch / 50 % 2 ? each : all, BATCH, NULL, 0);
        for (int i = 0; i < BATCH; i++)
            f.worst = fmaxl(f.worst, error_in_ulps(y[i], powl(x[i], p[i])));
    }
    check(f.worst <= 1, NAME(BPI_REAL) " " NAME(BPI_LEVEL) " pow, 1 ulp at most");
    f.worst = 0;
    for (uint32_t i = 0; i < 1 << 20; i++) {
        const real unit = i ? uniform(i << 12, i, 0, 1) : 1;
        f.worst = fmaxl(f.worst, error_in_ulps(log1p_unit_of(unit), log1pl(unit)));
    }
    check(f.worst <= 2, NAME(BPI_REAL) " " NAME(BPI_LEVEL) " log1p on [0, 1], 2 ulp at most");
}

int main(void)
{
    test_special_values();
    test_powers();
    test_position();
    test_samples();
    test_borders();
    for (int f = 0; f < FUNCTIONS; f++) {
        char name[120];
        const function *g = &functions[f];
        snprintf(name, sizeof name,
                 NAME(BPI_REAL) " " NAME(BPI_LEVEL) " %-10s %.3f ulp at most, at %a (%lld values)",
                 g->name, (double)g->worst, (double)g->worst_at, (long long)g->values);
        check(g->worst <= (long double)g->bound, name);
    }
    return check_end();
}
