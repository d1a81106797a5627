/* The engine of the simulated device: runs a kernel, one block after the other, each thread of a
 * block a fiber (fiber.cpp) on a stack of its own.
 *
 * A thread runs until it waits in a barrier or a warp collective; then the next runnable one is
 * taken, in forward, reverse or random order. A fiber whose thread ends goes on with one that has
 * not begun, so a kernel without barriers never changes stacks. When all that are left wait, that
 * is a deadlock. Two rules are stricter than the hardware's: a barrier waits for all threads, and a
 * mask names no thread that has exited. */
#include "engine.h"

#include <algorithm>
#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace sim {

std::vector<Thread> &threads = *new std::vector<Thread>;
std::vector<Warp> &warps = *new std::vector<Warp>;
Thread *current;
uint32_t runnable_warps;
static int last_warp; /* that a thread was taken from */
static int exited;
Position position;
const Launch *running;
static bool failed;

static int lowest(uint32_t bits)
{
    return __builtin_ctz(bits);
}

static int highest(uint32_t bits)
{
    return 31 - __builtin_clz(bits);
}

/* The first set bit at or after a random place, cyclically. */
static int any_of(uint32_t bits)
{
    const unsigned place = (unsigned)(random_bits() >> 20) & 31;
    const uint32_t turned = place == 0 ? bits : bits >> place | bits << (32 - place);
    return (int)((unsigned)lowest(turned) + place) & 31;
}

/* Takes the thread to run next, NULL if there is none. In forward and reverse order a warp keeps
 * its turn while it can: its threads soon meet, and few stacks are in use. */
static Thread *next_thread()
{
    if (runnable_warps == 0)
        return NULL;
    int w = last_warp;
    int lane;
    if (config.order == SIM_RANDOM) {
        w = any_of(runnable_warps);
        lane = any_of(warps[w].runnable);
    } else if (config.order == SIM_REVERSE) {
        if (warps[w].runnable == 0)
            w = highest(runnable_warps);
        lane = highest(warps[w].runnable);
    } else {
        if (warps[w].runnable == 0)
            w = lowest(runnable_warps);
        lane = lowest(warps[w].runnable);
    }
    last_warp = w;
    warps[w].runnable &= ~(1u << lane);
    if (warps[w].runnable == 0)
        runnable_warps &= ~(1u << w);
    return &threads[w * WARP_LANES + lane];
}

static void make_current(Thread *t)
{
    current = t;
    position.thread.x = (unsigned)t->number;
}

/* --- errors in a kernel -------------------------------------------------------------------- */

void fail(const char *kind, const char *format, ...)
{
    static char text[2048]; /* not on the small stack, and this does not return */
    int n = snprintf(text, sizeof text, "simulated device: %s in kernel %s launched at %s:%d, ",
                     kind, running->name, base_name(running->where.file), running->where.line);
    n += snprintf(text + n, sizeof text - (size_t)n, "block %u, thread %u: ", position.block.x,
                  position.thread.x);
    va_list args;
    va_start(args, format);
    vsnprintf(text + n, sizeof text - (size_t)n, format, args);
    va_end(args);
    report_error(text);
    failed = true;
    leave_fibers();
}

const char *name_of(Operation op)
{
    static const char *const name[] = {
        "__syncwarp",    "__shfl_sync",         "__shfl_xor_sync",   "__shfl_down_sync",
        "__shfl_up_sync", "__ballot_sync",      "__all_sync",        "__any_sync",
        "__syncthreads", "__syncthreads_count", "__syncthreads_and", "__syncthreads_or"};
    return name[op];
}

/* "0-15,32" */
static std::string ranges_of(const std::vector<int> &numbers)
{
    std::string text;
    for (size_t i = 0; i < numbers.size();) {
        size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1)
            last++;
        text += (i ? "," : "") + std::to_string(numbers[i]);
        if (last > i)
            text += "-" + std::to_string(numbers[last]);
        i = last + 1;
    }
    return text;
}

/* Who waits where, and who has exited. */
static void describe_threads(char *text, size_t bytes)
{
    std::map<std::string, std::vector<int>> by_state;
    for (const Thread &t : threads) {
        char state[256] = "have exited";
        if (t.state != EXITED)
            snprintf(state, sizeof state, "wait in %s at %s:%d", name_of(t.op),
                     base_name(t.where.file), t.where.line);
        if (t.state == IN_WARP)
            snprintf(state + strlen(state), sizeof state - strlen(state), " with mask %08x",
                     t.mask);
        by_state[state].push_back(t.number);
    }
    std::string all;
    for (const auto &entry : by_state)
        all += (all.empty() ? "threads " : "; threads ") + ranges_of(entry.second) + " " +
               entry.first;
    snprintf(text, bytes, "%s", all.c_str());
}

