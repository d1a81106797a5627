/* The engine of the simulated device: runs a kernel, one block after the other, each thread of a
 * block a fiber on a stack of its own.
 *
 * A thread runs until it waits in a barrier or a warp collective; then the next runnable one is
 * taken, in forward, reverse or random order. A fiber whose thread ends goes on with one that has
 * not begun, so a kernel without barriers never changes stacks. When all that are left wait, that
 * is a deadlock. Two rules are stricter than the hardware's: a barrier waits for all threads, and a
 * mask names no thread that has exited. */
#include "simt_internal.h"

#include <algorithm>
#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#if !defined(__x86_64__) && !defined(SIM_UCONTEXT)
#define SIM_UCONTEXT 1
#endif
#ifdef SIM_UCONTEXT
#include <ucontext.h>
#endif

extern "C" void bpi_sim_fiber();

namespace sim {

/* --- start values, random bits, errors ----------------------------------------------------- */

static uint64_t random_start(uint64_t seed)
{
    return (seed * 0x9e3779b97f4a7c15u + 0x3243f6a8885a308du) | 1;
}

static Config config_from_environment()
{
    Config c = {};
    c.devices = 1;
    c.memory_bytes = (size_t)8 << 30;
    c.guard = true;
    const char *undocumented = getenv("BPCUDA_SIM_UNDOCUMENTED");
    c.undocumented = undocumented && atoi(undocumented) != 0;
    const char *lazy = getenv("BPCUDA_SIM_LAZY");
    c.lazy = lazy && atoi(lazy) != 0;
    const char *order = getenv("BPCUDA_SIM_ORDER");
    if (order && strcmp(order, "reverse") == 0)
        c.order = SIM_REVERSE;
    else if (order && strncmp(order, "random", 6) == 0)
        c.order = SIM_RANDOM;
    else
        c.order = SIM_FORWARD;
    const char *seed = order ? strchr(order, ':') : NULL;
    c.random = random_start(seed ? strtoull(seed + 1, NULL, 10) : 0);
    return c;
}

Config config = config_from_environment();
int64_t arrivals;
std::string last_error;
Position position;

void seed_random(uint64_t seed)
{
    config.random = random_start(seed);
}

/* Marsaglia's xorshift. */
uint64_t random_bits()
{
    uint64_t x = config.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    config.random = x;
    return x;
}

void report_error(const char *text)
{
    last_error = text;
    if (config.expect_error)
        return;
    fprintf(stderr, "%s\n", text);
    abort();
}

const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* --- fibers -------------------------------------------------------------------------------- */

struct Fiber {
    void *saved; /* stack pointer, while another runs */
    char *stack; /* [STACK_BYTES]; NULL for the caller of run_kernel */
    size_t stagger;
#ifdef SIM_UCONTEXT
    ucontext_t context;
#endif
#ifdef SIM_ASAN
    void *fake_stack;
    const void *bottom;
    size_t bytes;
#endif
};

static Fiber caller;
static Fiber *fiber = &caller; /* the one that runs */
/* Never destroyed: leak checkers find the fibers through them. */
static std::vector<Fiber *> &fibers = *new std::vector<Fiber *>;
static std::vector<Fiber *> &idle_fibers = *new std::vector<Fiber *>;
const char *running_stack;

#ifndef SIM_UCONTEXT
extern "C" {
void bpi_sim_switch(void **saved, void *to);
void bpi_sim_first();
}
/* Saves the registers that a call preserves on the stack, and the stack pointer in *saved; then the
 * same in reverse from `to`. A new fiber returns into bpi_sim_first, where backtraces end. */
__asm__(".text\n"
        ".hidden bpi_sim_switch\n.globl bpi_sim_switch\n"
        ".type bpi_sim_switch,@function\n"
        "bpi_sim_switch:\n"
        ".cfi_startproc\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp,(%rdi)\n"
        "mov %rsi,%rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size bpi_sim_switch,.-bpi_sim_switch\n"
        ".hidden bpi_sim_first\n.globl bpi_sim_first\n"
        ".type bpi_sim_first,@function\n"
        "bpi_sim_first:\n"
        ".cfi_startproc\n.cfi_undefined rip\n"
        "xor %ebp,%ebp\n"
        "call bpi_sim_fiber\n"
        "ud2\n"
        ".cfi_endproc\n"
        ".size bpi_sim_first,.-bpi_sim_first\n");
#endif

static Fiber *new_fiber()
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("simulated device: stack");
        abort();
    }
    mprotect(memory, page, PROT_NONE);
    Fiber *f = new Fiber();
    f->stack = (char *)memory + page;
    /* Stack tops at equal offsets in a page would share a few lines of the cache. */
    f->stagger = fibers.size() * 320 % 4096;
    fibers.push_back(f);
    return f;
}

