/* Plans: a recorded step replays with the bits of the step itself, and says so when it cannot. */
#include <setjmp.h>

#include "core/handle.h"
#include "suite.h"

#define CLAIM(name) Test(plans, name, .init = setup, .fini = teardown)

/* A net in a context of its own. */
static void own(net *n, bp_dtype dtype)
{
    bp_context *c;
    cr_assert_eq(bp_open(test_device(), &c), BP_OK);
    cr_assert_eq(bp_seed(c, 5), BP_OK);
    cr_assert_eq(net_open(n, c, dtype, 0.25), BP_OK);
}

static void disown(net *n)
{
    net_close(n);
    bp_close(n->ctx);
}

static void equal_bits(net *a, net *b, int step)
{
    size_t na, nb;
    void *x = net_state(a, &na), *y = net_state(b, &nb);
    cr_assert(x && y && na == nb);
    cr_assert_arr_eq(x, y, na, "step %d", step);
    free(x);
    free(y);
}

static void eager_is_replay(bp_dtype dtype)
{
    net a, b;
    bp_plan *plan = NULL;
    own(&a, dtype);
    own(&b, dtype);
    for (int i = 0; i < 20; i++) {
        if (i == 8) {
            OK(bp_optimizer_set(a.opt, BP_OPT_LR, 0.003));
            OK(bp_optimizer_set(b.opt, BP_OPT_LR, 0.003));
        }
        OK(net_train(&a, i, 1));
        OK(net_batch(&b, i));
        if (i < 3)
            OK(bp_run(b.ctx, 0, net_step, &b));
        else if (i == 3)
            OK(bp_plan_record(b.ctx, net_step, &b, &plan));
        else
            OK(bp_plan_replay(plan, 1));
        equal_bits(&a, &b, i);
    }
    OK(net_train(&a, 20, 1));
    OK(net_train(&b, 20, 1)); /* eager again, after the plan */
    equal_bits(&a, &b, 20);
    bp_plan_free(plan);
    disown(&a);
    disown(&b);
}

CLAIM(eager_and_replay_give_equal_bits_in_f32)
{
    eager_is_replay(BP_F32);
}

CLAIM(eager_and_replay_give_equal_bits_in_f64)
{
    eager_is_replay(BP_F64);
}

CLAIM(a_replay_many_times_is_many_replays)
{
    net a, b;
    bp_plan *p, *q;
    own(&a, BP_F32);
    own(&b, BP_F32);
    OK(net_batch(&a, 0));
    OK(net_batch(&b, 0));
    OK(bp_plan_record(a.ctx, net_step, &a, &p));
    OK(bp_plan_record(b.ctx, net_step, &b, &q));
    OK(bp_plan_replay(p, 0));
    OK(bp_plan_replay(p, 7));
    for (int i = 0; i < 7; i++)
        OK(bp_plan_replay(q, 1));
    equal_bits(&a, &b, 7);
    bp_stats before, after;
    bp_get_stats(a.ctx, &before);
    OK(bp_plan_replay(p, 1));
    bp_get_stats(a.ctx, &after);
    cr_assert_gt(bp_plan_kernels(p), 10);
    cr_assert_eq(after.kernels - before.kernels, bp_plan_kernels(p));
    bp_plan_free(p);
    bp_plan_free(q);
    bp_plan_free(NULL);
    disown(&a);
    disown(&b);
}

