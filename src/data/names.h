/* Texts that are given numbers in the order of their coming: the classes of a column. */
#ifndef BPI_NAMES_H
#define BPI_NAMES_H

#include "core/memory.h"

typedef struct bpi_names {
    bp_context *ctx;
    char *text; /* one behind the other, each with its 0 */
    int64_t text_bytes, text_capacity;
    int64_t *at; /* [n], in text */
    int64_t n, at_capacity;
    int32_t *slot; /* [slots]: a number + 1, or 0 */
    int64_t slots; /* a power of 2, more than n */
} bpi_names;

/* The number of a text of `bytes` bytes without a 0; -1 where it is new and may not be added, or
 * there is no memory for it, when there is an error. */
int64_t bpi_names_find(bpi_names *names, const char *text, size_t bytes, bool add);
static inline const char *bpi_name_at(const bpi_names *names, int64_t i)
{
    return names->text + names->at[i];
}

/* order[k]: the number of the text that is k-th in order, by value where all are integers
 * ("-3", "12", not "+1" or "007"), else by their bytes. */
void bpi_names_order(const bpi_names *names, int32_t *order);
void bpi_names_free(bpi_names *names);

#endif
