/* Saving: what stays of the file that was there, which targets are written in place, limits of the
 * system, and many savers and readers of one path. What needs rights that are not there is skipped,
 * with the reason. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/xattr.h>

#include "files.h"

enum { NOBODY = 65534, SMALL = 8, LARGE = 512 };

static bool is_root(const char *name)
{
    if (geteuid() != 0)
        skip(name, "needs root");
    return geteuid() == 0;
}

/* --- what was there --------------------------------------------------------------------------- */

static void links(void)
{
    mkdir("store", 0755);
    put("store/run1", "old", 3, 0644);
    check(symlink("run1", "store/step") == 0 && symlink("store/step", "latest") == 0 &&
              symlink("store/new", "dangling") == 0 && symlink("loop", "loop") == 0, "links");
    check(save_to("latest", 3, SMALL) == BP_OK && S_ISLNK(look("latest").st_mode) &&
              S_ISLNK(look("store/step").st_mode) && value_of("store/run1") == 3,
          "links stay, and the file behind them is written");
    check(save_to("dangling", 4, SMALL) == BP_OK && S_ISLNK(look("dangling").st_mode) &&
              value_of("store/new") == 4, "a link to nothing makes what it names");
    check(save_to("loop", 1, SMALL) == BP_ERR_IO, "a link to itself is an error");
    check(entries("store") == 3, "nothing else is in the folder");
}

static void mode_and_owner(void)
{
    mode_t old = umask(027);
    check(save_to("new", 1, SMALL) == BP_OK && (look("new").st_mode & 07777) == 0640,
          "a new file has the umask's mode");
    umask(old);
    put("secret", "old", 3, 0600);
    check(save_to("secret", 1, SMALL) == BP_OK && (look("secret").st_mode & 07777) == 0600,
          "a mode stays");
    put("x.tmp", "mine", 4, 0644);
    check(save_to("x", 1, SMALL) == BP_OK && look("x.tmp").st_size == 4, "x.tmp is nobody's");
    if (is_root("an owner stays")) {
        put("theirs", "old", 3, 0640);
        check(chown("theirs", 1234, 4321) == 0 && save_to("theirs", 5, SMALL) == BP_OK &&
                  look("theirs").st_uid == 1234 && look("theirs").st_gid == 4321 &&
                  (look("theirs").st_mode & 07777) == 0640 && value_of("theirs") == 5,
              "an owner stays");
    }
    /* user::rw- user:1234:r-- group::r-- mask::r-- other::--- */
    static const unsigned char list[] = {
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 0xd2, 4, 0, 0,
        4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255,
        32, 0, 0, 0, 255, 255, 255, 255};
    put("listed", "old", 3, 0640);
    if (setxattr("listed", "system.posix_acl_access", list, sizeof list, 0) != 0)
        skip("an access list stays", strerror(errno));
    else
        check(save_to("listed", 6, SMALL) == BP_OK && value_of("listed") == 6 &&
                  getxattr("listed", "system.posix_acl_access", NULL, 0) == sizeof list,
              "an access list stays");
}

static void names(void)
{
    char name[300];
    memset(name, 'n', 255);
    name[255] = '\0';
    mkdir("folder", 0755);
    check(save_to(name, 7, SMALL) == BP_OK && value_of(name) == 7, "a name of 255 bytes");
    name[255] = 'n', name[256] = '\0';
    check(save_to(name, 7, SMALL) == BP_ERR_IO, "one of 256 is an error");
    static const char *const wrong[] = {"", "folder", "folder/", "none/x", "none/", "x/",
                                        "folder/x/"};
    bool refused = true;
    put("x", "old", 3, 0644);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused &= save_to(wrong[i], 1, SMALL) == BP_ERR_IO &&
                   try_to(wrong[i], SMALL) == BP_ERR_IO &&
                   strstr(bp_error_text(ctx), "cannot be written: ");
    check(refused && entries("folder") == 0, "what is no file is refused, by the try too");
}

