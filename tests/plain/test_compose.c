/* Batches that keep to a wish about classes, over hundreds of random sets: each row once, what was
 * wished for in every batch, the last one too; a wish is refused where, and but for packings that
 * are hard to find only where, it cannot be met; no row prefers a place. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bpcuda/bpcuda.h"
#include "check.h"
#include "train/compose.h"

enum { ROWS_MAX = 1300, CLASSES_MAX = 12 };

static bp_context *ctx;
static int32_t label[ROWS_MAX], order[4 * ROWS_MAX], again[4 * ROWS_MAX];
static bpi_draws draws = {.stream = {1, 0, 0}};

static int64_t below(int64_t n)
{
    return bpi_draw_below(&draws, n);
}

/* --- what must hold ----------------------------------------------------------------------- */

static bool is_permutation(int64_t rows)
{
    char seen[ROWS_MAX] = {0};
    for (int64_t i = 0; i < rows; i++)
        if (order[i] < 0 || order[i] >= rows || seen[order[i]]++)
            return false;
    return true;
}

static void count_classes(const bpi_epoch *e, int64_t batch, int64_t n[CLASSES_MAX])
{
    memset(n, 0, CLASSES_MAX * sizeof *n);
    for (int64_t i = 0; i < bpi_batch_size(e, batch); i++)
        n[label[order[batch * e->batch + i]]]++;
}

static bool granted(const bpi_epoch *e, const bpi_wish *w)
{
    int64_t each = w->each ? w->each : 1;
    for (int64_t b = 0; b < bpi_epoch_steps(e); b++) {
        int64_t n[CLASSES_MAX], present = 0;
        count_classes(e, b, n);
        for (int k = 0; k < CLASSES_MAX; k++) {
            present += n[k] > 0;
            if (n[k] > 0 && n[k] < each)
                return false;
        }
        if (present < w->least)
            return false;
    }
    return true;
}

static bool proportional(const bpi_epoch *e, const int64_t *count)
{
    for (int64_t b = 0; b < bpi_epoch_steps(e); b++) {
        int64_t n[CLASSES_MAX];
        count_classes(e, b, n);
        for (int k = 0; k < CLASSES_MAX; k++) {
            double share = (double)count[k] * (double)bpi_batch_size(e, b) / (double)e->rows;
            if ((double)n[k] < floor(share) || (double)n[k] > ceil(share))
                return false;
        }
    }
    return true;
}

static bpi_epoch cut_for(const bpi_wish *w, int64_t rows, int64_t batch)
{
    int64_t least = w->way == BP_ROWS_STRATIFIED
                        ? 1 : (w->least ? w->least : 1) * (w->each ? w->each : 1);
    return bpi_epoch_cut(rows, batch, least);
}

static int32_t count_labels(int64_t rows, int64_t count[CLASSES_MAX])
{
    int32_t met = 0;
    memset(count, 0, CLASSES_MAX * sizeof *count);
    for (int64_t i = 0; i < rows; i++)
        met += count[label[i]]++ == 0;
    return met;
}

/* Rows of up to CLASSES_MAX classes, some of them rare, in a drawn order. */
static void random_labels(int64_t rows)
{
    int64_t classes = 1 + below(CLASSES_MAX), skew = below(4);
    for (int64_t i = 0; i < rows; i++) {
        int64_t k = below(classes);
        for (int64_t s = 0; s < skew; s++) {
            int64_t other = below(classes);
            k = other < k ? other : k;
        }
        label[i] = (int32_t)k;
    }
}

/* --- random sets -------------------------------------------------------------------------- */

/* With one row of each class, numbers alone say whether it can be. */
static bool possible_with_one(const bpi_epoch *e, const bpi_wish *w, const int64_t *count,
                              int32_t met)
{
    int64_t steps = bpi_epoch_steps(e), groups = 0;
    for (int k = 0; k < CLASSES_MAX; k++)
        groups += count[k] < steps ? count[k] : steps;
    return w->least <= met && w->least <= (e->full ? e->batch : e->rest) &&
           groups >= w->least * steps;
}

