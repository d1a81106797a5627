/* Readers of the table of cases, and what they share. Each takes every row it applies to and
 * prints a line for each failure; a plain program runs them (tests/plain/test_cases.c). */
#ifndef BPI_TEST_READERS_H
#define BPI_TEST_READERS_H

#include "case_run.h"

/* --- a host's allocator that poisons, guards, counts, and fails on demand (guard.c) ---------- */

typedef struct guard {
    int64_t calls, live, live_bytes; /* allocations so far; not freed yet */
    int64_t fail_at;                 /* the call that gets NULL, from 1; 0: none */
    bool fail_on;                    /* and all calls after it */
    bool broken;                     /* a band around an allocation was written to */
} guard;

bp_hooks guard_hooks(guard *g);

/* --- a call that fails has done nothing (again.c) ------------------------------------------- */

typedef struct tried {
    uint64_t digest; /* of all that the program left: the same whatever failed */
    int failures;    /* calls that failed and were tried again */
    bool broken;     /* one of them failed twice */
} tried;
/* Steps called; replayed; cut in two; cut in two and replayed; the training layer; and of
 * convolutions. */
enum { TRIED_STEPS, TRIED_PLAN, TRIED_HALVES, TRIED_PLANS, TRIED_LAYER, TRIED_IMAGES, TRIED_COUNT };
extern const char *const tried_name[TRIED_COUNT];

tried tried_run(const char *device, const bp_hooks *hooks, int which);

/* --- the readers ----------------------------------------------------------------------------- */

void read_complete(void);    /* every op of ops.def has a case */
void read_truth(void);       /* f32 and f64 of every level against f64 of the plain one */
void read_gradients(void);   /* bp_grad against finite differences, bp_backward against bp_grad */
void read_second(void);      /* the gradient of a gradient against finite differences */
void read_fused(void);       /* fused ops against their primitives */
void read_determinism(void); /* equal bits with 1, 2, 3, 4 and 8 threads */
void read_dropout(void);     /* masks against philox.h by hand */
void read_golden(void);      /* tests/golden/golden.txt */

#endif
