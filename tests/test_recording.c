/* Recordings: what a plan follows from beside its calls, and how a recording may end. */
#include <setjmp.h>

#include "core/handle.h"
#include "own_net.h"

#define CLAIM(name) Test(recording, name, .init = setup, .fini = teardown)

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
    refuses(n.ctx, p, "plan_replay: layer2.weight is not frozen, unlike when the plan was "
                      "recorded");
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
    refuses(n.ctx, p, "plan_replay: the optimiser's option L2 is 0.125, and was 0 when the plan "
                      "was recorded");
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

static bp_status copies(bp_context *c, void *user)
{
    (void)c;
    bp_tensor **t = user;
    return bp_copy_into(t[1], t[0]);
}

CLAIM(a_precision_that_is_another_now_is_named_where_it_makes_a_difference)
{
    bp_tensor *t[] = {random_tensor(BP_SHAPE(4), 1), random_tensor(BP_SHAPE(4), 2)};
    bp_plan *p;
    OK(bp_plan_record(ctx, copies, t, &p));
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
    bp_tensor *t[] = {NUMBER(4), NUMBER(0)};
    bp_plan *p;
    OK(bp_plan_record(ctx, copies, t, &p));
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
        {ENDS, BP_ERR_STATE,
         "plan_record: the function that it called ended a scope that it had not begun"},
        {BEGINS, BP_ERR_STATE, "plan_record: the function that it called left a scope open"}};
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
