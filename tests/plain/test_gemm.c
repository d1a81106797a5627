/* The CPU matrix product against plain loops in double: odd sizes, the three forms of a layer,
 * pitches wider than a row, accumulation, every epilogue, NaN, guard values around C, dropout bits
 * as philox.h lays them out, and equal bits for any number of threads. Compiled and run once per
 * compute type and level, as gemm.c is. */
#include "cpu/gemm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernel_exec.h"
#include "cpu/dropout_row.h"

enum { BIAS = 1, RELU = 2, GATE = 4, DROPOUT = 8, ACCUMULATE = 16, NANS = 32 };
enum { FORWARD, WEIGHT_GRADIENT, INPUT_GRADIENT, FORMS };

static bp_exec *exec;
static int cases, failures;
static uint64_t seed = 1;

static real draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (real)((double)(seed >> 33) / 2147483648.0 - 0.5);
}

static real *array(int64_t n)
{
    real *p = malloc((size_t)(n + 1) * sizeof *p);
    if (!p)
        abort();
    for (int64_t i = 0; i < n; i++)
        p[i] = draw();
    return p;
}

/* Whether the stream keeps element i, from the layout's own words. */
static int kept(const bpi_dropout *d, uint64_t i)
{
    uint32_t w[4];
    bpi_philox_block(&d->stream, i / 8, w);
    return (w[i % 8 / 2] >> 16 * (i % 2) & 0xFFFF) < d->keep;
}

/* Element (i, j) by the definition, before the tolerance. */
static double expected(const bpi_gemm *g, const real *before, int64_t i, int64_t j)
{
    double s = 0;
    for (int64_t p = 0; p < g->k; p++)
        s += (double)g->a[i * g->a_row + p * g->a_col] * (double)g->b[p * g->b_row + j * g->b_col];
    if (g->accumulate)
        s += (double)before[i * g->c_row + j];
    if (g->bias)
        s += (double)g->bias[j];
    if (g->relu && s < 0)
        s = 0;
    if (g->dropout)
        return kept(g->dropout, (uint64_t)(i * g->n + j)) ? s * (double)g->scale : 0;
    if (g->gate)
        return g->gate[i * g->gate_row + j] <= 0 ? 0 : s * (double)g->scale;
    return s;
}

static const char *compare(const bpi_gemm *g, const real *before, const real *c, int64_t total)
{
    double eps = (BPI_F64 ? 3e-15 : 2e-6) * (1 + sqrt((double)g->k));
    for (int64_t e = 0; e < total; e++) {
        int64_t i = e / g->c_row, j = e % g->c_row;
        if (i >= g->m || j >= g->n) {
            if (memcmp(&c[e], &before[e], sizeof *c))
                return "a value beside C changed";
            continue;
        }
        double want = expected(g, before, i, j), have = (double)c[e];
        if (isnan(want) != isnan(have))
            return "NaN lost or made";
        if (!isnan(want) && !(fabs(want - have) <= eps))
            return "a value differs";
        if (g->dropout && !isnan(want) && (want == 0) != (have == 0) && fabs(want) > eps)
            return "dropout bits differ";
    }
    return NULL;
}

