/* The thread pool: every block runs exactly once, whatever the number of threads, blocks and jobs,
 * nested, after fork(), beside another pool, and always in the library's floating-point state.
 *
 * To be run plainly, under the thread sanitizer and under the address and leak sanitizer. */
#define _POSIX_C_SOURCE 200809L
#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "check.h"
#include "cpu/pool.h"

/* The thread sanitizer cannot follow a forked child that starts threads. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

enum { MAX_BLOCKS = 100000 };
static const int thread_counts[] = {1, 2, 3, 4, 8};
enum { THREAD_COUNTS = sizeof thread_counts / sizeof *thread_counts };

static bpi_pool *new_pool(int threads)
{
    bpi_pool *p = bpi_pool_create(threads, check_alloc, check_free, NULL);
    if (!p)
        exit(2);
    return p;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void busy_for(double s)
{
    for (double end = seconds() + s; seconds() < end;)
        continue;
}

/* Plain bytes: a block that ran twice at once is a race that the thread sanitizer reports. */
typedef struct counts {
    unsigned char ran[MAX_BLOCKS];
} counts;

static void count_block(void *arg, int64_t block)
{
    ((counts *)arg)->ran[block]++;
}

/* Whether the first `blocks` ran `times` times and the others never. */
static int all_ran(const counts *c, int64_t blocks, int times)
{
    for (int64_t i = 0; i < MAX_BLOCKS; i++)
        if (c->ran[i] != (i < blocks ? times : 0))
            return 0;
    return 1;
}

static void test_every_block_once(counts *c)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 64, 1000, 99999, MAX_BLOCKS};
    for (int t = 0; t < THREAD_COUNTS; t++) {
        char name[64];
        int good = 1;
        bpi_pool *p = new_pool(thread_counts[t]);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            memset(c, 0, sizeof *c);
            bpi_pool_run(p, sizes[i], count_block, c);
            good &= all_ran(c, sizes[i], 1);
        }
        good &= thread_counts[t] > 1 || bpi_pool_helped(p) == 0;
        bpi_pool_free(p);
        snprintf(name, sizeof name, "every block once, 0 to 100000 blocks, %d threads",
                 thread_counts[t]);
        check(good, name);
    }
}

static void long_block(void *arg, int64_t block)
{
    busy_for(0.001);
    count_block(arg, block);
}

/* Runs jobs of 50 long blocks until another thread has helped: on a busy machine the first may be
 * over before that thread gets a processor. Whether one helped, and every block ran once. */
static int gets_help(bpi_pool *p, counts *c)
{
    int64_t before = bpi_pool_helped(p);
    int good = 1;
    for (int job = 0; job < 40 && bpi_pool_helped(p) == before; job++) {
        memset(c, 0, sizeof *c);
        bpi_pool_run(p, 50, long_block, c);
        good &= all_ran(c, 50, 1) && bpi_pool_helped(p) <= before + 50;
    }
    return good && bpi_pool_helped(p) > before;
}

static void test_helped(counts *c)
{
    bpi_pool *p = new_pool(2);
    check(gets_help(p, c), "a second thread helps with long blocks");
    busy_for(0.002); /* it is parked by now */
    check(gets_help(p, c), "and again after it was parked");
    bpi_pool_free(p);
}

typedef struct nest {
    bpi_pool *pool;
    atomic_int ran, refused;
} nest;

static void inner_block(void *arg, int64_t block)
{
    (void)block;
    atomic_fetch_add(&((nest *)arg)->ran, 1);
}

static void outer_block(void *arg, int64_t block)
{
    nest *n = arg;
    (void)block;
    bpi_pool_run(n->pool, 10, inner_block, n);
    if (bpi_pool_set_threads(n->pool, 1) == BP_ERR_STATE)
        atomic_fetch_add(&n->refused, 1);
}

static void test_nested(void)
{
    nest n = {.pool = new_pool(4)};
    for (int i = 0; i < 100; i++)
        bpi_pool_run(n.pool, 20, outer_block, &n);
    check(atomic_load(&n.ran) == 100 * 20 * 10, "a run from inside a block runs inline");
    check(atomic_load(&n.refused) == 100 * 20, "set_threads from inside a block is refused");
    bpi_pool_free(n.pool);
}

