/* The order of the rows in an epoch: a permutation; as many batches of two classes as any order can
 * have; and no preference, which would bend what is learned: where a row lands, over 400 seeds. */
#include <math.h>
#include <string.h>

#include "check.h"
#include "train/epoch.h"

enum { SEEDS = 400, ROWS_MAX = 1300 };

static int32_t label[ROWS_MAX], order[ROWS_MAX], scratch[ROWS_MAX];

static int64_t size_of(const bpi_epoch *e, int64_t batch)
{
    return batch < e->full ? e->batch : e->rest;
}

static int is_permutation(int64_t rows)
{
    char seen[ROWS_MAX] = {0};
    for (int64_t i = 0; i < rows; i++)
        if (order[i] < 0 || order[i] >= rows || seen[order[i]]++)
            return 0;
    return 1;
}

static int mixed_batches(const bpi_epoch *e)
{
    int n = 0;
    for (int64_t b = 0; b < bpi_epoch_steps(e); b++) {
        int mixed = 0;
        for (int64_t i = 1; i < size_of(e, b); i++)
            mixed |= label[order[b * e->batch + i]] != label[order[b * e->batch]];
        n += mixed;
    }
    return n;
}

/* --- the guarantee, against all orders --------------------------------------------------- */

/* The most batches of two classes that batches from `batch` on can be, out of n[class] rows. */
static int most_mixed(const bpi_epoch *e, int64_t batch, const int n[3])
{
    if (batch == bpi_epoch_steps(e))
        return 0;
    int most = 0, size = (int)size_of(e, batch);
    for (int a = 0; a <= n[0] && a <= size; a++)
        for (int b = 0; b <= n[1] && a + b <= size; b++) {
            int c = size - a - b, left[3] = {n[0] - a, n[1] - b, n[2] - c};
            if (left[2] < 0)
                continue;
            int mixed = most_mixed(e, batch + 1, left) + ((a > 0) + (b > 0) + (c > 0) > 1);
            most = mixed > most ? mixed : most;
        }
    return most;
}

static void test_guarantee(void)
{
    int permutations = 1, most = 1, cases = 0;
    for (int rows = 1; rows <= 11; rows++)
        for (int batch = 1; batch <= rows + 1; batch++)
            for (int zeros = 0; zeros <= rows; zeros++)
                for (int ones = 0; ones <= rows - zeros; ones++) {
                    int n[3] = {zeros, ones, rows - zeros - ones};
                    bpi_epoch e = bpi_epoch_cut(rows, batch, 1);
                    int want = most_mixed(&e, 0, n);
                    for (int i = 0; i < rows; i++)
                        label[i] = (i >= zeros) + (i >= zeros + ones);
                    for (uint64_t seed = 0; seed < 10; seed++, cases++) {
                        bpi_epoch_order(&e, seed, 0, label, order, scratch);
                        permutations &= is_permutation(rows);
                        most &= mixed_batches(&e) == want;
                    }
                }
    printf("       %d orders of up to 11 rows in up to 3 classes\n", cases);
    check(permutations, "an order holds each row once");
    check(most, "no order has more batches of two classes");
}

/* --- where rows land --------------------------------------------------------------------- */

/* What chi-square of so many degrees of freedom passes once in 100,000 (Wilson, Hilferty, 1931;
 * 4.265 is that quantile of the normal distribution). */
static double chi_bound(double degrees)
{
    double v = 2 / (9 * degrees);
    return degrees * pow(1 - v + 4.265 * sqrt(v), 3);
}

/* Chi-square of the batches in which rows first, first + stride, ... of `rows` land, against all
 * batches alike. Rows of one order exclude each other, which makes it smaller, not larger. */
static double chi_square(int64_t rows, int64_t batch, int64_t first, int64_t stride)
{
    static int landed[ROWS_MAX];
    memset(landed, 0, sizeof landed);
    bpi_epoch e = bpi_epoch_cut(rows, batch, 1);
    double chi = 0, all = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bpi_epoch_order(&e, seed, (int64_t)seed % 3, label, order, scratch);
        for (int64_t i = 0; i < e.full * e.batch; i++)
            if (order[i] >= first && (order[i] - first) % stride == 0)
                landed[i / e.batch]++, all++;
    }
    for (int64_t b = 0; b < e.full; b++)
        chi += pow(landed[b] - all / (double)e.full, 2) / (all / (double)e.full);
    return chi;
}

static void lands_anywhere(const char *what, int64_t rows, int64_t batch, int64_t first,
                           int64_t stride)
{
    double chi = chi_square(rows, batch, first, stride);
    double bound = chi_bound((double)(rows / batch - 1));
    printf("       %s: chi-square %.1f, at most %.1f\n", what, chi, bound);
    check(chi <= bound, what);
}

static void test_places(void)
{
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i % 256 == 7;
    lands_anywhere("5 rare rows of 1280, in 20 batches", 1280, 64, 7, 256);
    lands_anywhere("one of them", 1280, 64, 7, 9999);
    lands_anywhere("a common row beside them", 1280, 64, 8, 9999);
    lands_anywhere("5 rare rows of 1282, the last batch of 2", 1282, 64, 7, 256);
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i < 25;
    lands_anywhere("one of 25 rare rows for 20 batches, sorted", 1280, 64, 0, 9999);
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i / 50;
    lands_anywhere("one of 200 rows of 4 sorted classes, in pairs", 200, 2, 0, 9999);
    lands_anywhere("the first class of 8, sorted, in threes", 399, 3, 0, 8);
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i >= 60;
    lands_anywhere("one of 60 rows among 200, in pairs", 200, 2, 0, 9999);
    memset(label, 0, sizeof label);
    lands_anywhere("10 rows of 1280 of one class", 1280, 64, 0, 128);
}

/* Where there are fewer rare rows than batches, each has a batch for itself, and the last batch of
 * 2 rows among 20 of 64 has one of 5 in about 5 * 2 / 1282 of the orders, as it has without the
 * guarantee: of 4000 orders 31, with a deviation of 6. */
static void test_rest(void)
{
    int in_rest = 0, alone = 1;
    bpi_epoch e = bpi_epoch_cut(1282, 64, 1);
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i % 256 == 7 && i < 1280;
    for (uint64_t seed = 0; seed < 4000; seed++) {
        bpi_epoch_order(&e, seed, 0, label, order, scratch);
        in_rest += label[order[1280]] || label[order[1281]];
        alone &= mixed_batches(&e) == 5;
    }
    printf("       a rare row in the rest of %d orders of 4000\n", in_rest);
    check(alone, "rare rows are alone where batches are more");
    check(in_rest >= 31 - 24 && in_rest <= 31 + 24, "a small last batch is not preferred");
}

static void test_repeats(void)
{
    static int32_t again[ROWS_MAX];
    bpi_epoch e = bpi_epoch_cut(999, 10, 1);
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i % 50 == 0;
    bpi_epoch_order(&e, 1, 1, label, order, scratch);
    bpi_epoch_order(&e, 1, 1, label, again, scratch);
    check(!memcmp(order, again, 999 * sizeof *order), "seed and epoch give the order");
    bpi_epoch_order(&e, 1, 2, label, again, scratch);
    check(memcmp(order, again, 999 * sizeof *order), "another epoch gives another");
    bpi_epoch_order(&e, 2, 1, label, again, scratch);
    check(memcmp(order, again, 999 * sizeof *order), "another seed too");
}

int main(void)
{
    test_guarantee();
    test_places();
    test_rest();
    test_repeats();
    return check_end();
}
