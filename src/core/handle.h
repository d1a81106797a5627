/* Handles: what a program holds as a bp_tensor *.
 *
 * A tensor is a view, a counted reference to a storage, and a place on the tape. They live in
 * slots that are never returned to the system before bp_close and are used again. A handle is the
 * address of its slot together with the slot's generation, which is another one after each use, so
 * that a stale handle can be told from a live one for ever: a slot that has had all its
 * generations retires. Slots lie at multiples of 256, and no address has more than 48 bits: room
 * for 24 bits. */
#ifndef BPI_CORE_HANDLE_H
#define BPI_CORE_HANDLE_H

#include "bpcuda/params.h"
#include "core/memory.h"
#include "core/turn.h"

typedef struct bpi_place { /* where on the tape a value was made; valid while the serials match */
    int32_t node, out;
    uint64_t serial; /* 0: nowhere */
} bpi_place;

/* Whose a handle is. */
enum {
    BPI_OWNER_NONE,
    BPI_OWNER_LIBRARY, /* nobody outside has seen it */
    BPI_OWNER_OBJECT,  /* a store's or an optimiser's: lent out, not to be freed */
    BPI_OWNER_SCOPE,
    BPI_OWNER_USER
};

typedef struct bpi_tensor {
    bp_context *ctx;
    bpi_storage *storage; /* NULL: none yet (a parameter before its store's first use), or stale */
    bpi_place place;
    bp_params *store; /* of a parameter, else NULL */
    int32_t segment;  /* in the store */
    uint32_t generation;
    int32_t owner;
    bp_view view;
    struct bpi_tensor *prev, *next; /* in the list of its scope; next: in the list of free slots */
    bpi_late late; /* freed by another thread while one is inside: this handle */
    _Atomic(bp_tensor *) late_handle;
} bpi_tensor;

enum { BPI_SLOT_CHUNK = 128, BPI_SLOT_BYTES = 256, BPI_GENERATIONS = 1 << 24 };
_Static_assert(sizeof(bpi_tensor) <= BPI_SLOT_BYTES, "a slot holds a tensor");

/* The tensor behind a handle that is not NULL, stale or not. */
static inline bpi_tensor *bpi_at(const bp_tensor *t)
{
    return (bpi_tensor *)((uintptr_t)t & 0xFFFFFFFFFF00u);
}

static inline bp_view *bpi_view_of(const bp_tensor *t)
{
    return &bpi_at(t)->view;
}

static inline bp_tensor *bpi_handle_of(const bpi_tensor *slot)
{
    uintptr_t high = slot->generation >> 8, low = slot->generation & 0xFF;
    return (bp_tensor *)((uintptr_t)slot | high << 48 | low);
}

/* Whether the handle is the one its slot has now; NULL is not. */
static inline bool bpi_is_live(const bp_tensor *t)
{
    return t && bpi_at(t)->owner != BPI_OWNER_NONE && bpi_handle_of(bpi_at(t)) == t;
}

/* A handle over a storage, which it then refers to once more. Pending error on failure. */
bp_tensor *bpi_handle(bp_context *ctx, bpi_storage *s, const bp_view *view, int owner);
/* Whether the next n handles can be made without asking for memory. Pending error if not. */
bool bpi_handles_reserve(bp_context *ctx, int n);
bp_tensor *bpi_clone(bp_tensor *t); /* owner LIBRARY: whoever clones kills */
void bpi_kill(bp_tensor *t);        /* NULL and a stale one are fine */
void bpi_give_to_scope(bp_tensor *t);
void bpi_take_from_scope(bp_tensor *t); /* the caller sets the owner */
void bpi_handles_end(bp_context *ctx);  /* those of the program, at bp_close */
void bpi_handles_free(bp_context *ctx); /* when the context goes */
void bpi_lend(bp_tensor *t); /* its owner, the user, is an object from now on: bpi_kill ends it */
/* Fresh memory for a view whose dtype, shape and strides are set; for a packed one; for a packed
 * one filled from the host (NULL: zeros), which is NULL on failure. */
bp_tensor *bpi_fresh(bp_context *ctx, bp_view *view, int owner);
bp_tensor *bpi_fresh_packed(bp_context *ctx, bp_dtype dtype, bp_shape shape, int owner);
bp_status bpi_uploaded(bp_context *ctx, bp_dtype dtype, bp_shape shape, const void *src, int owner,
                       bp_tensor **t);
/* A packed window on the memory of another tensor, `offset` elements of its own dtype into it. */
bp_tensor *bpi_window(bp_tensor *t, int64_t offset, bp_dtype dtype, bp_shape shape, int owner);

#endif
