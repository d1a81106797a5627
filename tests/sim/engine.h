/* What the engine's files share: the threads and warps of the blocks that run (engine.cpp), where
 * they wait for each other (meeting.cpp), and their shared memory (shared.cpp). */
#ifndef BPI_SIM_ENGINE_H
#define BPI_SIM_ENGINE_H

#include "fiber.h"

#include <vector>

namespace sim {

enum State { RUNNABLE, IN_BLOCK, IN_WARP, IN_CLUSTER, EXITED };

struct Block;

/* A copy that is under way. */
struct Copy {
    void *to;
    const void *from;
    size_t bytes;
    Where where;
};

struct Thread {
    Block *block;
    int number, warp, lane;
    State state;
    Fiber *fiber; /* NULL before it begins and after it ends */
    /* What it waits for. */
    Operation op;
    Where where;
    unsigned mask;
    int argument;
    uint64_t value[2], result[2];
    std::vector<Copy> copies;
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

/* Threads at a barrier. */
struct Barrier {
    int arrived, result;
    Operation op;
    Where where;
};

struct Block {
    unsigned number, rank; /* in the grid, in its cluster */
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    uint32_t runnable_warps;
    int last_warp; /* that a thread was taken from */
    int exited;
    Barrier barrier;
};

extern std::vector<Block> &cluster; /* the blocks that are under way: one, or a cluster's */
extern Block *block;                /* of the thread that runs */
extern Thread *current;

static inline void make_runnable(Thread *t)
{
    t->state = RUNNABLE;
    t->block->warps[t->warp].runnable |= 1u << t->lane;
    t->block->runnable_warps |= 1u << t->warp;
}

/* Lets others run; returns when it is the current thread's turn again. */
void wait_turn();
const char *name_of(Operation op);

/* --- meeting.cpp --------------------------------------------------------------------------- */

/* No thread waits at the barrier of the cluster. */
void empty_cluster_barrier();

/* --- shared.cpp: for a kernel, for each of its clusters, for a block's end, after the kernel */

void open_shared();
void start_shared();
void end_shared(unsigned rank);
void close_shared();

} // namespace sim
#endif
