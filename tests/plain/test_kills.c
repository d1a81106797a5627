/* A run that is killed (SIGKILL) and resumed is the run that was not: at random moments, and before
 * and after every call that writes, syncs, names or removes a file. Linked with --wrap for those
 * calls. A child trains and saves by itself; the parent has no context. `test_kills N`: N random
 * moments. And a disk that is full. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>

#include "files.h"
#include "readers.h"

static int kill_at, calls; /* the call that is the last, from 1; 0: none. calls so far */
static bool kill_before;

static void before(void)
{
    if (++calls == kill_at && kill_before)
        kill(getpid(), SIGKILL);
}

static void after(void)
{
    if (calls == kill_at)
        kill(getpid(), SIGKILL);
}

#define WRAP(type, name, declared, given)     \
    type __real_##name declared;              \
    type __wrap_##name declared;              \
    type __wrap_##name declared               \
    {                                         \
        before();                             \
        type result = __real_##name given;    \
        after();                              \
        return result;                        \
    }
WRAP(ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, renameat, (int from, const char *a, int to, const char *b), (from, a, to, b))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, linkat, (int from, const char *a, int to, const char *b, int flags), (from, a, to, b, flags))
WRAP(int, unlink, (const char *name), (name))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))

/* --- the run ------------------------------------------------------------------------------ */

static double epochs = 4;

static bp_status make(bp_context **c, bp_data **data, bp_model **model, bp_trainer **t, int threads)
{
    bp_status st = bp_open(test_device(), c);
    st = st ? st : bp_set_threads(*c, threads);
    st = st ? st : bp_seed(*c, 5);
    st = st ? st : bp_data_digits(*c, data);
    st = st ? st : bp_model_create(*c, 64, "48 relu dropout=0.2", 10, model);
    st = st ? st : bp_model_normalize(*model, *data);
    st = st ? st : bp_trainer_create(*model, *data, t);
    st = st ? st : bp_trainer_set(*t, BP_TRAIN_EPOCHS, epochs);
    st = st ? st : bp_trainer_set(*t, BP_TRAIN_BATCH, 150);
    st = st ? st : bp_trainer_set(*t, BP_TRAIN_HOLD_OUT, 0.2);
    return st ? st : bp_trainer_schedule(*t, "plateau=0.5,1 cosine=0.01");
}

/* What a run leaves: its last weights, what it told, the best weights. */
static bp_status tell(bp_model *model, bp_trainer *t)
{
    float w[48 * 64];
    bp_progress p;
    FILE *f = fopen("result", "wb");
    bp_trainer_progress(t, &p);
    p.seconds = 0;
    fwrite(&p, sizeof p, 1, f);
    bp_status st = BP_OK;
    for (int best = 0; best < 2 && st == BP_OK; best++) {
        st = bp_read(bp_param_at(bp_model_params(model), 0), w, sizeof w);
        fwrite(w, sizeof w, 1, f);
        st = st || best ? st : bp_trainer_best(t);
    }
    fclose(f);
    return st;
}

/* In a child: goes on where `run` says, if it is there. 0, or the number of what failed. */
static int child(int threads)
{
    bp_context *c;
    bp_data *data;
    bp_model *model;
    bp_trainer *t;
    int32_t done;
    if (make(&c, &data, &model, &t, threads) != BP_OK)
        return 1;
    if (access("run", F_OK) == 0 && bp_trainer_resume(t, "run") != BP_OK) {
        fprintf(stderr, "%s\n", bp_error_text(c));
        return 2;
    }
    if (bp_trainer_save_every(t, 3, "run", 3) != BP_OK || bp_trainer_run(t, -1, -1, &done) != BP_OK)
        return 3;
    kill_at = 0;
    return tell(model, t) == BP_OK && done ? 0 : 4;
}

/* Starts a child, which is killed at call `n` (0: not), or after some microseconds (< 0: not). Its
 * exit status, or -1 where it was killed. */
