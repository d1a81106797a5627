/* What the parts of the simulated device know of each other: the engine (engine.h) runs a kernel,
 * the checker (checker.cpp) watches its accesses, the fake runtime (runtime.h) has memory, streams
 * and faults. Kernels see simt.h only, tests see control.h only.
 *
 * One thread of the operating system at a time is in here: the runtime's calls hold its mutex. */
#ifndef BPI_SIMT_INTERNAL_H
#define BPI_SIMT_INTERNAL_H

#include "control.h"
#include "simt.h"

#include <string>

#if defined(__SANITIZE_ADDRESS__)
#define SIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIM_ASAN 1
#endif
#endif
#ifdef SIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace sim {

/* --- for all: config.cpp ------------------------------------------------------------------- */

struct Config {
    sim_order order;
    uint64_t random; /* state of the generator, never 0 */
    bool lazy;
    bool guard;
    bool expect_error;
    int arch;          /* 90: sm_90 */
    bool undocumented; /* where the documentation is silent: the other answer */
    int devices;
    size_t memory_bytes;
};
extern Config config;          /* the environment's start values */
extern std::string last_error; /* "": none */

void seed_random(uint64_t seed);
uint64_t random_bits();

/* What memory that nobody has written holds, as far as a kernel can tell: a NaN in every type, or a
 * large number in every type. */
static inline int unwritten() { return config.undocumented ? 0x5b : 0xff; }

/* Keeps a text in last_error if an error is expected, or prints it and aborts. */
void report_error(const char *text);

/* Without directories. */
static inline const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* --- device memory: arena.cpp ---------------------------------------------------------------- */

extern char *arena; /* every allocation is in here, unless ASan places them */
extern size_t arena_bytes;

void *dev_alloc(size_t bytes);
bool dev_free(void *p);
/* Bytes of the allocation that holds p, 0 if none does; room: those from p to its end. */
size_t dev_size(const void *p, size_t *room);
bool is_dev(const void *p);
/* Around everything that may touch device memory: the guard. They nest. */
void dev_open();
void dev_close();

/* --- engine and checker -------------------------------------------------------------------- */

enum { WARP_LANES = 32, BLOCK_THREADS = 1024, SHARED_BYTES = 227 << 10, SHARED_STATIC = 48 << 10 };
enum { MOST_CLUSTER = 8 }; /* blocks */
#ifdef SIM_ASAN
enum { STACK_BYTES = 256 << 10 };
#else
enum { STACK_BYTES = 64 << 10 };
#endif

/* Runs all blocks of a launch, now. False: it failed, and last_error says how. */
bool run_kernel(const Launch &launch);

extern int64_t arrivals;          /* of threads where they wait for others, ever */
extern int64_t bytes_read, bytes_written; /* of device memory by kernels, ever; by the checker */
extern const Launch *running;     /* NULL between kernels */
extern const char *running_stack; /* [STACK_BYTES], of the thread that runs */
extern char shared_memory[MOST_CLUSTER * SHARED_BYTES]; /* of the cluster's blocks */

/* Whether these bytes of shared memory are all in one variable of a block's kernel. */
bool shared_holds(size_t offset, size_t bytes);

/* Ends the running kernel with this error. */
[[noreturn]] void fail(const char *kind, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef BPI_SIM_CHECK
void check_launch();
void check_cluster(); /* one, or a block, begins */
void check_turn();    /* of a block */
void check_barrier();
void check_cluster_barrier();
void check_copy(void *to, const void *from, size_t bytes, Where where);
void check_warp(int warp); /* __syncwarp of all its threads */
void check_shared(size_t offset, size_t bytes); /* no value from here on */

/* Which bytes of device memory have a value. */
void mark_init(const void *p, size_t bytes, bool initialised);
bool check_init(const void *p, size_t bytes);
#else
static inline void check_launch() {}
static inline void check_cluster() {}
static inline void check_turn() {}
static inline void check_barrier() {}
static inline void check_cluster_barrier() {}
static inline void check_copy(void *, const void *, size_t, Where) {}
static inline void check_warp(int) {}
static inline void check_shared(size_t, size_t) {}
static inline void mark_init(const void *, size_t, bool) {}
static inline bool check_init(const void *, size_t) { return true; }
#endif
bool checks_accesses();

} // namespace sim
#endif
