/* What the engine's files share: the threads and warps of the block that runs (engine.cpp), where
 * they wait for each other (meeting.cpp), and its shared memory (shared.cpp). */
#ifndef BPI_SIM_ENGINE_H
#define BPI_SIM_ENGINE_H

#include "fiber.h"

#include <vector>

namespace sim {

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

extern std::vector<Thread> &threads;
extern std::vector<Warp> &warps;
extern Thread *current;
extern uint32_t runnable_warps;

static inline void make_runnable(Thread *t)
{
    t->state = RUNNABLE;
    warps[t->warp].runnable |= 1u << t->lane;
    runnable_warps |= 1u << t->warp;
}

/* Lets others run; returns when it is the current thread's turn again. */
void wait_turn();
const char *name_of(Operation op);

/* --- meeting.cpp --------------------------------------------------------------------------- */

void empty_barrier();

/* --- shared.cpp: for a kernel, for each of its blocks, after the kernel -------------------- */

void open_shared();
void start_shared();
void close_shared();

} // namespace sim
#endif
