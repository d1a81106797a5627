/* The rows of bench_device and `bpcuda bench`: what each makes, a call of it (device_rows.c), and
 * its time (device_measure.c). */
#ifndef BPI_BENCH_DEVICE_ROWS_H
#define BPI_BENCH_DEVICE_ROWS_H

#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <stdio.h>

enum { BUFFERS = 4, ROW_TF32 = 16 }; /* the latter one of `needs` */

typedef struct problem problem;
typedef bp_status (*call_fn)(problem *, int i);

typedef struct row {
    const char *name;
    void (*make)(problem *);
    call_fn call, minus; /* minus, if there is one, is part of call and not of the row */
    bp_tensor *(*op)(problem *, int i);
    int needs;
    double bytes;    /* an element of size[0] x size[1], or a parameter */
    int64_t size[3]; /* rows and columns; or widths of the first, middle and last layers */
    int layers;
} row;

struct problem {
    bp_context *ctx;
    const row *row;
    bp_status made; /* whether all that is wanted could be made */
    int64_t side;   /* of a product */
    double count;   /* elements or parameters of one call */
    int calls;      /* of a step */
    bp_tensor *x[BUFFERS], *target[BUFFERS], *dy, *bias, *labels, *table, *shift, *scale;
    bp_params *params;
    bp_optimizer *adam;
    double seconds[3]; /* the result: median, least, most */
    int64_t nodes, allocations, peak_bytes;
};

extern int quick; /* cut the sizes, for a device that is only simulated */

/* The rows of a size that suits the context's device, and one without a name behind them. The copy
 * comes first: it is what the others are held against. */
const row *device_rows(bp_context *ctx);

/* A run over rows of one device, and where it is told: as lines, as elements of a JSON array, or as
 * both. */
typedef struct device_run {
    const char *device;
    int threads;        /* of the CPU, 0 for all */
    FILE *table, *json; /* either may be NULL */
    int told;           /* rows so far */
    double copy_rate, product_rate; /* a second: bytes of the first row, operations of the best */
} device_run;

/* Makes a row, times it and tells it. False where it failed; a device without the memory for it has
 * not run it, and that is told too. */
bool device_row_run(device_run *run, const row *w);

#endif
