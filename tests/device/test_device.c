/* A device from outside: transfers, graphs, faults, several contexts. A plain program, for a
 * machine with a GPU and no test framework, and for the simulated device:
 *
 *     test_device NAME [cases] [transfers] [graphs] [faults] [contexts]     (all, without any)
 *
 * Status 77 where the device cannot be opened, 1 with BPCUDA_REQUIRE_CUDA=1. `cases` is the table
 * of bpcuda check device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "net.h"
#include "readers.h"

static const char *name;
static bp_context *ctx;

/* --- transfers: whatever the size, in order, and nothing waits ------------------------------- */

static void fill_bytes(unsigned char *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(seed = seed * 1664525 + 1013904223, seed >> 24);
}

static void transfers(void)
{
    static const size_t size[] = {0, 1, 3, 4095, 4u << 20, (4u << 20) + 1, 21u << 20};
    enum { N = sizeof size / sizeof *size };
    unsigned char *host = malloc(size[N - 1]), *back = malloc(size[N - 1]);
    bp_tensor *t[N];
    int good = 1;
    for (int i = 0; i < N; i++) { /* all of them on their way before the first is read */
        t[i] = bp_tensor_create(ctx, BP_U8, BP_SHAPE((int64_t)size[i]));
        fill_bytes(host, size[i], (unsigned)i);
        good &= t[i] && bp_write(t[i], host, size[i]) == BP_OK;
        memset(host, 0, size[i]);
    }
    for (int i = 0; i < N; i++) {
        fill_bytes(host, size[i], (unsigned)i);
        good &= bp_read(t[i], back, size[i]) == BP_OK && !memcmp(host, back, size[i]);
        bp_free(t[i]);
    }
    check(good, "what is written is read, from no byte to 21 MiB");
    bp_tensor *one = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    bp_tensor *many = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1000));
    bp_stats before, after;
    bp_get_stats(ctx, &before);
    good = one && many;
    for (int32_t i = 0; i < 1000 && good; i++)
        good = bp_write(one, &i, sizeof i) == BP_OK;
    bp_get_stats(ctx, &after);
    check(good && after.waits == before.waits, "a thousand small writes wait for nothing");
    int32_t last = 0;
    check(bp_read(one, &last, sizeof last) == BP_OK && last == 999, "and arrive in order");
    bp_free(one);
    bp_free(many);
    free(host);
    free(back);
}

/* --- graphs: 784-512-10, batch 128 ----------------------------------------------------------- */

enum { IN = 784, HIDDEN = 512, OUT = 10, BATCH = 128 };

typedef struct mlp {
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *x, *labels, *loss, *w[2], *b[2];
    double dropout;
} mlp;

static bp_status mlp_step(bp_context *c, void *user)
{
    mlp *m = user;
    bp_tensor *h = bp_linear_relu(m->x, m->w[0], m->b[0], m->dropout);
    bp_tensor *loss = bp_cross_entropy(bp_linear(h, m->w[1], m->b[1]), m->labels);
    bp_status st = bp_backward(c, loss);
    if (st == BP_OK)
        st = bp_copy_into(m->loss, loss);
    return st == BP_OK ? bp_optimizer_step(m->adam) : st;
}

static int mlp_open(mlp *m, double dropout)
{
    *m = (mlp){.dropout = dropout};
    if (bp_seed(ctx, 9) != BP_OK || bp_params_create(ctx, BP_F32, &m->params) != BP_OK)
        return 0;
    m->w[0] = bp_param(m->params, "w0", BP_SHAPE(HIDDEN, IN), BP_INIT_HE);
    m->b[0] = bp_param(m->params, "b0", BP_SHAPE(HIDDEN), BP_INIT_ZERO);
    m->w[1] = bp_param(m->params, "w1", BP_SHAPE(OUT, HIDDEN), BP_INIT_LECUN);
    m->b[1] = bp_param(m->params, "b1", BP_SHAPE(OUT), BP_INIT_ZERO);
    m->x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(BATCH, IN));
    m->labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(BATCH));
    m->loss = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    static float x[BATCH * IN];
    static int32_t labels[BATCH];
    for (int i = 0; i < BATCH * IN; i++)
        x[i] = (float)(op_random(1, i) - 0.5);
    for (int i = 0; i < BATCH; i++)
        labels[i] = (int32_t)(OUT * op_random(2, i));
    return m->b[1] && m->x && m->labels && m->loss && bp_write(m->x, x, sizeof x) == BP_OK &&
           bp_write(m->labels, labels, sizeof labels) == BP_OK &&
           bp_adam_create(m->params, 1e-3, &m->adam) == BP_OK;
}

