/* The log of a run: see run_log.h. */
#include "log/run_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double run_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

run_point run_point_of(const bp_progress *p, bool has_accuracy, bool has_valid,
                       double samples_per_second)
{
    return (run_point){.time = run_clock(), .epoch = p->epoch, .step = p->steps, .loss = p->loss,
                       .accuracy = p->accuracy, .valid_loss = p->valid_loss,
                       .valid_accuracy = p->valid_accuracy, .lr = p->rate,
                       .samples_per_second = samples_per_second, .has_accuracy = has_accuracy,
                       .has_valid = has_valid};
}

/* Whether the last line of a plain file lacks its end. */
static bool is_cut(int fd, const char *path)
{
    struct stat s;
    char last = '\n';
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size == 0)
        return false;
    int in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return false;
    bool known = pread(in, &last, 1, s.st_size - 1) == 1;
    close(in);
    return known && last != '\n';
}

bool run_log_open(run_log *log, const char *path, bool append, char *text)
{
    int how = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, how | O_EXCL, 0666);
    *log = (run_log){.path = path, .created = fd >= 0, .fresh = fd < 0 && !append};
    if (fd < 0 && errno == EEXIST)
        fd = open(path, how, 0666);
    if (fd < 0)
        return fault_write(text, path);
    log->file = fdopen(fd, "a");
    if (!log->file) {
        close(fd);
        return fault_write(text, path);
    }
    if (append && is_cut(fd, path))
        fputc('\n', log->file);
    log->line = (json){.to = log->file};
    return true;
}

/* What cannot be emptied (a pipe, a file that may only grow) is added to. */
static void begin_line(run_log *log)
{
    bool emptied = log->fresh && ftruncate(fileno(log->file), 0) == 0;
    (void)emptied;
    log->created = log->fresh = log->line.comma = false;
    json_open(&log->line, NULL, '{');
}

static bool end_line(run_log *log, char *text)
{
    json_close(&log->line, '}');
    fputc('\n', log->file);
    return flushed(log->file, log->path, text);
}

json *run_log_begin(run_log *log, const char *name)
{
    begin_line(log);
    json_open(&log->line, name, '{');
    return &log->line;
}

bool run_log_end(run_log *log, char *text)
{
    json_close(&log->line, '}');
    return end_line(log, text);
}

bool run_log_point(run_log *log, const run_point *p, char *text)
{
    json *line = &log->line;
    begin_line(log);
    json_number(line, "time", p->time);
    json_number(line, "epoch", (double)p->epoch);
    json_number(line, "step", (double)p->step);
    json_number(line, "loss", p->loss);
    if (p->has_accuracy)
        json_number(line, "accuracy", p->accuracy);
    if (p->has_valid)
        json_number(line, "valid_loss", p->valid_loss);
    if (p->has_valid && p->has_accuracy)
        json_number(line, "valid_accuracy", p->valid_accuracy);
    json_number(line, "lr", p->lr);
    json_number(line, "samples_per_second", p->samples_per_second);
    return end_line(log, text);
}

bool run_log_close(run_log *log, char *text)
{
    if (!log->file)
        return true;
    bool closed = fclose(log->file) == 0 || fault_write(text, log->path);
    if (log->created)
        unlink(log->path);
    *log = (run_log){0};
    return closed;
}
