/* What a device makes of 0, -0, infinities, NaN and the least numbers, against the CPU: values and
 * gradients of each op, and the bits that linear keeps of its ReLU. A plain program:
 *
 *     test_bits NAME
 *
 * A JSON line a row: elements compared, how many differ, and the first that does. NaN is NaN,
 * whatever its bits; elsewhere `exact` rows have the CPU's bits. In the others zeros may differ in
 * sign (a library's sums do; they are counted), finite numbers in their last digits, and subnormal
 * ones may be 0.
 * Status 77 where the device cannot be opened, 1 with BPCUDA_REQUIRE_CUDA=1. */
#include <bpcuda/bpcuda.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 14, MAX_IN = 5 };                          /* special numbers; inputs of a row */
enum { ACROSS = 1, DOWN = 2, SMALL = 4, ORDINARY = 8 }; /* how an input is filled */

typedef struct row {
    const char *name;
    bp_tensor *(*apply)(bp_tensor **in);
    int exact, n_in;
    struct {
        int64_t rows, cols;
        int fill;
    } in[MAX_IN];
} row;

#define APPLY(name, call)                 \
    static bp_tensor *name(bp_tensor **t) \
    {                                     \
        return call;                      \
    }
APPLY(add, bp_add(t[0], t[1]))
APPLY(mul, bp_mul(t[0], t[1]))
APPLY(div_, bp_div(t[0], t[1]))
APPLY(scale, bp_scale(t[0], -1))
APPLY(relu, bp_relu(t[0]))
APPLY(gate, bp_gate(t[0], t[1]))
APPLY(elu, bp_elu(t[0], 1))
APPLY(exp_, bp_exp(t[0]))
APPLY(log_, bp_log(t[0]))
APPLY(dropout, bp_dropout(t[0], 0.5))
APPLY(sum, bp_sum_axes(t[0], BP_AXIS(1), 0))
APPLY(log_softmax, bp_log_softmax(t[0], 1))
APPLY(matmul, bp_matmul(t[0], t[1]))
APPLY(linear, bp_linear(t[0], t[1], t[2]))
APPLY(linear_relu, bp_linear_relu(t[0], t[1], t[2], 0))

/* The second layer hands the gradient over before the first one's ReLU, through its bits. */
static bp_tensor *two_layers(bp_tensor **t)
{
    return bp_linear(bp_linear_relu(t[0], t[1], t[2], 0), t[3], t[4]);
}

static bp_tensor *two_layers_dropout(bp_tensor **t)
{
    return bp_linear(bp_linear_relu(t[0], t[1], t[2], 0.5), t[3], t[4]);
}

#define ALL {N, N, DOWN}
#define PAIRS {{N, N, DOWN}, {N, N, ACROSS}}
/* Zeros times small numbers, so that the bias alone, one special number a column, is what ReLU sees
 * in the upper rows; in the lower ones each special number meets all columns. */
#define LAYER {2 * N, 8, SMALL}, {N, 8, ORDINARY}, {1, N, ACROSS}
static const row rows[] = {
    {"add", add, 1, 2, PAIRS}, {"mul", mul, 1, 2, PAIRS}, {"div", div_, 1, 2, PAIRS},
    {"scale", scale, 1, 1, {ALL}}, {"relu", relu, 1, 1, {ALL}}, {"gate", gate, 1, 2, PAIRS},
    {"elu", elu, 0, 1, {ALL}}, {"exp", exp_, 0, 1, {ALL}}, {"log", log_, 0, 1, {ALL}},
    {"dropout", dropout, 1, 1, {ALL}}, {"sum", sum, 0, 1, {ALL}},
    {"log-softmax", log_softmax, 0, 1, {{2 * N, N, SMALL}}},
    {"matmul", matmul, 0, 2, {{2 * N, 8, SMALL}, {8, N, ORDINARY}}},
    {"linear", linear, 0, 3, {LAYER}}, {"linear relu", linear_relu, 0, 3, {LAYER}},
    {"linear relu, linear", two_layers, 0, 5, {LAYER, {3, N, ORDINARY}, {1, 3, ORDINARY}}},
    {"linear relu dropout, linear", two_layers_dropout, 0, 5,
     {LAYER, {3, N, ORDINARY}, {1, 3, ORDINARY}}},
};

