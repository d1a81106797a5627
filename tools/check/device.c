/* A device held against the CPU, as a table: what a user can run on a GPU of theirs.
 *
 *     cases      every row of the table of cases, values and gradients, f32 and f64, against f64
 *                of the plain CPU kernels, with the row's own tolerance
 *     bits       dropout, draws, rows by a shuffled index and back, initial weights: the CPU's
 *     replays    a step replayed is the step called; no wait, no allocation; two runs are one
 *     training   the losses of 200 steps, no further from the CPU's f64 than twice its own f32 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case_run.h"
#include "net.h"

static bp_context *cpu, *device;
static const op_case about = {.op = "device", .name = "device"};

static void line(const char *what, const char *detail, int failures_before)
{
    printf("%-18s %-58s %s\n", what, detail, reader_failures > failures_before ? "FAILED" : "ok");
    fflush(stdout);
}

/* --- cases ------------------------------------------------------------------------------------ */

static void compare_results(const op_case *c, bp_dtype real, const results *got,
                            const results *want)
{
    char what[64];
    bool other = !strcmp(c->builder, "cast_other");
    for (int k = 0; k < want->n_out + c->n_in; k++) {
        bool grad = k >= want->n_out;
        int i = grad ? k - want->n_out : k;
        if (grad && !case_differentiable(c, i))
            continue;
        snprintf(what, sizeof what, "%s %d", grad ? "gradient" : "output", i);
        check_values("device", c, what, grad ? &got->grad[i] : &got->out[i],
                     grad ? &want->grad[i] : &want->out[i], other ? BP_F32 : real, c->tol);
    }
}

static void one_case(const op_case *c, bool specials)
{
    values in[BP_MAX_IO] = {{0}};
    results want, got;
    case_inputs(c, specials, in);
    if (!case_run(cpu, c, BP_F64, in, RUN_GRADIENTS, &want))
        check_failed_case("device", c, "on the CPU: %s", bp_error_text(cpu));
    for (bp_dtype real = BP_F32; real <= BP_F64; real++) {
        if (case_run(device, c, real, in, RUN_GRADIENTS, &got))
            compare_results(c, real, &got, &want);
        else
            check_failed_case("device", c, "%s: %s", bp_dtype_name(real), bp_error_text(device));
        results_free(&got);
    }
    results_free(&want);
    values_free(in, BP_MAX_IO);
}

static void cases_of(const char *op)
{
    int before = reader_failures, n = 0;
    int64_t checks = reader_checks;
    char detail[96];
    reader_worst = 0;
    for (int i = 0; i < op_cases_n; i++)
        if (!strcmp(op_cases[i].op, op)) {
            one_case(&op_cases[i], false);
            if (op_cases[i].flags & CASE_SPECIALS)
                one_case(&op_cases[i], true);
            n++;
        }
    if (reader_checks == checks)
        check_failed_case("device", &about, "%s: nothing was compared", op);
    snprintf(detail, sizeof detail, "%2d cases, %8lld numbers, error %.2f of the allowed", n,
             (long long)(reader_checks - checks), reader_worst);
    line(op, detail, before);
}

/* --- bits ------------------------------------------------------------------------------------- */

static void equal(const char *what, const values *got, const values *want)
{
    reader_checks += want->n;
    if (got->n != want->n || memcmp(got->v, want->v, (size_t)want->n * sizeof *want->v))
        check_failed_case("device", &about, "%s: not the bits of the CPU", what);
}

/* A case with its own row, on both devices, output 0 by bits. */
static void equal_case(const op_case *c)
{
    values in[BP_MAX_IO] = {{0}};
    results want, got;
    case_inputs(c, false, in);
    for (bp_dtype real = BP_F32; real <= BP_F64; real++) {
        bool done = case_run(cpu, c, real, in, 0, &want);
        done = case_run(device, c, real, in, 0, &got) && done;
        if (done)
            equal(c->name, &got.out[0], &want.out[0]);
        else
            check_failed_case("device", c, "%s", bp_error_text(device));
        results_free(&want);
        results_free(&got);
    }
    values_free(in, BP_MAX_IO);
}

