/* Storages and the pools they come from; the host's memory; between the host and the device's. */
#ifndef BPI_CORE_MEMORY_H
#define BPI_CORE_MEMORY_H

#include <stdbool.h>

#include "door/backend.h"

enum { BPI_SIZE_CLASSES = 192 };
#define BPI_BYTES_MAX ((size_t)64 << 44) /* of one storage */

typedef struct bpi_storage {
    int32_t refs;
    uint32_t version;   /* counts the writes after creation, those of its parts too */
    const char *writer; /* who wrote last, for messages */
    void *data;         /* device memory; NULL for 0 bytes */
    size_t bytes;       /* of its size class */
    int32_t size_class;
    int32_t part_number;
    bool in_plan;       /* from the arena of plans */
    bool read_only;     /* memory of others, who say so */
    struct bpi_storage *whole; /* of a part: what it refers to; else NULL */
    /* Of memory that is not ours: ends it, when nothing refers to it any more. */
    void (*let_go)(bp_context *ctx, struct bpi_storage *s);
    struct bpi_storage *next; /* in the free list of its class */
} bpi_storage;

bpi_storage *bpi_storage_create(bp_context *ctx, size_t bytes); /* pending error on failure */
/* A part of a storage with a version of its own: a parameter in its flat buffer. */
bpi_storage *bpi_storage_part(bp_context *ctx, bpi_storage *whole, void *data, int32_t number);
void bpi_storage_release(bp_context *ctx, bpi_storage *s);
static inline void bpi_storage_written(bpi_storage *s, const char *writer)
{
    s->version++;
    s->writer = writer;
    if (s->whole)
        s->whole->version++;
}
/* Makes the workspace at least so large; BP_ERR_NOMEM leaves it as it was. */
bp_status bpi_reserve(bp_context *ctx, size_t bytes);
void bpi_memory_free(bp_context *ctx); /* at bp_close */

void *bpi_host_alloc(bp_context *ctx, size_t bytes); /* zeroed; no error is set */
void bpi_host_free(bp_context *ctx, void *p, size_t bytes);
/* How memory of bpi_host_alloc is freed by who has no context, or not the turn of it, on any
 * thread. */
typedef struct bpi_freer {
    void (*free)(void *user, void *p, size_t bytes); /* NULL: ours */
    void *user;
} bpi_freer;
bpi_freer bpi_host_freer(const bp_context *ctx);
void bpi_host_free_by(bpi_freer freer, void *p, size_t bytes);
/* The same, for what a program makes and frees: the context lives as long as one of them does. */
void *bpi_object_alloc(bp_context *ctx, size_t bytes);
void bpi_object_free(bp_context *ctx, void *p, size_t bytes);
/* Room for one more in a host array; false when out of memory, with the error set. */
bool bpi_grow(bp_context *ctx, void **items, int64_t *capacity, int64_t need, size_t item_bytes);

/* The calls of backend.h, with the error set; bp_sync from inside. */
bp_status bpi_sync(bp_context *ctx);
bp_status bpi_upload(bp_context *ctx, void *dst, const void *src, size_t bytes); /* NULL: zeros */
bp_status bpi_download(bp_context *ctx, void *dst, const void *src, size_t bytes);

#endif