static void mlp_close(mlp *m)
{
    bp_optimizer_free(m->adam);
    bp_params_free(m->params);
    bp_free(m->x);
    bp_free(m->labels);
    bp_free(m->loss);
}

/* All weights, to compare bits; yours to free. */
static float *weights(mlp *m)
{
    const size_t bytes = (HIDDEN * IN + OUT * HIDDEN) * sizeof(float), first = HIDDEN * IN;
    float *w = malloc(bytes);
    if (w && (bp_read(m->w[0], w, first * sizeof *w) != BP_OK ||
              bp_read(m->w[1], w + first, OUT * HIDDEN * sizeof *w) != BP_OK))
        memset(w, 0xFF, bytes);
    return w;
}

static void one_graph(double dropout, int64_t most_nodes)
{
    mlp eager, replayed;
    bp_plan *plan = NULL;
    bp_stats before, after;
    int good = mlp_open(&eager, dropout);
    for (int i = 0; i < 12 && good; i++)
        good = bp_run(ctx, 0, mlp_step, &eager) == BP_OK;
    float *want = weights(&eager);
    good = good && mlp_open(&replayed, dropout) && bp_run(ctx, 0, mlp_step, &replayed) == BP_OK &&
           bp_plan_record(ctx, mlp_step, &replayed, &plan) == BP_OK;
    bp_get_stats(ctx, &before);
    good = good && bp_plan_replay(plan, 1) == BP_OK && bp_plan_replay(plan, 9) == BP_OK;
    bp_get_stats(ctx, &after);
    check(good, "784-512-10 trains, called and replayed");
    check(after.waits == before.waits && after.allocations == before.allocations,
          "a replay waits for nothing and allocates nothing");
    float *got = weights(&replayed), loss = 0;
    check(want && got && !memcmp(want, got, (HIDDEN * IN + OUT * HIDDEN) * sizeof *got),
          "replays give the bits of calls");
    check(bp_read(replayed.loss, &loss, sizeof loss) == BP_OK && loss > 0 && loss < 2.3,
          "the loss has fallen");
    printf("       %lld kernels, %lld graph nodes, dropout %g\n", (long long)bp_plan_kernels(plan),
           (long long)bp_plan_nodes(plan), dropout);
    if (!strncmp(name, "sim", 3)) /* another library may take more kernels for a product */
        check(bp_plan_nodes(plan) <= most_nodes, "a step has as few nodes as it should");
    free(want);
    free(got);
    bp_plan_free(plan);
    mlp_close(&eager);
    mlp_close(&replayed);
}

/* A step of the trainer's kind: rows, labels and rate by the number of the step, sums in f64. */
typedef struct loop {
    bp_model *model;
    bp_data *data;
    bp_optimizer *adam;
    bp_tensor *rates, *batches, *at, *one, *loss, *correct;
} loop;

static bp_status loop_step(bp_context *c, void *user)
{
    loop *l = user;
    bp_tensor *rate = bp_reshape(bp_gather(l->rates, l->at), BP_SCALAR), *correct;
    bp_status st = bp_copy_into(bp_optimizer_rate(l->adam), rate);
    bp_tensor *index = bp_reshape(bp_gather(l->batches, l->at), BP_SHAPE(BATCH));
    bp_tensor *labels = bp_gather(bp_data_labels(l->data), index);
    bp_tensor *loss =
        bp_cross_entropy_correct(bp_model_logits(l->model, l->data, index, 1), labels, &correct);
    st = st == BP_OK ? bp_backward(c, loss) : st;
    st = st == BP_OK ? bp_add_into(l->loss, bp_cast(loss, BP_F64)) : st;
    st = st == BP_OK ? bp_add_into(l->correct, bp_cast(correct, BP_F64)) : st;
    st = st == BP_OK ? bp_add_into(l->at, l->one) : st;
    return st == BP_OK ? bp_optimizer_step(l->adam) : st;
}

