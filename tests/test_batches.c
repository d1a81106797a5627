/* Batches that keep to a wish about classes, and rows that are drawn by their error, through the
 * trainer: what holds of an order (plain/test_compose.c) holds of what is trained on, resumed in the
 * middle of an epoch or not, by any number of threads; and emphasis does not bend the gradient. */
#include "folder.h"

#define CLAIM(name) Test(batches, name, .init = enter, .fini = leave)

enum { ROWS = 109, CLASSES = 4, COLS = 3, BATCH = 20, NOTED_MAX = 1 << 17 };
static int32_t noted[NOTED_MAX];
static int64_t size[NOTED_MAX], n_noted, n_sizes;
static int32_t labels[ROWS];

/* 60, 30, 12 and 7 rows; the first element of a row is its number. */
static bp_data *rows_data(void)
{
    bp_data *d;
    float x[ROWS * COLS];
    for (int i = 0; i < ROWS; i++) {
        labels[i] = i < 60 ? 0 : i < 90 ? 1 : i < 102 ? 2 : 3;
        for (int k = 0; k < COLS; k++)
            x[COLS * i + k] = k ? (float)op_random(7, COLS * i + k) : (float)i;
    }
    OK(bp_data_create(ctx, BP_F32, x, labels, ROWS, COLS, CLASSES, &d));
    return d;
}

/* A forward pass that notes its rows, and takes no part of their number. */
static bp_tensor *notes(bp_model *m, bp_tensor *x, int32_t training, void *user)
{
    int64_t n = bp_shape_of(x).dim[0];
    (void)user;
    if (training) {
        float first[ROWS * COLS];
        OK(bp_read(x, first, (size_t)(n * COLS) * sizeof *first));
        cr_assert_lt(n_noted + n, NOTED_MAX);
        for (int64_t i = 0; i < n; i++)
            noted[n_noted++] = (int32_t)first[COLS * i];
        size[n_sizes++] = n;
    }
    bp_tensor *rest = bp_slice(x, 1, 1, COLS, 1);
    return bp_linear(rest, bp_param_at(bp_model_params(m), 0), bp_param_at(bp_model_params(m), 1));
}

typedef struct run {
    bp_data *data;
    bp_model *model;
    bp_trainer *trainer;
} run;

static run begin_run(bp_rows way, double least, double each)
{
    run r = {.data = rows_data()};
    OK(bp_seed(ctx, 5));
    OK(bp_model_own(ctx, COLS, BP_TASK_CLASSES, CLASSES, notes, NULL, &r.model));
    cr_assert(bp_param(bp_model_params(r.model), "w", BP_SHAPE(CLASSES, COLS - 1), BP_INIT_LECUN));
    cr_assert(bp_param(bp_model_params(r.model), "b", BP_SHAPE(CLASSES), BP_INIT_ZERO));
    OK(bp_trainer_create(r.model, r.data, &r.trainer));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_EAGER, 1));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_BATCH, BATCH));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_EPOCHS, 3));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_ROWS, way));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_BATCH_CLASSES, least));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_BATCH_PER_CLASS, each));
    n_noted = n_sizes = 0;
    return r;
}

static void end_run(run *r)
{
    bp_trainer_free(r->trainer);
    bp_model_free(r->model);
    bp_data_free(r->data);
}

/* Steps until the run is over or `most` are done. */
static void go(const run *r, int64_t most)
{
    int32_t done;
    OK(bp_trainer_run(r->trainer, most, -1, &done));
    cr_assert_eq(done, most < 0);
}

static void weights(const run *r, float w[CLASSES * (COLS - 1)])
{
    OK(bp_read(bp_param_at(bp_model_params(r->model), 0), w, CLASSES * (COLS - 1) * sizeof *w));
}

