/* What a host may provide: memory, threads, a log. And user ops inside the library's process; the
 * whole of tests/outside does the same from an installed library. */
#include "suite.h"

typedef struct host {
    guard memory; /* first: guard_hooks' user */
    int64_t jobs, blocks, lines;
    char line[512];
} host;

static void host_parallel_for(void *user, int64_t blocks, bp_block_fn_hook body, void *arg)
{
    host *h = user;
    h->jobs++;
    h->blocks += blocks;
    for (int64_t i = blocks - 1; i >= 0; i--) /* any order */
        body(arg, i);
}

static void host_log(void *user, const char *line)
{
    host *h = user;
    h->lines++;
    snprintf(h->line, sizeof h->line, "%s", line);
}

static uint64_t train(bp_context *c)
{
    net n;
    uint64_t digest = 0;
    if (net_open(&n, c, BP_F32, 0.1) == BP_OK && net_train(&n, 0, 5) == BP_OK)
        digest = net_digest(&n);
    net_close(&n);
    return digest;
}

Test(hooks, a_host_gives_memory_threads_and_a_log)
{
    host h = {.jobs = 0};
    bp_hooks hooks = guard_hooks(&h.memory);
    bp_stats stats;
    hooks.parallel_for = host_parallel_for;
    hooks.log = host_log;
    cr_assert_eq(bp_open_with("cpu", &hooks, &ctx), BP_OK);
    cr_assert(strstr(bp_device_text(ctx), "the host's threads"), "%s", bp_device_text(ctx));
    bp_tensor *big = tensor_in(ctx, BP_F32, BP_SHAPE(300, 1025), NULL, 1);
    begin();
    cr_assert(bp_exp(big));
    cr_assert_null(bp_matmul(big, big));
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_SHAPE);
    cr_assert_eq(h.lines, 1);
    cr_assert_str_eq(h.line, bp_error_text(ctx));
    cr_assert_gt(h.jobs, 0);
    cr_assert_gt(h.blocks, h.jobs);
    bp_get_stats(ctx, &stats);
    cr_assert_gt(h.memory.calls, 5);
    cr_assert_eq(stats.helped_blocks, 0);
    bp_close(ctx);
    cr_assert_eq(h.memory.live, 0);
    cr_assert_not(h.memory.broken);
}

Test(hooks, the_hosts_threads_give_the_bits_of_ours)
{
    host h = {.jobs = 0};
    bp_hooks hooks = {.struct_bytes = sizeof hooks, .user = &h, .parallel_for = host_parallel_for};
    bp_context *theirs, *ours;
    cr_assert_eq(bp_open_with("cpu", &hooks, &theirs), BP_OK);
    cr_assert_eq(bp_open("cpu", &ours), BP_OK);
    uint64_t digest = train(ours);
    cr_assert_neq(digest, 0);
    cr_assert_eq(train(theirs), digest);
    bp_close(theirs);
    bp_close(ours);
}

Test(hooks, alloc_and_free_come_together)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    hooks.free = NULL;
    cr_assert_eq(bp_open_with("cpu", &hooks, &ctx), BP_ERR_ARG);
    TEXT("open: hooks need both alloc and free, or neither");
    bp_close(ctx);
    cr_assert_eq(g.calls, 0, "a heap it could not give back to is left alone");
}

Test(hooks, an_older_hosts_shorter_struct_is_read_as_far_as_it_goes)
{
    host h = {.jobs = 0};
    bp_hooks hooks = {.struct_bytes = offsetof(bp_hooks, parallel_for), .user = &h,
                      .parallel_for = host_parallel_for};
    cr_assert_eq(bp_open_with("cpu", &hooks, &ctx), BP_OK);
    bp_tensor *big = tensor_in(ctx, BP_F32, BP_SHAPE(300, 1025), NULL, 1);
    begin();
    cr_assert(bp_exp(big));
    end();
    cr_assert_eq(h.jobs, 0);
    bp_close(ctx);
}

typedef struct newer_hooks {
    bp_hooks known;
    void (*unknown)(void);
} newer_hooks;

Test(hooks, a_newer_hosts_longer_struct_is_taken_if_its_new_fields_are_zero)
{
    host h = {.jobs = 0};
    newer_hooks newer = {.known = {.struct_bytes = sizeof newer, .user = &h, .log = host_log}};
    cr_assert_eq(bp_open_with("cpu", &newer.known, &ctx), BP_OK);
    cr_assert_eq(bp_set_threads(ctx, -1), BP_ERR_ARG);
    cr_assert_eq(h.lines, 1);
    bp_close(ctx);
    newer.unknown = abort;
    cr_assert_eq(bp_open_with("cpu", &newer.known, &ctx), BP_ERR_UNSUPPORTED);
    cr_assert(strstr(bp_error_text(ctx), "open: a field behind byte "), "%s", bp_error_text(ctx));
    bp_close(ctx);
    for (size_t bytes = 0; bytes < offsetof(bp_hooks, alloc); bytes += 8) {
        newer.known.struct_bytes = bytes;
        cr_assert_eq(bp_open_with("cpu", &newer.known, &ctx), BP_ERR_ARG);
        cr_assert(strstr(bp_error_text(ctx), "struct_bytes is "), "%s", bp_error_text(ctx));
        bp_close(ctx);
    }
}

