/* Which accesses of a kernel are ordered: what the checker (checker.cpp) asks of order.cpp.
 *
 * Time is one counter, which steps at every event that orders threads; as blocks run one after the
 * other, those of a cluster in turns, a time also says in which block it was. An earlier access is
 * ordered before one of now if
 *   - it was in an earlier launch, or by the same thread,
 *   - or in this block before its last barrier, or in this warp before its last __syncwarp (votes
 *     and shuffles order no memory), or in this cluster before its last barrier,
 *   - or in a block whose release this one has acquired. A release is a __threadfence() and then an
 *     atomic operation, by one thread: of what it did before the fence, and of what its block did
 *     before the barrier before the fence. An atomic operation on the same word and then a
 *     __threadfence() acquire it, for that thread, and for its block from the next barrier on;
 *     until the cluster's next barrier, if there is one. */
#ifndef BPI_SIM_ORDER_H
#define BPI_SIM_ORDER_H

#include "simt_internal.h"

namespace sim {

/* How an earlier access was made: by one thread, by some of a warp, by some of a block. */
enum Spread { ALONE, OF_WARP, OF_BLOCK };

extern uint64_t now;
extern uint64_t launch_time, barrier_time;
extern uint64_t cluster_time, meeting_time; /* the cluster began, and was at its last barrier */
extern uint64_t block_time;                 /* the block's turn began */
extern uint64_t warp_time[BLOCK_THREADS / WARP_LANES];

/* The block that a time of this launch was in. */
unsigned block_at(uint64_t time);
/* Whether an access in an earlier block has been released to the running thread. */
bool is_acquired(uint64_t time, unsigned thread, Spread spread);

/* Whether an earlier access comes before what the running thread does now; `floor`: the time from
 * which the memory was in use. */
static inline bool is_ordered(uint64_t time, unsigned thread, Spread spread, uint64_t floor)
{
    const unsigned me = position.thread.x;
    if (time < floor)
        return true;
    if (time >= cluster_time && time < meeting_time)
        return true;
    if (time < block_time)
        return is_acquired(time, thread, spread);
    if (time < barrier_time || (spread == ALONE && thread == me))
        return true;
    const bool one_warp = spread != OF_BLOCK && thread / WARP_LANES == me / WARP_LANES;
    return one_warp && time < warp_time[me / WARP_LANES];
}

void begin_launch();
/* The running thread has made an atomic operation on the word. */
void order_atomic(const void *word);

} // namespace sim
#endif
