/* Data of every kind in a trainer: a source gives what a table gives; a ring may be empty, fills
 * while one trains, and is drawn from; targets are real numbers with weights a row. */
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(trainer_data, name, .init = setup, .fini = teardown)

enum { ROWS = 48, COLS = 5, BATCH = 12, BATCHES = ROWS / BATCH, CLASSES = 3, EPOCHS = 3 };

static float x[ROWS][COLS];
static int32_t label[ROWS];

static void fill_rows(void)
{
    for (int i = 0; i < ROWS; i++) {
        label[i] = i % CLASSES;
        for (int j = 0; j < COLS; j++)
            x[i][j] = (float)(op_random(3, i * COLS + j) + label[i] * (j == 0));
    }
}

/* Row numbers of epoch after epoch: a source's batch b is rows of the same. */
static int64_t fill(void *user, int64_t batch, void *const *columns, int64_t rows)
{
    int64_t *most = user;
    int64_t at = batch % BATCHES * BATCH;
    if (most && batch >= *most)
        return -1;
    memcpy(columns[0], x[at], (size_t)rows * sizeof x[0]);
    memcpy(columns[1], label + at, (size_t)rows * sizeof label[0]);
    return rows;
}

static bp_data *source(int64_t *most)
{
    bp_data *d;
    OK(bp_data_source(ctx, BATCH, BATCHES, fill, most, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), NULL));
    OK(bp_data_add_classes(d, NULL, CLASSES, NULL));
    return d;
}

static bp_trainer *trainer(bp_data *d, bp_model **m, const char *layers)
{
    bp_trainer *t;
    OK(bp_seed(ctx, 2));
    OK(bp_model_create(ctx, COLS, layers, CLASSES, m));
    OK(bp_trainer_create(*m, d, &t));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, EPOCHS));
    OK(bp_trainer_set(t, BP_TRAIN_BATCH, BATCH));
    return t;
}

static values weights(bp_model *m)
{
    values v;
    cr_assert(tensor_values(bp_param_at(bp_model_params(m), 0), &v));
    return v;
}

/* And frees both. */
static values run_to_end(bp_trainer *t, bp_model **m, bp_progress *p)
{
    int32_t done;
    OK(bp_trainer_run(t, -1, -1, &done));
    cr_assert(done);
    values v = weights(*m);
    bp_trainer_progress(t, p);
    bp_trainer_free(t);
    bp_model_free(*m);
    return v;
}

CLAIM(a_source_gives_the_bits_of_a_table_in_order)
{
    bp_model *m;
    bp_data *d;
    bp_progress p[2];
    fill_rows();
    OK(bp_data_create(ctx, BP_F32, x, label, ROWS, COLS, CLASSES, &d));
    bp_trainer *t = trainer(d, &m, "6 relu dropout=0.2");
    OK(bp_trainer_set(t, BP_TRAIN_ROWS, BP_ROWS_IN_ORDER));
    values want = run_to_end(t, &m, &p[0]);
    bp_data_free(d);
    d = source(NULL);
    values got = run_to_end(trainer(d, &m, "6 relu dropout=0.2"), &m, &p[1]);
    cr_assert_arr_eq(want.v, got.v, (size_t)want.n * sizeof *want.v);
    cr_assert(p[0].loss == p[1].loss && p[0].steps == p[1].steps && p[1].steps == 12);
    bp_data_free(d);
    values_free(&want, 1);
    values_free(&got, 1);
}

