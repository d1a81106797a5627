/* Philox4x32-10 against its published known-answer vectors, and the library's use of it.
 *
 * The vectors are those of the Random123 distribution (tests/kat_vectors): counter and key all
 * zeros, all ones, and digits of pi. The third also proves the layout: a stream and a block number
 * that spell the same counter must give the same words. */
#include <string.h>

#include "check.h"
#include "door/philox.h"

static const uint32_t answers[3][10] = {
    /* counter, key, result */
    {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
    {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
     0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
    {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
     0x94fdcceb, 0x5001e420, 0x24126ea1}};

/* The third vector as a stream: block 0x85a3'243f6a88, step 0x08d3'13198a2e. */
#define PI_BLOCK UINT64_C(0x85a3243f6a88)
static const bpi_stream pi_stream = {UINT64_C(0x299f31d0a4093822), UINT64_C(0x08d313198a2e),
                                     0x03707344};

static void test_known_answers(void)
{
    static const char *const name[3] = {"known answer: zeros", "known answer: ones",
                                        "known answer: digits of pi"};
    for (int i = 0; i < 3; i++) {
        uint32_t c[4];
        memcpy(c, answers[i], sizeof c);
        bpi_philox(c, answers[i][4], answers[i][5]);
        check(memcmp(c, answers[i] + 6, sizeof c) == 0, name[i]);
    }
}

static void test_layout(void)
{
    const uint32_t *want = answers[2] + 6;
    uint32_t w[4];
    bpi_stream s = pi_stream;
    bpi_philox_block(&s, PI_BLOCK, w);
    check(memcmp(w, want, sizeof w) == 0,
          "counter: block low | block high, step high | step low | purpose, site");
    s.purpose_site = bpi_purpose_site(3, 0xff707344);
    check(s.purpose_site == 0x03707344, "purpose in the top 8 bits, site in the low 24");
    s.step |= UINT64_C(0xabcd) << 48;
    bpi_philox_block(&s, PI_BLOCK, w);
    check(memcmp(w, want, sizeof w) == 0, "48 bits of the step are used");
    int good = 1;
    for (uint64_t i = 0; i < 4; i++)
        good &= bpi_random_word(&pi_stream, 4 * PI_BLOCK + i) == want[i];
    check(good, "element i takes word i mod 4 of block i / 4");
}

/* The rule as philox.h states it; written out here because kernels work on whole blocks. */
static uint32_t half_word(const bpi_stream *s, uint64_t i)
{
    uint32_t w[4];
    bpi_philox_block(s, i / 8, w);
    return w[i % 8 / 2] >> (i % 2 ? 16 : 0) & 0xffff;
}

static void test_dropout_rule(void)
{
    static const uint32_t want[8] = {0xfe09, 0xd16c, 0xcceb, 0x94fd,
                                     0xe420, 0x5001, 0x6ea1, 0x2412};
    int good = 1, words = 1;
    for (uint64_t i = 0; i < 8; i++)
        good &= half_word(&pi_stream, 8 * PI_BLOCK + i) == want[i];
    check(good, "dropout: half-word i mod 8 of block i / 8, low half first");
    for (uint64_t i = 0; i < 1000; i++)
        words &= half_word(&pi_stream, i) ==
                 (bpi_random_word(&pi_stream, i / 2) >> 16 * (i % 2) & 0xffff);
    check(words, "dropout: which is half i mod 2 of word i / 2");

    static const uint32_t keep[] = {0, 655, 32768, 52429, 65536}; /* p = 1, .99, .5, .2, 0 */
    enum { N = 1 << 20 };
    for (int k = 0; k < 5; k++) {
        char name[80];
        bpi_stream s = {7, 3, bpi_purpose_site(BPI_PURPOSE_DROPOUT, 5)};
        int64_t kept = 0;
        for (uint64_t i = 0; i < N; i++)
            kept += half_word(&s, i) < keep[k];
        double p = keep[k] / 65536.0, mean = N * p, variance = N * p * (1 - p);
        double off = (double)kept - mean;
        snprintf(name, sizeof name, "dropout: keep %u / 65536 keeps %lld of %d", (unsigned)keep[k],
                 (long long)kept, N);
        check(off * off <= 16 * variance, name); /* 4 standard deviations; exact for 0 and 1 */
    }
}

/* Chi-square of counts that should be equal. With d = bins - 1 its mean is d, its variance 2 d. */
static int is_flat(const int64_t *count, int bins, int64_t n)
{
    double x = 0, d = bins - 1, mean = (double)n / bins;
    for (int i = 0; i < bins; i++)
        x += ((double)count[i] - mean) * ((double)count[i] - mean) / mean;
    return (x - d) * (x - d) <= 16 * 2 * d;
}

static void test_uniformity(void)
{
    enum { N = 1 << 20, SMALL = 10 };
    static int64_t byte[4][256], below[SMALL], pair[256];
    bpi_stream s = {42, 0, bpi_purpose_site(BPI_PURPOSE_INIT, 0)};
    int good = 1;
    uint32_t before = bpi_random_word(&s, N);
    for (uint64_t i = 0; i < N; i++) {
        uint32_t w = bpi_random_word(&s, i), b = bpi_random_below(&s, i, SMALL);
        for (int j = 0; j < 4; j++)
            byte[j][w >> 8 * j & 255]++;
        pair[(before >> 28) << 4 | w >> 28]++;
        before = w;
        good &= b < SMALL;
        below[b < SMALL ? b : 0]++;
    }
    check(is_flat(byte[0], 256, N) && is_flat(byte[1], 256, N) && is_flat(byte[2], 256, N) &&
              is_flat(byte[3], 256, N), "chi-square of every byte");
    check(is_flat(pair, 256, N), "chi-square of pairs of neighbours");
    check(good && is_flat(below, SMALL, N), "numbers below 10 are below 10, and uniform");
    check(bpi_random_below(&s, 0, 1) == 0, "a number below 1 is 0");
}

/* Neighbouring streams differ in about half of their bits. */
static void test_streams_differ(void)
{
    const bpi_stream base = {1, 1, bpi_purpose_site(1, 1)};
    const bpi_stream near[] = {{2, 1, base.purpose_site},
                               {1 | UINT64_C(1) << 63, 1, base.purpose_site},
                               {1, 2, base.purpose_site},
                               {1, 1 | UINT64_C(1) << 47, base.purpose_site},
                               {1, 1, bpi_purpose_site(2, 1)},
                               {1, 1, bpi_purpose_site(1, 2)}};
    int good = 1;
    for (size_t k = 0; k < sizeof near / sizeof *near; k++) {
        int bits = 0;
        for (uint64_t i = 0; i < 1024; i++)
            for (uint32_t d = bpi_random_word(&base, i) ^ bpi_random_word(&near[k], i); d; d >>= 1)
                bits += d & 1;
        good &= bits > 16384 - 400 && bits < 16384 + 400; /* standard deviation 90.5 */
    }
    check(good, "seed, step, purpose and site each give another stream");
}

int main(void)
{
    test_known_answers();
    test_layout();
    test_dropout_rule();
    test_uniformity();
    test_streams_differ();
    return check_end();
}