CLAIM(micro_batches_are_plans_too_and_the_window_is_checked)
{
    net a, b;
    bp_plan *write, *add, *update;
    own(&a, BP_F64);
    own(&b, BP_F64);
    OK(net_batch(&b, 0));
    OK(bp_plan_record(b.ctx, net_backward, &b, &write));
    OK(net_batch(&b, 1));
    OK(bp_plan_record(b.ctx, net_backward, &b, &add));
    cr_assert_eq(bp_plan_replay(write, 1), BP_ERR_STATE, "it would write over what has arrived");
    cr_assert_str_eq(bp_error_text(b.ctx), "plan_replay: the gradient of layer1.weight is waiting "
                                           "for a step, unlike when the plan was recorded");
    OK(net_batch(&b, 2));
    OK(bp_plan_replay(add, 1));
    OK(bp_plan_record(b.ctx, net_update, &b, &update));
    cr_assert_eq(bp_plan_replay(add, 1), BP_ERR_STATE, "there is nothing to add to");
    cr_assert_str_eq(bp_error_text(b.ctx), "plan_replay: the gradient of layer1.weight is clear, "
                                           "unlike when the plan was recorded");
    cr_assert_eq(bp_plan_replay(update, 1), BP_ERR_STATE, "there is nothing to step with");
    for (int i = 3; i < 9; i++) {
        OK(net_batch(&b, i));
        OK(bp_plan_replay(i % 3 ? add : write, 1));
        if (i % 3 == 2)
            OK(bp_plan_replay(update, 1));
    }
    for (int i = 0; i < 9; i++) {
        OK(net_batch(&a, i));
        OK(bp_run(a.ctx, 0, net_backward, &a));
        if (i % 3 == 2)
            OK(bp_run(a.ctx, 0, net_update, &a));
    }
    bp_plan *plan[] = {write, add, update};
    for (int i = 0; i < 3; i++)
        bp_plan_free(plan[i]);
    /* An update is a scope of its own, eager or replayed: random steps are equal. */
    equal_bits(&a, &b, 9);
    disown(&a);
    disown(&b);
}

typedef struct misuse {
    bp_tensor *x;
    bp_params *params;
    bp_plan *plan;
    int what;
} misuse;

static bp_status do_wrong(bp_context *c, void *user)
{
    misuse *m = user;
    double v = 0;
    bp_plan *plan;
    bp_tensor *y = bp_scale(m->x, 2);
    switch (m->what) {
    case 0: return bp_read(y, &v, sizeof v);
    case 1: return bp_write(m->x, &v, sizeof v);
    case 2: return bp_keep(y) ? BP_OK : BP_ERR_STATE;
    case 3: return bp_param(m->params, "new", BP_SCALAR, BP_INIT_ZERO) ? BP_OK : BP_ERR_STATE;
    case 4: return bp_sync(c);
    case 5: return bp_seed(c, 1);
    case 6: return bp_tensor_create(c, BP_F32, BP_SCALAR) ? BP_OK : BP_ERR_STATE;
    case 7: return bp_plan_record(c, do_wrong, user, &plan);
    case 8: return bp_plan_replay(m->plan, 1);
    case 9: return bp_scale(bp_param_at(m->params, 0), 2) ? BP_OK : BP_ERR_STATE;
    default: return BP_OK;
    }
}

CLAIM(what_a_recorded_step_may_not_do_is_named)
{
    static const char *const text[] = {
        "read: not while a plan is recorded", "write: not while a plan is recorded",
        "keep: not while a plan is recorded", "param: not while a plan is recorded",
        "sync: not while a plan is recorded", "seed: not while a plan is recorded",
        "tensor_create: not while a plan is recorded",
        "plan_record: not while a plan is recorded", "plan_replay: not while a plan is recorded",
        "the first use of a parameter store: not while a plan is recorded"};
    misuse m = {.x = NUMBER(3), .what = 99};
    bp_plan *plan;
    OK(bp_plan_record(ctx, do_wrong, &m, &m.plan));
    OK(bp_params_create(ctx, BP_F64, &m.params));
    cr_assert(bp_param(m.params, "unused", BP_SCALAR, BP_INIT_ZERO));
    for (m.what = 0; m.what < (int)(sizeof text / sizeof *text); m.what++) {
        cr_assert_eq(bp_plan_record(ctx, do_wrong, &m, &plan), BP_ERR_STATE, "%s", text[m.what]);
        TEXT(text[m.what]);
        cr_assert_null(plan);
    }
    begin(); /* the context is as it was */
    cr_assert_eq(at(bp_scale(m.x, 2), 0), 6);
    cr_assert_eq(bp_plan_replay(m.plan, 1), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "plan_replay: inside a scope");
    begin();
    cr_assert_eq(bp_plan_record(ctx, do_wrong, &m, &plan), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "plan_record: inside a scope; a plan is an outermost one");
    cr_assert_eq(bp_plan_replay(NULL, 1), BP_ERR_ARG);
    bp_plan_free(m.plan);
    bp_params_free(m.params);
}

