/* What the fuzzers share: see fuzz.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { FILES = 4, BYTES_MAX = 8 << 20, ROOM = 1 << 16 };

static int64_t live;

static void *take(void *user, size_t bytes)
{
    (void)user;
    void *p = bytes <= BYTES_MAX ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
    live += p != NULL;
    return p;
}

static void give(void *user, void *p, size_t bytes)
{
    (void)user;
    (void)bytes;
    live -= p != NULL;
    free(p);
}

bp_context *fuzz_open(void)
{
    bp_hooks hooks = {.struct_bytes = sizeof hooks, .alloc = take, .free = give};
    bp_context *ctx;
    FUZZ_MUST(live == 0);
    FUZZ_MUST(bp_open_with("cpu:generic", &hooks, &ctx) == BP_OK);
    FUZZ_MUST(bp_set_threads(ctx, 1) == BP_OK);
    return ctx;
}

void fuzz_close(bp_context *ctx)
{
    bp_close(ctx);
    FUZZ_MUST(live == 0);
}

static int file(int n)
{
    static int fd[FILES];
    if (fd[n] == 0)
        fd[n] = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_MUST(fd[n] > 0);
    return fd[n];
}

const char *fuzz_file(int n, const void *bytes, size_t size)
{
    static char path[FILES][32];
    int fd = file(n);
    snprintf(path[n], sizeof path[n], "/proc/self/fd/%d", fd);
    FUZZ_MUST(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, size, 0) == (ssize_t)size);
    return path[n];
}

/* The largest end of any data_offsets, at most half of the room. */
static size_t data_wanted(const char *header)
{
    unsigned long long end, most = 0;
    for (const char *p = header; (p = strstr(p, "data_offsets")) != NULL; p++) {
        const char *comma = strchr(p, ',');
        end = comma ? strtoull(comma + 1, NULL, 10) : 0;
        most = end > most && end <= ROOM / 2 ? end : most;
    }
    return (size_t)most;
}

const char *fuzz_safetensors(const uint8_t *input, size_t size)
{
    static uint8_t all[ROOM + 1];
    if (!(input[0] & 1) || size > ROOM / 4)
        return fuzz_file(0, input + 1, size - 1);
    const uint8_t *header = input + 1, *zero = memchr(header, 0, size - 1);
    size_t n = zero ? (size_t)(zero - header) : size - 1, given = zero ? size - 2 - n : 0;
    for (int i = 0; i < 8; i++)
        all[i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(all + 8, header, n);
    all[8 + n] = 0;
    size_t data = input[0] & 2 ? data_wanted((const char *)all + 8) : given;
    for (size_t i = 0; i < data; i++)
        all[8 + n + i] = given ? zero[1 + i % given] : 0;
    return fuzz_file(0, all, 8 + n + data);
}

static off_t contents(int n, char *to, size_t room)
{
    struct stat s;
    FUZZ_MUST(fstat(file(n), &s) == 0 && (size_t)s.st_size <= room);
    FUZZ_MUST(pread(file(n), to, room, 0) == s.st_size);
    return s.st_size;
}

bool fuzz_equal(int a, int b)
{
    static char x[BYTES_MAX], y[BYTES_MAX];
    off_t n = contents(a, x, sizeof x);
    return n == contents(b, y, sizeof y) && memcmp(x, y, (size_t)n) == 0;
}

void fuzz_round_trip(bp_context *ctx, bp_model *model)
{
    const char *first = fuzz_file(2, "", 0), *second = fuzz_file(3, "", 0);
    bp_model *loaded;
    bp_status st = bp_model_save(model, first);
    FUZZ_MUST(st == BP_OK || st == BP_ERR_NOMEM);
    if (st != BP_OK)
        return;
    st = bp_model_load(ctx, first, &loaded);
    FUZZ_MUST(st == BP_OK || st == BP_ERR_NOMEM);
    if (st == BP_OK)
        FUZZ_MUST(bp_model_save(loaded, second) == BP_OK && fuzz_equal(2, 3));
    bp_model_free(loaded);
}
