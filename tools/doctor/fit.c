/* Whether a model can learn a few rows by heart: they must be known to a tenth of the loss of one
 * that knows nothing, within the steps that some seconds allow. Where they are not, other rates say
 * whether the rate is the reason. Each try trains a copy, without dropout, at a constant rate. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"

typedef struct try {
    const doctor_case *c;
    const bp_model *model;
    const bp_snapshot *start;
    bp_data *rows;
    int64_t steps;
    double enough, first, last, peak; /* losses; the highest of the first 20 steps */
} try;

static bool explodes(const try *t)
{
    return !(t->peak <= 10 * fmax(t->first, 10 * t->enough)); /* of what knowing nothing has */
}

static bool learned(const try *t, double enough)
{
    return t->last <= enough && !explodes(t);
}

/* --- rows that differ ------------------------------------------------------------------------ */

enum { ROWS = 64 };

typedef struct choice {
    int64_t cols, rows;
    double *x;
} choice;

static void take(void *user, int64_t first, int64_t n, int64_t cols, const double *x)
{
    choice *c = user;
    memcpy(c->x + first * cols, x, (size_t)(n * cols) * sizeof *x);
}

/* Up to 64 rows of a sample, all different: what contradicts itself cannot be learned by anyone.
 * A prime step visits rows from everywhere, so of all classes where rows are sorted. */
static bp_status different_rows(bp_data *sample, bp_data **part)
{
    choice c = {.cols = bp_data_cols(sample), .rows = bp_data_rows(sample)};
    int32_t index[ROWS], n = 0;
    size_t bytes = (size_t)c.cols * sizeof *c.x;
    if (!(c.x = malloc((size_t)c.rows * bytes)))
        return BP_ERR_NOMEM;
    bp_status st = doctor_each(sample, "x", take, &c);
    for (int64_t i = 0; st == BP_OK && i < c.rows && n < ROWS; i++) {
        int32_t row = (int32_t)(i * 619 % c.rows), k = 0;
        while (k < n && memcmp(c.x + index[k] * c.cols, c.x + row * c.cols, bytes) != 0)
            k++;
        if (k == n)
            index[n++] = row;
    }
    free(c.x);
    return st != BP_OK ? st : bp_data_rows_at(sample, index, n, part);
}

/* --- one try --------------------------------------------------------------------------------- */

static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    (void)ctx;
    bp_tensor *y = bp_model_forward(user, bp_batch_column(batch, "x"), 0);
    return bp_model_loss(user, y, bp_batch_column(batch, "y"));
}

static bp_status set_up(const try *t, double lr, bp_trainer *trainer)
{
    TRY(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, (double)t->steps));
    TRY(bp_trainer_set(trainer, BP_TRAIN_BATCH, (double)bp_data_rows(t->rows)));
    TRY(bp_trainer_set(trainer, BP_TRAIN_ROWS, BP_ROWS_IN_ORDER));
    TRY(bp_trainer_set(trainer, BP_TRAIN_OPTIMIZER, t->c->optimizer));
    TRY(bp_trainer_set(trainer, BP_TRAIN_LR, lr));
    return bp_trainer_schedule(trainer, "constant");
}

/* Until it is enough, or it explodes, or the steps are over. A loss that leaves f32 is no error
 * here. */
static bp_status run(try *t, bp_trainer *trainer)
{
    int32_t done = 0;
    t->last = INFINITY;
    t->peak = 0;
    for (int i = 0; !done && !(t->last <= t->enough) && !explodes(t); i++) {
        bp_progress p;
        bp_status st = bp_trainer_run(trainer, i < 20 ? 1 : 20, -1, &done);
        bp_trainer_progress(trainer, &p);
        if (st != BP_OK && st != BP_ERR_NONFINITE)
            return st;
        t->last = st == BP_OK ? p.loss : INFINITY;
        t->first = i == 0 ? t->last : t->first;
        t->peak = i < 20 || st != BP_OK ? fmax(t->peak, t->last) : t->peak;
    }
    return BP_OK;
}

