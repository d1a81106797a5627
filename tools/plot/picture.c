/* Pictures by gnuplot: see picture.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "plot/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/text.h"
#include "plot/plot.h"

extern char **environ;

const char *const picture_colours[] = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                       "#56B4E9", "#E69F00", "#000000"};
const int picture_marks[] = {7, 5, 9, 13, 11};

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n > m && !strcmp(text + n - m, end);
}

bool plot_named(const char *out)
{
    return ends_in(out, ".svg") || ends_in(out, ".png");
}

/* The file that will be replaced: behind links, a plain one that may be written, or none yet. */
static bool find_out(picture *p, const char *out, mode_t *mode, char *text)
{
    struct stat s;
    char real[PATH_MAX];
    bool there = lstat(out, &s) == 0;
    if (there && (stat(out, &s) != 0 || !S_ISREG(s.st_mode)))
        return fault(text, "%.300s: cannot be replaced: it is no plain file", out);
    if (there && (!realpath(out, real) || access(out, W_OK) != 0))
        return fault_write(text, out);
    *mode = there ? s.st_mode & 0777 : 0;
    errno = ENAMETOOLONG;
    size_t n = (size_t)snprintf(p->out, sizeof p->out, "%s", there ? real : out);
    return n < sizeof p->out - 32 || fault_write(text, out);
}

static bool make_file(picture *p, mode_t mode, const char *out, char *text)
{
    char *slash = strrchr(p->out, '/');
    snprintf(p->made, sizeof p->made, "%.*s.bpcuda-XXXXXX", slash ? (int)(slash + 1 - p->out) : 0,
             p->out);
    p->made_fd = mkostemp(p->made, O_CLOEXEC);
    if (p->made_fd < 0)
        return fault_write(text, out);
    mode_t mask = umask(0);
    umask(mask);
    return fchmod(p->made_fd, mode ? mode : 0666 & ~mask) == 0 || fault_write(text, out);
}

static void forget(picture *p)
{
    if (p->script)
        fclose(p->script);
    if (p->said_fd >= 0)
        close(p->said_fd);
    if (p->made_fd >= 0) {
        close(p->made_fd);
        unlink(p->made);
    }
}

bool picture_begin(picture *p, const char *out, int width, int height, char *text)
{
    mode_t mode;
    bool svg = ends_in(out, ".svg");
    *p = (picture){.made_fd = -1, .said_fd = -1};
    if (!plot_named(out))
        return fault(text, "%.300s: a picture's name ends in .svg or .png", out);
    if (!find_out(p, out, &mode, text))
        return false;
    int fd = memfd_create("script", MFD_CLOEXEC);
    p->said_fd = memfd_create("said", MFD_CLOEXEC);
    p->script = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!p->script && fd >= 0)
        close(fd);
    bool good = (p->script && p->said_fd >= 0) || fault(text, "plot: %s", strerror(errno));
    if (!good || !make_file(p, mode, out, text)) {
        forget(p);
        return false;
    }
    fprintf(p->script, svg ? "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,15' "
                             "background '#ffffff'\n"
                           : "set terminal pngcairo size %d,%d noenhanced font 'sans,12' "
                             "fontscale 1.9 linewidth 2 pointscale 2.8\n",
            svg ? width : 2 * width, svg ? height : 2 * height);
    fprintf(p->script, "set encoding utf8\nset tics nomirror\nset border lc '#606060'\n"
                       "set tics textcolor '#303030'\n");
    return true;
}

void picture_text(picture *p, const char *text, size_t bytes)
{
    char shown[152];
    bpi_printable(shown, bytes + 1, text);
    fputc('\'', p->script);
    for (const char *s = shown; *s; s++)
        fprintf(p->script, *s == '\'' ? "''" : "%c", *s);
    fputc('\'', p->script);
}

/* The line of what gnuplot said that begins behind its place in the script. */
static void reason(const picture *p, char *to, size_t bytes)
{
    char said[1024];
    ssize_t n = pread(p->said_fd, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    char *at = strstr(said, "line ");
    at = at ? at : said + strspn(said, " \t\n^");
    at[strcspn(at, "\n")] = '\0';
    snprintf(to, bytes, "%s", *at ? at : "it gave no reason");
}

/* gnuplot reads the script as its input and writes the picture as its output. */
static bool draw(const picture *p, char *text)
{
    char name[] = "gnuplot", plain[] = "-d", input[] = "-"; /* -d: no start-up files */
    char *const words[] = {name, plain, input, NULL};
    posix_spawn_file_actions_t files;
    char why[256];
    int status, script = fileno(p->script);
    pid_t child;
    if (fflush(p->script) != 0 || ferror(p->script) || lseek(script, 0, SEEK_SET) != 0)
        return fault(text, "plot: %s", strerror(errno));
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, script, 0);
    posix_spawn_file_actions_adddup2(&files, p->made_fd, 1);
    posix_spawn_file_actions_adddup2(&files, p->said_fd, 2);
    int error = posix_spawnp(&child, name, &files, NULL, words, environ);
    posix_spawn_file_actions_destroy(&files);
    if (error == ENOENT)
        return fault(text, "plot: gnuplot was not found: install it (Debian: gnuplot-nox), "
                           "or use --ascii");
    if (error)
        return fault(text, "plot: gnuplot cannot be started: %s", strerror(error));
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return fault(text, "plot: gnuplot: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (WIFSIGNALED(status))
        return fault(text, "plot: gnuplot was ended: %s", strsignal(WTERMSIG(status)));
    reason(p, why, sizeof why);
    return fault(text, "plot: gnuplot failed: %s", why);
}

/* gnuplot does not tell of a disk that is full: an SVG lacks its end then, and so does a PNG. */
static bool whole(const picture *p, char *text)
{
    char end[16] = "";
    off_t size = lseek(p->made_fd, 0, SEEK_END);
    ssize_t n = size > 12 ? pread(p->made_fd, end, 12, size - 12) : -1;
    if (n == 12 && (strstr(end, "</svg>") || !memcmp(end + 4, "IEND", 4)))
        return true;
    errno = ENOSPC;
    return fault_write(text, p->out);
}

bool picture_end(picture *p, bool good, char *text)
{
    good = good && draw(p, text) && whole(p, text);
    if (good && rename(p->made, p->out) != 0)
        good = fault_write(text, p->out);
    if (good) {
        close(p->made_fd);
        p->made_fd = -1;
    }
    forget(p);
    return good;
}

bool plot_can(const char *out, char *text)
{
    picture p;
    if (!picture_begin(&p, out, 100, 100, text))
        return false;
    fprintf(p.script, "plot 0\n");
    bool good = draw(&p, text) && whole(&p, text);
    forget(&p);
    return good;
}
