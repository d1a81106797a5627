/* Ours, as a contender of compare.py, by kinds of work. A failure ends the program with a text. */
#ifndef BPI_BENCH_OURS_H
#define BPI_BENCH_OURS_H

#include <bpcuda/bpcuda.h>

#include "contender.h"

void check(bp_status st, bp_context *ctx);
bp_context *opened(int threads);

extern const contender ours_online, ours_predict; /* ours_online.c */
extern const contender ours_op, ours_one, ours_adam, ours_copy, ours_product; /* ours_ops.c */

#endif
