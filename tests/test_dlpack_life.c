/* Memory shared by DLPack: what goes out lives as long as somebody has it, and what comes in is
 * given back once, with the last that reads it. */
#include "foreign.h"

#include <pthread.h>

static bp_tensor *one_more, *left; /* what functions of the host find, and leave */

#define CLAIM(name) Test(dlpack_life, name, .init = open_both, .fini = close_both)

CLAIM(what_went_out_outlives_the_tensor_and_the_context)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    struct DLManagedTensorVersioned *m[2];
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    bp_tensor *t = tensor_in(c, BP_F64, BP_SHAPE(3), (double[]){1, 2, 3}, 0);
    cr_assert_eq(bp_dlpack_export(t, &m[0]), BP_OK);
    cr_assert_eq(bp_dlpack_export(t, &m[1]), BP_OK);
    bp_free(t);
    bp_tensor *fresh = bp_tensor_create(c, BP_F64, BP_SHAPE(3));
    cr_assert_neq(bpi_view_of(fresh)->data, m[0]->dl_tensor.data);
    m[0]->deleter(m[0]);
    bp_close(c);
    const double *v = m[1]->dl_tensor.data;
    cr_assert(v[0] == 1 && v[1] == 2 && v[2] == 3);
    cr_assert_gt(g.live, 0);
    m[1]->deleter(m[1]);
    cr_assert(g.live == 0 && !g.broken);
}

static bp_status twice(bp_context *c, void *user)
{
    bp_tensor **t = user; /* x, and where twice that goes */
    (void)c;
    return bp_copy_into(t[1], bp_scale(t[0], 2));
}

CLAIM(it_is_given_back_with_the_last_that_reads_it)
{
    foreign f;
    bp_tensor *t = taken(&f, 3);
    bp_free(t);
    bp_free(t);
    cr_assert_eq(f.deleted, 1);
    t = taken(&f, 3);
    begin();
    bp_tensor *leaf = bp_require_grad(TENSOR(BP_SHAPE(3), 1, 1, 1)), *grad;
    bp_tensor *y = bp_mul(leaf, t), *view = bp_slice(t, 0, 1, 2, 1);
    bp_free(t);
    cr_assert_eq(f.deleted, 0);
    bp_free(view); /* the tape has it still */
    cr_assert_eq(f.deleted, 0);
    OK(bp_grad_scalar(ctx, bp_sum(y), &leaf, 1, 0, &grad));
    cr_assert_eq(at(grad, 2), 2);
    end();
    cr_assert_eq(f.deleted, 1);
    bp_plan *plan;
    bp_tensor *step[2] = {taken(&f, 3), TENSOR(BP_SHAPE(3), 0, 0, 0)};
    OK(bp_plan_record(ctx, twice, step, &plan));
    bp_free(step[0]);
    OK(bp_plan_replay(plan, 2));
    cr_assert(f.deleted == 0 && at(step[1], 2) == 4);
    bp_plan_free(plan);
    cr_assert_eq(f.deleted, 1);
    begin();
    t = taken(&f, 3);
    bp_free(t); /* at once, though the scope goes on */
    cr_assert_eq(f.deleted, 1);
    end();
}

static void use_again(void)
{
    left = tensor_in(other, BP_F64, BP_SHAPE(3), (double[]){7, 7, 7}, 0);
    cr_assert_eq(bp_sync(other), BP_OK);
}

CLAIM(what_reads_it_has_ended_when_it_is_given_back)
{
    foreign f;
    bp_tensor *t = taken(&f, 3), *x = TENSOR(BP_SHAPE(3), 0, 0, 0);
    const void *memory = bpi_view_of(t)->data;
    f.then = use_again;
    OK(bp_copy_into(x, t));
    bp_free(t);
    cr_assert_eq(bpi_view_of(left)->data, memory);
    cr_assert_eq(at(x, 2), 2);
    bp_free(left);
}

CLAIM(closing_gives_back_what_the_program_had)
{
    foreign f[2];
    bp_params *p;
    bp_tensor *t = taken(&f[0], 3);
    begin(); /* and ends the scope */
    bp_add(t, t);
    taken(&f[1], 3);
    OK(bp_params_create(ctx, BP_F32, &p));
    bp_close(ctx); /* which the store keeps */
    cr_assert(f[0].deleted == 1 && f[1].deleted == 1);
    bp_params_free(p);
    setup();
}

/* Each context holds memory of the other, and of itself. */
CLAIM(contexts_that_share_in_a_ring_go_when_they_are_closed)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(bp_open_with("cpu", &hooks, &c[i]), BP_OK);
    for (int i = 0; i < 4; i++) {
        bp_tensor *t = bp_tensor_create(c[i % 2], BP_F32, BP_SHAPE(100)), *there;
        struct DLManagedTensor *m;
        cr_assert_eq(bp_dlpack_export_legacy(t, &m), BP_OK);
        cr_assert_eq(bp_dlpack_import_legacy(c[i / 2], m, &there), BP_OK);
    }
    bp_close(c[0]);
    bp_close(c[1]);
    cr_assert(g.live == 0 && !g.broken);
}

