/* Every product that a CUDA device asks cuBLASLt for, against plain loops on the host: each
 * epilogue, precision and a few shapes, aligned and not, bias and bits too. A row says whether the
 * library has a plan, how far off it is, and the time of one product.
 *
 * The bits of DRELU are ours (kernels/linear_finish.cu): bit j % 8 of byte j / 8 of a row, 1 where
 * the product passes. That the library reads them so, and not the padding behind them, which is
 * random here, is nowhere documented; it is seen here.
 *
 *     test_epilogues [large]
 *
 * Linked with the device's own sources, because a program outside sees only ops. Status 77 without
 * a device, 1 with BPCUDA_REQUIRE_CUDA=1. A missing plan for an epilogue is no failure on a GPU:
 * the device then does the rest itself. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "cuda/inside.h"
#include "op_cases.h"

bp_status bpi_plugin_open(const char *door, int32_t number, const bp_hooks *hooks,
                          bpi_device **device, char *why);

static bpi_device *device;
static bp_exec ex;

static const char *const epilogue_name[] = {
    [BPI_EPILOGUE_NONE] = "none", [BPI_EPILOGUE_BIAS] = "bias",
    [BPI_EPILOGUE_DRELU] = "drelu", [BPI_EPILOGUE_BGRAD] = "bgrad",
    [BPI_EPILOGUE_DRELU_BGRAD] = "drelu bgrad"};

/* A matrix on the host in double and on the device in its type. */
typedef struct matrix {
    int64_t rows, cols;
    double *v;
    void *device;
    size_t bytes;
} matrix;

