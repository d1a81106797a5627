/* Proves that the simulated device catches the bugs of planted.cu, and nothing in its correct
 * kernels:
 *
 *     planted path/to/libbpcuda-sim.so
 *
 * One line a kernel, "ok" or "FAILED"; exit status 0 when all are ok. Each run is a process of its
 * own, in forward, reverse and a few random orders. What must be seen depends on the build: the
 * checker sees every access, AddressSanitizer memory, a plain build wrong values and threads that
 * wait in vain. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"
#include <cuda_runtime_api.h>

#ifdef __SANITIZE_ADDRESS__
enum { HAVE_ASAN = 1 };
#else
enum { HAVE_ASAN = 0 };
#endif

enum { THREADS = 64, N = 4 * THREADS, ORDERS = 6 };

static const struct sim_control *control;
static cudaError_t (*planted)(const char *name, const int *x, int *y);
static int (*planted_touch)(void);

/* --- what the results would be if there were no bug ---------------------------------------- */

static int x_of(int i)
{
    return i * i % 97 + 1;
}

static int same(int i)
{
    return x_of(i);
}

static int neighbour(int i)
{
    return x_of(i ^ 1);
}

static int reversed(int i)
{
    return x_of(i / THREADS * THREADS + THREADS - 1 - i % THREADS);
}

static int from_behind(int i)
{
    return x_of((i + 2 * THREADS) % N);
}

static int block_sum(int i)
{
    int sum = 0;
    for (int k = 0; k < THREADS; k++)
        sum += x_of(i / THREADS * THREADS + k);
    return sum;
}

static int sum_of_all(int i)
{
    (void)i;
    return block_sum(0) + block_sum(THREADS) + block_sum(2 * THREADS) + block_sum(3 * THREADS);
}

/* --- what must be seen --------------------------------------------------------------------- */

/* A word of the error's text, or one of these. */
#define RIGHT "right values"
#define WRONG "wrong values"     /* in one order at least */
#define UNSEEN "anything"        /* this build cannot know */
#define DIES "a sanitizer's end" /* or the hardware's */

struct row {
    const char *name;
    int (*expected)(int i);
    const char *checked, *plain, *with_asan;
};

static const struct row rows[] = {
    {"missing_barrier", reversed, "race", WRONG, WRONG},
    {"missing_second_barrier", reversed, "race", WRONG, WRONG},
    {"barrier_in_branch", same, "deadlock", "deadlock", "deadlock"},
    {"two_barriers", same, "divergent barrier", "divergent barrier", "divergent barrier"},
    {"half_warp_full_mask", same, "divergent warp", "divergent warp", "divergent warp"},
    {"lane_not_in_mask", neighbour, "warp mask", "warp mask", "warp mask"},
    {"missing_syncwarp", neighbour, "race", WRONG, WRONG},
    {"vote_for_syncwarp", neighbour, "race", UNSEEN, UNSEEN},
    {"static_out_of_bounds", same, "out of bounds", UNSEEN, DIES},
    {"dynamic_too_small", same, "out of bounds", UNSEEN, DIES},
    {"device_out_of_bounds", same, "out of bounds", "past the end", DIES},
    {"uninitialised_shared", same, "uninitialised read", WRONG, WRONG},
    {"uninitialised_device", same, "uninitialised read", WRONG, WRONG},
    {"misaligned_vector", same, "misaligned", UNSEEN, DIES},
    {"host_pointer", same, "host memory", UNSEEN, UNSEEN},
    {"blocks_write_the_same", same, "race", UNSEEN, UNSEEN},
    {"block_reads_others", same, "race", UNSEEN, UNSEEN},
    {"no_barrier_before_release", sum_of_all, "race", UNSEEN, UNSEEN},
    {"no_release_fence", sum_of_all, "race (read after write)", UNSEEN, UNSEEN},
    {"no_acquire_fence", sum_of_all, "race (read after write)", UNSEEN, UNSEEN},
    {"counter_not_atomic", sum_of_all, "race", UNSEEN, UNSEEN},
    {"missing_cluster_sync", from_behind, "uninitialised read", WRONG, WRONG},
    {"missing_cluster_sync_between", from_behind, "race", WRONG, WRONG},
    {"missing_last_cluster_sync", from_behind, "uninitialised read", WRONG, WRONG},
    {"no_such_rank", same, "no block 4", "no block 4", "no block 4"},
    {"no_such_cluster", same, "error 912", "error 912", "error 912"},
    {"copy_read_too_early", same, "uninitialised read", WRONG, WRONG},
    {"copy_never_waited_for", same, "uninitialised read", "asynchronous copy",
     "asynchronous copy"},
    {"misaligned_copy", same, "asynchronous copy", "asynchronous copy", "asynchronous copy"},
    {"too_many_threads", same, "error 9", "error 9", "error 9"},
    {"too_much_shared", same, "error 1", "error 1", "error 1"},
    {"tree_reduction", block_sum, RIGHT, RIGHT, RIGHT},
    {"shuffles", block_sum, RIGHT, RIGHT, RIGHT},
    {"syncwarp_exchange", neighbour, RIGHT, RIGHT, RIGHT},
    {"last_block_by_hand", sum_of_all, RIGHT, RIGHT, RIGHT},
    {"grid_last_block", sum_of_all, RIGHT, RIGHT, RIGHT},
    {"two_last_blocks", sum_of_all, RIGHT, RIGHT, RIGHT},
    {"faults_noted", same, RIGHT, RIGHT, RIGHT},
    {"cluster_passes_on", from_behind, RIGHT, RIGHT, RIGHT},
    {"copies", same, RIGHT, RIGHT, RIGHT},
};