static void a_try(void)
{
    mkdir("tried", 0755);
    put("tried/old", "old", 3, 0604);
    struct stat was = look("tried/old"), is;
    check(try_to("tried/old", SMALL) == BP_OK && try_to("tried/new", SMALL) == BP_OK, "a try");
    is = look("tried/old");
    check(entries("tried") == 1 && is.st_ino == was.st_ino && is.st_mode == was.st_mode &&
              is.st_mtim.tv_nsec == was.st_mtim.tv_nsec && is.st_size == 3, "and leaves no trace");
}

/* --- written in place ------------------------------------------------------------------------- */

static void a_device(void)
{
    if (mknod("null", S_IFCHR | 0666, 0x103) != 0)
        skip("a device stays", strerror(errno));
    else
        check(try_to("null", SMALL) == BP_OK && save_to("null", 1, SMALL) == BP_OK &&
                  S_ISCHR(look("null").st_mode), "a device stays");
}

static int save_to_pipe(void)
{
    close(0), close(1), close(2);
    return save_to("pipe", 2, LARGE) == BP_OK;
}

/* Nothing below 3 is open in a child with a pipe, and what is is closed on exec. */
static bool descriptors_are_good(pid_t child)
{
    bool found = false, good = true;
    for (int fd = 0; fd < 20; fd++) {
        char path[64], link[64] = "", text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)child, fd);
        if (readlink(path, link, sizeof link - 1) < 0 || !strstr(link, "pipe"))
            continue;
        snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)child, fd);
        int info = open(path, O_RDONLY);
        good &= info >= 0 && read(info, text, sizeof text - 1) > 0;
        close(info);
        char *flags = strstr(text, "flags:");
        good &= fd > 2 && flags && strtol(flags + strlen("flags:"), NULL, 8) & O_CLOEXEC;
        found = true;
    }
    return found && good;
}

static void a_pipe(void)
{
    static char bytes[1 << 20];
    mkfifo("pipe", 0600);
    check(try_to("pipe", SMALL) == BP_OK, "a try of a pipe does not wait");
    pid_t child = start(save_to_pipe);
    int fd = open("pipe", O_RDONLY);
    size_t n = 0;
    ssize_t some = read(fd, bytes, 1000); /* the child waits for room */
    check(descriptors_are_good(child),
          "descriptors 0 to 2 are not used, others are closed on exec");
    for (; some > 0; some = read(fd, bytes + n, sizeof bytes - n))
        n += (size_t)some;
    close(fd);
    put("received", bytes, n, 0644);
    check(end_of(child) == 0 && S_ISFIFO(look("pipe").st_mode) && value_of("received") == 2,
          "a pipe stays, and its reader gets the model");
    child = start(save_to_pipe);
    fd = open("pipe", O_RDONLY);
    some = read(fd, bytes, 1000);
    close(fd);
    check(end_of(child) == 1, "a reader that goes away is an error, not the end of the process");
}

static int load_from_pipe(void)
{
    close(0), close(1), close(2);
    return value_of("pipe") == 2;
}

static void a_pipe_is_read(void)
{
    static char bytes[1 << 20];
    int in = open("received", O_RDONLY);
    pid_t child = start(load_from_pipe);
    int fd = open("pipe", O_WRONLY);
    ssize_t n = read(in, bytes, sizeof bytes), first = write(fd, bytes, 100000); /* it is read */
    check(descriptors_are_good(child), "so it is with descriptors of a reader");
    check(write(fd, bytes + first, (size_t)(n - first)) == n - first, "the rest");
    close(fd);
    close(in);
    check(end_of(child) == 0, "a model is read from a pipe");
}

static int save_as_nobody(void)
{
    return setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && try_to("ours/model", SMALL) == BP_OK &&
           save_to("ours/model", 8, SMALL) == BP_OK && try_to("ours/new", SMALL) == BP_ERR_IO &&
           save_to("ours/new", 8, SMALL) == BP_ERR_IO &&
           try_to("ours/locked", SMALL) == BP_ERR_IO &&
           save_to("ours/locked", 8, SMALL) == BP_ERR_IO;
}

static int save_beside(void)
{
    return setgid(NOBODY) == 0 && setuid(NOBODY) == 0 &&
           save_to("ours/model", 9, SMALL) == BP_OK && save_to("ours/new", 9, SMALL) == BP_OK;
}

