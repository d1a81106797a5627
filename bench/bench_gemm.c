/* The CPU matrix product beside OpenBLAS and oneDNN, as they thread themselves, on the products of
 * dense layers: forward (NT), weight gradient (TN), input gradient (NN).
 *
 *   bench_gemm [--json FILE] [--threads N] [--only GROUP]
 *
 * Contenders take turns within each round, on random data, with the row pitch that the library
 * gives its tensors, the same for all. A row shows medians over the rounds with their least and
 * greatest. Library threads spin for milliseconds after a call, so each turn ends with a pause.
 * Groups: tiny, layers, large (layers of 100 M multiply-adds and more) and held-out, whose shapes
 * nobody tunes on. OpenBLAS picks its kernels by the processor's name; for one it does not know set
 * OPENBLAS_CORETYPE (say SkylakeX) and read both tables. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_setaffinity */
#include <dirent.h>
#include <sched.h>
#include <unistd.h>
#endif

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/view.h"
#include "cpu/gemm.h"

#include "kernel_exec.h"
#include "timing.h"
#ifdef BPI_HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef BPI_HAVE_DNNL
#include <oneapi/dnnl/dnnl.h>
#endif

enum { OURS, OPENBLAS, DNNL, CONTENDERS };
enum { TINY, LAYERS, LARGE, HELD_OUT, GROUPS };
enum { FORWARD, WEIGHT_GRADIENT, INPUT_GRADIENT, FORMS };
enum { MAX_ROUNDS = 15 };

static const char *const contender_name[CONTENDERS] = {"ours", "openblas", "onednn"};
static const char *const group_name[GROUPS] = {"tiny", "layers", "large", "held-out"};
static const char *const form_name[FORMS] = {"forward", "weight gradient", "input gradient"};

static const struct {
    int group, batch, out, in;
} shapes[] = {
    {TINY, 8, 16, 2},          {TINY, 8, 2, 16},          {LAYERS, 32, 10, 128},
    {LAYERS, 32, 128, 784},    {LAYERS, 48, 300, 100},    {LAYERS, 100, 37, 300},
    {LAYERS, 128, 10, 512},    {LAYERS, 128, 512, 512},   {LAYERS, 128, 512, 784},
    {LARGE, 512, 1024, 1024},  {LARGE, 512, 2048, 784},   {LARGE, 512, 2048, 2048},
    {HELD_OUT, 64, 256, 100},  {HELD_OUT, 96, 200, 333},  {HELD_OUT, 128, 300, 784},
    {HELD_OUT, 256, 1000, 512}, {HELD_OUT, 384, 1536, 768}, {HELD_OUT, 1000, 1000, 1000}};

static bp_exec *exec;
static int threads = 2, only = -1;
static double peak; /* GFLOP/s of all threads */
static FILE *json;
static double log_ratio[GROUPS], log_peak[GROUPS];
static int rows[GROUPS], libraries;

static void pause_ms(int ms)
{
    struct timespec t = {0, ms * 1000000L};
    nanosleep(&t, NULL);
}

/* Every thread to a processor of its own: the caller to the first, the helpers of each contender,
 * created one contender after the other, to the following ones. Some kernels wake a helper on the
 * caller's processor and leave it there for milliseconds, which halves any contender at random. */
static void pin_threads(void)
{
#if defined(__linux__)
    DIR *dir = opendir("/proc/self/task");
    int helper = 0;
    for (struct dirent *e; dir && (e = readdir(dir));) {
        int tid = atoi(e->d_name), cpu = 0;
        if (tid <= 0)
            continue;
        if (tid != (int)getpid())
            cpu = threads > 1 ? 1 + helper++ % (threads - 1) : 0;
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        sched_setaffinity(tid, sizeof set, &set);
    }
    if (dir)
        closedir(dir);
#endif
}

static int present(int who)
{
#ifndef BPI_HAVE_OPENBLAS
    if (who == OPENBLAS)
        return 0;
#endif
#ifdef BPI_HAVE_DNNL
    if (who == DNNL)
        return !BPI_F64;
#else
    if (who == DNNL)
        return 0;
#endif
    return who >= OURS;
}

