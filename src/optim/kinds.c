/* The kinds of optimisers, their options and their limits. The formulas: door/optimizers.def. */
#include "optim/kinds.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A kernel, its moments and whether it is corrected, as optimizers.def has them. */
#define BPI_OPTIMIZER(name, moments, a, b, corrects, ...) \
    enum { name##_moments = moments, name##_corrected = corrects };
#include "door/optimizers.def"
#define KERNEL(of) \
    .kernel = BPI_OP_##of, .n_moments = of##_moments, .corrected = of##_corrected
#define BIT(option) (1u << (option))

enum {
    ALL = BIT(BP_OPT_L1) | BIT(BP_OPT_L2) | BIT(BP_OPT_WEIGHT_DECAY) | BIT(BP_OPT_DECAY_FROM) |
          BIT(BP_OPT_CLIP_VALUE) | BIT(BP_OPT_CLIP_NORM),
    BETAS = BIT(BP_OPT_BETA1) | BIT(BP_OPT_BETA2),
    EPS = BIT(BP_OPT_EPS)
};

static const bpi_kind kinds[] = {
    [BP_SGD] = {"sgd", KERNEL(sgd), .growth = BPI_GROWS_AS_SUM,
                .options = BIT(BP_OPT_MOMENTUM), .start = {.decay_from = 1}},
    [BP_NESTEROV] = {"nesterov", KERNEL(nesterov), .growth = BPI_GROWS_AS_SUM,
                     .options = BIT(BP_OPT_MOMENTUM), .start = {.beta1 = 0.9, .decay_from = 1}},
    [BP_ADAM] = {"adam", KERNEL(adam), .growth = BPI_GROWS_AS_SQUARE,
                 .options = BETAS | EPS,
                 .start = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .decay_from = 1}},
    [BP_ADAMW] = {"adamw", KERNEL(adam), .growth = BPI_GROWS_AS_SQUARE,
                  .options = BETAS | EPS,
                  .start = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01,
                            .decay_from = 1}},
    [BP_RMSPROP] = {"rmsprop", KERNEL(rmsprop), .growth = BPI_GROWS_AS_SQUARE,
                    .options = BIT(BP_OPT_ALPHA) | EPS,
                    .start = {.beta1 = 0.99, .eps = 1e-8, .decay_from = 1}},
    [BP_ADAGRAD] = {"adagrad", KERNEL(adagrad), .growth = BPI_GROWS_AS_SQUARE,
                    .options = EPS, .start = {.eps = 1e-10, .decay_from = 1}},
    [BP_LION] = {"lion", KERNEL(lion), .growth = BPI_GROWS_AS_MEAN, .options = BETAS,
                 .start = {.beta1 = 0.9, .beta2 = 0.99, .decay_from = 1}},
    /* v is h^2, which stays: RMSProp's formula with a mean that takes nothing of g */
    [BP_DIAGONAL_LM] = {"diagonal-lm", KERNEL(rmsprop), .growth = BPI_GROWS_AS_SQUARE,
                        .options = EPS, .start = {.beta1 = 1, .eps = 0.1, .decay_from = 1}}};

const bpi_kind *bpi_kind_of(bp_optimizer_kind kind)
{
    bool known = kind > 0 && kind < (int)(sizeof kinds / sizeof *kinds);
    return known ? &kinds[kind] : NULL;
}

const char *bp_optimizer_name(bp_optimizer_kind kind)
{
    const bpi_kind *k = bpi_kind_of(kind);
    return k ? k->name : "?";
}

/* --- limits: what an optimiser stores stays finite ------------------------------------------ */

static double largest(bp_dtype dtype)
{
    return dtype == BP_F64 ? DBL_MAX : (double)FLT_MAX;
}

/* Rates beyond it would overflow: Adam divides by 1 - b1^t first. */
double bpi_most_rate(const bpi_kind *k, const bpi_numbers *n, bp_dtype dtype)
{
    return largest(dtype) * (k->corrected ? 1 - n->beta1 : 1);
}