static void uses_the_context(void)
{
    begin();
    left = bp_keep(bp_exp(one_more));
    end();
    bp_free(one_more);
    (void)!bp_scope_begin(ctx, 0); /* is ended for it */
}

static void frees_one_more(void)
{
    bp_free(one_more);
}

CLAIM(a_deleter_may_call_the_context)
{
    foreign f, g;
    bp_tensor *t = taken(&f, 3);
    one_more = taken(&g, 3);
    f.then = uses_the_context;
    begin();
    bp_free(t);
    cr_assert(f.deleted == 1 && g.deleted == 1);
    end();
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    cr_assert_eq(at(left, 0), 1);
    bp_free(left);
    t = taken(&f, 3);
    one_more = taken(&g, 3);
    f.then = frees_one_more; /* which has ended */
    bp_close(ctx);
    cr_assert(f.deleted == 1 && g.deleted == 1);
    setup();
}

CLAIM(out_of_memory_leaves_it_to_the_caller)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    int64_t failures[3] = {0};
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    bp_tensor *theirs = bp_tensor_create(c, BP_F32, BP_SHAPE(5)), *t;
    for (int i = 0; i < 200; i++) { /* handles come by the hundred */
        struct DLManagedTensorVersioned *m;
        bp_status st = BP_ERR_NOMEM;
        for (int nth = 1; st != BP_OK; nth++) {
            g.fail_at = g.calls + nth;
            st = bp_dlpack_export(theirs, &m);
            cr_assert(st == BP_OK || (st == BP_ERR_NOMEM && !m));
            failures[0] += st != BP_OK;
        }
        st = BP_ERR_NOMEM;
        for (int nth = 1; st != BP_OK; nth++) {
            g.fail_at = g.calls + nth;
            st = bp_dlpack_import(c, m, &t);
            cr_assert(st == BP_OK || (st == BP_ERR_NOMEM && !t));
            failures[nth > 1 ? 2 : 1] += st != BP_OK;
        }
    }
    g.fail_at = 0;
    cr_assert(failures[0] == 200 && failures[1] == 200 && failures[2] > 0);
    bp_close(c);
    cr_assert(g.live == 0 && !g.broken);
}

static bp_status shares(bp_context *c, void *user)
{
    foreign *f = user;
    bp_tensor *t;
    struct DLManagedTensorVersioned *m;
    cr_assert_eq(bp_dlpack_import(c, &f->versioned, &t), BP_ERR_STATE);
    cr_assert_eq(bp_dlpack_export(left, &m), BP_ERR_STATE);
    return BP_OK;
}

CLAIM(nothing_is_shared_while_a_plan_is_recorded)
{
    foreign f;
    bp_plan *plan;
    make(&f, counted(BP_F64, 3), false);
    left = TENSOR(BP_SHAPE(1), 1);
    cr_assert_eq(bp_plan_record(ctx, shares, &f, &plan), BP_ERR_STATE);
    TEXT("dlpack_import: not while a plan is recorded");
    f.inner->deleter(f.inner);
    cr_assert_eq(f.deleted, 0);
}

CLAIM(a_stale_handle_does_not_go_out)
{
    struct DLManagedTensorVersioned *m = (void *)&m;
    bp_tensor *t = TENSOR(BP_SHAPE(1), 1);
    bp_free(t);
    cr_assert_eq(bp_dlpack_export(t, &m), BP_ERR_ARG);
    cr_assert_null(m);
    TEXT("dlpack_export: the tensor is a stale handle: its scope has ended, or it was freed");
}

/* --- threads ---------------------------------------------------------------------------------- */

static void *delete_all(void *user)
{
    struct DLManagedTensorVersioned **m = user;
    for (int i = 0; i < 16; i++)
        m[i]->deleter(m[i]);
    return NULL;
}

static void *free_all(void *user)
{
    bp_tensor **t = user;
    for (int i = 0; i < 16; i++)
        bp_free(t[i]);
    return NULL;
}

CLAIM(any_thread_ends_it)
{
    foreign f[16];
    struct DLManagedTensorVersioned *m[16];
    bp_tensor *t[16], *x = TENSOR(BP_SHAPE(2), 1, 2);
    pthread_t a, b;
    bp_stats before, after;
    bp_get_stats(ctx, &before);
    for (int i = 0; i < 16; i++) {
        bp_tensor *big = random_tensor(BP_SHAPE(100), 1);
        OK(bp_dlpack_export(big, &m[i]));
        bp_free(big);
        t[i] = taken(&f[i], 5);
    }
    begin();
    cr_assert_eq(pthread_create(&a, NULL, delete_all, m), 0);
    cr_assert_eq(pthread_create(&b, NULL, free_all, t), 0);
    for (int i = 0; i < 1000; i++)
        cr_assert(bp_add(x, x));
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    end(); /* what they could not free is freed here */
    for (int i = 0; i < 16; i++)
        cr_assert_eq(f[i].deleted, 1);
    bp_get_stats(ctx, &after);
    cr_assert_eq(after.bytes, before.bytes);
}