Test(hooks, counters_fill_a_struct_of_any_header, .init = setup, .fini = teardown)
{
    struct {
        bp_stats known;
        int64_t more, behind;
    } s = {.more = 5, .behind = 7};
    bp_stats_of(ctx, &s.known, sizeof s.known + sizeof s.more);
    cr_assert_gt(s.known.allocations, 0);
    cr_assert_eq(s.more, 0);
    cr_assert_eq(s.behind, 7);
    s.known.kernels = 3;
    bp_stats_of(ctx, &s.known, sizeof s.known.allocations);
    cr_assert_gt(s.known.allocations, 0);
    cr_assert_eq(s.known.kernels, 3);
}

Test(hooks, set_threads_is_told_in_the_device_text)
{
    setup();
    OK(bp_set_threads(ctx, 3));
    cr_assert(strstr(bp_device_text(ctx), ", 3 threads"), "%s", bp_device_text(ctx));
    OK(bp_set_threads(ctx, 1));
    cr_assert(strstr(bp_device_text(ctx), ", 1 thread"), "%s", bp_device_text(ctx));
    bp_close(ctx);
}

/* --- registered ops -------------------------------------------------------------------------- */

static bp_status square_infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params;
    out[0].dtype = in[0].dtype;
    out[0].shape = in[0].shape;
    if (in[0].dtype == BP_F64)
        return BP_OK;
    strcpy(why, "x must be f64");
    return BP_ERR_DTYPE;
}

static bp_status square_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                                const void *params)
{
    double shift = *(const double *)params;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++) {
        double x = ((const double *)in->data)[i] + shift;
        if (x > 1e6)
            bp_fault_range(ex, i);
        ((double *)out->data)[i] = x * x;
    }
    return BP_OK;
}

static bp_status square_gradient(bp_grad_call *c)
{
    if (bp_shape_count(c->in_shape[0]) == 7)
        return BP_ERR_UNSUPPORTED; /* for a test */
    c->dx[0] = bp_scale(bp_mul(c->dout[0], c->in[0]), 2); /* right where shift is 0 */
    return c->dx[0] ? BP_OK : BP_ERR_NOMEM;
}

static bp_op *square(bool differentiable)
{
    bp_op *op;
    bp_op_def def = {.struct_bytes = sizeof def, .name = "square", .n_in = 1, .n_out = 1,
                     .params_bytes = sizeof(double), .saves_in = 1, .infer = square_infer,
                     .forward = square_forward,
                     .gradient = differentiable ? square_gradient : NULL};
    OK(bp_op_register(ctx, &def, &op));
    return op;
}

Test(registered, an_op_of_ones_own_is_differentiated_twice, .init = setup, .fini = teardown)
{
    bp_op *op = square(true);
    bp_tensor *dx, *ddx, *one = NUMBER(1), *wide = TENSOR(BP_SHAPE(2, 2), 1, 2, 3, 4);
    double zero = 0, two = 2;
    begin();
    bp_tensor *x = bp_require_grad(NUMBER(3)), *t = bp_transpose(wide, 0, 1);
    bp_tensor *y = bp_mul(bp_op_apply(op, &x, &zero, NULL), x); /* x^3 */
    OK(bp_grad(ctx, y, one, &x, 1, BP_CREATE_GRAPH, &dx));
    OK(bp_grad(ctx, dx, one, &x, 1, 0, &ddx));
    cr_assert_eq(at(dx, 0), 27);
    cr_assert_eq(at(ddx, 0), 18);
    cr_assert_eq(at(bp_op_apply(op, &t, &two, NULL), 1), 25, "inputs come packed");
    end();
    cr_assert_null(bp_op_apply(NULL, &x, NULL, NULL));
}