static void dropout_bits(void)
{
    int before = reader_failures;
    op_case c = {.op = "dropout", .name = "dropout", .builder = "dropout", .n_in = 1};
    static const bp_shape shape[] = {{1, {100003}}, {2, {131, 33}}, {2, {17, 256}}};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            c.in[0] = (op_input){0, AS_IS, 1, 2, shape[i]};
            c.x = 0.1 + 0.35 * k;
            equal_case(&c);
        }
    line("dropout", "masks and values have the CPU's bits", before);
}

static void draw_bits(void)
{
    int before = reader_failures;
    for (int i = 0; i < op_cases_n; i++)
        if (!strcmp(op_cases[i].op, "draw") || !strcmp(op_cases[i].op, "bernoulli") ||
            !strcmp(op_cases[i].op, "augment"))
            equal_case(&op_cases[i]);
    line("draw", "draws and images that they move have the CPU's bits", before);
}

static void gather_bits(void)
{
    int before = reader_failures;
    op_case c = {.op = "gather", .name = "gather", .builder = "gather", .n_in = 2};
    c.in[0] = (op_input){0, AS_IS, -1, 1, {2, {997, 65}}};
    c.in[1] = (op_input){BP_I32, AS_IS, 0, 997, {1, {2048}}};
    equal_case(&c);
    line("shuffled rows", "have the CPU's bits", before);
}

/* One tile of indices, several, and more than one chunk (kernels/scatter_rows.cu). */
static void scatter_bits(void)
{
    int before = reader_failures;
    op_case c = {.op = "scatter_rows", .name = "scatter", .builder = "scatter_rows", .n_in = 2};
    static const int64_t size[][3] = {{997, 64, 300}, {2048, 3, 70001}, {5000, 17, 257},
                                      {270001, 1, 257}};
    for (int i = 0; i < 4; i++) {
        c.in[0] = (op_input){0, AS_IS, -1, 1, {2, {size[i][0], size[i][1]}}};
        c.in[1] = (op_input){BP_I32, AS_IS, 0, (double)size[i][2], {1, {size[i][0]}}};
        c.a = size[i][2];
        equal_case(&c);
    }
    line("rows added", "have the CPU's bits, added in order", before);
}

static void initial_bits(void)
{
    int before = reader_failures;
    net a = {0}, b = {0};
    values want, got;
    bp_status st = bp_seed(cpu, 11);
    st = st == BP_OK ? net_open(&a, cpu, BP_F32, 0) : st;
    st = st == BP_OK ? bp_seed(device, 11) : st;
    st = st == BP_OK ? net_open(&b, device, BP_F32, 0) : st;
    for (int i = 0; i < NET_PARAMS && st == BP_OK; i++) {
        if (tensor_values(bp_param_at(a.params, i), &want) &&
            tensor_values(bp_param_at(b.params, i), &got))
            equal("initial weights", &got, &want);
        else
            st = BP_ERR_STATE;
        values_free(&want, 1);
        values_free(&got, 1);
    }
    if (st != BP_OK)
        check_failed_case("device", &about, "initial weights: %s", bp_error_text(device));
    net_close(&a);
    net_close(&b);
    line("initial weights", "have the CPU's bits", before);
}

/* --- replays ---------------------------------------------------------------------------------- */

enum { STEPS = 20 };

/* Eager steps, or a plan: recorded at step 2, then one replay at a time, then ten at once. The
 * digest of all parameters; 0 on failure. */
