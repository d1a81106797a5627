/* Turns: one thread at a time is inside a context; what a call does on its way in and out, and
 * around the host's own functions.
 *
 * A thread is inside while it is in a public call, in a scope that it opened, or in a function of
 * the host's that a call has called. `calls` counts the calls since the host was last in charge. */
#ifndef BPI_CORE_TURN_H
#define BPI_CORE_TURN_H

#include <stdbool.h>

#include "door/backend.h"
#include "door/fpstate.h"

/* Every public call on a context begins and ends with these. In between the thread is in the
 * library's floating-point state. */
bp_status bpi_enter(bp_context *ctx);
void bpi_leave(bp_context *ctx);
/* The body of a public call that is one inner call. */
#define BPI_INSIDE(ctx, call)                \
    do {                                     \
        bp_context *inside_ = (ctx);         \
        BPI_TRY(bpi_enter(inside_));         \
        bp_status status_ = (call);          \
        bpi_leave(inside_);                  \
        return status_;                      \
    } while (0)

/* An error that no context can hold: bp_error_text gives the sentence (a constant) to this thread
 * until it meets another error. Returns `status`. */
bp_status bpi_tell_thread(bp_status status, const char *sentence);
const char *bpi_told_thread(void); /* NULL: nothing newer than what the contexts hold */
/* For public calls that are given a NULL which should lead to a context: "optimizer_step: opt is
 * NULL". */
#define BPI_LEADS(pointer, what)                                      \
    do {                                                              \
        if (!(pointer))                                               \
            return bpi_tell_thread(BP_ERR_ARG, what " is NULL");      \
    } while (0)

extern const char bpi_busy_text[];
bool bpi_own_turn(const bp_context *ctx); /* this thread is inside */
bool bpi_others_turn(const bp_context *ctx);

/* What another thread frees while one is inside waits in a list for the end of that turn. */
typedef struct bpi_late {
    struct bpi_late *next;
    void (*free)(struct bpi_late *);
} bpi_late;

/* For calls that free: enters; false where the object was left to the thread inside, which will
 * call free(late), or to the end of the turn where this thread is in a function that may call
 * nothing. In two steps: enters, or not; and leaves an object to the thread inside. The context
 * itself closes in any state. */
bool bpi_enter_to_free(bp_context *ctx, bpi_late *late, void (*free)(bpi_late *));
bool bpi_enter_quietly(bp_context *ctx);
bool bpi_enter_to_close(bp_context *ctx);
void bpi_leave_to_others(bp_context *ctx, bpi_late *late, void (*free)(bpi_late *));
/* Calls free(late) when the turn of this thread, which is inside, ends; or already when the public
 * call that it is in does: there the host may be called. */
void bpi_free_at_end(bp_context *ctx, bpi_late *late, void (*free)(bpi_late *));
void bpi_free_behind(bp_context *ctx, bpi_late *late, void (*free)(bpi_late *));

/* Around a call of the host's function. The thread is in the host's floating-point state there,
 * unless `keeps` ours: kernels. Where the function is left by an exception, the calls and scopes
 * that it leaves with it end. */
typedef struct bpi_callback {
    bp_context *ctx; /* NULL: not begun, or over */
    int32_t calls, callbacks, base, depth;
    uint64_t scope; /* the innermost */
    bool keeps;
} bpi_callback;
#define BPI_CALLBACK(name)                                              \
    __attribute__((cleanup(bpi_callback_cleanup))) bpi_callback name;   \
    name.ctx = NULL
void bpi_callback_begin(bpi_callback *c, bp_context *ctx, bool keeps);
/* What the function did wrong: it ended scopes that are not its own, or left one open, which is
 * ended now. NULL: nothing. */
const char *bpi_callback_end(bpi_callback *c);
void bpi_callback_left(bpi_callback *c); /* by an exception */
static inline void bpi_callback_cleanup(bpi_callback *c)
{
    if (c->ctx)
        bpi_callback_left(c);
}
/* The thread is inside because of functions that were left by longjmp, as far as can be told from
 * `here`, an address in the frame of a public call: forgets them. */
void bpi_forget_abandoned(bp_context *ctx, const void *here);

#endif
