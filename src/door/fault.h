/* What kernels find wrong, as every device keeps it, and what an optimiser's step does about it.
 *
 * An index out of range, or a gradient or a rate that cannot be taken, refuses the next optimiser
 * step: it changes nothing, and the one after it starts anew. The reasons of the first refused
 * steps stay for a waiting call, which says them (src/core/sync.c) and sets all of this to 0. */
#ifndef BPI_FAULT_H
#define BPI_FAULT_H

#include <math.h>

#include "door/kernel_params.h"
#include "door/philox.h"

/* A step of an optimiser: the serial number of its store, below 2^24, and its own, from 1. */
#define BPI_STEP(store, number) \
    ((unsigned long long)(store) << 40 | ((unsigned long long)(number) & 0xffffffffff))

/* Findings of one kernel: the largest stays, which is the first in memory, whatever the order of
 * blocks. An index with its place among the indices; an element of a store that does not fit. */
#define BPI_FAULT_INDEX(place, index) \
    (~((unsigned long long)(place) << 32 | (unsigned long long)(uint32_t)(index)))
#define BPI_FAULT_ELEMENT(place, why) (~((unsigned long long)(place) << 2 | (unsigned)(why)))
enum { BPI_NAN, BPI_INFINITE, BPI_TOO_LARGE, BPI_BAD_RATE }; /* why; a bad rate has place 0 */

/* The first reason of a kind, and the step it belongs to; 0: none. */
typedef struct bpi_reason {
    unsigned long long step, first;
} bpi_reason;

typedef struct bpi_fault {
    /* An index out of range since the last step began: who found it, op id * BPI_SLOTS + slot or
     * negative for a registered op, claimed by compare-and-swap from 0; and BPI_FAULT_INDEX. */
    uint32_t found_by;
    uint32_t refused; /* steps */
    unsigned long long index;
    unsigned long long gradient; /* BPI_FAULT_ELEMENT, of the step that begins */
    bpi_reason bad_index, bad_gradient; /* of refused steps */
    bpi_reason held; /* an element whose update would not have been finite, and was held back */
    uint32_t bad_index_by;
    uint32_t named; /* refused steps with a reason that is kept */
} bpi_fault;
#define BPI_FOUND_BY(kernel) ((uint32_t)(kernel) << 1 | 1)

/* The norm of the gradients from their squares, and what they are to be multiplied by: at most 1,
 * so that the norm is at most clip_norm (Pascanu, Mikolov, Bengio, 2013). A sum that left the range
 * of f64 was taken of smaller numbers too. */
BPI_HOST_DEVICE void bpi_step_norm(bpi_optimizer_state *s, double clip_norm)
{
    const int far = s->sum - s->sum != 0;
    const double unit = far ? 0x1p-540 : 1, norm = sqrt(far ? s->far : s->sum);
    s->norm = clip_norm != 0 ? norm / unit : 0;
    s->scale = clip_norm != 0 && norm > clip_norm * unit ? clip_norm * unit / norm : 1;
}

/* The end of step_begin, for one thread that sees what all others have noted: the step is counted,
 * or refused. */
BPI_HOST_DEVICE void bpi_step_decide(bpi_fault *f, bpi_optimizer_state *s,
                                     const bpi_step_begin_params *p)
{
    unsigned long long step = BPI_STEP(p->store, s->step + 1);
    if (f->gradient == 0 && !(s->rate >= 0 && s->rate <= p->most_rate))
        f->gradient = BPI_FAULT_ELEMENT(0, BPI_BAD_RATE);
    s->refused = f->found_by != 0 || f->gradient != 0;
    if (!s->refused) {
        s->step += 1;
        bpi_step_norm(s, p->clip_norm);
        return;
    }
    int names_index = f->found_by != 0 && f->bad_index.step == 0;
    int names_gradient = f->gradient != 0 && f->bad_gradient.step == 0;
    f->refused++;
    f->named += names_index || names_gradient;
    if (names_index) {
        f->bad_index.step = step;
        f->bad_index.first = f->index;
        f->bad_index_by = f->found_by;
    }
    if (names_gradient) {
        f->bad_gradient.step = step;
        f->bad_gradient.first = f->gradient;
    }
    f->found_by = 0;
    f->index = f->gradient = 0;
}

#endif