static void test_random_sets(void)
{
    enum { SETS = 1500 };
    int met_wish = 0, refused = 0;
    bool once = true, kept = true, right = true, repeats = true, told = true;
    for (int s = 0; s < SETS; s++) {
        int64_t rows = 1 + below(600), batch = 1 + below(80), count[CLASSES_MAX];
        bpi_wish w = {BP_ROWS_SHUFFLED, below(6), below(4) ? below(4) : 1};
        random_labels(rows);
        int32_t met = count_labels(rows, count);
        bpi_epoch e = cut_for(&w, rows, batch);
        bpi_composer *c = NULL;
        bp_status st = bpi_composer_create(ctx, &w, &e, label, rows, CLASSES_MAX, &c);
        if (w.each <= 1)
            right &= (st == BP_OK) == possible_with_one(&e, &w, count, met);
        refused += st != BP_OK;
        told &= st == BP_OK || (st == BP_ERR_STATE && strlen(bp_error_text(ctx)) > 40);
        for (int64_t epoch = 0; epoch < 2 && st == BP_OK; epoch++) {
            bpi_composer_order(c, (uint64_t)s, epoch, again);
            bpi_composer_order(c, (uint64_t)s, epoch ^ 1, order);
            bpi_composer_order(c, (uint64_t)s, epoch, order);
            repeats &= !memcmp(order, again, (size_t)rows * sizeof *order);
            once &= is_permutation(rows);
            kept &= granted(&e, &w);
            met_wish++;
        }
        bpi_composer_free(ctx, c);
    }
    printf("       %d epochs, %d wishes refused of %d\n", met_wish, refused, SETS);
    check(once, "an order holds each row once");
    check(kept, "every batch is as wished for");
    check(right, "of one row a class, what can be met is met, and nothing else");
    check(repeats, "seed and epoch give the order, whatever came before");
    check(told, "a refusal is told");
    check(met_wish > 1000 && refused > 300, "both happen");
}

/* --- small sets, against all cuts --------------------------------------------------------- */

static bool possible(const bpi_epoch *e, const bpi_wish *w, int64_t batch, const int64_t n[3])
{
    if (batch == bpi_epoch_steps(e))
        return true;
    int64_t size = bpi_batch_size(e, batch), each = w->each ? w->each : 1;
    for (int64_t a = 0; a <= n[0] && a <= size; a++)
        for (int64_t b = 0; b <= n[1] && a + b <= size; b++) {
            int64_t of[3] = {a, b, size - a - b}, present = 0, left[3];
            bool fits = true;
            for (int k = 0; k < 3; k++) {
                left[k] = n[k] - of[k];
                fits &= left[k] >= 0 && (of[k] == 0 || of[k] >= each);
                present += of[k] > 0;
            }
            if (fits && present >= w->least && possible(e, w, batch + 1, left))
                return true;
        }
    return false;
}

static void test_small_sets(void)
{
    int cases = 0, could = 0, missed = 0, wrong = 0;
    for (int64_t rows = 1; rows <= 14; rows++)
        for (int64_t batch = 1; batch <= rows; batch++)
            for (int64_t zeros = 0; zeros <= rows; zeros++)
                for (int64_t ones = 0; ones <= rows - zeros; ones++)
                    for (int wish = 0; wish < 9; wish++, cases++) {
                        int64_t n[3] = {zeros, ones, rows - zeros - ones};
                        bpi_wish w = {BP_ROWS_SHUFFLED, wish % 3 + 1, wish / 3 + 1};
                        bpi_epoch e = cut_for(&w, rows, batch);
                        bpi_composer *c = NULL;
                        for (int64_t i = 0; i < rows; i++)
                            label[i] = (i >= zeros) + (i >= zeros + ones);
                        bool can = possible(&e, &w, 0, n);
                        bp_status st = bpi_composer_create(ctx, &w, &e, label, rows, 3, &c);
                        could += can;
                        missed += can && st != BP_OK;
                        wrong += !can && st == BP_OK;
                        if (can && st != BP_OK && missed < 8)
                            printf("       missed: %d %d %d, batches of %d, %d classes of %d: %s\n",
                                   (int)n[0], (int)n[1], (int)n[2], (int)batch, (int)w.least,
                                   (int)w.each, bp_error_text(ctx));
                        bpi_composer_free(ctx, c);
                    }
    printf("       %d wishes of up to 14 rows in up to 3 classes, %d can be met, %d not found\n",
           cases, could, missed);
    check(wrong == 0, "nothing is granted that no cut has");
    check(missed == 0, "all is granted that some cut has");
}

