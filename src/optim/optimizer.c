/* Optimisers over a parameter store: a check that every gradient can be taken, which sums their
 * squares where they are clipped by norm; then a launch for all parameters that a gradient reached,
 * or one for each set of numbers where they differ (two with weight decay). Step count, rate and
 * the factor of gradients are a device tensor, so a recorded step stays right when replayed. */
#include <string.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "core/view.h"
#include "door/kernel_params.h"
#include "optim/kinds.h"
#include "optim/optim.h"

/* What a launch takes of a parameter. */
typedef struct part {
    double rate, l1, l2, decay; /* rate: a factor */
} part;

struct bp_optimizer {
    bpi_watched watched; /* by plans: `numbers` */
    bp_params *params;
    bpi_late late;
    const bpi_kind *kind;
    bp_optimizer_kind number;
    bp_tensor *moment[2];           /* flat buffers beside the values */
    bp_tensor *state, *rate, *norm; /* bpi_optimizer_state; two of its numbers */
    bpi_numbers numbers;
    bool *taken; /* [params->n]: by a launch of this step */
};

static size_t taken_bytes(const bp_optimizer *o)
{
    return (size_t)(o->params->n + 1) * sizeof *o->taken;
}

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
    bpi_kill(o->norm);
    bpi_kill(o->state);
    bpi_kill(o->moment[0]);
    bpi_kill(o->moment[1]);
    bpi_host_free(o->params->ctx, o->taken, taken_bytes(o));
    o->watched.counted.freed = true;
    bpi_watched_release(&o->watched);
}

static bp_status check_rate(const bp_optimizer *o, const char *who, double rate)
{
    double most = bpi_most_rate(o->kind, &o->numbers, o->params->dtype);
    if (rate > 0 && rate <= most)
        return BP_OK;
    return bpi_fail(o->params->ctx, BP_ERR_ARG, "%s: the rate %g is not above 0 and at most %g",
                    who, rate, most);
}

/* What is not as it was when a plan was recorded. */
static void changed(const bpi_watched *w, const void *then, char *why)
{
    bp_optimizer *o = (bp_optimizer *)w;
    bpi_numbers was = *(const bpi_numbers *)then;
    const char *name;
    bp_optimizer_option option = bpi_option_changed(o->kind, &o->numbers, &was, &name);
    if (option)
        bpi_why(why, BP_ERR_STATE, "the optimiser's option %s is %g, and was %g when the plan was "
                "recorded", name, *bpi_option_of(o->kind, &o->numbers, option),
                *bpi_option_of(o->kind, &was, option));
    else
        bpi_why(why, BP_ERR_STATE, "the optimiser's groups are not those of the recording");
}

/* --- making one -------------------------------------------------------------------------- */

static bp_status allocate(bp_optimizer *o, double lr)
{
    bp_params *p = o->params;
    bpi_optimizer_state state = {.rate = lr, .scale = 1};
    o->taken = bpi_host_alloc(p->ctx, taken_bytes(o));
    if (!o->taken)
        return BP_ERR_NOMEM;
    BPI_TRY(bpi_uploaded(p->ctx, BP_U8, BP_SHAPE(sizeof state), &state, BPI_OWNER_LIBRARY,
                         &o->state));
    o->rate = bpi_window(o->state, 0, BP_F64, BP_SCALAR, BPI_OWNER_OBJECT);
    o->norm = bpi_window(o->state, offsetof(bpi_optimizer_state, norm) / sizeof(double), BP_F64,
                         BP_SCALAR, BPI_OWNER_OBJECT);
    if (!o->rate || !o->norm)
        return BP_ERR_NOMEM;
    for (int i = 0; i < o->kind->n_moments; i++)
        BPI_TRY(bpi_uploaded(p->ctx, p->dtype, BP_SHAPE(p->count), NULL, BPI_OWNER_LIBRARY,
                             &o->moment[i]));
    return BP_OK;
}

/* momentum: NULL for the kind's own. */
static bp_status create(bp_params *p, bp_optimizer_kind number, double lr, const double *momentum,
                        bp_optimizer **out)
{
    bp_context *ctx = p->ctx;
    const bpi_kind *kind = bpi_kind_of(number);
    BPI_TRY(bpi_given(ctx, out, "optimizer_create: opt"));
    if (!kind)
        return bpi_fail(ctx, BP_ERR_ARG, "optimizer_create: there is no kind %d", (int)number);
    bp_optimizer made = {.params = p, .kind = kind, .number = number, .numbers = kind->start};
    if (momentum)
        made.numbers.beta1 = *momentum;
    if (momentum && !bpi_option_takes(BP_OPT_MOMENTUM, p->dtype, *momentum))
        return bpi_fail(ctx, BP_ERR_ARG,
                        "optimizer_create: the momentum %.9g is not in [0, 1) for %s", *momentum,
                        bp_dtype_name(p->dtype));
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
    bp_status st = allocate(o, lr);
    if (st == BP_OK)
        *out = o;
    else
        release(o);
    if (st != BP_ERR_NOMEM)
        return st;
    return bpi_fail(ctx, st, "optimizer_create: no memory for %lld parameters",
                    (long long)p->count);
}

bp_status bp_optimizer_create(bp_params *p, bp_optimizer_kind kind, double lr, bp_optimizer **out)
{
    if (out)
        *out = NULL;
    BPI_LEADS(p, "optimizer_create: params");
    BPI_INSIDE(p->ctx, create(p, kind, lr, NULL, out));
}