static void trainer_graph(void)
{
    enum { STEPS = 10 };
    loop l = {0};
    bp_plan *plan = NULL;
    int32_t order[STEPS * BATCH], zero = 0, one = 1;
    double rate[STEPS], sums[2] = {0, 0};
    for (int i = 0; i < STEPS * BATCH; i++)
        order[i] = i;
    for (int i = 0; i < STEPS; i++)
        rate[i] = 0.01;
    int good = bp_data_digits(ctx, &l.data) == BP_OK &&
               bp_model_create(ctx, 64, "512 relu", OUT, &l.model) == BP_OK &&
               bp_model_normalize(l.model, l.data) == BP_OK &&
               bp_adam_create(bp_model_params(l.model), 0.01, &l.adam) == BP_OK;
    l.rates = bp_tensor_create(ctx, BP_F64, BP_SHAPE(STEPS));
    l.batches = bp_tensor_create(ctx, BP_I32, BP_SHAPE(STEPS, BATCH));
    l.at = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    l.one = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    l.loss = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    l.correct = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    good = good && l.correct && bp_write(l.rates, rate, sizeof rate) == BP_OK &&
           bp_write(l.batches, order, sizeof order) == BP_OK &&
           bp_write(l.at, &zero, sizeof zero) == BP_OK &&
           bp_write(l.one, &one, sizeof one) == BP_OK &&
           bp_plan_record(ctx, loop_step, &l, &plan) == BP_OK &&
           bp_plan_replay(plan, STEPS - 1) == BP_OK &&
           bp_read(l.loss, &sums[0], sizeof sums[0]) == BP_OK &&
           bp_read(l.correct, &sums[1], sizeof sums[1]) == BP_OK;
    check(good && sums[0] > 0 && sums[0] < 2.4 * STEPS && sums[1] == floor(sums[1]) &&
          sums[1] > STEPS * BATCH / 4, "a step that finds its rows and adds up in f64 is replayed");
    printf("       %lld kernels, %lld graph nodes\n", (long long)bp_plan_kernels(plan),
           (long long)bp_plan_nodes(plan));
    if (!strncmp(name, "sim", 3))
        check(bp_plan_nodes(plan) <= 11, "and has as few nodes as it should");
    bp_plan_free(plan);
    bp_optimizer_free(l.adam);
    bp_model_free(l.model);
    bp_data_free(l.data);
    bp_tensor *all[] = {l.rates, l.batches, l.at, l.one, l.loss, l.correct};
    for (int i = 0; i < 6; i++)
        bp_free(all[i]);
}

static void graphs(void)
{
    one_graph(0, 9);    /* the hidden layer's ReLU is a node after its product */
    one_graph(0.2, 10); /* dropout draws in that node, and advances the stream */
    trainer_graph();
}

/* --- faults: found by kernels, told by the next call that waits ------------------------------ */

static bp_status gather_bad(bp_context *c, void *user)
{
    (void)c;
    bp_tensor **t = user;
    return bp_gather(t[0], t[1]) ? BP_OK : BP_ERR_STATE;
}

typedef struct scatter {
    bp_tensor *x, *index, *y;
} scatter;

static bp_status scatter_bad(bp_context *c, void *user)
{
    (void)c;
    scatter *s = user;
    return bp_copy_into(s->y, bp_scatter_rows(s->x, s->index, bp_shape_of(s->y).dim[0]));
}

/* Indices that go to rows 0 1 2 0 1 2 ..., two of them bad, not in the order of their values. */
static void scatter_faults(void)
{
    enum { N = 300001, ROWS = 3, LOW = 270000, HIGH = 290000 };
    static int32_t index[N];
    static float x[N];
    float y[ROWS], want[ROWS] = {0};
    for (int i = 0; i < N; i++) {
        index[i] = i == LOW ? ROWS : i == HIGH ? -7 : i % ROWS;
        x[i] = (float)(i % 1024) - 500;
        if (i != LOW && i != HIGH)
            want[i % ROWS] += x[i];
    }
    scatter s = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(N)),
                 bp_tensor_create(ctx, BP_I32, BP_SHAPE(N)),
                 bp_tensor_create(ctx, BP_F32, BP_SHAPE(ROWS))};
    check(s.x && s.index && s.y && bp_write(s.x, x, sizeof x) == BP_OK &&
          bp_write(s.index, index, sizeof index) == BP_OK &&
          bp_run(ctx, BP_NO_GRAD, scatter_bad, &s) == BP_OK && bp_sync(ctx) == BP_ERR_RANGE &&
          !strcmp(bp_error_text(ctx), "scatter_rows: index 3 is out of range"),
          "scatter_rows says the first bad index in memory");
    check(bp_read(s.y, y, sizeof y) == BP_OK && !memcmp(y, want, sizeof y), "and leaves it out");
    bp_free(s.y);
    s.y = bp_tensor_create(ctx, BP_F32, BP_SHAPE(0));
    check(s.y && bp_run(ctx, BP_NO_GRAD, scatter_bad, &s) == BP_OK &&
          bp_sync(ctx) == BP_ERR_RANGE &&
          !strcmp(bp_error_text(ctx), "scatter_rows: index 0 is out of range"),
          "where there is no row every index is bad");
    bp_free(s.x);
    bp_free(s.index);
    bp_free(s.y);
}

