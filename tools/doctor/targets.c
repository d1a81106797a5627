/* The targets: classes and how many rows each has, labels that never change, numbers that are
 * classes; and the order of the rows, where they are trained on as they stand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

/* A split of a fifth leaves a class of fewer rows out of one part. */
enum { ROWS_OF_A_CLASS = 5 };

/* --- classes --------------------------------------------------------------------------------- */

typedef struct tally {
    int64_t *count; /* [classes] */
    int64_t changes, last; /* rows of another class than the row before */
} tally;

static void count_rows(void *user, int64_t first, int64_t n, int64_t cols, const double *x)
{
    tally *t = user;
    (void)cols;
    for (int64_t i = 0; i < n; i++) {
        int64_t class = (int64_t)x[i];
        t->count[class]++;
        t->changes += first + i > 0 && class != t->last;
        t->last = class;
    }
}

static void name_class(names *list, const bp_data *data, int64_t class, int64_t rows)
{
    const char *name = bp_data_class_name(data, (int32_t)class);
    if (name && rows)
        doctor_name(list, "%.20s (%lld)", name, (long long)rows);
    else if (rows)
        doctor_name(list, "%lld (%lld)", (long long)class, (long long)rows);
    else if (name)
        doctor_name(list, "%.24s", name);
    else
        doctor_name(list, "%lld", (long long)class);
}

/* Classes that no row has to learn from: ids that are no places in a list, most often. */
static void absent_classes(const doctor_case *c, const tally *train, const tally *test,
                           findings *to)
{
    names only_tested = {0}, there = {0};
    int64_t classes = bp_data_classes(c->train), absent = 0, occur = 0;
    for (int64_t k = 0; k < classes; k++)
        if (train->count[k]) {
            name_class(&there, c->train, k, 0);
            occur++;
        } else {
            absent++;
            if (test->count[k])
                name_class(&only_tested, c->train, k, test->count[k]);
        }
    if (occur == 1)
        doctor_add(to, DOCTOR_ERROR, "one-class", "--target",
                   "all %lld rows are of class %s: there is nothing to tell apart",
                   (long long)bp_data_rows(c->train), doctor_names(&there));
    else if (absent)
        doctor_add(to, DOCTOR_WARNING, "absent-class", "--target",
                   "of %lld classes, 0 to %lld, only %lld occur (%s): is each a place in a list "
                   "from 0 on?", (long long)classes, (long long)(classes - 1), (long long)occur,
                   doctor_names(&there));
    if (only_tested.n)
        doctor_add(to, DOCTOR_WARNING, "untrained-class", "--split",
                   "class %s: rows of the test part only, which cannot be right",
                   doctor_names(&only_tested));
}

static void balance(const doctor_case *c, const tally *train, const tally *test, findings *to)
{
    names few = {0}, major = {0};
    int64_t classes = bp_data_classes(c->train), rows = bp_data_rows(c->train), most = 0;
    for (int64_t k = 0; k < classes; k++) {
        int64_t all = train->count[k] + test->count[k];
        if (train->count[k] && all < ROWS_OF_A_CLASS)
            name_class(&few, c->train, k, all);
        if (train->count[k] > train->count[most])
            most = k;
    }
    if (classes * ROWS_OF_A_CLASS > rows)
        doctor_add(to, DOCTOR_WARNING, "many-classes", "--target",
                   "%lld classes in %lld rows, fewer than %d rows each: is it the column of the "
                   "targets, or wants --task regression?", (long long)classes, (long long)rows,
                   ROWS_OF_A_CLASS);
    else if (few.n)
        doctor_add(to, DOCTOR_WARNING, "small-class", "--data",
                   "class %s: fewer than %d rows, which a split may leave out of one part",
                   doctor_names(&few), ROWS_OF_A_CLASS);
    /* One row in ten is what batches of 64 see at all times. */
    if (train->count[most] < rows && (double)train->count[most] > 0.9 * (double)rows &&
        c->rows != BP_ROWS_BALANCED && c->rows != BP_ROWS_WEIGHTED) {
        name_class(&major, c->train, most, 0);
        doctor_add(to, DOCTOR_WARNING, "major-class", "--rows",
                   "class %s has %.1f %% of the rows, so always saying it is that accurate: draw "
                   "rows balanced, and go by the AUC", doctor_names(&major),
                   100 * (double)train->count[most] / (double)rows);
    }
}

