/* Ensembles: several models in one, whose answer is the mean of theirs, of every task; how far they
 * are apart; files and snapshots of them, and what does not fit. */
#include "folder.h"
#include "task_table.h"

#define CLAIM(name) Test(ensemble, name, .init = enter, .fini = leave)

enum { MEMBERS = 3 };

typedef struct bag {
    bp_data *data;
    bp_model *member[MEMBERS], *all;
    table t;
} bag;

static bool decorrelated; /* are their samples */

/* Models of several seeds; `wide` multiplies their weights. */
static bag bag_of(bp_task task, double wide)
{
    bag b = {.t = made(7)};
    b.data = set_of(&b.t, task, false);
    for (int i = 0; i < MEMBERS; i++) {
        OK(bp_seed(ctx, (uint64_t)i));
        OK(bp_model_create_as(ctx, COLS, "8 tanh dropout=0.1", task, K, &b.member[i]));
        OK(bp_model_normalize_as(b.member[i], b.data, decorrelated ? BP_NORMALIZE_PCA
                                                                   : BP_NORMALIZE_DEFAULT));
        bp_tensor *w = bp_param_at(bp_model_params(b.member[i]), 2);
        values v;
        cr_assert(tensor_values(w, &v));
        for (int64_t k = 0; k < v.n; k++)
            v.v[k] *= wide;
        cr_assert(tensor_fill(w, &v));
        values_free(&v, 1);
    }
    OK(bp_model_ensemble(ctx, b.member, MEMBERS, &b.all));
    return b;
}

static void empty(bag *b)
{
    for (int i = 0; i < MEMBERS; i++)
        bp_model_free(b->member[i]);
    bp_model_free(b->all);
    bp_data_free(b->data);
}

CLAIM(its_answer_is_the_mean_of_theirs_and_its_spread_their_deviation)
{
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++) {
        decorrelated = task == BP_TASK_LABELS;
        bag b = bag_of(task, 1);
        static float p[MEMBERS][N * K], mean[N * K], spread[N * K], one[K];
        for (int i = 0; i < MEMBERS; i++)
            OK(bp_model_predict(b.member[i], b.t.x, N, p[i]));
        OK(bp_model_predict_spread(b.all, b.t.x, N, mean, spread));
        for (int e = 0; e < N * K; e++) {
            double sum = 0, squares = 0, unit = task != BP_TASK_REGRESSION ? 1 : e % K ? 5e-6 : 1e6;
            for (int i = 0; i < MEMBERS; i++)
                sum += p[i][e];
            for (int i = 0; i < MEMBERS; i++)
                squares += pow(p[i][e] - sum / MEMBERS, 2);
            unit = e % K == 2 && task == BP_TASK_REGRESSION ? 7 : unit;
            cr_assert_float_eq(mean[e], sum / MEMBERS, 2e-6 * unit, "task %d, %d", (int)task, e);
            cr_assert_float_eq(spread[e], sqrt(squares / (MEMBERS - 1)), 2e-6 * unit);
        }
        OK(bp_model_predict(b.all, b.t.x, 1, one)); /* the short way */
        for (int k = 0; k < K; k++)
            cr_assert_float_eq(one[k], mean[k], 1e-6 * fabs(mean[k]));
        empty(&b);
    }
}

/* Cross-entropy of the mean probability, in f64 on the host. */
CLAIM(its_loss_is_that_of_the_mean_also_where_probabilities_underflow)
{
    static const double wide[] = {1, 300};
    for (int w = 0; w < 2; w++) {
        bag b = bag_of(BP_TASK_CLASSES, wide[w]);
        static float p[N * K];
        double want = 0, loss, accuracy;
        bp_metrics m;
        OK(bp_model_predict(b.all, b.t.x, N, p));
        for (int i = 0; i < N; i++)
            want -= log(fmax(p[K * i + b.t.class[i]], 1e-45)) / N;
        OK(bp_model_evaluate(b.all, b.data, &loss, &accuracy));
        OK(bp_model_measure(b.all, b.data, &m));
        cr_assert_float_eq(m.loss, loss, 1e-5 * loss);
        if (w == 0)
            cr_assert_float_eq(loss, want, 1e-5);
        else
            cr_assert(isfinite(loss) && loss > want, "%g, cut off %g", loss, want);
        empty(&b);
    }
    bag labels = bag_of(BP_TASK_LABELS, 1e4);
    double loss, accuracy;
    OK(bp_model_evaluate(labels.all, labels.data, &loss, &accuracy));
    empty(&labels);
}

static void equal_predictions(bp_model *a, bp_model *b, const table *t)
{
    float p[N * K], q[N * K];
    OK(bp_model_predict(a, t->x, N, p));
    cr_assert_eq(bp_model_predict(b, t->x, N, q), BP_OK);
    cr_assert_arr_eq(p, q, sizeof p);
}

