/* What libraries have chosen, shared with a file (bp_share_plans), on the simulated device, which
 * counts how often its cuDNN was asked: choices that are found again give equal bits unasked; what
 * was changed in a file, cut off, or is of another GPU never gives a wrong plan. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "sim_life.h"
#include "test_sim.h"

static char folder[] = "/tmp/bpcuda-plans-XXXXXX", path[64];

/* --- the file --------------------------------------------------------------------------------- */

enum { TEXT = 1 << 15 };

static size_t read_file(char text[TEXT])
{
    FILE *f = fopen(path, "r");
    const size_t n = f ? fread(text, 1, TEXT - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    return n;
}

static void write_file(const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f))
        abort();
}

static int holds(const char *text)
{
    static char now[TEXT];
    read_file(now);
    return !strcmp(now, text);
}

static int lines_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* The file with other words in each line, or in those that have `in` in their key. */
static void write_words(const char *text, const char *in, const char *words)
{
    static char changed[TEXT];
    const char *at = strchr(text, '\n') + 1, *end;
    size_t n = (size_t)(at - text);
    memcpy(changed, text, n);
    for (; (end = strchr(at, '\n')); at = end + 1) {
        const char *key = at, *colon = end, *found = strstr(at, in);
        while (memcmp(colon, ": ", 2))
            colon--;
        n += (size_t)(found && found < colon
                          ? snprintf(changed + n, TEXT - n, "%.*s: %s\n", (int)(colon - key), key,
                                     words)
                          : snprintf(changed + n, TEXT - n, "%.*s", (int)(end + 1 - key), key));
    }
    write_file(changed, n);
}

/* Some text in place of another of its length. */
static void write_other(const char *text, const char *from, const char *to)
{
    static char changed[TEXT];
    strcpy(changed, text);
    for (char *at = changed; (at = strstr(at, from)); at += strlen(to))
        memcpy(at, to, strlen(to));
    write_file(changed, strlen(changed));
}

/* --- found again ------------------------------------------------------------------------------ */

static void again(const life *right, const char *text)
{
    struct stat was, is;
    stat(path, &was);
    const life second = live(path, 7, 0);
    check(second.asked == 0 && same(&second, right) && second.after == BP_OK,
          "what a file has is not asked for, and gives equal bits");
    check(!stat(path, &is) && was.st_ino == is.st_ino && holds(text), "and it stays");
    const life recorded = live(path, 7, RECORDED);
    check(recorded.asked == 0 && same(&recorded, right), "nor in what is captured");
    const life unread = live(NULL, 7, 0);
    check(unread.asked == right->asked && same(&unread, right), "a context without it asks");
}

/* What the keys of a file do not fit is asked for, and added. */
static void others(const life *right, const char *text)
{
    static const char *const other[][2] = {
        {"sm_90", "sm_86"}, {"cuDNN 9.19.0", "cuDNN 9.18.1"}, {"2x6x7x3", "2x6x7x5"},
        {"pad 1,1,1,1", "pad 1,1,1,2"}, {"aligned 16", "aligned 32"}, {"f32", "f64"},
        {"stride 1,1", "stride 2,1"}, {"groups 1", "groups 3"}};
    static char now[TEXT];
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        write_other(text, other[i][0], other[i][1]);
        const life l = live(path, 7, 0);
        read_file(now);
        check(l.asked > 0 && same(&l, right) && l.after == BP_OK &&
              lines_of(now) > lines_of(text), other[i][1]);
    }
    write_file(text, strlen(text));
    setenv("BPCUDA_SIM_CUDNN_VERSION", "92000", 1);
    const life later = live(path, 7, 0);
    unsetenv("BPCUDA_SIM_CUDNN_VERSION");
    check(later.asked == right->asked && same(&later, right), "another version is asked");
    const life tf32 = live(path, 7, TF32);
    check(tf32.asked > 0 && !same(&tf32, right) && tf32.after == BP_OK, "so is TF32");
    const life back = live(path, 7, 0);
    check(back.asked == 0 && same(&back, right), "and f32 is not TF32 because of it");
    write_file(text, strlen(text));
}