static uint64_t train_net(bp_dtype dtype, bool replayed, bool *quiet)
{
    net n = {0};
    bp_plan *plan = NULL;
    bp_stats before, after;
    bp_status st = bp_seed(device, 5);
    st = st == BP_OK ? net_open(&n, device, dtype, 0.25) : st;
    if (st == BP_OK)
        st = net_train(&n, 0, replayed ? 2 : STEPS);
    for (int i = 2; i < STEPS && st == BP_OK && replayed; i++) {
        st = net_batch(&n, i);
        bp_get_stats(device, &before);
        if (st == BP_OK)
            st = i == 2 ? bp_plan_record(device, net_step, &n, &plan) : bp_plan_replay(plan, 1);
        bp_get_stats(device, &after);
        *quiet &= i == 2 ||
                  (after.waits == before.waits && after.allocations == before.allocations);
    }
    for (int i = 0; i < 10 && st == BP_OK && !replayed; i++)
        st = bp_run(device, 0, net_step, &n);
    if (st == BP_OK && replayed)
        st = bp_plan_replay(plan, 10);
    uint64_t digest = st == BP_OK ? net_digest(&n) : 0;
    if (!digest)
        check_failed_case("device", &about, "replays: %s", bp_error_text(device));
    bp_plan_free(plan);
    net_close(&n);
    return digest;
}

static void replays(void)
{
    int before = reader_failures;
    bool quiet = true;
    for (bp_dtype dtype = BP_F32; dtype <= BP_F64; dtype++) {
        uint64_t eager = train_net(dtype, false, &quiet), again = train_net(dtype, false, &quiet);
        uint64_t replayed = train_net(dtype, true, &quiet);
        if (again != eager)
            check_failed_case("device", &about, "%s: two runs differ", bp_dtype_name(dtype));
        if (replayed != eager)
            check_failed_case("device", &about, "%s: replays differ from calls",
                              bp_dtype_name(dtype));
    }
    if (!quiet)
        check_failed_case("device", &about, "a replay waited, or allocated");
    line("replays", "equal calls by bits; no wait, no allocation; runs repeat", before);
}

/* --- training --------------------------------------------------------------------------------- */

enum { CURVE_STEPS = 200, BATCH = 64, HIDDEN = 64 };

typedef struct curve {
    bp_context *ctx;
    bp_dtype dtype;
    bp_data *data;
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *w[2], *b[2], *shift, *scale, *index, *loss;
    double losses[CURVE_STEPS];
} curve;

static bp_status curve_step(bp_context *ctx, void *user)
{
    curve *c = user;
    bp_tensor *all = bp_reshape(bp_data_samples(c->data), /* images too */
                                BP_SHAPE(bp_data_rows(c->data), bp_data_cols(c->data)));
    bp_tensor *x = bp_gather_normalized(all, c->index, c->shift, c->scale, c->dtype);
    bp_tensor *h = bp_linear_relu(x, c->w[0], c->b[0], 0);
    bp_tensor *labels = bp_gather(bp_data_labels(c->data), c->index);
    bp_tensor *loss = bp_cross_entropy(bp_linear(h, c->w[1], c->b[1]), labels);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK)
        st = bp_copy_into(c->loss, loss);
    return st == BP_OK ? bp_optimizer_step(c->adam) : st;
}

static bp_status curve_data(curve *c, const char *mnist)
{
    return mnist ? bp_data_idx_folder(c->ctx, mnist, 0, &c->data)
                 : bp_data_digits(c->ctx, &c->data);
}

static bool constant(bp_tensor *t, double value)
{
    values v = {bp_shape_count(bp_shape_of(t)), NULL};
    v.v = malloc((size_t)v.n * sizeof *v.v);
    for (int64_t i = 0; i < v.n && v.v; i++)
        v.v[i] = value;
    bool done = v.v && tensor_fill(t, &v);
    values_free(&v, 1);
    return done;
}

static bp_status curve_open(curve *c, const char *mnist)
{
    bp_status st = bp_seed(c->ctx, 3);
    st = st == BP_OK ? curve_data(c, mnist) : st;
    st = st == BP_OK ? bp_params_create(c->ctx, c->dtype, &c->params) : st;
    if (st != BP_OK)
        return st;
    int64_t inputs = bp_data_cols(c->data), classes = bp_data_classes(c->data);
    c->w[0] = bp_param(c->params, "w0", BP_SHAPE(HIDDEN, inputs), BP_INIT_HE);
    c->b[0] = bp_param(c->params, "b0", BP_SHAPE(HIDDEN), BP_INIT_ZERO);
    c->w[1] = bp_param(c->params, "w1", BP_SHAPE(classes, HIDDEN), BP_INIT_LECUN);
    c->b[1] = bp_param(c->params, "b1", BP_SHAPE(classes), BP_INIT_ZERO);
    c->shift = bp_tensor_create(c->ctx, BP_F64, BP_SHAPE(inputs));
    c->scale = bp_tensor_create(c->ctx, BP_F64, BP_SHAPE(inputs));
    c->index = bp_tensor_create(c->ctx, BP_I32, BP_SHAPE(BATCH));
    c->loss = bp_tensor_create(c->ctx, c->dtype, BP_SCALAR);
    if (!c->b[1] || !c->shift || !c->scale || !c->index || !c->loss)
        return BP_ERR_NOMEM;
    if (!constant(c->shift, mnist ? 32 : 4) || !constant(c->scale, mnist ? 1.0 / 64 : 0.25))
        return BP_ERR_STATE;
    return bp_adam_create(c->params, 1e-3, &c->adam);
}