static bp_status train(try *t, double lr)
{
    bp_model *copy = NULL;
    bp_trainer *trainer = NULL;
    TRY(bp_model_from(t->c->ctx, t->start, &copy));
    bp_status st = bp_trainer_create_with(bp_model_params(copy), t->rows, loss_of, copy, &trainer);
    if (st == BP_OK)
        st = set_up(t, lr, trainer);
    if (st == BP_OK)
        st = run(t, trainer);
    bp_trainer_free(trainer);
    bp_model_free(copy);
    return st;
}

/* --- the rate -------------------------------------------------------------------------------- */

/* Whether there is more in a chain than sums, which never learn just any rows. */
static bool bends(const bp_model *model)
{
    const char *p = bp_model_layers(model);
    for (; *p; p += strcspn(p, " "), p += strspn(p, " "))
        if (!isdigit((unsigned char)*p) && *p != ')' && strncmp(p, "dropout", 7) &&
            strncmp(p, "residual(", 9) && strncmp(p, "conv", 4) && strncmp(p, "avgpool", 7) &&
            strncmp(p, "globalpool", 10))
            return true;
    return false;
}

/* The nearest rate at which the rows are learned, or what the library has without one; 0: at none. */
static bp_status other_rate(try *t, double *found)
{
    static const double factor[] = {0.1, 10, 0.01, 100, 0.001, 1000}, usual = 0.005;
    enum { N = sizeof factor / sizeof *factor };
    for (int i = 0; i <= N; i++) {
        double lr = i < N ? t->c->lr * factor[i] : usual;
        if (lr > 10 || lr < 1e-12)
            continue;
        TRY(train(t, lr));
        if (learned(t, t->enough)) {
            *found = lr;
            return BP_OK;
        }
    }
    *found = 0;
    return BP_OK;
}

static bp_status judge(try *t, findings *to)
{
    double chance = t->enough * 10, lr = t->c->lr, last, peak, found;
    long long rows = bp_data_rows(t->rows), steps = t->steps;
    TRY(train(t, lr));
    if (learned(t, 2 * t->enough)) /* what another rate does must be clearly better */
        return BP_OK;
    last = t->last;
    peak = explodes(t) ? t->peak : 0;
    TRY(other_rate(t, &found));
    if (peak)
        doctor_add(to, DOCTOR_WARNING, "large-rate", "--lr",
                   "at --lr %g the loss of %lld rows rises to %.3g in the first steps (knowing "
                   "nothing is %.3g): too large, try %g", lr, rows, peak, chance,
                   found ? found : lr / 10);
    else if (found > 0)
        doctor_add(to, DOCTOR_WARNING, found < lr ? "large-rate" : "small-rate", "--lr",
                   "%lld rows alone are not learned in %lld steps at --lr %g (loss %.3g; knowing "
                   "nothing is %.3g): too %s, at %g they are", rows, steps, lr, last, chance,
                   found < lr ? "large" : "small", found);
    else if (bends(t->model))
        doctor_add(to, DOCTOR_WARNING, "no-fit", "--layers",
                   "%lld rows alone are not learned in %lld steps at --lr %g (loss %.3g; knowing "
                   "nothing is %.3g), nor at other rates: layers are too narrow, or let nothing "
                   "through", rows, steps, lr, last, chance);
    return BP_OK;
}

static int64_t parameters_of(bp_model *m)
{
    int64_t n = 0;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++)
        n += bp_shape_count(bp_shape_of(bp_param_at(bp_model_params(m), i)));
    return n;
}

bp_status doctor_fit(const doctor_case *c, bp_model *model, bp_data *sample, findings *to)
{
    const double operations = 2e11; /* of a try: some seconds on one core */
    try t = {.c = c, .model = model, .enough = doctor_chance(model) / 10};
    bp_snapshot *start = NULL;
    TRY(different_rows(sample, &t.rows));
    double step = 6 * (double)parameters_of(model) * (double)bp_data_rows(t.rows);
    t.steps = (int64_t)fmin(fmax(operations / step, 200), 1000);
    bp_status st = bp_snapshot_take(model, &start);
    t.start = start;
    if (st == BP_OK)
        st = judge(&t, to);
    bp_snapshot_free(start);
    bp_data_free(t.rows);
    return st;
}
