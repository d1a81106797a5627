/* Memory that is shared with other libraries: bpcuda/dlpack.h.
 *
 * What goes out holds a storage and counts as an object of the context, which so outlives
 * bp_close(). What comes in is a storage of another's memory: the one who releases it last gives it
 * back when the public call ends, where the host may be called. */
#include "core/dlpack.h"

#include <stdlib.h>

#include "core/context.h"
#include "core/error.h"
#include "core/tensor.h"
#include "core/view.h"

static const struct {
    bp_dtype dtype;
    uint8_t code, bits;
} dtypes[] = {{BP_F32, BPI_DL_FLOAT, 32}, {BP_F64, BPI_DL_FLOAT, 64}, {BP_U8, BPI_DL_UINT, 8},
              {BP_I32, BPI_DL_INT, 32}, {BP_U8, BPI_DL_BOOL, 8}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* --- out ----------------------------------------------------------------------------------- */

typedef struct bpi_export {
    union {
        struct DLManagedTensorVersioned versioned;
        struct DLManagedTensor legacy;
    } as; /* first */
    bp_context *ctx;
    bpi_storage *storage;
    int64_t shape[BP_MAX_DIMS], stride[BP_MAX_DIMS];
    bpi_late late;
} bpi_export;

static void take_back_late(bpi_late *late);

static void take_back(bpi_export *e)
{
    bp_context *ctx = e->ctx;
    if (!bpi_enter_to_free(ctx, &e->late, take_back_late))
        return;
    bpi_storage_release(ctx, e->storage);
    bpi_object_free(ctx, e, sizeof *e);
    bpi_leave(ctx);
}

static void take_back_late(bpi_late *late)
{
    take_back((bpi_export *)((char *)late - offsetof(bpi_export, late)));
}

static void delete_versioned(struct DLManagedTensorVersioned *out)
{
    if (out)
        take_back(out->manager_ctx);
}

static void delete_legacy(struct DLManagedTensor *out)
{
    if (out)
        take_back(out->manager_ctx);
}

static bpi_dl_tensor described(bpi_export *e, const bp_view *v)
{
    int i = 0;
    while (dtypes[i].dtype != v->dtype)
        i++;
    for (int k = 0; k < v->shape.ndim; k++) {
        e->shape[k] = v->shape.dim[k];
        e->stride[k] = v->stride[k];
    }
    return (bpi_dl_tensor){.data = bpi_count(&v->shape) ? v->data : NULL,
                           .device_type = e->ctx->device->dl_type,
                           .device_id = e->ctx->device->dl_number, .ndim = v->shape.ndim,
                           .code = dtypes[i].code, .bits = dtypes[i].bits, .lanes = 1,
                           .shape = e->shape, .strides = e->stride};
}

static bp_status export(bp_context *ctx, const char *who, bp_tensor *t, bool legacy,
                        bpi_export **out)
{
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_usable(ctx, t, who, "the tensor"));
    BPI_TRY(bpi_not_recording(ctx, who));
    bpi_storage *s = bpi_at(t)->storage;
    if (legacy && s->read_only)
        return bpi_fail(ctx, BP_ERR_UNSUPPORTED, "%s: the tensor's memory is for reading only, "
                        "which this form cannot say", who);
    BPI_TRY(bpi_sync(ctx)); /* others do not know our stream */
    bpi_export *e = bpi_object_alloc(ctx, sizeof *e);
    if (!e)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", who);
    e->ctx = ctx;
    e->storage = s;
    s->refs++;
    if (legacy)
        e->as.legacy = (struct DLManagedTensor){described(e, bpi_view_of(t)), e, delete_legacy};
    else
        e->as.versioned = (struct DLManagedTensorVersioned){
            BPI_DL_MAJOR, BPI_DL_MINOR, e, delete_versioned, s->read_only ? BPI_DL_READ_ONLY : 0,
            described(e, bpi_view_of(t))};
    *out = e;
    return BP_OK;
}

static bp_status export_to(bp_tensor *t, bool legacy, void *out, bpi_export **e)
{
    const char *who = legacy ? "dlpack_export_legacy" : "dlpack_export";
    bp_context *ctx = bpi_at(t)->ctx;
    *e = NULL;
    BPI_TRY(bpi_enter(ctx));
    bp_status st = out ? export(ctx, who, t, legacy, e)
                       : bpi_fail(ctx, BP_ERR_ARG, "%s: out is NULL", who);
    bpi_leave(ctx);
    return st;
}

