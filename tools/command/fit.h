/* What bpcuda train and its --optimizer lbfgs, lm, gauss-newton share: train.c has the ends of
 * both, fit.c the run of the latter. */
#ifndef COMMAND_FIT_H
#define COMMAND_FIT_H

#include "diary.h"

/* Words of --optimizer behind the library's optimisers: bp_method, in its order. */
enum { FIT_LBFGS = BP_DIAGONAL_LM + 1 };

void tell_what_is_done(const job *j);
bp_status finish(job *j, diary *d, bool stopped, const bp_progress *p);
bp_status fit_and_finish(job *j, diary *d);

#endif
