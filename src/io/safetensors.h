/* Files of named tensors in the safetensors format: the length of a header as a little-endian u64,
 * the header in JSON, then the elements of all tensors, row-major, without gaps. */
#ifndef BPI_SAFETENSORS_H
#define BPI_SAFETENSORS_H

#include <string.h>

#include "io/file.h"

typedef struct bpi_text_pair {
    const char *key, *value;
} bpi_text_pair;

/* Writes tensors and metadata, as bpi_file_write does. Waits. BP_ERR_ARG where a name, or a text of
 * the metadata, is not UTF-8, or a tensor has the name that the format keeps for itself. */
bp_status bpi_safetensors_write(bp_context *ctx, const char *path, const char *const *name,
                                bp_tensor *const *tensor, int32_t n, const bpi_text_pair *meta,
                                int32_t n_meta, int32_t keep);

/* Of the data of a file, for whoever wants to know that it is what was written: metadata with the
 * key "checksum" and 16 zeros get it. A change of one bit changes it. */
static inline uint64_t bpi_checksum(const unsigned char *data, size_t n)
{
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, data + i, n - i < 8 ? n - i : 8);
        sum = (sum ^ word) * 1099511628211u; /* each step can be undone: none hides a difference */
        sum ^= sum >> 29;
    }
    return sum;
}

typedef struct bpi_entry {
    const char *name;
    const char *type; /* of the elements, as the format names it: "F32", "BF16", "I64" */
    bp_dtype dtype;   /* ours, or 0 */
    bp_shape shape;
    uint64_t begin, end; /* in the data */
} bpi_entry;

/* A file that was read whole and checked. */
typedef struct bpi_safetensors {
    bpi_bytes header, data; /* the header holds the decoded strings */
    bpi_entry *entry;       /* in order of their data */
    bpi_text_pair *meta;
    int64_t n, n_meta, entry_capacity, meta_capacity;
    bool has_meta; /* __metadata__ was there */
} bpi_safetensors;

/* On any failure too, free the result. */
bp_status bpi_safetensors_read(bp_context *ctx, const char *path, bpi_safetensors *file);
void bpi_safetensors_free(bp_context *ctx, bpi_safetensors *file);

const bpi_entry *bpi_safetensors_find(const bpi_safetensors *file, const char *name);
const char *bpi_safetensors_meta(const bpi_safetensors *file, const char *key); /* NULL: none */

/* Whether an entry holds real numbers that are read without loss: F16, BF16, F32, F64; and number i
 * of such a one. */
bool bpi_entry_is_real(const bpi_entry *entry);
double bpi_entry_number(const bpi_safetensors *file, const bpi_entry *entry, int64_t i);

#endif
