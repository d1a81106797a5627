/* The numbers that people read, held against f64: loss and accuracy of an epoch as the trainer
 * tells them, and as bp_model_evaluate does.
 *
 *     test_counts whole    a run on the digits, each step computed again on the host
 *     test_counts many     an epoch of 30,000,000 rows, one a step: more than f32 can count */
#include <math.h>
#include <string.h>

#include "check.h"
#include "nn/nn.h"
#include "readers.h"
#include "train/epoch.h"

static bp_context *ctx;

static void need(bp_status st)
{
    if (st == BP_OK)
        return;
    printf("%s\n", bp_error_text(ctx));
    exit(1);
}

typedef struct sums {
    double loss, correct;
} sums;

/* The loss of one row by its logits, and whether it is correct. */
static void add_row(sums *s, const double *logit, int classes, int label)
{
    double max = logit[0], sum = 0;
    int first = 0;
    for (int j = 1; j < classes; j++)
        if (logit[j] > max)
            max = logit[first = j];
    for (int j = 0; j < classes; j++)
        sum += exp(logit[j] - max);
    s->loss += log(sum) - (logit[label] - max);
    s->correct += first == label;
}

static int near(double a, double b, double relative)
{
    if (!(fabs(a - b) <= relative * fabs(b)))
        printf("       %.9g, not %.9g\n", a, b);
    return fabs(a - b) <= relative * fabs(b);
}

/* --- a run on the digits: 64 relu, then 10 ---------------------------------------------------- */

enum { IN = 64, HIDDEN = 32, OUT = 10, BATCH = 50, EPOCHS = 3 };

typedef struct host_model {
    values shift, scale, p[4];
} host_model;

static host_model read_model(bp_model *m)
{
    host_model h = {0};
    int good = tensor_values(m->in.shift, &h.shift) && tensor_values(m->in.scale, &h.scale);
    for (int i = 0; i < 4; i++)
        good = good && tensor_values(bp_param_at(m->params, i), &h.p[i]);
    if (!good)
        need(BP_ERR_STATE);
    return h;
}

static void model_free(host_model *h)
{
    values_free(&h->shift, 1);
    values_free(&h->scale, 1);
    values_free(h->p, 4);
}

static void forward_row(const host_model *h, const double *x, double *logit)
{
    double hidden[HIDDEN];
    for (int i = 0; i < HIDDEN; i++) {
        hidden[i] = h->p[1].v[i];
        for (int k = 0; k < IN; k++)
            hidden[i] += h->p[0].v[i * IN + k] * (x[k] - h->shift.v[k]) * h->scale.v[k];
        hidden[i] = hidden[i] > 0 ? hidden[i] : 0;
    }
    for (int j = 0; j < OUT; j++) {
        logit[j] = h->p[3].v[j];
        for (int i = 0; i < HIDDEN; i++)
            logit[j] += h->p[2].v[j * HIDDEN + i] * hidden[i];
    }
}

static void add_rows(sums *s, bp_model *m, const values *x, const int32_t *label,
                     const int32_t *row, int64_t n)
{
    host_model h = read_model(m);
    for (int64_t i = 0; i < n; i++) {
        double logit[OUT];
        int64_t at = row ? row[i] : i;
        forward_row(&h, x->v + at * IN, logit);
        add_row(s, logit, OUT, label[at]);
    }
    model_free(&h);
}

/* f32 rounds each step's loss; a row whose two largest logits are equal in f32 may fall either
 * way. */
static int agrees(double loss, double accuracy, const sums *s, int64_t rows)
{
    return near(loss, s->loss / (double)rows, 1e-6) &&
           fabs(accuracy * (double)rows - s->correct) <= 1;
}