static double special(int64_t i, bp_dtype dtype)
{
    const double tiny = dtype == BP_F32 ? (double)FLT_TRUE_MIN : DBL_TRUE_MIN;
    const double least = dtype == BP_F32 ? (double)FLT_MIN : DBL_MIN;
    const double most = (dtype == BP_F32 ? (double)FLT_MAX : DBL_MAX) / 4; /* TF32 rounds up */
    const double all[N] = {0, -0.0, NAN, -NAN, INFINITY, -INFINITY, tiny, -tiny, least, -least,
                           most, -most, 1, -1};
    return all[i % N];
}

static double number(int fill, int64_t i, int64_t j, bp_dtype dtype)
{
    if (fill == SMALL) /* rows of zeros, of -0, of small numbers; then a special one in column 0 */
        return i >= N && j == 0 ? special(i, dtype) : i % 3 == 0 ? 0 : i % 3 == 1 ? -0.0 : 0.25;
    if (fill == ORDINARY)
        return (double)((i * 5 + j * 3) % 7 - 3) / 4;
    return special(fill == DOWN ? i : j, dtype);
}

/* --- one run: y, then the gradients of all inputs, as doubles ------------------------------- */

typedef struct run {
    const row *row;
    bp_dtype dtype;
    bp_context *ctx;
    bp_tensor *in[MAX_IN], *out[1 + MAX_IN];
} run;

static bp_tensor *filled(bp_context *ctx, bp_dtype dtype, bp_shape s, int fill)
{
    int64_t cols = s.dim[s.ndim - 1], n = bp_shape_count(s);
    size_t bytes = (size_t)n * bp_dtype_bytes(dtype);
    void *host = malloc(bytes);
    for (int64_t i = 0; i < n && host; i++) {
        double v = number(fill, i / cols, i % cols, dtype);
        if (dtype == BP_F64)
            ((double *)host)[i] = v;
        else
            ((float *)host)[i] = (float)v;
    }
    bp_tensor *t = host ? bp_tensor_create(ctx, dtype, s) : NULL;
    if (t && bp_write(t, host, bytes) != BP_OK) {
        bp_free(t);
        t = NULL;
    }
    free(host);
    return t;
}

static bp_status step(bp_context *ctx, void *user)
{
    run *r = user;
    bp_tensor *leaf[MAX_IN], *dx[MAX_IN] = {0};
    for (int i = 0; i < r->row->n_in; i++)
        leaf[i] = bp_require_grad(r->in[i]);
    bp_tensor *y = r->row->apply(leaf);
    if (!y)
        return BP_OK; /* the scope's error says why */
    bp_tensor *dy = filled(ctx, r->dtype, bp_shape_of(y), ORDINARY);
    bp_status st = bp_grad(ctx, y, dy, leaf, r->row->n_in, 0, dx);
    bp_free(dy);
    r->out[0] = bp_keep(y);
    for (int i = 0; i < r->row->n_in && st == BP_OK; i++)
        r->out[1 + i] = bp_keep(dx[i]);
    return st;
}

