/* Rows, and sums along them in a fixed order.
 *
 * A run is summed in BPI_LANES partial sums, element i in lane i mod BPI_LANES, which are then
 * folded in halves: the order is fixed and plain C is enough for vectors. f32 is summed in double,
 * which costs nothing next to memory; only e^x, which is bound by arithmetic, is summed in real for
 * BPI_EXP_CHUNK elements (16 a lane) before it goes to double. */
#ifndef BPI_CPU_REDUCE_H
#define BPI_CPU_REDUCE_H

#include <math.h>

#include "cpu/kernel.h"
#include "cpu/vmath.h"

enum { BPI_LANES = 32, BPI_EXP_CHUNK = 512 };
#define BPI_SUM_ADD (1u << 31) /* in bpi_sum_params.axes, for linear's db: y += the sum */

static inline int64_t bpi_at_most(int64_t n, int64_t most) { return n < most ? n : most; }
static inline int64_t bpi_at_least(int64_t n, int64_t least) { return n > least ? n : least; }
static inline int64_t bpi_parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* --- rows -------------------------------------------------------------------------------- */

typedef struct bpi_rows {
    real *data;
    int64_t n, size, pitch; /* rows, elements of one, elements from one to the next */
} bpi_rows;

static inline real *bpi_row(const bpi_rows *r, int64_t i)
{
    return r->data + i * r->pitch;
}

/* A view in BPI_ROWS as rows along its last axis. */
static inline bpi_rows bpi_rows_of(const bp_view *v)
{
    int32_t last = v->shape.ndim - 1;
    bpi_rows r = {v->data, 1, last < 0 ? 1 : v->shape.dim[last], 0};
    for (int32_t i = 0; i < last; i++)
        r.n *= v->shape.dim[i];
    r.pitch = last == 1 ? v->stride[0] : r.size;
    return r;
}

/* --- runs -------------------------------------------------------------------------------- */

static inline double bpi_fold(const double acc[BPI_LANES])
{
    double a[16], b[8], c[4];
    for (int j = 0; j < 16; j++)
        a[j] = acc[j] + acc[j + 16];
    for (int j = 0; j < 8; j++)
        b[j] = a[j] + a[j + 8];
    for (int j = 0; j < 4; j++)
        c[j] = b[j] + b[j + 4];
    return (c[0] + c[2]) + (c[1] + c[3]);
}

static inline double bpi_run_sum(const real *x, int64_t n)
{
    double acc[BPI_LANES] = {0}, rest = 0;
    int64_t i = 0;
    for (; i + BPI_LANES <= n; i += BPI_LANES)
        for (int j = 0; j < BPI_LANES; j++)
            acc[j] += (double)x[i + j];
    for (int64_t j = i; j < n; j++)
        rest += (double)x[j];
    return i ? bpi_fold(acc) + rest : rest;
}

/* The largest of x, NaN left out; -Inf if there is none. */
static inline real bpi_run_max(const real *x, int64_t n)
{
    real acc[BPI_LANES], max = -(real)INFINITY;
    int64_t i = 0;
    if (n >= BPI_LANES) {
        for (int j = 0; j < BPI_LANES; j++)
            acc[j] = max;
        for (; i + BPI_LANES <= n; i += BPI_LANES)
            for (int j = 0; j < BPI_LANES; j++)
                acc[j] = x[i + j] > acc[j] ? x[i + j] : acc[j];
        for (int j = 0; j < 8; j++) {
            real a = acc[j] > acc[j + 8] ? acc[j] : acc[j + 8];
            real b = acc[j + 16] > acc[j + 24] ? acc[j + 16] : acc[j + 24];
            acc[j] = a > b ? a : b;
        }
        for (int j = 0; j < 8; j++)
            max = acc[j] > max ? acc[j] : max;
    }
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

/* The sum of e^(x - max); e, if not NULL, takes the terms. What does not fill the lanes goes
 * through them as one shorter vector, padded with e^-Inf = 0. */
static inline double bpi_run_exp(real *e, const real *x, int64_t n, real max)
{
    double total[BPI_LANES] = {0}, rest[4] = {0};
    real term[BPI_LANES];
    int64_t i = 0;
    while (n - i >= BPI_LANES) {
        int64_t end = i + bpi_at_most(n - i, BPI_EXP_CHUNK) / BPI_LANES * BPI_LANES;
        real acc[BPI_LANES] = {0};
        for (; i < end; i += BPI_LANES) {
            for (int j = 0; j < BPI_LANES; j++) {
                term[j] = bpi_exp(x[i + j] - max);
                acc[j] += term[j];
            }
            if (e)
                for (int j = 0; j < BPI_LANES; j++)
                    e[i + j] = term[j];
        }
        for (int j = 0; j < BPI_LANES; j++)
            total[j] += (double)acc[j];
    }
    if (i < n) {
        int left = (int)(n - i), padded = (left + 7) / 8 * 8;
        for (int j = 0; j < padded; j++)
            term[j] = j < left ? x[i + j] : -(real)INFINITY;
        for (int j = 0; j < padded; j++)
            term[j] = bpi_exp(term[j] - max);
        for (int j = 0; j < padded; j += 4)
            for (int k = 0; k < 4; k++)
                rest[k] += (double)term[j + k];
        for (int j = 0; e && j < left; j++)
            e[i + j] = term[j];
    }
    return (n < BPI_LANES ? 0 : bpi_fold(total)) + ((rest[0] + rest[2]) + (rest[1] + rest[3]));
}

#endif
