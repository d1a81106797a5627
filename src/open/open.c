/* Opening and closing a context: a device by its name, and what every context has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "core/scope.h"
#include "door/kernel_params.h"
#include "open/open.h"
#include "ops/rule.h"

/* Devices by name. */
static bp_status open_device(const char *name, const bp_hooks *hooks, bpi_device **device,
                             char *why)
{
    if (!name)
        return bpi_why(why, BP_ERR_ARG, "device is NULL");
    if (!strcmp(name, "auto") && bpi_plugin_device("cuda", 0, hooks, device, why) == BP_OK)
        return BP_OK;
    if (!strcmp(name, "cpu") || !strcmp(name, "auto"))
        return bpi_cpu_open(NULL, hooks, device, why);
    if (!strncmp(name, "cpu:", 4))
        return bpi_cpu_open(name + 4, hooks, device, why);
    size_t length = strcspn(name, ":");
    char kind[8] = "", *end = NULL;
    long number = name[length] ? strtol(name + length + 1, &end, 10) : 0;
    if (length < sizeof kind)
        memcpy(kind, name, length);
    bool numbered = !end || (end != name + length + 1 && !*end && number >= 0 && number < 1024);
    if (numbered && (!strcmp(kind, "cuda") || !strcmp(kind, "sim")))
        return bpi_plugin_device(kind, (int32_t)number, hooks, device, why);
    return bpi_why(why, BP_ERR_DEVICE,
                   "a device is \"cpu\", \"cpu:LEVEL\", \"cuda:N\" or \"auto\"");
}

/* Whose turn it is, where the host's own use of a device must not notice (backend.h). */
static void turn(bp_context *ctx, int32_t which)
{
    if (ctx->device->calls->turn)
        ctx->device->calls->turn(ctx->device, which);
}

static bp_status set_up(bp_context *ctx)
{
    ctx->exec.device = ctx->device;
    ctx->add = &bpi_op_add;
    ctx->fault_storage = bpi_storage_create(ctx, sizeof(bpi_fault));
    if (!ctx->fault_storage)
        return BP_ERR_NOMEM;
    ctx->exec.fault = ctx->fault_storage->data;
    BPI_TRY(bpi_upload(ctx, ctx->exec.fault, NULL, sizeof(bpi_fault)));
    float one32 = 1;
    double one64 = 1;
    bpi_rng_state rng = {0, 0};
    BPI_TRY(bpi_uploaded(ctx, BP_F32, BP_SCALAR, &one32, BPI_OWNER_LIBRARY, &ctx->one[0]));
    BPI_TRY(bpi_uploaded(ctx, BP_F64, BP_SCALAR, &one64, BPI_OWNER_LIBRARY, &ctx->one[1]));
    return bpi_uploaded(ctx, BP_U8, BP_SHAPE(sizeof rng), &rng, BPI_OWNER_LIBRARY, &ctx->rng);
}

/* The hooks as we know them; what is wrong with them, in `why`. */
static bp_status take_hooks(bp_hooks *ours, const bp_hooks *hooks, char *why)
{
    if (!hooks)
        return BP_OK;
    bp_status st = bpi_take_struct(ours, sizeof *ours, hooks, hooks->struct_bytes,
                                   offsetof(bp_hooks, alloc), why);
    if (st == BP_OK && (ours->alloc == NULL) != (ours->free == NULL))
        st = bpi_why(why, BP_ERR_ARG, "hooks need both alloc and free, or neither");
    if (st != BP_OK) /* the context that says so comes from, and goes back to, our own heap */
        *ours = (bp_hooks){0};
    return st;
}

/* What bp_close() does first, and alone where there are objects still. */
static void empty(bp_context *ctx)
{
    bpi_scopes_unwind(ctx, 0);
    bpi_handles_end(ctx);
}

static bp_status open_with(const char *device, const bp_hooks *hooks, bp_context **out)
{
    char why[160] = "";
    bp_hooks given = {0};
    bp_status st = take_hooks(&given, hooks, why);
    bp_context boot = {.hooks = given};
    bp_context *ctx = bpi_host_alloc(&boot, sizeof *ctx);
    if (!ctx)
        return BP_ERR_NOMEM;
    ctx->hooks = given;
    ctx->stats = boot.stats;
    ctx->unwind = bpi_scopes_unwind;
    ctx->empty = empty;
    *out = ctx;
    if (st != BP_OK)
        return bpi_fail(ctx, st, "open: %s", why);
    st = open_device(device, &ctx->hooks, &ctx->device, why);
    ctx->any_device = device && !strcmp(device, "auto");
    if (st == BP_OK) {
        turn(ctx, BPI_COMES);
        st = set_up(ctx);
        turn(ctx, BPI_LEAVES);
    } else if (st != BP_ERR_NOMEM) {
        bpi_fail(ctx, st, "open \"%s\": %s", device ? device : "(null)", why);
    }
    if (st == BP_ERR_NOMEM) { /* the promise of bp_open: nothing is left */
        bp_close(ctx);
        *out = NULL;
    }
    return st;
}

bp_status bp_open_with(const char *device, const bp_hooks *hooks, bp_context **ctx)
{
    BPI_LEADS(ctx, "open: ctx");
    *ctx = NULL;
    bpi_fp_state host = bpi_fp_enter();
    bp_status st = open_with(device, hooks, ctx);
    bpi_fp_leave(host);
    return st == BP_ERR_NOMEM && !*ctx ? bpi_tell_thread(st, "open: out of memory") : st;
}

bp_status bp_open(const char *device, bp_context **ctx)
{
    return bp_open_with(device, NULL, ctx);
}

static void close_context(bp_context *ctx)
{
    bpi_tape_free(ctx);
    while (ctx->registered) {
        bp_op *op = ctx->registered;
        ctx->registered = op->next;
        bpi_host_free(ctx, (void *)op->def.name, strlen(op->def.name) + 1);
        bpi_host_free(ctx, op, sizeof *op);
    }
    bpi_handles_free(ctx);
    bpi_host_free(ctx, ctx->scope, (size_t)ctx->scope_capacity * sizeof *ctx->scope);
    bpi_storage_release(ctx, ctx->fault_storage);
    if (ctx->device) {
        bpi_memory_free(ctx);
        if (ctx->exec.workspace)
            ctx->device->calls->free(ctx->device, ctx->exec.workspace, ctx->exec.workspace_bytes);
        turn(ctx, BPI_LEAVES);
        ctx->device->calls->close(ctx->device);
    }
    bpi_host_free(ctx, ctx, sizeof *ctx);
}

static void close_late(bpi_late *late)
{
    close_context((bp_context *)((char *)late - offsetof(bp_context, closing)));
}

void bp_close(bp_context *ctx)
{
    if (!ctx)
        return;
    if (!ctx->device) { /* nobody has ever been inside */
        close_context(ctx);
        return;
    }
    if (!bpi_enter_to_close(ctx)) {
        bpi_leave_to_others(ctx, &ctx->closing, close_late);
        return;
    }
    bpi_forget_abandoned(ctx, __builtin_frame_address(0));
    ctx->closes = true;
    bpi_free_at_end(ctx, &ctx->closing, close_late);
    bpi_leave(ctx);
}
