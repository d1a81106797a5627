/* A contender of compare.py: a process that answers questions on its standard input, one at a time,
 * so that several can take turns.
 *
 *     open FILE KIND WORD...   "ok", or "no" and why it does not do that
 *     loss N                   what the last of N steps found before it stepped
 *     time SECONDS             seconds a call, of as many calls as take about so long
 *
 * Kinds, which compare.py writes and each contender reads:
 *
 *     step SIZES BATCH DROPOUT   training steps of a dense classifier: ReLU, cross-entropy, Adam
 *     online SIZES               steps of one sample: tanh, squared error, SGD; the loss is read
 *     predict SIZES              one sample, predicted by that net; the loss is its first output
 *     op NAME ROWS COLS WAY      an op, forward or with its gradient: back
 *     adam N, one WAY, copy N, product N
 *
 * Where steps are to be equal, ours writes what they start from to FILE, as f32, and the others
 * read it: x and labels, or samples; then each w and b. */
#ifndef BPI_BENCH_CONTENDER_H
#define BPI_BENCH_CONTENDER_H

#include <stdint.h>
#include <stdio.h>

enum { WORK_WORDS = 4, WORK_LAYERS = 4 };

typedef struct work {
    const char *kind, *word[WORK_WORDS]; /* "" where there is none */
    FILE *start;                         /* NULL for "-" */
    int threads;
    int layers; /* of word[0], where that is sizes: size[0 .. layers] */
    int64_t size[WORK_LAYERS + 1];
} work;

typedef struct contender {
    const char *(*open)(const work *w, void **self); /* NULL, or why not */
    float (*loss)(void *self, int64_t steps);
    double (*run)(void *self, int64_t calls); /* the seconds of them all */
    void (*close)(void *self);
} contender;

/* Answers until its input ends; `find` gives who does a kind of work, or NULL. --threads N is what
 * argv can hold. Gives the exit status. */
int contender_serve(int argc, char **argv, const contender *(*find)(const char *kind));

#endif