CLAIM(a_run_over_a_source_is_resumed_by_bits)
{
    bp_model *m;
    bp_progress p;
    int32_t done;
    char path[] = "/tmp/bpcuda_source_XXXXXX";
    close(mkstemp(path));
    fill_rows();
    bp_data *d = source(NULL);
    values want = run_to_end(trainer(d, &m, "6 relu"), &m, &p);
    bp_trainer *t = trainer(d, &m, "6 relu");
    OK(bp_trainer_run(t, 6, -1, &done));
    OK(bp_trainer_save(t, path, 1));
    bp_trainer_free(t);
    bp_model_free(m);
    t = trainer(d, &m, "6 relu");
    OK(bp_trainer_resume(t, path));
    values got = run_to_end(t, &m, &p);
    cr_assert_arr_eq(want.v, got.v, (size_t)want.n * sizeof *want.v);
    bp_data_free(d);
    values_free(&want, 1);
    values_free(&got, 1);
    unlink(path);
}

CLAIM(a_source_that_ends_ends_the_run_and_the_batch_is_named)
{
    bp_model *m;
    int32_t done;
    int64_t most = 7;
    fill_rows();
    bp_data *d = source(&most);
    bp_trainer *t = trainer(d, &m, "6 relu");
    bp_status st = bp_trainer_run(t, -1, -1, &done);
    cr_assert(st != BP_OK && strstr(bp_error_text(ctx), "batch 7"), "%s", bp_error_text(ctx));
    bp_progress p;
    bp_trainer_progress(t, &p);
    cr_assert(p.steps == 7 && !done);
    most = 100;
    OK(bp_trainer_run(t, -1, -1, &done));
    cr_assert(done);
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
}

static bp_status push_more(bp_trainer *t, const bp_progress *p, void *user)
{
    bp_data *ring = user;
    int64_t at = p->steps % ROWS;
    (void)t;
    OK(bp_data_push(ring, 1, (const void *[]){x[at], label + at}));
    return BP_OK;
}

/* Rows 10, 12, 14 in a ring of 50, in a table of 3. */
CLAIM(a_ring_that_is_not_full_is_measured_by_its_rows)
{
    float at[3] = {10, 12, 14}, y[3] = {100, 101, 102}, weight[3] = {1, 1, 2}, out[2];
    double loss[2], accuracy;
    bp_metrics metrics[2];
    for (int ring = 0; ring < 2; ring++) {
        bp_data *d;
        bp_model *m;
        OK(bp_seed(ctx, 4));
        OK(ring ? bp_data_ring(ctx, 50, &d) : bp_data_table(ctx, 3, &d));
        OK(bp_data_add(d, "x", BP_F32, BP_SCALAR, ring ? NULL : at));
        OK(bp_data_add(d, "y", BP_F32, BP_SCALAR, ring ? NULL : y));
        OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, ring ? NULL : weight));
        OK(bp_model_create_as(ctx, 1, "3 tanh", BP_TASK_REGRESSION, 1, &m));
        if (ring) {
            cr_assert_eq(bp_model_normalize(m, d), BP_ERR_STATE);
            TEXT("model_normalize: the data set has no rows yet");
            cr_assert_eq(bp_model_evaluate(m, d, &loss[ring], &accuracy), BP_ERR_STATE);
            OK(bp_data_push(d, 3, (const void *[]){at, y, weight}));
            OK(bp_data_drain(d));
            bp_data *first, *second;
            cr_assert_eq(bp_data_split_order(d, 0.5, &first, &second), BP_ERR_STATE);
            TEXT("data_split_order: the rows of this set come and go");
        }
        OK(bp_model_normalize(m, d));
        OK(bp_model_evaluate(m, d, &loss[ring], &accuracy));
        OK(bp_model_measure(m, d, &metrics[ring]));
        OK(bp_model_predict(m, at, 1, &out[ring]));
        bp_model_free(m);
        bp_data_free(d);
    }
    cr_assert(loss[0] == loss[1] && metrics[0].mse == metrics[1].mse && out[0] == out[1],
              "%.9g %.9g, %.9g %.9g, %.9g %.9g", loss[0], loss[1], metrics[0].mse, metrics[1].mse,
              (double)out[0], (double)out[1]);
}

/* What fill() is asked for is what the run has, and while the run lasts. */
static int64_t asked, running;

