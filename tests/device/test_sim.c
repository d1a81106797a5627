/* What only a simulated device can show: the order of threads and of blocks, work that is done as
 * late as it may be, the failure of every call, and threads that come in each other's way. A plain
 * program:
 *
 *     test_sim [orders] [lazy] [failures] [again] [retries] [contexts] [work] [cudnn] [plans]
 *         [errors]
 *
 * All of them without any.
 *
 * The simulation is tests/sim; it is spoken to through tests/sim/control.h. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "net.h"
#include "readers.h"
#include "test_sim.h"

const struct sim_control *sim;

static int open_control(void)
{
    char path[1024];
    const char *dir = getenv("BPCUDA_PLUGIN_DIR");
    snprintf(path, sizeof path, "%s/libbpcuda-sim.so", dir ? dir : ".");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* the one that bp_open finds */
    const struct sim_control *(*control)(void) = NULL;
    if (library)
        *(void **)&control = dlsym(library, "bpi_sim_control");
    else
        printf("%s\n", dlerror());
    sim = control ? control() : NULL;
    return sim != NULL;
}

/* --- orders: results do not depend on them ---------------------------------------------------- */

static void orders(void)
{
    static const char *const name[] = {"forward", "reverse", "random"};
    for (int order = SIM_FORWARD; order <= SIM_RANDOM; order++) {
        printf("-- threads and blocks in %s order\n", name[order]);
        sim->set_order((sim_order)order, 1);
        check(check_device("sim:0", NULL), "the device agrees with the CPU");
    }
    sim->set_order(SIM_FORWARD, 0);
}

/* --- a short life: from open to close --------------------------------------------------------- */

typedef struct life {
    bp_status status;
    char text[512];
    uint64_t digest;
} life;

/* Two steps, a plan and three replays, one of them with the batch changed between. */
static bp_status live_net(bp_context *ctx, net *n, bp_plan **plan, uint64_t *digest)
{
    bp_status st = bp_seed(ctx, 2);
    st = st == BP_OK ? net_open(n, ctx, BP_F32, 0.2) : st;
    st = st == BP_OK ? net_train(n, 0, 2) : st;
    st = st == BP_OK ? net_batch(n, 2) : st;
    st = st == BP_OK ? bp_plan_record(ctx, net_step, n, plan) : st;
    for (int i = 3; i < 6 && st == BP_OK; i++) {
        st = net_batch(n, i);
        st = st == BP_OK ? bp_plan_replay(*plan, 1) : st;
    }
    st = st == BP_OK ? bp_sync(ctx) : st;
    *digest = st == BP_OK ? net_digest(n) : 0;
    return st == BP_OK && *digest == 0 ? BP_ERR_STATE : st; /* a read of the digest failed */
}

static life live(void)
{
    life l = {0};
    net n = {0};
    bp_context *ctx = NULL;
    bp_plan *plan = NULL;
    l.status = bp_open("sim:0", &ctx);
    if (l.status == BP_OK) {
        l.status = live_net(ctx, &n, &plan, &l.digest);
        bp_plan_free(plan);
        net_close(&n);
    }
    snprintf(l.text, sizeof l.text, "%s", bp_error_text(ctx));
    bp_close(ctx);
    return l;
}

static void lazy(void)
{
    life now = live();
    sim->set_lazy(1);
    life late = live();
    sim->set_lazy(0);
    check(now.status == BP_OK && late.status == BP_OK && now.digest == late.digest,
          "work that is done as late as it may be gives equal bits");
}

/* --- failures: each call of a life fails once ------------------------------------------------- */

int nothing_left(void)
{
    return sim->live_allocations() == 0 && sim->live_objects() == 0;
}

static void failures_of(const char *calls, int error, const char *what)
{
    int failed = 0, nth = 0, good = 1, ended = 0;
    const uint64_t right = live().digest;
    for (nth = 1; nth < 5000 && !ended; nth++) {
        sim->reset();
        sim->fail(calls, nth, error);
        life l = live();
        sim->fail(calls, 0, 0);
        ended = sim->calls(calls) < nth;
        failed += l.status != BP_OK;
        int told = (l.status == BP_OK && l.digest == right) || l.status == BP_ERR_NOMEM ||
                   (l.status == BP_ERR_DEVICE && l.text[0]) || l.status == BP_ERR_STATE;
        if (!told || !nothing_left()) {
            printf("call %d: status %d \"%s\", %lld allocations and %lld objects left\n", nth,
                   (int)l.status, l.text, (long long)sim->live_allocations(),
                   (long long)sim->live_objects());
            good = 0;
        }
    }
    sim->reset();
    life again = live();
    printf("       %s: %d calls failed, one by one\n", what, failed);
    check(good && failed > 3, "each is told, or does no harm, and nothing is left behind");
    check(again.status == BP_OK && nothing_left(), "and the next life is as if nothing had been");
}

