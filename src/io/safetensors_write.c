/* Writing safetensors files: equal tensors give equal bytes. */
#include <stdio.h>
#include <string.h>

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

/* The whole file in memory: its length is known, so that it is made before any file is touched. */
static bp_status fill(const header *h, bp_tensor *const *tensor, int32_t n, unsigned char *to)
{
    for (int i = 0; i < 8; i++)
        *to++ = (unsigned char)((uint64_t)h->length >> 8 * i);
    memcpy(to, h->text, (size_t)h->length);
    to += h->length;
    for (int32_t i = 0; i < n; i++) {
        size_t bytes = (size_t)tensor_bytes(tensor[i]);
        BPI_TRY(bp_read(tensor[i], to, bytes));
        to += bytes;
    }
    return BP_OK;
}

bp_status bpi_safetensors_write(bp_context *ctx, const char *path, const char *const *name,
                                bp_tensor *const *tensor, int32_t n, const bpi_text_pair *meta,
                                int32_t n_meta, bool only_try)
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
    size_t bytes = 8 + (size_t)h.length + (size_t)begin;
    unsigned char *all = ok ? bpi_host_alloc(ctx, bytes) : NULL;
    bp_status st = all ? fill(&h, tensor, n, all)
                       : bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", path);
    if (st == BP_OK)
        st = bpi_file_write(ctx, path, all, bytes, only_try);
    bpi_host_free(ctx, all, bytes);
    bpi_host_free(ctx, h.text, (size_t)h.capacity);
    return st;
}
