/* Handles: a stale one is told for ever, and however many have been made and freed, scopes ended
 * and predictions made, no more memory is held. NULL for one is nothing to a kernel. */
#include <bpcuda/bpcuda.h>
#include <string.h>

#include "check.h"
#include "core/dispatch.h"
#include "readers.h"

enum { MANY = 1000000 };

static bp_context *ctx;

/* Whether t, which is not live, is told and not followed, by each kind of call. */
static bool is_told(bp_tensor *t)
{
    float v = 0;
    bp_status st = bp_read(t, &v, sizeof v);
    bool told = st == BP_ERR_ARG && strstr(bp_error_text(ctx), "stale");
    bp_free(t);
    return told && !bp_keep(t) && bp_dtype_of(t) == 0 && bp_shape_of(t).ndim == 0 &&
           !bp_context_of(t) && bp_write(t, &v, sizeof v) == BP_ERR_ARG;
}

/* The slot of `t` is used again and again; each time another handle has it. */
static void reused(void)
{
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, BP_SCALAR), *stale = t;
    bool same_slot = true, told = true, other = true;
    bp_free(t);
    for (int i = 1; i <= MANY; i++) {
        t = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
        same_slot &= bpi_at(t) == bpi_at(stale);
        other &= t != stale;
        if (i == 1 || i == 2 || i == 1000 || i == MANY)
            told &= is_told(stale) && bp_dtype_of(t) == BP_F32;
        bp_free(t);
        bp_free(t); /* twice: it is stale by now */
    }
    check(same_slot && other, "one slot has a million handles, none of them again");
    check(told, "a stale handle is told after 1, 2, 1000 and a million more, and harms nobody");
}

/* A slot at its last generation is not used again. */
static void last_generation(void)
{
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    bpi_tensor *slot = bpi_at(t);
    bp_free(t);
    slot->generation = BPI_GENERATIONS - 1;
    t = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    float one = 1, back = 0;
    check(bpi_at(t) == slot && bp_write(t, &one, 4) == BP_OK && bp_read(t, &back, 4) == BP_OK &&
          back == 1, "the last handle of a slot works");
    bp_free(t);
    bp_tensor *next = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    check(bpi_at(next) != slot && is_told(t), "after it the slot retires");
    bp_free(next);
}

static void of_other_objects(void)
{
    bp_params *params;
    bp_optimizer *opt;
    bp_context *second;
    bp_tensor *w = NULL, *rate = NULL, *theirs = NULL;
    float v[2] = {0};
    bool good = bp_params_create(ctx, BP_F32, &params) == BP_OK &&
                (w = bp_param(params, "w", BP_SHAPE(2), BP_INIT_ONE)) &&
                bp_adam_create(params, 0.1, &opt) == BP_OK && (rate = bp_optimizer_rate(opt));
    bp_free(w);
    bp_free(rate);
    check(good && bp_read(w, v, sizeof v) == BP_OK && v[1] == 1 && bp_optimizer_step(opt) == BP_OK &&
          bp_dtype_of(rate) == BP_F64, "what is lent out cannot be freed");
    bp_optimizer_free(opt);
    bp_params_free(params);
    bp_tensor *t[8];
    for (int i = 0; i < 8; i++)
        t[i] = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    check(is_told(w) && is_told(rate), "the handles of what is freed with its owner are stale");
    for (int i = 0; i < 8; i++)
        bp_free(t[i]);

    uint8_t x[4] = {1, 2, 3, 4};
    int32_t label[4] = {0, 1, 0, 1}, back[4] = {9, 9, 9, 9};
    bp_data *data, *first, *rest;
    good = bp_data_create(ctx, BP_U8, x, label, 4, 1, 2, &data) == BP_OK &&
           bp_data_split(data, 0.5, 0, &first, &rest) == BP_OK;
    bp_data *const set[] = {data, first, rest};
    for (int i = 0; i < 3 && good; i++) {
        bp_free(bp_data_labels(set[i]));
        bp_free(bp_data_samples(set[i]));
        size_t bytes = 4 * (size_t)bp_data_rows(set[i]);
        good = bp_read(bp_data_labels(set[i]), back, bytes) == BP_OK && back[0] + back[1] == 1;
    }
    bp_tensor *labels = bp_data_labels(data);
    for (int i = 0; i < 3; i++)
        bp_data_free(set[i]);
    check(good && is_told(labels), "so it is with data sets");

    good = bp_open("cpu", &second) == BP_OK;
    theirs = bp_tensor_create(second, BP_F32, BP_SCALAR);
    bp_tensor *ours = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    good &= bp_copy_into(ours, theirs) == BP_ERR_DEVICE && bp_copy_into(theirs, ours) == BP_ERR_DEVICE;
    bp_free(theirs);
    good &= bp_copy_into(ours, theirs) == BP_ERR_DEVICE && bp_read(theirs, v, 4) == BP_ERR_ARG;
    check(good, "a handle of another context is told, live or stale");
    bp_free(ours);
    bp_close(second);
}