static void a_folder_of_others(void)
{
    if (!is_root("a folder that may not be written"))
        return;
    mkdir("ours", 0755);
    static char old[1 << 16];
    put("ours/model", old, sizeof old, 0666);
    put("ours/locked", "old", 3, 0644);
    ino_t inode = look("ours/model").st_ino;
    check(end_of(start(save_as_nobody)) == 0,
          "a folder that may not be written: in place, or refused");
    check(look("ours/model").st_ino == inode && value_of("ours/model") == 8 &&
              look("ours/locked").st_size == 3 && entries("ours") == 2,
          "and the rest is as it was");
    check(chmod("ours", 01777) == 0 && end_of(start(save_beside)) == 0 &&
              look("ours/model").st_ino == inode && look("ours/model").st_uid == 0 &&
              value_of("ours/model") == 9 && value_of("ours/new") == 9 && entries("ours") == 3,
          "an owner that cannot be kept: in place; a new file: made");
}

/* --- signals ---------------------------------------------------------------------------------- */

static const char *slow_from, *slow_to;

static int write_slowly(void)
{
    static char bytes[1 << 16];
    int in = open(slow_from, O_RDONLY), out = open(slow_to, O_WRONLY);
    ssize_t n = read(in, bytes, sizeof bytes), piece = n / 20;
    for (ssize_t at = 0; at < n; at += piece) {
        usleep(2000);
        if (write(out, bytes + at, (size_t)(n - at < piece ? n - at : piece)) < 0)
            return 0;
    }
    return 1;
}

static void on_alarm(int signal)
{
    (void)signal;
}

/* Readers of pipes under a timer whose signal ends every call that waits. */
static void signals(void)
{
    static const unsigned char images[] = { /* three of 2 x 2, in two gzip members */
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 96, 224, 96, 102, 96, 96, 0, 97, 38, 16, 102, 100,
        98, 102, 1, 0, 252, 93, 154, 53, 20, 0, 0, 0, 31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 99, 101,
        99, 231, 224, 228, 226, 254, 15, 0, 84, 99, 14, 221, 8, 0, 0, 0};
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 2, 1};
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    bp_data *data;
    put("images", images, sizeof images, 0644);
    put("labels", labels, sizeof labels, 0644);
    check(save_to("whole", 5, SMALL) == BP_OK && mkfifo("slow", 0600) == 0, "files");
    sigaction(SIGALRM, &action, &old);
    slow_to = "slow", slow_from = "whole";
    pid_t child = start(write_slowly);
    setitimer(ITIMER_REAL, &often, NULL);
    float value = value_of("slow");
    setitimer(ITIMER_REAL, &never, NULL);
    check(value == 5 && end_of(child) == 0, "a signal does not end the reading of a model");
    slow_from = "images";
    child = start(write_slowly);
    setitimer(ITIMER_REAL, &often, NULL);
    bp_status st = bp_data_idx(ctx, "slow", "labels", &data);
    setitimer(ITIMER_REAL, &never, NULL);
    sigaction(SIGALRM, &old, NULL);
    uint8_t last[12] = {0};
    if (st == BP_OK && bp_read(bp_data_samples(data), last, sizeof last) != BP_OK)
        exit(2);
    if (st == BP_ERR_UNSUPPORTED)
        skip("a signal does not end the reading of a gzipped file", bp_error_text(ctx));
    else
        check(st == BP_OK && last[0] == 1 && last[11] == 255 && end_of(child) == 0,
              "a signal does not end the reading of a gzipped file");
    bp_data_free(data);
}

/* --- limits ----------------------------------------------------------------------------------- */

static int save_with_a_limit(void)
{
    struct rlimit r = {4096, 4096};
    sigset_t pending;
    bool refused = setrlimit(RLIMIT_FSIZE, &r) == 0 && try_to("limited", LARGE) == BP_ERR_IO &&
                   save_to("limited", 1, LARGE) == BP_ERR_IO &&
                   save_to("none", 1, LARGE) == BP_ERR_IO;
    return refused && sigpending(&pending) == 0 && !sigismember(&pending, SIGXFSZ) &&
           pthread_sigmask(SIG_BLOCK, NULL, &pending) == 0 && !sigismember(&pending, SIGXFSZ);
}

