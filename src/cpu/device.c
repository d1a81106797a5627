/* The CPU as a device: the choice of an instruction level, memory, and threads.
 *
 * The kernels exist once per compute type and level: generic runs everywhere; v3 (AVX2, FMA) and v4
 * (AVX-512) are built for x86-64 only and need a processor and a system that have all of it.
 * Memory comes from the host's hooks where it gave any, and so do threads; of our own, what no cache
 * holds lies in huge pages where the system has them on request. Uploads and downloads are copies,
 * nothing is ever pending. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* madvise */
#endif
#include "door/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "door/fpstate.h"
#include "cpu/pool.h"

enum { HUGE_PAGE = 2 << 20, LARGE = 4 * HUGE_PAGE };

typedef struct cpu_device {
    bpi_device base; /* first, so that one pointer serves both */
    bp_hooks hooks;
    bpi_pool *pool; /* NULL: the host's parallel_for */
    const char *level;
    bpi_op_kernels f32[BPI_OP_COUNT], f64[BPI_OP_COUNT];
} cpu_device;

/* --- instruction levels ------------------------------------------------------------------ */

typedef struct cpu_level {
    const char *name, *text;
    void (*fill_f32)(bpi_op_kernels *table), (*fill_f64)(bpi_op_kernels *table); /* table.c */
    int (*runs_here)(void); /* NULL: everywhere */
} cpu_level;

#if BPI_HAVE_X86_LEVELS
#include <cpuid.h>

/* The compiler's own check knows AVX2 and FMA, and that the system saves the registers; not every
 * compiler's knows the small ones, without which lzcnt would run as another instruction. */
static int runs_v3(void)
{
    unsigned a, b, c = 0, d, ext = 0;
    __get_cpuid(1, &a, &b, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &ext, &d);
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
           (c & bit_MOVBE) && (c & bit_F16C) && (ext & bit_LZCNT);
}

