/* Saving and loading while the system fails: the n-th of its calls, for every n, gives EIO; or each
 * is interrupted once, and moves only a part; or others hold a lock; or the folder is append-only.
 * Linked with --wrap for those calls. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* F_OFD_SETLK */
#endif
#include <errno.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <time.h>

#include "files.h"

enum { OLD = 1, NEW = 2, WIDTH = 8 };

static int fail_at, calls;  /* the call that fails, from 1; 0: none. calls so far */
static bool interrupt;      /* each call that may be interrupted is, once */
static bool never_renames;  /* as over a mounted file */
static bool hurries;        /* the clock: a minute passes between two looks at it */
static int unlocked;        /* times that a file was written in place without a lock */

static bool fails(void)
{
    errno = EIO;
    return ++calls == fail_at;
}

static bool is_interrupted(void)
{
    static bool again;
    again = interrupt && !again;
    errno = EINTR;
    return again;
}

static size_t part(size_t n)
{
    return interrupt && n > 7 ? n / 2 : n;
}

#define WRAP(type, name, declared, given) \
    type __real_##name declared;          \
    type __wrap_##name declared;          \
    type __wrap_##name declared           \
    {                                     \
        return fails() ? (type)-1 : __real_##name given; \
    }
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, fstat, (int fd, struct stat *s), (fd, s))
WRAP(int, fstatat, (int fd, const char *name, struct stat *s, int flags), (fd, name, s, flags))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(off_t, lseek, (int fd, off_t at, int from), (fd, at, from))
WRAP(ssize_t, readlinkat, (int fd, const char *name, char *to, size_t n), (fd, name, to, n))

int __real_openat(int fd, const char *name, int flags, ...);
int __wrap_openat(int fd, const char *name, int flags, ...);
ssize_t __real_read(int fd, void *to, size_t n);
ssize_t __wrap_read(int fd, void *to, size_t n);
ssize_t __real_write(int fd, const void *from, size_t n);
ssize_t __wrap_write(int fd, const void *from, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_fallocate(int fd, int mode, off_t at, off_t n);
int __wrap_fallocate(int fd, int mode, off_t at, off_t n);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_renameat(int from, const char *a, int to, const char *b);
int __wrap_renameat(int from, const char *a, int to, const char *b);

int __wrap_openat(int fd, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = va_arg(list, mode_t);
    va_end(list);
    return fails() || is_interrupted() ? -1 : __real_openat(fd, name, flags, mode);
}

ssize_t __wrap_read(int fd, void *to, size_t n)
{
    return fails() || is_interrupted() ? -1 : __real_read(fd, to, part(n));
}

ssize_t __wrap_write(int fd, const void *from, size_t n)
{
    return fails() || is_interrupted() ? -1 : __real_write(fd, from, part(n));
}

int __wrap_fsync(int fd)
{
    return fails() || is_interrupted() ? -1 : __real_fsync(fd);
}

int __wrap_close(int fd)
{
    __real_close(fd); /* it is closed all the same */
    return fails() || is_interrupted() ? -1 : 0;
}

/* Comes first in place: by then other savers must be shut out. */
int __wrap_fallocate(int fd, int mode, off_t at, off_t n)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int other = open("model", O_WRONLY | O_CLOEXEC);
    unlocked += fcntl(other, F_OFD_SETLK, &all) == 0;
    __real_close(other);
    return fails() || is_interrupted() ? -1 : __real_fallocate(fd, mode, at, n);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    static time_t ahead;
    int failed = __real_clock_gettime(clock, now);
    now->tv_sec += hurries ? ahead += 60 : 0;
    return failed;
}

int __wrap_renameat(int from, const char *a, int to, const char *b)
{
    if (fails())
        return -1;
    errno = EBUSY;
    return never_renames ? -1 : __real_renameat(from, a, to, b);
}

/* Saves with each call failing once, over a file or over none. What is there afterwards is whole;
 * in place it may be nothing that loads. */
