/* The flat buffers of a store: where its parameters lie in them, their initial values, and which of
 * their gradients a step finds in the window.
 *
 * The weights (rank 2 and more: those that take weight decay) come first, then the rest, then the
 * buffers, each group in order of declaration: an optimiser launches once, or twice with decay. */
#include <string.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/view.h"
#include "door/kernel_params.h"

bool bpi_segment_decays(const bpi_segment *s)
{
    return s->shape.ndim >= 2;
}

static int group_of(const bpi_segment *s)
{
    return s->buffer ? 2 : !bpi_segment_decays(s);
}

/* The part of a flat buffer that is segment i's. */
static bpi_storage *part_of(const bp_params *p, bp_tensor *flat, int64_t i)
{
    size_t at = (size_t)p->segment[i].offset * bp_dtype_bytes(p->dtype);
    return bpi_storage_part(p->ctx, bpi_at(flat)->storage, (char *)bpi_view_of(flat)->data + at,
                            (int32_t)i);
}

/* Points a segment's handles into the flat buffers. */
static bool attach(bp_params *p, int64_t i)
{
    bpi_segment *s = &p->segment[i];
    bpi_tensor *value = bpi_at(s->value);
    bpi_storage *grad = part_of(p, p->grads, i);
    value->storage = part_of(p, p->values, i);
    if (grad && value->storage) {
        value->view.data = grad->data;
        s->grad = bpi_handle(p->ctx, grad, &value->view, BPI_OWNER_OBJECT);
        value->view.data = value->storage->data;
    }
    bpi_storage_release(p->ctx, grad); /* the handle holds it now */
    return s->grad != NULL;
}

/* The initial values as the store keeps them, in p->initial, and behind them room for one parameter
 * in f64. The store holds that memory, as a function of the host's may never return. */
static bp_status initialise(bp_params *p)
{
    size_t bytes = (size_t)p->count * bp_dtype_bytes(p->dtype);
    int64_t room = 0;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t more = bpi_segment_room(&p->segment[i]);
        room = more > room ? more : room;
    }
    bpi_params_forget_initial(p);
    p->initial_bytes = bytes + (size_t)room * sizeof(double) + 1;
    p->initial = bpi_host_alloc(p->ctx, p->initial_bytes);
    bp_status st = p->initial ? BP_OK : BP_ERR_NOMEM;
    for (int64_t i = 0; i < p->n && st == BP_OK; i++)
        st = bpi_segment_initialise(p, i, p->initial, (double *)(p->initial + bytes));
    return st;
}

void bpi_params_forget_initial(bp_params *p)
{
    bpi_host_free(p->ctx, p->initial, p->initial_bytes);
    p->initial = NULL;
}

static bp_status allocate(bp_params *p)
{
    BPI_TRY(initialise(p));
    bp_shape flat = BP_SHAPE(p->count);
    BPI_TRY(bpi_uploaded(p->ctx, p->dtype, flat, p->initial, BPI_OWNER_LIBRARY, &p->values));
    BPI_TRY(bpi_uploaded(p->ctx, p->dtype, flat, NULL, BPI_OWNER_LIBRARY, &p->grads));
    BPI_TRY(bpi_uploaded(p->ctx, BP_I32, BP_SCALAR, NULL, BPI_OWNER_LIBRARY, &p->suspect));
    bool ok = true;
    for (int64_t i = 0; i < p->n && ok; i++)
        ok = attach(p, i);
    return ok ? BP_OK : BP_ERR_NOMEM;
}

bp_status bpi_params_materialize(bp_params *p)
{
    bp_context *ctx = p->ctx;
    if (p->values)
        return BP_OK;
    BPI_TRY(bpi_not_recording(ctx, "the first use of a parameter store"));
    p->count = 0;
    int32_t *link = &p->first;
    for (int group = 0; group < 3; group++)
        for (int64_t i = 0; i < p->n; i++) {
            bpi_segment *s = &p->segment[i];
            if (group_of(s) != group)
                continue;
            s->offset = p->count;
            p->count += s->count;
            *link = (int32_t)i;
            link = &s->next;
        }
    *link = -1;
    bp_status st = allocate(p);
    bpi_params_forget_initial(p);
    if (st == BP_OK) {
        bool draws = false;
        for (int64_t i = 0; i < p->n; i++)
            draws |= bpi_segment_draws(&p->segment[i]);
        ctx->drawn_stores += draws;
        return BP_OK;
    }
    for (int64_t i = 0; i < p->n; i++) { /* as before the call: it can be tried again */
        bpi_segment *s = &p->segment[i];
        bpi_kill(s->grad);
        s->grad = NULL;
        bpi_storage_release(ctx, bpi_at(s->value)->storage);
        bpi_at(s->value)->storage = NULL;
    }
    bpi_kill(p->values);
    bpi_kill(p->grads);
    bpi_kill(p->suspect);
    p->values = p->grads = p->suspect = NULL;
    if (st != BP_ERR_NOMEM)
        return st;
    return bpi_fail(ctx, st, "params: no memory for %lld parameters", (long long)p->count);
}