static int run(int n, bool first, long microseconds, int threads)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        calls = 0, kill_at = n, kill_before = first;
        _exit(child(threads));
    }
    if (microseconds >= 0) {
        struct timespec moment = {microseconds / 1000000, microseconds % 1000000 * 1000};
        nanosleep(&moment, NULL);
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char want[64 << 10], got[64 << 10];

static size_t result(char *to)
{
    FILE *f = fopen("result", "rb");
    size_t n = f ? fread(to, 1, sizeof want, f) : 0;
    if (f)
        fclose(f);
    remove("result");
    return n;
}

static void anew(void)
{
    if (system("rm -f run run.* .bpcuda-*.tmp") != 0)
        exit(2);
}

/* Kills at one call after the other: the run that goes on then ends as the one that was not. */
static void each_call(size_t bytes, bool first, int step)
{
    bool good = true;
    int n = 1, killed = 0;
    for (int status = -1; status == -1 && good; n += step) {
        anew();
        status = run(n, first, -1, 1 + n % 3);
        killed += status == -1;
        good = status <= 0 && (status == 0 || run(0, false, -1, 1 + n % 2) == 0);
        good = good && result(got) == bytes && memcmp(want, got, bytes) == 0;
        if (!good)
            printf("call %d: status %d\n", n, status);
    }
    printf("killed %s %d calls\n", first ? "before" : "after", killed);
    check(good && killed > 5, "killed at a call, resumed, the run is the same by bits");
}

static void random_moments(size_t bytes, int kills)
{
    bool good = true;
    int killed = 0, runs = 0;
    uint64_t drawn = 0;
    while (killed < kills && good) {
        double longest = 20000; /* microseconds: what a run takes to begin and save a few times */
        int status = -1;
        anew();
        for (runs++; status == -1 && good;) {
            double moment = longest * op_random(7, (int64_t)drawn++);
            status = run(0, false, (long)moment, 1 + (int)(drawn % 3));
            killed += status == -1;
            good = status <= 0;
            if (status == -1) /* else a slow machine would begin for ever */
                longest *= 1.05;
        }
        good = good && result(got) == bytes && memcmp(want, got, bytes) == 0;
    }
    printf("killed at %d random moments in %d runs\n", killed, runs);
    check(good && killed >= kills, "killed at random moments, resumed, the runs are the same by bits");
}

/* In a child: a disk of 128 KiB, which the second version of the file fills. The run ends with the
 * system's reason, the first version is whole, and with room the run goes on to the same end. */
static int on_a_full_disk(void)
{
    bp_context *c;
    bp_data *data;
    bp_model *model;
    bp_trainer *t;
    int32_t done;
    char filler[48 << 10] = {1};
    if (make(&c, &data, &model, &t, 1) != BP_OK ||
        bp_trainer_save_every(t, 3, "disk/run", 1) != BP_OK ||
        bp_trainer_run(t, 4, -1, &done) != BP_OK)
        return 1;
    put("disk/filler", filler, sizeof filler, 0600);
    if (bp_trainer_run(t, -1, -1, &done) != BP_ERR_IO ||
        !strstr(bp_error_text(c), "disk/run: cannot be written: No space left on device"))
        return 2;
    bp_trainer_free(t);
    bp_model_free(model);
    bp_data_free(data);
    bp_close(c);
    if (entries("disk") != 2 || make(&c, &data, &model, &t, 1) != BP_OK ||
        bp_trainer_resume(t, "disk/run") != BP_OK || remove("disk/filler") != 0)
        return 3;
    return bp_trainer_run(t, -1, -1, &done) == BP_OK && tell(model, t) == BP_OK ? 0 : 4;
}

static void a_full_disk(size_t bytes)
{
    mkdir("disk", 0755);
    if (mount("tmpfs", "disk", "tmpfs", 0, "size=128k") != 0) {
        skip("a full disk", strerror(errno));
        return;
    }
    fflush(stdout);
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(on_a_full_disk());
    while (waitpid(pid, &status, 0) < 0)
        ;
    umount("disk");
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        printf("status %d\n", status);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0 && result(got) == bytes &&
              memcmp(want, got, bytes) == 0, "a full disk is told, and spoils nothing");
}

int main(int argc, char **argv)
{
    int kills = argc > 1 ? atoi(argv[1]) : 200;
    enter_work();
    if (kills < 100)
        epochs = 2;
    check(run(0, false, -1, 2) == 0, "a run that nobody kills ends");
    size_t bytes = result(want);
    check(bytes > 20000, "and tells its weights");
    each_call(bytes, true, kills < 100 ? 7 : 1);
    each_call(bytes, false, kills < 100 ? 7 : 1);
    random_moments(bytes, kills);
    a_full_disk(bytes);
    leave_work();
    return check_end();
}
