/* Means of weights, early stopping, units that would stay one: what trainer.h promises of each, held
 * against the formula, computed here from what a callback sees. */
#include "digits_job.h"
#include "folder.h"

#define CLAIM(name) Test(practice, name, .init = enter, .fini = leave)

enum { EPOCHS_MOST = 400 };

/* A small net that learns fast and then too much. */
static job start(double epochs, const char *layers)
{
    job j = digits_job(0.5, layers);
    OK(bp_trainer_create(j.model, j.train, &j.trainer));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, epochs));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.02));
    OK(bp_trainer_schedule(j.trainer, "constant"));
    return j;
}

static double loss_on(job *j, bp_data *data)
{
    double loss, accuracy;
    OK(bp_model_evaluate(j->model, data, &loss, &accuracy));
    return loss;
}

static values first_weight(job *j)
{
    values v;
    cr_assert(tensor_values(bp_param_at(bp_model_params(j->model), 0), &v));
    return v;
}

/* --- means of weights --------------------------------------------------------------------- */

/* The mean of the first weight by its formula, in f64. */
static double mean[64 * 16], decays;
static int64_t from;

static bp_status follow(bp_trainer *t, const bp_progress *p, void *user)
{
    values w = first_weight(user);
    double n = (double)(p->steps - from), share = n <= 1 ? 1 : fmax(1 - decays, 1 / n);
    (void)t;
    for (int64_t i = 0; i < w.n; i++)
        mean[i] += share * (w.v[i] - mean[i]);
    values_free(&w, 1);
    return BP_OK;
}

static void set_mean(job *j, double decay, double epoch)
{
    OK(bp_trainer_set(j->trainer, BP_TRAIN_AVERAGE, decay));
    OK(bp_trainer_set(j->trainer, BP_TRAIN_AVERAGE_FROM, epoch));
}

static void holds_its_formula(double decay, double epoch, double eager)
{
    job j = start(3, "16 relu dropout=0.2");
    bp_progress p;
    set_mean(&j, decay, epoch);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EAGER, eager));
    bp_trainer_progress(j.trainer, &p);
    decays = decay;
    from = (int64_t)(epoch - 1) * p.epoch_steps;
    OK(bp_trainer_on_step(j.trainer, follow, &j));
    all_of_it(&j);
    values raw = first_weight(&j);
    OK(bp_trainer_average(j.trainer));
    values w = first_weight(&j);
    double off = 0, apart = 0;
    for (int64_t i = 0; i < w.n; i++) {
        off = fmax(off, fabs(w.v[i] - mean[i]));
        apart = fmax(apart, fabs(w.v[i] - raw.v[i]));
    }
    cr_assert(off < 2e-6 && apart > 1e-3, "off by %g, %g from the weights", off, apart);
    values_free(&w, 1);
    values_free(&raw, 1);
    finish(&j);
}

CLAIM(a_mean_is_that_of_the_weights_after_each_step)
{
    holds_its_formula(1, 1, 0);
    holds_its_formula(1, 3, 0);
    holds_its_formula(0.9, 1, 0);
    holds_its_formula(0.99, 2, 1);
}

CLAIM(training_is_the_same_with_a_mean_and_without)
{
    values w[2];
    for (int k = 0; k < 2; k++) {
        job j = start(3, "16 relu dropout=0.2");
        set_mean(&j, k ? 0.95 : 0, 1);
        OK(bp_trainer_validate(j.trainer, j.test));
        all_of_it(&j);
        w[k] = first_weight(&j);
        finish(&j);
    }
    cr_assert_arr_eq(w[0].v, w[1].v, (size_t)w[0].n * sizeof *w[0].v);
    values_free(w, 2);
}

