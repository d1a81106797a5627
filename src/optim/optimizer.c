/* Making optimisers, their options and groups, looking at them. Their steps: step.c. */
#include "optim/optimizer.h"

#include <math.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "core/params.h"
#include "core/view.h"
#include "door/kernel_params.h"
#include "optim/optim.h"

static size_t part_bytes(const bp_optimizer *o)
{
    return (size_t)(o->params->n + 1) * sizeof *o->part;
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
    bpi_host_free(o->params->ctx, o->part, part_bytes(o));
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
    o->part = bpi_host_alloc(p->ctx, part_bytes(o));
    if (!o->part)
        return BP_ERR_NOMEM;
    for (int64_t i = 0; i < p->n; i++)
        o->part[i].factor = 1;
    BPI_TRY(bpi_uploaded(p->ctx, BP_U8, BP_SHAPE(sizeof state), &state, BPI_OWNER_LIBRARY,
                         &o->state));
    o->rate = bpi_window(o->state, 0, BP_F64, BP_SCALAR, BPI_OWNER_OBJECT);
    o->norm = bpi_window(o->state, offsetof(bpi_optimizer_state, norm), BP_F64, BP_SCALAR,
                         BPI_OWNER_OBJECT);
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

/* --- groups ------------------------------------------------------------------------------ */

static bp_status take_group(bp_optimizer *o, const bp_group *group, size_t bytes, bp_group *g)
{
    bp_context *ctx = o->params->ctx;
    bp_dtype dtype = o->params->dtype;
    char why[160];
    BPI_TRY(bpi_given(ctx, group, "optimizer_group: group"));
    bp_status st = bpi_take_struct(g, sizeof *g, group, bytes, sizeof *g, why);
    if (st != BP_OK)
        return bpi_fail(ctx, st, "optimizer_group: %s", why);
    if (g->rate > 0 && isfinite(g->rate) && bpi_option_takes(BP_OPT_L1, dtype, g->l1) &&
        bpi_option_takes(BP_OPT_L2, dtype, g->l2) &&
        bpi_option_takes(BP_OPT_WEIGHT_DECAY, dtype, g->weight_decay))
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_ARG,
                    "optimizer_group: rate %g, l1 %g, l2 %g, weight_decay %g; a rate above 0, and "
                    "others from 0 that are finite in %s, are wanted", g->rate, g->l1, g->l2,
                    g->weight_decay, bp_dtype_name(dtype));
}

static bp_status set_group(bp_optimizer *o, const char *pattern, const bp_group *group,
                           size_t bytes)
{
    bp_params *p = o->params;
    bp_group g = {0};
    BPI_TRY(bpi_given(p->ctx, pattern, "optimizer_group: pattern"));
    BPI_TRY(take_group(o, group, bytes, &g));
    BPI_TRY(bpi_not_recording(p->ctx, "optimizer_group"));
    BPI_TRY(bpi_params_matched(p, pattern, "optimizer_group"));
    for (int64_t i = 0; i < p->n; i++)
        if (bpi_name_matches(pattern, p->segment[i].name))
            o->part[i] = (bpi_part){.group = g, .factor = o->part[i].factor, .own = true};
    o->numbers.groups++;
    return BP_OK;
}

bp_status bp_optimizer_group_of(bp_optimizer *o, const char *pattern, const bp_group *group,
                                size_t struct_bytes)
{
    BPI_LEADS(o, "optimizer_group: opt");
    BPI_INSIDE(o->params->ctx, set_group(o, pattern, group, struct_bytes));
}

/* --- rates of layers --------------------------------------------------------------------- */

/* The weight that a bias or gain belongs to, or itself; -1: none. */
static int64_t weight_of(const bp_params *p, int64_t i)
{
    const char *dot = strrchr(p->segment[i].name, '.');
    size_t length = dot ? (size_t)(dot - p->segment[i].name) : 0;
    for (int64_t k = i; k >= 0; k--)
        if (p->segment[k].shape.ndim > 1 &&
            (k == i || (dot && !strncmp(p->segment[k].name, p->segment[i].name, length + 1))))
            return k;
    return -1;
}

static double log_inputs(const bp_params *p, int64_t i, const double *places)
{
    const bp_shape *shape = &p->segment[i].shape;
    double n = shape->dim[0] ? (double)bp_shape_count(*shape) / (double)shape->dim[0] : 0;
    return log(n > 0 ? n * (places ? places[i] : 1) : 1);
}

bp_status bpi_optimizer_fan_in(bp_optimizer *o, const double *places, double power)
{
    bp_params *p = o->params;
    double sum = 0, weights = 0;
    if (!(power >= -1 && power <= 1))
        return bpi_fail(p->ctx, BP_ERR_ARG, "optimizer_fan_in: the power %g is not in [-1, 1]",
                        power);
    BPI_TRY(bpi_not_recording(p->ctx, "optimizer_fan_in"));
    for (int64_t i = 0; i < p->n; i++)
        if (p->segment[i].shape.ndim > 1) {
            sum += log_inputs(p, i, places);
            weights++;
        }
    for (int64_t i = 0; i < p->n; i++) {
        int64_t k = weight_of(p, i);
        o->part[i].factor = k < 0 ? 1 : exp(power * (log_inputs(p, k, places) - sum / weights));
    }
    o->numbers.groups++;
    return BP_OK;
}

bp_status bp_optimizer_fan_in(bp_optimizer *o, double power)
{
    BPI_LEADS(o, "optimizer_fan_in: opt");
    BPI_INSIDE(o->params->ctx, bpi_optimizer_fan_in(o, NULL, power));
}

/* --- looking at one ----------------------------------------------------------------------- */

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
    name[0] = bp_optimizer_name(o->number); /* so that it goes into no other kind */
    for (int i = 0; i < o->kind->n_moments; i++) {
        tensor[1 + i] = o->moment[i];
        name[1 + i] = moment[i];
    }
    return 1 + o->kind->n_moments;
}

bp_tensor *bpi_optimizer_moment(bp_optimizer *o, int which, int32_t i)
{
    const bpi_segment *s = &o->params->segment[i];
    bp_tensor *flat = o->moment[which];
    bp_view v = *bpi_view_of(s->value);
    v.data = (char *)bpi_view_of(flat)->data + (size_t)s->offset * bp_dtype_bytes(v.dtype);
    return bpi_handle(o->params->ctx, bpi_at(flat)->storage, &v, BPI_OWNER_SCOPE);
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