bp_status bp_dlpack_export(bp_tensor *t, struct DLManagedTensorVersioned **out)
{
    bpi_export *e;
    if (out)
        *out = NULL;
    BPI_LEADS(t, "dlpack_export: t");
    BPI_TRY(export_to(t, false, out, &e));
    *out = &e->as.versioned;
    return BP_OK;
}

bp_status bp_dlpack_export_legacy(bp_tensor *t, struct DLManagedTensor **out)
{
    bpi_export *e;
    if (out)
        *out = NULL;
    BPI_LEADS(t, "dlpack_export_legacy: t");
    BPI_TRY(export_to(t, true, out, &e));
    *out = &e->as.legacy;
    return BP_OK;
}

/* --- in ------------------------------------------------------------------------------------ */

typedef struct bpi_import {
    bpi_storage storage; /* first */
    bp_context *ctx;
    struct DLManagedTensorVersioned *versioned;
    struct DLManagedTensor *legacy; /* the other one is NULL */
    bpi_late late;
} bpi_import;

static void give_back(bpi_late *late)
{
    bpi_import *import = (bpi_import *)((char *)late - offsetof(bpi_import, late)), in = *import;
    bp_context *ctx = in.ctx;
    bpi_fault unread;
    if (!ctx->device->calls->parallel_for) { /* what still reads the memory must have ended */
        ctx->stats.waits++;
        (void)!bpi_download(ctx, &unread, ctx->exec.fault, sizeof unread);
    }
    bpi_host_free(ctx, import, sizeof *import);
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, false);
    if (in.versioned && in.versioned->deleter)
        in.versioned->deleter(in.versioned);
    if (in.legacy && in.legacy->deleter)
        in.legacy->deleter(in.legacy);
    (void)bpi_callback_end(&callback);
}

static void let_go(bp_context *ctx, bpi_storage *s)
{
    bpi_free_behind(ctx, &((bpi_import *)s)->late, give_back);
}

static bp_status dtype_of(bp_context *ctx, const char *who, const bpi_dl_tensor *d, bp_dtype *dtype)
{
    static const char *const kind[] = {"int", "uint", "float", "opaque", "bfloat", "complex",
                                       "bool"};
    for (int i = 0; i < DTYPES; i++)
        if (d->code == dtypes[i].code && d->bits == dtypes[i].bits && d->lanes == 1) {
            *dtype = dtypes[i].dtype;
            return BP_OK;
        }
    return bpi_fail(ctx, BP_ERR_DTYPE, "%s: the elements are %s%d, %d together; float32, float64, "
                    "uint8, int32 and bool, one by one, are wanted", who,
                    d->code < sizeof kind / sizeof *kind ? kind[d->code] : "of an unknown kind, ",
                    d->bits, d->lanes);
}

static bp_status shape_of(bp_context *ctx, const char *who, const bpi_dl_tensor *d, bp_shape *shape)
{
    if (d->ndim < 0 || d->ndim > BP_MAX_DIMS)
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: %d sizes; 0 to %d are wanted", who, (int)d->ndim,
                        BP_MAX_DIMS);
    if (d->ndim > 0 && !d->shape)
        return bpi_fail(ctx, BP_ERR_ARG, "%s: shape is NULL", who);
    shape->ndim = d->ndim;
    for (int i = 0; i < d->ndim; i++)
        shape->dim[i] = d->shape[i];
    return bpi_shape_valid(shape) ? BP_OK
                                  : bpi_fail(ctx, BP_ERR_SHAPE, "%s: bad shape %s", who,
                                             bpi_shape_str(shape).s);
}

/* As they came, but where they do not matter: there those of a packed tensor. */
static bool take_strides(const bpi_dl_tensor *d, bp_view *v)
{
    bpi_view_packed(v, v->dtype, v->shape);
    if (!d->strides || !bpi_count(&v->shape))
        return true;
    for (int i = d->ndim - 1; i >= 0; i--) {
        if (d->strides[i] == INT64_MIN && d->shape[i] > 1) /* it has no magnitude */
            return false;
        v->stride[i] = d->shape[i] > 1 ? d->strides[i]
                       : i + 1 < d->ndim ? v->shape.dim[i + 1] * v->stride[i + 1] : 1;
    }
    return bpi_view_span(v) <= BPI_BYTES_MAX;
}

