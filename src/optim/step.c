/* A step: a check that every gradient can be taken, which sums their squares where they are clipped
 * by norm; then a launch for all parameters that a gradient reached, or one for each set of numbers
 * where they differ (two with weight decay). Step count, rate and the factor of gradients are a
 * device tensor, so a recorded step stays right when replayed. Running statistics come last: what
 * a refused step saw does not count. */
#include <string.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "door/kernel_params.h"
#include "optim/optimizer.h"

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

/* What each parameter takes; nothing is taken yet. */
static void begin_parts(bp_optimizer *o)
{
    const bp_params *p = o->params;
    const bpi_numbers *n = &o->numbers;
    for (int64_t i = 0; i < p->n; i++) {
        bpi_part *part = &o->part[i];
        part->taken = !bpi_segment_reached(p, &p->segment[i]);
        if (part->own)
            continue;
        part->group = bpi_segment_decays(&p->segment[i])
                          ? (bp_group){1, n->l1, n->l2, n->weight_decay}
                          : (bp_group){.rate = 1};
    }
}

/* One launch over all segments from `first` on that are not taken and whose numbers are the same,
 * or as many of them as there is room for. */
static bp_status update_like(bp_optimizer *o, int32_t first)
{
    bp_params *p = o->params;
    const bpi_numbers *n = &o->numbers;
    const bp_group *all = &o->part[first].group;
    bpi_update_params params = {
        .beta1 = n->beta1, .beta2 = n->beta2, .eps = n->eps,
        .rate = all->rate * o->part[first].factor, .l1 = all->l1,
        .l2 = all->l2, .decay = all->weight_decay, .decay_from = n->decay_from,
        .clip_value = n->clip_value, .store = p->serial, .scales = n->clip_norm != 0,
        .most_gradient = bpi_most_gradient(o->kind, n, p->dtype)};
    for (int32_t i = first; i >= 0; i = p->segment[i].next) {
        bpi_part *part = &o->part[i];
        if (part->taken || part->factor != o->part[first].factor ||
            memcmp(&part->group, all, sizeof *all) != 0)
            continue;
        if (!(part->taken = add_range(&params.ranges, &p->segment[i])))
            break;
    }
    bp_tensor *in[2] = {p->grads, o->state}, *out[3] = {p->values, o->moment[0], o->moment[1]};
    return bpi_dispatch(p->ctx, o->kind->kernel, BPI_FORWARD, in, 2, out, 1 + o->kind->n_moments,
                        &params, sizeof params);
}

static bp_status update(bp_optimizer *o)
{
    bp_params *p = o->params;
    begin_parts(o);
    for (int32_t i = p->first; i >= 0; i = p->segment[i].next)
        if (!o->part[i].taken)
            BPI_TRY(update_like(o, i));
    return BP_OK;
}

static bp_status update_buffers(bp_optimizer *o)
{
    const double share = 0.1; /* what others call momentum */
    bp_params *p = o->params;
    for (int64_t i = 0; i < p->n; i++)
        if (bpi_buffer_waits(p, &p->segment[i]))
            BPI_TRY(bpi_average_into(p->ctx, p->segment[i].value, p->segment[i].grad, o->state,
                                     share));
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
    BPI_TRY(update_buffers(o));
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
