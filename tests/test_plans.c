/* Plans: a recorded step replays with the bits of the step itself, and says so when it cannot. */
#include "own_net.h"

#define CLAIM(name) Test(plans, name, .init = setup, .fini = teardown)

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
