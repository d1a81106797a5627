/* Where rows come to lie in batches that keep to a wish about classes: no row prefers a place, an
 * order is as varied as a shuffle, classes that are drawn come alike; and what a wish that cannot be
 * met is told. */
#include "composed.h"

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
    test_places();
    test_variety();
    test_balanced();
    test_refusals();
    bp_close(ctx);
    return check_end();
}
