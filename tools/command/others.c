/* bpcuda bench, bpcuda plot: doors to tools/bench and tools/plot. */
#include "bench/bench.h"
#include "job.h"

bp_status command_bench(job *j)
{
    const bench_settings set = {j->set->device, (int)j->set->threads, j->set->json};
    return bench_run(&set, stdout, j->text, sizeof j->text);
}

bp_status command_plot(job *j)
{
    return fail(j, BP_ERR_UNSUPPORTED, "plot: not yet");
}
