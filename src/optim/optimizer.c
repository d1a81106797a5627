/* Adam and SGD over a parameter store: a check that every gradient can be taken, then one launch
 * for each run of reached neighbours (two with weight decay, else one). Step count and rate are a
 * device tensor, so a recorded step stays right when replayed. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "core/view.h"
#include "door/kernel_params.h"
#include "optim/optim.h"

struct bp_optimizer {
    bpi_watched watched; /* by plans: `numbers` */
    bp_params *params;
    bpi_late late;
    bpi_op_id kernel;          /* BPI_OP_adam or BPI_OP_sgd */
    int n_moments;             /* flat buffers beside the values */
    bp_tensor *moment[2];      /* m and v; or u */
    bp_tensor *state, *rate;   /* bpi_optimizer_state; the first of its two numbers */
    bpi_update_params numbers; /* l1 and l2 as set; a launch without decay gets 0 */
};

static void destroy(bpi_watched *w)
{
    bp_optimizer *o = (bp_optimizer *)w;
    bp_params *p = o->params;
    bpi_object_free(p->ctx, o, sizeof *o);
    bpi_params_release(p);
}

/* Its memory ends; its numbers stay while plans name it. */
static void release(bp_optimizer *o)
{
    bpi_kill(o->rate);
    bpi_kill(o->state);
    bpi_kill(o->moment[0]);
    bpi_kill(o->moment[1]);
    o->watched.counted.freed = true;
    bpi_watched_release(&o->watched);
}

/* --- limits: what an optimiser stores stays finite ------------------------------------------ */

static double largest(bp_dtype dtype)
{
    return dtype == BP_F64 ? DBL_MAX : (double)FLT_MAX;
}

/* Rates beyond it would overflow: Adam divides by 1 - b1^t first. */
static double most_rate(const bp_optimizer *o)
{
    return largest(o->params->dtype) * (o->kernel == BPI_OP_adam ? 1 - o->numbers.beta1 : 1);
}

/* Gradients beyond it could carry the moments there, in however many steps: v comes to g^2, u to
 * g / (1 - mu). Half of the range is for rounding; fades() sees to it that this is enough. A
 * weight, and a gradient with decay, the update looks at itself. */
static double most_gradient(const bp_optimizer *o)
{
    double half = largest(o->params->dtype) / 2;
    return o->kernel == BPI_OP_adam ? sqrt(half) : half * (1 - o->numbers.beta1);
}

/* Whether a factor of a moment is in [0, 1) as the kernels have it: rounded to the store's dtype,
 * and with the rounding of the products, it takes away more than half of 1 - factor. */
static bool fades(bp_dtype dtype, double factor)
{
    double rounded = dtype == BP_F64 ? factor : (double)(float)factor;
    double epsilon = dtype == BP_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    return factor >= 0 && factor < 1 && 1 - rounded - epsilon > 0.51 * (1 - factor);
}

static bp_status check_rate(const bp_optimizer *o, const char *who, double rate)
{
    if (rate > 0 && rate <= most_rate(o))
        return BP_OK;
    return bpi_fail(o->params->ctx, BP_ERR_ARG, "%s: the rate %g is not above 0 and at most %g",
                    who, rate, most_rate(o));
}

/* Where an option is kept, and what it may be; NULL if this optimiser has no such option. Kernels
 * take numbers in the store's dtype: there they must be finite, and eps not 0. */
static double *place_of(bp_optimizer *o, bp_optimizer_option option, double value, bool *valid)
{
    bool adam = o->kernel == BPI_OP_adam, factor = fades(o->params->dtype, value);
    double rounded = o->params->dtype == BP_F64 ? value : (double)(float)value;
    *valid = value >= 0 && value <= largest(o->params->dtype);
    switch (option) {
    case BP_OPT_BETA1: *valid = factor; return adam ? &o->numbers.beta1 : NULL;
    case BP_OPT_BETA2: *valid = factor; return adam ? &o->numbers.beta2 : NULL;
    case BP_OPT_EPS: *valid &= rounded > 0; return adam ? &o->numbers.eps : NULL;
    case BP_OPT_MOMENTUM: *valid = factor; return adam ? NULL : &o->numbers.beta1;
    case BP_OPT_L1: return &o->numbers.l1;
    case BP_OPT_L2: return &o->numbers.l2;
    case BP_OPT_DECAY_FROM: *valid = value >= 1; return &o->numbers.decay_from;
    default: return NULL;
    }
}

