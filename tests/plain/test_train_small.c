/* From open to close: five steps, a plan, its replay. What it is for is what the leak sanitizer, or
 * a counting allocator, says at the end: nothing is left behind. */
#include "check.h"
#include "net.h"
#include "readers.h"

static void train(bp_context *ctx, bp_dtype dtype)
{
    net n;
    bp_plan *plan = NULL;
    check(net_open(&n, ctx, dtype, 0.1) == BP_OK, "a net can be made");
    check(net_train(&n, 0, 5) == BP_OK, "five steps run");
    check(bp_plan_record(ctx, net_step, &n, &plan) == BP_OK, "a step can be recorded");
    check(bp_plan_replay(plan, 5) == BP_OK, "five replays run");
    float loss32 = 0;
    double loss64 = 0;
    bp_status st = dtype == BP_F32 ? bp_read(n.loss, &loss32, sizeof loss32)
                                   : bp_read(n.loss, &loss64, sizeof loss64);
    check(st == BP_OK && loss32 + loss64 > 0 && loss32 + loss64 < 1.7, "the loss is sensible");
    bp_plan_free(plan);
    net_close(&n);
}

int main(void)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *ctx = NULL;
    check(bp_open("cpu", &ctx) == BP_OK, "a context opens");
    train(ctx, BP_F32);
    train(ctx, BP_F64);
    bp_close(ctx);
    check(bp_open_with("cpu", &hooks, &ctx) == BP_OK, "a context opens on a host's allocator");
    train(ctx, BP_F32);
    bp_close(ctx);
    check(g.live == 0 && g.live_bytes == 0, "all of the host's memory came back");
    check(!g.broken, "nothing was written beside it");
    return check_end();
}
