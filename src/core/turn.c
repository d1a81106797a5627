/* Whose turn it is: turn.h.
 *
 * The word `owner` is the thread inside, and LATE where another thread has put something into the
 * list `late` meanwhile. The thread that leaves turns the word from itself to nobody in one step,
 * which fails where LATE is set: nothing in the list is forgotten, and nothing in the context is
 * touched after that step, since another thread may have closed it. */
#include "core/turn.h"

#include "core/context.h"

#define LATE ((uintptr_t)1) /* no pointer to a pointer has this bit */

const char bpi_busy_text[] = "the context is busy: another thread is inside";

/* One pointer a thread, to a constant: what errno is to a number. */
static _Thread_local const char *told __attribute__((tls_model("initial-exec")));

bp_status bpi_tell_thread(bp_status status, const char *sentence)
{
    told = sentence;
    return status;
}

const char *bpi_told_thread(void)
{
    return told;
}

/* A number that no other thread has while this one lives. */
static uintptr_t this_thread(void)
{
    return (uintptr_t)&told;
}

bool bpi_own_turn(const bp_context *ctx)
{
    return (atomic_load_explicit(&ctx->owner, memory_order_relaxed) & ~LATE) == this_thread();
}

bool bpi_others_turn(const bp_context *ctx)
{
    uintptr_t owner = atomic_load_explicit(&ctx->owner, memory_order_acquire) & ~LATE;
    return owner && owner != this_thread();
}

/* Nothing but a call that goes on now keeps the thread inside. */
static bool is_outermost(const bp_context *ctx)
{
    return ctx->callbacks == 0 && (ctx->depth == 0 || ctx->closes);
}

static bp_status enter(bp_context *ctx, bool frees)
{
    uintptr_t self = this_thread(), nobody = 0;
    bpi_fp_state own = bpi_fp_own(); /* behind the exchange it would be waited for */
    if (!ctx)
        return bpi_tell_thread(BP_ERR_ARG, "ctx is NULL");
    if ((atomic_load_explicit(&ctx->owner, memory_order_relaxed) & ~LATE) != self &&
        !atomic_compare_exchange_strong_explicit(&ctx->owner, &nobody, self, memory_order_acquire,
                                                 memory_order_relaxed))
        return bpi_tell_thread(BP_ERR_BUSY, bpi_busy_text);
    if (!ctx->device) { /* bp_open failed; its text stays */
        told = NULL;
        atomic_store_explicit(&ctx->owner, 0, memory_order_release);
        return BP_ERR_DEVICE;
    }
    bool comes = false;
    if (ctx->calls++ == 0) {
        bpi_fp_set(ctx->host_fp = own);
        ctx->base = ctx->depth;
        comes = is_outermost(ctx);
    }
    if (ctx->pending != BP_OK) /* it is what this call will return, and its text is wanted */
        told = NULL;
    if (ctx->device->calls->turn)
        ctx->device->calls->turn(ctx->device, comes ? BPI_COMES : BPI_STAYS);
    if (!ctx->shut || frees || ctx->calls > 1)
        return BP_OK;
    bpi_leave(ctx);
    return bpi_tell_thread(BP_ERR_STATE, ctx->shut);
}

bp_status bpi_enter(bp_context *ctx)
{
    return enter(ctx, false);
}

static void free_behind(bp_context *ctx)
{
    while (ctx->behind) {
        bpi_late *late = ctx->behind;
        ctx->behind = late->next;
        late->free(late);
    }
}

/* Frees what is in the list; true where the context went with it. A context that was closed while
 * there are objects of it goes when the last of them has gone: bpi_leave puts it into the list. */
static bool free_late(bp_context *ctx)
{
    bool closes = false;
    bpi_late *late = NULL, *newest = atomic_exchange(&ctx->late, NULL);
    while (newest) { /* in the order of the calls */
        bpi_late *next = newest->next;
        newest->next = late;
        late = newest;
        newest = next;
    }
    while (late) {
        bpi_late *next = late->next;
        if (late == &ctx->closing)
            closes = true;
        else
            late->free(late);
        late = next;
    }
    if (closes) {
        ctx->empty(ctx);
        free_behind(ctx);
    }
    if (closes && ctx->objects > 0) {
        ctx->closes = false;
        ctx->closed = true;
        return false;
    }
    if (closes)
        ctx->closing.free(&ctx->closing);
    return closes;
}

/* Something has come into the list; the turn is over but for that. */
static void end_turn_late(bp_context *ctx)
{
    (void)!enter(ctx, true);
    bpi_fp_state host = ctx->host_fp;
    atomic_fetch_and(&ctx->owner, ~LATE);
    if (free_late(ctx))
        bpi_fp_leave(host);
    else
        bpi_leave(ctx);
}

