/* Where threads wait for each other: the barriers of a block and of a cluster, the collectives of a
 * warp, which a mask names. Who does not wait where the others do is told. And where a thread waits
 * for its asynchronous copies, which are made then. */
#include "engine.h"

namespace sim {

int64_t arrivals;

static Barrier cluster_barrier;

static bool same_place(Where a, Where b)
{
    return a.line == b.line && strcmp(a.file, b.file) == 0;
}

void empty_cluster_barrier()
{
    cluster_barrier.arrived = 0;
}

static void arrive(Barrier *barrier, State state, Operation op, Where where)
{
    Thread *t = current;
    arrivals++;
    t->op = op;
    t->where = where;
    t->state = state;
    if (barrier->arrived == 0) {
        barrier->op = op;
        barrier->where = where;
        barrier->result = op == BARRIER_AND;
    } else if (barrier->op != op || !same_place(barrier->where, where)) {
        fail("divergent barrier", "%s at %s:%d while other threads wait in %s at %s:%d",
             name_of(op), base_name(where.file), where.line, name_of(barrier->op),
             base_name(barrier->where.file), barrier->where.line);
    }
    barrier->arrived++;
}

int meet_block(Operation op, int predicate, Where where)
{
    Thread *t = current;
    Barrier &barrier = block->barrier;
    arrive(&barrier, IN_BLOCK, op, where);
    if (op == BARRIER_COUNT)
        barrier.result += predicate != 0;
    else if (op == BARRIER_AND)
        barrier.result &= predicate != 0;
    else if (op == BARRIER_OR)
        barrier.result |= predicate != 0;
    if (barrier.arrived == (int)block->threads.size()) {
        barrier.arrived = 0;
        check_barrier();
        for (Thread &other : block->threads) {
            other.result[0] = (uint64_t)barrier.result;
            make_runnable(&other);
        }
    }
    wait_turn();
    return (int)t->result[0];
}

void meet_cluster(Where where)
{
    arrive(&cluster_barrier, IN_CLUSTER, CLUSTER_BARRIER, where);
    if (cluster_barrier.arrived == (int)(cluster.size() * block->threads.size())) {
        cluster_barrier.arrived = 0;
        check_cluster_barrier();
        for (Block &b : cluster)
            for (Thread &t : b.threads)
                make_runnable(&t);
    }
    wait_turn();
}

void begin_copy(void *to, const void *from, size_t bytes, Where where)
{
    if ((bytes != 4 && bytes != 8 && bytes != 16) || (uintptr_t)to % bytes != 0 ||
        (uintptr_t)from % bytes != 0)
        fail("asynchronous copy", "%zu bytes from %p to %p at %s:%d", bytes, from, to,
             base_name(where.file), where.line);
    current->copies.push_back(Copy{to, from, bytes, where});
}

void wait_for_copies()
{
    for (const Copy &c : current->copies) {
        check_copy(c.to, c.from, c.bytes, c.where);
        memcpy(c.to, c.from, c.bytes);
    }
    current->copies.clear();
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
    Warp &warp = block->warps[t->warp];
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
        Thread *lanes = &block->threads[t->warp * WARP_LANES];
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

} // namespace sim
