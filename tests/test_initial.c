/* How the parameters of a store start: draws, orthogonal matrices, constants, a function. */
#include "core/params.h"
#include "suite.h"

#define CLAIM(name) Test(initial, name, .init = setup, .fini = teardown)

static bp_params *store(bp_dtype dtype)
{
    bp_params *p;
    OK(bp_params_create(ctx, dtype, &p));
    return p;
}

/* --- initial values --------------------------------------------------------------------------- */

/* Means of x, x^2, x^4 over the deviation, and the largest, of a [1000, 50] or of its filters. */
static void moments(bp_init init, bp_shape shape, double deviation, double m[4])
{
    bp_params *p = store(BP_F64);
    values v;
    cr_assert(tensor_values(bp_param(p, "w", shape, init), &v));
    for (int k = 0; k < 4; k++)
        m[k] = 0;
    for (int64_t i = 0; i < v.n; i++) {
        double x = v.v[i] / deviation, square = x * x;
        m[0] += x / (double)v.n;
        m[1] += square / (double)v.n;
        m[2] += square * square / (double)v.n;
        m[3] = fmax(m[3], fabs(x));
    }
    values_free(&v, 1);
    bp_params_free(p);
}

CLAIM(initial_values_have_the_mean_and_variance_of_their_names)
{
    const bp_shape matrix = BP_SHAPE(1000, 50), filters = BP_SHAPE(100, 5, 5, 20);
    const struct { bp_init init; bp_shape shape; double variance; } of[] = {
        {BP_INIT_LECUN, matrix, 1.0 / 50}, {BP_INIT_HE, matrix, 2.0 / 50},
        {BP_INIT_GLOROT, matrix, 2.0 / 1050}, {BP_INIT_LECUN_NORMAL, matrix, 1.0 / 50},
        {BP_INIT_HE_NORMAL, matrix, 2.0 / 50}, {BP_INIT_GLOROT_NORMAL, matrix, 2.0 / 1050},
        {BP_INIT_HE, filters, 2.0 / 500}, {BP_INIT_GLOROT, filters, 2.0 / (500 + 2500)},
        {BP_INIT_GLOROT_NORMAL, filters, 2.0 / (500 + 2500)}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bool normal = of[i].init >= BP_INIT_LECUN_NORMAL;
        double m[4], fourth = normal ? 3 : 1.8;
        moments(of[i].init, of[i].shape, sqrt(of[i].variance), m);
        /* of 50,000 draws, 4 and a half deviations of each mean */
        cr_assert_lt(fabs(m[0]), 0.02, "%d: mean %g", (int)i, m[0]);
        cr_assert_lt(fabs(m[1] - 1), normal ? 0.029 : 0.018, "%d: variance %g", (int)i, m[1]);
        cr_assert_lt(fabs(m[2] - fourth), normal ? 0.2 : 0.05, "%d: fourth %g", (int)i, m[2]);
        cr_assert(normal ? m[3] > 3.8 && m[3] < 6.34 : m[3] <= sqrt(3) && m[3] > 1.73, "%d: %g",
                  (int)i, m[3]);
    }
}

/* The inner products of the rows of an [n, m], or of the columns of an [m, n], against 1 and 0. */
static double off(const values *v, int64_t rows, int64_t cols)
{
    int64_t n = rows < cols ? rows : cols, m = v->n / n, along = rows < cols ? 1 : cols;
    int64_t apart = rows < cols ? cols : 1;
    double worst = 0;
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b <= a; b++) {
            double sum = a == b ? -1 : 0;
            for (int64_t i = 0; i < m; i++)
                sum += v->v[a * apart + i * along] * v->v[b * apart + i * along];
            worst = fmax(worst, fabs(sum));
        }
    return worst;
}

