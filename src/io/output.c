/* Writing a file. What the path names is looked at first. A plain file is made whole under a name
 * of its own in the same folder, with owner and mode of the one it replaces, synced, and renamed: a
 * reader sees one whole file or the other, and a failure leaves what was there. What cannot be
 * replaced so (a device, a pipe, a mounted file, a file in a folder that may not be written or
 * only appended to, one whose owner cannot be kept) is written in place. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_PATH, fallocate */
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "io/file.h"

enum { TRIES = 1000, LINKS = 40, HEAD = 8 };

typedef struct target {
    int there;         /* what is there, opened for writing; -1: nothing */
    struct stat was;   /* it */
    int folder;        /* where it can be replaced; -1: it cannot */
    const char *name;  /* in the folder; a part of path */
    char path[PATH_MAX];
    const char *given; /* the path as it was given, and how many versions of it stay */
    int32_t keep;
} target;

/* --- looking at what is there --------------------------------------------------------------- */

/* 0 where the name still is what was opened, or nothing where nothing was. */
static int still(const target *t)
{
    struct stat s;
    bool there = fstatat(t->folder, t->name, &s, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return errno;
    bool same = there && s.st_dev == t->was.st_dev && s.st_ino == t->was.st_ino;
    return (t->there >= 0 ? same : !there) ? 0 : EAGAIN;
}

/* Finds folder and name behind all links; EAGAIN where they changed meanwhile. A link of /proc is
 * no path but an open file (/dev/stdout is one), which has no name that could be replaced. */
static int follow(target *t)
{
    for (int links = 0; links <= LINKS; links++) {
        struct statfs fs;
        char link[PATH_MAX], *slash = strrchr(t->path, '/'), root[] = "/", here[] = ".";
        char *folder = slash == t->path ? root : slash ? t->path : here;
        t->name = slash ? slash + 1 : t->path;
        if (!*t->name)
            return slash ? EISDIR : ENOENT;
        if (slash)
            *slash = '\0';
        int up = t->folder;
        t->folder = bpi_open_file(up >= 0 ? up : AT_FDCWD, folder, O_PATH | O_DIRECTORY, 0);
        int error = t->folder < 0 ? errno : 0;
        if (up >= 0)
            close(up);
        if (error)
            return error;
        ssize_t n = readlinkat(t->folder, t->name, link, sizeof link - 1);
        if (n < 0)
            return errno == EINVAL || errno == ENOENT ? still(t) : errno;
        if (fstatfs(t->folder, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC) {
            close(t->folder);
            t->folder = -1;
            return t->there >= 0 ? 0 : ENOENT;
        }
        memcpy(t->path, link, (size_t)n);
        t->path[n] = '\0';
    }
    return ELOOP;
}

static void leave(target *t)
{
    if (t->there >= 0)
        close(t->there);
    if (t->folder >= 0)
        close(t->folder);
    t->there = t->folder = -1;
}

/* A pipe is not opened by a mere try: its reader would see the end of it. */
static int look_once(target *t, const char *path, bool only_try)
{
    t->there = t->folder = -1;
    if (strlen(path) >= sizeof t->path)
        return ENAMETOOLONG;
    strcpy(t->path, path);
    if (stat(path, &t->was) != 0)
        return errno == ENOENT ? follow(t) : errno;
    if (S_ISFIFO(t->was.st_mode) && only_try)
        return faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0 ? 0 : errno;
    t->there = bpi_open_file(AT_FDCWD, path, O_WRONLY, 0);
    if (t->there < 0)
        return errno == ENOENT ? EAGAIN : errno;
    if (fstat(t->there, &t->was) != 0)
        return errno;
    return S_ISREG(t->was.st_mode) ? follow(t) : 0;
}

/* Again and again while others replace the file, each time by a whole one. */
static int look(target *t, const char *path, bool only_try)
{
    int error = EAGAIN;
    for (int i = 0; i < TRIES && error == EAGAIN; i++) {
        error = look_once(t, path, only_try);
        if (error)
            leave(t);
    }
    return error;
}

/* --- writing ---------------------------------------------------------------------------------- */

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t some = write(fd, bytes, n);
        if (some < 0 && errno != EINTR)
            return errno;
        if (some == 0)
            return EIO;
        bytes += some > 0 ? some : 0;
        n -= some > 0 ? (size_t)some : 0;
    }
    return 0;
}

/* What cannot be synced (a pipe, a device) is not. */
static int sync_file(int fd)
{
    int failed;
    do
        failed = fsync(fd);
    while (failed && errno == EINTR);
    return failed && errno != EINVAL && errno != ENOTSUP && errno != EROFS ? errno : 0;
}

/* A new file of a name that nobody has; its descriptor, or -1 and errno. */
static int open_temporary(const target *t, char *name, size_t bytes)
{
    int fd = -1;
    errno = EEXIST;
    for (int i = 0; i < TRIES && fd < 0 && errno == EEXIST; i++) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        snprintf(name, bytes, ".bpcuda-%lx-%llx-%lx.tmp", (long)getpid(),
                 (unsigned long long)now.tv_sec, now.tv_nsec);
        fd = bpi_open_file(t->folder, name, O_WRONLY | O_CREAT | O_EXCL,
                           t->there < 0 ? 0666 : 0600);
    }
    return fd;
}

static bool has_access_list(int fd)
{
    return fgetxattr(fd, "system.posix_acl_access", NULL, 0) > 0;
}

