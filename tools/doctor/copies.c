/* Rows that are there several times: copies, in both parts, or with different targets. Rows are
 * compared by 64 bits of their numbers: among a million, two that differ are taken for equal once
 * in 4e7 times. */
#include <stdlib.h>
#include <string.h>

#include "inside.h"

typedef struct row {
    uint64_t x, y;
    double value; /* the target, of one number */
} row;

typedef struct rows {
    row *row;
    int64_t n;
    bool target; /* y is what is read */
} rows;

static uint64_t hash_of(int64_t n, const double *x)
{
    uint64_t h = 0x9E3779B97F4A7C15u;
    for (int64_t i = 0; i < n; i++) {
        double number = x[i] + 0.0; /* -0 is 0 */
        uint64_t bits;
        memcpy(&bits, &number, sizeof bits);
        h = (h ^ bits) * 0xBF58476D1CE4E5B9u;
        h ^= h >> 32;
        h *= 0x94D049BB133111EBu;
        h ^= h >> 29;
    }
    return h;
}

static void take(void *user, int64_t first, int64_t n, int64_t cols, const double *x)
{
    rows *r = user;
    for (int64_t i = 0; i < n; i++) {
        uint64_t h = hash_of(cols, x + i * cols);
        row *to = &r->row[first + i];
        if (r->target) {
            to->y = h;
            to->value = x[i * cols];
        } else {
            to->x = h;
        }
    }
}

static int by_hash(const void *a, const void *b)
{
    const row *p = a, *q = b;
    if (p->x != q->x)
        return p->x < q->x ? -1 : 1;
    return p->y < q->y ? -1 : p->y > q->y;
}

/* The rows of a set, sorted by samples, then by targets. */
static bp_status read_all(bp_data *data, rows *r)
{
    *r = (rows){.n = bp_data_rows(data)};
    if (!(r->row = malloc((size_t)r->n * sizeof *r->row)))
        return BP_ERR_NOMEM;
    bp_status st = doctor_each(data, "x", take, r);
    r->target = true;
    if (st == BP_OK)
        st = doctor_each(data, "y", take, r);
    if (st == BP_OK)
        qsort(r->row, (size_t)r->n, sizeof *r->row, by_hash);
    return st;
}

/* Of the rows from `begin` on, how many have its samples. */
static int64_t group_at(const rows *r, int64_t begin)
{
    int64_t end = begin;
    while (end < r->n && r->row[end].x == r->row[begin].x)
        end++;
    return end - begin;
}

/* One row in 20: fewer move a result by less than its own spread over some hundred rows. */
static bool many(double part, double of)
{
    return part >= 2 && part * 20 >= of;
}

/* Classes and labels: of rows that are the same, at most the commonest target is said right. */
static void contrary_classes(const rows *r, findings *to)
{
    int64_t wrong = 0;
    for (int64_t i = 0, n; i < r->n; i += n) {
        n = group_at(r, i);
        int64_t run = 0, most = 0;
        for (int64_t k = i; k < i + n; k++) {
            run = k > i && r->row[k].y == r->row[k - 1].y ? run + 1 : 1;
            most = run > most ? run : most;
        }
        wrong += n - most;
    }
    if (many((double)wrong, (double)r->n))
        doctor_add(to, DOCTOR_WARNING, "contrary-rows", "--data",
                   "equal rows have different targets: no model can be right on more than %.1f %% "
                   "of these %lld rows", 100 * (1 - (double)wrong / (double)r->n),
                   (long long)r->n);
}

static double squares(const row *of, int64_t n)
{
    double mean = 0, square = 0;
    for (int64_t i = 0; i < n; i++)
        mean += of[i].value / (double)n;
    for (int64_t i = 0; i < n; i++)
        square += (of[i].value - mean) * (of[i].value - mean);
    return square;
}

/* A number: the best that is said of rows that are the same is their mean. */
static void contrary_numbers(const rows *r, findings *to)
{
    double all = squares(r->row, r->n), left = 0;
    for (int64_t i = 0, n; i < r->n; i += n) {
        n = group_at(r, i);
        left += squares(r->row + i, n);
    }
    if (left * 20 >= all && left > 0)
        doctor_add(to, DOCTOR_WARNING, "contrary-rows", "--data",
                   "equal rows have different targets: no model can have an R2 above %.3f on "
                   "these %lld rows", 1 - left / all, (long long)r->n);
}

static void copied_rows(const rows *r, findings *to)
{
    int64_t copies = 0;
    for (int64_t i = 1; i < r->n; i++)
        copies += by_hash(&r->row[i - 1], &r->row[i]) == 0;
    if (many((double)copies, (double)r->n))
        doctor_add(to, DOCTOR_NOTE, "copied-rows", "--data",
                   "%lld of %lld rows are copies of others, targets too: they weigh the more",
                   (long long)copies, (long long)r->n);
}

static void leaked_rows(const rows *train, const rows *test, findings *to)
{
    int64_t leaked = 0;
    for (int64_t i = 0; i < test->n; i++)
        leaked += bsearch(&test->row[i], train->row, (size_t)train->n, sizeof *train->row,
                          by_hash) != NULL;
    if (many((double)leaked, (double)test->n))
        doctor_add(to, DOCTOR_WARNING, "leaked-rows", "--split",
                   "%lld of %lld rows of the test part are in the training part too, targets as "
                   "well: its result will flatter; split without the copies", (long long)leaked,
                   (long long)test->n);
}

bp_status doctor_copies(const doctor_case *c, findings *to)
{
    rows train, test = {0};
    bp_status st = read_all(c->train, &train);
    if (st == BP_OK && c->test && bp_data_rows(c->test) > 0)
        st = read_all(c->test, &test);
    if (st == BP_OK) {
        if (bp_data_targets(c->train) != BP_TARGETS_REAL)
            contrary_classes(&train, to);
        else if (bp_data_outputs(c->train) == 1)
            contrary_numbers(&train, to);
        copied_rows(&train, to);
        leaked_rows(&train, &test, to);
    }
    free(train.row);
    free(test.row);
    return st;
}