/* --- changed by hand -------------------------------------------------------------------------- */

static void refused(const life *right, const char *text)
{
    static const char *const words[] = {
        "100 2=5", "101 2=5", "102", "105", "103", "999", "-1", "99999999999999999999", "44 2=99",
        "44 2=-1", "44 3=1", "44 2", "44 2=", "44 =5", "44 2=5 x", "44 2=5 2=5 7=1", "x", "", " ",
        "44x", "0x2c"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        write_words(text, "", words[i]);
        const life l = live(path, 7, 0);
        if (!same(&l, right) || l.asked != right->asked || !holds(text))
            check(0, words[i]);
    }
    check(1, "choices that are no longer right are made anew, and the file gets those");
    write_words(text, "conv2d f64", "none");
    const life l = live(path, 7, 0);
    check(same(&l, right) && l.asked > 0 && holds(text), "that there is none is only for fused ops");
    write_words(text, "conv2d+bias", "none");
    const life parts = live(path, 7, 0);
    check(close_to(&parts, right) && parts.after == BP_OK, "which are then done in parts");
    write_file(text, strlen(text));
}

/* Every byte another one, of a file with one choice: a sentence, and nothing is written, or a
 * right result. */
static void bytes(const life *right, const char *all)
{
    static char text[TEXT], changed[TEXT];
    const char *second = strchr(strchr(all, '\n') + 1, '\n') + 1;
    snprintf(text, sizeof text, "%.*s", (int)(second - all), all);
    int wrong = 0, told = 0;
    for (size_t i = 0; text[i]; i++)
        for (int k = 0; k < 2; k++) {
            strcpy(changed, text);
            changed[i] ^= k ? 0x80 : 1;
            write_file(changed, strlen(text));
            const life l = live(path, 7, 0);
            const int refused = l.before == BP_ERR_FORMAT && l.after == BP_ERR_FORMAT &&
                                strstr(l.text, "is no file of library plans") && holds(changed);
            told += refused;
            wrong += !close_to(&l, right) || !nothing_left() ||
                     !(refused || (l.before == BP_OK && l.after == BP_OK));
        }
    printf("       %d of %d bytes make it another file\n", told, 2 * (int)strlen(text));
    check(wrong == 0 && told > (int)strlen(text), "a file with a byte that is another");
    wrong = 0;
    for (size_t n = 0; n < strlen(text); n++) {
        write_file(text, n);
        const life l = live(path, 7, 0);
        const int whole = n == 0 || text[n - 1] == '\n';
        wrong += !same(&l, right) || l.before != (whole ? BP_OK : BP_ERR_FORMAT) ||
                 (whole && lines_of(text) && l.after != BP_OK);
    }
    check(wrong == 0, "a file that was cut off");
    write_file(all, strlen(all));
}

/* What was only read gives way to what the file has now: another process may have mended it. */
static void mended(const char *text)
{
    bp_context *ctx = NULL;
    write_words(text, "", "102");
    check(bp_open("sim:0", &ctx) == BP_OK && bp_share_plans(ctx, path) == BP_OK, "is read");
    const life l = live(path, 7, 0);
    check(l.asked > 0 && holds(text) && bp_share_plans(ctx, path) == BP_OK && holds(text),
          "what was only read does not come back");
    unlink(path);
    check(bp_share_plans(ctx, path) == BP_OK && holds(text), "but to a file that lost it");
    bp_close(ctx);
}

/* --- other files ------------------------------------------------------------------------------ */

static void expect(const char *file, bp_status before, bp_status after, const char *sentence,
                   const life *right)
{
    const life l = live(file, 7, 0);
    const int good = l.before == before && l.after == after && strstr(l.text, sentence) &&
                     same(&l, right) && nothing_left();
    if (!good)
        printf("       %d, %d: \"%s\"\n", (int)l.before, (int)l.after, l.text);
    check(good, file);
}

