/* Checkpoints of a loop written by hand: what is in one, and what a save or a load may not do. */
#include <sys/resource.h>

#include "folder.h"

#define CLAIM(name) Test(checkpoint, name, .init = enter, .fini = leave)

typedef struct pair {
    bp_params *p[2];
    bp_optimizer *opt[2];
    bp_tensor *mean;
    bp_checkpoint *c;
} pair;

static int32_t turn; /* the host's own part of the state */

static pair make_pair(void)
{
    pair w = {0};
    turn = 0;
    OK(bp_seed(ctx, 3));
    OK(bp_checkpoint_create(ctx, &w.c));
    for (int k = 0; k < 2; k++) {
        OK(bp_params_create(ctx, BP_F32, &w.p[k]));
        cr_assert(bp_param(w.p[k], "w", BP_SHAPE(3, 3), BP_INIT_LECUN));
        OK(k ? bp_adam_create(w.p[k], 0.1, &w.opt[k]) : bp_sgd_create(w.p[k], 0.1, 0.9, &w.opt[k]));
        OK(bp_checkpoint_params(w.c, k ? "b" : "a", w.p[k]));
        OK(bp_checkpoint_optimizer(w.c, k ? "b.adam" : "a.sgd", w.opt[k]));
    }
    w.mean = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    OK(bp_checkpoint_tensor(w.c, "mean", w.mean));
    OK(bp_checkpoint_bytes(w.c, "turn", &turn, sizeof turn));
    return w;
}

/* In turn: one net learns from the other, and from noise. */
static bp_status pair_step(bp_context *c, void *user)
{
    pair *w = user;
    int k = turn++ % 2;
    bp_tensor *noise = bp_normal(c, BP_F32, BP_SHAPE(4, 3), 0, 1);
    bp_tensor *y = bp_matmul(bp_matmul(noise, bp_param_at(w->p[0], 0)), bp_param_at(w->p[1], 0));
    bp_tensor *loss = bp_mean(bp_square(bp_sub(y, noise)));
    bp_status st = bp_backward(c, loss);
    if (st == BP_OK)
        st = bp_optimizer_step(w->opt[k]);
    if (st == BP_OK)
        st = bp_average_into(w->opt[k], w->mean, loss, 0.1);
    return st != BP_OK ? st : bp_grad_clear(w->p[1 - k]);
}

static void free_pair(pair *w)
{
    bp_checkpoint_free(w->c);
    bp_free(w->mean);
    for (int k = 0; k < 2; k++) {
        bp_optimizer_free(w->opt[k]);
        bp_params_free(w->p[k]);
    }
}

static values pair_state(pair *w)
{
    values all = {0, calloc(64, sizeof(double))};
    bp_tensor *t[] = {bp_param_at(w->p[0], 0), bp_param_at(w->p[1], 0), w->mean};
    for (int i = 0; i < 3; i++) {
        values v;
        cr_assert(tensor_values(t[i], &v));
        memcpy(all.v + all.n, v.v, (size_t)v.n * sizeof *v.v);
        all.n += v.n;
        values_free(&v, 1);
    }
    all.v[all.n++] = turn;
    return all;
}

CLAIM(two_networks_and_two_optimisers_go_on_by_bits)
{
    pair w = make_pair();
    for (int i = 0; i < 25; i++) {
        if (i == 11)
            OK(bp_checkpoint_save(w.c, path, 1));
        OK(bp_run(ctx, 0, pair_step, &w));
    }
    values want = pair_state(&w);
    free_pair(&w);
    w = make_pair();
    OK(bp_run(ctx, 0, pair_step, &w));
    OK(bp_checkpoint_load(w.c, path));
    cr_assert_eq(turn, 11);
    for (int i = 11; i < 25; i++)
        OK(bp_run(ctx, 0, pair_step, &w));
    values got = pair_state(&w);
    cr_assert_arr_eq(want.v, got.v, (size_t)want.n * sizeof *want.v);
    values_free(&want, 1);
    values_free(&got, 1);
    free_pair(&w);
}