/* --- memory ---------------------------------------------------------------------------------- */

typedef struct sums {
    bp_tensor *in, *out;
    double factor;
} sums;

static bp_status scaled(bp_context *c, void *user)
{
    (void)c;
    sums *s = user;
    bp_tensor *y = bp_exp(bp_scale(s->in, s->factor));
    return bp_copy_into(s->out, bp_log(y));
}

CLAIM(two_plans_and_eager_code_share_a_context_without_touching_each_other)
{
    sums a = {random_tensor(BP_SHAPE(100), 1), random_tensor(BP_SHAPE(100), 2), 2};
    sums b = {random_tensor(BP_SHAPE(100), 3), random_tensor(BP_SHAPE(100), 4), -3};
    bp_plan *p, *q;
    begin();
    bp_tensor *kept = bp_keep(bp_scale(a.in, 5));
    end();
    OK(bp_plan_record(ctx, scaled, &a, &p));
    OK(bp_plan_record(ctx, scaled, &b, &q));
    bp_tensor *later = random_tensor(BP_SHAPE(100), 6);
    for (int i = 0; i < 5; i++) {
        double v[100];
        for (int k = 0; k < 100; k++)
            v[k] = op_random((uint64_t)i, k);
        OK(bp_write(a.in, v, sizeof v)); /* between replays inputs may be refilled */
        begin();
        bp_tensor *mine = bp_scale(later, 7);
        double seven = at(mine, 42);
        OK(bp_scope_end(ctx));
        OK(bp_plan_replay(p, 1));
        OK(bp_plan_replay(q, 1));
        cr_assert_eq(seven, 7 * at(later, 42));
        for (int k = 0; k < 100; k += 33) {
            cr_assert_float_eq(at(a.out, k), 2 * v[k], 1e-12);
            cr_assert_float_eq(at(b.out, k), -3 * at(b.in, k), 1e-12);
            cr_assert_eq(at(kept, k), (float)(2 * op_random(1, k) - 1) * 5.0);
        }
    }
    bp_plan_free(p);
    OK(bp_plan_replay(q, 1));
    bp_plan_free(q);
}

CLAIM(a_plan_holds_the_tensors_it_uses)
{
    sums s = {NUMBER(4), NUMBER(0), 2};
    bp_plan *p;
    OK(bp_plan_record(ctx, scaled, &s, &p));
    begin();
    bp_tensor *view = bp_keep(bp_reshape(s.out, BP_SHAPE(1)));
    end();
    bp_free(s.in);
    bp_free(s.out);
    double other = 77;
    bp_tensor *x = TENSOR(BP_SHAPE(1), other); /* must not get their memory */
    OK(bp_copy_into(view, x));
    OK(bp_plan_replay(p, 1));
    cr_assert_float_eq(at(view, 0), 8, 1e-12);
    cr_assert_eq(at(x, 0), other);
    bp_plan_free(p);
}

CLAIM(a_plan_of_a_freed_store_refuses)
{
    net n;
    bp_plan *p;
    own(&n, BP_F32);
    OK(net_batch(&n, 0));
    OK(bp_plan_record(n.ctx, net_backward, &n, &p));
    bp_optimizer_free(n.opt);
    bp_params_free(n.params);
    cr_assert_eq(bp_plan_replay(p, 1), BP_ERR_STATE);
    cr_assert_str_eq(bp_error_text(n.ctx), "plan_replay: its parameter store was freed");
    bp_plan_free(p);
    n.opt = NULL;
    n.params = NULL;
    disown(&n);
}

