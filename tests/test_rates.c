/* Rates: the range test leaves no trace and says what it saw; curvature; rates of layers; second
 * derivatives layer by layer. */
#include "digits_job.h"

#define CLAIM(name) Test(rates, name, .init = setup, .fini = teardown)

/* --- the range test -------------------------------------------------------------------------- */

static uint64_t bits(job *j, bp_progress *p)
{
    uint64_t sum = 1469598103934665603u;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(j->model)); i++) {
        values v;
        cr_assert(tensor_values(bp_param_at(bp_model_params(j->model), i), &v));
        for (int64_t k = 0; k < v.n; k++) {
            uint64_t word;
            memcpy(&word, &v.v[k], sizeof word);
            sum = (sum ^ word) * 1099511628211u;
        }
        values_free(&v, 1);
    }
    bp_trainer_progress(j->trainer, p);
    p->seconds = 0;
    return sum;
}

static void test_range(job *j, int64_t steps)
{
    bp_rate_range found = {.struct_bytes = sizeof found};
    double loss[200], smooth[200];
    OK(bp_trainer_range(j->trainer, 1e-4, 1, steps, loss, smooth, &found));
    cr_assert(found.steps > 1 && found.steps <= steps);
    cr_assert_float_eq(found.rate * 3, found.least, 1e-15);
}

/* None; before the run, twice; in the middle of an epoch, past its end. */
CLAIM(a_range_test_leaves_no_trace)
{
    uint64_t sum[3];
    bp_progress p[3];
    for (int k = 0; k < 3; k++) {
        int32_t done;
        job j = digits_job(0.2, "16 relu dropout=0.2");
        OK(bp_trainer_create(j.model, j.train, &j.trainer));
        OK(bp_trainer_validate(j.trainer, j.test));
        for (int i = 0; k == 1 && i < 2; i++)
            test_range(&j, 60);
        OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, 3));
        OK(bp_trainer_set(j.trainer, BP_TRAIN_BATCH, 100)); /* which no run has forbidden yet */
        OK(bp_trainer_run(j.trainer, 17, -1, &done));
        if (k == 2)
            test_range(&j, 40);
        all_of_it(&j);
        sum[k] = bits(&j, &p[k]);
        finish(&j);
    }
    cr_expect(sum[0] == sum[1] && sum[0] == sum[2]);
    cr_expect(memcmp(&p[0], &p[1], sizeof *p) == 0 && memcmp(&p[0], &p[2], sizeof *p) == 0);
}

enum { CURVE = 4 };

/* CURVE / 2 w^2, whose steps are known. */
static bp_tensor *parabola(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)batch;
    return bp_scale(bp_sum(bp_square(bp_param_at(user, 0))), CURVE / 2.0);
}

typedef struct bowl {
    bp_data *data;
    bp_params *store;
    bp_tensor *w;
    bp_trainer *trainer;
} bowl;

static bowl open_bowl(void)
{
    bowl b = {0};
    OK(bp_data_digits(ctx, &b.data));
    OK(bp_params_create(ctx, BP_F64, &b.store));
    b.w = bp_param_constant(b.store, "w", BP_SHAPE(1), 1);
    OK(bp_trainer_create_with(b.store, b.data, parabola, b.store, &b.trainer));
    OK(bp_trainer_set(b.trainer, BP_TRAIN_OPTIMIZER, BP_SGD));
    return b;
}

static void close_bowl(bowl *b)
{
    bp_trainer_free(b->trainer);
    bp_params_free(b->store);
    bp_data_free(b->data);
}

CLAIM(its_losses_are_those_of_steps_at_its_rates)
{
    enum { STEPS = 70 };
    double loss[STEPS], w = 1;
    bp_rate_range found = {.struct_bytes = sizeof found};
    bowl b = open_bowl();
    OK(bp_trainer_range(b.trainer, 1e-4, 100, STEPS, loss, NULL, &found));
    for (int64_t i = 0; i < found.steps; i++) {
        cr_expect_float_eq(loss[i], CURVE / 2.0 * w * w, 1e-9 * (1 + loss[i]), "%d", (int)i);
        w *= 1 - CURVE * 1e-4 * pow(1e6, (double)i / (STEPS - 1));
    }
    cr_expect(found.diverged && found.steps < STEPS);
    cr_expect(found.least > 0.25 / CURVE && found.least < 10.0 / CURVE, "%g", found.least);
    cr_expect_eq(at(b.w, 0), 1);
    close_bowl(&b);
}