CLAIM(at_a_constant_rate_the_mean_is_nearer_to_the_minimum)
{
    job j = start(40, "");
    OK(bp_trainer_set(j.trainer, BP_TRAIN_OPTIMIZER, BP_SGD));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.5));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 8));
    set_mean(&j, 1, 20);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_L2, 0.01));
    all_of_it(&j);
    double last = loss_on(&j, j.train);
    OK(bp_trainer_average(j.trainer));
    double averaged = loss_on(&j, j.train);
    cr_assert_lt(averaged, 0.9 * last, "%g, and %g without", averaged, last);
    finish(&j);
}

CLAIM(what_validates_and_what_is_best_is_the_mean)
{
    job j = start(4, "16 relu");
    bp_progress p;
    set_mean(&j, 0.9, 1);
    OK(bp_trainer_validate(j.trainer, j.test));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &p);
    double raw = loss_on(&j, j.test);
    OK(bp_trainer_average(j.trainer));
    cr_assert(p.valid_loss == loss_on(&j, j.test) && p.valid_loss != raw);
    OK(bp_trainer_best(j.trainer));
    cr_assert_eq(p.best_loss, loss_on(&j, j.test));
    finish(&j);
}

CLAIM(a_mean_goes_on_where_it_was_saved)
{
    double loss[2];
    for (int k = 0; k < 2; k++) {
        int32_t done;
        job j = start(5, "16 relu");
        set_mean(&j, 1, 2);
        OK(k ? bp_trainer_resume(j.trainer, path) : bp_trainer_run(j.trainer, 23, -1, &done));
        OK(bp_trainer_save(j.trainer, path, 1));
        all_of_it(&j);
        OK(bp_trainer_average(j.trainer));
        loss[k] = loss_on(&j, j.train);
        finish(&j);
    }
    cr_assert_eq(loss[0], loss[1]);
}

CLAIM(there_must_be_a_mean)
{
    job j = start(5, "16 relu");
    cr_assert_eq(bp_trainer_average(j.trainer), BP_ERR_STATE);
    TEXT("trainer_average: no mean of the weights is taken: average is 0");
    set_mean(&j, 1, 1);
    cr_assert_eq(bp_trainer_average(j.trainer), BP_ERR_STATE);
    TEXT("trainer_average: no step was done");
    cr_assert_eq(bp_trainer_set(j.trainer, BP_TRAIN_AVERAGE, 1.5), BP_ERR_ARG);
    finish(&j);
}

/* --- early stopping ------------------------------------------------------------------------- */

static double train_loss[EPOCHS_MOST], valid_loss[EPOCHS_MOST];

static bp_status note(bp_trainer *t, const bp_progress *p, void *user)
{
    (void)t, (void)user;
    train_loss[p->epoch - 1] = p->loss;
    valid_loss[p->epoch - 1] = p->valid_loss;
    return BP_OK;
}

/* Prechelt's definitions as the book has them, from whole curves: the epoch that ends a run of n. */
static int gl_ends(int n, double alpha)
{
    for (int t = 1; t <= n; t++) {
        double best = INFINITY;
        for (int i = 0; i < t; i++)
            best = fmin(best, valid_loss[i]);
        if (100 * (valid_loss[t - 1] / best - 1) > alpha)
            return t;
    }
    return n;
}

static int pq_ends(int n, double alpha, int k)
{
    for (int t = k; t <= n; t += k) {
        double best = INFINITY, least = INFINITY, sum = 0;
        for (int i = 0; i < t; i++)
            best = fmin(best, valid_loss[i]);
        for (int i = t - k; i < t; i++) {
            sum += train_loss[i];
            least = fmin(least, train_loss[i]);
        }
        double gl = 100 * (valid_loss[t - 1] / best - 1), progress = 1000 * (sum / (k * least) - 1);
        if (gl / progress > alpha)
            return t;
    }
    return n;
}

/* UP_s holds where UP_(s-1) did a strip before, and the loss rose again. */
static bool up(int s, int t, int k)
{
    return s == 0 || (t > k && valid_loss[t - 1] > valid_loss[t - k - 1] && up(s - 1, t - k, k));
}

