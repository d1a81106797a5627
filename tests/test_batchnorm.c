/* Batch norm as a word of layers: held against PyTorch's through its files, with images and with
 * numbers; its running statistics, which steps move and nothing else does. */
#include "folder.h"

#define CLAIM(name) Test(batchnorm, name, .init = enter, .fini = leave)

#define GOLDEN(name) BPI_GOLDEN_DIR "/" name ".safetensors"
static const char theirs[] = "6x5x2 conv3x3=4 batchnorm relu pool=2 6 batchnorm=1e-3 tanh";
enum { ROWS = 8, PIXELS = 60, CLASSES = 3 };

typedef struct normed {
    bp_params *params;
    bp_layers *layers;
    bp_optimizer *opt;
    bp_tensor *x;
    int halves;   /* a step of two passes, each of half of the rows */
    bool no_step; /* nothing after the passes */
} normed;

static bp_status step(bp_context *c, void *user)
{
    normed *n = user;
    (void)c;
    for (int i = 0; i <= n->halves; i++) {
        int64_t rows = ROWS / (n->halves + 1);
        bp_tensor *x = bp_slice(n->x, 0, i * rows, (i + 1) * rows, 1);
        bp_tensor *y = bp_layers_forward(n->layers, x, 1);
        bp_status st = bp_backward(ctx, bp_mean(bp_mul(bp_mul(y, y), y)));
        if (st != BP_OK)
            return st;
    }
    return n->no_step ? BP_OK : bp_optimizer_step(n->opt);
}

static normed make(const char *layers)
{
    normed n = {.x = random_tensor(BP_SHAPE(ROWS, 4), 4)};
    OK(bp_seed(ctx, 3));
    OK(bp_params_create(ctx, BP_F64, &n.params));
    OK(bp_layers_create(n.params, "", 4, layers, &n.layers));
    OK(bp_adam_create(n.params, 0.01, &n.opt));
    return n;
}

static void drop(normed *n)
{
    bp_free(n->x);
    bp_optimizer_free(n->opt);
    bp_layers_free(n->layers);
    bp_params_free(n->params);
}

static bp_tensor *par(const normed *n, const char *name)
{
    int32_t i = bp_param_index(n->params, name);
    cr_assert_geq(i, 0, "%s", name);
    return bp_param_at(n->params, i);
}

enum { STATE = 4 * 5 + 5 + 4 * 5 };
static void state_of(const normed *n, double to[STATE])
{
    for (int32_t i = 0; i < bp_param_count(n->params); i++) {
        bp_tensor *t = bp_param_at(n->params, i);
        int64_t count = bp_shape_count(bp_shape_of(t));
        OK(bp_read(t, to, (size_t)count * sizeof *to));
        to += count;
    }
}

/* --- PyTorch ---------------------------------------------------------------------------------- */

typedef struct lesson {
    bp_model *model;
    bp_optimizer *opt;
    bp_tensor *x, *labels;
} lesson;

static bp_status learn(bp_context *c, void *user)
{
    lesson *l = user;
    bp_tensor *y = bp_model_forward(l->model, l->x, 1);
    bp_status st = bp_backward(c, bp_model_loss(l->model, y, l->labels));
    return st != BP_OK ? st : bp_optimizer_step(l->opt);
}

