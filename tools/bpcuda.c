/* The command: trains a classifier, tests one, lists devices and checks one. Results go to stdout,
 * progress and errors to stderr; the exit status is 0, 1 for a failure, 2 for a command line that
 * is wrong. The options of training are the library's list, src/train/options.def. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bpcuda/bpcuda.h"
#include "check/case_run.h"
#include "command.h"

#define TRY(expr)                    \
    do {                             \
        bp_status try_st_ = (expr);  \
        if (try_st_ != BP_OK)        \
            return try_st_;          \
    } while (0)

/* What a command works with; all of it is freed at the end, whatever happened. */
typedef struct job {
    const settings *set;
    bp_context *ctx;
    bp_data *train, *test;
    bp_model *model;
    bp_trainer *trainer;
    char text[512]; /* an error of our own; else the context has one */
} job;

static bp_status open_context(job *j)
{
    TRY(bp_open(j->set->device, &j->ctx));
    TRY(bp_set_threads(j->ctx, (int32_t)j->set->threads));
    return bp_seed(j->ctx, (uint64_t)j->set->train[BP_TRAIN_SEED]);
}

/* Where there is no test set, a fifth is held out: the same one whatever --seed says. */
static bp_status load_data(job *j, bool training)
{
    const char *name = j->set->data;
    if (!strcmp(name, "digits")) {
        bp_data *all;
        TRY(bp_data_digits(j->ctx, &all));
        bp_status st = bp_data_split(all, 0.2, 0, &j->train, &j->test);
        bp_data_free(all);
        return st;
    }
    if (!strncmp(name, "mnist:", 6)) {
        if (training)
            TRY(bp_data_idx_folder(j->ctx, name + 6, 0, &j->train));
        return bp_data_idx_folder(j->ctx, name + 6, 1, &j->test);
    }
    snprintf(j->text, sizeof j->text, "--data: \"%.300s\" is neither digits nor mnist:DIR", name);
    return BP_ERR_ARG;
}

static void print_number(const char *name, double value, const char *after)
{
    if (isfinite(value))
        printf("\"%s\": %.6g%s", name, value, after);
    else
        printf("\"%s\": null%s", name, after);
}

static bp_status train_epochs(job *j, bp_progress *p)
{
    TRY(bp_trainer_create(j->model, j->train, &j->trainer));
    for (int option = 1; option < TRAIN_OPTIONS; option++)
        TRY(bp_trainer_set(j->trainer, option, j->set->train[option]));
    bp_trainer_progress(j->trainer, p);
    for (int32_t done = 0; !done;) {
        TRY(bp_trainer_run(j->trainer, p->epoch_steps, -1, &done));
        bp_trainer_progress(j->trainer, p);
        fprintf(stderr, "epoch %lld/%.0f  loss %.4f  accuracy %.2f %%  %.2f s\n",
                (long long)p->epoch, j->set->train[BP_TRAIN_EPOCHS], p->loss, 100 * p->accuracy,
                p->seconds);
    }
    return BP_OK;
}

/* Said before the training, not after it. The results would be lost in a model, or it in them. */
static bp_status check_out(job *j)
{
    struct stat out, shown;
    if (!j->set->out)
        return BP_OK;
    if (stat(j->set->out, &out) == 0 && fstat(1, &shown) == 0 && out.st_dev == shown.st_dev &&
        out.st_ino == shown.st_ino && !S_ISCHR(out.st_mode)) {
        snprintf(j->text, sizeof j->text, "--out is the standard output, where the results go");
        return BP_ERR_ARG;
    }
    return bp_model_save_check(j->model, j->set->out);
}

