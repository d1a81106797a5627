/* Draws: integers of old, quantiles against others of 40 digits, statistics with fixed seeds.
 *
 * The quantiles are sqrt(2) erfinv of mpmath at the middle of a word's cell. The statistics are 4
 * deviations wide at least; a bug that they are for is far out (a bit that is stuck, a site that is
 * not in the counter). */
#include <math.h>
#include <string.h>

#include "check.h"
#include "door/draw.h"
#include "door/permutation.h"
#include "draws.h"

/* --- single numbers ------------------------------------------------------------------------ */

static const struct quantile {
    uint64_t word;
    double f32, f64;
} quantiles[] = {
    {UINT64_C(0x0000000000000000), 2.91809937291662267e-10, 6.7942295524213059625e-20},
    {UINT64_C(0x00000001ffffffff), 8.75429811874986802e-10, 1.1672397490987067736e-9},
    {UINT64_C(0x0000000212345678), 1.45904968645831134e-9, 1.208741606900604201e-9},
    {UINT64_C(0x800000009abcdef0), -6.33795775455378925, -6.3086574082491906433},
    {UINT64_C(0xffffffff00000000), -2.91809937291662267e-10, -5.8361987451538223896e-10},
    {UINT64_C(0x7fffffffffffffff), 6.33795775455378925, 9.155293772686072546},
    {UINT64_C(0x7ffffffe12345678), 6.16642951781975025, 6.1265218296526074739},
    {UINT64_C(0x7fffff009abcdef0), 5.2950613518860919, 5.2951360664066791583},
    {UINT64_C(0x1234567800000000), 0.179203675483412176, 0.17920367518687883208},
    {UINT64_C(0x40000000ffffffff), 0.674489750562425054, 0.6744897509287683655},
    {UINT64_C(0x6ccccccd12345678), 1.43953147208981733, 1.4395314713843800168},
    {UINT64_C(0x6ccccccc9abcdef0), 1.43953147044501531, 1.4395314706168057376},
    {UINT64_C(0x6cc0000000000000), 1.43815307982378771, 1.4381530790030161406},
    {UINT64_C(0x70000000ffffffff), 1.5341205452991359, 1.5341205462457254806},
    {UINT64_C(0x7f00000012345678), 2.66006747865494776, 2.660067470045013505},
    {UINT64_C(0x7fff00009abcdef0), 4.16957106224423617, 4.1695714254816862647},
    {UINT64_C(0x9abcdef000000000), -1.25662659140143946, -1.2566265920441264992},
    {UINT64_C(0xdeadbeefffffffff), -0.332280712769313033, -0.3322807124609406999},
    {UINT64_C(0x8000000112345678), -6.16642951781975025, -6.2194895059747429193},
    {UINT64_C(0x933333339abcdef0), -1.43953147044501531, -1.4395314702732248857},
    {UINT64_C(0x0040000000000000), 0.00244788191092148903, 0.0024478816191106775224},
    {UINT64_C(0xfff00000ffffffff), -0.000611969539998928648, -0.00061196924818893678207},
};

static bool within(double got, double want, double eps)
{
    return fabs(got - want) <= 5 * eps * fabs(want);
}

static void test_quantiles(void)
{
    int single = 1, twice = 1, odd = 1;
    for (size_t i = 0; i < sizeof quantiles / sizeof *quantiles; i++) {
        const struct quantile *q = &quantiles[i];
        float y = bpi_normal_f32((uint32_t)(q->word >> 32));
        single &= within((double)y, q->f32, 0x1p-24);
        twice &= within(bpi_normal_f64(q->word), q->f64, 0x1p-53);
        odd &= y == -bpi_normal_f32(~(uint32_t)(q->word >> 32));
    }
    check(single, "normal: quantiles in f32, tails too");
    check(twice, "normal: quantiles in f64, tails too");
    check(odd, "normal: a word's complement is the other side of 0");
    int rises = 1;
    for (uint32_t i = 1; i < 1 << 16; i++)
        rises &= bpi_normal_f32(i << 16) - bpi_normal_f32((i - 1) << 16) > 0 || i == 0x8000;
    check(rises, "normal: rises with the word, over the seams of the formula");
    check(bpi_unit_f32(0) == 0 && bpi_unit_f32(0xFFFFFFFF) == 1 - 0x1p-24f &&
              bpi_unit_f64(UINT64_MAX) == 1 - 0x1p-53,
          "unit: from 0 to just below 1");
    check(bpi_between_f32(1 - 0x1p-24f, 1, 1, nextafterf(2, 1)) < 2,
          "between: never the upper end");
}