/* --- proportions -------------------------------------------------------------------------- */

static void test_stratified(void)
{
    bool once = true, exact = true;
    for (int s = 0; s < 600; s++) {
        int64_t rows = 1 + below(600), count[CLASSES_MAX];
        bpi_wish w = {.way = BP_ROWS_STRATIFIED};
        bpi_epoch e = cut_for(&w, rows, 1 + below(80));
        bpi_composer *c = NULL;
        random_labels(rows);
        count_labels(rows, count);
        if (bpi_composer_create(ctx, &w, &e, label, rows, CLASSES_MAX, &c) != BP_OK)
            once = false;
        for (int64_t epoch = 0; epoch < 2 && c; epoch++) {
            bpi_composer_order(c, (uint64_t)s, epoch, order);
            once &= is_permutation(rows);
            exact &= proportional(&e, count);
        }
        bpi_composer_free(ctx, c);
    }
    check(once, "stratified, each row once");
    check(exact, "in every batch the share of each class, rounded down or up");
}

/* 100 rows in 9 batches of 11 and one of 1, say: how often a class is rounded up. */
static void test_rounding(void)
{
    enum { EPOCHS = 4000 };
    static const int64_t of[4] = {50, 31, 17, 9};
    double ups[11][4] = {{0}}, worst = 0;
    int64_t rows = 0;
    for (int k = 0; k < 4; k++)
        for (int64_t i = 0; i < of[k]; i++)
            label[rows++] = k;
    bpi_wish w = {.way = BP_ROWS_STRATIFIED};
    bpi_epoch e = cut_for(&w, rows, 10);
    bpi_composer *c = NULL;
    check(bpi_composer_create(ctx, &w, &e, label, rows, 4, &c) == BP_OK && e.rest == 7, "a rest");
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        bpi_composer_order(c, 5, epoch, order);
        for (int64_t b = 0; b < 11; b++) {
            int64_t n[CLASSES_MAX];
            count_classes(&e, b, n);
            for (int k = 0; k < 4; k++)
                ups[b][k] += (double)n[k] / EPOCHS;
        }
    }
    for (int64_t b = 0; b < 11; b++)
        for (int k = 0; k < 4; k++) {
            double mean = (double)of[k] * (double)bpi_batch_size(&e, b) / (double)rows;
            double part = mean - floor(mean), deviation = sqrt(part * (1 - part) / EPOCHS);
            worst = fmax(worst, fabs(ups[b][k] - mean) / fmax(deviation, 1e-12));
        }
    printf("       44 means of rows of a class in a batch, off by %.1f deviations at most\n", worst);
    check(worst < 4.5, "up as often as the share says, in the rest too");
    bpi_composer_free(ctx, c);
}

/* --- where rows land ---------------------------------------------------------------------- */

/* Chi-square of the places of one row over many seeds, against all places of full batches alike; it
 * passes the bound once in 100,000 (Wilson, Hilferty, 1931). */