static bp_status train(job *j)
{
    double loss, accuracy, rate;
    bp_progress p;
    TRY(open_context(j));
    TRY(load_data(j, true));
    TRY(bp_model_create(j->ctx, bp_data_cols(j->train), j->set->layers, bp_data_classes(j->train),
                        &j->model));
    TRY(bp_model_normalize_as(j->model, j->train, (bp_normalize)j->set->how));
    TRY(check_out(j));
    TRY(train_epochs(j, &p));
    TRY(bp_model_evaluate(j->model, j->test, &loss, &accuracy));
    if (j->set->out)
        TRY(bp_model_save(j->model, j->set->out));
    rate = (double)p.epoch * (double)bp_data_rows(j->train) / (p.seconds > 0 ? p.seconds : 1e-9);
    if (!j->set->json) {
        printf("test accuracy %.2f %%, test loss %.4f, %lld epochs in %.2f s, %.0f samples/s\n",
               100 * accuracy, loss, (long long)p.epoch, p.seconds, rate);
        return BP_OK;
    }
    printf("{");
    print_number("test_accuracy", accuracy, ", ");
    print_number("test_loss", loss, ", ");
    printf("\"epochs\": %lld, ", (long long)p.epoch);
    print_number("seconds", p.seconds, ", ");
    print_number("samples_per_second", rate, ", ");
    printf("\"device\": \"%s\", \"seed\": %.0f}\n", bp_device_text(j->ctx),
           j->set->train[BP_TRAIN_SEED]);
    return BP_OK;
}

static bp_status eval(job *j)
{
    double loss, accuracy;
    TRY(open_context(j));
    TRY(bp_model_load(j->ctx, j->set->model, &j->model));
    TRY(load_data(j, false));
    TRY(bp_model_evaluate(j->model, j->test, &loss, &accuracy));
    if (!j->set->json) {
        printf("test accuracy %.2f %%, test loss %.4f\n", 100 * accuracy, loss);
        return BP_OK;
    }
    printf("{");
    print_number("test_accuracy", accuracy, ", ");
    print_number("test_loss", loss, ", ");
    printf("\"device\": \"%s\"}\n", bp_device_text(j->ctx));
    return BP_OK;
}

/* The table goes to stdout; what differs is in it. */
static bp_status check(job *j)
{
    const char *data = j->set->data;
    const char *mnist = !strncmp(data, "mnist:", 6) ? data + 6 : NULL;
    TRY(bp_open(j->set->device, &j->ctx));
    if (check_device(j->set->device, mnist))
        return BP_OK;
    snprintf(j->text, sizeof j->text, "check: %.40s does not agree with the CPU", j->set->device);
    return BP_ERR_DEVICE;
}

static bp_status show_device(job *j, const char *name, bool always)
{
    bp_status st = bp_open(name, &j->ctx);
    if (st == BP_OK || always)
        printf("%-12s %s\n", name, st == BP_OK ? bp_device_text(j->ctx) : bp_error_text(j->ctx));
    bp_close(j->ctx);
    j->ctx = NULL;
    return st;
}

/* Each device of this build, with what it is here or why it cannot be opened. */
static bp_status devices(job *j)
{
    static const char *const name[] = {"cpu", "cpu:generic", "cpu:v3", "cpu:v4"};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        show_device(j, name[i], true);
    char gpu[16] = "cuda:0";
    for (int i = 1; show_device(j, gpu, i == 1) == BP_OK; i++)
        snprintf(gpu, sizeof gpu, "cuda:%d", i);
    return BP_OK;
}

static const struct {
    const char *name;
    bp_status (*run)(job *);
} commands[] = {{"train", train}, {"eval", eval}, {"devices", devices}, {"check", check}};

int main(int argc, char **argv)
{
    settings set;
    int status = command_line(argc, argv, &set);
    if (status != COMMAND_RUN)
        return status;
    job j = {.set = &set};
    bp_status st = BP_OK;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, set.command))
            st = commands[i].run(&j);
    if (st == BP_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        snprintf(j.text, sizeof j.text, "stdout: cannot be written");
        st = BP_ERR_IO;
    }
    if (st != BP_OK) {
        const char *text = j.text[0] ? j.text : bp_error_text(j.ctx);
        say("%s", text[0] ? text : bp_status_name(st));
        fputc('\n', stderr);
    }
    bp_trainer_free(j.trainer);
    bp_model_free(j.model);
    bp_data_free(j.train);
    bp_data_free(j.test);
    bp_close(j.ctx);
    return st != BP_OK;
}
