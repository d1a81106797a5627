/* Errors: the first of a scope stays. */
#ifndef BPI_CORE_ERROR_H
#define BPI_CORE_ERROR_H

#include "core/turn.h"

/* Sets the context's error, unless one is pending; returns `status`, or the one pending. Texts of
 * others may be of any length and hold any byte: core/text.h makes them fit to be read. */
bp_status bpi_fail(bp_context *ctx, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For shape rules: the reason, without the op's name. Returns `status`. */
bp_status bpi_why(char *why, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The error of a device call that returned `st`, with the device's own words; returns `st`. */
bp_status bpi_device_failed(bp_context *ctx, bp_status st, const char *what);

/* The argument `what` ("params_create: params") is not NULL; else the error. */
bp_status bpi_given(bp_context *ctx, const void *argument, const char *what);

/* bpi_callback_end; BP_ERR_STATE, in the name of `who`, where the function did something wrong. */
bp_status bpi_callback_over(bpi_callback *c, const char *who);

/* A struct of the host's, which may be of an older header, and so shorter, or of a newer one: takes
 * what both know into `ours`, which is zero. BP_ERR_ARG where it is shorter than `least`,
 * BP_ERR_UNSUPPORTED where a field that only the host knows is not zero; `why` has the reason. */
bp_status bpi_take_struct(void *ours, size_t our_bytes, const void *theirs, size_t their_bytes,
                          size_t least, char *why);
/* The other way: what both know, and zeros behind it; nothing where `theirs` is NULL. */
void bpi_give_struct(void *theirs, size_t their_bytes, const void *ours, size_t our_bytes);
/* One that begins with its size, at least `bytes`, and is a result: what is behind the size becomes
 * 0, so that a call which fails leaves none of another. False where the size cannot be. NULL is
 * fine. */
bool bpi_result_begin(void *theirs, size_t bytes);
/* The same; BP_ERR_ARG says whose ("found") is wrong. */
bp_status bpi_result_fits(bp_context *ctx, const char *who, const char *whose, void *theirs,
                          size_t bytes);

#endif