/* A fiber that will enter bpi_sim_fiber. */
static Fiber *ready_fiber()
{
    Fiber *f;
    if (idle_fibers.empty()) {
        f = new_fiber();
    } else {
        f = idle_fibers.back();
        idle_fibers.pop_back();
    }
#ifdef SIM_ASAN
    enum { OUTER_FRAMES = 8 << 10 }; /* that its last life has never left */
    __asan_unpoison_memory_region(f->stack + STACK_BYTES - OUTER_FRAMES, OUTER_FRAMES);
    f->fake_stack = NULL;
    f->bottom = f->stack;
    f->bytes = STACK_BYTES;
#endif
#ifdef SIM_UCONTEXT
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES - f->stagger;
    makecontext(&f->context, bpi_sim_fiber, 0);
#else
    enum { SAVED_REGISTERS = 6, WORDS = 9 };
    void **top = (void **)(f->stack + STACK_BYTES - f->stagger) - WORDS;
    memset(top, 0, WORDS * sizeof *top);
    top[SAVED_REGISTERS] = (void *)bpi_sim_first;
    f->saved = top;
#endif
    return f;
}

/* for_good: nobody will switch back. */
static void switch_to(Fiber *to, bool for_good)
{
    Fiber *from = fiber;
    fiber = to;
    running_stack = to->stack;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->bottom, to->bytes);
#else
    (void)for_good;
#endif
#ifdef SIM_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    bpi_sim_switch(&from->saved, to->saved);
#endif
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

/* --- a block ------------------------------------------------------------------------------- */

enum State { RUNNABLE, IN_BLOCK, IN_WARP, EXITED };

struct Thread {
    int number, warp, lane;
    State state;
    Fiber *fiber; /* NULL before it begins and after it ends */
    /* What it waits for. */
    Operation op;
    Where where;
    unsigned mask;
    int argument;
    uint64_t value[2], result[2];
};

/* Lanes that wait for each other. */
struct Meeting {
    unsigned mask, arrived;
    Operation op;
    int width;
    Where where;
};

struct Warp {
    unsigned existing, alive, runnable; /* lanes */
    std::vector<Meeting> meetings;
};

static std::vector<Thread> &threads = *new std::vector<Thread>;
static std::vector<Warp> &warps = *new std::vector<Warp>;
static Thread *current;
static uint32_t runnable_warps;
static int last_warp; /* that a thread was taken from */
static int exited;
static struct {
    int arrived, result;
    Operation op;
    Where where;
} barrier;

const Launch *running;
static bool failed;

static void make_runnable(Thread *t)
{
    t->state = RUNNABLE;
    warps[t->warp].runnable |= 1u << t->lane;
    runnable_warps |= 1u << t->warp;
}

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
    switch_to(&caller, true);
    abort();
}

static const char *name_of(Operation op)
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

static bool same_place(Where a, Where b)
{
    return a.line == b.line && strcmp(a.file, b.file) == 0;
}

/* --- threads begin, wait and end ------------------------------------------------------------ */