static int up_ends(int n, int s, int k)
{
    for (int t = k; t <= n; t += k)
        if (up(s, t, k))
            return t;
    return n;
}

static bp_progress run_with(bp_train_option option, double value, double k)
{
    job j = start(EPOCHS_MOST, "32 tanh");
    bp_progress p;
    OK(bp_trainer_validate(j.trainer, j.test));
    OK(bp_trainer_on_epoch(j.trainer, note, NULL));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_STOP_STRIP, k));
    OK(bp_trainer_set(j.trainer, option, value));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &p);
    finish(&j);
    return p;
}

CLAIM(the_criteria_of_prechelt_end_a_run_where_the_book_says)
{
    static const struct { bp_train_option option; double value, k; } cases[] = {
        {BP_TRAIN_STOP_GL, 1, 5}, {BP_TRAIN_STOP_GL, 4, 5}, {BP_TRAIN_STOP_GL, 15, 5},
        {BP_TRAIN_STOP_PQ, 0.05, 5}, {BP_TRAIN_STOP_PQ, 0.2, 3}, {BP_TRAIN_STOP_PQ, 1, 5},
        {BP_TRAIN_STOP_UP, 1, 5}, {BP_TRAIN_STOP_UP, 3, 5}, {BP_TRAIN_STOP_UP, 2, 2}};
    run_with(BP_TRAIN_PATIENCE, 0, 5); /* the whole curves */
    int ended = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double v = cases[i].value, k = cases[i].k;
        int want = cases[i].option == BP_TRAIN_STOP_GL   ? gl_ends(EPOCHS_MOST, v)
                   : cases[i].option == BP_TRAIN_STOP_PQ ? pq_ends(EPOCHS_MOST, v, (int)k)
                                                         : up_ends(EPOCHS_MOST, (int)v, (int)k);
        bp_progress p = run_with(cases[i].option, v, k);
        bool early = want < EPOCHS_MOST;
        cr_assert_eq(p.epoch, want, "case %d: epoch %d, not %d", (int)i, (int)p.epoch, want);
        cr_assert_eq(p.stopped_by, early ? cases[i].option : 0);
        ended += early;
    }
    cr_assert_geq(ended, 7, "%d of the cases end early", ended);
}

CLAIM(patience_says_that_it_ended_a_run_and_may_be_given_more)
{
    job j = start(EPOCHS_MOST, "32 tanh");
    bp_progress p, q;
    OK(bp_trainer_validate(j.trainer, j.test));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_PATIENCE, 3));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &p);
    cr_assert(p.stopped_by == BP_TRAIN_PATIENCE && p.epoch == p.best_epoch + 3);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_PATIENCE, 5));
    all_of_it(&j);
    bp_trainer_progress(j.trainer, &q);
    cr_assert_gt(q.epoch, p.epoch);
    finish(&j);
}

CLAIM(stopping_wants_rows_that_validate)
{
    job j = start(2, "16 relu");
    int32_t done;
    OK(bp_trainer_set(j.trainer, BP_TRAIN_STOP_PQ, 1));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: stop_pq is set, and no data validate");
    OK(bp_trainer_validate(j.trainer, j.test)); /* and can be tried again */
    all_of_it(&j);
    finish(&j);
}

/* --- units that would stay one ---------------------------------------------------------------- */

static void fill(bp_params *p, int32_t i, double x)
{
    values v = {bp_shape_count(bp_shape_of(bp_param_at(p, i))), NULL};
    v.v = malloc((size_t)v.n * sizeof *v.v);
    for (int64_t k = 0; k < v.n; k++)
        v.v[k] = x;
    cr_assert(tensor_fill(bp_param_at(p, i), &v));
    free(v.v);
}

