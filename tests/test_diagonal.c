/* Second derivatives layer by layer (bp_model_diagonal): against the recursion written out, against
 * the Gauss-Newton matrix where the recursion is exact, and what is made of them. */
#include "digits_job.h"

#define CLAIM(name) Test(diagonal, name, .init = setup, .fini = teardown)

enum { ROWS = 7, INPUTS = 3, HIDDEN = 4 };
static const double MU = 0.25;

typedef struct stack {
    bp_data *data;
    bp_model *m;
    bp_optimizer *opt;
    bp_tensor *index;
    double x[ROWS][INPUTS], y[ROWS];
} stack;

static stack make(const char *layers, int32_t outputs)
{
    stack s = {0};
    float x[ROWS][INPUTS], y[ROWS * 3];
    double row[ROWS];
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < INPUTS; k++)
            s.x[i][k] = x[i][k] = (float)(2 * op_random(3, i * INPUTS + k) - 1);
        row[i] = i;
    }
    for (int i = 0; i < ROWS * outputs; i++)
        y[i] = (float)op_random(4, i);
    int32_t label[ROWS] = {0, 1, 2, 0, 1, 2, 0};
    OK(bp_data_table(ctx, ROWS, &s.data));
    OK(bp_data_add(s.data, "x", BP_F32, BP_SHAPE(INPUTS), x));
    if (outputs == 1)
        OK(bp_data_add(s.data, "y", BP_F32, BP_SHAPE(1), y));
    else
        OK(bp_data_add_classes(s.data, label, outputs, NULL));
    OK(bp_model_create_for(s.data, layers, &s.m));
    OK(bp_optimizer_create(bp_model_params(s.m), BP_DIAGONAL_LM, 1, &s.opt));
    OK(bp_optimizer_set(s.opt, BP_OPT_EPS, MU));
    s.index = tensor_in(ctx, BP_I32, BP_SHAPE(ROWS), row, 0);
    return s;
}

static void close_stack(stack *s)
{
    bp_optimizer_free(s->opt);
    bp_model_free(s->m);
    bp_data_free(s->data);
    bp_free(s->index);
}

/* h of parameter i: a step of gradients of 1 at the rate 1 is 1 / (h + mu). */
static values h_of(stack *s, int32_t i)
{
    bp_tensor *p = bp_param_at(bp_model_params(s->m), i);
    values before, after;
    cr_assert(tensor_values(p, &before));
    begin();
    OK(bp_backward(ctx, bp_sum(p)));
    OK(bp_optimizer_step(s->opt));
    end();
    cr_assert(tensor_values(p, &after));
    for (int64_t k = 0; k < before.n; k++)
        after.v[k] = 1 / (before.v[k] - after.v[k]) - MU;
    OK(bp_sync(ctx));
    cr_assert(tensor_fill(p, &before)); /* as it was */
    values_free(&before, 1);
    return after;
}

static void is_h(stack *s, int32_t i, const double *wanted)
{
    values h = h_of(s, i);
    for (int64_t k = 0; k < h.n; k++)
        cr_expect(fabs(h.v[k] - wanted[k]) <= 2e-5 * (wanted[k] + MU), "parameter %d [%d]: %g, not "
                  "%g", (int)i, (int)k, h.v[k], wanted[k]);
    values_free(&h, 1);
}

/* 3-4-outputs of tanh, in loops. */
static void recursion(stack *s, int outputs, double (*h)[HIDDEN * 3])
{
    values p[4];
    for (int i = 0; i < 4; i++)
        cr_assert(tensor_values(bp_param_at(bp_model_params(s->m), i), &p[i]));
    for (int r = 0; r < ROWS; r++) {
        double y[HIDDEN], z[3], sum = 0, end[3];
        for (int j = 0; j < HIDDEN; j++) {
            double a = p[1].v[j];
            for (int k = 0; k < INPUTS; k++)
                a += p[0].v[j * INPUTS + k] * s->x[r][k];
            y[j] = tanh(a);
        }
        for (int o = 0; o < outputs; o++) {
            z[o] = p[3].v[o];
            for (int j = 0; j < HIDDEN; j++)
                z[o] += p[2].v[o * HIDDEN + j] * y[j];
            sum += exp(z[o]);
        }
        for (int o = 0; o < outputs; o++) {
            double q = exp(z[o]) / sum;
            end[o] = (outputs == 1 ? 2 : q * (1 - q)) / ROWS;
            h[3][o] += end[o];
            for (int j = 0; j < HIDDEN; j++)
                h[2][o * HIDDEN + j] += end[o] * y[j] * y[j];
        }
        for (int j = 0; j < HIDDEN; j++) {
            double back = 0;
            for (int o = 0; o < outputs; o++)
                back += p[2].v[o * HIDDEN + j] * p[2].v[o * HIDDEN + j] * end[o];
            back *= (1 - y[j] * y[j]) * (1 - y[j] * y[j]);
            h[1][j] += back;
            for (int k = 0; k < INPUTS; k++)
                h[0][j * INPUTS + k] += back * s->x[r][k] * s->x[r][k];
        }
    }
    values_free(p, 4);
}