CLAIM(a_net_of_pytorch_learns_what_it_learns_there_and_keeps_the_same_statistics)
{
    bp_params *told;
    lesson l = {.labels = INTS(BP_SHAPE(ROWS), 0, 1, 2, 0, 1, 2, 0, 1)};
    bp_model *want, *again;
    float x[ROWS * PIXELS], y[ROWS * CLASSES], p[ROWS * CLASSES], q[ROWS * CLASSES];
    OK(bp_params_create(ctx, BP_F32, &told));
    bp_tensor *of_x = bp_param(told, "x", BP_SHAPE(ROWS, PIXELS), BP_INIT_ZERO);
    bp_tensor *of_y = bp_param(told, "y", BP_SHAPE(ROWS, CLASSES), BP_INIT_ZERO);
    OK(bp_params_load(told, GOLDEN("batchnorm_told"), NULL));
    OK(bp_read(of_x, x, sizeof x));
    OK(bp_read(of_y, y, sizeof y));
    OK(bp_model_create(ctx, PIXELS, theirs, CLASSES, &l.model));
    OK(bp_model_create(ctx, PIXELS, theirs, CLASSES, &want));
    OK(bp_model_create(ctx, PIXELS, theirs, CLASSES, &again));
    OK(bp_model_load_torch(l.model, GOLDEN("batchnorm")));
    OK(bp_model_load_torch(want, GOLDEN("batchnorm_trained")));
    OK(bp_sgd_create(bp_model_params(l.model), 0.05, 0, &l.opt));
    l.x = of_x;
    for (int i = 0; i < 5; i++)
        OK(bp_run(ctx, 0, learn, &l));
    for (int32_t i = 0; i < bp_param_count(bp_model_params(want)); i++)
        same(bp_param_at(bp_model_params(l.model), i), bp_param_at(bp_model_params(want), i), 1e-5);
    OK(bp_model_predict(want, x, ROWS, p));
    for (int i = 0; i < ROWS * CLASSES; i++)
        cr_assert_float_eq(p[i], y[i], 1e-6);
    OK(bp_model_save_torch(want, path));
    OK(bp_model_load_torch(again, path));
    OK(bp_model_predict(again, x, ROWS, q));
    cr_assert_arr_eq(p, q, sizeof p);
    bp_optimizer_free(l.opt);
    bp_free(l.labels);
    bp_params_free(told);
    bp_model_free(l.model), bp_model_free(want), bp_model_free(again);
}

CLAIM(every_file_and_a_snapshot_keep_the_statistics)
{
    bp_model *m, *loaded, *from;
    bp_snapshot *snapshot;
    float p[CLASSES], q[CLASSES], x[PIXELS];
    for (int i = 0; i < PIXELS; i++)
        x[i] = (float)(i % 7);
    OK(bp_model_create(ctx, PIXELS, theirs, CLASSES, &m));
    OK(bp_model_load_torch(m, GOLDEN("batchnorm_trained")));
    OK(bp_model_predict(m, x, 1, p));
    OK(bp_model_save(m, path));
    OK(bp_model_load(ctx, path, &loaded));
    OK(bp_model_predict(loaded, x, 1, q));
    cr_assert_arr_eq(p, q, sizeof p);
    OK(bp_snapshot_take(m, &snapshot));
    OK(bp_model_from(ctx, snapshot, &from));
    OK(bp_model_predict(from, x, 1, q));
    cr_assert_arr_eq(p, q, sizeof p);
    bp_snapshot_free(snapshot);
    bp_model_free(m), bp_model_free(loaded), bp_model_free(from);
}

/* --- running statistics ----------------------------------------------------------------------- */

static const char numbers[] = "5 batchnorm";

/* Of rows begin .. end before the norm: mean, or the variance of N - 1, of column c. */
static double statistic(const normed *n, int begin, int end, int c, bool squares)
{
    double sum = 0, mean = squares ? statistic(n, begin, end, c, false) : 0;
    for (int r = begin; r < end; r++) {
        double h = at(par(n, "layer1.bias"), c);
        for (int k = 0; k < 4; k++)
            h += at(n->x, 4 * r + k) * at(par(n, "layer1.weight"), 4 * c + k);
        sum += squares ? (h - mean) * (h - mean) : h;
    }
    return sum / (end - begin - squares);
}

CLAIM(a_step_takes_a_tenth_of_what_its_passes_saw)
{
    for (int halves = 0; halves < 2; halves++) {
        normed n = make(numbers);
        n.halves = halves;
        cr_assert_eq(bp_param_count(n.params), 6);
        cr_assert_eq(at(par(&n, "norm1.mean"), 0), 0);
        cr_assert_eq(at(par(&n, "norm1.variance"), 4), 1);
        double want[2][5];
        for (int k = 0; k < 2; k++)
            for (int c = 0; c < 5; c++)
                want[k][c] = halves ? (statistic(&n, 0, 4, c, k) + statistic(&n, 4, 8, c, k)) / 2
                                    : statistic(&n, 0, 8, c, k);
        OK(bp_run(ctx, 0, step, &n));
        for (int c = 0; c < 5; c++) {
            cr_assert_float_eq(at(par(&n, "norm1.mean"), c), 0.1 * want[0][c], 1e-14);
            cr_assert_float_eq(at(par(&n, "norm1.variance"), c), 0.9 + 0.1 * want[1][c], 1e-14);
        }
        for (int32_t i = 0; i < 6; i++)
            cr_assert_null(bp_param_grad(n.params, i));
        drop(&n);
    }
}

