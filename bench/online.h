/* What the contenders of online learning share: a net of one hidden layer of tanh, where it begins,
 * and samples. A learner takes one step on one sample and gives the loss it had before, the sum of
 * the squared errors of the outputs; or it only says the first of them (online.c). */
#ifndef BPI_BENCH_ONLINE_H
#define BPI_BENCH_ONLINE_H

#include <stdbool.h>

#include "contender.h"

#define ONLINE_RATE 0.01 /* of that loss */
enum { ONLINE_MOST = 64, ONLINE_SAMPLES = 256 };

typedef struct online_start {
    int in, hidden, out;                                    /* each at most ONLINE_MOST */
    float w[2][ONLINE_MOST * ONLINE_MOST], b[2][ONLINE_MOST]; /* w: [to, from] */
    float sample[ONLINE_SAMPLES][2 * ONLINE_MOST];          /* x, then the target */
} online_start;

/* A way to learn, or to predict. */
typedef struct online_learner {
    void *(*open)(const online_start *start);
    float (*step)(void *self, const online_start *start, const float *sample);
    void (*close)(void *self);
} online_learner;

/* The work of kind `online` or `predict`, as a contender's; `writes`: it draws the start and
 * writes it. */
const char *online_open(const work *w, const online_learner *learner, bool writes, void **self);
float online_loss(void *self, int64_t steps);
double online_run(void *self, int64_t calls);
void online_close(void *self);

#endif
