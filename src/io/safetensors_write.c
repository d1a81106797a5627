/* Writing safetensors files: equal tensors give equal bytes. */
#include <stdio.h>
#include <string.h>

#include "io/json.h"
#include "io/safetensors.h"

typedef struct header {
    bp_context *ctx;
    char *text;
    int64_t length, capacity;
} header;

static bool append_bytes(header *h, const char *text, size_t n)
{
    if (!bpi_grow(h->ctx, (void **)&h->text, &h->capacity, h->length + (int64_t)n, 1))
        return false;
    memcpy(h->text + h->length, text, n);
    h->length += (int64_t)n;
    return true;
}

static bool append(header *h, const char *text)
{
    return append_bytes(h, text, strlen(text));
}

/* A string of JSON. */
static bool append_string(header *h, const char *text)
{
    bool ok = append(h, "\"");
    while (ok && *text) {
        size_t plain = 0;
        while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        ok = append_bytes(h, text, plain);
        text += plain;
        if (ok && *text) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*text++);
            ok = append(h, escape);
        }
    }
    return ok && append(h, "\"");
}

static bool append_pair(header *h, const bpi_text_pair *p, const char *after)
{
    return append_string(h, p->key) && append(h, ":") && append_string(h, p->value) &&
           append(h, after);
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
    snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%llu,%llu]}",
             file_dtype[bp_dtype_of(t)], bpi_shape_str(&shape).s, (unsigned long long)begin,
             (unsigned long long)(begin + tensor_bytes(t)));
    return append(h, ",") && append_string(h, name) && append(h, text);
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

/* To `at` in the header, which has room for 16 digits there. */
static void put_checksum(const header *h, int64_t at, unsigned char *all, size_t bytes)
{
    char digits[24];
    size_t data = 8 + (size_t)h->length;
    snprintf(digits, sizeof digits, "%016llx",
             (unsigned long long)bpi_checksum(all + data, bytes - data));
    memcpy(all + 8 + at, digits, 16);
}

/* What the format can say. */
static bp_status sayable(bp_context *ctx, const char *path, const char *text, const char *what)
{
    if (!bpi_is_utf8(text))
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %s %s is not UTF-8, which the file must be", path,
                        what, text);
    return BP_OK;
}

static bp_status all_sayable(bp_context *ctx, const char *path, const char *const *name, int32_t n,
                             const bpi_text_pair *meta, int32_t n_meta)
{
    for (int32_t i = 0; i < n; i++) {
        BPI_TRY(sayable(ctx, path, name[i], "the name"));
        if (!strcmp(name[i], "__metadata__"))
            return bpi_fail(ctx, BP_ERR_ARG, "%s: the name %s is the format's own", path, name[i]);
    }
    for (int32_t i = 0; i < n_meta; i++) {
        BPI_TRY(sayable(ctx, path, meta[i].key, "the metadata"));
        BPI_TRY(sayable(ctx, path, meta[i].value, "the metadata"));
    }
    return BP_OK;
}

bp_status bpi_safetensors_write(bp_context *ctx, const char *path, const char *const *name,
                                bp_tensor *const *tensor, int32_t n, const bpi_text_pair *meta,
                                int32_t n_meta, int32_t keep)
{
    BPI_TRY(all_sayable(ctx, path, name, n, meta, n_meta));
    header h = {.ctx = ctx};
    bool ok = append(&h, "{\"__metadata__\":{");
    int64_t checksum = 0; /* where its digits go; 0: nowhere */
    for (int32_t i = 0; ok && i < n_meta; i++) {
        if (!strcmp(meta[i].key, "checksum"))
            checksum = h.length + (int64_t)strlen("\"checksum\":\"");
        ok = append_pair(&h, &meta[i], i + 1 < n_meta ? "," : "");
    }
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
    if (st == BP_OK) {
        if (checksum)
            put_checksum(&h, checksum, all, bytes);
        st = bpi_file_write(ctx, path, all, bytes, keep);
    }
    bpi_host_free(ctx, all, bytes);
    bpi_host_free(ctx, h.text, (size_t)h.capacity);
    return st;
}