/* The first option that is not as it was when a plan was recorded. */
static void changed(const bpi_watched *w, const void *then, char *why)
{
    static const char *const name[] = {
        [BP_OPT_BETA1] = "BETA1", [BP_OPT_BETA2] = "BETA2", [BP_OPT_EPS] = "EPS",
        [BP_OPT_MOMENTUM] = "MOMENTUM", [BP_OPT_L1] = "L1", [BP_OPT_L2] = "L2",
        [BP_OPT_DECAY_FROM] = "DECAY_FROM"};
    bp_optimizer *o = (bp_optimizer *)w;
    bpi_why(why, BP_ERR_STATE, "the optimiser's numbers are not those of the recording");
    for (int i = BP_OPT_BETA1; i < (int)(sizeof name / sizeof *name); i++) {
        bool valid;
        const double *now = place_of(o, i, 0, &valid);
        if (!now)
            continue;
        const double *was = (const void *)((const char *)then + ((const char *)now -
                                                                 (const char *)&o->numbers));
        if (*now == *was)
            continue;
        bpi_why(why, BP_ERR_STATE, "the optimiser's option %s is %g, and was %g when the plan was "
                "recorded", name[i], *now, *was);
        return;
    }
}

/* --- making one -------------------------------------------------------------------------- */

static bp_status create(bp_params *p, bpi_op_id kernel, int n_moments, double lr,
                        bpi_update_params numbers, bp_optimizer **out)
{
    bp_context *ctx = p->ctx;
    BPI_TRY(bpi_given(ctx, out, "optimizer_create: opt"));
    const bp_optimizer made = {
        .params = p, .kernel = kernel, .n_moments = n_moments, .numbers = numbers};
    if (!fades(p->dtype, numbers.beta1))
        return bpi_fail(ctx, BP_ERR_ARG,
                        "optimizer_create: the momentum %.9g is not in [0, 1) for %s",
                        numbers.beta1, bp_dtype_name(p->dtype));
    BPI_TRY(check_rate(&made, "optimizer_create", lr));
    BPI_TRY(bpi_not_recording(ctx, "optimizer_create"));
    BPI_TRY(bpi_params_materialize(p));
    bp_optimizer *o = bpi_object_alloc(ctx, sizeof *o);
    if (!o)
        return bpi_fail(ctx, BP_ERR_NOMEM, "optimizer_create: out of memory");
    *o = made;
    o->watched = (bpi_watched){.counted.refs = 1, .what = "optimiser", .numbers = &o->numbers,
                               .bytes = sizeof o->numbers, .changed = changed, .destroy = destroy};
    p->counted.refs++;
    bpi_optimizer_state state = {.rate = lr};
    bp_status st = bpi_uploaded(ctx, BP_U8, BP_SHAPE(sizeof state), &state, BPI_OWNER_LIBRARY,
                                &o->state);
    if (st == BP_OK) {
        o->rate = bpi_window(o->state, 0, BP_F64, BP_SCALAR, BPI_OWNER_OBJECT);
        st = o->rate ? BP_OK : BP_ERR_NOMEM;
    }
    for (int i = 0; i < n_moments && st == BP_OK; i++)
        st = bpi_uploaded(ctx, p->dtype, BP_SHAPE(p->count), NULL, BPI_OWNER_LIBRARY,
                          &o->moment[i]);
    if (st == BP_OK)
        *out = o;
    else
        release(o);
    if (st != BP_ERR_NOMEM)
        return st;
    return bpi_fail(ctx, st, "optimizer_create: no memory for %lld parameters",
                    (long long)p->count);
}