/* --- the gradient window ----------------------------------------------------------------- */

bool bpi_segment_trains(const bpi_segment *s)
{
    return !s->frozen && !s->buffer;
}

bool bpi_segment_reached(const bp_params *p, const bpi_segment *s)
{
    return s->window == p->window && bpi_segment_trains(s);
}

bool bpi_buffer_waits(const bp_params *p, const bpi_segment *s)
{
    return s->buffer && s->window == p->window && !s->frozen;
}

static bpi_segment *segment_of(const bp_tensor *param)
{
    const bpi_tensor *slot = bpi_at(param);
    return &slot->store->segment[slot->segment];
}

bool bpi_param_is_frozen(const bp_tensor *param)
{
    return segment_of(param)->frozen;
}

void bpi_param_as_buffer(bp_tensor *param)
{
    segment_of(param)->buffer = true;
}

bp_status bpi_buffer_tell(bp_tensor *buffer, bp_tensor *x)
{
    bp_params *p = bpi_at(buffer)->store;
    bpi_segment *s = segment_of(buffer);
    if (p->ctx->no_grad)
        return BP_OK;
    s->told = s->window == p->window ? s->told + 1 : 1;
    s->window = p->window;
    bpi_average_params params = {1.0 / s->told}; /* a mean that grows; 1 is a copy */
    bp_tensor *in[3] = {x, NULL, NULL};
    bool first = s->told == 1;
    BPI_TRY(bpi_dispatch(p->ctx, first ? BPI_OP_copy : BPI_OP_average, BPI_FORWARD, in,
                         first ? 1 : 3, &s->grad, 1, first ? NULL : &params,
                         first ? 0 : sizeof params));
    bpi_storage_written(bpi_at(s->grad)->storage, "batchnorm");
    return BP_OK;
}

bool bpi_segment_noted(const bp_context *ctx, const bpi_segment *s)
{
    /* A plan knows of what it writes itself: before its replay others may have written. */
    uint64_t recording = ctx->recording ? ctx->recording->serial : 0;
    return s->noted_version != 0 && s->noted_in == recording &&
           s->noted_version == bpi_at(s->grad)->storage->version;
}

bp_status bpi_params_written(bp_params *p, const char *writer)
{
    for (int64_t i = 0; i < p->n; i++) {
        if (!bpi_segment_reached(p, &p->segment[i]))
            continue;
        bpi_storage *s = bpi_at(p->segment[i].value)->storage;
        BPI_TRY(bpi_recorder_uses(p->ctx, s, true));
        bpi_storage_written(s, writer);
    }
    return BP_OK;
}

bpi_segment *bpi_params_segment(const bp_params *p, const bpi_storage *s)
{
    bool mine = p->values && s->whole && (s->whole == bpi_at(p->values)->storage ||
                                          s->whole == bpi_at(p->grads)->storage);
    return mine ? &p->segment[s->part_number] : NULL;
}

void bpi_params_take_back(bp_context *ctx, uint64_t walk)
{
    for (bp_params *p = ctx->stores; p; p = p->next) {
        p->invalid |= p->adding == walk;
        for (int64_t i = 0; i < p->n; i++)
            if (p->segment[i].walk == walk)
                p->segment[i].window = 0;
    }
}

bp_status bp_grad_clear(bp_params *p)
{
    BPI_LEADS(p, "grad_clear: params");
    BPI_TRY(bpi_enter(p->ctx));
    p->window++;
    p->invalid = false;
    bpi_leave(p->ctx);
    return BP_OK;
}
