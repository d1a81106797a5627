/* The files a command writes: none of them may be what it reads, or another one it writes. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "job.h"
#include "plot/plot.h"

/* The file behind a name, which need not be there yet. */
static void canonical(const char *path, char *to)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (realpath(path, to))
        return;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (!realpath(folder, to) || strlen(to) + strlen(path) + 2 > PATH_MAX)
        *to = '\0';
    strcat(strcat(to, "/"), slash ? slash + 1 : path);
}

/* Whether two names are of one file; a device may be many things at once. */
static bool same_file(const char *a, const char *b)
{
    struct stat of_a, of_b;
    char path_a[2 * PATH_MAX], path_b[2 * PATH_MAX];
    if (!a || !b)
        return false;
    if (stat(a, &of_a) == 0 && stat(b, &of_b) == 0)
        return of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino && !S_ISCHR(of_a.st_mode);
    canonical(a, path_a);
    canonical(b, path_b);
    return !strcmp(path_a, path_b);
}

/* Whether a file is one of those that --data reads: a CSV's, one or two of NumPy, those of a folder. */
static bool is_data(const settings *set, const char *path)
{
    char one[PATH_MAX], real[2 * PATH_MAX], folder[PATH_MAX];
    const char *of = set->data ? strchr(set->data, ':') : NULL;
    struct stat there;
    if (!of)
        return set->data && !strcmp(set->data, "-") && same_file(path, "/dev/stdin");
    snprintf(one, sizeof one, "%.*s", (int)strcspn(of + 1, ","), of + 1);
    if (strncmp(set->data, "mnist:", 6))
        return same_file(path, of + 1) || same_file(path, one) ||
               (strchr(of, ',') && same_file(path, strchr(of, ',') + 1));
    canonical(path, real);
    char *slash = strrchr(real, '/');
    if (!slash || !realpath(one, folder) || stat(path, &there) != 0 || !strstr(slash, "idx"))
        return false;
    *slash = '\0';
    return !strcmp(real, folder);
}

bp_status check_files(job *j)
{
    const settings *set = j->set;
    char older[PATH_MAX + 8];
    const struct {
        const char *name, *path;
    } files[] = {{"--out", set->out}, {"--checkpoint", set->checkpoint}, {"--log", set->log},
                 {"--tensorboard", set->tensorboard}, {"--plans", set->plans}};
    enum { N = sizeof files / sizeof *files };
    if (set->command & (RATE | PLOT) && set->out && !plot_named(set->out))
        return fail(j, BP_ERR_ARG, "--out %.200s: a picture's name ends in .svg or .png", set->out);
    for (int i = 0; i < N; i++) {
        const char *path = files[i].path, *name = files[i].name;
        if (!path)
            continue;
        if (same_file(path, "/dev/stdout") || !strcmp(path, "-"))
            return fail(j, BP_ERR_ARG, "%s %.200s is the standard output, where the results go", name,
                        path);
        if (is_data(set, path))
            return fail(j, BP_ERR_ARG, "%s %.200s is what --data reads", name, path);
        if (same_file(path, set->ranges))
            return fail(j, BP_ERR_ARG, "%s %.200s is what --ranges reads", name, path);
        for (int k = 0; k < set->operands; k++)
            if (same_file(path, set->operand[k]))
                return fail(j, BP_ERR_ARG, "%s %.200s is what the command reads", name, path);
        for (int k = 0; k < i; k++)
            if (same_file(path, files[k].path))
                return fail(j, BP_ERR_ARG, "%s %.200s is the file of %s", name, path, files[k].name);
        for (int kept = 1; set->checkpoint && i != 1 && kept < set->checkpoint_keep; kept++) {
            snprintf(older, sizeof older, "%.*s.%d", PATH_MAX - 8, set->checkpoint, kept);
            if (same_file(path, older))
                return fail(j, BP_ERR_ARG, "%s %.200s is where an older checkpoint is kept", name,
                            path);
        }
    }
    return BP_OK;
}
