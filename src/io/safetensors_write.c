/* Writing safetensors files: equal tensors give equal bytes, and an interrupted write leaves the
 * file that was there before. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/safetensors.h"

typedef struct header {
    bp_context *ctx;
    char *text;
    int64_t length, capacity;
} header;

static bool append(header *h, const char *text)
{
    int64_t n = (int64_t)strlen(text);
    if (!bpi_grow(h->ctx, (void **)&h->text, &h->capacity, h->length + n + 1, 1))
        return false;
    memcpy(h->text + h->length, text, (size_t)n + 1);
    h->length += n;
    return true;
}

static bool append_pair(header *h, const bpi_text_pair *p, const char *after)
{
    return append(h, "\"") && append(h, p->key) && append(h, "\":\"") && append(h, p->value) &&
           append(h, "\"") && append(h, after);
}

static const char *const file_dtype[] = {[BP_F32] = "F32", [BP_F64] = "F64", [BP_U8] = "U8",
                                         [BP_I32] = "I32"};

static uint64_t tensor_bytes(const bp_tensor *t)
{
    return (uint64_t)bp_shape_count(bp_shape_of(t)) * bp_dtype_bytes(bp_dtype_of(t));
}

static bool append_tensor(header *h, const char *name, const bp_tensor *t, uint64_t begin)
{
    bp_shape shape = bp_shape_of(t);
    char text[256];
    snprintf(text, sizeof text, "\",\"shape\":%s,\"data_offsets\":[%llu,%llu]}",
             bpi_shape_str(&shape).s, (unsigned long long)begin,
             (unsigned long long)(begin + tensor_bytes(t)));
    return append(h, ",\"") && append(h, name) && append(h, "\":{\"dtype\":\"") &&
           append(h, file_dtype[bp_dtype_of(t)]) && append(h, text);
}

static bool write_tensor(bp_context *ctx, FILE *f, bp_tensor *t, bp_status *st)
{
    size_t bytes = (size_t)tensor_bytes(t);
    void *host = bpi_host_alloc(ctx, bytes ? bytes : 1);
    *st = host ? bp_read(t, host, bytes) : bpi_fail(ctx, BP_ERR_NOMEM, "save: out of memory");
    bool ok = *st == BP_OK && fwrite(host, 1, bytes, f) == bytes;
    bpi_host_free(ctx, host, bytes ? bytes : 1);
    return ok;
}

/* The whole file, and the promise of the system that it is on the disk. *st is set where a tensor
 * could not be read; else errno says what is wrong. */
static bool write_all(const header *h, FILE *f, bp_tensor *const *tensor, int32_t n, bp_status *st)
{
    unsigned char length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)h->length >> 8 * i);
    bool ok = fwrite(length, 1, 8, f) == 8 &&
              fwrite(h->text, 1, (size_t)h->length, f) == (size_t)h->length;
    for (int32_t i = 0; ok && i < n; i++)
        ok = write_tensor(h->ctx, f, tensor[i], st);
    return ok && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

static bp_status write_file(const header *h, const char *path, bp_tensor *const *tensor, int32_t n)
{
    size_t bytes = strlen(path) + sizeof ".tmp";
    char *temporary = bpi_host_alloc(h->ctx, bytes);
    if (!temporary)
        return bpi_fail(h->ctx, BP_ERR_NOMEM, "%s: out of memory", path);
    strcat(strcpy(temporary, path), ".tmp");
    bp_status st = BP_OK;
    errno = 0;
    FILE *f = fopen(temporary, "wb");
    bool ok = f && write_all(h, f, tensor, n, &st);
    int error = errno;
    if (f && fclose(f) != 0 && ok) {
        ok = false;
        error = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok = false;
        error = errno;
    }
    if (!ok && f)
        remove(temporary);
    if (!ok && st == BP_OK)
        st = bpi_fail(h->ctx, BP_ERR_IO, "%s: cannot be written: %s", path, strerror(error));
    bpi_host_free(h->ctx, temporary, bytes);
    return st;
}

bp_status bpi_safetensors_write(bp_context *ctx, const char *path, const char *const *name,
                                bp_tensor *const *tensor, int32_t n, const bpi_text_pair *meta,
                                int32_t n_meta)
{
    header h = {.ctx = ctx};
    bool ok = append(&h, "{\"__metadata__\":{");
    for (int32_t i = 0; ok && i < n_meta; i++)
        ok = append_pair(&h, &meta[i], i + 1 < n_meta ? "," : "");
    ok = ok && append(&h, "}");
    uint64_t begin = 0;
    for (int32_t i = 0; ok && i < n; i++) {
        ok = append_tensor(&h, name[i], tensor[i], begin);
        begin += tensor_bytes(tensor[i]);
    }
    ok = ok && append(&h, "}");
    while (ok && h.length % 8)
        ok = append(&h, " ");
    bp_status st = ok ? write_file(&h, path, tensor, n)
                      : bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", path);
    bpi_host_free(ctx, h.text, (size_t)h.capacity);
    return st;
}