/* --- memory ---------------------------------------------------------------------------------- */

static bp_status inner_scopes(bp_context *c, void *user)
{
    for (int i = 0; i < 1000; i++) {
        bp_status st = bp_scope_begin(c, 0);
        if (st == BP_OK)
            st = bp_relu(user) ? bp_scope_end(c) : BP_ERR_STATE;
        if (st != BP_OK)
            return st;
    }
    return BP_OK;
}

static bp_model *model;

static bp_status part(int of, bp_tensor *x)
{
    float row[4] = {0}, p[2];
    switch (of) {
    case 0:
        for (int i = 0; i < 1000; i++)
            bp_free(bp_tensor_create(ctx, BP_F32, BP_SHAPE(3)));
        return BP_OK;
    case 1: return bp_run(ctx, BP_NO_GRAD, inner_scopes, x);
    default:
        for (int i = 0; i < 100; i++)
            if (bp_model_predict(model, row, 1, p) != BP_OK)
                return BP_ERR_STATE;
        return BP_OK;
    }
}

static void memory(void)
{
    static const struct {
        const char *name;
        int rounds;
    } of[] = {{"a million creates and frees take no memory", 1000},
              {"nor do a million inner scopes", 1000},
              {"nor a hundred thousand predictions", 1000}};
    bp_tensor *x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(4));
    bool good = bp_model_create(ctx, 4, "3 relu", 2, &model) == BP_OK;
    for (int k = 0; k < 3; k++) {
        bp_stats before, after;
        good &= part(k, x) == BP_OK;
        bp_get_stats(ctx, &before);
        for (int i = 1; i < of[k].rounds; i++)
            good &= part(k, x) == BP_OK;
        bp_get_stats(ctx, &after);
        check(good && after.allocations == before.allocations && after.bytes == before.bytes,
              of[k].name);
    }
    bp_model_free(model);
    bp_free(x);
}

/* --- operands that are absent ---------------------------------------------------------------- */

static __attribute__((noinline)) void use_the_stack(void)
{
    volatile char used[1 << 14];
    for (size_t i = 0; i < sizeof used; i++)
        used[i] = 0x55;
}

static bool nothing;

static bp_status look(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    static const bp_view none;
    (void)ex, (void)params;
    nothing = !memcmp(&in[0], &none, sizeof none) && !memcmp(&out[1], &none, sizeof none);
    return BP_OK;
}

static void absent(void)
{
    const bpi_kernel kernel = {.fn = look};
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, BP_SHAPE(2, 3));
    bp_tensor *in[] = {NULL, t}, *out[] = {t, NULL};
    use_the_stack();
    bp_status st = bpi_dispatch_kernel(ctx, 0, &kernel, in, 2, out, 2, NULL, 0);
    check(st == BP_OK && nothing, "a kernel sees zeros where an operand is absent");
    bp_free(t);
}

int main(void)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    check(bp_open_with("cpu", &hooks, &ctx) == BP_OK && bp_set_threads(ctx, 1) == BP_OK, "opened");
    reused();
    last_generation();
    of_other_objects();
    memory();
    absent();
    bp_close(ctx);
    check(g.live == 0 && !g.broken, "and closing gives all back");
    return check_end();
}