CLAIM(files_and_snapshots_hold_all_of_it)
{
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++) {
        bag b = bag_of(task, 1);
        bp_model *loaded, *elsewhere;
        bp_snapshot *s;
        bp_context *other;
        OK(bp_model_save(b.all, path));
        OK(bp_model_load(ctx, path, &loaded));
        cr_assert(bp_model_members(loaded) == MEMBERS &&
                  bp_param_index(bp_model_params(loaded), "2.layer2.bias") == 4 * MEMBERS - 1);
        equal_predictions(b.all, loaded, &b.t);
        OK(bp_model_load_into(b.all, path));
        OK(bp_snapshot_take(b.all, &s));
        cr_assert_eq(bp_open(test_device(), &other), BP_OK);
        cr_assert_eq(bp_model_from(other, s, &elsewhere), BP_OK);
        equal_predictions(b.all, elsewhere, &b.t);
        cr_assert_eq(bp_model_restore(b.member[0], s), BP_ERR_FORMAT);
        TEXT("model_restore: has 3 members; the model has 1");
        cr_assert_eq(bp_model_load_into(b.member[0], path), BP_ERR_FORMAT);
        if (task == BP_TASK_CLASSES)
            cr_assert_str_eq(bp_model_class_name(loaded, 1), "b, \"c\"");
        bp_model_free(elsewhere);
        bp_close(other);
        bp_snapshot_free(s);
        bp_model_free(loaded);
        empty(&b);
    }
}

/* Puts `to`, of as many bytes, in the place of `from` in the file. */
static void change(const char *from, const char *to)
{
    FILE *f = fopen(path, "r+b");
    static char text[1 << 16];
    cr_assert_gt(fread(text, 1, sizeof text - 1, f), 8);
    char *at = strstr(text + 8, from); /* behind the length of the header */
    cr_assert(at && strlen(from) == strlen(to));
    fseek(f, at - text, SEEK_SET);
    fputs(to, f);
    fclose(f);
}

CLAIM(a_file_that_claims_other_members_is_refused)
{
    bag b = bag_of(BP_TASK_CLASSES, 1);
    bp_model *m;
    static const char *const claims[][2] = {
        {"\"members\":\"3\"", "\"members\":\"2\""}, {"\"members\":\"3\"", "\"members\":\"9\""},
        {"\"members\":\"3\"", "\"members\":\"0\""}, {"\"version\":\"3\"", "\"version\":\"2\""},
        {"\"version\":\"3\"", "\"version\":\"4\""}};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        OK(bp_model_save(b.all, path));
        change(claims[i][0], claims[i][1]);
        cr_assert_eq(bp_model_load(ctx, path, &m), BP_ERR_FORMAT, "claim %d", (int)i);
        cr_assert(strstr(bp_error_text(ctx), path), "%s", bp_error_text(ctx));
    }
    empty(&b);
}

CLAIM(many_are_one_too)
{
    enum { MANY = 1000 }; /* several groups of members.c */
    bag b = bag_of(BP_TASK_CLASSES, 1);
    static bp_model *many[MANY], *all, *again;
    float one[N * K], p[N * K], spread[N * K];
    for (int i = 0; i < MANY; i++)
        many[i] = b.member[0];
    OK(bp_model_ensemble(ctx, many, MANY, &all));
    OK(bp_model_predict(b.member[0], b.t.x, N, one));
    OK(bp_model_predict_spread(all, b.t.x, N, p, spread));
    for (int i = 0; i < N * K; i++) {
        cr_assert_float_eq(p[i], one[i], 2e-6);
        cr_assert_float_eq(spread[i], 0, 1e-6);
    }
    OK(bp_model_save(all, path));
    OK(bp_model_load(ctx, path, &again));
    equal_predictions(all, again, &b.t);
    change("\"members\":\"1000\"", "\"members\":\"4097\"");
    bp_model_free(again);
    cr_assert_eq(bp_model_load(ctx, path, &again), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "not a model"), "%s", bp_error_text(ctx));
    bp_model_free(all);
    empty(&b);
}

