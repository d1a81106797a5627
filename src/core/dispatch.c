/* The door from above: dispatch.h. */
#include "core/dispatch.h"

#include "core/context.h"
#include "core/error.h"
#include "core/view.h"

static const char *const op_name[] = {
#define BPI_OP(name) #name,
#define BPI_VIEW(name) #name,
#include "door/ops.def"
};

const char *bpi_kernel_name(const bp_context *ctx, int32_t number)
{
    if (number >= 0)
        return op_name[number / BPI_SLOTS];
    for (const bp_op *op = ctx->registered; op; op = op->next)
        if (op->id == number)
            return op->def.name;
    return "?";
}

/* The compute type of a call: that of its first real operand, outputs first; f32 if none is. */
bp_dtype bpi_compute_dtype(bp_tensor *const *a, int n_a, bp_tensor *const *b, int n_b)
{
    for (int i = 0; i < n_a + n_b; i++) {
        const bp_tensor *t = i < n_a ? a[i] : b[i - n_a];
        if (t && bpi_is_real(bpi_view_of(t)->dtype))
            return bpi_view_of(t)->dtype;
    }
    return BP_F32;
}

const bpi_kernel *bpi_find_kernel(bp_context *ctx, const bp_op *op, int slot, bp_dtype compute)
{
    const bpi_op_kernels *table = compute == BP_F64 ? ctx->device->f64 : ctx->device->f32;
    const bpi_kernel *k = op->id < 0 ? &op->kernels.slot[slot] : &table[op->id].slot[slot];
    return k->fn ? k : NULL;
}

/* A packed copy of an input that the kernel cannot read as it lies. */
static bp_tensor *packed_copy(bp_context *ctx, bp_tensor *t)
{
    const bp_view *v = bpi_view_of(t);
    bp_tensor *copy = bpi_fresh_packed(ctx, v->dtype, v->shape, BPI_OWNER_LIBRARY);
    if (!copy)
        return NULL;
    ctx->stats.layout_copies++;
    if (bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &t, 1, &copy, 1, NULL, 0) == BP_OK)
        return copy;
    bpi_kill(copy);
    return NULL;
}

/* A kernel of the host's on a device: work for the device's stream. */
static bp_status run_lent(bp_context *ctx, const bpi_kernel *kernel, const bp_view *in,
                          const bp_view *out, const void *params)
{
    BPI_TRY(ctx->device->calls->lend(&ctx->exec));
    bp_status st = kernel->fn(&ctx->exec, in, out, params);
    bp_status launched = ctx->device->calls->lent(&ctx->exec);
    return st != BP_OK ? st : launched;
}

/* A kernel of the host's, or one that the host's threads run: in the library's floating-point state
 * like all of them. */
static bp_status run_with_host(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                               const bp_view *in, const bp_view *out, const void *params)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, true);
    bp_status st = number < 0 && ctx->device->calls->lend
                       ? run_lent(ctx, kernel, in, out, params)
                       : kernel->fn(&ctx->exec, in, out, params);
    bp_status told = bpi_callback_over(&callback, bpi_kernel_name(ctx, number));
    return told != BP_OK ? told : st;
}

bp_status bpi_run_kernel(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                         const bp_view *in, const bp_view *out, const void *params)
{
    ctx->exec.kernel = number;
    bp_status st;
    if (number < 0 || ctx->hooks.parallel_for)
        st = run_with_host(ctx, number, kernel, in, out, params);
    else
        st = kernel->fn(&ctx->exec, in, out, params);
    return st == BP_OK ? BP_OK : bpi_device_failed(ctx, st, bpi_kernel_name(ctx, number));
}

bp_status bpi_dispatch_kernel(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                              bp_tensor *const *in, int n_in, bp_tensor *const *out, int n_out,
                              const void *params, size_t params_bytes)
{
    bp_view view[2 * BPI_KERNEL_IO];
    bp_tensor *copy[BPI_KERNEL_IO];
    int n_copies = 0;
    bp_status st = BP_OK;
    for (int i = 0; i < n_in && st == BP_OK; i++) {
        bp_tensor *t = in[i];
        if (t && !bpi_layout_fits(bpi_view_of(t), kernel->layout)) {
            t = packed_copy(ctx, t);
            if (t)
                copy[n_copies++] = t;
            else
                st = ctx->pending != BP_OK ? ctx->pending : BP_ERR_NOMEM;
        }
        view[i] = t ? *bpi_view_of(t) : (bp_view){0};
    }
    bp_view *out_view = view + n_in;
    for (int i = 0; i < n_out; i++)
        out_view[i] = out[i] ? *bpi_view_of(out[i]) : (bp_view){0};
    if (st == BP_OK && kernel->workspace_bytes &&
        (st = bpi_reserve(ctx, kernel->workspace_bytes(view, params))) != BP_OK)
        bpi_device_failed(ctx, st, bpi_kernel_name(ctx, number));
    if (st == BP_OK && ctx->recording)
        st = bpi_recorder_note(ctx, number, kernel, in, view, n_in, out, out_view, n_out, params,
                               params_bytes);
    else if (st == BP_OK) {
        ctx->stats.kernels++;
        st = bpi_run_kernel(ctx, number, kernel, view, out_view, params);
    }
    while (n_copies > 0)
        bpi_kill(copy[--n_copies]);
    return st;
}

bp_status bpi_dispatch(bp_context *ctx, bpi_op_id id, int slot, bp_tensor *const *in, int n_in,
                       bp_tensor *const *out, int n_out, const void *params, size_t params_bytes)
{
    bp_dtype compute = bpi_compute_dtype(out, n_out, in, n_in);
    const bpi_op_kernels *table = compute == BP_F64 ? ctx->device->f64 : ctx->device->f32;
    const bpi_kernel *kernel = &table[id].slot[slot];
    if (!kernel->fn)
        return bpi_fail(ctx, BP_ERR_UNSUPPORTED, "%s: %s has no kernel for %s", op_name[id],
                        ctx->device->name, bp_dtype_name(compute));
    return bpi_dispatch_kernel(ctx, (int32_t)id * BPI_SLOTS + slot, kernel, in, n_in, out, n_out,
                               params, params_bytes);
}