static int64_t counts(void *user, int64_t batch, void *const *columns, int64_t rows)
{
    asked++;
    return running ? fill(user, batch, columns, rows) : -1;
}

CLAIM(a_source_is_asked_for_the_batches_of_the_run_and_not_behind_it)
{
    bp_model *m;
    bp_data *d;
    int32_t done = 0;
    fill_rows();
    asked = 0;
    OK(bp_data_source(ctx, BATCH, BATCHES, counts, NULL, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), NULL));
    OK(bp_data_add_classes(d, NULL, CLASSES, NULL));
    bp_trainer *t = trainer(d, &m, "6 relu");
    cr_assert_eq(bp_trainer_validate(t, d), BP_ERR_STATE);
    while (!done) {
        running = 1;
        OK(bp_trainer_run(t, 1, -1, &done));
        running = 0; /* whoever fills now spoils the next step */
    }
    cr_assert_eq(asked, EPOCHS * BATCHES);
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
}

CLAIM(a_ring_is_trained_on_while_it_fills)
{
    bp_model *m;
    bp_data *d;
    bp_progress p;
    int32_t done;
    fill_rows();
    OK(bp_data_ring(ctx, 32, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), NULL));
    OK(bp_data_add_classes(d, NULL, CLASSES, NULL));
    bp_trainer *t = trainer(d, &m, "16 tanh");
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 300));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCH_STEPS, 1));
    OK(bp_trainer_set(t, BP_TRAIN_LR, 0.02));
    cr_assert_eq(bp_trainer_run(t, -1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: the ring has no rows yet");
    OK(bp_data_push(d, 2, (const void *[]){x, label}));
    OK(bp_trainer_on_step(t, push_more, d));
    OK(bp_trainer_run(t, -1, -1, &done));
    cr_assert(done && bp_data_rows(d) == 32);
    bp_trainer_progress(t, &p);
    cr_assert(p.loss < 0.9 && p.epoch_steps == 1 && p.steps == 300, "%g", p.loss);
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
}

/* --- numbers, with weights ---------------------------------------------------------------- */

CLAIM(real_targets_are_learned_in_their_own_units_and_by_weight)
{
    float y[ROWS], weight[ROWS];
    bp_data *d;
    bp_model *m;
    bp_trainer *t;
    bp_progress p;
    int32_t done;
    fill_rows();
    for (int i = 0; i < ROWS; i++) {
        y[i] = 1000 + 300 * x[i][1] - 200 * x[i][2];
        weight[i] = i % 4 != 0;
        y[i] += i % 4 ? 0 : 5000; /* rows that count nothing */
    }
    OK(bp_data_table(ctx, ROWS, &d));
    OK(bp_data_add(d, "x", BP_F32, BP_SHAPE(COLS), x));
    OK(bp_data_add(d, "y", BP_F32, BP_SHAPE(1), y));
    OK(bp_data_add(d, "weight", BP_F32, BP_SCALAR, weight));
    OK(bp_seed(ctx, 2));
    OK(bp_model_create_as(ctx, COLS, "", BP_TASK_REGRESSION, 1, &m));
    OK(bp_model_normalize(m, d));
    OK(bp_trainer_create(m, d, &t));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 400));
    OK(bp_trainer_set(t, BP_TRAIN_BATCH, ROWS));
    OK(bp_trainer_set(t, BP_TRAIN_LR, 0.05));
    OK(bp_trainer_run(t, 1, -1, &done));
    bp_trainer_progress(t, &p);
    cr_assert(p.loss > 1e5, "%g: squares of the target's own units", p.loss);
    OK(bp_trainer_run(t, -1, -1, &done));
    bp_trainer_progress(t, &p);
    cr_assert(p.loss < 100, "%g", p.loss);
    float sample[COLS] = {0, 1, 0, 0, 0}, out;
    OK(bp_model_predict(m, sample, 1, &out));
    cr_assert_float_eq(out, 1300, 20);
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
}