/* Whether a child process says that `body` holds; one that waits for dead threads is ended. */
static int holds_in_child(int (*body)(bpi_pool *, counts *), bpi_pool *p, counts *c)
{
    int status = 1;
    pid_t child = fork();
    if (child == 0) {
        alarm(20);
        _exit(body(p, c) ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int child_runs_jobs(bpi_pool *p, counts *c)
{
    bpi_pool_run(p, 1000, count_block, memset(c, 0, sizeof *c));
    int good = all_ran(c, 1000, 1) && gets_help(p, c);
    nest n = {.pool = p};
    bpi_pool_run(p, 20, outer_block, &n);
    good &= atomic_load(&n.ran) == 200 && atomic_load(&n.refused) == 20;
    bpi_pool_free(p);
    return good;
}

static int child_only_frees(bpi_pool *p, counts *c)
{
    bp_status status = bpi_pool_set_threads(p, 1);
    bpi_pool_run(p, 1000, count_block, memset(c, 0, sizeof *c));
    bpi_pool_free(p);
    return status == BP_OK && all_ran(c, 1000, 1);
}

static void test_fork(counts *c)
{
    bpi_pool *p = new_pool(4);
    bpi_pool_run(p, 50, long_block, memset(c, 0, sizeof *c));
    if (UNDER_TSAN) {
        printf("skip   threads of a forked child: the thread sanitizer cannot follow them\n");
    } else {
        check(holds_in_child(child_runs_jobs, p, c), "a forked child has threads of its own");
        busy_for(0.002);
        check(holds_in_child(child_runs_jobs, p, c), "also when forked with parked threads");
    }
    check(holds_in_child(child_only_frees, p, c), "a forked child waits for no dead threads");
    bpi_pool_run(p, 1000, count_block, memset(c, 0, sizeof *c));
    check(all_ran(c, 1000, 1), "the parent goes on");
    bpi_pool_free(p);
}

static void test_set_threads(counts *c)
{
    bpi_pool *p = new_pool(0);
    int good = bpi_pool_set_threads(p, -1) == BP_ERR_ARG;
    for (int round = 0; round < 5; round++)
        for (int t = 0; t < THREAD_COUNTS; t++) {
            good &= bpi_pool_set_threads(p, thread_counts[t]) == BP_OK;
            memset(c, 0, sizeof *c);
            for (int i = 0; i < 10; i++)
                bpi_pool_run(p, 500, count_block, c);
            good &= all_ran(c, 500, 10);
        }
    good &= bpi_pool_set_threads(p, 0) == BP_OK;
    check(good, "set_threads between jobs");
    bpi_pool_free(p);
}

static void *jobs_of_one_pool(void *arg)
{
    counts *c = arg;
    int good = 1;
    bpi_pool *p = new_pool(2);
    for (int i = 0; i < 200; i++) {
        memset(c->ran, 0, 1000);
        bpi_pool_run(p, 1000, count_block, c);
        for (int j = 0; j < 1000; j++)
            good &= c->ran[j] == 1;
    }
    bpi_pool_free(p);
    return good ? arg : NULL;
}

static void test_two_pools(counts *c)
{
    static counts other;
    pthread_t thread;
    void *theirs = NULL, *ours;
    int created = pthread_create(&thread, NULL, jobs_of_one_pool, &other) == 0;
    ours = jobs_of_one_pool(c);
    if (created)
        pthread_join(thread, &theirs);
    check(ours && theirs, "two pools used by two threads at once");
}

/* Short jobs, with a pause now and then that lets the workers park. */
static void test_short_jobs(counts *c)
{
    for (int threads = 2; threads <= 4; threads += 2) {
        char name[64];
        int good = 1;
        bpi_pool *p = new_pool(threads);
        for (int i = 0; i < 100000; i++) {
            int64_t blocks = 2 + i % 5;
            memset(c->ran, 0, 8);
            bpi_pool_run(p, blocks, count_block, c);
            for (int64_t j = 0; j < 8; j++)
                good &= c->ran[j] == (j < blocks);
            if (i % 5000 == 0)
                busy_for(0.0005);
        }
        bpi_pool_free(p);
        snprintf(name, sizeof name, "100000 short jobs, %d threads", threads);
        check(good, name);
    }
}

/* Whether this thread rounds to nearest and keeps denormals. */
static int is_plain_state(void)
{
    volatile float tiny = 1e-40f, half_ulp = 0x1p-24f, one = 1.0f;
    volatile float twice = tiny + tiny, up = one + 1.5f * half_ulp, down = -one - 1.5f * half_ulp;
    volatile float scaled = tiny * 0x1p60f;
    return twice > 1.5e-40f && scaled > 0 && up > 1.0f && down < -1.0f && one + half_ulp == 1.0f;
}

static void state_block(void *arg, int64_t block)
{
    ((unsigned char *)arg)[block] = (unsigned char)is_plain_state();
    busy_for(0.0002);
}

/* Runs jobs in the state the caller has set up; whether all blocks saw the plain state. */
static int blocks_are_plain(int threads)
{
    unsigned char seen[40] = {0};
    bpi_pool *p = new_pool(threads);
    int good = 1, job = 0;
    do {
        bpi_pool_run(p, 40, state_block, seen);
        for (int i = 0; i < 40; i++)
            good &= seen[i];
    } while (threads > 1 && bpi_pool_helped(p) == 0 && ++job < 200);
    good &= threads == 1 || bpi_pool_helped(p) > 0;
    seen[0] = 0;
    bpi_pool_run(p, 1, state_block, seen);
    good &= seen[0];
    bpi_pool_free(p);
    return good;
}

static void test_fp_state(void)
{
    for (int threads = 1; threads <= 2; threads++) {
        char name[80];
        int good, kept;
        fesetround(FE_DOWNWARD);
#if defined(__SSE__)
        _mm_setcsr(_mm_getcsr() | 0x8040); /* FTZ and DAZ */
        unsigned own = _mm_getcsr();
#endif
        int hostile = !is_plain_state();
        good = blocks_are_plain(threads) && hostile;
        kept = fegetround() == FE_DOWNWARD;
#if defined(__SSE__)
        kept &= (_mm_getcsr() & ~0x3Fu) == (own & ~0x3Fu);
        _mm_setcsr(0x1F80);
#endif
        fesetround(FE_TONEAREST);
        snprintf(name, sizeof name, "blocks round to nearest and keep denormals, %d threads",
                 threads);
        check(good, name);
        snprintf(name, sizeof name, "the caller's own state is back, %d threads", threads);
        check(kept && is_plain_state(), name);
    }
}

int main(void)
{
    static counts c;
    bpi_pool_free(NULL);
    test_every_block_once(&c);
    test_helped(&c);
    test_nested();
    test_fork(&c);
    test_set_threads(&c);
    test_two_pools(&c);
    test_short_jobs(&c);
    test_fp_state();
    return check_end();
}