static bp_status view_of(bp_context *ctx, const char *who, const bpi_dl_tensor *d, bp_view *v)
{
    const bpi_device *device = ctx->device;
    BPI_TRY(dtype_of(ctx, who, d, &v->dtype));
    if (d->device_type != device->dl_type ||
        (device->dl_type != BPI_DL_CPU && d->device_id != device->dl_number))
        return bpi_fail(ctx, BP_ERR_DEVICE, "%s: the memory is of device (%d, %d) of DLPack; %s is "
                        "(%d, %d)", who, (int)d->device_type, (int)d->device_id, device->name,
                        (int)device->dl_type, (int)device->dl_number);
    BPI_TRY(shape_of(ctx, who, d, &v->shape));
    if (!take_strides(d, v))
        return bpi_fail(ctx, BP_ERR_SHAPE, "%s: the strides of %s reach further than memory", who,
                        bpi_shape_str(&v->shape).s);
    if (!d->data && bpi_count(&v->shape))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: data is NULL", who);
    v->data = d->data ? (char *)d->data + d->byte_offset : NULL;
    if ((uintptr_t)v->data % bp_dtype_bytes(v->dtype))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: data is not aligned to elements of %zu bytes", who,
                        bp_dtype_bytes(v->dtype));
    return BP_OK;
}

/* Whether two indices may name one element: an axis steps over all that smaller ones reach. */
static bool may_overlap(const bp_view *v)
{
    for (int i = 0; i < v->shape.ndim; i++) {
        int64_t step = llabs(v->stride[i]), reach = 1;
        for (int k = 0; k < v->shape.ndim; k++) {
            int64_t other = llabs(v->stride[k]);
            if (other < step || (other == step && k > i))
                reach += (v->shape.dim[k] - 1) * other;
        }
        if (v->shape.dim[i] > 1 && step < reach)
            return bpi_count(&v->shape) > 0;
    }
    return false;
}

/* `in` names what came; its fields for the storage are still 0. */
static bp_status import(bp_context *ctx, const char *who, bpi_import in, bp_tensor **t)
{
    bp_view v = {0};
    if (ctx->pending != BP_OK)
        return ctx->pending;
    BPI_TRY(bpi_not_recording(ctx, who));
    if (in.versioned && in.versioned->major != BPI_DL_MAJOR)
        return bpi_fail(ctx, BP_ERR_UNSUPPORTED, "%s: DLPack of version %u; %d is wanted", who,
                        (unsigned)in.versioned->major, BPI_DL_MAJOR);
    const bpi_dl_tensor *d = in.legacy ? &in.legacy->dl_tensor : &in.versioned->dl_tensor;
    BPI_TRY(view_of(ctx, who, d, &v));
    if (ctx->device->calls->settle) {
        ctx->stats.waits++;
        bp_status st = ctx->device->calls->settle(ctx->device);
        if (st != BP_OK)
            return bpi_device_failed(ctx, st, who);
    }
    bpi_import *i = bpi_host_alloc(ctx, sizeof *i);
    if (!i)
        return bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", who);
    *i = in;
    i->ctx = ctx;
    i->storage.data = v.data;
    i->storage.let_go = let_go;
    i->storage.read_only = (in.versioned && in.versioned->flags & BPI_DL_READ_ONLY) ||
                           d->code == BPI_DL_BOOL || may_overlap(&v);
    *t = bpi_handle(ctx, &i->storage, &v, BPI_OWNER_USER);
    if (*t)
        return BP_OK;
    bpi_host_free(ctx, i, sizeof *i);
    return BP_ERR_NOMEM;
}

static bp_status import_from(bp_context *ctx, const char *who, bpi_import in, bp_tensor **t)
{
    if (t)
        *t = NULL;
    BPI_TRY(bpi_enter(ctx));
    bp_status st = in.versioned || in.legacy ? BP_OK
                                             : bpi_fail(ctx, BP_ERR_ARG, "%s: in is NULL", who);
    if (st == BP_OK)
        st = t ? import(ctx, who, in, t) : bpi_fail(ctx, BP_ERR_ARG, "%s: t is NULL", who);
    bpi_leave(ctx);
    return st;
}

bp_status bp_dlpack_import(bp_context *ctx, struct DLManagedTensorVersioned *in, bp_tensor **t)
{
    return import_from(ctx, "dlpack_import", (bpi_import){.versioned = in}, t);
}

bp_status bp_dlpack_import_legacy(bp_context *ctx, struct DLManagedTensor *in, bp_tensor **t)
{
    return import_from(ctx, "dlpack_import_legacy", (bpi_import){.legacy = in}, t);
}
