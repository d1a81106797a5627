/* Batches that keep to a wish about classes, over hundreds of random sets: each row once, what was
 * wished for in every batch, the last one too; a wish is refused only where, but for packings that
 * are hard to find, it cannot be met. Places and refusals: test_compose_places.c. */
#include "composed.h"

static int32_t again[4 * ROWS_MAX];
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

int main(void)
{
    if (bp_open("cpu", &ctx) != BP_OK)
        return 1;
    test_random_sets();
    test_small_sets();
    test_stratified();
    test_rounding();
    bp_close(ctx);
    return check_end();
}
