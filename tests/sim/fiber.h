/* Fibers: the stacks that a block's threads run on, one at a time (fiber.cpp). Who runs next is up
 * to engine.cpp. */
#ifndef BPI_SIM_FIBER_H
#define BPI_SIM_FIBER_H

#include "simt_internal.h"

namespace sim {

struct Fiber;

/* What a fiber does with its life: engine.cpp. */
[[noreturn]] void run_threads();

/* A fiber that will begin with run_threads. */
Fiber *ready_fiber();
Fiber *this_fiber(); /* that runs */

/* From outside: runs fibers, until one of them leaves. */
void enter_fibers(Fiber *first);
/* From fiber to fiber; returns when somebody switches back. */
void switch_to(Fiber *to);
/* This one is done: it can be made ready again. NULL: back to where enter_fibers was called. */
[[noreturn]] void leave_fiber(Fiber *next);
/* Back to where enter_fibers was called, in the middle of it all; then they are to be dropped. */
[[noreturn]] void leave_fibers();
void drop_fibers();

} // namespace sim
#endif