static void call(int who, const bpi_gemm *g)
{
    if (who == OURS && BPI_CPU(gemm)(exec, g) != BP_OK)
        abort();
#ifdef BPI_HAVE_OPENBLAS
    if (who == OPENBLAS) {
        int ta = g->a_col != 1, tb = g->b_col != 1;
#if BPI_F64
        cblas_dgemm(
#else
        cblas_sgemm(
#endif
            CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
            (int)g->m, (int)g->n, (int)g->k, 1, g->a, (int)(ta ? g->a_col : g->a_row), g->b,
            (int)(tb ? g->b_col : g->b_row), 0, g->c, (int)g->c_row);
    }
#endif
#if defined(BPI_HAVE_DNNL) && !BPI_F64
    if (who == DNNL) {
        int ta = g->a_col != 1, tb = g->b_col != 1;
        dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', g->m, g->n, g->k, 1, g->a,
                   ta ? g->a_col : g->a_row, g->b, tb ? g->b_col : g->b_row, 0, g->c, g->c_row);
    }
#endif
}

/* Seconds a call of one turn: warm, then about a millisecond or three calls. */
static double turn(int who, const bpi_gemm *g)
{
    call(who, g);
    double start = seconds();
    call(who, g);
    double one = seconds() - start;
    int calls = one > 4e-4 ? 3 : (int)(1.2e-3 / (one > 5e-8 ? one : 5e-8));
    if (one < 4e-4) /* the pool and the clock of the processor settle */
        for (int i = 0; i < calls / 4; i++)
            call(who, g);
    start = seconds();
    for (int i = 0; i < calls; i++)
        call(who, g);
    double t = (seconds() - start) / calls;
    pause_ms(who == OPENBLAS ? 30 : who == DNNL ? 10 : 1);
    return t;
}

typedef real peak_vec __attribute__((vector_size(BPI_VECTOR_BYTES)));
enum { PEAK_CHAINS = 12, PEAK_STEPS = 4000000 };

/* Multiply-adds on registers alone, in enough chains to hide their latency. */
static void peak_chain(real *to)
{
    peak_vec c[PEAK_CHAINS], x = (peak_vec){0} + (real)0.5, y = (peak_vec){0} + (real)0.25;
    _Pragma("GCC unroll 16") for (int i = 0; i < PEAK_CHAINS; i++)
        c[i] = y;
    for (int step = 0; step < PEAK_STEPS; step++) {
        _Pragma("GCC unroll 16") for (int i = 0; i < PEAK_CHAINS; i++)
            c[i] = c[i] * x + y;
#if defined(__x86_64__)
        _Pragma("GCC unroll 16") for (int i = 0; i < PEAK_CHAINS; i++)
            __asm__ volatile("" : "+x"(c[i]));
#endif
    }
    real sum = 0;
    _Pragma("GCC unroll 16") for (int i = 0; i < PEAK_CHAINS; i++)
        sum += c[i][0];
    *(volatile real *)to = sum;
}

/* Of one thread, times the threads: the libraries' helpers may still be spinning. */
static double measure_peak(void)
{
    double best = 0, lanes = BPI_VECTOR_BYTES / (double)sizeof(real);
    real sink[1];
    for (int round = 0; round < 7; round++) {
        double start = seconds();
        peak_chain(sink);
        double rate = 2.0 * PEAK_CHAINS * PEAK_STEPS * lanes * threads / (seconds() - start) * 1e-9;
        if (rate > best)
            best = rate;
    }
    return best;
}

static real *random_array(int64_t n)
{
    static uint64_t seed = 1;
    real *p = aligned_alloc(64, ((size_t)n * sizeof *p + 127) / 64 * 64);
    if (!p)
        abort();
    for (int64_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        p[i] = (real)((double)(seed >> 33) / 2147483648.0 - 0.5);
    }
    return p;
}

