/* bpcuda plot, bench. */
#include "job.h"

bp_status command_plot(job *j)
{
    return fail(j, BP_ERR_UNSUPPORTED, "plot: not yet");
}

bp_status command_bench(job *j)
{
    return fail(j, BP_ERR_UNSUPPORTED, "bench: not yet");
}