CLAIM(what_does_not_fit_is_told)
{
    bag b = bag_of(BP_TASK_CLASSES, 1);
    bp_model *e, *deep, *raw, *own, *many[] = {b.member[0], NULL};
    int calls = 0;
    OK(bp_model_create(ctx, COLS, "9 tanh", K, &deep));
    OK(bp_model_create(ctx, COLS, "8 tanh dropout=0.1", K, &raw));
    OK(bp_model_own(ctx, COLS, BP_TASK_CLASSES, K, two_layers, &calls, &own));
    const struct { bp_model *second; bp_status status; const char *text; } cases[] = {
        {NULL, BP_ERR_ARG, "model_ensemble: model 1 is NULL"},
        {b.all, BP_ERR_ARG, "model 1 is an ensemble itself"},
        {own, BP_ERR_ARG, "model 1 is a program's own function"},
        {deep, BP_ERR_FORMAT, "layers \"9 tanh\" and 3 outputs; model 0 is classes of 6"},
        {raw, BP_ERR_FORMAT, "model 1 has another normaliser than model 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        many[1] = cases[i].second;
        cr_assert_eq(bp_model_ensemble(ctx, many, 2, &e), cases[i].status);
        cr_assert(!e && strstr(bp_error_text(ctx), cases[i].text), "%s", bp_error_text(ctx));
    }
    OK(bp_model_tanh_targets(b.member[0], 1));
    cr_assert_eq(bp_model_ensemble(ctx, many, 1, &e), BP_ERR_ARG);
    cr_assert(strstr(bp_error_text(ctx), "model 0 has targets of tanh outputs"));
    cr_assert_eq(bp_model_tanh_targets(b.all, 1), BP_ERR_ARG);
    cr_assert_eq(bp_model_ensemble(ctx, many, 0, &e), BP_ERR_ARG);
    TEXT("model_ensemble: 0 models; 1 to 4096 are wanted");
    cr_assert_eq(bp_model_export_onnx(b.all, path), BP_ERR_UNSUPPORTED);
    cr_assert(strstr(bp_error_text(ctx), "this model is an ensemble of 3"));
    cr_assert_eq(bp_model_fit(b.all, b.data, BP_METHOD_LBFGS, 0, NULL, NULL), BP_ERR_STATE);
    TEXT("model_fit: an ensemble of 3: its members are fitted one by one, before they are one "
         "model");
    float x[COLS] = {NAN}, p[K], spread[K];
    cr_assert_eq(bp_model_predict_spread(b.all, x, 1, p, spread), BP_ERR_NONFINITE);
    TEXT("model_predict_spread: row 0, column 0 is nan; finite numbers are wanted");
    cr_assert_eq(bp_model_predict_spread(b.all, x, 1, p, NULL), BP_ERR_ARG);
    TEXT("model_predict_spread: spread is NULL");
    cr_assert_eq(bp_model_predict_spread(b.all, x, -1, p, spread), BP_ERR_ARG);
    TEXT("model_predict_spread: -1 samples");
    bp_model_free(own);
    bp_model_free(raw);
    bp_model_free(deep);
    empty(&b);
}

CLAIM(diagonals_are_of_one)
{
    bag b = bag_of(BP_TASK_CLASSES, 1);
    bp_optimizer *opt;
    bp_tensor *index = bp_tensor_create(ctx, BP_I32, BP_SHAPE(4));
    OK(bp_optimizer_create(bp_model_params(b.all), BP_DIAGONAL_LM, 0.1, &opt));
    cr_assert_eq(bp_model_diagonal(b.all, b.data, index, 1, opt), BP_ERR_STATE);
    TEXT("model_diagonal: an ensemble; second derivatives want one stack of layers");
    bp_optimizer_free(opt);
    OK(bp_optimizer_create(bp_model_params(b.member[0]), BP_DIAGONAL_LM, 0.1, &opt));
    int32_t far[4] = {0, 1, 1000000, 2};
    OK(bp_write(index, far, sizeof far));
    bp_status st = bp_model_diagonal(b.member[0], b.data, index, 1, opt), then = bp_sync(ctx);
    cr_assert(st == BP_ERR_RANGE || (st == BP_OK && then == BP_ERR_RANGE), "%d, %d", st, then);
    bp_optimizer_free(opt);
    bp_free(index);
    empty(&b);
}

CLAIM(of_one_model_it_is_a_copy)
{
    bag b = bag_of(BP_TASK_REGRESSION, 1);
    bp_model *one;
    static float p[N * K], spread[N * K];
    OK(bp_model_ensemble(ctx, b.member, 1, &one));
    cr_assert_eq(bp_model_members(one), 1);
    equal_predictions(b.member[0], one, &b.t);
    spread[5] = 1;
    OK(bp_model_predict_spread(one, b.t.x, N, p, spread));
    cr_assert_eq(spread[5], 0);
    OK(bp_model_predict_spread(one, NULL, 0, NULL, NULL));
    bp_model_free(one);
    empty(&b);
}

CLAIM(it_is_trained_on_the_loss_of_the_mean)
{
    for (bp_task task = BP_TASK_CLASSES; task <= BP_TASK_LABELS; task++) {
        bag b = bag_of(task, 1);
        double before, after, accuracy;
        bp_trainer *t;
        int32_t done;
        OK(bp_model_evaluate(b.all, b.data, &before, &accuracy));
        OK(bp_trainer_create(b.all, b.data, &t));
        OK(bp_trainer_set(t, BP_TRAIN_EPOCHS, 400));
        OK(bp_trainer_run(t, -1, -1, &done));
        OK(bp_model_evaluate(b.all, b.data, &after, &accuracy));
        cr_assert_lt(after, 0.5 * before, "task %d: %g, %g before", (int)task, after, before);
        bp_trainer_free(t);
        empty(&b);
    }
}