static void files(const life *right, const char *text)
{
    char nowhere[96];
    snprintf(nowhere, sizeof nowhere, "%s/nowhere/plans", folder);
    expect(nowhere, BP_OK, BP_ERR_IO, "/nowhere/plans: cannot be written: No such file", right);
    expect("/proc/bpcuda-plans", BP_OK, BP_ERR_IO, "/proc/bpcuda-plans: cannot be written", right);
    expect(folder, BP_ERR_IO, BP_ERR_IO, "cannot be read: Is a directory", right);
    expect("/dev/zero", BP_ERR_FORMAT, BP_ERR_FORMAT, "it has more than 4 MB", right);
    unlink(path);
    check(mkfifo(path, 0600) == 0, "a pipe is made");
    expect(path, BP_ERR_FORMAT, BP_ERR_FORMAT, "it is a pipe", right);
    check(unlink(path) == 0, "it is there");
    write_file("a,b\n1,2\n", 8);
    expect(path, BP_ERR_FORMAT, BP_ERR_FORMAT,
           "its first line is not \"bpcuda library plans 1\"; nothing was written", right);
    check(holds("a,b\n1,2\n"), "another file stays as it is");
    write_file("", 0);
    const life l = live(path, 7, 0);
    check(l.before == BP_OK && l.after == BP_OK && holds(text), "an empty one is filled");
    bp_context *ctx = NULL;
    check(bp_open("cpu", &ctx) == BP_OK && bp_share_plans(ctx, folder) == BP_OK,
          "on the CPU there is nothing to share");
    bp_close(ctx);
}

/* Processes at one file, each with other shapes: the lines of all are in it. */
static void processes(const char *text)
{
    enum { PROCESSES = 4, LIVES = 4 };
    static char now[TEXT];
    int failed = 0;
    unlink(path);
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            int good = 1;
            for (int k = 0; k < LIVES; k++)
                good &= live(path, 8 + i * LIVES + k, 0).after == BP_OK;
            _exit(!good);
        }
    for (int status, i = 0; i < PROCESSES; i++)
        failed += wait(&status) < 0 || status != 0;
    read_file(now);
    /* that in f64 is the same for all */
    check(!failed && lines_of(now) == (lines_of(text) - 2) * PROCESSES * LIVES + 2,
          "processes that share a file lose nothing");
    write_file(text, strlen(text));
}

/* Of every call of cuDNN that may come of a file. */
static void failures(const life *right)
{
    static const char *const calls[] = {"cudnnBackendCreateDescriptor", "cudnnBackendSetAttribute",
                                        "cudnnBackendGetAttribute", "cudnnBackendFinalize"};
    static const int status[] = {2000, 3000, 4003, 5000};
    int failed = 0, wrong = 0;
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++)
        for (int nth = 1, ended = 0; !ended; nth += 3) {
            sim->reset();
            sim->fail(calls[c], nth, status[nth % 4]);
            const life l = live(path, 7, 0);
            ended = sim->calls(calls[c]) < nth;
            failed += l.made != BP_OK;
            wrong += (l.made == BP_OK ? !close_to(&l, right) : !l.text[0]) || !nothing_left();
        }
    sim->reset();
    printf("       %d lives ended early\n", failed);
    check(failed > 0 && wrong == 0, "a call of cuDNN that fails is told, or it is asked anew");
}

void plans(void)
{
    static char text[TEXT];
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/plans", folder);
    sim->reset();
    sim->set_memory((size_t)256 << 20); /* no room for the engine that wants a gigabyte */
    const life right = live(path, 7, 0);
    check(right.made == BP_OK && right.before == BP_OK && right.after == BP_OK && right.asked > 0,
          "choices are written");
    read_file(text);
    again(&right, text);
    others(&right, text);
    refused(&right, text);
    mended(text);
    bytes(&right, text);
    files(&right, text);
    processes(text);
    sim->expect_error(1);
    failures(&right);
    sim->expect_error(0);
    unlink(path);
    rmdir(folder);
    sim->reset();
}