CLAIM(it_is_the_recursion)
{
    for (int outputs = 1; outputs <= 3; outputs += 2) {
        double h[4][HIDDEN * 3] = {{0}};
        stack s = make("4 tanh dropout=0.5", outputs);
        recursion(&s, outputs, h);
        OK(bp_model_diagonal(s.m, s.data, s.index, 1, s.opt));
        for (int i = 0; i < 4; i++)
            is_h(&s, i, h[i]);
        OK(bp_model_diagonal(s.m, s.data, s.index, 0.3, s.opt)); /* the mean of it and itself */
        is_h(&s, 0, h[0]);
        close_stack(&s);
    }
}

/* With one output and one hidden layer no path meets another: 2 / N J^T J has this diagonal. */
CLAIM(where_no_paths_meet_it_is_the_gauss_newton_diagonal)
{
    stack s = make("4 sigmoid", 1);
    double square[4][HIDDEN * 3] = {{0}}, j[ROWS * HIDDEN * 3];
    bp_tensor *p[4], *jacobian[4];
    begin();
    for (int i = 0; i < 4; i++)
        p[i] = bp_param_at(bp_model_params(s.m), i);
    bp_tensor *y = bp_model_logits(s.m, s.data, s.index, 0);
    OK(bp_jacobian_of(ctx, bp_reshape(y, BP_SHAPE(ROWS)), p, 4, 0, jacobian));
    for (int i = 0; i < 4; i++) {
        int64_t n = bp_shape_count(bp_shape_of(p[i]));
        OK(bp_read_f64(jacobian[i], j, ROWS * n));
        for (int64_t k = 0; k < ROWS * n; k++)
            square[i][k % n] += 2.0 / ROWS * j[k] * j[k];
    }
    end();
    OK(bp_model_diagonal(s.m, s.data, s.index, 1, s.opt));
    for (int i = 0; i < 4; i++)
        is_h(&s, i, square[i]);
    close_stack(&s);
}

/* Of 40 digits, with initial weights, or those of `from`. */
static void digits_h(const char *layers, bp_model *from, values *h, bp_model **model)
{
    job j = digits_job(0.9, layers);
    double row[40];
    for (int i = 0; i < 40; i++)
        row[i] = i;
    stack s = {.data = j.train, .m = j.model,
               .index = tensor_in(ctx, BP_I32, BP_SHAPE(40), row, 0)};
    OK(bp_optimizer_create(bp_model_params(j.model), BP_DIAGONAL_LM, 1, &s.opt));
    OK(bp_optimizer_set(s.opt, BP_OPT_EPS, MU));
    for (int i = 0; from && i < 4; i++) {
        values v;
        cr_assert(tensor_values(bp_param_at(bp_model_params(from), i), &v));
        cr_assert(tensor_fill(bp_param_at(bp_model_params(j.model), i), &v));
        values_free(&v, 1);
    }
    OK(bp_model_diagonal(j.model, j.train, s.index, 1, s.opt));
    for (int i = 0; i < 4; i++)
        h[i] = h_of(&s, i);
    bp_optimizer_free(s.opt);
    *model = j.model;
    j.model = NULL;
    bp_free(s.index);
    finish(&j);
}

/* A filter as large as the image is a row of a dense layer. */
CLAIM(a_convolution_over_all_is_a_dense_layer)
{
    bp_model *a, *b;
    values dense[4], conv[4];
    digits_h("6 tanh", NULL, dense, &a);
    digits_h("8x8x1 conv8x8=6,pad=0 tanh", a, conv, &b);
    for (int i = 0; i < 4; i++) {
        double most = 0;
        cr_assert_eq(dense[i].n, conv[i].n);
        for (int64_t k = 0; k < dense[i].n; k++) {
            cr_expect_float_eq(conv[i].v[k], dense[i].v[k], 3e-6, "%d [%d]", i, (int)k);
            most = fmax(most, conv[i].v[k]);
        }
        cr_expect_gt(most, 1e-3);
    }
    values_free(dense, 4);
    values_free(conv, 4);
    bp_model_free(a);
    bp_model_free(b);
}