/* loss = sum(w c): the gradient is c. */
static bp_status product_step(bp_context *c, void *user)
{
    mlp *m = user;
    bp_status st = bp_backward(c, bp_sum(bp_mul(m->w[0], m->x)));
    return st == BP_OK ? bp_optimizer_step(m->adam) : st;
}

/* What a step with this gradient at two places says. */
static int says(mlp *m, float gradient, const char *text)
{
    float c[HIDDEN];
    for (int i = 0; i < HIDDEN; i++)
        c[i] = i == 199 || i == 399 ? gradient : 0;
    int good = bp_write(m->x, c, sizeof c) == BP_OK && bp_run(ctx, 0, product_step, m) == BP_OK;
    bp_status st = bp_sync(ctx);
    if (strcmp(text, bp_error_text(ctx)))
        printf("       \"%s\"\n", bp_error_text(ctx));
    return good && st == BP_ERR_NONFINITE && !strcmp(text, bp_error_text(ctx));
}

static void updates(void)
{
    mlp m = {0};
    float w[HIDDEN];
    double bad = NAN;
    int good = bp_params_create(ctx, BP_F32, &m.params) == BP_OK;
    m.w[0] = bp_param(m.params, "w", BP_SHAPE(2, HIDDEN / 2), BP_INIT_ONE);
    m.x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(2, HIDDEN / 2));
    bp_tensor *rate = bp_tensor_create(ctx, BP_F64, BP_SCALAR);
    good = good && m.w[0] && m.x && rate && bp_sgd_create(m.params, 1e30, 0, &m.adam) == BP_OK;
    check(good && says(&m, 1e10f, "optimizer_step: step 1: the update of w [0,199] would overflow "
                                  "and was held back"),
          "an update that overflows is held back, and told");
    check(says(&m, -INFINITY, "optimizer_step: step 2: the gradient of w [0,199] is infinite; "
                              "nothing was changed") &&
          says(&m, 3e38f, "optimizer_step: step 2: the gradient of w [0,199] is too large to "
                          "be stored; nothing was changed"),
          "what is wrong with a gradient is told");
    check(bp_write(rate, &bad, sizeof bad) == BP_OK &&
          bp_copy_into(bp_optimizer_rate(m.adam), rate) == BP_OK &&
          says(&m, 1, "optimizer_step: step 2: the rate is negative, NaN or too large; nothing was "
                      "changed"), "so is a rate that is none");
    check(bp_optimizer_set(m.adam, BP_OPT_LR, 1e-3) == BP_OK &&
          bp_optimizer_set(m.adam, BP_OPT_L2, 1.6e38) == BP_OK &&
          says(&m, 3e37f, "optimizer_step: step 2: the update of w [0,199] would overflow and was "
                          "held back"), "and decay that overflows");
    good = bp_read(m.w[0], w, sizeof w) == BP_OK;
    for (int i = 0; i < HIDDEN; i++)
        good = good && isfinite(w[i]);
    check(good, "and all that is stored is finite");
    bp_free(rate);
    mlp_close(&m);
}

static void faults(void)
{
    mlp m;
    int32_t labels[BATCH] = {0}, index[300] = {0};
    check(mlp_open(&m, 0), "a problem is made");
    float *before = weights(&m);
    labels[77] = 10;
    labels[99] = -3;
    check(bp_write(m.labels, labels, sizeof labels) == BP_OK &&
          bp_run(ctx, 0, mlp_step, &m) == BP_OK, "a bad label stops no call");
    check(bp_sync(ctx) == BP_ERR_RANGE, "the next wait says it");
    check(!strcmp(bp_error_text(ctx),
                  "cross_entropy: index 10 is out of range; step 1 changed nothing"),
          "and names op and value, the first in memory");
    float *after = weights(&m);
    check(before && after && !memcmp(before, after, HIDDEN * IN * sizeof *after),
          "the optimiser has changed nothing");
    labels[77] = labels[99] = 0;
    check(bp_write(m.labels, labels, sizeof labels) == BP_OK && bp_sync(ctx) == BP_OK &&
          bp_run(ctx, 0, mlp_step, &m) == BP_OK && bp_sync(ctx) == BP_OK, "then it goes on");
    bp_tensor *t[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(7, 1000)),
                       bp_tensor_create(ctx, BP_I32, BP_SHAPE(300))};
    index[200] = 7;
    index[250] = 1 << 30;
    check(bp_write(t[1], index, sizeof index) == BP_OK && bp_run(ctx, 0, gather_bad, t) == BP_OK &&
          bp_sync(ctx) == BP_ERR_RANGE &&
          !strcmp(bp_error_text(ctx), "gather: index 7 is out of range"), "gather says its own");
    float nan[OUT] = {NAN};
    check(bp_write(m.b[1], nan, sizeof nan) == BP_OK && bp_run(ctx, 0, mlp_step, &m) == BP_OK &&
          bp_run(ctx, 0, mlp_step, &m) == BP_OK && bp_sync(ctx) == BP_ERR_NONFINITE &&
          !strcmp(bp_error_text(ctx), "optimizer_step: step 2: the gradient of w0 [0,0] is NaN; "
                                      "nothing was changed; 1 later step did nothing either"),
          "a step that is not finite is told, with its first element");
    updates();
    bp_free(t[0]);
    bp_free(t[1]);
    free(before);
    free(after);
    mlp_close(&m);
    scatter_faults();
}