static void whole(void)
{
    bp_data *data;
    bp_model *model;
    bp_trainer *trainer;
    int32_t done = 0;
    values x = {0};
    need(bp_data_digits(ctx, &data));
    need(bp_model_create(ctx, IN, "32 relu", OUT, &model));
    need(bp_model_normalize(model, data));
    need(bp_trainer_create(model, data, &trainer));
    need(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, EPOCHS));
    need(bp_trainer_set(trainer, BP_TRAIN_BATCH, BATCH));
    need(bp_trainer_set(trainer, BP_TRAIN_SEED, 3));
    bpi_epoch cut = bpi_epoch_cut(bp_data_rows(data), BATCH, 1);
    int32_t *label = malloc((size_t)cut.rows * 4), *order = malloc((size_t)cut.rows * 4);
    int32_t *scratch = malloc((size_t)cut.rows * 4);
    need(bp_read(bp_data_labels(data), label, (size_t)cut.rows * 4));
    check(tensor_values(bp_data_samples(data), &x) && cut.rest > 1, "the digits, and a last batch");
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        sums s = {0}, all = {0};
        double loss, accuracy;
        bp_progress p;
        bpi_epoch_order(&cut, 3, epoch, label, order, scratch);
        for (int64_t step = 0; step < bpi_epoch_steps(&cut); step++) {
            int64_t n = step < cut.full ? BATCH : cut.rest;
            add_rows(&s, model, &x, label, order + step * BATCH, n);
            need(bp_trainer_run(trainer, 1, -1, &done));
        }
        bp_trainer_progress(trainer, &p);
        check(p.epoch == epoch + 1 && agrees(p.loss, p.accuracy, &s, cut.rows),
              "an epoch's loss and accuracy are those of its steps");
        add_rows(&all, model, &x, label, NULL, cut.rows);
        need(bp_model_evaluate(model, data, &loss, &accuracy));
        check(agrees(loss, accuracy, &all, cut.rows), "so are those of an evaluation");
    }
    check(done, "the run is done");
    free(label);
    free(order);
    free(scratch);
    values_free(&x, 1);
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(data);
}

/* --- many rows: one input of 0 to 2, two classes, weights that do not move -------------------- */

static void many(void)
{
    enum { ROWS = 30000000, VALUES = 3 };
    int64_t count[VALUES][2] = {0};
    uint8_t *x = malloc(ROWS);
    int32_t *label = malloc(ROWS * sizeof *label), done;
    if (!x || !label)
        need(BP_ERR_NOMEM);
    for (int64_t i = 0; i < ROWS; i++) { /* nine of ten are correct */
        x[i] = (uint8_t)(i * 7 % VALUES);
        label[i] = (x[i] > 0) ^ (i * 13 % 10 == 0);
        count[x[i]][label[i]]++;
    }
    bp_data *data;
    bp_model *model;
    bp_trainer *trainer;
    bp_progress p;
    need(bp_data_create(ctx, BP_U8, x, label, ROWS, 1, 2, &data));
    free(x);
    free(label);
    need(bp_model_create(ctx, 1, "", 2, &model));
    float w[2] = {-1, 1}, b[2] = {0.25f, -0.25f};
    need(bp_write(bp_param_at(bp_model_params(model), 0), w, sizeof w));
    need(bp_write(bp_param_at(bp_model_params(model), 1), b, sizeof b));
    need(bp_trainer_create(model, data, &trainer));
    need(bp_trainer_set(trainer, BP_TRAIN_LR, 1e-12)); /* less than the last bit of any */
    need(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 1));
    need(bp_trainer_set(trainer, BP_TRAIN_BATCH, 1));
    need(bp_trainer_run(trainer, -1, -1, &done));
    sums s = {0};
    for (int v = 0; v < VALUES; v++)
        for (int c = 0; c < 2; c++) {
            double logit[2] = {w[0] * v + b[0], w[1] * v + b[1]};
            sums one = {0};
            add_row(&one, logit, 2, c);
            s.loss += one.loss * (double)count[v][c];
            s.correct += one.correct * (double)count[v][c];
        }
    bp_trainer_progress(trainer, &p);
    check(p.steps == ROWS && p.epoch == 1, "thirty million steps");
    check(near(p.loss, s.loss / ROWS, 1e-6), "their mean loss is right");
    check(p.accuracy == s.correct / ROWS, "every correct row is counted");
    double loss, accuracy;
    need(bp_model_evaluate(model, data, &loss, &accuracy));
    check(near(loss, s.loss / ROWS, 1e-6) && accuracy == s.correct / ROWS,
          "so it is in an evaluation");
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(data);
}

int main(int argc, char **argv)
{
    need(bp_open(test_device(), &ctx));
    if (argc > 1 && !strcmp(argv[1], "many"))
        many();
    else
        whole();
    bp_close(ctx);
    return check_end();
}