static void report(int group, int form, const bpi_gemm *g, double t[CONTENDERS][MAX_ROUNDS],
                   int rounds)
{
    double flop = 2.0 * (double)g->m * (double)g->n * (double)g->k, best = 0;
    int mid = rounds / 2, top = rounds - 1;
    printf("%-8s %-15s %5d %5d %5d |", group_name[group], form_name[form], (int)g->m, (int)g->n,
           (int)g->k);
    for (int who = 0; who < CONTENDERS; who++) {
        if (!present(who))
            continue;
        qsort(t[who], (size_t)rounds, sizeof(double), ascending);
        printf(" %9.2f (%.2f-%.2f)", t[who][mid] * 1e6, t[who][0] * 1e6, t[who][top] * 1e6);
        if (who != OURS && (best == 0 || t[who][mid] < best))
            best = t[who][mid];
    }
    double rate = flop / t[OURS][mid] * 1e-9;
    printf(" | %6.1f GFLOP/s, %4.2f of peak", rate, rate / peak);
    if (best > 0)
        printf(", library / ours %.2f", best / t[OURS][mid]);
    printf("\n");
    fflush(stdout);
    log_ratio[group] += best > 0 ? log(best / t[OURS][mid]) : 0;
    log_peak[group] += log(rate / peak);
    static int first = 1;
    if (json) {
        fprintf(json, "%s\n    {\"group\": \"%s\", \"form\": \"%s\"", first ? "" : ",",
                group_name[group], form_name[form]);
        fprintf(json, ", \"m\": %d, \"n\": %d, \"k\": %d", (int)g->m, (int)g->n, (int)g->k);
        for (int who = 0; who < CONTENDERS; who++)
            if (present(who))
                fprintf(json, ", \"%s_ms\": [%.6g, %.6g, %.6g]", contender_name[who],
                        t[who][mid] * 1e3, t[who][0] * 1e3, t[who][top] * 1e3);
        fprintf(json, ", \"gflops\": %.4g, \"of_peak\": %.3f}", rate, rate / peak);
        first = 0;
    }
    rows[group]++;
}

static void run_shape(int group, int form, int batch, int out, int in)
{
    bpi_gemm g = {0};
    int ta = form == WEIGHT_GRADIENT, tb = form == FORWARD;
    g.m = ta ? out : batch;
    g.n = tb ? out : in;
    g.k = form == FORWARD ? in : ta ? batch : out;
    int64_t a_pitch = bpi_row_pitch(ta ? g.m : g.k, BPI_REAL_DTYPE);
    int64_t b_pitch = bpi_row_pitch(tb ? g.k : g.n, BPI_REAL_DTYPE);
    g.a_row = ta ? 1 : a_pitch;
    g.a_col = ta ? a_pitch : 1;
    g.b_row = tb ? 1 : b_pitch;
    g.b_col = tb ? b_pitch : 1;
    g.c_row = bpi_row_pitch(g.n, BPI_REAL_DTYPE);
    real *a = random_array(a_pitch * (ta ? g.k : g.m));
    real *b = random_array(b_pitch * (tb ? g.n : g.k));
    g.a = a;
    g.b = b;
    g.c = random_array(g.c_row * g.m);
    double t[CONTENDERS][MAX_ROUNDS];
    int rounds = (double)g.m * (double)g.n * (double)g.k > 1e8 ? 7 : MAX_ROUNDS;
    for (int round = 0; round < rounds; round++)
        for (int who = 0; who < CONTENDERS; who++)
            if (present(who))
                t[who][round] = turn(who, &g);
    report(group, form, &g, t, rounds);
    free(a), free(b), free(g.c);
}