static bp_status gathers(bp_context *c, void *user)
{
    (void)c;
    bp_tensor **t = user;
    return bp_copy_into(t[2], bp_gather(t[0], t[1]));
}

CLAIM(a_replay_notes_bad_indices_like_the_step)
{
    bp_tensor *t[] = {TENSOR(BP_SHAPE(2), 10, 20), INTS(BP_SHAPE(1), 1), TENSOR(BP_SHAPE(1), 0)};
    int32_t bad = 2, good = 0;
    bp_plan *p;
    OK(bp_plan_record(ctx, gathers, t, &p));
    OK(bp_write(t[1], &bad, sizeof bad));
    OK(bp_plan_replay(p, 1));
    cr_assert_eq(bp_sync(ctx), BP_ERR_RANGE);
    TEXT("gather: index 2 is out of range");
    OK(bp_write(t[1], &good, sizeof good));
    OK(bp_plan_replay(p, 1));
    cr_assert_eq(at(t[2], 0), 10);
    bp_plan_free(p);
}

/* --- what a plan follows from, beside its calls ---------------------------------------------- */

static void refuses(bp_context *c, bp_plan *p, const char *text)
{
    cr_assert_eq(bp_plan_replay(p, 1), BP_ERR_STATE, "%s", text);
    cr_assert_str_eq(bp_error_text(c), text);
}

CLAIM(a_parameter_frozen_or_thawed_after_the_recording_is_named)
{
    net n;
    bp_plan *p;
    own(&n, BP_F32);
    OK(net_batch(&n, 0));
    OK(bp_param_freeze(n.params, 2, 1));
    OK(bp_plan_record(n.ctx, net_step, &n, &p));
    OK(bp_param_freeze(n.params, 0, 1));
    refuses(n.ctx, p, "plan_replay: layer1.weight is frozen, unlike when the plan was recorded");
    OK(bp_param_freeze(n.params, 0, 0));
    OK(bp_plan_replay(p, 1)); /* as it was, so the plan is good again */
    OK(bp_param_freeze(n.params, 2, 0));
    refuses(n.ctx, p, "plan_replay: layer2.weight is not frozen, unlike when the plan was recorded");
    bp_plan_free(p);
    disown(&n);
}

typedef struct two {
    bp_tensor *w[2];
    bp_params *p;
    bp_optimizer *o;
} two;

static bp_status uses_the_first(bp_context *c, void *user)
{
    two *t = user;
    bp_status st = bp_backward(c, bp_mul(t->w[0], t->w[0]));
    return st == BP_OK ? bp_optimizer_step(t->o) : st;
}

CLAIM(a_parameter_that_the_step_does_not_use_may_be_frozen)
{
    bp_tensor *init[] = {NUMBER(3), NUMBER(5)};
    two t;
    bp_plan *p;
    t.p = store_of(2, init, t.w);
    OK(bp_sgd_create(t.p, 0.5, 0, &t.o));
    OK(bp_plan_record(ctx, uses_the_first, &t, &p));
    OK(bp_param_freeze(t.p, 1, 1));
    OK(bp_plan_replay(p, 1));
    bp_plan_free(p);
    bp_optimizer_free(t.o);
    bp_params_free(t.p);
}

