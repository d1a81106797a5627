/* The allocator of readers.h: 64 bytes before and behind each allocation hold a pattern that is
 * checked when it is freed, and new memory is full of NaN. */
#include <stdlib.h>
#include <string.h>

#include "readers.h"

enum { BAND = 64, PATTERN = 0xA5 };

static void *take(void *user, size_t bytes)
{
    guard *g = user;
    g->calls++;
    if (g->calls == g->fail_at || (g->fail_at && g->fail_on && g->calls > g->fail_at))
        return NULL;
    size_t room = (bytes + 63) / 64 * 64;
    unsigned char *p = aligned_alloc(64, room + 2 * BAND);
    if (!p)
        return NULL;
    memset(p, PATTERN, room + 2 * BAND);
    memcpy(p, &bytes, sizeof bytes);
    memset(p + BAND, GUARD_POISON, bytes);
    g->live++;
    g->live_bytes += (int64_t)bytes;
    return p + BAND;
}

static void give(void *user, void *mine, size_t bytes)
{
    guard *g = user;
    if (!mine)
        return;
    unsigned char *p = (unsigned char *)mine - BAND;
    size_t room = (bytes + 63) / 64 * 64, had;
    memcpy(&had, p, sizeof had);
    if (had != bytes)
        g->broken = true;
    for (size_t i = sizeof had; i < BAND && had == bytes; i++)
        g->broken |= p[i] != PATTERN;
    for (size_t i = BAND + bytes; i < room + 2 * BAND && had == bytes; i++)
        g->broken |= p[i] != PATTERN;
    g->live--;
    g->live_bytes -= (int64_t)bytes;
    free(p);
}

bp_hooks guard_hooks(guard *g)
{
    return (bp_hooks){.struct_bytes = sizeof(bp_hooks), .user = g, .alloc = take, .free = give};
}