CLAIM(orthogonal_matrices_are)
{
    static const bp_shape shape[] = {{2, {64, 64}}, {2, {9, 100}}, {2, {100, 9}}, {4, {7, 3, 3, 5}},
                                     {4, {90, 3, 3, 5}}, {2, {300, 300}}, {1, {12}}, {2, {1, 1}}};
    for (int dtype = BP_F32; dtype <= BP_F64; dtype++)
        for (size_t i = 0; i < sizeof shape / sizeof *shape; i++) {
            bp_params *p = store(dtype);
            values v;
            int64_t rows = shape[i].dim[0];
            cr_assert(tensor_values(bp_param(p, "w", shape[i], BP_INIT_ORTHOGONAL), &v));
            double worst = off(&v, rows, v.n / rows);
            cr_assert_lt(worst, dtype == BP_F32 ? 1e-6 : 1e-13, "%d: %g", (int)i, worst);
            values_free(&v, 1);
            bp_params_free(p);
        }
}

/* Of a rotation that is drawn evenly the mean of each element is 0, its variance 1 / n: the
 * diagonal is where a sign that is left to the algorithm would show. */
CLAIM(orthogonal_matrices_favour_no_sign)
{
    enum { TIMES = 400, N = 4 };
    double sum[N * N] = {0}, square[N * N] = {0};
    for (int k = 0; k < TIMES; k++) {
        bp_params *p = store(BP_F64);
        values v;
        cr_assert(tensor_values(bp_param(p, "w", BP_SHAPE(N, N), BP_INIT_ORTHOGONAL), &v));
        for (int i = 0; i < N * N; i++) {
            sum[i] += v.v[i] / TIMES;
            square[i] += v.v[i] * v.v[i] / TIMES;
        }
        values_free(&v, 1);
        bp_params_free(p);
    }
    for (int i = 0; i < N * N; i++) {
        cr_assert_lt(fabs(sum[i]), 4 * 0.5 / 20, "element %d: mean %g", i, sum[i]);
        cr_assert_lt(fabs(square[i] - 0.25), 0.06, "element %d: %g", i, square[i]);
    }
}

/* FNV-1a over the bits of a store of one seed: the same on every machine, for ever. */
static uint64_t bits_of(bp_init init, bp_dtype dtype)
{
    bp_params *p = store(dtype);
    static unsigned char bytes[8 * 13 * 33];
    bp_tensor *w = bp_param(p, "w", BP_SHAPE(13, 33), init);
    uint64_t hash = 0xcbf29ce484222325u;
    size_t n = 13 * 33 * bp_dtype_bytes(dtype);
    OK(bp_seed(ctx, 7));
    OK(bp_read(w, bytes, n));
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    bp_params_free(p);
    return hash;
}

CLAIM(initial_values_have_the_same_bits_everywhere)
{
    static const uint64_t wanted[][2] = {
        {0xd449a7d9ce95c5b5, 0xd051d28d5abd6545}, {0x1608bb988bb10638, 0x9802f9ea1cf33ff8},
        {0x8c77c7c9ce99dd7f, 0x989ca7adf4f26937}, {0x24dff2c1171951f5, 0x84e0cf80f80a7d18},
        {0x270e20c6d7b7673f, 0x0ee63172dcc02752}, {0x4280247859ae536f, 0x9b60cf8cafc93cce},
        {0x7ddc0a04c30cbf2f, 0xf38d26931d065815}, {0xacdaa95c16e5e071, 0x6ae10b355bd5070f},
        {0x150df5b907792e3b, 0xae6337ecd295f3e0}};
    for (bp_init i = BP_INIT_ZERO; i <= BP_INIT_ORTHOGONAL; i++) {
        cr_assert_eq(bits_of(i, BP_F32), wanted[i][0], "%d", (int)i);
        cr_assert_eq(bits_of(i, BP_F64), wanted[i][1], "%d", (int)i);
    }
}

/* --- a function of one's own ------------------------------------------------------------------ */

typedef struct filler {
    bp_params *params;
    bp_tensor *other, *t;
    bp_status returns, called;
    double step, bad;
    int calls;
    bool frees;
} filler;

