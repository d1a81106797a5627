/* What a test says to the simulated device, and asks of it. C and C++.
 *
 * The one function below is exported by the simulated plug-in (and by a program that links the
 * simulation itself). Start values come from the environment: BPCUDA_SIM_ORDER is forward, reverse
 * or random, or random:SEED; BPCUDA_SIM_LAZY=1 sets lazy. */
#ifndef BPI_SIM_CONTROL_H
#define BPI_SIM_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The order in which runnable threads, and blocks, are taken. */
typedef enum sim_order { SIM_FORWARD, SIM_REVERSE, SIM_RANDOM } sim_order;

struct sim_control {
    void (*set_order)(sim_order order, uint64_t seed);
    /* Work of a stream is done at the last legal moment instead of at once. */
    void (*set_lazy)(int on);
    /* How many devices there are; 0: none; -1: not even a driver. */
    void (*set_devices)(int count);
    void (*set_memory)(size_t bytes);
    /* Host code that touches device memory while no kernel runs gets a SIGSEGV. */
    void (*set_guard)(int on);

    /* The nth call from now (1: the next) of an API function returns this error; 0: none will. api
     * "*": any function; "kernel:launch" and "kernel:run": a launch, and the kernel as it runs. */
    void (*fail)(const char *api, int nth, int error);
    /* Calls so far of that function; "*": of all; "kernel:wait": of a thread at a barrier or
     * a collective, since the start; "kernel:read" and "kernel:write": bytes of device memory that
     * kernels have read and written, since the start, where this build sees every access. */
    int64_t (*calls)(const char *api);
    /* As after the start: no failures to come, no counts, no sticky error, no text. */
    void (*reset)(void);

    size_t (*live_bytes)(void);
    int64_t (*live_allocations)(void); /* device and pinned */
    int64_t (*live_objects)(void);     /* streams, events, graphs, library handles */

    /* An error in a kernel prints its text and aborts; expected, it is kept, and the launch fails
     * with cudaErrorLaunchFailure. Clears the text. */
    void (*expect_error)(int on);
    const char *(*last_error)(void); /* "" if there was none */
    /* Whether this build sees every access of a kernel: races, bounds, uninitialised reads. */
    int (*checks_accesses)(void);
};

const struct sim_control *bpi_sim_control(void);

#ifdef __cplusplus
}
#endif
#endif
