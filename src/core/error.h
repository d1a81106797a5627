/* Errors and turns: the first error of a scope stays, and one thread at a time has the context. */
#ifndef BPI_CORE_ERROR_H
#define BPI_CORE_ERROR_H

#include "door/backend.h"

/* Sets the context's error, unless one is pending; returns `status`, or the one pending. Texts of
 * others may be of any length and hold any byte: core/text.h makes them fit to be read. */
bp_status bpi_fail(bp_context *ctx, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For shape rules: the reason, without the op's name. Returns `status`. */
bp_status bpi_why(char *why, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The error of a device call that returned `st`, with the device's own words; returns `st`. */
bp_status bpi_device_failed(bp_context *ctx, bp_status st, const char *what);

/* Every public call on a context begins and ends with these. */
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

#endif
