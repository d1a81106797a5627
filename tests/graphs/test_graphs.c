/* Random graphs, checked:
 *
 *     test_graphs [--count=N] [--from=N] [--samples=N] [--must-catch] [--dump]
 *
 * on BPCUDA_TEST_DEVICE, or the CPU. 0 if every graph held and every op of the library was in one.
 * samples: differences taken a graph. --must-catch, for planted bugs: 0 if a graph did not hold.
 * --dump prints the graphs instead, for torch_graphs.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graphs.h"

static int64_t number(const char *arg, const char *name, int64_t so_far)
{
    size_t n = strlen(name);
    return strncmp(arg, name, n) ? so_far : strtoll(arg + n, NULL, 10);
}

/* Every op of ops.def has a recipe and was used; prints those that were not. */
static int forgotten(const int64_t *used)
{
    int missing = 0;
    for (int k = 0; op_names[k]; k++) {
        int64_t uses = 0;
        for (int i = 0; i < graph_recipes_n; i++)
            uses += strcmp(graph_recipes[i].op, op_names[k]) ? 0 : used[i];
        if (!uses)
            printf("FAILED %s: no graph has it\n", op_names[k]);
        missing += !uses;
    }
    return missing;
}

int main(int argc, char **argv)
{
    int64_t count = 100, from = 0, samples = 60, failures = 0, used[256] = {0}, operations = 0;
    bool dump = false, must_catch = false;
    for (int i = 1; i < argc; i++) {
        count = number(argv[i], "--count=", count);
        from = number(argv[i], "--from=", from);
        samples = number(argv[i], "--samples=", samples);
        dump |= !strcmp(argv[i], "--dump");
        must_catch |= !strcmp(argv[i], "--must-catch");
    }
    bp_context *plain, *ctx;
    if (bp_open("cpu:generic", &plain) != BP_OK || bp_open(test_device(), &ctx) != BP_OK)
        return 1;
    for (int64_t seed = from; seed < from + count; seed++) {
        graph g;
        bool holds = graph_generate(plain, &g, (uint64_t)seed);
        if (!holds)
            printf("FAILED graph %lld: cannot be made\n", (long long)seed);
        if (holds)
            holds = dump ? graph_dump(ctx, &g) : graph_check(ctx, &g, (int)samples);
        failures += !holds;
        for (int i = 0; i < g.n; i++)
            if (g.value[i].kind == OPERATION) {
                used[g.value[i].recipe - graph_recipes]++;
                operations++;
            }
        graph_free(&g);
    }
    if (!dump && !must_catch)
        failures += forgotten(used);
    bp_close(ctx);
    bp_close(plain);
    if (dump || must_catch) {
        if (must_catch)
            printf("the planted bug was caught in %lld graphs\n", (long long)failures);
        return (failures != 0) != must_catch;
    }
    printf("%lld graphs of %lld operations on %s: %lld numbers compared, %lld differences left "
           "out at kinks, f32 at %.2g of what is allowed, %lld failures\n", (long long)count,
           (long long)operations, test_device(), (long long)graph_compared,
           (long long)graph_skipped, graph_worst_f32, (long long)failures);
    return failures != 0 || graph_skipped * 50 > graph_compared;
}
