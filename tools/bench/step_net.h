/* A dense classifier on random data, and a step of training it (step_net.c): what `bpcuda bench`,
 * bench_step and the contenders of bench/compare.py measure. */
#ifndef BPI_BENCH_STEP_NET_H
#define BPI_BENCH_STEP_NET_H

#include <bpcuda/bpcuda.h>
#include <stdio.h>

enum { MAX_LAYERS = 4 };

typedef struct step_config {
    const char *name;
    int layers; /* sizes of size[0 .. layers], inputs first */
    int64_t size[MAX_LAYERS + 1], batch;
    double dropout;
    int tf32; /* which the context is to be told */
} step_config;

typedef struct step_net {
    const step_config *config;
    bp_context *ctx;
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *x, *labels, *loss, *w[MAX_LAYERS], *b[MAX_LAYERS];
    bp_plan *plan; /* the user's: what step_net_run replays, if it is there */
} step_net;

/* Reals in [-0.5, 0.5], or integers below `classes`. */
bp_status step_net_fill(bp_tensor *t, int classes);
/* A failure leaves what step_net_free frees. The context and the config must outlive the net. */
bp_status step_net_create(step_net *net, bp_context *ctx, const step_config *config);
void step_net_free(step_net *net);
/* One step of the step_net that is `user`. */
bp_status step_net_step(bp_context *ctx, void *user);
/* So many steps, queued. */
bp_status step_net_run(step_net *net, int64_t times);
/* Seconds of a step: median, least and most of 9 rounds, each of so many seconds or of one step. */
bp_status step_net_time(step_net *net, double round_seconds, double out[3]);
/* Seconds that a step cannot do without, at so many operations and copied bytes a second: products
 * forward, of the weights' gradients, and of the inputs' but for the first layer; Adam's 28 bytes a
 * parameter. */
double step_net_floor(const step_config *config, double flops, double bytes);
/* What others need for the same steps, as f32: x, labels, each w and b. */
bp_status step_net_write(step_net *net, FILE *to);

#endif
