/* Columns, of samples and of targets that are numbers, in one pass: ranges and moments, and
 * fingerprints by which copies are found without comparing every column with every other.
 *
 * A fingerprint is four random projections p_k = sum_i r_k(i) (x_i - mean) / deviation: those of
 * a copy times a factor plus an offset are the same but for the sign. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

enum { PRINTS = 4 };

typedef struct column {
    int64_t at;        /* -1 - k: target k */
    double first, min, max, last;
    bool rising;       /* each row above the one before */
    double sum, square; /* of x - first */
    double deviation, print[PRINTS];
} column;

typedef struct table {
    const doctor_case *c;
    column *column; /* samples, then targets */
    int64_t at, samples, n, rows; /* at: the first column that is read now */
    bool pixels;
    double weights[PRINTS]; /* sums of r_k */
} table;

/* r_k(row), in [-1, 1). */
static double weight_of(int64_t row, int k)
{
    uint64_t h = ((uint64_t)row * PRINTS + (uint64_t)k + 1) * 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 29) * 0xBF58476D1CE4E5B9u;
    h = (h ^ h >> 32) * 0x94D049BB133111EBu;
    return (double)(h >> 11) / 4503599627370496.0 - 1;
}

static void add_value(column *to, int64_t row, double x, const double *weight)
{
    if (row == 0) {
        to->first = to->min = to->max = x;
        to->rising = true;
    } else if (x <= to->last) {
        to->rising = false;
    }
    double d = x - to->first;
    to->last = x;
    to->min = x < to->min ? x : to->min;
    to->max = x > to->max ? x : to->max;
    to->sum += d;
    to->square += d * d;
    for (int k = 0; k < PRINTS; k++)
        to->print[k] += weight[k] * d;
}

static void add_rows(void *user, int64_t first, int64_t n, int64_t cols, const double *x)
{
    table *t = user;
    for (int64_t i = 0; i < n; i++) {
        double weight[PRINTS];
        for (int k = 0; k < PRINTS; k++) {
            weight[k] = weight_of(first + i, k);
            t->weights[k] += t->at == 0 ? weight[k] : 0;
        }
        for (int64_t j = 0; j < cols; j++)
            add_value(&t->column[t->at + j], first + i, x[i * cols + j], weight);
    }
}

static void finish(const table *t, column *of)
{
    double rows = (double)t->rows, mean = of->sum / rows, unit;
    of->deviation = of->max > of->min ? sqrt(fmax(of->square / rows - mean * mean, 0)) : 0;
    unit = of->deviation * sqrt(rows);
    if (of->print[0] < mean * t->weights[0]) /* a factor below 0 is one too */
        unit = -unit;
    for (int k = 0; k < PRINTS; k++)
        of->print[k] = unit ? (of->print[k] - mean * t->weights[k]) / unit : 0;
}

/* Whether samples are of one unit, as pixels are, of which some never vary or are copies: all
 * begin at one number, and half of those that vary end at one. */
static bool are_pixels(const table *t)
{
    double min = INFINITY, max = -INFINITY;
    int64_t varying = 0, other = 0, ending = 0;
    for (int64_t j = 0; j < t->samples; j++) {
        min = fmin(min, t->column[j].min);
        max = fmax(max, t->column[j].max);
    }
    for (int64_t j = 0; j < t->samples; j++) {
        bool varies = t->column[j].min < t->column[j].max;
        varying += varies;
        other += varies && t->column[j].min > min;
        ending += varies && t->column[j].max == max;
    }
    return varying >= 16 && other == 0 && 2 * ending >= varying;
}

typedef struct name {
    char text[64];
} name;

/* A column, or a target, as a sentence calls it. */
static name name_of(const table *t, int64_t at)
{
    name n;
    const char *its = bp_data_feature_name(t->c->train, at);
    if (its)
        snprintf(n.text, sizeof n.text, "column \"%.40s\"", its);
    else if (at >= 0)
        snprintf(n.text, sizeof n.text, "column %lld", (long long)at);
    else if (t->n == t->samples + 1)
        snprintf(n.text, sizeof n.text, "the target");
    else
        snprintf(n.text, sizeof n.text, "target %lld", (long long)(-1 - at));
    return n;
}

/* --- findings -------------------------------------------------------------------------------- */