static void test_permutation_integers(void)
{
    static const uint32_t want[2][8] = {
        {6, 0, 7, 4, 1, 3, 2, 5},
        {228044, 974246, 461826, 455292, 555124, 675449, 105119, 547428}};
    static const uint32_t n[2] = {8, 1000003};
    bpi_stream s = {UINT64_C(0x123456789ABCDEF0), 7, bpi_purpose_site(BPI_PURPOSE_PERMUTATION, 2)};
    int good = 1, whole = 1;
    for (int k = 0; k < 2; k++) {
        bpi_permutation p = bpi_permutation_of(&s, n[k]);
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t at = bpi_permute(&p, i);
            while (at >= n[k])
                at = bpi_permute(&p, at);
            good &= at == want[k][i];
        }
    }
    check(good, "permutation: the integers of old");
    for (uint32_t size = 1; size < 1100; size += 7) {
        static unsigned char seen[1100];
        bpi_permutation p = bpi_permutation_of(&s, size);
        memset(seen, 0, sizeof seen);
        for (uint32_t i = 0; i < size; i++) {
            uint32_t at = bpi_permute(&p, i);
            while (at >= size)
                at = bpi_permute(&p, at);
            whole &= !seen[at];
            seen[at] = 1;
        }
    }
    check(whole, "permutation: each number once, for any n");
}

/* --- statistics ------------------------------------------------------------------------------ */

enum { N = 1 << 20 };
static double a[2][N];

/* Two calls in each of `steps` scopes of seed 5; the last scope's stay. */
static void drawn(int kind, int steps)
{
    job j = {.kind = kind, .dtype = BP_F64, .n = N, .to = {a[0], a[1]}};
    bool done = bp_seed(ctx, 5) == BP_OK;
    for (int i = 0; i < steps && done; i++)
        done = bp_run(ctx, 0, step, &j) == BP_OK;
    if (!done)
        check(0, bp_error_text(ctx));
}

static int ascending(const void *x, const void *y)
{
    double d = *(const double *)x - *(const double *)y;
    return (d > 0) - (d < 0);
}

