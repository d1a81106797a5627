/* bpcuda devices, bpcuda check: what there is to compute on, and what will go wrong. */
#include <stdio.h>
#include <string.h>

#include "check/case_run.h"
#include "job.h"
#include "json.h"

static bp_status show_device(job *j, const char *name, bool always, json *to)
{
    bp_status st = bp_open(name, &j->ctx);
    if (to && (st == BP_OK || always)) {
        json_open(to, NULL, '{');
        json_text(to, "name", name);
        json_text(to, st == BP_OK ? "device" : "error",
                  st == BP_OK ? bp_device_text(j->ctx) : bp_error_text(j->ctx));
        json_close(to, '}');
    } else if (st == BP_OK || always) {
        printf("%-12s %s\n", name, st == BP_OK ? bp_device_text(j->ctx) : bp_error_text(j->ctx));
    }
    bp_close(j->ctx);
    j->ctx = NULL;
    return st;
}

/* Each device of this build, with what it is here or why it cannot be opened. */
bp_status command_devices(job *j)
{
    static const char *const name[] = {"cpu", "cpu:generic", "cpu:v3", "cpu:v4"};
    json object = {stdout, false}, *to = j->set->json ? &object : NULL;
    char gpu[16] = "cuda:0";
    if (to) {
        json_open(to, NULL, '{');
        json_open(to, "devices", '[');
    }
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        show_device(j, name[i], true, to);
    for (int i = 1; show_device(j, gpu, i == 1, to) == BP_OK; i++)
        snprintf(gpu, sizeof gpu, "cuda:%d", i);
    if (to) {
        json_close(to, ']');
        json_close(to, '}');
        printf("\n");
    }
    return BP_OK;
}

/* The table goes to stdout; what differs is in it. */
static bp_status check_a_device(job *j)
{
    const char *data = j->set->data;
    const char *mnist = !strncmp(data, "mnist:", 6) ? data + 6 : NULL;
    TRY(bp_open(j->set->device, &j->ctx));
    if (check_device(j->set->device, mnist))
        return BP_OK;
    return fail(j, BP_ERR_DEVICE, "check: %.40s does not agree with the CPU", j->set->device);
}

bp_status command_check(job *j)
{
    const char *what = j->set->operand[0];
    if (!strcmp(what, "device"))
        return check_a_device(j);
    return fail(j, BP_ERR_ARG, "check wants what to check: device, data or model");
}