Test(registered, its_refusals_and_failures_are_told_by_name, .init = setup, .fini = teardown)
{
    bp_op *op = square(true), *flat = square(false);
    bp_tensor *f = tensor_in(ctx, BP_F32, BP_SCALAR, NULL, 0), *dx, *huge = NUMBER(1e9);
    bp_tensor *seven = random_tensor(BP_SHAPE(7), 1), *dy = random_tensor(BP_SHAPE(7), 2);
    double zero = 0;
    begin();
    cr_assert_null(bp_op_apply(op, &f, &zero, NULL));
    end_with(BP_ERR_DTYPE, "square: x must be f64");
    begin();
    bp_tensor *x = bp_require_grad(seven);
    cr_assert_null(bp_op_apply(flat, &x, &zero, NULL));
    end_with(BP_ERR_UNSUPPORTED, "square has no gradient, and an input asks for one");
    begin();
    cr_assert(bp_op_apply(flat, &seven, &zero, NULL), "without one it runs");
    x = bp_require_grad(seven);
    bp_tensor *y = bp_op_apply(op, &x, &zero, NULL);
    cr_assert_eq(bp_grad(ctx, y, dy, &x, 1, 0, &dx), BP_ERR_UNSUPPORTED);
    end_with(BP_ERR_UNSUPPORTED, "square: its gradient failed: unsupported");
    begin();
    cr_assert(bp_op_apply(op, &huge, &zero, NULL));
    end();
    cr_assert_eq(bp_sync(ctx), BP_ERR_RANGE);
    TEXT("square: index 0 is out of range");
    bp_op_def def = {.struct_bytes = sizeof def, .name = "none"};
    bp_op *none;
    cr_assert_eq(bp_op_register(ctx, &def, &none), BP_ERR_ARG);
    cr_assert_null(none);
}

/* Objects of every kind, freed after their context was closed, from the `first` on. */
static void freed_after_close(int first)
{
    host h = {.jobs = 0};
    bp_hooks hooks = guard_hooks(&h.memory);
    bp_context *c;
    bp_data *data;
    bp_model *model;
    bp_trainer *trainer;
    bp_plan *plan;
    net n;
    int32_t done;
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    cr_assert_eq(net_open(&n, c, BP_F32, 0.1), BP_OK);
    cr_assert_eq(net_batch(&n, 0), BP_OK);
    cr_assert_eq(bp_plan_record(c, net_step, &n, &plan), BP_OK);
    cr_assert_eq(bp_data_digits(c, &data), BP_OK);
    cr_assert_eq(bp_model_create(c, 64, "4 relu", 10, &model), BP_OK);
    cr_assert_eq(bp_trainer_create(model, data, &trainer), BP_OK);
    cr_assert_eq(bp_trainer_run(trainer, 1, -1, &done), BP_OK);
    bp_close(c);
    for (int i = 0; i < 6; i++) {
        cr_assert_gt(h.memory.live, 0);
        switch ((first + i) % 6) {
        case 0: bp_plan_free(plan); break;
        case 1: bp_params_free(n.params); break;
        case 2: bp_optimizer_free(n.opt); break;
        case 3: bp_trainer_free(trainer); break;
        case 4: bp_model_free(model); break;
        case 5: bp_data_free(data); break;
        }
    }
    cr_assert_eq(h.memory.live, 0);
    cr_assert_not(h.memory.broken);
}

Test(hooks, a_context_goes_with_the_last_of_its_objects)
{
    for (int first = 0; first < 6; first++)
        freed_after_close(first);
}

typedef struct newer_def {
    bp_op_def known;
    int64_t unknown;
} newer_def;

Test(registered, it_may_come_from_an_older_header_or_a_newer_one, .init = setup, .fini = teardown)
{
    bp_op *op;
    newer_def d = {.known = {.struct_bytes = offsetof(bp_op_def, gradient), .name = "square",
                             .n_in = 1, .n_out = 1, .params_bytes = sizeof(double),
                             .infer = square_infer, .forward = square_forward,
                             .gradient = square_gradient}};
    double zero = 0;
    bp_tensor *x = NUMBER(3);
    OK(bp_op_register(ctx, &d.known, &op));
    begin();
    cr_assert_eq(at(bp_op_apply(op, &x, &zero, NULL), 0), 9);
    x = bp_require_grad(x);
    cr_assert_null(bp_op_apply(op, &x, &zero, NULL), "an older header has no gradient");
    end_with(BP_ERR_UNSUPPORTED, "square has no gradient, and an input asks for one");
    d.known.struct_bytes = sizeof d;
    OK(bp_op_register(ctx, &d.known, &op));
    d.unknown = 1;
    cr_assert_eq(bp_op_register(ctx, &d.known, &op), BP_ERR_UNSUPPORTED);
    cr_assert_null(op);
    d.known.struct_bytes = offsetof(bp_op_def, forward);
    cr_assert_eq(bp_op_register(ctx, &d.known, &op), BP_ERR_ARG);
    d.known.struct_bytes = SIZE_MAX;
    cr_assert_eq(bp_op_register(ctx, &d.known, &op), BP_ERR_ARG);
}
