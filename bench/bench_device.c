/* Kernels on one device, each against the copy rate of the same run: rows G3, G4, G5 and G7, the
 * copy itself, the product's peak, and what a node of a plan costs (device_rows.c). Public calls
 * only.
 *
 *     bench_device [--device NAME] [--only PREFIX,...] [--json FILE] [--quick]
 *
 * A row is a plan of several calls that take turns over buffers larger than any cache together;
 * replays of it are queued, then waited for. `bytes` is the least that the formula can move, and
 * time is per call: median, least and most of the rounds. What is part of the step but not of the
 * row (Adam needs a gradient) is a second plan, timed in turn with the first and taken off.
 * --quick cuts the sizes for a device that is only simulated. bench/peers has the rows of
 * GPUs too; the CPU has smaller ones. */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_rows.h"

static const char *device = "cpu", *only = "";
static FILE *json;

/* Whether --only names the row, by how it begins; the copy is always there. */
static int wanted(const row *w, const row *first)
{
    for (const char *p = only; w > first; p++) {
        size_t n = strcspn(p, ",");
        if (!strncmp(w->name, p, n))
            return 1;
        p += n;
        if (!*p)
            return 0;
    }
    return 1;
}

static const char *options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--quick"))
            quick = 1;
        else if (!value)
            return argv[i];
        else if (!strcmp(argv[i], "--device"))
            device = argv[++i];
        else if (!strcmp(argv[i], "--only"))
            only = argv[++i];
        else if (!strcmp(argv[i], "--json") && (json = fopen(value, "w")))
            i++;
        else
            return argv[i];
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *wrong = options(argc, argv);
    if (wrong) {
        fprintf(stderr, "bench_device: %s is not an option, or lacks its value\n", wrong);
        return 2;
    }
    bp_context *ctx;
    if (bp_open(device, &ctx) != BP_OK) {
        fprintf(stderr, "bench_device: %s\n", bp_error_text(ctx));
        return 1;
    }
    printf("%s\n", bp_device_text(ctx));
    if (json)
        fprintf(json, "{\"bench\": \"device\", \"device\": \"%s\", \"compiler\": \"%s\", "
                      "\"quick\": %s, \"rows\": [",
                bp_device_text(ctx), __VERSION__, quick ? "true" : "false");
    const row *first = device_rows(ctx);
    bp_close(ctx);
    device_run run = {.device = device, .table = stdout, .json = json};
    int failed = 0;
    for (const row *w = first; w->name; w++)
        failed |= wanted(w, first) && !device_row_run(&run, w);
    if (json) {
        fprintf(json, "\n]}\n");
        fclose(json);
    }
    return failed;
}