static void failures(void)
{
    enum { INVALID_VALUE = 1, NO_MEMORY = 2, ILLEGAL_ADDRESS = 700 }; /* of cudaError_t */
    sim->expect_error(1);
    failures_of("*", INVALID_VALUE, "any call");
    failures_of("*", NO_MEMORY, "any call, for want of memory");
    failures_of("kernel:run", ILLEGAL_ADDRESS, "a kernel as it runs");
    sim->expect_error(0);
    sim->reset();
}

/* --- again: an allocation of the device fails once, and the call is tried again --------------- */

static void again(void)
{
    static const char call[] = "cudaMallocFromPoolAsync";
    enum { INVALID_VALUE = 1 }; /* for want of memory, the device tries again by itself */
    sim->expect_error(1);
    for (int which = 0; which < TRIED_COUNT; which++) {
        sim->reset();
        const tried right = tried_run("sim:0", NULL, which);
        int calls = (int)sim->calls(call), failures = 0, wrong = 0;
        for (int nth = 1; nth <= calls; nth++) {
            sim->reset();
            sim->fail(call, nth, INVALID_VALUE);
            tried t = tried_run("sim:0", NULL, which);
            failures += t.failures;
            if ((t.digest != right.digest || t.broken || !nothing_left()) && !wrong++)
                printf("       allocation %d: %d calls failed\n", nth, t.failures);
        }
        printf("       %s: %d allocations, %d calls tried again\n", tried_name[which], calls,
               failures);
        check(right.failures == 0 && failures > 10 && wrong == 0,
              "a call that failed for memory of the device had done nothing");
    }
    sim->expect_error(0);
    sim->reset();
}

/* --- retries: whatever cuBLASLt says to an epilogue, the product is taken without ------------- */

/* Lives in each of which one of these calls fails, with one status after the other from `first` on.
 * *right: those that came to their end as if nothing had been. The number of lives. */
static int lives_without(const char *call, int first, uint64_t digest, int *right)
{
    enum { STATUSES = 9 };
    static const int status[STATUSES] = {1, 3, 7, 8, 11, 13, 14, 15, 16}; /* of cublasStatus_t */
    int n = 0, told = 1;
    for (*right = 0;; n++) {
        sim->reset();
        sim->fail(call, n + 1, status[(first + n) % STATUSES]);
        life l = live();
        if (sim->calls(call) <= n)
            break;
        *right += l.status == BP_OK && l.digest == digest && nothing_left();
        told &= l.status != BP_OK || l.digest == digest;
    }
    sim->reset();
    if (!told)
        check(0, "no call that failed left wrong bits");
    return n;
}

static void retries(void)
{
    static const char *const of_epilogue[] = {"cublasLtMatmulDescSetAttribute:epilogue",
                                              "cublasLtMatmulAlgoGetHeuristic:epilogue",
                                              "cublasLtMatmul:epilogue"};
    static const char *const of_plan[] = {"cublasLtMatmulDescCreate", "cublasLtMatrixLayoutCreate",
                                          "cublasLtMatmulPreferenceCreate",
                                          "cublasLtMatmulPreferenceSetAttribute"};
    int right[2];
    sim->reset();
    const uint64_t digest = live().digest;
    const int plans = (int)sim->calls("cublasLtMatmulAlgoGetHeuristic:epilogue");
    check(digest && plans > 0, "a life has epilogues");
    for (size_t k = 0; k < sizeof of_epilogue / sizeof *of_epilogue; k++) {
        int n = lives_without(of_epilogue[k], 0, digest, &right[0]);
        lives_without(of_epilogue[k], 4, digest, &right[1]);
        printf("       %d calls failed, one by one\n", n);
        check(n > 0 && right[0] == n && right[1] == n, of_epilogue[k]);
    }
    for (size_t k = 0; k < sizeof of_plan / sizeof *of_plan; k++) { /* some are of plain products */
        int n = lives_without(of_plan[k], 0, digest, &right[0]);
        check(n > plans && right[0] >= plans, of_plan[k]);
    }
}

/* --- contexts: several threads at once -------------------------------------------------------- */

enum { THREADS = 4, LIVES = 8 };

static pthread_barrier_t together;

static void *live_on(void *digests)
{
    pthread_barrier_wait(&together);
    for (int i = 0; i < LIVES; i++)
        ((uint64_t *)digests)[i] = live().digest;
    return NULL;
}

