/* bpcuda devices: what there is to compute on. */
#include <stdio.h>

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