CLAIM(an_option_of_the_optimiser_that_is_another_now_is_named)
{
    net n;
    bp_plan *p;
    own(&n, BP_F32);
    OK(net_batch(&n, 0));
    OK(bp_plan_record(n.ctx, net_step, &n, &p));
    OK(bp_optimizer_set(n.opt, BP_OPT_LR, 0.5)); /* lives on the device */
    OK(bp_plan_replay(p, 1));
    OK(bp_optimizer_set(n.opt, BP_OPT_L2, 0.125));
    refuses(n.ctx, p, "plan_replay: the optimiser's option L2 is 0.125, and was 0 when the plan was "
                      "recorded");
    OK(bp_optimizer_set(n.opt, BP_OPT_L2, 0));
    OK(bp_plan_replay(p, 1));
    OK(bp_optimizer_set(n.opt, BP_OPT_BETA1, 0.5));
    refuses(n.ctx, p, "plan_replay: the optimiser's option BETA1 is 0.5, and was 0.9 when the plan "
                      "was recorded");
    bp_optimizer_free(n.opt);
    refuses(n.ctx, p, "plan_replay: its optimiser was freed");
    n.opt = NULL;
    bp_plan_free(p);
    disown(&n);
}

CLAIM(a_precision_that_is_another_now_is_named_where_it_makes_a_difference)
{
    sums s = {random_tensor(BP_SHAPE(4), 1), random_tensor(BP_SHAPE(4), 2), 2};
    bp_plan *p;
    OK(bp_plan_record(ctx, scaled, &s, &p));
    OK(bp_set_precision(ctx, BP_PRECISION_TF32));
    if (!strncmp(test_device(), "cpu", 3))
        OK(bp_plan_replay(p, 1)); /* it computes in f32 in any case */
    else
        refuses(ctx, p, "plan_replay: the precision is TF32, unlike when the plan was recorded");
    OK(bp_set_precision(ctx, BP_PRECISION_F32));
    OK(bp_plan_replay(p, 1));
    bp_plan_free(p);
}

CLAIM(a_negative_number_of_replays_is_refused)
{
    sums s = {NUMBER(4), NUMBER(0), 2};
    bp_plan *p;
    OK(bp_plan_record(ctx, scaled, &s, &p));
    cr_assert_eq(bp_plan_replay(p, -3), BP_ERR_ARG);
    TEXT("plan_replay: -3 times; 0 or more are wanted");
    bp_plan_free(p);
}

/* --- a recording that ends otherwise --------------------------------------------------------- */

typedef struct odd {
    net *n;
    enum { FREES_STORE, FREES_OPTIMISER, MAKES_OPTIMISER, FREEZES, FAILS, ENDS, BEGINS } what;
} odd;

static bp_status odd_step(bp_context *c, void *user)
{
    odd *o = user;
    bp_optimizer *made;
    bp_status st = net_backward(c, o->n);
    st = st == BP_OK ? net_update(c, o->n) : st;
    switch (o->what) {
    case FREES_STORE: bp_params_free(o->n->params); return st;
    case FREES_OPTIMISER: bp_optimizer_free(o->n->opt); return st;
    case MAKES_OPTIMISER: return bp_sgd_create(o->n->params, 1, 0, &made);
    case FREEZES: return bp_param_freeze(o->n->params, 0, 1);
    case FAILS: return BP_ERR_IO;
    case ENDS: return bp_scope_end(c);
    case BEGINS: return bp_scope_begin(c, 0);
    }
    return st;
}