[[noreturn]] static void fail_deadlock()
{
    static char who[1536];
    describe_threads(who, sizeof who);
    fail("deadlock", "%s", who);
}

/* --- threads begin, wait and end ------------------------------------------------------------ */

void wait_turn()
{
    Thread *self = current;
    Thread *next = next_thread();
    if (!next)
        fail_deadlock();
    if (next != self) {
        if (!next->fiber)
            next->fiber = ready_fiber();
        make_current(next);
        switch_to(next->fiber);
        make_current(self);
    }
}

static void end_thread()
{
    Thread *t = current;
    Warp &warp = warps[t->warp];
    t->state = EXITED;
    t->fiber = NULL;
    exited++;
    warp.alive &= ~(1u << t->lane);
    for (const Meeting &m : warp.meetings)
        if (m.mask >> t->lane & 1)
            fail("divergent warp", "exits while lanes %08x wait for it in %s at %s:%d", m.arrived,
                 name_of(m.op), base_name(m.where.file), m.where.line);
}

/* A fiber's life: thread after thread. Never returns; once idle, it is made ready anew. */
void run_threads()
{
    for (;;) {
        current->fiber = this_fiber();
        running->call(running->args);
        end_thread();
        Thread *next = NULL;
        if (exited < (int)threads.size()) {
            next = next_thread();
            if (!next)
                fail_deadlock();
            make_current(next);
            if (!next->fiber)
                continue;
        }
        leave_fiber(next ? next->fiber : NULL);
    }
}

/* --- a launch ------------------------------------------------------------------------------ */

static unsigned lanes_below(size_t n)
{
    return n >= WARP_LANES ? 0xffffffffu : (1u << n) - 1;
}

static void start_block(unsigned block)
{
    position.block.x = block;
    check_block();
    start_shared();
    empty_barrier();
    exited = 0;
    runnable_warps = 0;
    for (size_t w = 0; w < warps.size(); w++) {
        warps[w].existing = lanes_below(threads.size() - w * WARP_LANES);
        warps[w].alive = warps[w].existing;
        warps[w].runnable = 0;
        warps[w].meetings.clear();
    }
    for (size_t i = 0; i < threads.size(); i++) {
        Thread *t = &threads[i];
        t->number = (int)i;
        t->warp = (int)i / WARP_LANES;
        t->lane = (int)i % WARP_LANES;
        t->fiber = NULL;
        make_runnable(t);
    }
    last_warp = config.order == SIM_REVERSE ? (int)warps.size() - 1 : 0;
}

static void run_block(unsigned block)
{
    start_block(block);
    Thread *first = next_thread();
    first->fiber = ready_fiber();
    make_current(first);
    enter_fibers(first->fiber);
}

static std::vector<unsigned> order_of_blocks(unsigned blocks)
{
    std::vector<unsigned> order(blocks);
    for (unsigned i = 0; i < blocks; i++)
        order[i] = config.order == SIM_REVERSE ? blocks - 1 - i : i;
    if (config.order == SIM_RANDOM)
        for (unsigned i = blocks; i > 1; i--)
            std::swap(order[i - 1], order[random_bits() % i]);
    return order;
}

bool run_kernel(const Launch &launch)
{
    if (launch.blocks.y * launch.blocks.z * launch.threads.y * launch.threads.z != 1) {
        report_error("simulated device: grids and blocks have one dimension");
        return false;
    }
    running = &launch;
    failed = false;
    position.threads = uint3{launch.threads.x, 1, 1};
    position.blocks = uint3{launch.blocks.x, 1, 1};
    threads.resize(launch.threads.x);
    warps.resize((launch.threads.x + WARP_LANES - 1) / WARP_LANES);
    open_shared();
    dev_open();
    check_launch();
    for (unsigned block : order_of_blocks(launch.blocks.x)) {
        run_block(block);
        if (failed)
            break;
    }
    dev_close();
    if (failed)
        drop_fibers(); /* of threads that were in the middle of the kernel */
    close_shared();
    running = NULL;
    return !failed;
}

} // namespace sim