/* Gradients beyond it could carry the moments there, in however many steps: v comes to g^2, u to
 * g / (1 - mu). Half of the range is for rounding; fades() sees to it that this is enough.
 * Adagrad's sum stays at the largest number. A weight, and a gradient with L1 and L2, the update
 * looks at itself. */
double bpi_most_gradient(const bpi_kind *k, const bpi_numbers *n, bp_dtype dtype)
{
    double half = largest(dtype) / 2;
    return k->growth == BPI_GROWS_AS_SQUARE ? sqrt(half)
           : k->growth == BPI_GROWS_AS_SUM  ? half * (1 - n->beta1)
                                            : half;
}

double bpi_most_unclipped(const bpi_kind *k, const bpi_numbers *n, bp_dtype dtype)
{
    double most = bpi_most_gradient(k, n, dtype);
    bool clips = (n->clip_value > 0 && n->clip_value <= most) ||
                 (n->clip_norm > 0 && n->clip_norm <= most);
    return clips ? largest(dtype) : most;
}

/* Whether a factor of a moment is in [0, 1) as the kernels have it: rounded to the store's dtype,
 * and with the rounding of the products, it takes away more than half of 1 - factor. */
static bool fades(bp_dtype dtype, double factor)
{
    double rounded = dtype == BP_F64 ? factor : (double)(float)factor;
    double epsilon = dtype == BP_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
    return factor >= 0 && factor < 1 && 1 - rounded - epsilon > 0.51 * (1 - factor);
}

/* --- options ----------------------------------------------------------------------------- */

enum { FADES, ABOVE_0, FROM_0, ABOVE_0_OR_0, NORM, STEP }; /* what an option may be */

static const struct option {
    const char *name;
    size_t at;
    int range;
} options[] = {
#define OPTION(NAME, number, range) [BP_OPT_##NAME] = {#NAME, offsetof(bpi_numbers, number), range}
    OPTION(BETA1, beta1, FADES), OPTION(BETA2, beta2, FADES), OPTION(EPS, eps, ABOVE_0),
    OPTION(MOMENTUM, beta1, FADES), OPTION(L1, l1, FROM_0), OPTION(L2, l2, FROM_0),
    OPTION(DECAY_FROM, decay_from, STEP), OPTION(WEIGHT_DECAY, weight_decay, FROM_0),
    OPTION(CLIP_VALUE, clip_value, ABOVE_0_OR_0), OPTION(CLIP_NORM, clip_norm, NORM),
    OPTION(ALPHA, beta1, FADES)};
enum { OPTIONS = sizeof options / sizeof *options };

double *bpi_option_of(const bpi_kind *k, bpi_numbers *n, bp_optimizer_option option)
{
    bool known = option > 0 && option < OPTIONS && ((k->options | ALL) & BIT(option));
    return known ? (double *)(void *)((char *)n + options[option].at) : NULL;
}

/* Kernels take numbers in the store's dtype: there they must be finite, and not become 0. */
bool bpi_option_takes(bp_optimizer_option option, bp_dtype dtype, double value)
{
    double rounded = dtype == BP_F64 ? value : (double)(float)value;
    bool from_0 = value >= 0 && value <= largest(dtype);
    switch (options[option].range) {
    case FADES: return fades(dtype, value);
    case ABOVE_0: return from_0 && rounded > 0;
    case FROM_0: return from_0;
    case ABOVE_0_OR_0: return from_0 && (rounded > 0 || value == 0);
    case NORM: return value >= 0;
    default: return value >= 1;
    }
}

bp_optimizer_option bpi_option_changed(const bpi_kind *k, const bpi_numbers *now,
                                       const bpi_numbers *then, const char **name)
{
    for (bp_optimizer_option i = 1; i < OPTIONS; i++)
        if (((k->options | ALL) & BIT(i)) &&
            memcmp((const char *)now + options[i].at, (const char *)then + options[i].at,
                   sizeof(double)) != 0) {
            *name = options[i].name;
            return i;
        }
    return 0;
}
