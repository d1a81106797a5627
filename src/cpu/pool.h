/* The thread pool behind bp_parallel_for: one per context, no global state.
 *
 * A job is a number of blocks. They are claimed, many at first and at last one by one, by the
 * caller from the first on and by the threads of the pool from the last, so a thread that the
 * system takes away delays what it has claimed and not a share of the job.
 * Threads are created by the first job with more than one block; with one thread there are none.
 * One thread at a time may call into a pool; a run from inside a block runs inline. fork() between
 * jobs is fine: the child creates its own threads when it needs them. A child forked from inside a
 * block, or beside a running job, cannot finish that job and runs others inline. */
#ifndef BPI_CPU_POOL_H
#define BPI_CPU_POOL_H

#include "bpcuda/common.h"

typedef struct bpi_pool bpi_pool;

/* `threads` counts the caller; 0 is the number of processors this process may run on; more than
 * 1024 are 1024. `alloc` gives 64-byte alignment. NULL: out of memory. */
bpi_pool *bpi_pool_create(int threads, void *(*alloc)(void *user, size_t bytes),
                          void (*free)(void *user, void *p, size_t bytes), void *user);

/* Runs body(arg, i) for 0 <= i < blocks, in any order and in the floating-point state of
 * fpstate.h, and returns when all are done. At most 2^62 - 1 blocks. */
void bpi_pool_run(bpi_pool *p, int64_t blocks, void (*body)(void *arg, int64_t block), void *arg);

/* BP_ERR_ARG when negative, BP_ERR_STATE from inside a block. */
bp_status bpi_pool_set_threads(bpi_pool *p, int threads);

/* The caller among them. */
int bpi_pool_threads(const bpi_pool *p);

/* Blocks that threads other than the caller have run, ever. */
int64_t bpi_pool_helped(const bpi_pool *p);

/* Ends the threads. NULL is fine. */
void bpi_pool_free(bpi_pool *p);

#endif
