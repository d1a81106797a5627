/* bpcuda bench: the door to tools/bench. */
#include "bench/bench.h"
#include "job.h"

bp_status command_bench(job *j)
{
    const bench_settings set = {j->set->device, (int)j->set->threads, j->set->json};
    return bench_run(&set, stdout, j->text, sizeof j->text);
}
