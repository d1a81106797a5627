/* A dense classifier on random data, and a step of training it: what bench_step measures
 * (step_net.c). Any failure ends the program with its text. */
#ifndef BPI_BENCH_STEP_NET_H
#define BPI_BENCH_STEP_NET_H

#include <bpcuda/bpcuda.h>
#include <stdio.h>

enum { MAX_LAYERS = 4 };

typedef struct config {
    const char *name;
    int layers; /* sizes of size[0 .. layers], inputs first */
    int64_t size[MAX_LAYERS + 1], batch;
    double dropout;
    int tf32;
} config;

typedef struct problem {
    const config *c;
    bp_context *ctx;
    bp_params *params;
    bp_optimizer *adam;
    bp_tensor *x, *labels, *loss, *w[MAX_LAYERS], *b[MAX_LAYERS];
    bp_plan *plan;
} problem;

extern const char *device; /* that contexts are opened on */
extern int threads;        /* on the CPU */
int on_cpu(void);

void check(bp_status st, bp_context *ctx);
bp_context *opened(int tf32);
/* Random reals, or integers below `classes`. */
void fill(bp_context *ctx, bp_tensor *t, int classes);

void set_up(problem *p, const config *c);
void tear_down(problem *p);
bp_status step(bp_context *ctx, void *user);
/* What other programs need for the same steps: x, labels, each w and b. */
void dump_start(problem *p, FILE *dump);

#endif