static void lands_anywhere(const char *what, bpi_wish w, int64_t rows, int64_t batch, int32_t row)
{
    enum { SEEDS = 12000 };
    static int landed[ROWS_MAX];
    bpi_epoch e = cut_for(&w, rows, batch);
    bpi_composer *c = NULL;
    double chi = 0, all = 0, places = (double)(e.full * e.batch), v = 2 / (9 * (places - 1));
    memset(landed, 0, sizeof landed);
    check(bpi_composer_create(ctx, &w, &e, label, rows, 4, &c) == BP_OK, bp_error_text(ctx));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bpi_composer_order(c, seed, (int64_t)seed % 3, order);
        int64_t place = 0;
        while (order[place] != row)
            place++;
        landed[place]++;
        all += place < e.full * e.batch;
    }
    for (int64_t i = 0; i < e.full * e.batch; i++)
        chi += pow(landed[i] - all / places, 2) / (all / places);
    double bound = (places - 1) * pow(1 - v + 4.265 * sqrt(v), 3);
    double rest = (SEEDS - all) / SEEDS;
    printf("       %s: chi-square %.1f, at most %.1f; in the rest %.4f (of a shuffle %.4f)\n", what,
           chi, bound, rest, (double)e.rest / (double)rows);
    check(chi <= bound, what);
    bpi_composer_free(ctx, c);
}

static void test_places(void)
{
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i < 60 ? 0 : i < 90 ? 1 : i < 102 ? 2 : 3;
    bpi_wish two = {BP_ROWS_SHUFFLED, 2, 1}, three = {BP_ROWS_SHUFFLED, 3, 2};
    bpi_wish stratified = {.way = BP_ROWS_STRATIFIED};
    lands_anywhere("the first row, two classes a batch", two, 110, 12, 0);
    lands_anywhere("a rare row, two classes a batch", two, 110, 12, 105);
    lands_anywhere("the first row, three of two rows", three, 110, 12, 0);
    lands_anywhere("a rare row, three of two rows", three, 110, 12, 105);
    lands_anywhere("the first row, stratified", stratified, 110, 12, 0);
    lands_anywhere("a rare row, stratified", stratified, 110, 12, 105);
}

/* Among the orders that keep to a wish that nearly all do, what is drawn is like a shuffle: how many
 * rows of a class a batch has varies as much (hypergeometric). */
static void test_variety(void)
{
    enum { SEEDS = 3000 };
    double squares = 0;
    int64_t n[CLASSES_MAX];
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i >= 60;
    bpi_wish w = {BP_ROWS_SHUFFLED, 2, 1};
    bpi_epoch e = cut_for(&w, 120, 20);
    bpi_composer *c = NULL;
    check(bpi_composer_create(ctx, &w, &e, label, 120, 2, &c) == BP_OK, "half and half");
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bpi_composer_order(c, seed, 0, order);
        count_classes(&e, 2, n);
        squares += pow((double)n[0] - 10, 2) / SEEDS;
    }
    double wanted = 20 * 0.25 * 100 / 119.0;
    printf("       the variance of rows of a class in a batch is %.2f, a shuffle's %.2f\n", squares,
           wanted);
    check(fabs(squares / wanted - 1) < 0.12, "about as varied as a shuffle");
    bpi_composer_free(ctx, c);
}

/* --- with replacement --------------------------------------------------------------------- */

static void test_balanced(void)
{
    enum { BATCH = 12, STEPS = 300 };
    int64_t of[4] = {0}, least = BATCH, n[CLASSES_MAX], seen[ROWS_MAX] = {0};
    bool four = true;
    for (int i = 0; i < 110; i++)
        label[i] = i < 60 ? 0 : i < 90 ? 1 : i < 108 ? 2 : 3;
    bpi_wish w = {BP_ROWS_BALANCED, 3, 4};
    bpi_epoch e = {BATCH * STEPS, BATCH, STEPS, 0};
    bpi_composer *c = NULL;
    check(bpi_composer_create(ctx, &w, &e, label, 110, 4, &c) == BP_OK, "three of four rows");
    bpi_composer_order(c, 3, 0, order);
    for (int64_t b = 0; b < STEPS; b++) {
        int present = 0;
        count_classes(&e, b, n);
        for (int k = 0; k < 4; k++) {
            of[k] += n[k];
            present += n[k] > 0;
            least = n[k] > 0 && n[k] < least ? n[k] : least;
        }
        four &= present == 3;
    }
    for (int64_t i = 0; i < e.rows; i++)
        seen[order[i]]++;
    check(four && least == 4, "three classes with four rows each in every batch");
    for (int k = 0; k < 4; k++) /* 900 in groups of 4: deviation 4 sqrt(300 * 3/16) = 30 */
        check(llabs(of[k] - 900) < 5 * 30, "each class equally often");
    check(llabs(seen[108] - seen[109]) < 5 * 42, "and each row of one");
    bpi_composer_free(ctx, c);
}