static double correlation(const double *x, const double *y, int64_t n)
{
    double xx = 0, yy = 0, xy = 0, mx = 0, my = 0;
    for (int64_t i = 0; i < n; i++)
        mx += x[i] / (double)n, my += y[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

/* The moments, Kolmogorov's distance from a distribution function, and what should not hang
 * together: neighbours, blocks, sites, steps. */
static void statistics(const char *name, int kind, const double moment[4], double (*cdf)(double))
{
    static double before[N];
    char text[100];
    double m[4] = {0}, distance = 0;
    drawn(kind, 1);
    memcpy(before, a[0], sizeof before);
    drawn(kind, 2);
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 4; k++)
            m[k] += pow(a[0][i], k + 1) / N;
    int good = 1;
    for (int k = 0; k < 4; k++) /* the largest moment asked for is 105, of z^8 */
        good &= fabs(m[k] - moment[k]) < 4 * sqrt(105.0 / N);
    snprintf(text, sizeof text, "%s: four moments", name);
    check(good, text);
    const double *other[] = {a[0] + 1, a[0] + 4, a[0] + 64, a[1], before};
    static const char *const what[] = {"neighbours", "blocks", "vectors", "sites", "steps"};
    for (int k = 0; k < 5; k++) {
        snprintf(text, sizeof text, "%s: %s are not correlated", name, what[k]);
        check(fabs(correlation(a[0], other[k], N - 64)) < 4 / sqrt(N), text);
    }
    qsort(a[0], N, sizeof **a, ascending);
    for (int i = 0; i < N; i++) {
        double p = cdf(a[0][i]);
        distance = fmax(distance, fmax(fabs(p - (double)i / N), fabs(p - (double)(i + 1) / N)));
    }
    snprintf(text, sizeof text, "%s: Kolmogorov's distance", name);
    check(distance * sqrt(N) < 1.95, text); /* 1 in 1000 */
}

static double uniform_cdf(double x) { return x; }
static double normal_cdf(double x) { return 0.5 * erfc(-x * sqrt(0.5)); }

static void test_bernoulli(void)
{
    drawn(BERNOULLI, 1);
    double ones = 0, both = 0;
    int bits = 1;
    for (int i = 0; i < N; i++) {
        bits &= a[0][i] == 0 || a[0][i] == 1;
        ones += a[0][i];
        both += a[0][i] * a[1][i];
    }
    check(bits && fabs(ones / N - 0.3) < 4 * sqrt(0.21 / N),
          "bernoulli: 0 or 1, as often as asked");
    check(fabs(both / N - 0.09) < 4 * sqrt(0.09 * 0.91 / N), "bernoulli: two sites know nothing");
}

/* All orders of 4, and where each of 23 goes, of as many steps. */
static void test_permutations(void)
{
    enum { STEPS = 24000, MANY = 23 };
    static int order[256], place[MANY][MANY], odd;
    int32_t y[MANY], z[4];
    job four = {.kind = PERMUTATION, .n = 4, .to = {z}}, many = {PERMUTATION, 0, MANY, .to = {y}};
    bool done = bp_seed(ctx, 11) == BP_OK;
    for (int t = 0; t < STEPS && done; t++) {
        done = bp_run(ctx, 0, step, &four) == BP_OK && bp_run(ctx, 0, step, &many) == BP_OK;
        order[z[0] | z[1] << 2 | z[2] << 4 | z[3] << 6]++;
        for (int i = 0; i < MANY; i++) {
            place[i][y[i]]++;
            for (int k = 0; k < i; k++)
                odd += y[k] > y[i] ? 1 : 0;
        }
    }
    double chi = 0, spread = 0, each = (double)STEPS / MANY;
    for (int i = 0; i < 256; i++)
        chi += order[i] ? (order[i] - STEPS / 24.0) * (order[i] - STEPS / 24.0) * 24 / STEPS : 0;
    for (int i = 0; i < MANY; i++)
        for (int k = 0; k < MANY; k++)
            spread += (place[i][k] - each) * (place[i][k] - each) / each;
    check(done && chi < 23 + 4 * sqrt(46), "permutation: all orders of 4 alike");
    check(fabs(spread - 22 * 22) < 4 * sqrt(2.0 * 22 * 22), "permutation: each to any place alike");
    /* Mahonian: n (n - 1) / 4 inversions, variance n (n - 1) (2 n + 5) / 72 */
    double mean = MANY * (MANY - 1) / 4.0, variance = MANY * (MANY - 1) * (2 * MANY + 5) / 72.0;
    check(fabs((double)odd / STEPS - mean) < 4 * sqrt(variance / STEPS),
          "permutation: as many inversions as there should be");
}

/* Parity of permutations of 2^10, which a network of even permutations alone would give away. */
static void test_parity(void)
{
    enum { STEPS = 2000, MANY = 1024 };
    static int32_t y[MANY];
    job j = {.kind = PERMUTATION, .n = MANY, .to = {y}};
    int odd = 0;
    bool done = bp_seed(ctx, 3) == BP_OK;
    for (int t = 0; t < STEPS && done; t++) {
        unsigned char seen[MANY] = {0};
        done = bp_run(ctx, 0, step, &j) == BP_OK;
        int swaps = MANY;
        for (int i = 0; i < MANY; i++) {
            swaps -= !seen[i];
            for (int k = i; !seen[k]; k = y[k])
                seen[k] = 1;
        }
        odd += swaps % 2;
    }
    check(done && abs(odd - STEPS / 2) < 2 * sqrt(STEPS), "permutation: even as often as odd");
}

int main(void)
{
    static const double of_uniform[] = {1.0 / 2, 1.0 / 3, 1.0 / 4, 1.0 / 5},
                        of_normal[] = {0, 1, 0, 3};
    test_quantiles();
    test_permutation_integers();
    check(bp_open("cpu", &ctx) == BP_OK, "open");
    statistics("uniform", UNIFORM, of_uniform, uniform_cdf);
    statistics("normal", NORMAL, of_normal, normal_cdf);
    test_bernoulli();
    test_permutations();
    test_parity();
    bp_close(ctx);
    return check_end();
}
