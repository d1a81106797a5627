/* What the learners of bench_online share: a net of one hidden layer of tanh, where it begins, and
 * samples. A learner takes one step on one sample and gives the loss it had before, the sum of the
 * squared errors of the outputs; or it only says the first of them. */
#ifndef BPI_BENCH_ONLINE_H
#define BPI_BENCH_ONLINE_H

#include <stdint.h>

#define ONLINE_RATE 0.01   /* of that loss */
#define ONLINE_AGREES 1e-4 /* losses of the same steps by another rounding, as a share */
enum { ONLINE_MOST = 64, ONLINE_SAMPLES = 256 };

typedef struct online_net {
    int in, hidden, out; /* each at most ONLINE_MOST */
} online_net;

typedef struct online_start { /* w[k]: [to, from], rows behind each other */
    float w[2][ONLINE_MOST * ONLINE_MOST], b[2][ONLINE_MOST];
} online_start;

typedef struct online_sample {
    float numbers[2 * ONLINE_MOST]; /* x, then the target */
} online_sample;

typedef struct online_learner {
    const char *name;
    void *(*open)(const online_net *net, const online_start *start);
    float (*step)(void *self, const online_sample *s, const online_net *net);
    void (*close)(void *self);
} online_learner;

void *online_fann_open(const online_net *net, const online_start *start);
float online_fann_step(void *self, const online_sample *s, const online_net *net);
float online_fann_predict(void *self, const online_sample *s, const online_net *net);
void online_fann_close(void *self);

void *online_kann_open(const online_net *net, const online_start *start);
float online_kann_step(void *self, const online_sample *s, const online_net *net);
float online_kann_predict(void *self, const online_sample *s, const online_net *net);
void online_kann_close(void *self);

#endif