/* Gives a file to those who have the one that is there; false where that cannot be done. */
static bool give(int fd, const target *t)
{
    struct stat is;
    if (t->there < 0)
        return true;
    if (fstat(fd, &is) != 0)
        return false;
    if ((is.st_uid != t->was.st_uid || is.st_gid != t->was.st_gid) &&
        fchown(fd, t->was.st_uid, t->was.st_gid) != 0)
        return false;
    return fchmod(fd, t->was.st_mode & 07777) == 0 && !has_access_list(t->there) &&
           !has_access_list(fd);
}

static int replace(const target *t, const char *bytes, size_t n, bool only_try)
{
    char name[80];
    int fd = open_temporary(t, name, sizeof name);
    if (fd < 0)
        return errno;
    int error = give(fd, t) ? write_all(fd, bytes, n) : EPERM;
    if (!error)
        error = sync_file(fd);
    if (close(fd) != 0 && !error && errno != EINTR)
        error = errno;
    if (!error && !only_try)
        error = bpi_keep_older(t->given, t->keep);
    if (!error && !only_try && renameat(t->folder, name, t->folder, t->name) != 0)
        error = errno;
    if (error || only_try) {
        unlinkat(t->folder, name, 0);
        return error;
    }
    fd = bpi_open_file(t->folder, ".", O_RDONLY | O_DIRECTORY, 0); /* may be forbidden */
    error = fd >= 0 ? sync_file(fd) : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

/* Room first, so that a full disk spoils nothing; then all but the first bytes, which were made
 * zero: what is cut short cannot be taken for a whole file. One saver at a time, and no loader
 * meanwhile, where the file system has locks. */
static int overwrite_file(const target *t, const char *bytes, size_t n)
{
    struct stat before;
    size_t head = n < HEAD ? n : HEAD;
    int fd = t->there;
    if (bpi_lock_file(fd, F_WRLCK) != 0)
        return ENOLCK;
    if (fstat(fd, &before) != 0)
        return errno;
    while (fallocate(fd, 0, 0, (off_t)n) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
        int error = errno;
        if (error != EINTR)
            return ftruncate(fd, before.st_size) == 0 ? error : errno;
    }
    int error = write_all(fd, (const char[HEAD]){0}, head);
    if (!error)
        error = sync_file(fd);
    if (!error)
        error = write_all(fd, bytes + head, n - head);
    if (!error && ftruncate(fd, (off_t)n) != 0)
        error = errno;
    if (!error)
        error = sync_file(fd);
    if (!error && lseek(fd, 0, SEEK_SET) != 0)
        error = errno;
    if (!error)
        error = write_all(fd, bytes, head);
    return error ? error : sync_file(fd);
}

static int overwrite(const target *t, const char *bytes, size_t n)
{
    if (S_ISREG(t->was.st_mode))
        return overwrite_file(t, bytes, n);
    int error = write_all(t->there, bytes, n);
    return error ? error : sync_file(t->there);
}

/* What is made in a folder that is append-only can be neither renamed nor removed. */
static bool only_grows(const target *t)
{
    int flags = 0, fd = bpi_open_file(t->folder, ".", O_RDONLY | O_DIRECTORY, 0);
    bool grows = fd >= 0 && ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_APPEND_FL;
    if (fd >= 0)
        close(fd);
    return grows;
}

/* The file that is not there yet, made where it stays. */
static int create(const target *t, const char *bytes, size_t n, bool only_try)
{
    target made = *t;
    if (only_try)
        return faccessat(t->folder, ".", W_OK, AT_EACCESS) == 0 ? 0 : errno;
    made.there = bpi_open_file(t->folder, t->name, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (made.there < 0)
        return errno;
    int error = overwrite_file(&made, bytes, n);
    return close(made.there) != 0 && !error && errno != EINTR ? errno : error;
}

static int write_target(const target *t, const char *bytes, size_t n, bool only_try)
{
    int error = EBUSY; /* as a mounted file is */
    bool grows = t->folder >= 0 && only_grows(t);
    if (grows && t->there < 0)
        error = create(t, bytes, n, only_try);
    else if (t->folder >= 0 && !grows)
        error = replace(t, bytes, n, only_try);
    bool in_place = error == EBUSY || error == EPERM || error == EACCES || error == EROFS;
    if (t->there < 0 || !in_place)
        return error;
    return only_try ? 0 : overwrite(t, bytes, n);
}

/* --- the call --------------------------------------------------------------------------------- */

bp_status bpi_file_write(bp_context *ctx, const char *path, const void *bytes, size_t n,
                         int32_t keep)
{
    bool only_try = keep == 0;
    /* Signals that a write sends to its own thread, which would end a host that does not expect
     * them, are kept back: the write returns the error as well. */
    sigset_t signals, pending, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGXFSZ);
    sigaddset(&signals, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    target t = {.given = path, .keep = keep};
    int error = look(&t, path, only_try);
    if (!error && (t.there >= 0 || t.folder >= 0))
        error = write_target(&t, bytes, n, only_try);
    leave(&t);
    int sent = error == EFBIG ? SIGXFSZ : error == EPIPE ? SIGPIPE : 0;
    if (sent && !sigismember(&pending, sent)) {
        sigemptyset(&signals);
        sigaddset(&signals, sent);
        while (sigtimedwait(&signals, NULL, &(struct timespec){0}) < 0 && errno == EINTR)
            ;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!error)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_IO, "%s: cannot be written: %s", path,
                    error == ENOLCK ? "it is locked by another process" : strerror(error));
}