CLAIM(every_batch_has_the_classes_that_were_asked_for)
{
    run r = begin_run(BP_ROWS_SHUFFLED, 3, 2);
    go(&r, -1);
    cr_assert_eq(n_noted, 3 * ROWS);
    cr_assert_eq(n_sizes, 18);
    int64_t at = 0;
    for (int64_t b = 0; b < n_sizes; b++) {
        int n[CLASSES] = {0}, present = 0;
        cr_assert_eq(size[b], b % 6 < 5 ? BATCH : ROWS - 5 * BATCH, "batch %d", (int)b);
        for (int64_t i = 0; i < size[b]; i++)
            n[labels[noted[at++]]]++;
        for (int k = 0; k < CLASSES; k++) {
            present += n[k] > 0;
            cr_assert(n[k] != 1, "batch %d has one row of class %d", (int)b, k);
        }
        cr_assert_geq(present, 3);
    }
    for (int e = 0; e < 3; e++) {
        char seen[ROWS] = {0};
        for (int i = 0; i < ROWS; i++)
            cr_assert_eq(seen[noted[e * ROWS + i]]++, 0, "row %d twice", noted[e * ROWS + i]);
    }
    end_run(&r);
}

CLAIM(a_last_batch_that_is_too_short_joins_another)
{
    run r = begin_run(BP_ROWS_SHUFFLED, 2, 5); /* 10 rows or more, and 9 are left over */
    go(&r, -1);
    cr_assert_eq(n_sizes, 15);
    for (int64_t b = 0; b < n_sizes; b++)
        cr_assert_eq(size[b], b % 5 < 4 ? BATCH : BATCH + 9);
    end_run(&r);
}

CLAIM(a_run_resumed_within_an_epoch_sees_the_rows_it_would_have_seen)
{
    static const struct { bp_rows way; double least, each; } of[] = {
        {BP_ROWS_SHUFFLED, 3, 2}, {BP_ROWS_STRATIFIED, 0, 0}, {BP_ROWS_BALANCED, 2, 4},
        {BP_ROWS_BY_ERROR, 0, 0}};
    static int32_t whole[NOTED_MAX];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        float w[2][CLASSES * (COLS - 1)];
        run r = begin_run(of[i].way, of[i].least, of[i].each);
        go(&r, -1);
        weights(&r, w[0]);
        memcpy(whole, noted, sizeof whole);
        int64_t all = n_noted;
        end_run(&r);
        r = begin_run(of[i].way, of[i].least, of[i].each);
        go(&r, 8);
        OK(bp_trainer_save(r.trainer, path, 1));
        int64_t before = n_noted;
        end_run(&r);
        r = begin_run(of[i].way, of[i].least, of[i].each);
        OK(bp_trainer_resume(r.trainer, path));
        go(&r, -1);
        cr_assert_eq(before + n_noted, all);
        cr_assert_arr_eq(noted, whole + before, (size_t)n_noted * sizeof *noted, "way %d", (int)i);
        weights(&r, w[1]);
        cr_assert_arr_eq(w[0], w[1], sizeof w[0], "way %d", (int)i);
        end_run(&r);
    }
}

CLAIM(two_threads_see_what_one_sees)
{
    static int32_t by_one[NOTED_MAX];
    for (bp_rows way = BP_ROWS_STRATIFIED; way <= BP_ROWS_BY_ERROR; way++) {
        float w[2][CLASSES * (COLS - 1)];
        for (int32_t threads = 1; threads <= 2; threads++) {
            OK(bp_set_threads(ctx, threads));
            run r = begin_run(way, 0, 0);
            go(&r, -1);
            weights(&r, w[threads - 1]);
            if (threads == 1)
                memcpy(by_one, noted, sizeof by_one);
            end_run(&r);
        }
        cr_assert_arr_eq(by_one, noted, (size_t)n_noted * sizeof *noted);
        cr_assert_arr_eq(w[0], w[1], sizeof w[0]);
    }
}

