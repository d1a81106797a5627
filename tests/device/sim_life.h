/* A short life of a context that convolves, for sim_plans.c: what it computed, and how
 * often cuDNN was asked for that. */
#ifndef BPI_SIM_LIFE_H
#define BPI_SIM_LIFE_H

#include "bpcuda/bpcuda.h"

enum { OUTPUTS = 4, MOST = 2048 };
typedef struct life {
    bp_status made, before, after; /* of the work, of sharing before it and after it */
    char text[512];                /* of the last error */
    int64_t asked;
    double value[OUTPUTS][MOST];
} life;

/* Images of this width; `file` is shared before and after, if there is one. */
enum { RECORDED = 1, TF32 = 2 };
life live(const char *file, int64_t width, int how);

int same(const life *a, const life *b);     /* equal bits */
int close_to(const life *a, const life *b); /* up to another order of f32 sums */

#endif