/* The loss of a row of digits by a net that drops, at the end of a run in which was looked, or not. */
static double end_of_run(bool looks)
{
    bp_data *d;
    bp_model *m;
    bp_trainer *t;
    double loss, accuracy, l2;
    int32_t done;
    bp_eigen found = {.struct_bytes = sizeof found};
    OK(bp_seed(ctx, 3));
    OK(bp_data_digits(ctx, &d));
    OK(bp_model_create_for(d, "16 relu dropout=0.2", &m));
    OK(bp_trainer_create(m, d, &t));
    OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 1));
    OK(bp_trainer_augment(t, "shift=1"));
    for (int i = 0; i < 2; i++) {
        OK(bp_trainer_run(t, 5, -1, &done));
        if (looks) {
            OK(bp_trainer_curvature(t, 50, 1e-2, 5, &found));
            OK(bp_trainer_decay(t, &l2));
        }
    }
    OK(bp_trainer_run(t, -1, -1, &done));
    OK(bp_model_evaluate(m, d, &loss, &accuracy));
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
    return loss;
}

CLAIM(looking_changes_no_run)
{
    cr_assert_eq(end_of_run(true), end_of_run(false));
}

CLAIM(what_cannot_be_tested_is_told)
{
    bowl b = open_bowl();
    bp_rate_range found = {.struct_bytes = sizeof found};
    cr_assert_eq(bp_trainer_range(b.trainer, 1, 0.1, 10, NULL, NULL, &found), BP_ERR_ARG);
    TEXT("trainer_range: rates from 1 to 0.1; 0 < from < to is wanted");
    cr_assert_eq(bp_trainer_range(b.trainer, 0.1, 1, 1, NULL, NULL, &found), BP_ERR_ARG);
    TEXT("trainer_range: 1 steps; 2 to 10000000 are wanted");
    double nan[] = {NAN};
    OK(bp_write(b.w, nan, sizeof nan));
    found.rate = 7;
    cr_assert_eq(bp_trainer_range(b.trainer, 0.1, 1, 9, NULL, NULL, &found), BP_ERR_NONFINITE);
    cr_assert_eq(found.rate, 0, "a failure leaves no other's rate");
    cr_expect(isnan(at(b.w, 0)));
    nan[0] = 1;
    OK(bp_write(b.w, nan, sizeof nan));
    OK(bp_trainer_range(b.trainer, 0.1, 1, 2, NULL, NULL, &found));
    found.struct_bytes = 1;
    cr_assert_eq(bp_trainer_range(b.trainer, 0.1, 1, 9, NULL, NULL, &found), BP_ERR_ARG);
    close_bowl(&b);
}

CLAIM(the_curvature_of_a_trainer_has_its_l2)
{
    bowl b = open_bowl();
    bp_eigen found = {.struct_bytes = sizeof found};
    OK(bp_trainer_set(b.trainer, BP_TRAIN_L2, 1));
    OK(bp_trainer_curvature(b.trainer, 0, 0, 0, &found));
    cr_expect(fabs(found.value - CURVE - 1) < 1e-12 && found.rate == 1 / found.value);
    found.value = 7;
    cr_assert_eq(bp_trainer_curvature(b.trainer, -1, 0, 0, &found), BP_ERR_ARG);
    cr_assert_eq(found.value, 0);
    close_bowl(&b);
}

/* --- rates of layers ------------------------------------------------------------------------- */