/* All results behind each other, *n of them; yours to free. NULL after a failure. */
static double *results(const row *w, bp_context *ctx, bp_dtype dtype, int64_t *n)
{
    run r = {.row = w, .dtype = dtype, .ctx = ctx};
    bp_status st = bp_seed(ctx, 1);
    for (int i = 0; i < w->n_in; i++) {
        bp_shape s = BP_SHAPE(w->in[i].rows, w->in[i].cols);
        if (w->in[i].rows == 1)
            s = BP_SHAPE(w->in[i].cols);
        r.in[i] = filled(ctx, dtype, s, w->in[i].fill);
    }
    if (st == BP_OK)
        st = bp_run(ctx, 0, step, &r);
    double *all = NULL;
    *n = 0;
    for (int k = 0; k <= w->n_in && st == BP_OK; k++) {
        int64_t count = bp_shape_count(bp_shape_of(r.out[k]));
        size_t bytes = (size_t)count * bp_dtype_bytes(dtype);
        void *host = malloc(bytes);
        all = realloc(all, (size_t)(*n + count) * sizeof *all);
        st = bp_read(r.out[k], host, bytes);
        for (int64_t i = 0; i < count; i++)
            all[*n + i] = dtype == BP_F64 ? ((double *)host)[i] : (double)((float *)host)[i];
        *n += count;
        free(host);
    }
    for (int k = 0; k <= w->n_in; k++) {
        bp_free(r.out[k]);
        bp_free(k < w->n_in ? r.in[k] : NULL);
    }
    if (st != BP_OK) {
        free(all);
        return NULL;
    }
    return all;
}

/* --- comparing ------------------------------------------------------------------------------- */

static int differ(double got, double want, int exact, double eps, double least)
{
    if (isnan(got) || isnan(want))
        return isnan(got) != isnan(want);
    if (exact || isinf(got) || isinf(want))
        return got != want || !signbit(got) != !signbit(want);
    return fabs(got - want) > 64 * eps * fabs(want) + N * least;
}

/* 1 if the row failed. */
static int compare(const row *w, bp_context *cpu, bp_context *device, bp_dtype dtype, int tf32)
{
    int64_t n, m, bad = 0, signs = 0, first = 0;
    double eps = tf32 ? 0x1p-10 : dtype == BP_F32 ? FLT_EPSILON : DBL_EPSILON;
    double least = dtype == BP_F32 ? (double)FLT_MIN : DBL_MIN;
    double *want = results(w, cpu, dtype, &n), *got = results(w, device, dtype, &m);
    printf("{\"row\": \"bits %s%s\"", w->name, tf32 ? " TF32" : dtype == BP_F32 ? " f32" : " f64");
    if (!want || !got || n != m) {
        printf(", \"failed\": \"%.100s\"}\n", bp_error_text(want ? device : cpu));
        bad = 1;
    } else {
        for (int64_t i = 0; i < n; i++) {
            int d = differ(got[i], want[i], w->exact, eps, least);
            first = d && !bad ? i : first;
            bad += d;
            signs += !d && got[i] == 0 && want[i] == 0 && !signbit(got[i]) != !signbit(want[i]);
        }
        printf(", \"elements\": %lld, \"differ\": %lld, \"zero_signs\": %lld, \"exact\": %s",
               (long long)n, (long long)bad, (long long)signs, w->exact ? "true" : "false");
        if (bad)
            printf(", \"failed\": \"%lld of y and its gradients is %g, on the CPU %g\"",
                   (long long)first, got[first], want[first]);
        printf("}\n");
    }
    fflush(stdout);
    free(want);
    free(got);
    return bad > 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "cuda:0";
    bp_context *cpu = NULL, *device = NULL;
    int failed = 0, count = 0;
    if (bp_open(name, &device) != BP_OK || bp_open("cpu", &cpu) != BP_OK) {
        printf("%s: %s\n", name, bp_error_text(device));
        bp_close(device);
        return getenv("BPCUDA_REQUIRE_CUDA") ? 1 : 77;
    }
    printf("%s\n", bp_device_text(device));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        failed += compare(&rows[i], cpu, device, BP_F32, 0);
        failed += compare(&rows[i], cpu, device, BP_F64, 0);
        count += 2;
        if (rows[i].apply != matmul && rows[i].n_in < 3)
            continue;
        if (bp_set_precision(device, BP_PRECISION_TF32) == BP_OK) {
            failed += compare(&rows[i], cpu, device, BP_F32, 1);
            count++;
        }
        failed += bp_set_precision(device, BP_PRECISION_F32) != BP_OK;
    }
    bp_close(device);
    bp_close(cpu);
    printf("%d passed, %d failed\n", count - failed, failed);
    return failed != 0;
}
