/* Rows, and sums along them in a fixed order.
 *
 * A run is summed in BPI_LANES partial sums, element i in lane i mod BPI_LANES, which are then
 * folded in halves: the order is fixed and plain C is enough for vectors. f32 is summed in double,
 * which costs nothing next to memory. */
#ifndef BPI_CPU_REDUCE_H
#define BPI_CPU_REDUCE_H

#include <math.h>

#include "cpu/kernel.h"

enum { BPI_LANES = 32 };

/* --- rows -------------------------------------------------------------------------------- */

typedef struct bpi_rows {
    real *data;
    int64_t n, size, pitch; /* rows, elements of one, elements from one to the next */
    int64_t per_block;      /* rows */
} bpi_rows;

static inline real *bpi_row(const bpi_rows *r, int64_t i)
{
    return r->data + i * r->pitch;
}

/* A view in BPI_ROWS as rows: the first `outer` axes count them, the others are one. */
static inline bpi_rows bpi_rows_of(const bp_view *v, int32_t outer)
{
    bpi_rows r = {v->data, 1, 1, 0, 1};
    for (int32_t i = 0; i < v->shape.ndim; i++)
        *(i < outer ? &r.n : &r.size) *= v->shape.dim[i];
    r.pitch = v->shape.ndim == 2 ? v->stride[0] : r.size;
    return r;
}

/* Cuts rows into blocks of about `grain` elements, whose number is the result. */
static inline int64_t bpi_rows_cut(bpi_rows *r, int64_t grain)
{
    r->per_block = at_least(grain / at_least(r->size, 1), 1);
    return parts(r->n, r->per_block);
}

/* The row that ends a block. */
static inline int64_t bpi_rows_end(const bpi_rows *r, int64_t block)
{
    return at_most((block + 1) * r->per_block, r->n);
}

/* Bytes of elements; between rows may lie others. */
static inline int64_t bpi_rows_bytes(const bpi_rows *r)
{
    return r->n * r->size * (int64_t)sizeof(real);
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

#endif
