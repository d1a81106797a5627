/* `bpcuda bench`: what this machine does with the library, in less than two minutes (bench.c). */
#ifndef BPI_BENCH_H
#define BPI_BENCH_H

#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct bench_settings {
    const char *device; /* a name for bp_open */
    int threads;        /* of the CPU, 0 for all */
    bool json;          /* one object instead of a table */
} bench_settings;

/* Measures, in this order: the most memory of a process that trains on the CPU, the time of
 * bp_open, kernels beside the copy rate of memory (device_rows.h), training steps of three nets
 * (step_net.h). Writes to `out` as it goes. A failure gives its status and, in text[room], why; the
 * caller looks at ferror(out). The process that trains is a fork of this one, which must have no
 * context open. */
bp_status bench_run(const bench_settings *set, FILE *out, char *text, size_t room);

#endif
