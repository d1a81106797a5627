/* The engine of the simulated device: runs a kernel, one block or cluster after the other, each
 * thread of a block a fiber (fiber.cpp) on a stack of its own.
 *
 * A thread runs until it waits in a barrier or a warp collective; then the next runnable one is
 * taken, in forward, reverse or random order. The blocks of a cluster take turns: one runs until
 * all its threads wait for the cluster, or have ended. A fiber whose thread ends goes on with one
 * that has not begun, so a kernel without barriers never changes stacks. When all that are left
 * wait, that is a deadlock. Two rules are stricter than the hardware's: a barrier waits for all
 * threads, and a mask names no thread that has exited. */
#include "engine.h"

#include <algorithm>
#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

namespace sim {

std::vector<Block> &cluster = *new std::vector<Block>;
Block *block;
Thread *current;
Position position;
const Launch *running;
static bool failed;
int64_t bytes_read, bytes_written;
static int living; /* threads that have not ended */

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

static void begin_turn(Block *of)
{
    block = of;
    position.block.x = of->number;
    check_turn();
}

/* The next block of the cluster has its turn. False: all its threads wait, or have ended. */
static bool next_block()
{
    uint32_t runnable = 0;
    for (const Block &b : cluster)
        runnable |= (uint32_t)(b.runnable_warps != 0) << b.rank;
    if (runnable == 0)
        return false;
    begin_turn(&cluster[config.order == SIM_RANDOM    ? any_of(runnable)
                        : config.order == SIM_REVERSE ? highest(runnable)
                                                      : lowest(runnable)]);
    return true;
}

/* Takes the thread to run next, NULL if there is none. In forward and reverse order a warp keeps
 * its turn while it can: its threads soon meet, and few stacks are in use. */
static Thread *next_thread()
{
    if (block->runnable_warps == 0 && !next_block())
        return NULL;
    std::vector<Warp> &warps = block->warps;
    int w = block->last_warp;
    int lane;
    if (config.order == SIM_RANDOM) {
        w = any_of(block->runnable_warps);
        lane = any_of(warps[w].runnable);
    } else if (config.order == SIM_REVERSE) {
        if (warps[w].runnable == 0)
            w = highest(block->runnable_warps);
        lane = highest(warps[w].runnable);
    } else {
        if (warps[w].runnable == 0)
            w = lowest(block->runnable_warps);
        lane = lowest(warps[w].runnable);
    }
    block->last_warp = w;
    warps[w].runnable &= ~(1u << lane);
    if (warps[w].runnable == 0)
        block->runnable_warps &= ~(1u << w);
    return &block->threads[w * WARP_LANES + lane];
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
        "__syncthreads", "__syncthreads_count", "__syncthreads_and", "__syncthreads_or",
        "cluster_sync"};
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
    for (const Thread &t : block->threads) {
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
    Warp &warp = block->warps[t->warp];
    if (!t->copies.empty())
        fail("asynchronous copy", "exits without waiting for that of %s:%d",
             base_name(t->copies[0].where.file), t->copies[0].where.line);
    t->state = EXITED;
    t->fiber = NULL;
    living--;
    warp.alive &= ~(1u << t->lane);
    for (const Meeting &m : warp.meetings)
        if (m.mask >> t->lane & 1)
            fail("divergent warp", "exits while lanes %08x wait for it in %s at %s:%d", m.arrived,
                 name_of(m.op), base_name(m.where.file), m.where.line);
    if (++block->exited == (int)block->threads.size())
        end_shared(block->rank);
}

/* A fiber's life: thread after thread. Never returns; once idle, it is made ready anew. */
void run_threads()
{
    for (;;) {
        current->fiber = this_fiber();
        running->call(running->args);
        end_thread();
        Thread *next = NULL;
        if (living > 0) {
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

static void start_block(Block *b)
{
    b->barrier.arrived = 0;
    b->exited = 0;
    b->runnable_warps = 0;
    for (size_t w = 0; w < b->warps.size(); w++) {
        Warp &warp = b->warps[w];
        warp.existing = lanes_below(b->threads.size() - w * WARP_LANES);
        warp.alive = warp.existing;
        warp.runnable = 0;
        warp.meetings.clear();
    }
    for (size_t i = 0; i < b->threads.size(); i++) {
        Thread *t = &b->threads[i];
        t->block = b;
        t->number = (int)i;
        t->warp = (int)i / WARP_LANES;
        t->lane = (int)i % WARP_LANES;
        t->fiber = NULL;
        t->copies.clear();
        make_runnable(t);
    }
    b->last_warp = config.order == SIM_REVERSE ? (int)b->warps.size() - 1 : 0;
}

/* Cluster number `number`, which may be one block. */
static void run_cluster(unsigned number)
{
    check_cluster();
    start_shared();
    empty_cluster_barrier();
    living = 0;
    for (unsigned rank = 0; rank < cluster.size(); rank++) {
        Block *b = &cluster[rank];
        b->number = number * (unsigned)cluster.size() + rank;
        b->rank = rank;
        start_block(b);
        living += (int)b->threads.size();
    }
    next_block();
    Thread *first = next_thread();
    first->fiber = ready_fiber();
    make_current(first);
    enter_fibers(first->fiber);
}

static std::vector<unsigned> order_of_clusters(unsigned clusters)
{
    std::vector<unsigned> order(clusters);
    for (unsigned i = 0; i < clusters; i++)
        order[i] = config.order == SIM_REVERSE ? clusters - 1 - i : i;
    if (config.order == SIM_RANDOM)
        for (unsigned i = clusters; i > 1; i--)
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
    cluster.resize(launch.cluster);
    for (Block &b : cluster) {
        b.threads.resize(launch.threads.x);
        b.warps.resize((launch.threads.x + WARP_LANES - 1) / WARP_LANES);
    }
    open_shared();
    dev_open();
    check_launch();
    for (unsigned number : order_of_clusters(launch.blocks.x / launch.cluster)) {
        run_cluster(number);
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
