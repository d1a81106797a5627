/* Older versions of a file that is about to be replaced: path.1 is the one before, path.2 the one
 * before that. The newest gets a second name before its first name goes to the next one, so whoever
 * is killed at any point leaves `path` as it was, and no version in pieces. A try again after a
 * save that failed moves nothing: path.1 is still the same file as path. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

/* to[] becomes "path.n". */
static bool numbered(char *to, const char *path, int32_t n)
{
    return snprintf(to, PATH_MAX, "%s.%d", path, (int)n) < PATH_MAX;
}

static int move_up(const char *path, int32_t keep)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat now, before;
    if (stat(path, &now) != 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISREG(now.st_mode))
        return EINVAL;
    if (!numbered(to, path, keep) || !numbered(to, path, 1))
        return ENAMETOOLONG;
    if (stat(to, &before) == 0 && now.st_dev == before.st_dev && now.st_ino == before.st_ino)
        return 0;
    for (int32_t i = keep - 1; i > 1; i--) {
        numbered(to, path, i);
        numbered(from, path, i - 1);
        if (rename(from, to) != 0 && errno != ENOENT)
            return errno;
    }
    numbered(to, path, 1);
    if (unlink(to) != 0 && errno != ENOENT)
        return errno;
    return link(path, to) == 0 ? 0 : errno;
}

bp_status bpi_file_keep(bp_context *ctx, const char *path, int32_t keep)
{
    int error = keep > 1 ? move_up(path, keep) : 0;
    if (!error)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_IO, "%s: it cannot be kept as %s.1: %s", path, path,
                    error == EINVAL ? "it is no plain file" : strerror(error));
}