static void refused(const char *layers, double x, const char *text)
{
    job j = start(2, layers);
    int32_t done;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(j.model)); i++)
        fill(bp_model_params(j.model), i, x);
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE);
    TEXT(text);
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE, "and again");
    finish(&j);
}

CLAIM(equal_units_of_a_text_of_layers_are_refused)
{
    static const char told[] =
        "trainer_run: the 16 units of layer1.weight [16,64] begin with equal weights and get equal "
        "gradients: they would stay one unit. Weights that are drawn are wanted, or the option "
        "symmetric";
    refused("16 tanh", 0, told);
    refused("16 tanh", 0.25, told);
    refused("16 relu dropout=0.5 8 relu", 0.1, told);
}

CLAIM(they_stay_one_unit_where_that_is_meant)
{
    job j = start(2, "16 tanh");
    for (int32_t i = 0; i < 4; i++)
        fill(bp_model_params(j.model), i, 0.1);
    OK(bp_trainer_set(j.trainer, BP_TRAIN_SYMMETRIC, 1));
    all_of_it(&j);
    values w = first_weight(&j);
    double apart = 0;
    for (int64_t i = 0; i < w.n; i++)
        apart = fmax(apart, fabs(w.v[i] - w.v[i % 64]));
    cr_assert(apart < 1e-6 && w.v[20] != w.v[21], "%g", apart);
    values_free(&w, 1);
    finish(&j);
}

/* What begins equal and is told apart is let through, and changes no draw: an output layer of zeros,
 * one alone, a frozen layer. */
CLAIM(units_that_are_told_apart_may_begin_equal)
{
    static const struct { const char *layers; int weight; bool frozen; } cases[] = {
        {"16 tanh dropout=0.2", 2, false}, {"", 0, false}, {"16 tanh", 0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        values w[2];
        for (int symmetric = 0; symmetric < 2; symmetric++) {
            job j = start(2, cases[i].layers);
            fill(bp_model_params(j.model), cases[i].weight, 0);
            OK(bp_param_freeze(bp_model_params(j.model), cases[i].weight, cases[i].frozen));
            OK(bp_trainer_set(j.trainer, BP_TRAIN_SYMMETRIC, symmetric));
            all_of_it(&j);
            w[symmetric] = first_weight(&j);
            finish(&j);
        }
        cr_assert_arr_eq(w[0].v, w[1].v, (size_t)w[0].n * sizeof *w[0].v);
        values_free(w, 2);
    }
}

static bp_tensor *store_loss(bp_context *c, bp_batch *batch, void *user)
{
    bp_tensor **p = user, *x = bp_cast(bp_batch_column(batch, "x"), BP_F32);
    (void)c;
    x = bp_reshape(x, BP_SHAPE(bp_batch_rows(batch), 64));
    bp_tensor *h = bp_linear(bp_tanh(bp_linear(x, p[0], p[1])), p[2], p[3]);
    return bp_cross_entropy(h, bp_batch_column(batch, "y"));
}

CLAIM(equal_units_of_a_store_are_refused)
{
    job j = digits_job(0.5, "");
    bp_params *store;
    bp_tensor *p[4];
    int32_t done;
    OK(bp_params_create(ctx, BP_F32, &store));
    p[0] = bp_param_constant(store, "in", BP_SHAPE(8, 64), 0.01);
    p[1] = bp_param(store, "in_bias", BP_SHAPE(8), BP_INIT_ZERO);
    p[2] = bp_param(store, "out", BP_SHAPE(10, 8), BP_INIT_ONE);
    p[3] = bp_param(store, "out_bias", BP_SHAPE(10), BP_INIT_ZERO);
    OK(bp_trainer_create_with(store, j.train, store_loss, p, &j.trainer));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE);
    cr_assert(strstr(bp_error_text(ctx), "the 8 units of in [8,64] begin with equal weights"));
    bp_trainer_free(j.trainer);
    bp_params_free(store);
    j.trainer = NULL;
    finish(&j);
}