static void refused(bp_rows way, double least, double each, const char *text)
{
    int32_t done;
    run r = begin_run(way, least, each);
    for (int again = 0; again < 2; again++) {
        cr_assert_eq(bp_trainer_run(r.trainer, -1, -1, &done), BP_ERR_STATE);
        TEXT(text);
        cr_assert_eq(n_noted, 0, "before the first step");
    }
    OK(bp_trainer_set(r.trainer, BP_TRAIN_ROWS, BP_ROWS_SHUFFLED));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_BATCH_CLASSES, 1));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_BATCH_PER_CLASS, 0));
    go(&r, -1);
    cr_assert_eq(n_noted, 3 * ROWS, "a smaller wish is met");
    end_run(&r);
}

CLAIM(what_cannot_be_is_refused_with_the_numbers_before_the_first_step)
{
    refused(BP_ROWS_SHUFFLED, 5, 1, "trainer_run: batch_classes wants 5 classes in every batch; the "
            "rows to train on have 4");
    refused(BP_ROWS_SHUFFLED, 4, 6, "trainer_run: 4 classes with 6 rows each are 24 rows; a batch "
            "has 20");
    refused(BP_ROWS_SHUFFLED, 4, 2, "trainer_run: 6 batches of 4 classes with 2 rows each want 24 "
            "such groups; the rows make 21, each class one a batch at most");
    refused(BP_ROWS_SHUFFLED, 2, 8, "trainer_run: class 3 has 7 rows to train on; batch_per_class "
            "wants 8 in each batch that has some");
    refused(BP_ROWS_IN_ORDER, 2, 0, "trainer_run: batch_classes is set, and the rows come in another "
            "way: it is for rows of a set that are shuffled, stratified or balanced");
    refused(BP_ROWS_STRATIFIED, 0, 2, "trainer_run: of class 3, 7 of 109 rows, a stratified batch of "
            "20 has 1; batch_per_class wants 2");
}

/* --- rows by their error ------------------------------------------------------------------- */

/* y = w x + b at w = b = 0, so that the loss of a row is y^2: rare rows have nearly all of it. */
static bp_data *heavy_rows(float *y)
{
    bp_data *d;
    float x[ROWS];
    for (int i = 0; i < ROWS; i++) {
        x[i] = (float)op_random(3, i) - 0.5f;
        y[i] = i % 20 == 0 ? 9 : i % 2 ? 1 : -1;
    }
    OK(bp_data_table(ctx, ROWS, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(1), x));
    OK(bp_data_add(d, "y", BP_F32, BP_SCALAR, y));
    return d;
}

/* The bias goes down by the rate times the mean gradient, -2 y, which hardly moves meanwhile. */
CLAIM(emphasis_leaves_the_mean_gradient_as_it_is)
{
    enum { STEPS = 4000, OF = 5 };
    const double rate = 1e-7, emphasis[] = {0, 0.5, 0.9};
    double mean, loss;
    float y[ROWS], zero = 0;
    for (int k = 0; k < 3; k++) {
        bp_model *m;
        bp_trainer *t;
        bp_progress p;
        int32_t done;
        bp_data *d = heavy_rows(y);
        mean = loss = 0;
        for (int i = 0; i < ROWS; i++) {
            mean += (double)y[i] / ROWS;
            loss += (double)(y[i] * y[i]) / ROWS;
        }
        double variance = 0; /* of a row's part of the sum: (y / (N p))^2 p - mean^2 */
        for (int i = 0; i < ROWS; i++) {
            double l = (double)(y[i] * y[i]);
            double np = 1 - emphasis[k] + emphasis[k] * l / loss;
            variance += l / np / ROWS;
        }
        variance -= mean * mean;
        OK(bp_model_create_as(ctx, 1, "", BP_TASK_REGRESSION, 1, &m));
        OK(bp_write(bp_param_at(bp_model_params(m), 0), &zero, sizeof zero));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_BY_ERROR));
        OK(bp_trainer_set(t, BP_TRAIN_EMPHASIS, emphasis[k]));
        OK(bp_trainer_set(t, BP_TRAIN_OPTIMIZER, BP_SGD));
        OK(bp_trainer_set(t, BP_TRAIN_LR, rate));
        OK(bp_trainer_schedule(t, "constant"));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 1));
        OK(bp_trainer_set(t, BP_TRAIN_BATCH, OF));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCH_STEPS, STEPS));
        OK(bp_trainer_run(t, -1, -1, &done));
        double bias = at(bp_param_at(bp_model_params(m), 1), 0), draws = (double)STEPS * OF;
        double error = sqrt(variance / draws), found = bias / (2 * rate * STEPS);
        bp_trainer_progress(t, &p);
        cr_assert(fabs(found - mean) < 4 * error + 1e-3 * fabs(mean), "emphasis %g: %g, not %g",
                  emphasis[k], found, mean);
        cr_assert(fabs(p.loss / loss - 1) < 0.2, "the loss is told of all rows alike: %g", p.loss);
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
}

