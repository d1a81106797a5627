/* Memory: after two steps a training step takes none, counted by the library and under malloc; and
 * when the n-th allocation of a run fails, for every n, the run says BP_ERR_NOMEM, leaks nothing
 * and does not crash; huge pages are asked for where a tensor is large. Linked with --wrap for
 * malloc and its kin. */
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "core/handle.h"
#include "net.h"
#include "readers.h"

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *p, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
int __real_posix_memalign(void **p, size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *p, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
int __wrap_posix_memalign(void **p, size_t align, size_t bytes);

static int64_t mallocs;

void *__wrap_malloc(size_t bytes)
{
    mallocs++;
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    mallocs++;
    return __real_calloc(n, bytes);
}

void *__wrap_realloc(void *p, size_t bytes)
{
    mallocs++;
    return __real_realloc(p, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    mallocs++;
    return __real_aligned_alloc(align, bytes);
}

int __wrap_posix_memalign(void **p, size_t align, size_t bytes)
{
    mallocs++;
    return __real_posix_memalign(p, align, bytes);
}

typedef struct counts {
    int64_t mallocs, allocations, bytes;
} counts;

static counts now(bp_context *ctx)
{
    bp_stats s;
    bp_get_stats(ctx, &s);
    return (counts){mallocs, s.allocations, s.bytes};
}

static void steady_state(const char *device, bp_dtype dtype)
{
    bp_context *ctx;
    net n;
    bp_plan *plan = NULL;
    bp_status st = bp_open(device, &ctx);
    check(st == BP_OK && net_open(&n, ctx, dtype, 0.25) == BP_OK, "a net can be made");
    counts start = now(ctx);
    st = net_train(&n, 0, 1);
    counts first = now(ctx);
    check(first.mallocs > start.mallocs && first.allocations > start.allocations,
          "the first step allocates, so the counters count");
    st = st == BP_OK ? net_train(&n, 1, 1) : st;
    counts second = now(ctx);
    st = st == BP_OK ? net_train(&n, 2, 20) : st;
    counts last = now(ctx);
    check(st == BP_OK && last.allocations == second.allocations && last.mallocs == second.mallocs,
          "after two steps a step allocates nothing");
    check(last.bytes == second.bytes, "and holds no more memory");
    st = bp_plan_record(ctx, net_step, &n, &plan);
    counts recorded = now(ctx);
    st = st == BP_OK ? bp_plan_replay(plan, 20) : st;
    counts replayed = now(ctx);
    check(st == BP_OK && replayed.allocations == recorded.allocations &&
              replayed.mallocs == recorded.mallocs, "a replay allocates nothing");
    bp_plan_free(plan);
    net_close(&n);
    bp_close(ctx);
}

/* --- every allocation fails once ------------------------------------------------------------- */

/* Open, three steps, a plan, a second derivative, the loss, close. */
static bp_status gradient_penalty(bp_context *ctx, void *user)
{
    net *n = user;
    bp_tensor *x = bp_require_grad(n->x), *g = NULL;
    bp_tensor *y = bp_linear_relu(x, n->w[0], n->b[0], 0);
    bp_tensor *total = bp_sum(y), *one = bp_sum(bp_scale(bp_detach(total), 0));
    bp_status st = bp_grad(ctx, total, one, &x, 1, BP_CREATE_GRAPH, &g);
    if (st == BP_OK)
        st = bp_backward(ctx, bp_add(bp_sum(bp_mul(g, g)), total));
    return st == BP_OK ? bp_grad_clear(n->params) : st;
}

static bp_status whole_run(bp_context *ctx)
{
    net n;
    bp_plan *plan = NULL;
    float loss;
    bp_status st = net_open(&n, ctx, BP_F32, 0.1);
    if (st == BP_OK)
        st = net_train(&n, 0, 3);
    if (st == BP_OK)
        st = bp_plan_record(ctx, net_step, &n, &plan);
    if (st == BP_OK)
        st = bp_plan_replay(plan, 2);
    if (st == BP_OK)
        st = bp_run(ctx, 0, gradient_penalty, &n);
    if (st == BP_OK)
        st = bp_read(n.loss, &loss, sizeof loss);
    bp_plan_free(plan);
    net_close(&n);
    return st;
}

/* The training layer: data, split, model, three steps, evaluation, a file out and in. */
static bp_status layer_run(bp_context *ctx)
{
    bp_data *all = NULL, *a = NULL, *b = NULL;
    bp_model *m = NULL, *loaded = NULL;
    bp_trainer *t = NULL;
    int32_t done;
    double loss, accuracy;
    float x[64] = {0}, p[10];
    bp_status st = bp_data_digits(ctx, &all);
    if (st == BP_OK)
        st = bp_data_split(all, 0.2, 1, &a, &b);
    if (st == BP_OK)
        st = bp_model_create(ctx, 64, "8 relu dropout=0.1 8 elu", 10, &m);
    if (st == BP_OK)
        st = bp_model_normalize(m, a);
    if (st == BP_OK)
        st = bp_trainer_create(m, a, &t);
    if (st == BP_OK)
        st = bp_trainer_run(t, 3, -1, &done);
    if (st == BP_OK)
        st = bp_model_evaluate(m, b, &loss, &accuracy);
    if (st == BP_OK)
        st = bp_model_predict(m, x, 1, p);
    if (st == BP_OK)
        st = bp_model_save(m, "test_memory.tmp");
    if (st == BP_OK)
        st = bp_model_load(ctx, "test_memory.tmp", &loaded);
    bp_trainer_free(t);
    bp_model_free(m);
    bp_model_free(loaded);
    bp_data_free(all);
    bp_data_free(a);
    bp_data_free(b);
    return st;
}

static bp_status fill(void *user, double *to, int64_t count)
{
    (void)user;
    for (int64_t i = 0; i < count; i++)
        to[i] = 1;
    return BP_OK;
}

static bp_status store_of(bp_context *ctx, bp_params **p)
{
    bp_status st = bp_params_create(ctx, BP_F32, p);
    bool declared = st == BP_OK && bp_param(*p, "w", BP_SHAPE(9, 256), BP_INIT_ORTHOGONAL) &&
                    bp_param_with(*p, "x", BP_SHAPE(40), fill, NULL) &&
                    bp_param_constant(*p, "c", BP_SCALAR, 2);
    return st != BP_OK || declared ? st : BP_ERR_NOMEM;
}

/* Two stores, an average, a copy, a file out and in. */
static bp_status stores_run(bp_context *ctx)
{
    bp_params *p = NULL, *q = NULL;
    bp_status st = store_of(ctx, &p);
    if (st == BP_OK)
        st = store_of(ctx, &q);
    if (st == BP_OK)
        st = bp_params_average(p, q, 0.5);
    if (st == BP_OK)
        st = bp_params_save(p, "test_memory.tmp");
    if (st == BP_OK)
        st = bp_params_load(q, "test_memory.tmp", "?");
    if (st == BP_OK)
        st = bp_params_copy(p, q);
    bp_params_free(q);
    bp_params_free(p);
    return st;
}

/* Measured and saved by itself, then another trainer goes on from the file: validation, the best
 * weights, a schedule that listens, rows that are drawn, parts of a batch. */
static bp_status trainer_of(bp_context *ctx, bp_data *all, bp_model **m, bp_trainer **t)
{
    bp_status st = bp_model_create(ctx, 64, "4 tanh residual( 4 relu )", 10, m);
    if (st == BP_OK)
        st = bp_trainer_create(*m, all, t);
    static const struct { bp_train_option option; double value; } set[] = {
        {BP_TRAIN_HOLD_OUT, 0.5}, {BP_TRAIN_ROWS, BP_ROWS_BALANCED}, {BP_TRAIN_EPOCH_STEPS, 2},
        {BP_TRAIN_BATCH, 8}, {BP_TRAIN_PARTS, 2}, {BP_TRAIN_EPOCHS, 2}, {BP_TRAIN_CLIP_NORM, 1},
        {BP_TRAIN_OPTIMIZER, BP_ADAMW}};
    for (size_t i = 0; i < sizeof set / sizeof *set && st == BP_OK; i++)
        st = bp_trainer_set(*t, set[i].option, set[i].value);
    if (st == BP_OK)
        st = bp_trainer_schedule(*t, "plateau=0.5,0");
    return st == BP_OK ? bp_trainer_save_every(*t, 1, "test_memory.run", 2) : st;
}

static bp_status resumed_run(bp_context *ctx)
{
    bp_data *all = NULL;
    bp_model *m[2] = {NULL};
    bp_trainer *t[2] = {NULL};
    int32_t done;
    bp_status st = bp_data_digits(ctx, &all);
    if (st == BP_OK)
        st = trainer_of(ctx, all, &m[0], &t[0]);
    if (st == BP_OK)
        st = bp_trainer_run(t[0], 3, -1, &done);
    if (st == BP_OK)
        st = trainer_of(ctx, all, &m[1], &t[1]);
    if (st == BP_OK)
        st = bp_trainer_resume(t[1], "test_memory.run");
    if (st == BP_OK)
        st = bp_trainer_run(t[1], -1, -1, &done);
    if (st == BP_OK)
        st = bp_trainer_best(t[1]);
    for (int k = 0; k < 2; k++) {
        bp_trainer_free(t[k]);
        bp_model_free(m[k]);
    }
    bp_data_free(all);
    return st;
}

/* The n-th call fails, alone (the library may try again) or with all after it. */
static void torture(bp_status (*run)(bp_context *), bool all_after)
{
    int64_t fail_at = 0, failures = 0;
    int64_t bad_status = 0, leaks = 0, broken = 0, contexts = 0, again = 0;
    for (bp_status st = BP_ERR_NOMEM; fail_at < 100000;) {
        guard g = {.fail_at = ++fail_at, .fail_on = all_after};
        bp_hooks hooks = guard_hooks(&g);
        bp_context *ctx;
        st = bp_open_with("cpu", &hooks, &ctx);
        contexts += (st == BP_ERR_NOMEM) != (ctx == NULL);
        if (st == BP_OK)
            st = run(ctx);
        if (ctx && st != BP_OK && !all_after && run(ctx) != BP_OK && !again++)
            printf("call %d, run again: \"%s\"\n", (int)fail_at, bp_error_text(ctx));
        if (st != BP_OK && st != BP_ERR_NOMEM && !bad_status++)
            printf("call %d: status %d, \"%s\"\n", (int)fail_at, (int)st, bp_error_text(ctx));
        bp_close(ctx);
        if (g.live && !leaks++)
            printf("call %d: %d allocations not freed\n", (int)fail_at, (int)g.live);
        broken += g.broken;
        failures += st != BP_OK;
        if (g.calls < fail_at)
            break; /* none failed any more */
    }
    printf("%d allocations, %d of their failures ended the run\n", (int)fail_at - 1, (int)failures);
    check(fail_at > 50 && failures > (all_after ? fail_at - 2 : 20),
          all_after ? "from each allocation on, all failed" : "each allocation failed once");
    check(bad_status == 0, "each failure is BP_ERR_NOMEM, or was lived with");
    check(contexts == 0, "bp_open leaves NULL if and only if it is out of memory");
    check(again == 0, "where memory is back, the same context runs it again");
    check(leaks == 0, "nothing leaks when an allocation fails");
    check(broken == 0, "nothing is written beside an allocation");
}

/* One allocation fails, for each in turn, and the call that it ends is tried again: all bits at the
 * end are those of a run without a failure. */
static void tried_again(const char *device, int which)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    const tried right = tried_run(device, &hooks, which);
    int64_t calls = g.calls, failures = 0, wrong = 0;
    for (int64_t nth = 1; nth <= calls; nth++) {
        g = (guard){.fail_at = nth};
        tried a = tried_run(device, &hooks, which);
        failures += a.failures;
        if ((a.digest != right.digest || a.broken || g.live || g.broken) && !wrong++)
            printf("allocation %d: %d calls failed, digest %016llx, %d not freed\n", (int)nth,
                   a.failures, (unsigned long long)a.digest, (int)g.live);
    }
    printf("%s, %s: %d allocations, %d calls tried again\n", device, tried_name[which], (int)calls,
           (int)failures);
    check(right.failures == 0 && failures > 10 && wrong == 0,
          "a call that failed for memory had done nothing");
}

/* The step of an optimiser asks for no memory, wherever a chunk of handles ends, but for the sums of
 * blocks where gradients are clipped by norm: without memory it has counted nothing. */
static void steps_without_memory(double clip_norm)
{
    int failures = 0, wrong = 0;
    for (int handles = 0; handles < 2 * BPI_SLOT_CHUNK; handles += 16) {
        guard g = {0};
        bp_hooks hooks = guard_hooks(&g);
        bp_context *ctx;
        net n;
        int64_t steps = -1;
        bp_status st = bp_open_with("cpu", &hooks, &ctx);
        if (st != BP_OK || net_open(&n, ctx, BP_F32, 0) != BP_OK || net_train(&n, 0, 2) != BP_OK ||
            net_batch(&n, 2) != BP_OK || bp_optimizer_set(n.opt, BP_OPT_L2, 0.1) != BP_OK ||
            bp_optimizer_set(n.opt, BP_OPT_CLIP_NORM, clip_norm) != BP_OK ||
            bp_run(ctx, 0, net_backward, &n) != BP_OK)
            wrong++;
        for (int i = 0; i < handles; i++)
            wrong += bp_tensor_create(ctx, BP_F32, BP_SCALAR) == NULL;
        uint64_t before = net_digest(&n);
        g.fail_at = g.calls + 1;
        g.fail_on = true;
        st = bp_optimizer_step(n.opt);
        g.fail_at = 0;
        failures += st != BP_OK;
        wrong += bp_optimizer_steps(n.opt, &steps) != BP_OK || steps != 2 + (st == BP_OK) ||
                 (st != BP_OK && (net_digest(&n) != before || bp_optimizer_step(n.opt) != BP_OK));
        net_close(&n);
        bp_close(ctx);
    }
    check((failures > 0) == (clip_norm > 0) && wrong == 0,
          "an optimiser's step needs no memory, or has counted nothing without it");
}

/* How many mappings huge pages were asked for in: their flags have "hg". */
static int huge_mappings(void)
{
    char line[4096];
    int n = 0;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f && fgets(line, sizeof line, f))
        n += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg") != NULL;
    if (f)
        fclose(f);
    return n;
}