static void check(int form, int64_t m, int64_t n, int64_t k, int what)
{
    int ta = form == WEIGHT_GRADIENT, tb = form == FORWARD;
    if (what & DROPOUT)
        what &= ~GATE; /* a product has one of the two */
    int64_t a_pitch = (ta ? m : k) + 3, b_pitch = (tb ? k : n) + 5, c_pitch = n + 7;
    int64_t a_size = a_pitch * (ta ? k : m), b_size = b_pitch * (tb ? n : k);
    int64_t c_size = c_pitch * m + 64;
    real *a = array(a_size - 3 * (a_size > 3)), *b = array(b_size), *before = array(c_size);
    real *bias = array(n), *gate = array(c_size), *c = array(c_size), *first = array(c_size);
    const bpi_dropout dropout = {{0x1234567890abcdefu, 0x123456789abcu, bpi_purpose_site(1, 77)},
                                 49152};
    if (what & NANS && m && n) {
        gate[(m - 1) * c_pitch + n / 2] = (real)NAN;
        bias[n - 1] = (real)NAN;
        gate[0] = 0;
    }
    bpi_gemm g = {.m = m, .n = n, .k = k, .a = a, .a_row = ta ? 1 : a_pitch,
                  .a_col = ta ? a_pitch : 1, .b = b, .b_row = tb ? 1 : b_pitch,
                  .b_col = tb ? b_pitch : 1, .c = c, .c_row = c_pitch,
                  .accumulate = what & ACCUMULATE, .bias = what & BIAS ? bias : NULL,
                  .relu = what & RELU, .gate = what & GATE ? gate : NULL, .gate_row = c_pitch,
                  .dropout = what & DROPOUT ? &dropout : NULL, .scale = (real)(65536.0 / 49152)};
    static const int threads[] = {1, 2, 3, 4, 8};
    int runs = (double)m * (double)n * (double)k > 1e5 ? 5 : 1;
    const char *bad = NULL;
    for (int t = 0; t < runs && !bad; t++) {
        if (runs > 1)
            exec = kernel_exec(threads[t]);
        memcpy(c, before, (size_t)c_size * sizeof *c);
        if (BPI_CPU(gemm)(exec, &g) != BP_OK)
            bad = "failed";
        else if (t == 0)
            bad = compare(&g, before, c, c_size);
        if (t == 0)
            memcpy(first, c, (size_t)c_size * sizeof *c);
        else if (!bad && memcmp(first, c, (size_t)c_size * sizeof *c))
            bad = "other bits on other threads";
    }
    cases++;
    if (bad) {
        failures++;
        printf("form %d, %lld x %lld x %lld, epilogue %d: %s\n", form, (long long)m, (long long)n,
               (long long)k, what, bad);
    }
    free(a), free(b), free(before), free(bias), free(gate), free(c), free(first);
}

static void check_dropout_row(void)
{
    enum { MAX = 700 };
    real x[MAX];
    _Alignas(BPI_VECTOR_BYTES) real y[MAX];
    const bpi_dropout d = {{99, 5, bpi_purpose_site(1, 3)}, 30000};
    for (int i = 0; i < MAX; i++)
        x[i] = draw();
    for (int n = 0; n < MAX; n += 1 + n / 3)
        for (uint64_t first = 0; first < 19; first++)
            for (int k = 0; k < 4; k++) {
                const int far = k & 1, past = k >> 1;
                uint64_t at = first + (far ? ((uint64_t)1 << 35) - 40 : 0);
                memcpy(y, x, sizeof y);
                bpi_dropout_row(past, y, y, n, at, &d, 2);
                int ok = 1;
                for (int i = 0; i < MAX; i++) {
                    real want = i >= n ? x[i] : kept(&d, at + (uint64_t)i) ? x[i] * 2 : 0;
                    ok &= y[i] == want;
                }
                cases++;
                if (!ok)
                    failures++, printf("dropout row of %d at %d, far %d, past %d\n", n, (int)first,
                                       far, past);
            }
}

/* With an argument, only what several threads share, for the thread sanitizer. */
int main(int argc, char **argv)
{
    (void)argv;
    bool shared = argc > 1;
    exec = kernel_exec(1);
    static const int64_t size[] = {0, 1, 2, 3, 7, 16, 17, 33, 65, 127};
    static const int64_t layer[][3] = {{128, 512, 784}, {32, 10, 128},   {128, 10, 512},
                                       {48, 300, 100},  {100, 37, 300},  {200, 1100, 600},
                                       {401, 130, 1030}, {5, 700, 1100}, {4200, 40, 70},
                                       {40, 4300, 33},  {3000, 9, 40}};
    int count = sizeof size / sizeof *size;
    for (int form = 0; form < FORMS; form++) {
        for (int x = 0; x < count * count * count && !shared; x++) {
            int a = x / count / count, b = x / count % count, c = x % count;
            check(form, size[a], size[b], size[c], (a * 5 + b * 11 + c * 7 + form) % 64);
        }
        for (int what = 0; what < 64 && !shared; what++)
            check(form, 13 + what % 4, 41, 19, what);
        for (size_t i = 0; i < sizeof layer / sizeof *layer; i++)
            for (int what = 0; what < 64; what += shared ? 64 : 21)
                check(form, layer[i][0], layer[i][1], layer[i][2], what | (i & 1 ? DROPOUT : 0));
    }
    exec = kernel_exec(1);
    check_dropout_row();
    bp_close(kernel_context);
    printf("%d cases, %d failures\n", cases, failures);
    return failures != 0;
}
