/* Threads and workspace for programs that call CPU kernels without the library: bp_parallel_for and
 * bpi_workspace over a small pool. Include it in one file of a program only.
 *
 * A ticket holds the generation of a job above its count of unclaimed blocks, and a claim is one
 * compare-and-swap, so a worker that wakes late cannot take a block of a job gone by. Workers spin
 * for about 20 microseconds and then park. */
#ifndef EXEC_STUB_H
#define EXEC_STUB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "backend.h"

enum { STUB_MAX_THREADS = 16, STUB_SPINS = 1000 };

static struct {
    _Atomic uint64_t ticket;
    _Atomic int64_t done;
    _Atomic int parked, quit;
    bp_block_fn body;
    void *arg;
    int64_t blocks;
    int threads;
    pthread_t worker[STUB_MAX_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t wake;
} stub = {.threads = 1, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static inline void stub_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static int stub_claim(void)
{
    uint64_t t = atomic_load(&stub.ticket);
    while ((uint32_t)t) {
        if (atomic_compare_exchange_weak(&stub.ticket, &t, t - 1)) {
            stub.body(stub.arg, stub.blocks - (int64_t)(uint32_t)t);
            atomic_fetch_add(&stub.done, 1);
            return 1;
        }
    }
    return 0;
}

static int stub_idle(void) { return !(uint32_t)atomic_load(&stub.ticket); }

static void *stub_work(void *unused)
{
    (void)unused;
    while (!atomic_load(&stub.quit)) {
        if (stub_claim())
            continue;
        for (int i = 0; i < STUB_SPINS && stub_idle(); i++)
            stub_pause();
        if (!stub_idle())
            continue;
        pthread_mutex_lock(&stub.lock);
        atomic_fetch_add(&stub.parked, 1);
        while (stub_idle() && !atomic_load(&stub.quit))
            pthread_cond_wait(&stub.wake, &stub.lock);
        atomic_fetch_sub(&stub.parked, 1);
        pthread_mutex_unlock(&stub.lock);
    }
    return NULL;
}

static void stub_wake(void)
{
    pthread_mutex_lock(&stub.lock);
    pthread_cond_broadcast(&stub.wake);
    pthread_mutex_unlock(&stub.lock);
}

/* The number of threads from now on, the caller counted. */
static void stub_set_threads(int threads)
{
    atomic_store(&stub.quit, 1);
    stub_wake();
    for (int i = 1; i < stub.threads; i++)
        pthread_join(stub.worker[i], NULL);
    atomic_store(&stub.quit, 0);
    stub.threads = threads;
    for (int i = 1; i < threads; i++)
        if (pthread_create(&stub.worker[i], NULL, stub_work, NULL))
            abort();
}

void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg)
{
    (void)ex;
    if (stub.threads < 2 || blocks < 2) {
        for (int64_t i = 0; i < blocks; i++)
            body(arg, i);
        return;
    }
    stub.body = body;
    stub.arg = arg;
    stub.blocks = blocks;
    atomic_store(&stub.done, 0);
    uint64_t generation = (atomic_load(&stub.ticket) >> 32) + 1;
    atomic_store(&stub.ticket, generation << 32 | (uint32_t)blocks);
    if (atomic_load(&stub.parked))
        stub_wake();
    while (stub_claim())
        ;
    while (atomic_load(&stub.done) < blocks)
        stub_pause();
}

void *bpi_workspace(bp_exec *ex, size_t bytes)
{
    if (bytes > ex->workspace_bytes) {
        size_t rounded = (bytes + 4095) / 4096 * 4096;
        void *grown = aligned_alloc(4096, rounded);
        if (!grown)
            return NULL;
        free(ex->workspace);
        ex->workspace = grown;
        ex->workspace_bytes = rounded;
    }
    return ex->workspace;
}

#endif