static void constant_columns(const table *t, findings *to)
{
    names list = {0};
    for (int64_t j = 0; j < t->samples; j++)
        if (t->column[j].min == t->column[j].max)
            doctor_name(&list, "%s", name_of(t, j).text);
    if (list.n == t->samples)
        doctor_add(to, DOCTOR_ERROR, "constant-column", "--data",
                   "all %lld rows are the same: there is nothing to learn from",
                   (long long)t->rows);
    else if (list.n && !t->pixels)
        doctor_add(to, DOCTOR_NOTE, "constant-column", "--skip",
                   "%s: one value in all %lld rows, as f32 has them, which tells nothing", doctor_names(&list),
                   (long long)t->rows);
}

static void rising_columns(const table *t, findings *to)
{
    names list = {0};
    for (int64_t j = 0; j < t->samples; j++)
        if (t->column[j].rising)
            doctor_name(&list, "%s", name_of(t, j).text);
    if (list.n)
        doctor_add(to, DOCTOR_NOTE, "rising-column", "--skip",
                   "%s: above the row before in all %lld rows; a row's number or its time says "
                   "nothing about new rows", doctor_names(&list), (long long)t->rows);
}

/* 8 bits cannot have a larger ratio: beyond it columns are not of one unit. Weights are drawn for
 * inputs near 1; 32 times that has the first outputs, and the loss, as far off. */
enum { RATIO = 256, FAR = 32 };

static void scales(const table *t, findings *to)
{
    const column *least = NULL, *most = NULL;
    double square = 0;
    if (t->c->how != BP_NORMALIZE_NONE && t->c->how != BP_NORMALIZE_GLOBAL)
        return;
    for (int64_t j = 0; j < t->samples; j++) {
        const column *a = &t->column[j];
        double mean = a->first + a->sum / (double)t->rows;
        square += (mean * mean + a->deviation * a->deviation) / (double)t->samples;
        if (a->deviation > 0 && (!least || a->deviation < least->deviation))
            least = a;
        if (a->deviation > 0 && (!most || a->deviation > most->deviation))
            most = a;
    }
    if (least && (most->max - most->min) / (least->max - least->min) > RATIO)
        doctor_add(to, DOCTOR_WARNING, "unscaled-columns", "--normalize",
                   "%s goes from %.4g to %.4g and %s from %.4g to %.4g: with --normalize %s the "
                   "small one is hardly seen; --normalize column scales each",
                   name_of(t, most->at).text, most->min, most->max, name_of(t, least->at).text,
                   least->min, least->max, bp_normalize_name(t->c->how));
    else if (least && t->c->how == BP_NORMALIZE_NONE &&
             (square > FAR * FAR || square < 1.0 / (FAR * FAR)))
        doctor_add(to, DOCTOR_WARNING, "unscaled-columns", "--normalize",
                   "samples are %.3g in the root mean square, and stay so with --normalize none; "
                   "weights are drawn for numbers near 1", sqrt(square));
}

