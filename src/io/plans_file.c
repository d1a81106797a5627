/* What a device's libraries have chosen, in a file that processes share: a line that says what the
 * file is, and a line a choice (src/cuda/choices.c). It is read, and written where something is
 * new, under a lock of its folder, which outlives the file that is replaced. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/context.h"
#include "io/buffer.h"

#define HEAD "bpcuda library plans 1\n"
enum { MOST_BYTES = 4 << 20, MOST_OF_LINE = 1000 };
enum { TRIES = 10000, PAUSE = 1000000 }; /* nanoseconds */

/* The folder of the file that the path leads to, locked; -1: none is there. Where the file system
 * has no locks it goes without. False: others kept it locked for ten seconds. */
static bool lock_folder(const char *path, int *fd)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        snprintf(real, sizeof real, "%s", path);
    char *slash = strrchr(real, '/');
    if (slash)
        slash[slash == real] = '\0';
    *fd = bpi_open_file(AT_FDCWD, slash ? real : ".", O_RDONLY | O_DIRECTORY, 0);
    for (int i = 0; *fd >= 0 && flock(*fd, LOCK_EX | LOCK_NB) != 0; i++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return true;
        if (i == TRIES)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE}, NULL);
    }
    return true;
}

static bp_status not_plans(bp_context *ctx, const char *path, const char *why)
{
    return bpi_fail(ctx, BP_ERR_FORMAT, "%s: is no file of library plans: %s; nothing was written",
                    path, why);
}

/* Whether the text is what this file writes, as far as lines go. */
static bp_status check(bp_context *ctx, const char *path, const char *text, size_t n)
{
    if (n < strlen(HEAD) || memcmp(text, HEAD, strlen(HEAD)))
        return not_plans(ctx, path, "its first line is not \"bpcuda library plans 1\"");
    const char *end;
    for (const char *at = text + strlen(HEAD); at < text + n; at = end + 1) {
        int colon = 0;
        for (end = at; end < text + n && *end >= ' ' && *end <= '~'; end++)
            colon |= end > at && *end == ':' && end[1] == ' ';
        if (end == text + n)
            return not_plans(ctx, path, "its last line has no end");
        if (*end != '\n' || !colon || end - at > MOST_OF_LINE)
            return not_plans(ctx, path, "a line is not \"what it is of: what was chosen\"");
    }
    return BP_OK;
}

/* The text of the file, with a 0 behind it; of a file that is empty or not there, none. */
static bp_status read_text(bpi_file *f, bpi_bytes *text)
{
    uint64_t n;
    BPI_TRY(bpi_file_lock(f));
    BPI_TRY(bpi_file_read(f, MOST_BYTES, text, &n));
    if (n == MOST_BYTES)
        return not_plans(f->ctx, f->path, "it has more than 4 MB");
    if (!bpi_grow(f->ctx, (void **)&text->at, &text->capacity, (int64_t)n + 1, 1))
        return BP_ERR_NOMEM;
    text->at[n] = '\0';
    return n > 0 ? check(f->ctx, f->path, (const char *)text->at, n) : BP_OK;
}

static bp_status exchange(bp_context *ctx, const char *path, bpi_bytes *text)
{
    const char *all;
    int64_t news = 0;
    bpi_file f;
    struct stat s;
    if (stat(path, &s) == 0) {
        if (S_ISFIFO(s.st_mode)) /* to open one waits for its writer */
            return not_plans(ctx, path, "it is a pipe");
        bp_status st = bpi_file_open(ctx, path, false, &f);
        if (st == BP_OK)
            st = read_text(&f, text);
        bpi_file_close(&f);
        BPI_TRY(st);
    }
    const bool any = text->at && text->at[0];
    bp_status st = ctx->device->calls->share(
        ctx->device, any ? (const char *)text->at + strlen(HEAD) : "", &all, &news);
    if (st != BP_OK)
        return bpi_device_failed(ctx, st, "share_plans");
    if (news == 0)
        return BP_OK;
    bpi_buffer b = {.ctx = ctx};
    bpi_say(&b, HEAD "%s", all);
    return bpi_buffer_end(&b, path);
}

static bp_status share(bp_context *ctx, const char *path)
{
    bpi_bytes text = {0};
    int folder;
    BPI_TRY(bpi_given(ctx, path, "share_plans: path"));
    if (ctx->pending != BP_OK)
        return ctx->pending;
    if (!ctx->device->calls->share)
        return BP_OK;
    bp_status st = lock_folder(path, &folder)
                       ? exchange(ctx, path, &text)
                       : bpi_fail(ctx, BP_ERR_IO, "%s: its folder is locked by another process",
                                  path);
    if (folder >= 0)
        close(folder);
    bpi_bytes_free(ctx, &text);
    return st;
}

bp_status bp_share_plans(bp_context *ctx, const char *path)
{
    BPI_INSIDE(ctx, share(ctx, path));
}