CLAIM(pools_pass_it_on)
{
    static const char *const layers[] = {"8x8x1 pool=2 conv2x2=2 relu",
                                         "8x8x1 avgpool=2 conv2x2=2 relu",
                                         "8x8x1 conv3x3=2 tanh globalpool"};
    for (int k = 0; k < 3; k++) {
        bp_model *m;
        values h[4];
        digits_h(layers[k], NULL, h, &m);
        for (int i = 0; i < 4; i++)
            for (int64_t e = 0; e < h[i].n; e++)
                cr_expect(isfinite(h[i].v[e]) && h[i].v[e] > -1e-5 && h[i].v[e] < 100, "%s: %d: %g",
                          layers[k], i, h[i].v[e]);
        values_free(h, 4);
        bp_model_free(m);
    }
}

/* --- the trainer ----------------------------------------------------------------------------- */

CLAIM(a_trainer_learns_by_it_and_goes_on_by_bits)
{
    double w[2];
    for (int cut = 0; cut < 2; cut++) {
        job j = digits_job(0.2, "32 tanh");
        int32_t done = 0;
        bp_progress p;
        OK(bp_trainer_create(j.model, j.train, &j.trainer));
        OK(bp_trainer_set(j.trainer, BP_TRAIN_OPTIMIZER, BP_DIAGONAL_LM));
        OK(bp_trainer_set(j.trainer, BP_TRAIN_LR, 0.1));
        OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, 4));
        while (!done)
            OK(bp_trainer_run(j.trainer, cut ? 7 : -1, -1, &done));
        bp_trainer_progress(j.trainer, &p);
        cr_expect_gt(p.accuracy, 0.93);
        w[cut] = at(bp_param_at(bp_model_params(j.model), 0), 5);
        finish(&j);
    }
    cr_expect_eq(w[0], w[1]);
}

static bp_tensor *some_loss(bp_context *c, bp_batch *batch, void *user)
{
    (void)c, (void)batch;
    return bp_sum(bp_param_at(user, 0));
}

CLAIM(what_is_no_stack_is_told)
{
    static const struct {
        const char *layers, *what;
    } row[] = {{"8 layernorm relu", "a norm"}, {"8 batchnorm relu", "a norm"},
               {"residual( 64 relu )", "a residual group"}};
    for (int i = 0; i < 3; i++) {
        int32_t done;
        job j = digits_job(0.2, row[i].layers);
        OK(bp_trainer_create(j.model, j.train, &j.trainer));
        OK(bp_trainer_set(j.trainer, BP_TRAIN_OPTIMIZER, BP_DIAGONAL_LM));
        cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE);
        cr_expect(strstr(bp_error_text(ctx), row[i].what), "%s", bp_error_text(ctx));
        finish(&j);
    }
    job j = digits_job(0.2, "8 relu");
    int32_t done;
    bp_params *store = bp_model_params(j.model);
    bp_tensor *index = INTS(BP_SHAPE(2), 0, 1);
    OK(bp_trainer_create_with(store, j.train, some_loss, store, &j.trainer));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_OPTIMIZER, BP_DIAGONAL_LM));
    cr_assert_eq(bp_trainer_run(j.trainer, -1, -1, &done), BP_ERR_STATE);
    TEXT("trainer_run: diagonal-lm wants a model: second derivatives are measured layer by layer "
         "on its rows");
    bp_optimizer *adam;
    OK(bp_adam_create(store, 0.1, &adam));
    cr_assert_eq(bp_model_diagonal(j.model, j.train, index, 1, adam), BP_ERR_ARG);
    TEXT("model_diagonal: the optimiser is adam of the model's store; diagonal-lm of the model's "
         "is wanted");
    bp_optimizer_free(adam);
    OK(bp_optimizer_create(store, BP_DIAGONAL_LM, 0.1, &adam));
    cr_assert_eq(bp_model_diagonal(j.model, j.train, index, 0, adam), BP_ERR_ARG);
    TEXT("model_diagonal: the share 0 is not in (0, 1]");
    bp_optimizer_free(adam);
    finish(&j);
}