/* --- contexts -------------------------------------------------------------------------------- */

static bp_status host_kernel(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)ex, (void)in, (void)out, (void)params;
    return BP_OK;
}

static bp_status like(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    *out = *in;
    return BP_OK;
}

static bp_status apply(bp_context *c, void *user)
{
    (void)c;
    void **both = user;
    bp_tensor *x = both[1];
    return bp_op_apply(both[0], &x, NULL, NULL) ? BP_OK : BP_ERR_STATE;
}

static void contexts(void)
{
    bp_context *other = NULL, *third = NULL;
    net a, b;
    int good = bp_open(name, &other) == BP_OK && bp_seed(ctx, 4) == BP_OK &&
               bp_seed(other, 4) == BP_OK && net_open(&a, ctx, BP_F32, 0.1) == BP_OK &&
               net_open(&b, other, BP_F32, 0.1) == BP_OK;
    for (int i = 0; i < 5 && good; i++)
        good = net_train(&a, i, 1) == BP_OK && net_train(&b, i, 1) == BP_OK;
    check(good && net_digest(&a) == net_digest(&b), "two contexts train by turns, with equal bits");
    net_close(&a);
    net_close(&b);
    bp_op_def def = {.struct_bytes = sizeof def, .name = "mine", .n_in = 1, .n_out = 1,
                     .infer = like, .forward = host_kernel};
    void *both[2] = {NULL, bp_tensor_create(ctx, BP_F32, BP_SHAPE(3))};
    bp_op *op = NULL;
    check(bp_op_register(ctx, &def, &op) == BP_OK, "a host's op is registered");
    both[0] = op;
    check(bp_run(ctx, 0, apply, both) == BP_ERR_UNSUPPORTED &&
          strstr(bp_error_text(ctx), "mine: "), "and refused where kernels are not host code");
    bp_free(both[1]);
    check(bp_set_precision(ctx, BP_PRECISION_TF32) == BP_OK &&
          bp_set_precision(ctx, BP_PRECISION_F32) == BP_OK &&
          bp_set_precision(ctx, 7) == BP_ERR_ARG, "precision is set, and checked");
    char far[32];
    snprintf(far, sizeof far, "%.*s:999", (int)strcspn(name, ":"), name);
    check(bp_open(far, &third) == BP_ERR_DEVICE && strstr(bp_error_text(third), "no device 999"),
          "a device that is not there is said to be");
    bp_close(third);
    bp_close(other);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } section[] = {{"transfers", transfers}, {"graphs", graphs}, {"faults", faults},
                   {"contexts", contexts}};
    name = argc > 1 ? argv[1] : "cuda:0";
    if (bp_open(name, &ctx) != BP_OK) {
        printf("%s: %s\n", name, bp_error_text(ctx));
        bp_close(ctx);
        return getenv("BPCUDA_REQUIRE_CUDA") ? 1 : 77;
    }
    printf("%s\n", bp_device_text(ctx));
    for (size_t k = 0; k < sizeof section / sizeof *section; k++)
        for (int i = 1; i < (argc > 2 ? argc : 2); i++)
            if (argc <= 2 || !strcmp(argv[i], section[k].name))
                section[k].run();
    bp_close(ctx);
    for (int i = 1; i < (argc > 2 ? argc : 2); i++)
        if (argc <= 2 || !strcmp(argv[i], "cases"))
            check(check_device(name, NULL), "the device agrees with the CPU");
    return check_end();
}