static int by_print(const void *a, const void *b)
{
    const column *x = a, *y = b;
    if (x->print[0] != y->print[0])
        return x->print[0] < y->print[0] ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* f32 rounds to 6e-8 of a value, which may be many deviations from 0. Of two columns that are no
 * copies all four agree so far once in 1e18. */
static bool copies(const column *a, const column *b)
{
    for (int k = 0; k < PRINTS; k++)
        if (!(fabs(a->print[k] - b->print[k]) < 1e-5))
            return false;
    return true;
}

/* Sorts the columns by the way. Any two columns of two rows are copies: a few rows say nothing. */
static void copied_columns(table *t, findings *to)
{
    names same = {0}, told = {0};
    qsort(t->column, (size_t)t->n, sizeof *t->column, by_print);
    for (int64_t i = 0; i < t->n; i++)
        for (int64_t k = i + 1; t->column[i].deviation > 0 && k < t->n; k++) {
            const column *a = &t->column[i], *b = &t->column[k];
            if (b->print[0] - a->print[0] >= 1e-5)
                break;
            if (!copies(a, b) || (a->at < 0 && b->at < 0))
                continue;
            int64_t low = a->at < b->at ? a->at : b->at, high = a->at < b->at ? b->at : a->at;
            names *list = low < 0 ? &told : &same;
            if (low < 0 || !t->pixels)
                doctor_name(list, "%s is %s", name_of(t, high).text, name_of(t, low).text);
            if (low >= 0)
                break; /* three copies are two pairs */
        }
    if (told.n)
        doctor_add(to, DOCTOR_WARNING, "told-target", "--skip",
                   "%s, but for a factor and an offset, which new rows will not tell",
                   doctor_names(&told));
    if (same.n)
        doctor_add(to, DOCTOR_NOTE, "copied-column", "--skip",
                   "%s, but for a factor and an offset: one is enough", doctor_names(&same));
}

/* --- values far from the others -------------------------------------------------------------- */

typedef struct quartiles {
    double *value; /* [n, cols], then sorted column by column */
    int64_t cols, n;
} quartiles;

static void take_sample(void *user, int64_t first, int64_t n, int64_t cols, const double *x)
{
    quartiles *q = user;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < cols; j++)
            q->value[j * q->n + first + i] = x[i * cols + j];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The largest of a million numbers is 3 times the middle half's width away if they are normal, 12
 * if exponential, 80 if lognormal. Columns half of which are one value have no such width. */
enum { AWAY = 100 };

static bool is_away(const column *of, const double *sorted, int64_t n, double *low, double *high)
{
    *low = sorted[n / 4];
    *high = sorted[n - 1 - n / 4];
    return fmax(*low - of->min, of->max - *high) > AWAY * (*high - *low) && *high > *low;
}

static void far_of(const table *t, const quartiles *q, bool targets, findings *to)
{
    names list = {0};
    double low, high, from = 0, until = 0, min = 0, max = 0;
    for (int64_t j = 0; j < q->cols; j++) {
        double *value = q->value + j * q->n;
        const column *of = &t->column[targets ? t->samples + j : j];
        qsort(value, (size_t)q->n, sizeof *value, by_value);
        if (!is_away(of, value, q->n, &low, &high))
            continue;
        if (list.n == 0) {
            from = low;
            until = high;
            min = of->min;
            max = of->max;
        }
        doctor_name(&list, "%s", name_of(t, of->at).text);
    }
    if (list.n)
        doctor_add(to, DOCTOR_WARNING, targets ? "far-target" : "far-value",
                   "--data", "%s: from %.4g to %.4g, where the middle half lies between %.4g and %.4g; %s",
                   doctor_names(&list), min, max, from, until,
                   targets ? "the far ones rule the squared error: mend them"
                           : "is that a mark for a missing value? The others become nearly equal");
}

static bp_status far_values(const table *t, bp_data *sample, bool targets, findings *to)
{
    quartiles q = {.n = bp_data_rows(sample), .cols = targets ? t->n - t->samples : t->samples};
    if (!(q.value = malloc((size_t)(q.n * q.cols) * sizeof *q.value)))
        return BP_ERR_NOMEM;
    bp_status st = doctor_each(sample, targets ? "y" : "x", take_sample, &q);
    if (st == BP_OK)
        far_of(t, &q, targets, to);
    free(q.value);
    return st;
}

/* --- all of it ------------------------------------------------------------------------------- */

static bp_status look(table *t, findings *to)
{
    bp_data *sample;
    bool real = bp_data_targets(t->c->train) == BP_TARGETS_REAL;
    TRY(doctor_each(t->c->train, "x", add_rows, t));
    t->at = t->samples;
    if (t->n > t->samples)
        TRY(doctor_each(t->c->train, "y", add_rows, t));
    for (int64_t j = 0; j < t->n; j++)
        finish(t, &t->column[j]);
    t->pixels = are_pixels(t);
    constant_columns(t, to);
    scales(t, to);
    if (t->rows < 32)
        return BP_OK;
    rising_columns(t, to);
    TRY(doctor_sample(t->c->train, t->samples, &sample));
    bp_status st = t->pixels ? BP_OK : far_values(t, sample, false, to);
    if (st == BP_OK && real)
        st = far_values(t, sample, true, to);
    bp_data_free(sample);
    copied_columns(t, to);
    return st;
}

bp_status doctor_columns(const doctor_case *c, findings *to)
{
    table t = {.c = c, .samples = bp_data_cols(c->train), .rows = bp_data_rows(c->train)};
    switch (bp_data_targets(c->train)) { /* a class is a number here */
    case BP_TARGETS_NONE: t.n = t.samples; break;
    case BP_TARGETS_CLASSES: t.n = t.samples + 1; break;
    default: t.n = t.samples + bp_data_outputs(c->train); break;
    }
    if (!(t.column = calloc((size_t)t.n, sizeof *t.column)))
        return BP_ERR_NOMEM;
    for (int64_t j = 0; j < t.n; j++)
        t.column[j].at = j < t.samples ? j : t.samples - 1 - j;
    bp_status st = look(&t, to);
    free(t.column);
    return st;
}