/* Lets others run; returns when it is the current thread's turn again. */
static void wait_turn()
{
    Thread *self = current;
    Thread *next = next_thread();
    if (!next)
        fail_deadlock();
    if (next != self) {
        if (!next->fiber)
            next->fiber = ready_fiber();
        make_current(next);
        switch_to(next->fiber, false);
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
[[noreturn]] static void run_fiber()
{
#ifdef SIM_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &bytes);
    if (!caller.bottom) {
        caller.bottom = bottom;
        caller.bytes = bytes;
    }
#endif
    for (;;) {
        current->fiber = fiber;
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
        idle_fibers.push_back(fiber);
        switch_to(next ? next->fiber : &caller, true);
        abort();
    }
}

int meet_block(Operation op, int predicate, Where where)
{
    Thread *t = current;
    arrivals++;
    t->op = op;
    t->where = where;
    t->state = IN_BLOCK;
    if (barrier.arrived == 0) {
        barrier.op = op;
        barrier.where = where;
        barrier.result = op == BARRIER_AND;
    } else if (barrier.op != op || !same_place(barrier.where, where)) {
        fail("divergent barrier", "%s at %s:%d while other threads wait in %s at %s:%d",
             name_of(op), base_name(where.file), where.line, name_of(barrier.op),
             base_name(barrier.where.file), barrier.where.line);
    }
    if (op == BARRIER_COUNT)
        barrier.result += predicate != 0;
    else if (op == BARRIER_AND)
        barrier.result &= predicate != 0;
    else if (op == BARRIER_OR)
        barrier.result |= predicate != 0;
    if (++barrier.arrived == (int)threads.size()) {
        barrier.arrived = 0;
        check_barrier();
        for (Thread &other : threads) {
            other.result[0] = (uint64_t)barrier.result;
            make_runnable(&other);
        }
    }
    wait_turn();
    return (int)t->result[0];
}

/* The lane whose value a shuffle gives to `lane`. */
static int source_lane(const Meeting &m, int lane, int argument)
{
    const int segment = lane & ~(m.width - 1);
    int source = lane;
    if (m.op == SHUFFLE)
        source = segment + (argument & (m.width - 1));
    else if (m.op == SHUFFLE_XOR)
        source = lane ^ argument;
    else if (m.op == SHUFFLE_DOWN)
        source = lane + argument;
    else if (m.op == SHUFFLE_UP)
        source = lane - argument;
    /* xor may look into lower segments, never into higher ones */
    const bool outside = source >= segment + m.width || (m.op != SHUFFLE_XOR && source < segment);
    return outside ? lane : source;
}

/* All lanes of a meeting have arrived: their results. */
static void complete(const Meeting &m, Thread *lanes)
{
    unsigned votes = 0;
    for (int i = 0; i < WARP_LANES; i++)
        if ((m.arrived >> i & 1) && lanes[i].value[0] != 0)
            votes |= 1u << i;
    for (int i = 0; i < WARP_LANES; i++) {
        if (!(m.arrived >> i & 1))
            continue;
        uint64_t *result = lanes[i].result;
        if (m.op == BALLOT) {
            result[0] = votes;
        } else if (m.op == ALL) {
            result[0] = votes == m.arrived;
        } else if (m.op == ANY) {
            result[0] = votes != 0;
        } else if (m.op != SYNCWARP) {
            const int source = source_lane(m, i, lanes[i].argument);
            if (m.arrived >> source & 1)
                memcpy(result, lanes[source].value, sizeof lanes[i].result);
            else
                memset(result, unwritten(), sizeof lanes[i].result); /* undefined in CUDA */
        }
    }
}

/* The meeting of this mask that the current thread joins. */
static Meeting *join_meeting(Warp &warp, Operation op, unsigned mask, int width, Where where)
{
    for (Meeting &m : warp.meetings) {
        if (m.mask != mask)
            continue;
        if (m.op != op || !same_place(m.where, where))
            fail("divergent warp", "%s at %s:%d while lanes %08x of mask %08x wait in %s at %s:%d",
                 name_of(op), base_name(where.file), where.line, m.arrived, mask, name_of(m.op),
                 base_name(m.where.file), m.where.line);
        return &m;
    }
    warp.meetings.push_back(Meeting{mask, 0, op, width, where});
    return &warp.meetings.back();
}

void meet_warp(Operation op, unsigned mask, const void *value, void *result, size_t bytes,
               int argument, int width, Where where)
{
    Thread *t = current;
    Warp &warp = warps[t->warp];
    arrivals++;
    t->op = op;
    t->where = where;
    t->mask = mask;
    t->argument = argument;
    t->state = IN_WARP;
    t->value[0] = 0;
    if (bytes > 0)
        memcpy(t->value, value, bytes);
    if (!(mask >> t->lane & 1))
        fail("warp mask", "%s at %s:%d: lane %d is not in its own mask %08x", name_of(op),
             base_name(where.file), where.line, t->lane, mask);
    if (mask & warp.existing & ~warp.alive)
        fail("divergent warp", "%s at %s:%d with mask %08x, of which lanes %08x have exited",
             name_of(op), base_name(where.file), where.line, mask,
             mask & warp.existing & ~warp.alive);
    Meeting *m = join_meeting(warp, op, mask, width, where);
    m->arrived |= 1u << t->lane;
    if (m->arrived != (mask & warp.existing)) {
        wait_turn();
    } else {
        Thread *lanes = &threads[t->warp * WARP_LANES];
        const unsigned arrived = m->arrived;
        complete(*m, lanes);
        warp.meetings.erase(warp.meetings.begin() + (m - warp.meetings.data()));
        if (op == SYNCWARP && arrived == warp.existing)
            check_warp(t->warp);
        /* The last to come goes on at once, except in random order now and then. */
        const bool stays = config.order != SIM_RANDOM || (random_bits() & 1);
        for (int i = 0; i < WARP_LANES; i++)
            if ((arrived >> i & 1) && !(stays && i == t->lane))
                make_runnable(&lanes[i]);
        if (!stays)
            wait_turn();
    }
    if (bytes > 0)
        memcpy(result, t->result, bytes);
}

/* --- shared memory -------------------------------------------------------------------------- */

struct Variable {
    const void *key;
    size_t offset, bytes;
};

alignas(256) char shared_memory[SHARED_BYTES];
static std::vector<Variable> &variables = *new std::vector<Variable>;
static size_t shared_end; /* of the last variable */

/* ASan sees what lies between variables. */
static void clear_shared(size_t offset, size_t bytes)
{
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(shared_memory + offset, bytes);
#endif
    memset(shared_memory + offset, unwritten(), bytes);
    check_shared(offset, bytes);
}

static void poison_shared()
{
#ifdef SIM_ASAN
    __asan_poison_memory_region(shared_memory, SHARED_BYTES);
#endif
}

bool shared_holds(size_t offset, size_t bytes)
{
    if (offset + bytes <= running->shared_bytes)
        return true;
    for (const Variable &v : variables)
        if (offset >= v.offset && offset + bytes <= v.offset + v.bytes)
            return true;
    return false;
}

void *shared_variable(const void *key, const char *name, size_t bytes, size_t alignment)
{
    enum { GAP = 32 }; /* at least so many bytes between two variables belong to none */
    size_t total = bytes;
    for (const Variable &v : variables) {
        if (v.key == key)
            return shared_memory + v.offset;
        total += v.bytes;
    }
    const size_t offset = (shared_end + GAP + alignment - 1) / alignment * alignment;
    if (total > SHARED_STATIC || offset + bytes > SHARED_BYTES)
        fail("shared memory", "%zu bytes of variables, with %s", total, name);
    variables.push_back(Variable{key, offset, bytes});
    shared_end = offset + bytes;
    clear_shared(offset, bytes);
    return shared_memory + offset;
}

void *shared_dynamic(size_t alignment)
{
    if (alignment > 16)
        fail("shared memory", "dynamic shared memory is aligned to 16 bytes, not %zu", alignment);
    return shared_memory;
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
    poison_shared();
    clear_shared(0, running->shared_bytes);
    for (const Variable &v : variables)
        clear_shared(v.offset, v.bytes);
    barrier.arrived = 0;
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
#ifdef SIM_ASAN
    caller.bottom = NULL; /* told anew: it may be another thread of the system each time */
#endif
    switch_to(first->fiber, false);
}

/* After an error: threads that were in the middle of the kernel are dropped. */
static void drop_fibers()
{
    idle_fibers = fibers;
#ifdef SIM_ASAN
    for (Fiber *f : fibers)
        __asan_unpoison_memory_region(f->stack, STACK_BYTES);
#endif
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
    variables.clear();
    shared_end = launch.shared_bytes;
    dev_open();
    check_launch();
    for (unsigned block : order_of_blocks(launch.blocks.x)) {
        run_block(block);
        if (failed)
            break;
    }
    dev_close();
    if (failed)
        drop_fibers();
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(shared_memory, SHARED_BYTES);
#endif
    running = NULL;
    return !failed;
}

#ifndef BPI_SIM_CHECK
void note_atomic(const void *, size_t, Where) {}
void note_fence() {}
bool checks_accesses()
{
    return false;
}
#endif

} // namespace sim

void bpi_sim_fiber()
{
    sim::run_fiber();
}
