/* The thread pool: see pool.h for what it promises.
 *
 * Two atomic words carry all that threads tell each other about a job:
 *   ticket   PARKED | QUIT | the first block that nobody has claimed, and the one behind the last
 *   pending  ASLEEP | number of blocks nobody has finished
 * A claim is one compare-and-swap of `ticket`, and body and arg are read after it. So a late worker
 * cannot take up a job that is over: while a block is unclaimed its job is not over, whatever value
 * the worker had seen before. Whoever goes to sleep sets a flag in the very word whose change it
 * waits for, and whoever makes the change is told by the value it replaced: no wake-up is lost. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "cpu/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

#include "door/fpstate.h"
#include "door/thread.h"

#if defined(__x86_64__) || defined(__i386__)
#define PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define PAUSE() __asm__ volatile("isb")
#else
#define PAUSE() ((void)0)
#endif

enum { MAX_THREADS = 1024, SPIN_NS = 20000 }; /* about what parking and waking cost together */

#define PARKED (UINT64_C(1) << 63) /* a worker waits for `work` */
#define QUIT (UINT64_C(1) << 62)   /* workers are to end */
#define TICKET(begin, end) ((uint64_t)(end) << 31 | (uint64_t)(begin))
#define MOST INT32_MAX /* blocks of a job; of more the caller runs all */
#define ASLEEP (UINT64_C(1) << 63) /* the caller waits for `finished` */

/* Memory orders. Posting a job releases `ticket` and a claim acquires it: the claimant sees body
 * and arg (claims and flags in between are read-modify-writes, which keep the release
 * sequence alive). Finishing releases `pending` and the caller acquires it: it sees what blocks
 * wrote, and cannot post the next job under a thread that still reads this one. A flag needs no
 * order of its own: what follows a wake-up is a claim, or a load of `pending`; both acquire. */
struct bpi_pool {
    /* A cache line for each kind of writer: claims; workers that have finished; the caller. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) _Atomic uint64_t pending;
    _Atomic int64_t helped;
    _Alignas(64) void (*body)(void *arg, int64_t block);
    void *arg;
    atomic_bool busy;
    int64_t spin_ns;
    atomic_int threads; /* wanted, the caller among them */
    int workers; /* created */
    pid_t pid;   /* the process they live in; 0 until their creation was tried */
    pthread_mutex_t mutex;
    pthread_cond_t work, finished;
    int parked; /* under mutex; workers already signalled but not yet awake count */
    void (*free)(void *user, void *p, size_t bytes);
    void *user;
    pthread_t worker[MAX_THREADS - 1];
};

static int processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#endif
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (int)n;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t begin_of(uint64_t ticket) { return (int64_t)(ticket & MOST); }
static int64_t end_of(uint64_t ticket) { return (int64_t)(ticket >> 31 & MOST); }
static bool unclaimed(uint64_t ticket) { return begin_of(ticket) != end_of(ticket); }

/* Claims and runs blocks while there are any: many neighbours at first, which memory gives faster
 * than what others' blocks lie between, at last one at a time; the caller from the first on and
 * workers from the last, so that what a thread wrote in one job is in its caches in the next.
 * Returns how many; while they are not yet taken off `pending`, no other job can begin, so all of
 * them belong to one job. */
static uint64_t drain(bpi_pool *p, bool worker)
{
    uint64_t n = 0, t = atomic_load_explicit(&p->ticket, memory_order_relaxed);
    while (unclaimed(t)) {
        const int64_t begin = begin_of(t), end = end_of(t);
        const int64_t share = (end - begin) / (2 * p->threads), take = share ? share : 1;
        const int64_t first = worker ? end - take : begin;
        const uint64_t rest = (t & (PARKED | QUIT)) | (worker ? TICKET(begin, end - take)
                                                             : TICKET(begin + take, end));
        if (atomic_compare_exchange_weak_explicit(&p->ticket, &t, rest, memory_order_acquire,
                                                  memory_order_relaxed)) {
            for (int64_t i = 0; i < take; i++)
                p->body(p->arg, first + i);
            n += (uint64_t)take;
            t = atomic_load_explicit(&p->ticket, memory_order_relaxed);
        }
    }
    return n;
}

static bool works(uint64_t ticket) { return unclaimed(ticket) || ticket & QUIT; }

static bool has_work(bpi_pool *p)
{
    return works(atomic_load_explicit(&p->ticket, memory_order_relaxed));
}

static bool is_finished(bpi_pool *p)
{
    return atomic_load_explicit(&p->pending, memory_order_acquire) == 0;
}

/* Waits a moment for `ready`; false if it did not come. */
static bool spin(bpi_pool *p, bool (*ready)(bpi_pool *))
{
    int64_t end = p->spin_ns ? now_ns() + p->spin_ns : 0;
    do
        for (int i = 0; i < 16; i++, PAUSE())
            if (ready(p))
                return true;
    while (end && now_ns() < end);
    return false;
}

/* The flag stays where there is work after all: the next job looks for sleepers in vain. */
static void park(bpi_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    p->parked++;
    while (!works(atomic_fetch_or_explicit(&p->ticket, PARKED, memory_order_relaxed)))
        pthread_cond_wait(&p->work, &p->mutex);
    p->parked--;
    pthread_mutex_unlock(&p->mutex);
}

