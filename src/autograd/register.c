/* Ops of the program's own: what bp_op_register takes, and applying one. They run as the built-in
 * ones do: apply.c. */
#include <string.h>

#include "autograd/apply.h"
#include "core/context.h"
#include "core/error.h"

static bool host_kernels(const bp_context *ctx)
{
    return ctx->device->calls->parallel_for != NULL;
}

static bp_kernel_fn kernel_of(const bp_op_def *def, bool host)
{
    return host ? def->forward : def->forward_cuda;
}

/* It runs on the context's device; and where the program did not choose that, on any. */
static bp_status runs(bp_context *ctx, const bp_op_def *def)
{
    bool host = host_kernels(ctx);
    if (def->compose || (def->forward && def->forward_cuda))
        return BP_OK;
    if (!kernel_of(def, host))
        return bpi_fail(ctx, BP_ERR_UNSUPPORTED, "op_register %s: it has no composition, and no "
                        "kernel for %s", def->name, ctx->device->name);
    if (ctx->any_device)
        return bpi_fail(ctx, BP_ERR_UNSUPPORTED, "op_register %s: it has no composition, and no "
                        "kernel for %s, which \"auto\" is on other machines: open \"%s\"",
                        def->name, host ? "a GPU" : "the CPU", host ? "cpu" : "cuda:0");
    return BP_OK;
}

static bp_status check(bp_context *ctx, const bp_op_def *def)
{
    bool kernel = def->forward || def->forward_cuda;
    if (!def->name || !*def->name || (!kernel && !def->compose))
        return bpi_fail(ctx, BP_ERR_ARG,
                        "op_register: needs a name, and a composition or a kernel");
    if (kernel && !def->infer)
        return bpi_fail(ctx, BP_ERR_ARG, "op_register %s: a kernel needs a shape rule", def->name);
    if (def->n_in < 1 || def->n_in > BP_MAX_IO || def->n_out < 1 || def->n_out > BP_MAX_IO ||
        def->params_bytes > BPI_PARAMS_MAX)
        return bpi_fail(ctx, BP_ERR_ARG,
                        "op_register %s: %d inputs, %d outputs, %zu bytes of params; at most "
                        "%d, %d, %d",
                        def->name, def->n_in, def->n_out, def->params_bytes, BP_MAX_IO, BP_MAX_IO,
                        BPI_PARAMS_MAX);
    const struct {
        const char *bits, *what;
        uint32_t saved;
        int n;
    } saves[] = {{"saves_in", "input", def->saves_in, def->n_in},
                 {"saves_out", "output", def->saves_out, def->n_out}};
    for (int k = 0; k < 2; k++)
        if (saves[k].saved >> saves[k].n)
            return bpi_fail(ctx, BP_ERR_ARG, "op_register %s: %s is 0x%x, and it has %d %s%s",
                            def->name, saves[k].bits, (unsigned)saves[k].saved, saves[k].n,
                            saves[k].what, saves[k].n == 1 ? "" : "s");
    return runs(ctx, def);
}

static bp_status registered(bp_context *ctx, const bp_op_def *given, bp_op **out)
{
    BPI_TRY(bpi_given(ctx, given, "op_register: def"));
    BPI_TRY(bpi_given(ctx, out, "op_register: op"));
    bp_op_def known = {0}, *def = &known;
    char why[160];
    bp_status st = bpi_take_struct(&known, sizeof known, given, given->struct_bytes,
                                   offsetof(bp_op_def, forward) + sizeof known.forward, why);
    if (st != BP_OK)
        return bpi_fail(ctx, st, "op_register: %s", why);
    BPI_TRY(check(ctx, def));
    bp_op *op = bpi_host_alloc(ctx, sizeof *op);
    char *name = bpi_host_alloc(ctx, strlen(def->name) + 1);
    if (!op || !name) {
        bpi_host_free(ctx, op, sizeof *op);
        bpi_host_free(ctx, name, strlen(def->name) + 1);
        return bpi_fail(ctx, BP_ERR_NOMEM, "op_register %s: out of memory", def->name);
    }
    op->def = *def;
    op->def.name = strcpy(name, def->name);
    op->ctx = ctx;
    op->id = -(int32_t)++ctx->n_registered;
    op->compose = def->compose;
    op->kernels.slot[BPI_FORWARD] =
        (bpi_kernel){.fn = kernel_of(def, host_kernels(ctx)), .layout = BPI_PACKED};
    op->next = ctx->registered;
    ctx->registered = *out = op;
    return BP_OK;
}

bp_status bp_op_register(bp_context *ctx, const bp_op_def *def, bp_op **op)
{
    if (op)
        *op = NULL;
    BPI_INSIDE(ctx, registered(ctx, def, op));
}

bp_tensor *bp_op_apply(bp_op *op, bp_tensor *const *in, const void *params, bp_tensor **out)
{
    if (!op) {
        bpi_tell_thread(BP_ERR_ARG, "op_apply: op is NULL");
        return NULL;
    }
    const char *null = !in ? "in" : !params && op->def.params_bytes ? "params"
                     : !out && op->def.n_out > 1 ? "out" : NULL;
    if (!null)
        return bpi_apply(op, in, params, out);
    if (bpi_enter(op->ctx) == BP_OK) {
        bpi_fail(op->ctx, BP_ERR_ARG, "op_apply: %s: %s is NULL", op->def.name, null);
        bpi_leave(op->ctx);
    }
    return NULL;
}
