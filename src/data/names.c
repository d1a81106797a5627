/* Texts with numbers: a table of slots, open, that is never more than half full. */
#include "data/names.h"

#include <string.h>

static uint64_t hash_of(const char *text, size_t bytes) /* Fowler, Noll, Vo: FNV-1a */
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static void place(bpi_names *names, int64_t i)
{
    const char *text = bpi_name_at(names, i);
    uint64_t mask = (uint64_t)names->slots - 1, k = hash_of(text, strlen(text)) & mask;
    while (names->slot[k])
        k = (k + 1) & mask;
    names->slot[k] = (int32_t)i + 1;
}

/* Room for one more of so many bytes. */
static bool reserve(bpi_names *names, size_t bytes)
{
    bp_context *ctx = names->ctx;
    if (!bpi_grow(ctx, (void **)&names->text, &names->text_capacity,
                  names->text_bytes + (int64_t)bytes + 1, 1) ||
        !bpi_grow(ctx, (void **)&names->at, &names->at_capacity, names->n + 1, sizeof *names->at))
        return false;
    if (2 * (names->n + 1) <= names->slots)
        return true;
    int64_t room = 0, want = names->slots ? 2 * names->slots : 64;
    void *slot = NULL;
    if (!bpi_grow(ctx, &slot, &room, want, sizeof *names->slot))
        return false;
    bpi_host_free(ctx, names->slot, (size_t)names->slots * sizeof *names->slot);
    names->slot = slot;
    names->slots = room;
    for (int64_t i = 0; i < names->n; i++)
        place(names, i);
    return true;
}

int64_t bpi_names_find(bpi_names *names, const char *text, size_t bytes, bool add)
{
    uint64_t mask = (uint64_t)names->slots - 1, k = names->slots ? hash_of(text, bytes) & mask : 0;
    for (; names->slots && names->slot[k]; k = (k + 1) & mask) {
        const char *there = bpi_name_at(names, names->slot[k] - 1);
        if (!strncmp(there, text, bytes) && !there[bytes])
            return names->slot[k] - 1;
    }
    if (!add || !reserve(names, bytes))
        return -1;
    int64_t i = names->n++;
    names->at[i] = names->text_bytes;
    memcpy(names->text + names->text_bytes, text, bytes);
    names->text[names->text_bytes + (int64_t)bytes] = 0;
    names->text_bytes += (int64_t)bytes + 1;
    place(names, i);
    return i;
}

/* Written in the one way that has no zeros in front. */
static bool is_integer(const char *text)
{
    bool minus = text[0] == '-';
    size_t n = strspn(text += minus, "0123456789");
    return n > 0 && !text[n] && (text[0] != '0' || (n == 1 && !minus));
}

/* Of integers the longer is the larger, or the smaller where both are below 0. */
static bool comes_before(const char *a, const char *b, bool integers)
{
    if (!integers)
        return strcmp(a, b) < 0;
    if (*a == '-' && *b == '-')
        return comes_before(b + 1, a + 1, true);
    if (*a == '-' || *b == '-')
        return *a == '-';
    size_t n = strlen(a), m = strlen(b);
    return n != m ? n < m : strcmp(a, b) < 0;
}

void bpi_names_order(const bpi_names *names, int32_t *order)
{
    int64_t n = names->n, gap = 1;
    bool integers = true;
    for (int64_t i = 0; i < n; i++) {
        integers &= is_integer(bpi_name_at(names, i));
        order[i] = (int32_t)i;
    }
    while (gap < n / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3) /* Shell's sort */
        for (int64_t i = gap; i < n; i++) {
            int32_t moved = order[i];
            int64_t k = i;
            for (; k >= gap && comes_before(bpi_name_at(names, moved),
                                            bpi_name_at(names, order[k - gap]), integers); k -= gap)
                order[k] = order[k - gap];
            order[k] = moved;
        }
}

void bpi_names_free(bpi_names *names)
{
    bp_context *ctx = names->ctx;
    bpi_host_free(ctx, names->text, (size_t)names->text_capacity);
    bpi_host_free(ctx, names->at, (size_t)names->at_capacity * sizeof *names->at);
    bpi_host_free(ctx, names->slot, (size_t)names->slots * sizeof *names->slot);
    *names = (bpi_names){.ctx = ctx};
}