/* Geometric means; "non-tiny" is layers and large together. */
static void summary(const char *name, int from, int to)
{
    double ratio = 0, of_peak = 0;
    int n = 0;
    for (int i = from; i <= to; i++)
        ratio += log_ratio[i], of_peak += log_peak[i], n += rows[i];
    if (!n)
        return;
    ratio = exp(ratio / n);
    of_peak = exp(of_peak / n);
    printf("%-9s %2d rows: %.3f of peak", name, n, of_peak);
    if (libraries)
        printf(", best library / ours %.3f", ratio);
    printf("\n");
    if (json) {
        static int first = 1;
        fprintf(json, "%s\n    \"%s\": {\"rows\": %d, \"of_peak\": %.3f", first ? "" : ",", name, n,
                of_peak);
        first = 0;
        if (libraries)
            fprintf(json, ", \"best_library_over_ours\": %.3f", ratio);
        fprintf(json, "}");
    }
}

/* Lets every contender create its threads, then pins them. */
static void start_threads(void)
{
    enum { SIZE = 256 };
    real *p = random_array(3 * SIZE * SIZE);
    bpi_gemm g = {.m = SIZE, .n = SIZE, .k = SIZE, .a = p, .a_row = SIZE, .a_col = 1,
                  .b = p + SIZE * SIZE, .b_row = SIZE, .b_col = 1, .c = p + 2 * SIZE * SIZE,
                  .c_row = SIZE};
    for (int who = 0; who < CONTENDERS; who++)
        if (present(who))
            call(who, &g);
    free(p);
    pin_threads();
}

static void describe(char *cpu, char *libs, size_t room)
{
    snprintf(cpu, room, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[200];
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10)) {
            line[strcspn(line, "\n")] = 0;
            snprintf(cpu, room, "%.100s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
    int at = 0;
    libs[0] = 0;
#ifdef BPI_HAVE_OPENBLAS
    openblas_set_num_threads(threads);
    at += snprintf(libs, room, "%s as %s", openblas_get_config(), openblas_get_corename());
    libraries++;
#endif
#ifdef BPI_HAVE_DNNL
    const dnnl_version_t *v = dnnl_version();
    snprintf(libs + at, room - (size_t)at, "%soneDNN %d.%d.%d", at ? "; " : "", v->major, v->minor,
             v->patch);
    libraries += !BPI_F64;
#endif
    (void)at;
}

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--json") && !(json = fopen(argv[i + 1], "w")))
            return perror(argv[i + 1]), 1;
        if (!strcmp(argv[i], "--threads"))
            threads = atoi(argv[i + 1]);
        for (int g = 0; g < GROUPS && !strcmp(argv[i], "--only"); g++)
            only = strcmp(argv[i + 1], group_name[g]) ? only : g;
    }
    char cpu[300], libs[300];
    describe(cpu, libs, sizeof cpu);
    exec = kernel_exec(threads);
    start_threads();
    peak = measure_peak();
    printf("%s, %s, level %s, %s, %d threads, FMA peak %.1f GFLOP/s\n%s\nmedian us (least-most):",
           cpu, TEXT(BPI_REAL), TEXT(BPI_LEVEL), __VERSION__, threads, peak, libs);
    for (int who = 0; who < CONTENDERS; who++)
        printf("%s", present(who) ? contender_name[who] : ""), printf(" ");
    printf("\n");
    if (json)
        fprintf(json,
                "{\"cpu\": \"%s\", \"type\": \"%s\", \"level\": \"%s\", \"compiler\": \"%s\",\n"
                "  \"threads\": %d, \"libraries\": \"%s\", \"peak_gflops\": %.1f,\n"
                "  \"ms\": \"[median, least, most]\", \"rows\": [",
                cpu, TEXT(BPI_REAL), TEXT(BPI_LEVEL), __VERSION__, threads, libs, peak);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int form = 0; form < FORMS; form++)
            if (only < 0 || only == shapes[s].group)
                run_shape(shapes[s].group, form, shapes[s].batch, shapes[s].out, shapes[s].in);
    if (json)
        fprintf(json, "],\n  \"means\": {");
    summary("tiny", TINY, TINY);
    summary("non-tiny", LAYERS, LARGE);
    summary("large", LARGE, LARGE);
    summary("held-out", HELD_OUT, HELD_OUT);
    if (json)
        fprintf(json, "}}\n"), fclose(json);
    bp_close(kernel_context);
    return 0;
}