static void curve_close(curve *c)
{
    bp_optimizer_free(c->adam);
    bp_params_free(c->params);
    bp_free(c->shift);
    bp_free(c->scale);
    bp_free(c->index);
    bp_free(c->loss);
    bp_data_free(c->data);
}

/* The losses of CURVE_STEPS steps. */
static bool train_curve(curve *c, const char *mnist)
{
    bp_status st = curve_open(c, mnist);
    for (int64_t i = 0; i < CURVE_STEPS && st == BP_OK; i++) {
        int32_t index[BATCH];
        values loss = {0};
        for (int k = 0; k < BATCH; k++)
            index[k] = (int32_t)((i * BATCH + k) * 7919 % bp_data_rows(c->data));
        st = bp_write(c->index, index, sizeof index);
        if (st == BP_OK)
            st = bp_run(c->ctx, 0, curve_step, c);
        if (st == BP_OK && tensor_values(c->loss, &loss))
            c->losses[i] = loss.v[0];
        values_free(&loss, 1);
    }
    if (st != BP_OK)
        check_failed_case("device", &about, "training: %s", bp_error_text(c->ctx));
    curve_close(c);
    return st == BP_OK;
}

static double distance(const curve *a, const curve *b)
{
    double sum = 0;
    for (int i = 0; i < CURVE_STEPS; i++)
        sum += fabs(a->losses[i] - b->losses[i]);
    return sum / CURVE_STEPS;
}

static void training(const char *mnist)
{
    int before = reader_failures;
    char detail[96] = "";
    curve exact = {.ctx = cpu, .dtype = BP_F64}, single = {.ctx = cpu, .dtype = BP_F32};
    curve held = {.ctx = device, .dtype = BP_F32};
    if (train_curve(&exact, mnist) && train_curve(&single, mnist) && train_curve(&held, mnist)) {
        double allowed = 2 * distance(&single, &exact), found = distance(&held, &exact);
        snprintf(detail, sizeof detail, "%s, loss %.4f to %.4f, off by %.1e of %.1e",
                 mnist ? "MNIST" : "digits", held.losses[0], held.losses[CURVE_STEPS - 1], found,
                 allowed);
        if (!(found <= allowed) || !(held.losses[CURVE_STEPS - 1] < 0.5 * held.losses[0]))
            check_failed_case("device", &about, "training: %s", detail);
    }
    line("training", detail, before);
}

/* --- all of it -------------------------------------------------------------------------------- */

bool check_device(const char *name, const char *mnist)
{
    int before = reader_failures;
    if (bp_open("cpu:generic", &cpu) != BP_OK || bp_open(name, &device) != BP_OK) {
        check_failed_case("device", &about, "%s", bp_error_text(device ? device : cpu));
    } else {
        printf("%s\nheld against the CPU in f64\n\n", bp_device_text(device));
        for (int i = 0; op_names[i]; i++)
            cases_of(op_names[i]);
        dropout_bits();
        draw_bits();
        gather_bits();
        scatter_bits();
        initial_bits();
        replays();
        training(mnist);
        printf("\n%lld numbers compared, %d failures\n", (long long)reader_checks,
               reader_failures - before);
    }
    bp_close(device);
    bp_close(cpu);
    device = cpu = NULL;
    return reader_failures == before;
}
