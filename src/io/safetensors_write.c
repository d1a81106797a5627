/* Writing safetensors files: equal tensors give equal bytes. */
#include <stdio.h>
#include <string.h>

#include "io/buffer.h"
#include "io/json.h"
#include "io/safetensors.h"

/* A string of JSON. */
static void put_string(bpi_buffer *h, const char *text)
{
    bpi_put(h, "\"", 1);
    while (*text) {
        size_t plain = 0;
        while ((unsigned char)text[plain] >= 0x20 && text[plain] != '"' && text[plain] != '\\')
            plain++;
        bpi_put(h, text, plain);
        text += plain;
        if (*text)
            bpi_say(h, "\\u%04x", (unsigned)(unsigned char)*text++);
    }
    bpi_put(h, "\"", 1);
}

static const char *const file_dtype[] = {[BP_F32] = "F32", [BP_F64] = "F64", [BP_U8] = "U8",
                                         [BP_I32] = "I32"};

static uint64_t tensor_bytes(const bp_tensor *t)
{
    return (uint64_t)bp_shape_count(bp_shape_of(t)) * bp_dtype_bytes(bp_dtype_of(t));
}

static void put_tensor(bpi_buffer *h, const char *name, const bp_tensor *t, uint64_t begin)
{
    bp_shape shape = bp_shape_of(t);
    bpi_say(h, ",");
    put_string(h, name);
    bpi_say(h, ":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%llu,%llu]}",
            file_dtype[bp_dtype_of(t)], bpi_shape_str(&shape).s, (unsigned long long)begin,
            (unsigned long long)(begin + tensor_bytes(t)));
}

/* The whole file in memory: its length is known, so that it is made before any file is touched. */
static bp_status fill(const bpi_buffer *h, bp_tensor *const *tensor, int32_t n, unsigned char *to)
{
    for (int i = 0; i < 8; i++)
        *to++ = (unsigned char)((uint64_t)h->n >> 8 * i);
    memcpy(to, h->at, (size_t)h->n);
    to += h->n;
    for (int32_t i = 0; i < n; i++) {
        size_t bytes = (size_t)tensor_bytes(tensor[i]);
        BPI_TRY(bp_read(tensor[i], to, bytes));
        to += bytes;
    }
    return BP_OK;
}

/* To `at` in the header, which has room for 16 digits there. */
static void put_checksum(const bpi_buffer *h, int64_t at, unsigned char *all, size_t bytes)
{
    char digits[24];
    size_t data = 8 + (size_t)h->n;
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
    bpi_buffer h = {.ctx = ctx};
    int64_t checksum = 0; /* where its digits go; 0: nowhere */
    bpi_say(&h, "{\"__metadata__\":{");
    for (int32_t i = 0; i < n_meta; i++) {
        if (!strcmp(meta[i].key, "checksum"))
            checksum = h.n + (int64_t)strlen("\"checksum\":\"");
        put_string(&h, meta[i].key);
        bpi_say(&h, ":");
        put_string(&h, meta[i].value);
        bpi_say(&h, i + 1 < n_meta ? "," : "");
    }
    bpi_say(&h, "}");
    uint64_t begin = 0;
    for (int32_t i = 0; i < n; i++) {
        put_tensor(&h, name[i], tensor[i], begin);
        begin += tensor_bytes(tensor[i]);
    }
    bpi_say(&h, "}%*s", (int)(7 - h.n % 8), ""); /* to a multiple of 8 */
    size_t bytes = 8 + (size_t)h.n + (size_t)begin;
    unsigned char *all = h.status == BP_OK ? bpi_host_alloc(ctx, bytes) : NULL;
    bp_status st = all ? fill(&h, tensor, n, all)
                       : bpi_fail(ctx, BP_ERR_NOMEM, "%s: out of memory", path);
    if (st == BP_OK) {
        if (checksum)
            put_checksum(&h, checksum, all, bytes);
        st = bpi_file_write(ctx, path, all, bytes, keep);
    }
    bpi_host_free(ctx, all, bytes);
    bpi_buffer_free(&h);
    return st;
}
