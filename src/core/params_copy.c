/* Stores as wholes: one copied into another, or averaged with it. Stores with the same parameters
 * have the same flat buffers on every device, so either is one kernel call, and one transfer
 * between contexts. */
#include <string.h>

#include "core/context.h"
#include "core/dispatch.h"
#include "core/error.h"
#include "core/params.h"
#include "core/tensor.h"
#include "core/view.h"
#include "door/kernel_params.h"

static bp_status same_params(const bp_params *dst, const bp_params *src, const char *who)
{
    bp_context *ctx = dst->ctx;
    if (dst->dtype != src->dtype)
        return bpi_fail(ctx, BP_ERR_DTYPE, "%s: dst is %s, src is %s", who,
                        bp_dtype_name(dst->dtype), bp_dtype_name(src->dtype));
    if (dst->n != src->n)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: dst has %lld parameters, src has %lld", who,
                        (long long)dst->n, (long long)src->n);
    for (int64_t i = 0; i < dst->n; i++) {
        const bpi_segment *d = &dst->segment[i], *s = &src->segment[i];
        if (strcmp(d->name, s->name))
            return bpi_fail(ctx, BP_ERR_ARG, "%s: parameter %lld is %s in dst and %s in src", who,
                            (long long)i, d->name, s->name);
        if (!bpi_same_shape(&d->shape, &s->shape))
            return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %s is %s in dst and %s in src", who, d->name,
                            bpi_shape_str(&d->shape).s, bpi_shape_str(&s->shape).s);
    }
    return BP_OK;
}

/* Every parameter by itself: what a gradient has saved of it, and what a plan uses. */
static bp_status note_all(bp_params *p, bool written, const char *who)
{
    for (int64_t i = 0; i < p->n; i++) {
        bpi_storage *s = bpi_at(p->segment[i].value)->storage;
        BPI_TRY(bpi_recorder_uses(p->ctx, s, written));
        if (written)
            bpi_storage_written(s, who);
    }
    return BP_OK;
}

/* A copy where tau is 1, to the bit. */
static bp_status within(bp_params *dst, bp_params *src, double tau, const char *who)
{
    bp_context *ctx = dst->ctx;
    BPI_TRY(bpi_params_materialize(dst));
    BPI_TRY(bpi_params_materialize(src));
    bp_tensor *in[3] = {src->values, NULL, NULL};
    bpi_average_params p = {tau};
    if (tau == 1)
        BPI_TRY(bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, in, 1, &dst->values, 1, NULL, 0));
    else
        BPI_TRY(bpi_dispatch(ctx, BPI_OP_average, BPI_FORWARD, in, 3, &dst->values, 1, &p,
                             sizeof p));
    BPI_TRY(note_all(src, false, who));
    return note_all(dst, true, who);
}

/* --- in tensors ------------------------------------------------------------------------- */

bp_tensor *bpi_params_flat(bp_params *p)
{
    return bpi_params_materialize(p) == BP_OK
               ? bp_tensor_create(p->ctx, p->dtype, BP_SHAPE(p->count)) : NULL;
}

bp_status bpi_params_take(bp_params *p, bp_tensor *flat)
{
    BPI_TRY(bpi_dispatch(p->ctx, BPI_OP_copy, BPI_FORWARD, &p->values, 1, &flat, 1, NULL, 0));
    bpi_storage_written(bpi_at(flat)->storage, "a copy of a store");
    return note_all(p, false, "");
}

bp_status bpi_params_give(bp_params *p, bp_tensor *flat, const char *who)
{
    BPI_TRY(bpi_dispatch(p->ctx, BPI_OP_copy, BPI_FORWARD, &flat, 1, &p->values, 1, NULL, 0));
    return note_all(p, true, who);
}

bp_status bpi_params_average_flat(bp_params *p, bp_tensor *flat, bp_tensor *state,
                                  bp_tensor *rate)
{
    bp_tensor *in[3] = {p->values, state, rate};
    bpi_average_params none = {0};
    if (p->ctx->pending != BP_OK)
        return p->ctx->pending;
    BPI_TRY(bpi_dispatch(p->ctx, BPI_OP_average, BPI_FORWARD, in, 3, &flat, 1, &none, sizeof none));
    bpi_storage_written(bpi_at(flat)->storage, "a mean of a store");
    return note_all(p, false, "");
}

/* --- to the host, and to other contexts ------------------------------------------------- */

static size_t bytes_of(const bp_params *p)
{
    return (size_t)p->count * bp_dtype_bytes(p->dtype);
}

bp_status bpi_params_read_all(bp_params *p, void *host, const char *who)
{
    BPI_TRY(bpi_not_recording(p->ctx, who));
    BPI_TRY(bpi_params_materialize(p));
    return bp_read(p->values, host, bytes_of(p));
}

bp_status bpi_params_write_all(bp_params *p, const void *host, const char *who)
{
    BPI_TRY(bpi_not_recording(p->ctx, who));
    BPI_TRY(bpi_params_materialize(p));
    BPI_TRY(bp_write(p->values, host, bytes_of(p)));
    return note_all(p, true, who);
}

static bp_status read_other(bp_params *src, void *host)
{
    BPI_INSIDE(src->ctx, bpi_params_read_all(src, host, "params_copy"));
}

/* Another context's text is not of this one. */
static bp_status across(bp_params *dst, bp_params *src, const char *who)
{
    bp_context *ctx = dst->ctx;
    BPI_TRY(bpi_not_recording(ctx, who));
    BPI_TRY(bpi_params_materialize(dst));
    size_t bytes = bytes_of(dst);
    void *host = bpi_host_alloc(ctx, bytes);
    if (!host)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: no memory for %zu bytes", who, bytes);
    bp_status st = read_other(src, host);
    if (st != BP_OK)
        bpi_fail(ctx, st, "%s: src: %s", who, bp_error_text(src->ctx));
    else
        st = bpi_params_write_all(dst, host, who);
    bpi_host_free(ctx, host, bytes);
    return st;
}

static bp_status copy(bp_params *dst, bp_params *src)
{
    const char *who = "params_copy";
    BPI_TRY(bpi_given(dst->ctx, src, "params_copy: src"));
    if (dst->ctx->pending != BP_OK)
        return dst->ctx->pending;
    BPI_TRY(same_params(dst, src, who));
    if (dst == src)
        return BP_OK;
    return dst->ctx == src->ctx ? within(dst, src, 1, who) : across(dst, src, who);
}

bp_status bp_params_copy(bp_params *dst, bp_params *src)
{
    BPI_LEADS(dst, "params_copy: dst");
    BPI_INSIDE(dst->ctx, copy(dst, src));
}

static bp_status average(bp_params *dst, bp_params *src, double tau)
{
    const char *who = "params_average";
    bp_context *ctx = dst->ctx;
    BPI_TRY(bpi_given(ctx, src, "params_average: src"));
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (!(tau >= 0 && tau <= 1))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: tau %g is not in [0, 1]", who, tau);
    if (ctx != src->ctx)
        return bpi_fail(ctx, BP_ERR_DEVICE, "%s: src belongs to another context", who);
    BPI_TRY(same_params(dst, src, who));
    return dst == src || tau == 0 ? BP_OK : within(dst, src, tau, who);
}

bp_status bp_params_average(bp_params *dst, bp_params *src, double tau)
{
    BPI_LEADS(dst, "params_average: dst");
    BPI_INSIDE(dst->ctx, average(dst, src, tau));
}