/* --- refusals ----------------------------------------------------------------------------- */

static void refuses(const char *text, bpi_wish w, int64_t rows, int64_t batch)
{
    bpi_epoch e = cut_for(&w, rows, batch);
    bpi_composer *c = NULL;
    bp_status st = bpi_composer_create(ctx, &w, &e, label, rows, 4, &c);
    check(st == BP_ERR_STATE && !c && !strcmp(bp_error_text(ctx), text), text);
    if (strcmp(bp_error_text(ctx), text) != 0)
        printf("       it says: %s\n", bp_error_text(ctx));
    bpi_composer_free(ctx, c);
}

static void test_refusals(void)
{
    bpi_wish two = {BP_ROWS_SHUFFLED, 2, 1};
    bpi_epoch e = cut_for(&two, 5, 5);
    bpi_composer *c = NULL;
    for (int32_t wrong = -1; wrong <= 4; wrong += 5) {
        for (int i = 0; i < 5; i++)
            label[i] = i == 3 ? wrong : i % 2;
        check(bpi_composer_create(ctx, &two, &e, label, 5, 4, &c) == BP_ERR_RANGE && !c &&
                  strstr(bp_error_text(ctx), "of row 3 is not in 0 .. 3"),
              "a label that was written since it was checked is told");
    }
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i < 97 ? 0 : i < 99 ? 1 : 2;
    refuses("trainer_run: batch_classes wants 4 classes in every batch; the rows to train on have 3",
            (bpi_wish){BP_ROWS_SHUFFLED, 4, 1}, 100, 10);
    refuses("trainer_run: 3 classes with 5 rows each are 15 rows; a batch has 10",
            (bpi_wish){BP_ROWS_SHUFFLED, 3, 5}, 100, 10);
    refuses("trainer_run: class 2 has 1 rows to train on; batch_per_class wants 2 in each batch "
            "that has some", (bpi_wish){BP_ROWS_SHUFFLED, 2, 2}, 100, 10);
    refuses("trainer_run: 10 batches of 2 classes with 1 rows each want 20 such groups; the rows "
            "make 13, each class one a batch at most", (bpi_wish){BP_ROWS_SHUFFLED, 2, 1}, 100, 10);
    refuses("trainer_run: a stratified batch of 10 rows has 1 classes for sure; batch_classes wants "
            "2", (bpi_wish){BP_ROWS_STRATIFIED, 2, 1}, 100, 10);
    refuses("trainer_run: of class 1, 2 of 100 rows, a stratified batch of 10 has 1; "
            "batch_per_class wants 2", (bpi_wish){BP_ROWS_STRATIFIED, 0, 2}, 100, 10);
    refuses("trainer_run: batch_per_class wants 11 rows of a class; a batch has 10",
            (bpi_wish){BP_ROWS_BALANCED, 0, 11}, 100, 10);
    for (int i = 0; i < ROWS_MAX; i++)
        label[i] = i < 4 ? 0 : i < 8 ? 1 : 2;
    refuses("trainer_run: no cut of 12 rows into 2 batches of 6 was found in 1000 tries that has 0 "
            "classes or more in each, with 4 rows or more: fewer are wanted, or larger batches",
            (bpi_wish){BP_ROWS_SHUFFLED, 0, 4}, 12, 6);
}

int main(void)
{
    if (bp_open("cpu", &ctx) != BP_OK)
        return 1;
    test_random_sets();
    test_small_sets();
    test_stratified();
    test_rounding();
    test_places();
    test_variety();
    test_balanced();
    test_refusals();
    bp_close(ctx);
    return check_end();
}
