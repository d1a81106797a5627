/* Older versions of a file that is about to be replaced: path.1 is the one before, path.2 the one
 * before that. The newest gets a second name before its first name goes to the next one, which is
 * complete on the disk by then: whoever is killed at any point leaves `path` as it was, and no
 * version in pieces. Where that happened, path.1 is the same file as path, and nothing moves. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* linkat */
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"

/* to[] becomes "path.n". */
static bool numbered(char *to, const char *path, int32_t n)
{
    return snprintf(to, PATH_MAX, "%s.%d", path, (int)n) < PATH_MAX;
}

int bpi_keep_older(const char *path, int32_t keep)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat now, before;
    if (keep <= 1)
        return 0;
    if (stat(path, &now) != 0)
        return errno == ENOENT ? 0 : errno;
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
    return linkat(AT_FDCWD, path, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
}