/* By how much a step of gradients of 1 at the rate 1 takes each parameter down. */
static void factors(bp_params *store, bp_optimizer *opt, double *factor)
{
    int32_t n = bp_param_count(store);
    for (int32_t i = 0; i < n; i++)
        factor[i] = at(bp_param_at(store, i), 0);
    begin();
    bp_tensor *sum = bp_sum(bp_param_at(store, 0));
    for (int32_t i = 1; i < n; i++)
        sum = bp_add(sum, bp_sum(bp_param_at(store, i)));
    OK(bp_backward(ctx, sum));
    OK(bp_optimizer_step(opt));
    end();
    for (int32_t i = 0; i < n; i++)
        factor[i] -= at(bp_param_at(store, i), 0);
}

CLAIM(rates_follow_the_inputs_of_a_unit)
{
    static const char *const name[] = {"a.weight", "a.bias", "norm.gain", "b.weight"};
    static const bp_shape shape[] = {{2, {3, 4}}, {1, {3}}, {1, {3}}, {2, {5, 16}}};
    double factor[4];
    bp_params *store;
    bp_optimizer *opt;
    OK(bp_params_create(ctx, BP_F64, &store));
    for (int i = 0; i < 4; i++)
        cr_assert(bp_param_constant(store, name[i], shape[i], 0));
    OK(bp_sgd_create(store, 1, 0, &opt));
    bp_group half = {.rate = 0.5};
    OK(bp_optimizer_group(opt, "b.*", &half));
    for (double power = -0.5; power <= 0.5; power += 0.5) {
        OK(bp_optimizer_fan_in(opt, power));
        factors(store, opt, factor);
        double a = pow(4 / 8.0, power), b = pow(16 / 8.0, power); /* 8: the geometric mean */
        cr_expect_float_eq(factor[0], a, 1e-14);
        cr_expect_float_eq(factor[1], a, 1e-14);
        cr_expect_float_eq(factor[2], 1, 1e-14);
        cr_expect_float_eq(factor[3], b / 2, 1e-14);
    }
    cr_assert_eq(bp_optimizer_fan_in(opt, 2), BP_ERR_ARG);
    TEXT("optimizer_fan_in: the power 2 is not in [-1, 1]");
    bp_optimizer_free(opt);
    bp_params_free(store);
}

CLAIM(shared_weights_count_by_their_places)
{
    bp_model *m;
    bp_optimizer *opt;
    double factor[4];
    OK(bp_model_create(ctx, 16, "4x4x1 conv3x3=2,pad=0 relu pool=2", 2, &m));
    OK(bp_sgd_create(bp_model_params(m), 1, 0, &opt));
    OK(bp_model_fan_in(m, opt, 0.5));
    factors(bp_model_params(m), opt, factor);
    double conv = 9 * 4, dense = 2, mean = sqrt(conv * dense);
    cr_expect_float_eq(factor[0], sqrt(conv / mean), 1e-6);
    cr_expect_float_eq(factor[1], sqrt(conv / mean), 1e-6);
    cr_expect_float_eq(factor[2], sqrt(dense / mean), 1e-6);
    bp_optimizer_free(opt);
    bp_model_free(m);
}

CLAIM(a_trainer_takes_the_power_as_an_option)
{
    uint64_t sum[3];
    bp_progress p;
    for (int k = 0; k < 3; k++) {
        job j = digits_job(0.2, "16 tanh");
        bp_optimizer *opt = NULL;
        OK(bp_trainer_create(j.model, j.train, &j.trainer));
        OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, 1));
        if (k == 2)
            OK(bp_trainer_set(j.trainer, BP_TRAIN_OPTIMIZER, BP_SGD));
        if (k == 2)
            OK(bp_trainer_set(j.trainer, BP_TRAIN_FAN_IN, 0.5));
        if (k < 2)
            OK(bp_sgd_create(bp_model_params(j.model), 1, 0, &opt));
        if (k == 1)
            OK(bp_model_fan_in(j.model, opt, 0.5));
        if (k < 2)
            OK(bp_trainer_optimizer(j.trainer, opt));
        all_of_it(&j);
        sum[k] = bits(&j, &p);
        bp_optimizer_free(opt);
        finish(&j);
    }
    cr_expect(sum[0] != sum[1] && sum[1] == sum[2]);
}
