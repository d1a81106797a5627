/* A planted data race: two blocks of one job add to the same plain int.
 *
 * The thread sanitizer must report it and end the program with a status other than 0; that shows
 * that it sees through the pool, so that its silence about the real tests means something. Without
 * the sanitizer the program ends with 0. */
#define _POSIX_C_SOURCE 200809L
#include <stdatomic.h>
#include <time.h>

#include "check.h"
#include "cpu/pool.h"

typedef struct race {
    atomic_int begun;
    int sum;
} race;

/* Holds each block until the other has begun, so that two threads run them. Relaxed on purpose: it
 * orders nothing. The count ends the wait where no second thread could be created. */
static void add(void *arg, int64_t block)
{
    race *r = arg;
    atomic_fetch_add_explicit(&r->begun, 1, memory_order_relaxed);
    for (long i = 0; i < 100000000; i++)
        if (atomic_load_explicit(&r->begun, memory_order_relaxed) >= 2)
            break;
    if (block == 1) /* apart: the sanitizer may miss two accesses at the very same moment */
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    r->sum += (int)block + 1;
}

int main(void)
{
    race r = {.sum = 0};
    bpi_pool *p = bpi_pool_create(2, check_alloc, check_free, NULL);
    if (!p)
        return 2;
    bpi_pool_run(p, 2, add, &r);
    check(bpi_pool_helped(p) == 1, "two threads ran the two blocks");
    bpi_pool_free(p);
    return check_end();
}