/* Rows of a random order change class at each row with probability 1 - sum of shares^2; a tenth of
 * that is no chance from some tens of rows on. */
static void order(const doctor_case *c, const tally *train, findings *to)
{
    double rows = (double)bp_data_rows(c->train), same = 0;
    for (int64_t k = 0; k < bp_data_classes(c->train); k++)
        same += (double)train->count[k] / rows * (double)train->count[k] / rows;
    if (c->rows == BP_ROWS_IN_ORDER && rows * (1 - same) > 20 &&
        (double)train->changes < rows * (1 - same) / 10)
        doctor_add(to, DOCTOR_WARNING, "sorted-rows", "--rows",
                   "the class changes %lld times in %.0f rows (in a random order %.0f times), so "
                   "that batches in order have one class each: shuffle them",
                   (long long)train->changes, rows, rows * (1 - same));
}

static bp_status count_classes(const doctor_case *c, findings *to)
{
    int64_t classes = bp_data_classes(c->train);
    int64_t more = c->test ? bp_data_classes(c->test) : 0;
    int64_t *room = calloc((size_t)(2 * classes + more), sizeof *room);
    tally train = {.count = room}, test = {.count = room ? room + classes : NULL};
    if (!room)
        return BP_ERR_NOMEM;
    bp_status st = doctor_each(c->train, "y", count_rows, &train);
    if (st == BP_OK && c->test)
        st = doctor_each(c->test, "y", count_rows, &test);
    if (st == BP_OK) {
        absent_classes(c, &train, &test, to);
        balance(c, &train, &test, to);
        order(c, &train, to);
    }
    free(room);
    return st;
}

/* --- labels and numbers ---------------------------------------------------------------------- */

enum { VALUES = 20 }; /* different integers that may be classes */

typedef struct spread {
    double *min, *max; /* [outputs] */
    double value[VALUES + 1]; /* of the first column, different ones */
    int n;
    bool integers;
} spread;

static void take_values(spread *s, double x)
{
    s->integers = s->integers && x == floor(x);
    for (int i = 0; i < s->n; i++)
        if (s->value[i] == x)
            return;
    if (s->n <= VALUES)
        s->value[s->n++] = x;
}

static void widen(void *user, int64_t first, int64_t n, int64_t cols, const double *x)
{
    spread *s = user;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < cols; j++) {
            double v = x[i * cols + j];
            s->min[j] = first + i > 0 && s->min[j] < v ? s->min[j] : v;
            s->max[j] = first + i > 0 && s->max[j] > v ? s->max[j] : v;
            if (j == 0)
                take_values(s, v);
        }
}

static bp_status count_numbers(const doctor_case *c, findings *to)
{
    int64_t outputs = bp_data_outputs(c->train), rows = bp_data_rows(c->train);
    bool real = bp_data_targets(c->train) == BP_TARGETS_REAL;
    spread s = {.integers = true, .min = calloc((size_t)outputs * 2, sizeof(double))};
    names list = {0};
    if (!s.min)
        return BP_ERR_NOMEM;
    s.max = s.min + outputs;
    bp_status st = doctor_each(c->train, "y", widen, &s);
    for (int64_t k = 0; k < outputs; k++)
        if (s.min[k] == s.max[k])
            doctor_name(&list, "%lld", (long long)k);
    free(s.min);
    if (st != BP_OK)
        return st;
    if (list.n)
        doctor_add(to, list.n == outputs ? DOCTOR_ERROR : DOCTOR_WARNING, "constant-target",
                   "--target", "target %s: one value in all %lld rows, nothing to learn",
                   doctor_names(&list), (long long)rows);
    else if (real && outputs == 1 && s.integers && s.n <= VALUES &&
             rows >= s.n * ROWS_OF_A_CLASS)
        doctor_add(to, DOCTOR_NOTE, "integer-target", "--task",
                   "the target has %d values, all integers: if they are names and no amounts, "
                   "they are classes", s.n);
    return BP_OK;
}

bp_status doctor_targets(const doctor_case *c, findings *to)
{
    return bp_data_targets(c->train) == BP_TARGETS_CLASSES ? count_classes(c, to)
                                                           : count_numbers(c, to);
}