static int runs_v4(void)
{
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

#define TABLES(level)                                \
    void bpi_cpu_fill_f32_##level(bpi_op_kernels *); \
    void bpi_cpu_fill_f64_##level(bpi_op_kernels *);
#define LEVEL(level, text, runs_here) \
    {#level, text, bpi_cpu_fill_f32_##level, bpi_cpu_fill_f64_##level, runs_here}

TABLES(generic)
#if BPI_HAVE_X86_LEVELS
TABLES(v3)
TABLES(v4)
#endif

static const cpu_level levels[] = { /* best first */
#if BPI_HAVE_X86_LEVELS
    LEVEL(v4, "x86-64-v4", runs_v4),
    LEVEL(v3, "x86-64-v3", runs_v3),
#endif
    LEVEL(generic, "generic", NULL),
};

static const cpu_level *find_level(const char *name, char *why)
{
    snprintf(why, 160, "no instruction level \"%.40s\" in this build, which has generic%s",
             name ? name : "", sizeof levels > sizeof *levels ? ", v3 and v4" : " alone");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const cpu_level *l = &levels[i];
        int runs = !l->runs_here || l->runs_here();
        if (name ? strcmp(name, l->name) == 0 : runs) {
            if (!runs)
                snprintf(why, 160, "this machine does not run %s code", l->text);
            return runs ? l : NULL;
        }
    }
    return NULL;
}

/* --- calls ------------------------------------------------------------------------------- */

static void *default_alloc(void *user, size_t bytes)
{
    (void)user;
    void *p = NULL;
    if (posix_memalign(&p, bytes < LARGE ? 64 : HUGE_PAGE, bytes ? bytes : 1) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= LARGE) /* refused or not, the memory is there */
        (void)madvise(p, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return p;
}

static void default_free(void *user, void *p, size_t bytes)
{
    (void)user, (void)bytes;
    free(p);
}

static void *cpu_alloc(bpi_device *device, size_t bytes)
{
    cpu_device *d = (cpu_device *)device;
    return d->hooks.alloc(d->hooks.user, bytes);
}

static void cpu_free(bpi_device *device, void *p, size_t bytes)
{
    cpu_device *d = (cpu_device *)device;
    if (p)
        d->hooks.free(d->hooks.user, p, bytes);
}

static bp_status cpu_copy(bpi_device *device, void *dst, const void *src, size_t bytes)
{
    (void)device;
    if (bytes && src)
        memcpy(dst, src, bytes);
    else if (bytes)
        memset(dst, 0, bytes);
    return BP_OK;
}

/* The host's threads are in whatever floating-point state the host likes. */
typedef struct host_job {
    bp_block_fn body;
    void *arg;
} host_job;

static void host_block(void *arg, int64_t block)
{
    const host_job *job = arg;
    bpi_fp_state own = bpi_fp_enter();
    job->body(job->arg, block);
    bpi_fp_leave(own);
}

static void cpu_parallel_for(bpi_device *device, int64_t blocks, bp_block_fn body, void *arg)
{
    cpu_device *d = (cpu_device *)device;
    host_job job = {body, arg};
    if (d->pool)
        bpi_pool_run(d->pool, blocks, body, arg);
    else
        d->hooks.parallel_for(d->hooks.user, blocks, host_block, &job);
}

/* With the host's own parallel_for the number of threads is the host's. */
static bp_status cpu_set_threads(bpi_device *device, int32_t threads)
{
    cpu_device *d = (cpu_device *)device;
    char text[32] = "the host's threads";
    bp_status st = threads < 0 ? BP_ERR_ARG : BP_OK;
    if (d->pool) {
        st = bpi_pool_set_threads(d->pool, threads);
        int n = bpi_pool_threads(d->pool);
        snprintf(text, sizeof text, "%d thread%s", n, n == 1 ? "" : "s");
    }
    snprintf(device->name, sizeof device->name, "cpu: %s, %s", d->level, text);
    return st;
}

static void cpu_count(bpi_device *device, bp_stats *stats)
{
    cpu_device *d = (cpu_device *)device;
    stats->helped_blocks += d->pool ? bpi_pool_helped(d->pool) : 0;
}

static void cpu_close(bpi_device *device)
{
    cpu_device *d = (cpu_device *)device;
    bpi_pool_free(d->pool);
    d->hooks.free(d->hooks.user, d, sizeof *d);
}

bp_status bpi_cpu_open(const char *level, const bp_hooks *hooks, bpi_device **device, char *why)
{
    static const bpi_device_calls calls = {
        .alloc = cpu_alloc, .free = cpu_free, .upload = cpu_copy, .download = cpu_copy,
        .parallel_for = cpu_parallel_for, .set_threads = cpu_set_threads, .count = cpu_count,
        .close = cpu_close};
    bp_hooks h = hooks ? *hooks : (bp_hooks){0};
    const cpu_level *found = find_level(level, why);
    *device = NULL;
    if (!found)
        return BP_ERR_DEVICE;
    if (!h.alloc || !h.free) { /* one without the other would mix two heaps */
        h.alloc = default_alloc;
        h.free = default_free;
    }
    cpu_device *d = h.alloc(h.user, sizeof *d);
    if (!d)
        return BP_ERR_NOMEM;
    memset(d, 0, sizeof *d);
    d->hooks = h;
    d->level = found->text;
    d->base.calls = &calls;
    d->base.dl_type = BPI_DL_CPU;
    d->base.f32 = d->f32;
    d->base.f64 = d->f64;
    found->fill_f32(d->f32);
    found->fill_f64(d->f64);
    if (!h.parallel_for && !(d->pool = bpi_pool_create(0, h.alloc, h.free, h.user))) {
        cpu_close(&d->base);
        return BP_ERR_NOMEM;
    }
    *device = &d->base;
    return cpu_set_threads(&d->base, 0);
}