static int mounts(void)
{
    static char fill[1 << 16];
    put("mounted", "old", 3, 0644);
    put("beneath", "old", 3, 0644);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("beneath", "mounted", NULL, MS_BIND, NULL) != 0) {
        skip("a mounted file, a full disk", strerror(errno));
        return 1;
    }
    int before = entries(".");
    check(try_to("mounted", SMALL) == BP_OK && save_to("mounted", 9, SMALL) == BP_OK &&
              value_of("beneath") == 9 && entries(".") == before,
          "a mounted file is written in place");
    mkdir("disk", 0755);
    if (mount("none", "disk", "tmpfs", 0, "size=100k") != 0) {
        skip("a full disk", strerror(errno));
        return check_failed == 0;
    }
    check(save_to("disk/model", 1, SMALL) == BP_OK && try_to("disk/model", LARGE) == BP_ERR_IO &&
              save_to("disk/model", 2, LARGE) == BP_ERR_IO &&
              save_to("disk/x", 2, LARGE) == BP_ERR_IO &&
              value_of("disk/model") == 1 && entries("disk") == 1,
          "a full disk: told by the try, and what was there stays");
    put("disk/fill", fill, sizeof fill, 0644);
    put("disk/mounted", "", 0, 0644);
    check(mount("disk/model", "disk/mounted", NULL, MS_BIND, NULL) == 0 &&
              save_to("disk/mounted", 2, LARGE) == BP_ERR_IO && value_of("disk/model") == 1,
          "and so it does in place");
    return check_failed == 0;
}

/* --- many of them ----------------------------------------------------------------------------- */

enum { SAVERS = 3, ROUNDS = 300 };
static int number, saves = ROUNDS;
static char shared[64] = "shared";

static int save_often(void)
{
    bp_model *m = model_of((float)number, number % 2 ? SMALL : LARGE);
    bool good = true;
    for (int i = 0; i < saves; i++)
        good &= bp_model_save(m, shared) == BP_OK;
    return good;
}

static int load_often(void)
{
    bool good = true;
    for (int i = 0; i < 4 * ROUNDS; i++)
        good &= value_of(shared) >= 1;
    return good;
}

static void many(void)
{
    pid_t child[SAVERS + 2];
    bool good = save_to(shared, 1, SMALL) == BP_OK;
    int before = entries(".");
    for (number = 1; number <= SAVERS; number++)
        child[number - 1] = start(save_often);
    child[SAVERS] = start(load_often);
    child[SAVERS + 1] = start(load_often);
    for (int i = 0; i < SAVERS + 2; i++)
        good &= end_of(child[i]) == 0;
    check(good, "savers and readers of one path: each reader sees one whole model");
    check(value_of(shared) >= 1 && entries(".") == before, "one whole model is left, and no rest");
    saves = ROUNDS / 10; /* each is synced three times */
    int fd = open("shared", O_WRONLY | O_CLOEXEC); /* which has no name that can be replaced */
    snprintf(shared, sizeof shared, "/proc/%d/fd/%d", (int)getpid(), fd);
    for (number = 1; number <= SAVERS; number++)
        child[number - 1] = start(save_often);
    child[SAVERS] = start(load_often);
    child[SAVERS + 1] = start(load_often);
    for (int i = 0; i < SAVERS + 2; i++)
        good &= end_of(child[i]) == 0;
    close(fd);
    check(good && value_of("shared") >= 1,
          "savers in place leave one whole model too, and readers see whole ones");
}

int main(void)
{
    enter_work();
    if (bp_open("cpu", &ctx) != BP_OK || bp_set_threads(ctx, 1) != BP_OK)
        return 2;
    links();
    mode_and_owner();
    names();
    a_try();
    a_device();
    a_pipe();
    a_pipe_is_read();
    a_folder_of_others();
    signals();
    put("limited", "old", 3, 0644);
    int before = entries(".");
    check(end_of(start(save_with_a_limit)) == 0 && look("limited").st_size == 3 &&
              entries(".") == before, "a limit of file sizes is an error");
    check(end_of(start(mounts)) == 0, "mounts");
    many();
    bp_close(ctx);
    leave_work();
    return check_end();
}