bp_status bp_adam_create(bp_params *p, double lr, bp_optimizer **out)
{
    if (out)
        *out = NULL;
    BPI_LEADS(p, "adam_create: params");
    bpi_update_params numbers = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay_from = 1};
    BPI_INSIDE(p->ctx, create(p, BPI_OP_adam, 2, lr, numbers, out));
}

bp_status bp_sgd_create(bp_params *p, double lr, double momentum, bp_optimizer **out)
{
    if (out)
        *out = NULL;
    BPI_LEADS(p, "sgd_create: params");
    bpi_update_params numbers = {.beta1 = momentum, .decay_from = 1};
    BPI_INSIDE(p->ctx, create(p, BPI_OP_sgd, 1, lr, numbers, out));
}

static void free_late(bpi_late *late)
{
    bp_optimizer_free((bp_optimizer *)((char *)late - offsetof(bp_optimizer, late)));
}

void bp_optimizer_free(bp_optimizer *o)
{
    if (!o)
        return;
    bp_context *ctx = o->params->ctx;
    if (!bpi_enter_to_free(ctx, &o->late, free_late))
        return;
    release(o);
    bpi_leave(ctx);
}

static bp_status set(bp_optimizer *o, bp_optimizer_option option, double value)
{
    bp_context *ctx = o->params->ctx;
    BPI_TRY(bpi_not_recording(ctx, "optimizer_set"));
    if (option == BP_OPT_LR) {
        BPI_TRY(check_rate(o, "optimizer_set", value));
        return bp_write(o->rate, &value, sizeof value);
    }
    bool valid;
    double *place = place_of(o, option, value, &valid);
    if (!place)
        return bpi_fail(ctx, BP_ERR_ARG, "optimizer_set: this optimiser has no option %d",
                        (int)option);
    if (!valid)
        return bpi_fail(ctx, BP_ERR_ARG, "optimizer_set: option %d cannot be %.9g for %s",
                        (int)option, value, bp_dtype_name(o->params->dtype));
    *place = value;
    return BP_OK;
}

bp_status bp_optimizer_set(bp_optimizer *o, bp_optimizer_option option, double value)
{
    BPI_LEADS(o, "optimizer_set: opt");
    BPI_INSIDE(o->params->ctx, set(o, option, value));
}

bp_tensor *bp_optimizer_rate(bp_optimizer *o)
{
    return o ? o->rate : NULL;
}

int32_t bpi_optimizer_tensors(bp_optimizer *o, bp_tensor **tensor, const char **name)
{
    static const char *const moment[] = {"moment1", "moment2"};
    tensor[0] = o->state;
    name[0] = "state";
    for (int i = 0; i < o->n_moments; i++) {
        tensor[1 + i] = o->moment[i];
        name[1 + i] = moment[i];
    }
    return 1 + o->n_moments;
}

bp_params *bpi_optimizer_params(const bp_optimizer *o)
{
    return o->params;
}

static bp_status steps_done(bp_optimizer *o, int64_t *steps)
{
    bpi_optimizer_state state = {0};
    BPI_TRY(bpi_given(o->params->ctx, steps, "optimizer_steps: steps"));
    BPI_TRY(bp_read(o->state, &state, sizeof state));
    *steps = (int64_t)state.step;
    return BP_OK;
}

bp_status bp_optimizer_steps(bp_optimizer *o, int64_t *steps)
{
    if (steps)
        *steps = 0;
    BPI_LEADS(o, "optimizer_steps: opt");
    BPI_INSIDE(o->params->ctx, steps_done(o, steps));
}

static bp_tensor *slice(bp_tensor *flat, const bpi_run *run)
{
    return bpi_window(flat, run->begin, bpi_view_of(flat)->dtype, BP_SHAPE(run->end - run->begin),
                      BPI_OWNER_LIBRARY);
}

/* --- a step ------------------------------------------------------------------------------ */