void bpi_leave(bp_context *ctx)
{
    if (ctx->calls > 1) {
        ctx->calls--;
        return;
    }
    if (ctx->behind && !ctx->shut)
        free_behind(ctx);
    uintptr_t self = this_thread();
    bool goes = is_outermost(ctx);
    if (goes && ctx->closed && ctx->objects == 0) {
        ctx->closed = false;
        bpi_free_at_end(ctx, &ctx->closing, ctx->closing.free);
    }
    ctx->calls = 0;
    if (goes && ctx->device->calls->turn)
        ctx->device->calls->turn(ctx->device, BPI_LEAVES);
    bpi_fp_leave(ctx->host_fp);
    if (goes && !atomic_compare_exchange_strong(&ctx->owner, &self, 0))
        end_turn_late(ctx);
}

static void push(bp_context *ctx, bpi_late *late, void (*give_back)(bpi_late *))
{
    late->free = give_back;
    bpi_late *first = atomic_load(&ctx->late);
    do
        late->next = first;
    while (!atomic_compare_exchange_weak(&ctx->late, &first, late));
}

void bpi_free_at_end(bp_context *ctx, bpi_late *late, void (*give_back)(bpi_late *))
{
    push(ctx, late, give_back);
    atomic_fetch_or(&ctx->owner, LATE);
}

void bpi_free_behind(bp_context *ctx, bpi_late *late, void (*give_back)(bpi_late *))
{
    late->free = give_back;
    late->next = ctx->behind;
    ctx->behind = late;
}

bool bpi_enter_to_close(bp_context *ctx)
{
    const char *before = told;
    bool inside = enter(ctx, true) == BP_OK;
    told = before; /* a free has no error to tell */
    return inside;
}

bool bpi_enter_quietly(bp_context *ctx)
{
    if (!bpi_enter_to_close(ctx))
        return false;
    if (!ctx->shut || ctx->calls > 1)
        return true;
    bpi_leave(ctx); /* what the call at work uses may not go under it */
    return false;
}

bool bpi_enter_to_free(bp_context *ctx, bpi_late *late, void (*give_back)(bpi_late *))
{
    if (bpi_enter_quietly(ctx))
        return true;
    bpi_leave_to_others(ctx, late, give_back);
    return false;
}

void bpi_leave_to_others(bp_context *ctx, bpi_late *late, void (*give_back)(bpi_late *))
{
    push(ctx, late, give_back);
    for (;;) {
        uintptr_t owner = atomic_load(&ctx->owner);
        if (owner & LATE || (owner && atomic_compare_exchange_weak(&ctx->owner, &owner,
                                                                   owner | LATE)))
            return; /* the thread inside has yet to look */
        if (!owner && bpi_enter_to_close(ctx)) {
            atomic_fetch_or(&ctx->owner, LATE);
            bpi_leave(ctx);
            return;
        }
    }
}

/* --- the host's functions ---------------------------------------------------------------- */

static uint64_t innermost(const bp_context *ctx)
{
    return ctx->depth ? ctx->scope[ctx->depth - 1].serial : 0;
}

void bpi_callback_begin(bpi_callback *c, bp_context *ctx, bool keeps)
{
    if (ctx->calls == 0) /* the context is being opened, or closed */
        return;
    if (ctx->callbacks == 0)
        ctx->first_callback = (uintptr_t)c;
    *c = (bpi_callback){ctx, ctx->calls, ctx->callbacks, ctx->base, ctx->depth, innermost(ctx),
                        keeps};
    ctx->callbacks++;
    ctx->calls = 0;
    if (!keeps)
        bpi_fp_leave(ctx->host_fp);
}

/* The thread is the library's again, in the call that the host's function was called from. */
static void come_back(bpi_callback *c)
{
    bp_context *ctx = c->ctx;
    if (!c->keeps)
        ctx->host_fp = bpi_fp_enter(); /* as the function left it */
    ctx->calls = c->calls;
    ctx->callbacks = c->callbacks;
    ctx->base = c->base;
    c->ctx = NULL;
}

const char *bpi_callback_end(bpi_callback *c)
{
    bp_context *ctx = c->ctx;
    if (!ctx) /* there was no call to come back to */
        return NULL;
    int32_t depth = c->depth;
    come_back(c);
    if (ctx->depth == depth && innermost(ctx) == c->scope)
        return NULL;
    if (ctx->depth > depth)
        ctx->unwind(ctx, depth);
    bool ended = ctx->depth < depth || innermost(ctx) != c->scope;
    if (ended && ctx->depth == depth) /* it began another in its place */
        ctx->unwind(ctx, depth - 1);
    return ended ? "the function that it called ended a scope that it had not begun"
                 : "the function that it called left a scope open";
}

/* The exception will pass through the library up to the host's code that made the outermost call,
 * so that call, with all it opened, is over now. */
void bpi_callback_left(bpi_callback *c)
{
    bp_context *ctx = c->ctx;
    come_back(c);
    ctx->calls = 1;
    ctx->unwind(ctx, ctx->base);
    bpi_leave(ctx);
}

/* A stack grows downwards, and what was called from a function lies below its frame. */
void bpi_forget_abandoned(bp_context *ctx, const void *here)
{
    if (ctx->callbacks > 0 && (uintptr_t)here > ctx->first_callback)
        ctx->callbacks = 0;
}
