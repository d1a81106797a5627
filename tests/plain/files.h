/* What the programs about files share: a folder of their own, models of one value, children. */
#ifndef BPI_TEST_FILES_H
#define BPI_TEST_FILES_H

#include <bpcuda/bpcuda.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static bp_context *ctx;
static char work[64];

static inline void skip(const char *name, const char *why)
{
    printf("skip   %s: %s\n", name, why);
    fflush(stdout);
}

/* A new folder, which becomes the current one. */
static inline void enter_work(void)
{
    strcpy(work, "/tmp/bpcuda_files_XXXXXX");
    if (!mkdtemp(work) || chmod(work, 0755) != 0 || chdir(work) != 0)
        exit(2);
}

static inline void leave_work(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", work);
    if (chdir("/") != 0 || system(command) != 0)
        exit(2);
}

static inline void put(const char *path, const void *bytes, size_t n, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fchmod(fd, mode) != 0)
        exit(2);
    close(fd);
}

static inline int entries(const char *folder)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    if (d)
        closedir(d);
    return n;
}

static inline struct stat look(const char *path)
{
    struct stat s = {0};
    if (lstat(path, &s) != 0)
        s.st_mode = 0;
    return s;
}

/* A model whose every weight is `value`; `width` makes it small or large. */
static inline bp_model *model_of(float value, int width)
{
    static float all[1 << 16];
    char layers[32];
    bp_model *m;
    snprintf(layers, sizeof layers, "%d relu", width);
    if (bp_model_create(ctx, 64, layers, 10, &m) != BP_OK)
        exit(2);
    for (int i = 0; i < 1 << 16; i++)
        all[i] = value;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++) {
        bp_tensor *t = bp_param_at(bp_model_params(m), i);
        if (bp_write(t, all, (size_t)bp_shape_count(bp_shape_of(t)) * sizeof *all) != BP_OK)
            exit(2);
    }
    return m;
}

/* The value that all weights of a file have; -1 where it does not load, -2 where they differ. */
static inline float value_of(const char *path)
{
    static float all[1 << 16];
    bp_model *m;
    float value = 0;
    if (bp_model_load(ctx, path, &m) != BP_OK)
        return -1;
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++) {
        bp_tensor *t = bp_param_at(bp_model_params(m), i);
        int64_t n = bp_shape_count(bp_shape_of(t));
        if (bp_read(t, all, (size_t)n * sizeof *all) != BP_OK)
            exit(2);
        for (int64_t k = 0; k < n; k++)
            value = i == 0 && k == 0 ? all[k] : all[k] == value ? value : -2;
    }
    bp_model_free(m);
    return value;
}

static inline bp_status save_to(const char *path, float value, int width)
{
    bp_model *m = model_of(value, width);
    bp_status st = bp_model_save(m, path);
    bp_model_free(m);
    return st;
}

static inline bp_status try_to(const char *path, int width)
{
    bp_model *m = model_of(1, width);
    bp_status st = bp_model_save_check(m, path);
    bp_model_free(m);
    return st;
}

/* The same in a process of its own: 0 where f held, its signal where one ended it. */
static inline pid_t start(int (*f)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(f() ? 0 : 1);
    return child;
}

static inline int end_of(pid_t child)
{
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#endif
