/* bpcuda check: what will go wrong with a device, with data, with a model on data. */
#include <stdio.h>
#include <string.h>

#include "check/case_run.h"
#include "doctor/doctor.h"
#include "job.h"

/* The table goes to stdout; what differs is in it. */
static bp_status check_a_device(job *j)
{
    const char *data = j->set->data;
    const char *mnist = !strncmp(data, "mnist:", 6) ? data + 6 : NULL;
    if (j->set->operands == 2)
        return fail(j, BP_ERR_ARG, "check device: \"%.200s\" is one word too many: --device names "
                    "the device", j->set->operand[1]);
    if (!mnist && strcmp(data, "digits"))
        return fail(j, BP_ERR_ARG, "check device trains on digits or mnist:DIR; --data is %.200s", data);
    TRY(bp_open(j->set->device, &j->ctx));
    if (check_device(j->set->device, mnist))
        return BP_OK;
    return fail(j, BP_ERR_DEVICE, "check: %.40s does not agree with the CPU", j->set->device);
}

static bp_status look(job *j, bool with_model, findings *found)
{
    const settings *set = j->set;
    TRY(open_context(j));
    if (set->operands == 2)
        TRY(load_model(j, set->operand[1]));
    if (bp_model_members(j->model) > 1)
        return fail(j, BP_ERR_ARG, "check model: %.200s is an ensemble of %d: a single model is "
                    "wanted", set->operand[1], (int)bp_model_members(j->model));
    TRY(load_data(j, LEARN));
    doctor_case c = {.ctx = j->ctx, .train = j->train, .test = j->test, .layers = set->layers,
                     .task = bp_data_targets(j->train), .how = (bp_normalize)set->normalize,
                     .lr = set->train[BP_TRAIN_LR], .rows = (bp_rows)set->train[BP_TRAIN_ROWS],
                     .optimizer = (bp_optimizer_kind)set->train[BP_TRAIN_OPTIMIZER],
                     .seed = (uint64_t)set->train[BP_TRAIN_SEED]};
    TRY(doctor_data(&c, found));
    return with_model ? doctor_model(&c, j->model, found) : BP_OK;
}

bp_status command_check(job *j)
{
    const char *what = j->set->operand[0];
    findings found = {0};
    if (!strcmp(what, "device"))
        return check_a_device(j);
    bool model = !strcmp(what, "model");
    if (!model && strcmp(what, "data"))
        return fail(j, BP_ERR_ARG, "check: \"%.200s\" is none of device, data, model", what);
    if (!model && j->set->operands == 2)
        return fail(j, BP_ERR_ARG, "check data: \"%.200s\" is one word too many: --data names the "
                    "data", j->set->operand[1]);
    TRY(look(j, model, &found));
    doctor_print(&found, stdout, j->set->json);
    j->exit = found.count[DOCTOR_ERROR] + found.count[DOCTOR_WARNING] > 0;
    return BP_OK;
}