CLAIM(names_are_checked)
{
    pair w = make_pair();
    cr_assert_eq(bp_checkpoint_tensor(w.c, "mean", w.mean), BP_ERR_ARG);
    TEXT("checkpoint_tensor: there is a mean already");
    cr_assert_eq(bp_checkpoint_tensor(w.c, "a", w.mean), BP_ERR_ARG);
    cr_assert_eq(bp_checkpoint_tensor(w.c, "a b", w.mean), BP_ERR_ARG);
    TEXT("checkpoint_tensor: \"a b\" is no name: 1 to 255 letters, digits, '.', '_', '-' and '/' are "
         "wanted");
    cr_assert_eq(bp_checkpoint_bytes(w.c, "n", &turn, 0), BP_ERR_ARG);
    cr_assert_eq(bp_checkpoint_save(w.c, path, 0), BP_ERR_ARG);
    cr_assert_eq(bp_checkpoint_save(w.c, "/nowhere/run", 1), BP_ERR_IO);
    free_pair(&w);
}

CLAIM(a_link_keeps_older_versions_and_a_save_that_fails_keeps_them_all)
{
    char real[112], other[120];
    int32_t n = 0;
    bp_checkpoint *c;
    struct rlimit all, few;
    snprintf(real, sizeof real, "%s/real", folder);
    cr_assert_eq(symlink(real, path), 0);
    OK(bp_checkpoint_create(ctx, &c));
    OK(bp_checkpoint_bytes(c, "n", &n, sizeof n));
    for (n = 1; n <= 3; n++)
        OK(bp_checkpoint_save(c, path, 3));
    getrlimit(RLIMIT_FSIZE, &all);
    few = all;
    few.rlim_cur = 64;
    setrlimit(RLIMIT_FSIZE, &few);
    bp_status st = bp_checkpoint_save(c, path, 3);
    setrlimit(RLIMIT_FSIZE, &all);
    cr_assert_eq(st, BP_ERR_IO);
    for (int k = 0; k < 3; k++) {
        snprintf(other, sizeof other, k ? "%s.%d" : "%s", path, k);
        OK(bp_checkpoint_load(c, other));
        cr_assert_eq(n, 3 - k);
    }
    bp_checkpoint_free(c);
}

CLAIM(an_optimisers_state_goes_into_no_other_kind)
{
    bp_params *p;
    bp_optimizer *opt[2];
    bp_checkpoint *c[2];
    OK(bp_params_create(ctx, BP_F32, &p));
    cr_assert(bp_param(p, "w", BP_SHAPE(2), BP_INIT_ONE));
    for (int k = 0; k < 2; k++) {
        OK(bp_optimizer_create(p, k ? BP_RMSPROP : BP_NESTEROV, 0.01, &opt[k]));
        OK(bp_checkpoint_create(ctx, &c[k]));
        OK(bp_checkpoint_optimizer(c[k], "o", opt[k]));
    }
    OK(bp_checkpoint_save(c[0], path, 1));
    cr_assert_eq(bp_checkpoint_load(c[1], path), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "has no o/rmsprop"), "%s", bp_error_text(ctx));
    for (int k = 0; k < 2; k++) {
        bp_checkpoint_free(c[k]);
        bp_optimizer_free(opt[k]);
    }
    bp_params_free(p);
}

CLAIM(neither_saved_nor_loaded_within_a_step)
{
    pair w = make_pair();
    bp_tensor *one = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    OK(bp_checkpoint_save(w.c, path, 1));
    begin();
    bp_tensor *wide = bp_keep(bp_expand(one, BP_SHAPE(3)));
    cr_assert_eq(bp_checkpoint_load(w.c, path), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "checkpoint_load: inside a scope; between two steps is wanted");
    begin();
    cr_assert_eq(bp_checkpoint_save(w.c, path, 1), BP_ERR_STATE);
    cr_assert_eq(bp_scope_end(ctx), BP_ERR_STATE);
    cr_assert_eq(bp_checkpoint_tensor(w.c, "wide", wide), BP_ERR_ARG);
    TEXT("checkpoint_tensor: wide is expanded, and could not be loaded");
    cr_assert_eq(bp_checkpoint_tensor(w.c, "__metadata__", one), BP_ERR_ARG);
    bp_free(wide);
    bp_free(one);
    free_pair(&w);
}
