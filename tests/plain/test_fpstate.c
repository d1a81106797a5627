/* The host's floating-point state: whatever it is, the library computes the same bits, and leaves it
 * as it was. Rounding modes, flush-to-zero, and traps. */
#define _GNU_SOURCE /* feenableexcept */
#include <bpcuda/bpcuda.h>
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "check.h"
#include "readers.h"

#if defined(__SSE2_MATH__)
#include <xmmintrin.h>
#endif

enum { NEAREST, UP, DOWN, TO_ZERO, FLUSH, TRAPS, STATES };
static const char *const state_name[] = {"to nearest", "upwards", "downwards", "towards zero",
                                         "with flush to zero", "with traps"};

typedef struct seen { /* all that a state could change */
    float weight[12], probability[10], dropped[64];
    double trained, accuracy, mean_loss;
} seen;

static fenv_t start;

static void take_state(int state)
{
    static const int rounding[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    fesetenv(&start);
    if (state <= TO_ZERO)
        fesetround(rounding[state]);
#if defined(__SSE2_MATH__)
    if (state == FLUSH)
        _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
#ifdef __GLIBC__
    if (state == TRAPS)
        feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW | FE_INEXACT);
#endif
}

/* The state as far as a call must keep it. */
static unsigned state_now(void)
{
#if defined(__SSE2_MATH__)
    return _mm_getcsr() & ~0x3Fu;
#else
    return (unsigned)fegetround();
#endif
}

static bool in_step_changed;
static unsigned in_step_wanted;

static bp_status drop(bp_context *ctx, void *user)
{
    bp_tensor **t = user;
    in_step_changed |= state_now() != in_step_wanted;
    t[1] = bp_keep(bp_dropout(t[0], 0.3));
    in_step_changed |= state_now() != in_step_wanted;
    return bp_sync(ctx);
}

static bp_status whole(bp_context *ctx, seen *s)
{
    bp_params *params = NULL;
    bp_data *all = NULL, *train = NULL, *test = NULL;
    bp_model *model = NULL;
    bp_trainer *trainer = NULL;
    bp_progress progress;
    bp_tensor *t[2] = {bp_tensor_create(ctx, BP_F32, BP_SHAPE(64)), NULL};
    float ones[64], image[64];
    int32_t done;
    for (int i = 0; i < 64; i++) {
        ones[i] = 1;
        image[i] = (float)(i % 17);
    }
    bp_status st = bp_seed(ctx, 7);
    if (st == BP_OK)
        st = bp_params_create(ctx, BP_F32, &params);
    bp_tensor *w = bp_param(params, "w", BP_SHAPE(4, 3), BP_INIT_HE);
    if (st == BP_OK)
        st = bp_read(w, s->weight, sizeof s->weight);
    if (st == BP_OK)
        st = bp_write(t[0], ones, sizeof ones);
    if (st == BP_OK)
        st = bp_run(ctx, BP_NO_GRAD, drop, t);
    if (st == BP_OK)
        st = bp_read(t[1], s->dropped, sizeof s->dropped);
    if (st == BP_OK)
        st = bp_data_digits(ctx, &all);
    if (st == BP_OK)
        st = bp_data_split(all, 0.2, 3, &train, &test);
    if (st == BP_OK)
        st = bp_model_create(ctx, 64, "16 elu dropout=0.1 8 relu", 10, &model);
    if (st == BP_OK)
        st = bp_model_normalize(model, train);
    if (st == BP_OK)
        st = bp_trainer_create(model, train, &trainer);
    if (st == BP_OK)
        st = bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 2);
    if (st == BP_OK)
        st = bp_trainer_run(trainer, -1, -1, &done);
    bp_trainer_progress(trainer, &progress);
    s->trained = progress.loss;
    if (st == BP_OK)
        st = bp_model_predict(model, image, 1, s->probability);
    if (st == BP_OK)
        st = bp_model_evaluate(model, test, &s->mean_loss, &s->accuracy);
    bp_trainer_free(trainer);
    bp_model_free(model);
    bp_data_free(test);
    bp_data_free(train);
    bp_data_free(all);
    bp_params_free(params);
    bp_free(t[0]);
    bp_free(t[1]);
    return st;
}

static bool one_state(int state, seen *s)
{
    bp_context *ctx;
    memset(s, 0, sizeof *s);
    take_state(state);
    unsigned before = in_step_wanted = state_now();
    feraiseexcept(state == TRAPS ? 0 : FE_OVERFLOW); /* a flag of the host's */
    in_step_changed = false;
    bool good = bp_open("cpu", &ctx) == BP_OK && bp_set_threads(ctx, 3) == BP_OK &&
                whole(ctx, s) == BP_OK;
    bool kept = state_now() == before && (state == TRAPS || fetestexcept(FE_OVERFLOW));
    bp_close(ctx);
    kept &= state_now() == before;
    fesetenv(&start);
    check(good, state_name[state]);
    check(kept, "... the host has its state and its flags back");
    check(!in_step_changed, "... and has it in its step");
    return good;
}

int main(void)
{
    seen first, other;
    feholdexcept(&start); /* no flags; what else the program was started with */
    fegetenv(&start);
    one_state(NEAREST, &first);
    for (int state = UP; state < STATES; state++) {
        one_state(state, &other);
        check(memcmp(&first, &other, sizeof first) == 0, "... and the bits are the same");
    }
    return check_end();
}