static void each_fails(const char *what, bool over, bool only_try)
{
    bool good = true;
    int n = 0, failures = 0, open_before = entries("/proc/self/fd");
    bp_model *m = model_of(NEW, WIDTH);
    for (bool last = false; !last && n < 200;) {
        if (over ? save_to("model", OLD, WIDTH) != BP_OK : remove("model") && errno != ENOENT)
            exit(2);
        calls = 0, fail_at = ++n;
        bp_status st = (only_try ? bp_model_save_check : bp_model_save)(m, "model");
        last = calls < n;
        fail_at = 0;
        failures += st != BP_OK;
        float v = value_of("model"), before = over ? OLD : -1;
        if (st == BP_OK)
            good &= v == (only_try ? before : NEW);
        else
            good &= st == BP_ERR_IO &&
                    (v == before || (!only_try && v == NEW) || (never_renames && v < 0));
        good &= entries(".") == (look("model").st_mode != 0);
        if (!good)
            printf("call %d: status %d, value %g, %d files\n", n, (int)st, (double)v, entries("."));
        good &= entries("/proc/self/fd") == open_before;
    }
    bp_model_free(m);
    printf("%d calls, %d of their failures were told\n", n - 1, failures);
    check(good && failures > n / 2, what);
}

static void loading_fails(void)
{
    bool good = save_to("model", OLD, WIDTH) == BP_OK;
    int n = 0, open_before = entries("/proc/self/fd");
    for (float v = -1; v != OLD && n < 50;) {
        calls = 0, fail_at = ++n;
        v = value_of("model");
        good &= v == OLD || (v == -1 && strstr(bp_error_text(ctx), "model: cannot be "));
        fail_at = 0;
    }
    check(good && n > 3 && entries("/proc/self/fd") == open_before,
          "loading says which call failed");
}

/* Another's lock, held through a descriptor of its own: a saver in place and a loader are shut out
 * by one for writing, a saver by one for reading too. */
static void a_lock_of_others(void)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool good = save_to("model", OLD, WIDTH) == BP_OK;
    int other = open("model", O_RDWR | O_CLOEXEC);
    good &= fcntl(other, F_OFD_SETLK, &all) == 0;
    hurries = true;
    check(good && value_of("model") == -1 &&
              strstr(bp_error_text(ctx), "model: is locked by another process"),
          "a loader does not wait for ever");
    check(save_to("model", NEW, WIDTH) == BP_ERR_IO &&
              strstr(bp_error_text(ctx), "model: cannot be written: it is locked by another"),
          "nor does a saver in place");
    all.l_type = F_RDLCK;
    good = fcntl(other, F_OFD_SETLK, &all) == 0;
    check(good && save_to("model", NEW, WIDTH) == BP_ERR_IO && value_of("model") == OLD,
          "readers share the lock, and the file is as it was");
    hurries = false;
    __real_close(other);
    check(save_to("model", NEW, WIDTH) == BP_OK && value_of("model") == NEW, "and then it is free");
}

static bool append_only(const char *folder, bool on)
{
    int flags = 0, fd = open(folder, O_RDONLY | O_DIRECTORY);
    bool done = ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0;
    flags = on ? flags | FS_APPEND_FL : flags & ~FS_APPEND_FL;
    done = done && ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    close(fd);
    return done;
}

static void a_folder_that_only_grows(void)
{
    mkdir("grows", 0755);
    put("grows/model", "old", 3, 0644);
    if (!append_only("grows", true)) {
        skip("a folder that is append-only", strerror(errno));
        return;
    }
    check(try_to("grows/model", WIDTH) == BP_OK && try_to("grows/new", WIDTH) == BP_OK &&
              look("grows/model").st_size == 3 && entries("grows") == 1,
          "a try leaves nothing in a folder that is append-only");
    check(save_to("grows/model", 3, 512) == BP_OK && save_to("grows/model", 4, WIDTH) == BP_OK &&
              save_to("grows/new", 5, WIDTH) == BP_OK && value_of("grows/model") == 4 &&
              value_of("grows/new") == 5 && entries("grows") == 2, "and a save is in place");
    append_only("grows", false);
}

int main(void)
{
    enter_work();
    if (bp_open("cpu", &ctx) != BP_OK || bp_set_threads(ctx, 1) != BP_OK)
        return 2;
    each_fails("a failure leaves the old file or the new one", true, false);
    each_fails("a failure leaves nothing where nothing was", false, false);
    each_fails("a try leaves the old file", true, true);
    never_renames = true;
    each_fails("a failure in place leaves a whole file or none that loads", true, false);
    check(unlocked == 0, "in place one saver at a time");
    a_lock_of_others();
    a_folder_that_only_grows();
    loading_fails();
    for (int k = 0; k < 2; k++, never_renames = false) {
        interrupt = true;
        bool saved = save_to("model", NEW, 512) == BP_OK, loaded = value_of("model") == NEW;
        interrupt = false;
        check(saved && loaded && value_of("model") == NEW,
              "interrupted calls and parts are no error");
    }
    bp_close(ctx);
    leave_work();
    return check_end();
}