/* --- running ------------------------------------------------------------------------------- */

enum { OUTCOME_BYTES = 1024 };

static const struct {
    sim_order order;
    uint64_t seed;
} orders[ORDERS] = {{SIM_FORWARD, 0}, {SIM_REVERSE, 0}, {SIM_RANDOM, 1},
                    {SIM_RANDOM, 2},  {SIM_RANDOM, 3},  {SIM_RANDOM, 4}};

/* In the child: what a run shows. */
static void run_row(const struct row *row, char *outcome)
{
    int x[N];
    int y[N] = {0};
    for (int i = 0; i < N; i++)
        x[i] = x_of(i);
    control->expect_error(1);
    const cudaError_t error = planted(row->name, x, y);
    int wrong = 0;
    for (int i = 0; i < N; i++)
        wrong += y[i] != row->expected(i);
    if (control->last_error()[0])
        snprintf(outcome, OUTCOME_BYTES, "%s", control->last_error());
    else if (error != cudaSuccess)
        snprintf(outcome, OUTCOME_BYTES, "error %d", (int)error);
    else
        snprintf(outcome, OUTCOME_BYTES, "%s", wrong ? WRONG : RIGHT);
}

/* row NULL: host code touches device memory. */
static void run_in_child(const struct row *row, int order, char *outcome)
{
    int ends[2];
    snprintf(outcome, OUTCOME_BYTES, "no child");
    if (pipe(ends) != 0)
        return;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        char text[OUTCOME_BYTES] = "nothing";
        if (!freopen("/dev/null", "w", stderr)) /* a sanitizer's report */
            _exit(1);
        control->set_order(orders[order].order, orders[order].seed);
        if (row) {
            run_row(row, text);
        } else {
            control->set_guard(1);
            planted_touch();
        }
        const ssize_t written = write(ends[1], text, strlen(text) + 1);
        _exit(written < 0);
    }
    close(ends[1]);
    const ssize_t bytes = read(ends[0], outcome, OUTCOME_BYTES);
    close(ends[0]);
    int status = 1;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0 || bytes <= 0)
        snprintf(outcome, OUTCOME_BYTES, "%s", DIES);
}

static int is_seen(const char *outcome, const char *wanted)
{
    return strcmp(wanted, UNSEEN) == 0 || strstr(outcome, wanted) != NULL;
}

/* In all orders, but for values, which need not be wrong in each. */
static int check_row(const struct row *row)
{
    const char *wanted = row->plain;
    if (control->checks_accesses())
        wanted = row->checked;
    else if (HAVE_ASAN)
        wanted = row->with_asan;
    int seen = 0;
    char outcome[OUTCOME_BYTES];
    char missed[OUTCOME_BYTES] = "";
    for (int i = 0; i < ORDERS; i++) {
        run_in_child(row, i, outcome);
        if (getenv("BPCUDA_SIM_SHOW"))
            printf("    %s\n", outcome);
        if (is_seen(outcome, wanted))
            seen++;
        else
            memcpy(missed, outcome, sizeof missed);
    }
    const int ok = strcmp(wanted, WRONG) == 0 ? seen > 0 : seen == ORDERS;
    if (ok)
        printf("ok %s: %s\n", row->name, wanted);
    else
        printf("FAILED %s: not %s but %s\n", row->name, wanted, missed);
    return ok;
}

static int check_guard(void)
{
    char outcome[OUTCOME_BYTES];
    run_in_child(NULL, 0, outcome);
    const int ok = is_seen(outcome, DIES);
    printf("%s host_touches_device_memory: %s\n", ok ? "ok" : "FAILED", outcome);
    return ok;
}

int main(int argc, char **argv)
{
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library) {
        fprintf(stderr, "planted: %s\n", argc == 2 ? dlerror() : "which library?");
        return 2;
    }
    const struct sim_control *(*get_control)(void);
    *(void **)&get_control = dlsym(library, "bpi_sim_control");
    *(void **)&planted = dlsym(library, "bpi_sim_planted");
    *(void **)&planted_touch = dlsym(library, "bpi_sim_planted_touch");
    if (!get_control || !planted || !planted_touch) {
        fprintf(stderr, "planted: %s is not a simulated device\n", argv[1]);
        return 2;
    }
    control = get_control();
    int failed = !check_guard();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        failed += !check_row(&rows[i]);
    return failed != 0;
}
