/* The rows of bench_device: what each makes, and a call of it (device_rows.c). */
#ifndef BPI_BENCH_DEVICE_ROWS_H
#define BPI_BENCH_DEVICE_ROWS_H

#include <bpcuda/bpcuda.h>

enum { BUFFERS = 4 };

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

/* The copy comes first: it is what the others are held against. */
extern const row device_rows[];
extern const int device_row_count;

#endif
