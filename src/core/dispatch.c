/* The door: finds the kernel, fits the inputs' layout, runs, records; what a kernel may call. */
#include <string.h>

#include "core/core.h"
#include "fpstate.h"

static const char *const op_name[] = {
#define BPI_OP(name) #name,
#define BPI_VIEW(name) #name,
#include "ops.def"
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
        if (t && bpi_is_real(t->view.dtype))
            return t->view.dtype;
    }
    return BP_F32;
}

const bpi_kernel *bpi_find_kernel(bp_context *ctx, const bp_op *op, int slot, bp_dtype compute)
{
    if (op->id < 0 && !ctx->device->calls->parallel_for)
        return NULL; /* a registered op is host code */
    const bpi_op_kernels *table = compute == BP_F64 ? ctx->device->f64 : ctx->device->f32;
    const bpi_kernel *k = op->id < 0 ? &op->kernels.slot[slot] : &table[op->id].slot[slot];
    return k->fn ? k : NULL;
}

bp_status bpi_device_failed(bp_context *ctx, bp_status st, const char *what)
{
    const char *why = ctx->device->why;
    return bpi_fail(ctx, st, "%s on %s: %s", what, ctx->device->name,
                    st == BP_ERR_DEVICE && why[0] ? why : bp_status_name(st));
}

bp_status bpi_upload(bp_context *ctx, void *dst, const void *src, size_t bytes)
{
    bp_status st = ctx->device->calls->upload(ctx->device, dst, src, bytes);
    return st == BP_OK ? BP_OK : bpi_device_failed(ctx, st, "upload");
}

bp_status bpi_download(bp_context *ctx, void *dst, const void *src, size_t bytes)
{
    bp_status st = ctx->device->calls->download(ctx->device, dst, src, bytes);
    return st == BP_OK ? BP_OK : bpi_device_failed(ctx, st, "download");
}

/* A packed copy of an input that the kernel cannot read as it lies. */
static bp_tensor *packed_copy(bp_context *ctx, bp_tensor *t)
{
    bp_tensor *copy = bpi_fresh_packed(ctx, t->view.dtype, t->view.shape, BPI_OWNER_LIBRARY);
    if (!copy)
        return NULL;
    ctx->stats.layout_copies++;
    if (bpi_dispatch(ctx, BPI_OP_copy, BPI_FORWARD, &t, 1, &copy, 1, NULL, 0) == BP_OK)
        return copy;
    bpi_kill(copy);
    return NULL;
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
        if (t && !bpi_layout_fits(&t->view, kernel->layout)) {
            t = packed_copy(ctx, t);
            if (t)
                copy[n_copies++] = t;
            else
                st = ctx->pending != BP_OK ? ctx->pending : BP_ERR_NOMEM;
        }
        if (t)
            view[i] = t->view;
        else
            view[i].data = NULL;
    }
    bp_view *out_view = view + n_in;
    for (int i = 0; i < n_out; i++) {
        if (out[i])
            out_view[i] = out[i]->view;
        else
            out_view[i].data = NULL;
    }
    if (st == BP_OK) {
        ctx->exec.kernel = number;
        ctx->stats.kernels++;
        bpi_fp_state own = bpi_fp_enter();
        st = kernel->fn(&ctx->exec, view, out_view, params);
        bpi_fp_leave(own);
        if (st == BP_OK && ctx->recording)
            st = bpi_plan_note(ctx, number, kernel, in, view, n_in, out, out_view, n_out, params,
                               params_bytes);
        else if (st != BP_OK)
            bpi_device_failed(ctx, st, bpi_kernel_name(ctx, number));
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

/* --- what kernels call ------------------------------------------------------------------- */

void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg)
{
    if (blocks == 1)
        body(arg, 0);
    else if (blocks > 1)
        ex->device->calls->parallel_for(ex->device, blocks, body, arg);
}

void *bpi_workspace(bp_exec *ex, size_t bytes)
{
    if (bytes > ex->workspace_bytes) {
        const bpi_device_calls *calls = ex->device->calls;
        size_t more = bytes + bytes / 4;
        void *p = calls->alloc(ex->device, more);
        if (!p)
            return NULL;
        if (ex->workspace)
            calls->free(ex->device, ex->workspace, ex->workspace_bytes);
        ex->workspace = p;
        ex->workspace_bytes = more;
    }
    return ex->workspace;
}

void bpi_fault_note(bp_exec *ex, bp_status status, int64_t value)
{
    uint32_t none = 0, what = BPI_FAULT_WHAT(status, ex->kernel);
    if (__atomic_compare_exchange_n(&ex->fault->what, &none, what, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        ex->fault->first = BPI_FAULT_FIRST(0, value);
}

void bp_fault_range(bp_exec *ex, int64_t value)
{
    bpi_fault_note(ex, BP_ERR_RANGE, value);
}