bp_status bp_adam_create(bp_params *p, double lr, bp_optimizer **out)
{
    if (out)
        *out = NULL;
    BPI_LEADS(p, "adam_create: params");
    BPI_INSIDE(p->ctx, create(p, BP_ADAM, lr, NULL, out));
}

bp_status bp_sgd_create(bp_params *p, double lr, double momentum, bp_optimizer **out)
{
    if (out)
        *out = NULL;
    BPI_LEADS(p, "sgd_create: params");
    BPI_INSIDE(p->ctx, create(p, BP_SGD, lr, &momentum, out));
}

bp_optimizer_kind bp_optimizer_kind_of(const bp_optimizer *o)
{
    return o ? o->number : 0;
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
    double *place = bpi_option_of(o->kind, &o->numbers, option);
    if (!place)
        return bpi_fail(ctx, BP_ERR_ARG, "optimizer_set: %s has no option %d", o->kind->name,
                        (int)option);
    if (!bpi_option_takes(option, o->params->dtype, value))
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

bp_tensor *bp_optimizer_norm(bp_optimizer *o)
{
    return o ? o->norm : NULL;
}

int32_t bpi_optimizer_tensors(bp_optimizer *o, bp_tensor **tensor, const char **name)
{
    static const char *const moment[] = {"moment1", "moment2"};
    tensor[0] = o->state;
    name[0] = "state";
    for (int i = 0; i < o->kind->n_moments; i++) {
        tensor[1 + i] = o->moment[i];
        name[1 + i] = moment[i];
    }
    return 1 + o->kind->n_moments;
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

/* --- a step ------------------------------------------------------------------------------ */

/* Adds a segment to ranges, to the last one where it follows that; false where there is no room. */
static bool add_range(bpi_ranges *r, const bpi_segment *s)
{
    bpi_range *last = r->n ? &r->at[r->n - 1] : NULL;
    if (last && last->end == s->offset)
        last->end += s->count;
    else if (r->n < BPI_RANGES)
        r->at[r->n++] = (bpi_range){s->offset, s->offset + s->count};
    else
        return false;
    return true;
}

/* Checks all gradients; after the last call the step is counted or refused. */
static bp_status begin_step(bp_optimizer *o)
{
    bp_params *p = o->params;
    const bpi_numbers *n = &o->numbers;
    bpi_step_begin_params params = {
        .most_gradient = bpi_most_unclipped(o->kind, n, p->dtype),
        .most_rate = bpi_most_rate(o->kind, n, p->dtype), .clip_value = n->clip_value,
        .clip_norm = n->clip_norm, .store = p->serial, .begins = 1};
    bp_tensor *out[2] = {o->state, p->suspect};
    for (int32_t next = p->first; !params.decides; params.begins = 0) {
        params.ranges.n = 0;
        params.noted = true;
        for (; next >= 0; next = p->segment[next].next) {
            const bpi_segment *s = &p->segment[next];
            if (!bpi_segment_reached(p, s))
                continue;
            if (!add_range(&params.ranges, s))
                break;
            params.noted &= bpi_segment_noted(p->ctx, s);
        }
        params.decides = next < 0;
        BPI_TRY(bpi_dispatch(p->ctx, BPI_OP_step_begin, BPI_FORWARD, &p->grads, 1, out, 2, &params,
                             sizeof params));
    }
    return BP_OK;
}

static part part_of(const bp_optimizer *o, const bpi_segment *s)
{
    const bpi_numbers *n = &o->numbers;
    return bpi_segment_decays(s) ? (part){1, n->l1, n->l2, n->weight_decay} : (part){.rate = 1};
}

/* One launch over all segments from `first` on that are not taken, were reached, and take the same
 * as it, or as many of them as there is room for. */
static bp_status update_like(bp_optimizer *o, int32_t first)
{
    bp_params *p = o->params;
    const bpi_numbers *n = &o->numbers;
    part all = part_of(o, &p->segment[first]);
    bpi_update_params params = {
        .beta1 = n->beta1, .beta2 = n->beta2, .eps = n->eps, .rate = all.rate, .l1 = all.l1,
        .l2 = all.l2, .decay = all.decay, .decay_from = n->decay_from,
        .clip_value = n->clip_value, .store = p->serial, .scales = n->clip_norm != 0,
        .most_gradient = bpi_most_gradient(o->kind, n, p->dtype)};
    for (int32_t i = first; i >= 0; i = p->segment[i].next) {
        const bpi_segment *s = &p->segment[i];
        part own = part_of(o, s);
        if (o->taken[i] || !bpi_segment_reached(p, s) || memcmp(&own, &all, sizeof all) != 0)
            continue;
        if (!(o->taken[i] = add_range(&params.ranges, s)))
            break;
    }
    bp_tensor *in[2] = {p->grads, o->state}, *out[3] = {p->values, o->moment[0], o->moment[1]};
    return bpi_dispatch(p->ctx, o->kind->kernel, BPI_FORWARD, in, 2, out, 1 + o->kind->n_moments,
                        &params, sizeof params);
}

static bp_status update(bp_optimizer *o)
{
    bp_params *p = o->params;
    memset(o->taken, 0, taken_bytes(o));
    for (int32_t i = p->first; i >= 0; i = p->segment[i].next)
        if (!o->taken[i] && bpi_segment_reached(p, &p->segment[i]))
            BPI_TRY(update_like(o, i));
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