static void large_tensors(void)
{
    enum { LARGE = 8 << 20 };
    bp_context *ctx;
    if (access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) != 0)
        return;
    check(bp_open("cpu", &ctx) == BP_OK, "a context opens");
    const int before = huge_mappings();
    check(bp_tensor_create(ctx, BP_U8, BP_SHAPE(LARGE / 2)) && huge_mappings() == before,
          "a tensor that a cache holds takes pages as they are");
    check(bp_tensor_create(ctx, BP_U8, BP_SHAPE(LARGE)) && huge_mappings() == before + 1,
          "huge pages are asked for, for a large tensor");
    bp_close(ctx);
}

int main(int argc, char **argv)
{
    for (int which = 0; which < TRIED_COUNT; which++)
        tried_again(argc > 1 ? argv[1] : "cpu", which);
    if (argc > 1)
        return check_end();
    large_tensors();
    steps_without_memory(0);
    steps_without_memory(1);
    steady_state("cpu", BP_F32);
    steady_state("cpu:generic", BP_F64);
    torture(whole_run, false);
    torture(whole_run, true);
    torture(layer_run, false);
    torture(resumed_run, false);
    torture(layer_run, true);
    torture(stores_run, false);
    torture(stores_run, true);
    remove("test_memory.tmp");
    remove("test_memory.run");
    remove("test_memory.run.1");
    return check_end();
}