CLAIM(a_recording_that_fails_has_done_nothing)
{
    static const struct {
        int what;
        bp_status status;
        const char *text;
    } row[] = {
        {MAKES_OPTIMISER, BP_ERR_STATE, "optimizer_create: not while a plan is recorded"},
        {FREEZES, BP_ERR_STATE, "param_freeze: not while a plan is recorded"},
        {FAILS, BP_ERR_IO, NULL},
        {ENDS, BP_ERR_STATE, "plan_record: the step ended the scope it was called in"},
        {BEGINS, BP_ERR_STATE, "plan_record: the step left 1 of its scopes open"}};
    net n, clean;
    bp_plan *p;
    int64_t steps;
    own(&n, BP_F32);
    own(&clean, BP_F32);
    OK(net_train(&n, 0, 1));
    OK(net_train(&clean, 0, 1));
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        uint64_t before = net_digest(&n);
        OK(net_batch(&n, 5));
        cr_assert_eq(bp_plan_record(n.ctx, odd_step, &(odd){&n, row[i].what}, &p), row[i].status);
        cr_assert_null(p);
        if (row[i].text)
            cr_assert_str_eq(bp_error_text(n.ctx), row[i].text);
        cr_assert_eq(net_digest(&n), before, "row %d", (int)i);
        OK(bp_optimizer_steps(n.opt, &steps));
        cr_assert_eq(steps, 1);
        cr_assert_null(bp_param_grad(n.params, 0));
    }
    OK(net_train(&n, 1, 3)); /* the random stream is where it was, too */
    OK(net_train(&clean, 1, 3));
    equal_bits(&n, &clean, 3);
    disown(&n);
    disown(&clean);
}

CLAIM(what_is_freed_while_it_is_recorded_is_told)
{
    for (int what = FREES_STORE; what <= FREES_OPTIMISER; what++) {
        net n;
        bp_plan *p;
        own(&n, BP_F32);
        OK(net_batch(&n, 0));
        cr_assert_eq(bp_plan_record(n.ctx, odd_step, &(odd){&n, what}, &p), BP_ERR_STATE);
        cr_assert_str_eq(bp_error_text(n.ctx),
                         what == FREES_STORE ? "plan_record: its parameter store was freed"
                                             : "plan_record: its optimiser was freed");
        if (what == FREES_STORE)
            n.params = NULL;
        else
            n.opt = NULL;
        disown(&n);
    }
}

static jmp_buf away;

static bp_status leaves(bp_context *c, void *user)
{
    if (net_step(c, user) == BP_OK)
        longjmp(away, 1);
    return BP_ERR_STATE;
}

CLAIM(a_jump_out_of_a_recording_is_mended_by_ending_its_scope)
{
    net n, clean;
    bp_plan *p = NULL;
    own(&n, BP_F32);
    own(&clean, BP_F32);
    OK(net_batch(&n, 0));
    OK(net_batch(&clean, 0));
    if (!setjmp(away))
        (void)!bp_plan_record(n.ctx, leaves, &n, &p);
    cr_assert_eq(bp_plan_record(n.ctx, net_step, &n, &p), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(n.ctx), BP_ERR_STATE, "the error that is pending");
    cr_assert_str_eq(bp_error_text(n.ctx), "plan_record: not while a plan is recorded");
    OK(bp_plan_record(n.ctx, net_step, &n, &p));
    OK(bp_plan_replay(p, 1));
    OK(bp_run(clean.ctx, 0, net_step, &clean));
    OK(bp_run(clean.ctx, 0, net_step, &clean));
    equal_bits(&n, &clean, 1);
    bp_plan_free(p);
    if (!setjmp(away))
        (void)!bp_plan_record(n.ctx, leaves, &n, &p);
    disown(&n); /* bp_close ends it too */
    disown(&clean);
}

CLAIM(a_plan_counts_the_versions_of_what_it_writes_parameter_by_parameter)
{
    bp_tensor *init[] = {NUMBER(3), NUMBER(5)};
    two t;
    bp_plan *p;
    t.p = store_of(2, init, t.w);
    OK(bp_sgd_create(t.p, 0.5, 0, &t.o));
    OK(bp_plan_record(ctx, uses_the_first, &t, &p));
    uint32_t before[2], after[2];
    for (int i = 0; i < 2; i++)
        before[i] = bpi_at(t.w[i])->storage->version;
    OK(bp_plan_replay(p, 1));
    for (int i = 0; i < 2; i++)
        after[i] = bpi_at(t.w[i])->storage->version;
    cr_assert_gt(after[0], before[0]);
    cr_assert_eq(after[1], before[1]);
    bp_plan_free(p);
    bp_optimizer_free(t.o);
    bp_params_free(t.p);
}