static double value(bp_dtype dtype, const void *p, int64_t i)
{
    return dtype == BP_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static matrix make(bp_dtype dtype, int64_t rows, int64_t cols, uint64_t seed)
{
    size_t size = dtype == BP_F64 ? 8 : 4;
    matrix m = {rows, cols, malloc((size_t)(rows * cols) * sizeof(double)), NULL,
                (size_t)(rows * cols) * size};
    void *host = malloc(m.bytes);
    for (int64_t i = 0; i < rows * cols; i++) {
        m.v[i] = (double)(float)(2 * op_random(seed, i) - 1);
        if (dtype == BP_F64)
            ((double *)host)[i] = m.v[i];
        else
            ((float *)host)[i] = (float)m.v[i];
    }
    m.device = device->calls->alloc(device, m.bytes);
    if (!m.device || device->calls->upload(device, m.device, host, m.bytes) != BP_OK)
        check(0, "a matrix goes to the device");
    free(host);
    return m;
}

static void release(matrix *m)
{
    device->calls->free(device, m->device, m->bytes);
    free(m->v);
}

typedef struct shape {
    int64_t m, n, k;
} shape;

/* One product and what it must give. */
typedef struct trial {
    bp_dtype dtype;
    bp_precision precision;
    bpi_epilogue epilogue;
    shape s;
    matrix a, b, c, bias;
    int32_t a_transposed, b_transposed;
    unsigned char *bits; /* of the host: what may pass */
    void *aux;
    int64_t shift; /* bias and aux begin so many elements, and words, into their memory */
    int64_t aux_pitch;
    double worst; /* error, as a part of what is allowed */
} trial;

static double a_at(const trial *t, int64_t i, int64_t p)
{
    return t->a.v[t->a_transposed ? p * t->s.m + i : i * t->s.k + p];
}

static double b_at(const trial *t, int64_t p, int64_t j)
{
    return t->b.v[t->b_transposed ? j * t->s.k + p : p * t->s.n + j];
}

static void compare(trial *t, double got, double want, double size)
{
    double eps = t->precision == BP_PRECISION_TF32 ? 0x1p-10
                 : t->dtype == BP_F64              ? DBL_EPSILON
                                                   : FLT_EPSILON;
    double error = fabs(got - want) / (16 * eps * size + DBL_MIN);
    t->worst = error <= t->worst ? t->worst : error; /* NaN is worst */
}

static bool bit(const unsigned char *bits, int64_t pitch, int64_t i, int64_t j)
{
    return bits[(i * pitch + j) / 8] >> j % 8 & 1;
}

static bool cuts(const trial *t)
{
    return t->epilogue == BPI_EPILOGUE_DRELU || t->epilogue == BPI_EPILOGUE_DRELU_BGRAD;
}

/* Sampled rows and columns of C. */
static void compare_c(trial *t, const void *c)
{
    int64_t step = t->s.m * t->s.n * t->s.k > 1 << 24 ? 61 : 1;
    for (int64_t at = 0; at < t->s.m * t->s.n; at += step) {
        int64_t i = at / t->s.n, j = at % t->s.n;
        double sum = 0, size = 0;
        for (int64_t p = 0; p < t->s.k; p++) {
            sum += a_at(t, i, p) * b_at(t, p, j);
            size += fabs(a_at(t, i, p) * b_at(t, p, j));
        }
        sum += t->epilogue == BPI_EPILOGUE_BIAS ? t->bias.v[t->shift + j] : 0;
        if (cuts(t) && !bit(t->bits, t->aux_pitch, i, j))
            sum = 0;
        compare(t, value(t->dtype, c, at), sum, size + 1);
    }
}

/* The bias gradient: sums of A over the inner size, or of C over rows. */
static void compare_bias(trial *t, const void *c, const void *bias)
{
    int64_t n = t->epilogue == BPI_EPILOGUE_BGRAD ? t->s.m : t->s.n;
    int64_t terms = t->epilogue == BPI_EPILOGUE_BGRAD ? t->s.k : t->s.m;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0, size = 1;
        for (int64_t p = 0; p < terms; p++) {
            double x = t->epilogue == BPI_EPILOGUE_BGRAD ? a_at(t, i, p)
                                                         : value(t->dtype, c, p * t->s.n + i);
            sum += x;
            size += fabs(x);
        }
        compare(t, value(t->dtype, bias, i), sum, size);
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void wait_for_device(void)
{
    char byte;
    (void)device->calls->download(device, &byte, ((bpi_cuda *)device)->counters, 1);
}

static double time_of(const bpi_product *p)
{
    enum { TIMES = 20 };
    wait_for_device();
    double start = seconds();
    for (int i = 0; i < TIMES; i++)
        (void)!bpi_lt_product(&ex, p);
    wait_for_device();
    return (seconds() - start) / TIMES;
}

static void report(const trial *t, bp_status st, double time)
{
    char text[128];
    snprintf(text, sizeof text, "%s %-13s %5lld x %5lld x %5lld  A%s B%s%s",
             t->dtype == BP_F64                           ? "f64 "
             : t->precision == BP_PRECISION_TF32 ? "tf32"
                                                          : "f32 ",
             epilogue_name[t->epilogue], (long long)t->s.m, (long long)t->s.n, (long long)t->s.k,
             t->a_transposed ? "^T" : "  ", t->b_transposed ? "^T" : "  ",
             t->shift ? "  bias and bits off 16" : "");
    bool simulated = !strcmp(BPI_CUDA_KIND, "sim") && t->s.m > 1 && t->s.n > 1 && t->s.k > 1;
    bool expected = t->epilogue == BPI_EPILOGUE_NONE || /* a plain product has a plan anywhere */
                    (t->dtype == BP_F32 && simulated);
    if (st == BP_ERR_UNSUPPORTED && !expected) {
        printf("no plan %s\n", text);
        return;
    }
    check(st == BP_OK && t->worst <= 1, text);
    printf("       error %.2f of the allowed, %.1f us\n", t->worst, 1e6 * time);
}

static void run(trial *t)
{
    bpi_product p = {.dtype = t->dtype, .m = t->s.m, .n = t->s.n, .k = t->s.k,
                     .a = t->a.device, .a_pitch = t->a.cols, .a_transposed = t->a_transposed,
                     .b = t->b.device, .b_pitch = t->b.cols, .b_transposed = t->b_transposed,
                     .c = t->c.device, .c_pitch = t->s.n, .alpha = 1, .epilogue = t->epilogue};
    bool gradient = t->epilogue == BPI_EPILOGUE_BGRAD || t->epilogue == BPI_EPILOGUE_DRELU_BGRAD;
    size_t first = (size_t)t->shift * (t->dtype == BP_F64 ? 8 : 4);
    p.bias = gradient || t->epilogue == BPI_EPILOGUE_BIAS ? (char *)t->bias.device + first : NULL;
    p.aux = cuts(t) ? (char *)t->aux + 4 * t->shift : NULL;
    p.aux_pitch = t->aux_pitch;
    (void)!device->calls->set_precision(device, t->precision);
    bp_status st = bpi_lt_product(&ex, &p);
    unsigned char *c = malloc(t->c.bytes), *bias = malloc(t->bias.bytes);
    if (st == BP_OK)
        st = device->calls->download(device, c, t->c.device, t->c.bytes);
    if (st == BP_OK)
        st = device->calls->download(device, bias, t->bias.device, t->bias.bytes);
    if (st == BP_OK)
        compare_c(t, c);
    if (st == BP_OK && gradient)
        compare_bias(t, c, bias + first);
    report(t, st, st == BP_OK ? time_of(&p) : 0);
    free(c);
    free(bias);
}

static void try_shifted(bp_dtype dtype, bp_precision precision, bpi_epilogue epilogue, shape s,
                        int64_t shift)
{
    /* the layouts that linear's three products have */
    bool wgrad = epilogue == BPI_EPILOGUE_BGRAD;
    bool forward = epilogue <= BPI_EPILOGUE_BIAS;
    trial t = {.dtype = dtype, .precision = precision, .epilogue = epilogue, .s = s,
               .a_transposed = wgrad, .b_transposed = forward,
               .aux_pitch = (s.n + 127) / 128 * 128, .shift = shift};
    size_t aux_bytes = (size_t)(s.m * t.aux_pitch / 8), aux_room = aux_bytes + 4 * (size_t)shift;
    t.a = make(dtype, wgrad ? s.k : s.m, wgrad ? s.m : s.k, 1);
    t.b = make(dtype, forward ? s.n : s.k, forward ? s.k : s.n, 2);
    t.c = make(dtype, s.m, s.n, 3);
    t.bias = make(dtype, 1, (s.n > s.m ? s.n : s.m) + shift, 4);
    t.aux = device->calls->alloc(device, aux_room);
    t.bits = malloc(aux_bytes);
    for (size_t i = 0; i < aux_bytes; i++)
        t.bits[i] = (unsigned char)(256 * op_random(5, (int64_t)i));
    char *at = (char *)t.aux + 4 * shift;
    if (!t.aux || device->calls->upload(device, at, t.bits, aux_bytes) != BP_OK)
        check(0, "bits go to the device");
    run(&t);
    release(&t.a);
    release(&t.b);
    release(&t.c);
    release(&t.bias);
    device->calls->free(device, t.aux, aux_room);
    free(t.bits);
}

static void try_epilogue(bp_dtype dtype, bp_precision precision, bpi_epilogue epilogue, shape s)
{
    try_shifted(dtype, precision, epilogue, s, 0);
    if (epilogue != BPI_EPILOGUE_NONE)
        try_shifted(dtype, precision, epilogue, s, 1);
}

int main(int argc, char **argv)
{
    static const shape shapes[] = {{128, 512, 784}, {128, 10, 512}, {33, 37, 31}, {512, 784, 128},
                                   {64, 32, 1},     {1, 32, 16},    {32, 1, 16}};
    static const shape large = {8192, 4096, 4096};
    char why[160];
    if (bpi_plugin_open(BPI_DOOR, 0, NULL, &device, why) != BP_OK) {
        printf("%s\n", why);
        return getenv("BPCUDA_REQUIRE_CUDA") ? 1 : 77;
    }
    printf("%s\n", device->name);
    ex.device = device;
    device->calls->turn(device, BPI_COMES);
    for (int e = BPI_EPILOGUE_NONE; e <= BPI_EPILOGUE_DRELU_BGRAD; e++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            try_epilogue(BP_F32, BP_PRECISION_F32, (bpi_epilogue)e, shapes[i]);
            try_epilogue(BP_F32, BP_PRECISION_TF32, (bpi_epilogue)e, shapes[i]);
            try_epilogue(BP_F64, BP_PRECISION_F32, (bpi_epilogue)e, shapes[i]);
        }
    for (int e = BPI_EPILOGUE_NONE; e <= BPI_EPILOGUE_DRELU_BGRAD && argc > 1; e++) {
        if (strcmp(argv[1], "large"))
            break;
        try_epilogue(BP_F32, BP_PRECISION_F32, (bpi_epilogue)e, large);
        try_epilogue(BP_F32, BP_PRECISION_TF32, (bpi_epilogue)e, large);
    }
    device->calls->turn(device, BPI_LEAVES);
    device->calls->close(device);
    return check_end();
}