static void *worker_main(void *arg)
{
    bpi_pool *p = arg;
    while (!(atomic_load_explicit(&p->ticket, memory_order_relaxed) & QUIT)) {
        bpi_fp_state own = bpi_fp_enter();
        uint64_t n = drain(p, true);
        bpi_fp_leave(own);
        if (n) {
            atomic_fetch_add_explicit(&p->helped, (int64_t)n, memory_order_relaxed);
            if (atomic_fetch_sub_explicit(&p->pending, n, memory_order_release) == (ASLEEP | n)) {
                pthread_mutex_lock(&p->mutex);
                pthread_cond_signal(&p->finished);
                pthread_mutex_unlock(&p->mutex);
            }
        } else if (!spin(p, has_work)) {
            park(p);
        }
    }
    return NULL;
}

static void start_workers(bpi_pool *p)
{
    p->pid = getpid();
    p->spin_ns = p->threads > processors() ? 0 : SPIN_NS;
    while (p->workers < p->threads - 1 &&
           bpi_thread_start(&p->worker[p->workers], worker_main, p))
        p->workers++;
}

static void stop_workers(bpi_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_or_explicit(&p->ticket, QUIT, memory_order_relaxed);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (; p->workers > 0; p->workers--)
        pthread_join(p->worker[p->workers - 1], NULL);
    atomic_store_explicit(&p->ticket, 0, memory_order_relaxed);
    p->pid = 0;
}

static void reset(bpi_pool *p)
{
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->finished, NULL);
    atomic_store_explicit(&p->ticket, 0, memory_order_relaxed);
    atomic_store_explicit(&p->pending, 0, memory_order_relaxed);
    p->workers = p->parked = 0;
    p->pid = 0;
}

/* After fork() the workers exist only in the parent, and the lock may have been held by one. Asked
 * for only where it matters: getpid takes longer than a whole hot dispatch. `busy` stays. */
static void forget_after_fork(bpi_pool *p)
{
    if (p->pid && p->pid != getpid())
        reset(p);
}

static void wake_workers(bpi_pool *p, int64_t wanted)
{
    pthread_mutex_lock(&p->mutex);
    if (p->parked <= wanted) {
        pthread_cond_broadcast(&p->work);
    } else { /* a wake-up costs the caller microseconds: no more of them than there are blocks */
        for (; wanted > 0; wanted--)
            pthread_cond_signal(&p->work);
        atomic_fetch_or_explicit(&p->ticket, PARKED, memory_order_relaxed);
    }
    pthread_mutex_unlock(&p->mutex);
}

/* Gives up the processor after a moment: whoever runs the last block may need it. */
static void wait_finished(bpi_pool *p)
{
    if (spin(p, is_finished))
        return;
    pthread_mutex_lock(&p->mutex);
    atomic_fetch_or_explicit(&p->pending, ASLEEP, memory_order_relaxed);
    while (atomic_load_explicit(&p->pending, memory_order_acquire) != ASLEEP)
        pthread_cond_wait(&p->finished, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

static void run_shared(bpi_pool *p, int64_t blocks, void (*body)(void *arg, int64_t block),
                       void *arg)
{
    uint64_t count = (uint64_t)blocks;
    if (atomic_load_explicit(&p->ticket, memory_order_relaxed) & PARKED)
        forget_after_fork(p); /* before the lock is touched */
    if (!p->pid)
        start_workers(p);
    p->body = body;
    p->arg = arg;
    atomic_store_explicit(&p->pending, count, memory_order_relaxed);
    if (atomic_exchange_explicit(&p->ticket, TICKET(0, blocks), memory_order_release) & PARKED)
        wake_workers(p, blocks - 1);
    uint64_t n = drain(p, false);
    if (n == count) /* nobody came, so nobody touches `pending`; perhaps there is nobody */
        forget_after_fork(p);
    else if (atomic_fetch_sub_explicit(&p->pending, n, memory_order_acquire) != n)
        wait_finished(p);
}

void bpi_pool_run(bpi_pool *p, int64_t blocks, void (*body)(void *arg, int64_t block), void *arg)
{
    bpi_fp_state own = bpi_fp_enter();
    /* A busy pool is one whose block calls us. Acquire and release hand over the plain members
     * should two threads use the pool in turn. */
    if (blocks > 1 && blocks <= MOST && p->threads > 1 &&
        !atomic_exchange_explicit(&p->busy, true, memory_order_acquire)) {
        run_shared(p, blocks, body, arg);
        atomic_store_explicit(&p->busy, false, memory_order_release);
    } else {
        for (int64_t i = 0; i < blocks; i++)
            body(arg, i);
    }
    bpi_fp_leave(own);
}

bp_status bpi_pool_set_threads(bpi_pool *p, int threads)
{
    if (threads < 0)
        return BP_ERR_ARG;
    forget_after_fork(p);
    if (atomic_load_explicit(&p->busy, memory_order_acquire))
        return BP_ERR_STATE;
    threads = threads ? threads : processors();
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    if (threads != p->threads)
        stop_workers(p);
    p->threads = threads;
    return BP_OK;
}

int bpi_pool_threads(const bpi_pool *p)
{
    return p->threads;
}

int64_t bpi_pool_helped(const bpi_pool *p)
{
    return atomic_load_explicit(&p->helped, memory_order_relaxed);
}

bpi_pool *bpi_pool_create(int threads, void *(*alloc)(void *user, size_t bytes),
                          void (*free)(void *user, void *p, size_t bytes), void *user)
{
    bpi_pool *p = alloc(user, sizeof *p);
    if (!p)
        return NULL;
    *p = (bpi_pool){.threads = 1, .free = free, .user = user};
    reset(p);
    (void)bpi_pool_set_threads(p, threads); /* fails when negative, and one thread it stays */
    return p;
}

void bpi_pool_free(bpi_pool *p)
{
    if (!p)
        return;
    forget_after_fork(p);
    stop_workers(p);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    p->free(p->user, p, sizeof *p);
}