static void contexts(void)
{
    const uint64_t right = live().digest;
    uint64_t digest[THREADS][LIVES] = {{0}};
    pthread_t thread[THREADS];
    int good = !pthread_barrier_init(&together, NULL, THREADS);
    sim->expect_error(1);
    for (int i = 0; i < THREADS; i++)
        good &= !pthread_create(&thread[i], NULL, live_on, digest[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        for (int k = 0; k < LIVES; k++)
            good &= digest[i][k] == right;
    }
    check(!*sim->last_error(), "one thread at a time is in a heuristic or a capture");
    if (*sim->last_error())
        printf("       %s\n", sim->last_error());
    check(good && nothing_left(), "contexts of several threads train with equal bits");
    sim->expect_error(0);
    pthread_barrier_destroy(&together);
}

/* --- work: in proportion --------------------------------------------------------------------- */

typedef struct scatter {
    bp_tensor *x, *index;
    int64_t rows;
} scatter;

static bp_status scatter_step(bp_context *ctx, void *user)
{
    scatter *s = user;
    (void)ctx;
    return bp_scatter_rows(s->x, s->index, s->rows) ? BP_OK : BP_ERR_STATE;
}

/* How often a thread waited for others while n indices went to n rows. */
static int64_t waits_of_scatter(bp_context *ctx, int64_t n)
{
    scatter s = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(n)),
                 bp_tensor_create(ctx, BP_I32, BP_SHAPE(n)), n};
    int64_t before = sim->calls("kernel:wait");
    bp_status st = bp_run(ctx, BP_NO_GRAD, scatter_step, &s); /* all to row 0 */
    bp_free(s.x);
    bp_free(s.index);
    return st == BP_OK ? sim->calls("kernel:wait") - before : -1;
}

static void work(void)
{
    bp_context *ctx = NULL;
    check(bp_open("sim:0", &ctx) == BP_OK, "a context opens");
    int64_t few = waits_of_scatter(ctx, 1 << 13), many = waits_of_scatter(ctx, 1 << 15);
    printf("       %lld waits for 8192 indices and rows, %lld for 32768\n", (long long)few,
           (long long)many);
    check(few > 0 && many > 0 && many < 5 * few, /* 4, and a bit more of a row number to sort by */
          "scatter_rows takes rows and indices, not their product");
    bp_close(ctx);
}

/* --- errors: what a user is told -------------------------------------------------------------- */

static void expect_open(const char *name, const char *text)
{
    bp_context *ctx = NULL;
    int told = bp_open(name, &ctx) == BP_ERR_DEVICE && !strcmp(bp_error_text(ctx), text);
    if (!told)
        printf("       \"%s\", not \"%s\"\n", bp_error_text(ctx), text);
    check(told, text);
    bp_close(ctx);
}

static void errors(void)
{
    enum { INSUFFICIENT_DRIVER = 35, ILLEGAL_ADDRESS = 700 }; /* of cudaError_t */
    sim->set_devices(-1);
    expect_open("sim:0", "open \"sim:0\": there is no NVIDIA driver here");
    sim->set_devices(1);
    sim->fail("cudaGetDeviceCount", 1, INSUFFICIENT_DRIVER);
    expect_open("sim:0", "open \"sim:0\": the NVIDIA driver is one for CUDA 13.0, this build is of "
                         "CUDA 13.0");
    sim->set_devices(0);
    expect_open("sim:0", "open \"sim:0\": the NVIDIA driver knows no device");
    sim->set_devices(2);
    expect_open("sim:2", "open \"sim:2\": there is no device 2: 2 are here, numbered from 0");
    bp_context *first = NULL, *second = NULL;
    net a = {0}, b = {0};
    check(bp_open("sim:0", &first) == BP_OK && bp_open("sim:1", &second) == BP_OK &&
          net_open(&a, first, BP_F32, 0.1) == BP_OK && net_open(&b, second, BP_F32, 0.1) == BP_OK &&
          net_train(&a, 0, 2) == BP_OK && net_train(&b, 0, 2) == BP_OK &&
          net_train(&a, 2, 2) == BP_OK && net_train(&b, 2, 2) == BP_OK &&
          net_digest(&a) == net_digest(&b), "two devices train by turns");
    net_close(&a);
    net_close(&b);
    bp_close(first);
    bp_close(second);
    sim->set_devices(1);
    sim->expect_error(1);
    setenv("BPCUDA_DEBUG_SYNC", "1", 1);
    bp_context *ctx = NULL;
    net n = {0};
    check(bp_open("sim:0", &ctx) == BP_OK && net_open(&n, ctx, BP_F32, 0) == BP_OK &&
          net_batch(&n, 0) == BP_OK, "with BPCUDA_DEBUG_SYNC=1 a context opens");
    sim->fail("kernel:run", 3, ILLEGAL_ADDRESS);
    bp_status st = bp_run(ctx, 0, net_step, &n);
    printf("       \"%s\"\n", bp_error_text(ctx));
    check(st == BP_ERR_DEVICE && strstr(bp_error_text(ctx), "kernel") &&
          strstr(bp_error_text(ctx), " on sim:0"), "a fault names the op and the kernel");
    net_close(&n);
    bp_close(ctx);
    unsetenv("BPCUDA_DEBUG_SYNC");
    sim->expect_error(0);
    sim->reset();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } section[] = {{"orders", orders}, {"lazy", lazy}, {"failures", failures}, {"again", again},
                   {"retries", retries}, {"contexts", contexts}, {"work", work},
                   {"cudnn", cudnn}, {"plans", plans}, {"errors", errors}};
    if (!open_control())
        return 1;
    for (size_t k = 0; k < sizeof section / sizeof *section; k++)
        for (int i = 1; i < (argc > 1 ? argc : 2); i++)
            if (argc <= 1 || !strcmp(argv[i], section[k].name))
                section[k].run();
    return check_end();
}
