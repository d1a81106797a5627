/* Contexts and scopes: opening, closing, nesting, and what the end of a scope gives back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "philox.h"

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

void bp_close(bp_context *ctx)
{
    if (!ctx)
        return;
    while (ctx->depth > 0 && bp_scope_end(ctx) != BP_ERR_BUSY)
        continue;
    if (ctx->device)
        turn(ctx, BPI_COMES);
    bpi_tape_free(ctx);
    while (ctx->registered) {
        bp_op *op = ctx->registered;
        ctx->registered = op->next;
        bpi_host_free(ctx, (void *)op->def.name, strlen(op->def.name) + 1);
        bpi_host_free(ctx, op, sizeof *op);
    }
    for (int64_t c = 0; c < ctx->n_slot_chunks; c++) {
        bp_tensor *chunk = ctx->slot_chunk[c];
        for (int i = 0; i < BPI_SLOT_CHUNK; i++)
            if (chunk[i].owner != BPI_OWNER_NONE)
                bpi_storage_release(ctx, chunk[i].storage);
    }
    for (int64_t c = 0; c < ctx->n_slot_chunks; c++)
        bpi_host_free(ctx, ctx->slot_chunk[c], BPI_SLOT_CHUNK * sizeof(bp_tensor));
    bpi_host_free(ctx, ctx->slot_chunk, (size_t)ctx->slot_chunk_capacity * sizeof(void *));
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

const char *bp_device_text(const bp_context *ctx)
{
    return ctx && ctx->device ? ctx->device->name : "no device";
}

static bp_status set_threads(bp_context *ctx, int32_t threads)
{
    if (threads < 0 || threads > 1024)
        return bpi_fail(ctx, BP_ERR_ARG, "set_threads: %d is not in 0 .. 1024", threads);
    return ctx->device->calls->set_threads(ctx->device, threads);
}

bp_status bp_set_threads(bp_context *ctx, int32_t threads)
{
    BPI_INSIDE(ctx, set_threads(ctx, threads));
}

static bp_status set_precision(bp_context *ctx, bp_precision precision)
{
    const bpi_device_calls *calls = ctx->device->calls;
    if (precision != BP_PRECISION_F32 && precision != BP_PRECISION_TF32)
        return bpi_fail(ctx, BP_ERR_ARG, "set_precision: there is no precision %d", (int)precision);
    return calls->set_precision ? calls->set_precision(ctx->device, precision) : BP_OK;
}

bp_status bp_set_precision(bp_context *ctx, bp_precision precision)
{
    BPI_INSIDE(ctx, set_precision(ctx, precision));
}

static bp_status rng_advance(bp_context *ctx, uint64_t steps)
{
    bpi_rng_advance_params params = {steps};
    return bpi_dispatch(ctx, BPI_OP_rng_advance, BPI_FORWARD, NULL, 0, &ctx->rng, 1, &params,
                        sizeof params);
}

bp_status bpi_rng_catch_up(bp_context *ctx)
{
    bp_plan *recording = ctx->recording;
    if (ctx->rng_lag == 0)
        return BP_OK;
    ctx->recording = NULL;
    bp_status st = rng_advance(ctx, ctx->rng_lag);
    ctx->recording = recording;
    if (st == BP_OK)
        ctx->rng_lag = 0;
    return st;
}

static bp_status seed(bp_context *ctx, uint64_t seed_value)
{
    bpi_rng_state rng = {seed_value, 0};
    BPI_TRY(bpi_not_recording(ctx, "seed"));
    ctx->seed = seed_value;
    ctx->rng_lag = 0;
    return bpi_upload(ctx, ctx->rng->view.data, &rng, sizeof rng);
}

bp_status bp_seed(bp_context *ctx, uint64_t seed_value)
{
    BPI_INSIDE(ctx, seed(ctx, seed_value));
}

static bp_status sync(bp_context *ctx)
{
    bpi_fault fault;
    BPI_TRY(bpi_not_recording(ctx, "sync"));
    ctx->stats.waits++;
    BPI_TRY(bpi_download(ctx, &fault, ctx->exec.fault, sizeof fault));
    if (fault.what == 0)
        return BP_OK;
    BPI_TRY(bpi_upload(ctx, ctx->exec.fault, NULL, sizeof fault));
    if ((fault.what & 0xFF) == BP_ERR_RANGE)
        return bpi_fail(ctx, BP_ERR_RANGE, "%s: index %d is out of range",
                        bpi_kernel_name(ctx, (int32_t)fault.what >> 8),
                        (int)(int32_t)~fault.first);
    return bpi_fail(ctx, (bp_status)(fault.what & 0xFF),
                    "optimizer_step: a gradient is not finite; nothing was changed");
}

bp_status bp_sync(bp_context *ctx)
{
    BPI_INSIDE(ctx, sync(ctx));
}

void bp_get_stats(const bp_context *ctx, bp_stats *stats)
{
    *stats = ctx ? ctx->stats : (bp_stats){0};
    if (ctx && ctx->device)
        ctx->device->calls->count(ctx->device, stats);
}

/* --- scopes ------------------------------------------------------------------------------ */

bp_status bp_scope_begin(bp_context *ctx, uint32_t flags)
{
    BPI_TRY(bpi_enter(ctx)); /* left by bp_scope_end */
    bp_status st = BP_OK;
    if (flags & ~(uint32_t)BP_NO_GRAD || !ctx->device)
        st = bpi_fail(ctx, BP_ERR_ARG, "scope_begin: %s",
                      ctx->device ? "unknown flags" : "the context has no device");
    else if (!bpi_grow(ctx, (void **)&ctx->scope, &ctx->scope_capacity, ctx->depth + 1,
                       sizeof *ctx->scope))
        st = BP_ERR_NOMEM;
    if (st != BP_OK) {
        bpi_leave(ctx);
        return st;
    }
    if (ctx->depth == 0) {
        ctx->site = 0;
        ctx->pending = BP_OK;
    }
    ctx->scope[ctx->depth++] =
        (bpi_scope){.tape_length = ctx->tape_length, .no_grad = ctx->no_grad};
    ctx->no_grad |= (flags & BP_NO_GRAD) != 0;
    return BP_OK;
}

bp_status bp_scope_end(bp_context *ctx)
{
    BPI_TRY(bpi_enter(ctx));
    if (ctx->depth == 0) {
        bp_status st = bpi_fail(ctx, BP_ERR_STATE, "scope_end: there is no open scope");
        bpi_leave(ctx);
        return st;
    }
    bool outermost = ctx->depth == 1;
    if (outermost && !ctx->no_grad && ctx->pending == BP_OK) {
        if (ctx->site > 0)
            (void)!rng_advance(ctx, 1);
        else
            ctx->rng_lag++;
    }
    bpi_scope *scope = &ctx->scope[ctx->depth - 1];
    ctx->outer_ended += outermost;
    bpi_tape_cut(ctx, scope->tape_length);
    while (scope->tensors)
        bpi_kill(scope->tensors);
    ctx->no_grad = scope->no_grad;
    ctx->depth--;
    bp_status st = outermost ? ctx->pending : BP_OK;
    if (outermost)
        ctx->pending = BP_OK;
    bpi_leave(ctx);
    bpi_leave(ctx); /* what bp_scope_begin entered */
    return st;
}

bp_status bp_run(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user)
{
    BPI_TRY(bp_scope_begin(ctx, flags));
    bp_status st = step(ctx, user);
    bp_status pending = ctx->pending;
    bp_status end = bp_scope_end(ctx);
    return pending != BP_OK ? pending : st != BP_OK ? st : end;
}
