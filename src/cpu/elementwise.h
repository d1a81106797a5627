/* Elementwise kernels: y = f(a), f(a, b) or f(a, b, c), with broadcasting and any strides.
 *
 * A kernel is its formula over a run of neighbours and nothing else:
 *
 *     BPI_RUN(add_run, real, real, out[i] = u[i] + v[i])
 *
 * is a function, one loop, which the compiler makes a vector loop. bpi_elementwise()
 * (elementwise.c) cuts the operands into such runs. */
#ifndef BPI_CPU_ELEMENTWISE_H
#define BPI_CPU_ELEMENTWISE_H

#include "cpu/loop.h"
#include "door/kernel_params.h"

enum { BPI_INPUTS = BPI_OPERANDS - 1 }; /* at most */

/* y[i] = f(in[0][i], in[1][i], in[2][i]) for i < n; y may be an input. k: parameters of f. */
typedef void (*bpi_run_fn)(void *y, const void *const in[BPI_INPUTS], int64_t n, const double *k);

/* y = f of n_in inputs that broadcast to it. */
bp_status BPI_CPU(elementwise)(bp_exec *ex, bpi_run_fn run, int64_t grain, const bp_view *y,
                               const bp_view *in, int n_in, const double *k);
#define bpi_elementwise BPI_CPU(elementwise)

/* static void name(...), a bpi_run_fn. The body, for each element, sets out[i], of type Y, from
 * u[i], v[i] and w[i], of type A, those of them that are; k as above. */
#define BPI_RUN(name, Y, A, ...)                                                             \
    static void name(void *to, const void *const in[BPI_INPUTS], int64_t n, const double *k) \
    {                                                                                        \
        Y *out = to;                                                                         \
        const A *u = in[0], *v = in[1], *w = in[2];                                          \
        (void)v, (void)w, (void)k;                                                           \
        BPI_INDEPENDENT                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                    \
            __VA_ARGS__;                                                                     \
        }                                                                                    \
    }

/* A bp_kernel_fn that runs `run` over its inputs; k: an expression of `params`. */
#define BPI_ELEMENTWISE(name, run, grain, n_in, k)                                             \
    static bp_status name(bp_exec *ex, const bp_view *in, const bp_view *out,                  \
                          const void *params)                                                  \
    {                                                                                          \
        (void)params;                                                                          \
        return bpi_elementwise(ex, run, grain, out, in, n_in, k);                              \
    }

#endif
