/* Elementwise kernels: y = f(a), f(a, b) or f(a, b, c), with broadcasting and any strides.
 *
 * A kernel is its formula over a run of neighbours and nothing else:
 *
 *     BPI_RUN(add_run, real, real, out[i] = u[i] + v[i])
 *
 * is a function, one loop, of which the compiler makes vectors. A run is a number of units, and an
 * operand of it lies side by side or is one unit that repeats: bpi_elementwise() (elementwise.c)
 * cuts the operands into such runs. */
#ifndef BPI_CPU_ELEMENTWISE_H
#define BPI_CPU_ELEMENTWISE_H

#include "cpu/loop.h"
#include "cpu/vec.h"
#include "door/kernel_params.h"

enum { BPI_INPUTS = BPI_OPERANDS - 1, /* at most */
       UNIT = BPI_VECTOR_BYTES < 32 ? 2 * LANES : LANES, /* elements */
       BPI_ELEMENTWISE_JOB = 576 /* bytes, for bpi_kernel */ };

typedef struct bpi_operand {
    const void *at;
    int64_t step; /* UNIT, or 0: the UNIT elements at `at` are all of them */
} bpi_operand;

/* y[i] = f(in[0][i], in[1][i], in[2][i]) for i < n, a multiple of UNIT; y may be an input. k:
 * parameters of f. Inputs that f does not have are the first again. `past` the caches (vec_rows.h):
 * then y is aligned to a vector, and stream_end() follows. */
typedef void (*bpi_run_fn)(void *y, const bpi_operand in[BPI_INPUTS], int64_t n, const double *k,
                           int past);

/* y = f of n_in inputs that broadcast to it, in blocks of `grain` elements. */
bp_status BPI_CPU(elementwise)(bp_exec *ex, bpi_run_fn run, int64_t grain, const bp_view *y,
                               const bp_view *in, int n_in, const double *k);
#define bpi_elementwise BPI_CPU(elementwise)

/* static void name(...), a bpi_run_fn. The body, for each element, sets out[i], of type Y, from
 * u[i], v[i] and w[i], of type A, those of them that are; k as above. */
#define BPI_RUN(name, Y, A, ...) BPI_RUN_UNITS(name, Y, A, , BPI_UNIT(__VA_ARGS__))
#define BPI_UNIT(...)                                                                         \
    BPI_INDEPENDENT                                                                           \
    for (int i = 0; i < UNIT; i++) {                                                          \
        __VA_ARGS__;                                                                          \
    }

/* Where units may go past the caches they are made in registers, and go to y from there. */
INLINE void bpi_put_unit(void *to, const void *made, int bytes, int past)
{
    if (bytes != (int)BPI_VECTOR_BYTES)
        __builtin_memcpy(to, made, (size_t)bytes);
    else if (past)
        stream(to, load(made));
    else
        store(to, load(made));
}

/* The same of a statement that does UNIT elements; it stands behind `begin`. */
#define BPI_RUN_UNITS(name, Y, A, begin, ...)                                                 \
    static void name(void *to, const bpi_operand in[BPI_INPUTS], int64_t n, const double *k,  \
                     int past)                                                                \
    {                                                                                         \
        const A *u = in[0].at, *v = in[1].at, *w = in[2].at;                                  \
        const int64_t u_step = in[0].step, v_step = in[1].step, w_step = in[2].step;          \
        (void)k, (void)past;                                                                  \
        begin;                                                                                \
        Y *end_ = (Y *)to + n;                                                                \
        for (Y *to_ = to; to_ < end_; to_ += UNIT, u += u_step, v += v_step, w += w_step) {   \
            _Alignas(64) Y made_[UNIT];                                                       \
            Y *out = STREAMS ? made_ : to_;                                                   \
            __VA_ARGS__                                                                       \
            if (STREAMS)                                                                      \
                bpi_put_unit(to_, made_, sizeof made_, past);                                 \
        }                                                                                     \
    }

/* The entry of a kernel made by it. */
#define BPI_ELEMENTWISE_ENTRY(name) \
    {.fn = name, .layout = BPI_ANY, .job_bytes = BPI_ELEMENTWISE_JOB}

/* A bp_kernel_fn that runs `run` over its inputs; k: an expression of `params`. */
#define BPI_ELEMENTWISE(name, run, grain, n_in, k)                                             \
    static bp_status name(bp_exec *ex, const bp_view *in, const bp_view *out,                  \
                          const void *params)                                                  \
    {                                                                                          \
        (void)params;                                                                          \
        return bpi_elementwise(ex, run, grain, out, in, n_in, k);                              \
    }

#endif