CLAIM(a_plan_has_the_bits_of_steps_that_are_called)
{
    double called[STATE], replayed[STATE];
    for (int halves = 0; halves < 2; halves++) {
        normed n = make(numbers);
        n.halves = halves;
        for (int i = 0; i < 10; i++)
            OK(bp_run(ctx, 0, step, &n));
        state_of(&n, called);
        drop(&n);
        n = make(numbers);
        n.halves = halves;
        bp_plan *plan;
        OK(bp_plan_record(ctx, step, &n, &plan));
        OK(bp_plan_replay(plan, 9));
        state_of(&n, replayed);
        cr_assert_arr_eq(called, replayed, sizeof called);
        bp_plan_free(plan);
        drop(&n);
    }
}

CLAIM(nothing_but_a_step_moves_them)
{
    double before[STATE], after[STATE], bad[ROWS * 4];
    normed n = make(numbers);
    OK(bp_run(ctx, 0, step, &n));
    state_of(&n, before);
    OK(bp_scope_begin(ctx, BP_NO_GRAD));
    cr_assert(bp_layers_forward(n.layers, n.x, 1));
    end();
    begin();
    cr_assert(bp_layers_forward(n.layers, n.x, 0));
    end();
    n.no_step = true;
    OK(bp_run(ctx, 0, step, &n));
    OK(bp_grad_clear(n.params));
    n.no_step = false;
    OK(bp_read(n.x, bad, sizeof bad));
    bad[5] = INFINITY;
    OK(bp_write(n.x, bad, sizeof bad));
    OK(bp_run(ctx, 0, step, &n));
    cr_assert_eq(bp_sync(ctx), BP_ERR_NONFINITE);
    state_of(&n, after);
    cr_assert_arr_eq(before, after, sizeof before);
    drop(&n);
}

CLAIM(frozen_statistics_stay_and_are_what_training_uses)
{
    double mean[5], variance[5], now[5];
    normed n = make(numbers);
    for (int i = 0; i < 3; i++)
        OK(bp_run(ctx, 0, step, &n));
    bp_plan *plan;
    OK(bp_plan_record(ctx, step, &n, &plan));
    OK(bp_params_freeze(n.params, "norm1.*", 1));
    cr_assert_eq(bp_plan_replay(plan, 1), BP_ERR_STATE);
    OK(bp_read(par(&n, "norm1.mean"), mean, sizeof mean));
    OK(bp_read(par(&n, "norm1.variance"), variance, sizeof variance));
    begin();
    same(bp_layers_forward(n.layers, n.x, 1), bp_layers_forward(n.layers, n.x, 0), 0);
    end();
    double weight = at(par(&n, "layer1.weight"), 0);
    OK(bp_run(ctx, 0, step, &n));
    cr_assert_neq(at(par(&n, "layer1.weight"), 0), weight);
    OK(bp_read(par(&n, "norm1.mean"), now, sizeof now));
    cr_assert_arr_eq(now, mean, sizeof mean);
    OK(bp_params_freeze(n.params, "*", 0)); /* which asks for no gradient of theirs */
    OK(bp_plan_replay(plan, 1));
    OK(bp_read(par(&n, "norm1.variance"), now, sizeof now));
    cr_assert_neq(now[0], variance[0]);
    bp_plan_free(plan);
    drop(&n);
}

CLAIM(a_batch_of_one_row_is_refused_in_training_alone)
{
    normed n = make(numbers);
    begin();
    bp_tensor *one = bp_slice(n.x, 0, 0, 1, 1);
    cr_assert(bp_layers_forward(n.layers, one, 0));
    cr_assert_null(bp_layers_forward(n.layers, one, 1));
    end_with(BP_ERR_SHAPE, "batch_norm: x [1,5]: a batch of at least 2 rows is wanted");
    OK(bp_run(ctx, 0, step, &n));
    drop(&n);
}
