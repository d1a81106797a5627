/* A run as it is written down. */
#include "diary.h"

static void describe_run(const job *j, json *to)
{
    const settings *set = j->set;
    char word[32];
    double parameters = 0;
    bp_params *params = bp_model_params(j->model);
    for (int32_t i = 0; i < bp_param_count(params); i++)
        parameters += (double)bp_shape_count(bp_shape_of(bp_param_at(params, i)));
    json_text(to, "version", bp_version());
    json_number(to, "time", run_clock());
    json_text(to, "device", bp_device_text(j->ctx));
    json_text(to, "data", set->data);
    json_text(to, "task", bp_task_name(bp_model_task(j->model)));
    json_text(to, "layers", set->layers);
    json_number(to, "parameters", parameters);
    json_number(to, "train_rows", (double)bp_data_rows(j->train));
    json_number(to, "valid_rows", (double)bp_data_rows(j->valid));
    json_number(to, "test_rows", (double)bp_data_rows(j->test));
    json_text(to, "schedule", set->schedule);
    for (int i = 1; i < TRAIN_OPTIONS; i++)
        if (options[i].words)
            json_text(to, options[i].name, option_word(&options[i], set->train[i], word));
        else
            json_number(to, options[i].name, i == BP_TRAIN_LR ? j->lr : set->train[i]);
}

/* What failed is told, and closed: nothing more is written there. */
static void write_failed(diary *d, bool log)
{
    char more[FAULT_BYTES];
    lose(d->j, d->j->text);
    d->j->text[0] = '\0';
    if (log)
        run_log_close(&d->log, more);
    else
        events_close(&d->events, more);
}

void diary_epoch(diary *d, const bp_progress *p)
{
    job *j = d->j;
    double rows = (double)((p->epoch - d->epoch) * bp_data_rows(j->train)), now = run_clock();
    run_point point = run_point_of(p, bp_model_task(j->model) != BP_TASK_REGRESSION, j->valid,
                                   rows / (now - d->time));
    d->epoch = p->epoch;
    d->time = now;
    if (d->log.file && !run_log_point(&d->log, &point, j->text))
        write_failed(d, true);
    if (d->events.file && !events_point(&d->events, &point, j->text))
        write_failed(d, false);
}

static bp_status write_epoch(bp_trainer *trainer, const bp_progress *p, void *user)
{
    (void)trainer;
    diary_epoch(user, p);
    return BP_OK;
}

bp_status diary_open(diary *d)
{
    job *j = d->j;
    const settings *set = j->set;
    bp_progress p;
    bp_trainer_progress(j->trainer, &p);
    d->epoch = p.epoch;
    d->time = run_clock();
    if (set->log && !run_log_open(&d->log, set->log, set->resume, j->text))
        return BP_ERR_IO;
    if (set->tensorboard && !events_open(&d->events, set->tensorboard, j->text))
        return BP_ERR_IO;
    if (set->log)
        describe_run(j, run_log_begin(&d->log, "run"));
    if (set->log && !run_log_end(&d->log, j->text))
        return BP_ERR_IO;
    return j->trainer ? bp_trainer_on_epoch(j->trainer, write_epoch, d) : BP_OK;
}

void diary_line_ends(diary *d)
{
    if (!run_log_end(&d->log, d->j->text))
        write_failed(d, true);
}

void diary_close(diary *d)
{
    char why[FAULT_BYTES];
    if (!run_log_close(&d->log, why))
        lose(d->j, why);
    if (!events_close(&d->events, why))
        lose(d->j, why);
}