/* Checks all gradients, run by run; after the last one the step is counted or refused. */
static bp_status begin_step(bp_optimizer *o)
{
    bp_params *p = o->params;
    bpi_run run = {.next = p->first};
    bpi_step_begin_params params = {
        .most_gradient = most_gradient(o), .most_rate = most_rate(o), .store = p->serial};
    bool found = bpi_params_run(p, run.next, true, &run);
    do {
        bp_tensor *g = found ? slice(p->grads, &run) : NULL;
        params.begin = run.begin;
        params.noted = run.noted;
        if (found && !g)
            return BP_ERR_NOMEM;
        found = found && bpi_params_run(p, run.next, true, &run);
        params.decides = !found;
        bp_tensor *out[2] = {o->state, p->suspect};
        bp_status st = bpi_dispatch(p->ctx, BPI_OP_step_begin, BPI_FORWARD, &g, 1, out, 2, &params,
                                    sizeof params);
        bpi_kill(g);
        BPI_TRY(st);
    } while (found);
    return BP_OK;
}

/* One launch over a run. */
static bp_status update_run(bp_optimizer *o, const bpi_run *run)
{
    bp_context *ctx = o->params->ctx;
    bpi_update_params numbers = o->numbers;
    numbers.most_gradient = most_gradient(o);
    numbers.begin = run->begin;
    numbers.store = o->params->serial;
    if (!run->decays)
        numbers.l1 = numbers.l2 = 0;
    bp_tensor *in[2] = {slice(o->params->grads, run), o->state};
    bp_tensor *out[3] = {slice(o->params->values, run)};
    bool ok = in[0] && out[0];
    for (int i = 0; i < o->n_moments; i++)
        ok &= (out[1 + i] = slice(o->moment[i], run)) != NULL;
    bp_status st = ok ? BP_OK : BP_ERR_NOMEM;
    if (ok)
        st = bpi_dispatch(ctx, o->kernel, BPI_FORWARD, in, 2, out, 1 + o->n_moments, &numbers,
                          sizeof numbers);
    bpi_kill(in[0]);
    for (int i = 0; i <= o->n_moments; i++)
        bpi_kill(out[i]);
    return st;
}

static bp_status update(bp_optimizer *o)
{
    bool merge = o->numbers.l1 == 0 && o->numbers.l2 == 0;
    bpi_run run = {.next = o->params->first};
    while (bpi_params_run(o->params, run.next, merge, &run))
        BPI_TRY(update_run(o, &run));
    return BP_OK;
}

static bp_status step(bp_optimizer *o)
{
    bp_params *p = o->params;
    bp_context *ctx = p->ctx;
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (p->counted.freed)
        return bpi_fail(ctx, BP_ERR_STATE, "optimizer_step: its parameter store was freed");
    if (p->invalid)
        return bpi_fail(ctx, BP_ERR_STATE,
                        "optimizer_step: the last backward failed; call bp_grad_clear first");
    if (!bpi_handles_reserve(ctx, 2 + o->n_moments)) /* before anything counts */
        return BP_ERR_NOMEM;
    BPI_TRY(bpi_recorder_watch(ctx, &o->watched));
    BPI_TRY(begin_step(o));
    BPI_TRY(update(o));
    BPI_TRY(bpi_params_written(p, "optimizer_step"));
    p->window++;
    return BP_OK;
}

bp_status bp_optimizer_step(bp_optimizer *o)
{
    BPI_LEADS(o, "optimizer_step: opt");
    BPI_INSIDE(o->params->ctx, step(o));
}

static bp_status average_into(bp_optimizer *o, bp_tensor *average, bp_tensor *x, double rate)
{
    bp_context *ctx = o->params->ctx;
    if (!(rate >= 0 && rate <= 1))
        return bpi_fail(ctx, BP_ERR_ARG, "average_into: the rate %g is not in [0, 1]", rate);
    return bpi_average_into(ctx, average, x, o->state, rate);
}

bp_status bp_average_into(bp_optimizer *o, bp_tensor *average, bp_tensor *x, double rate)
{
    BPI_LEADS(o, "average_into: opt");
    BPI_INSIDE(o->params->ctx, average_into(o, average, x, rate));
}
