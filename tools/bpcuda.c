/* The command. Results go to stdout, talk and errors to stderr; the exit status is 0, 1 for a
 * failure, 2 for a command line that is wrong (and whatever is BP_ERR_ARG), 130 for a run that was
 * stopped. tools/command/ has the command line and a file a command; src/train/options.def the
 * options of training. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command/job.h"
#include "core/text.h"

bp_status fail(job *j, bp_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(j->text, sizeof j->text, format, args);
    va_end(args);
    return status;
}

bp_status of_line(bp_status refused)
{
    return refused == BP_ERR_FORMAT || refused == BP_ERR_SHAPE ? BP_ERR_ARG : refused;
}

void lose(job *j, const char *why)
{
    if (j->lost[0])
        return;
    snprintf(j->lost, sizeof j->lost, "%s", why);
    say("%s; the run goes on", why);
    fputc('\n', stderr);
}

void talk(const job *j, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!j->set->quiet)
        vfprintf(stderr, format, args);
    va_end(args);
}

void class_text(const bp_model *model, int32_t c, char *to, size_t room)
{
    const char *name = bp_model_class_name(model, c);
    snprintf(to, room, name ? "%s" : "%.0s%d", name ? name : "", (int)c);
}

void put_text(const char *text)
{
    char shown[256];
    bpi_printable(shown, sizeof shown, text);
    fputs(shown, stdout);
}

/* A word as a shell reads it. */
void say_quoted(const char *before, const char *word)
{
    fputs(before, stderr);
    if (*word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "_-+=:,./@%")]) {
        fputs(word, stderr);
        return;
    }
    fputc('\'', stderr);
    for (; *word; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, stderr);
    fputc('\'', stderr);
}

bp_status open_context(job *j)
{
    TRY(bp_open(j->set->device, &j->ctx));
    TRY(bp_set_threads(j->ctx, (int32_t)j->set->threads));
    if (j->set->plans)
        TRY(bp_share_plans(j->ctx, j->set->plans));
    j->seed = j->set->train[BP_TRAIN_SEED];
    return bp_seed(j->ctx, (uint64_t)j->seed);
}

bp_status load_model(job *j, const char *path)
{
    return bp_model_load(j->ctx, path, &j->model);
}

static bp_status run(job *j)
{
    switch (j->set->command) {
    case TRAIN: return command_train(j);
    case RATE: return command_rate(j);
    case EVAL: return command_eval(j);
    case PREDICT: return command_predict(j);
    case INSPECT: return command_inspect(j);
    case SEARCH: return command_search(j);
    case EXPORT: return command_export(j);
    case PLOT: return command_plot(j);
    case BENCH: return command_bench(j);
    case DEVICES: return command_devices(j);
    default: return command_check(j);
    }
}

int main(int argc, char **argv)
{
    settings set;
    int status = command_line(argc, argv, &set);
    if (status != COMMAND_RUN)
        return status == 0 && fflush(stdout) != 0 ? 1 : status;
    job j = {.set = &set};
    signal(SIGXFSZ, SIG_IGN); /* a limit of files is an error like a full disk */
    bp_status st = run(&j);
    if (st == BP_OK && set.plans)
        st = bp_share_plans(j.ctx, set.plans);
    if ((fflush(stdout) != 0 || ferror(stdout)) && st == BP_OK)
        st = fail(&j, BP_ERR_IO, "stdout: cannot be written");
    if (st != BP_OK) {
        const char *text = j.text[0] ? j.text : bp_error_text(j.ctx);
        say("%s", text[0] ? text : bp_status_name(st));
        fputc('\n', stderr);
    }
    bp_trainer_free(j.trainer);
    bp_model_free(j.model);
    bp_data_free(j.train);
    bp_data_free(j.valid);
    bp_data_free(j.test);
    bp_close(j.ctx);
    return st == BP_ERR_ARG ? 2 : st != BP_OK ? 1 : j.exit;
}
