/* Bytes that grow: see buffer.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "io/buffer.h"

void *bpi_buffer_room(bpi_buffer *b, size_t n)
{
    if (b->status != BP_OK || n == 0)
        return NULL;
    if (!bpi_grow(b->ctx, (void **)&b->at, &b->capacity, b->n + (int64_t)n, 1)) {
        b->status = BP_ERR_NOMEM;
        return NULL;
    }
    b->n += (int64_t)n;
    return b->at + b->n - n;
}

void bpi_put(bpi_buffer *b, const void *bytes, size_t n)
{
    void *to = bpi_buffer_room(b, n);
    if (to)
        memcpy(to, bytes, n);
}

void bpi_say(bpi_buffer *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = (size_t)(b->capacity - b->n);
    size_t n = (size_t)vsnprintf(room ? b->at + b->n : NULL, room, format, args);
    if (n < room && b->status == BP_OK) {
        b->n += (int64_t)n;
    } else {
        char *to = bpi_buffer_room(b, n + 1);
        if (to) {
            vsnprintf(to, n + 1, format, again);
            b->n--; /* its 0 is no part of it */
        }
    }
    va_end(again);
    va_end(args);
}

void bpi_put_tensor(bpi_buffer *b, bp_tensor *t)
{
    size_t n = (size_t)bp_shape_count(bp_shape_of(t)) * bp_dtype_bytes(bp_dtype_of(t));
    void *to = bpi_buffer_room(b, n);
    if (to)
        b->status = bp_read(t, to, n);
}

bp_status bpi_buffer_end(bpi_buffer *b, const char *path)
{
    bp_status st = b->status;
    if (st == BP_OK)
        st = bpi_file_write(b->ctx, path, b->at, (size_t)b->n, 1);
    bpi_buffer_free(b);
    return st;
}

void bpi_buffer_free(bpi_buffer *b)
{
    bpi_host_free(b->ctx, b->at, (size_t)b->capacity);
    *b = (bpi_buffer){.ctx = b->ctx};
}
