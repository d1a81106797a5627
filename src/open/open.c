/* Opening and closing a context: a device by its name, and what every context has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "door/kernel_params.h"
#include "open/open.h"
#include "ops/rule.h"

/* Devices by name. */
static bp_status open_device(const char *name, const bp_hooks *hooks, bpi_device **device,
                             char *why)
{
    if (!name)
        return bpi_why(why, BP_ERR_ARG, "the device name is NULL");
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

bp_status bp_open_with(const char *device, const bp_hooks *hooks, bp_context **out)
{
    *out = NULL;
    bp_hooks given = {0};
    if (hooks) /* an older host's struct is shorter: what it does not know stays NULL */
        memcpy(&given, hooks,
               hooks->struct_bytes < sizeof given ? hooks->struct_bytes : sizeof given);
    bool one_heap = (given.alloc == NULL) == (given.free == NULL);
    if (!one_heap) /* the context that says so comes from, and goes back to, our own */
        given.alloc = NULL, given.free = NULL;
    bp_context boot = {.hooks = given};
    bp_context *ctx = bpi_host_alloc(&boot, sizeof *ctx);
    if (!ctx)
        return BP_ERR_NOMEM;
    ctx->hooks = given;
    ctx->stats = boot.stats;
    *out = ctx;
    char why[160] = "";
    if (!one_heap)
        return bpi_fail(ctx, BP_ERR_ARG, "open: hooks need both alloc and free, or neither");
    bp_status st = open_device(device, &ctx->hooks, &ctx->device, why);
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

bp_status bp_open(const char *device, bp_context **ctx)
{
    return bp_open_with(device, NULL, ctx);
}

static void end(bp_context *ctx)
{
    if (ctx->device)
        turn(ctx, BPI_COMES);
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

void bp_close(bp_context *ctx)
{
    if (!ctx)
        return;
    while (ctx->depth > 0 && bp_scope_end(ctx) != BP_ERR_BUSY)
        continue;
    ctx->end = end;
    ctx->closing = true;
    if (ctx->objects == 0)
        end(ctx);
}