/* 0, step, 2 step, ... */
static bp_status fill(void *user, double *value, int64_t count)
{
    filler *f = user;
    float x;
    f->calls++;
    for (int64_t i = 0; i < count; i++) {
        cr_assert_eq(value[i], 0);
        value[i] = f->step * (double)i;
    }
    if (f->bad != 0)
        value[count - 1] = f->bad;
    f->called = bp_read(f->t, &x, sizeof x);
    if (f->frees) {
        bp_free(f->other);
        bp_params_free(f->params);
    }
    return f->returns;
}

CLAIM(a_function_gives_values_row_by_row_and_constants_are_constant)
{
    bp_params *p = store(BP_F32);
    filler f = {.step = 0.5};
    bp_tensor *w = bp_param_with(p, "w", BP_SHAPE(3, 5), fill, &f);
    bp_tensor *c = bp_param_constant(p, "c", BP_SHAPE(2, 3), -1.5);
    f.t = w;
    cr_assert_eq(f.calls, 0);
    for (int i = 0; i < 15; i++)
        cr_assert_eq(at(w, i), 0.5 * i);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(at(c, i), -1.5);
    cr_assert_eq(f.calls, 1);
    cr_assert_eq(f.called, BP_ERR_STATE, "it may call nothing");
    bp_params_free(p);
}

CLAIM(a_function_that_fails_is_told_and_the_store_can_be_used_again)
{
    bp_params *p = store(BP_F32);
    filler f = {.returns = BP_ERR_IO, .step = 1};
    float x[6];
    bp_param(p, "first", BP_SHAPE(4), BP_INIT_HE);
    bp_tensor *w = f.t = bp_param_with(p, "w", BP_SHAPE(2, 3), fill, &f);
    cr_assert_eq(bp_read(w, x, sizeof x), BP_ERR_IO);
    TEXT("param w: its function of initial values returned 10 (input/output error)");
    f.returns = BP_OK;
    f.bad = 1e39;
    cr_assert_eq(bp_read(w, x, sizeof x), BP_ERR_NONFINITE);
    TEXT("param w: its function of initial values gives 1e+39 for element 5, which is not finite "
         "in f32");
    f.bad = 0;
    OK(bp_read(w, x, sizeof x));
    cr_assert_eq(x[5], 5);
    cr_assert_eq(f.calls, 3);
    bp_params_free(p);
}

/* A tensor that an op at work has already looked at, and the store that is being filled. */
CLAIM(what_a_function_frees_goes_when_the_call_has_ended)
{
    for (int both = 0; both < 2; both++) {
        bp_params *p = store(BP_F64);
        filler f = {.step = 1, .frees = true, .params = both ? p : NULL};
        bp_tensor *w = bp_param_with(p, "w", BP_SHAPE(3), fill, &f);
        f.t = f.other = TENSOR(BP_SHAPE(3), 1, 2, 3);
        begin();
        bp_tensor *y = bp_mul(f.other, w);
        cr_assert(y, "%s", bp_error_text(ctx));
        cr_assert_eq(at(y, 2), 6);
        end();
        double x[3];
        cr_assert_eq(bp_read(f.other, x, sizeof x), BP_ERR_ARG, "it is gone");
        cr_assert_eq(bp_read(w, x, sizeof x), both ? BP_ERR_ARG : BP_OK);
        if (!both)
            bp_params_free(p);
    }
}

CLAIM(what_starts_wrong_is_refused)
{
    bp_params *p = store(BP_F32);
    cr_assert_null(bp_param_constant(p, "c", BP_SHAPE(2), 1e39));
    TEXT("param c: the constant 1e+39 is not finite in f32");
    cr_assert_null(bp_param_constant(p, "c", BP_SHAPE(2), NAN));
    cr_assert_null(bp_param_constant(p, "c", BP_SHAPE(0), 1));
    TEXT("param c: bad shape [0]");
    cr_assert_null(bp_param_with(p, "c", BP_SHAPE(2), NULL, NULL));
    TEXT("param_with: fill is NULL");
    cr_assert_null(bp_param(p, "c", BP_SHAPE(2), -1));
    TEXT("param c: unknown initialisation -1");
    cr_assert_eq(bp_param_count(p), 0);
    bp_params_free(p);
}