/* Weights of 0, and a bias that makes one class wrong by far: its rows have most of the loss. */
CLAIM(rows_come_as_often_as_their_loss_says)
{
    run r = begin_run(BP_ROWS_BY_ERROR, 0, 0);
    float w[CLASSES * (COLS - 1)] = {0}, b[CLASSES] = {3, 3, 3, -1};
    double l[CLASSES], sum = 0, all = 3 * exp(3) + exp(-1), of[CLASSES] = {0};
    static const int rows[CLASSES] = {60, 30, 12, 7};
    OK(bp_write(bp_param_at(bp_model_params(r.model), 0), w, sizeof w));
    OK(bp_write(bp_param_at(bp_model_params(r.model), 1), b, sizeof b));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_EPOCHS, 1));
    OK(bp_trainer_set(r.trainer, BP_TRAIN_EPOCH_STEPS, 1000));
    go(&r, -1);
    for (int k = 0; k < CLASSES; k++) {
        l[k] = log(all) - (double)b[k];
        sum += rows[k] * l[k];
    }
    for (int64_t i = 0; i < n_noted; i++)
        of[labels[noted[i]]] += 1 / (double)n_noted;
    for (int k = 0; k < CLASSES; k++) {
        double p = rows[k] * (0.5 / ROWS + 0.5 * l[k] / sum);
        cr_assert(fabs(of[k] - p) < 5 * sqrt(p * (1 - p) / (double)n_noted), "class %d: %g, not %g",
                  k, of[k], p);
    }
    end_run(&r);
}

static bp_tensor *own_loss(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)user;
    return bp_mean(bp_batch_column(batch, "x"));
}

CLAIM(errors_are_those_of_a_task_without_weights)
{
    float y[ROWS], weight[ROWS] = {0};
    int32_t done;
    bp_params *store;
    bp_trainer *t;
    bp_model *m;
    bp_data *d = heavy_rows(y);
    OK(bp_params_create(ctx, BP_F32, &store));
    cr_assert(bp_param(store, "w", BP_SCALAR, BP_INIT_ONE));
    OK(bp_trainer_create_with(store, d, own_loss, NULL, &t));
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_BY_ERROR));
    cr_assert_eq(bp_trainer_run(t, -1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: rows are drawn by-error, and the loss is a function of the program's: the "
         "task of a model is wanted, on a set without weights");
    bp_trainer_free(t);
    OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, weight));
    OK(bp_model_create_as(ctx, 1, "", BP_TASK_REGRESSION, 1, &m));
    OK(bp_trainer_create(m, d, &t));
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_BY_ERROR));
    cr_assert_eq(bp_trainer_run(t, -1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: rows are drawn by-error, and the data have a column weight: the task of a "
         "model is wanted, on a set without weights");
    bp_trainer_free(t);
    bp_model_free(m);
    bp_params_free(store);
    bp_data_free(d);
}
