/* Parameter stores: all parameters of a model in one flat buffer, their gradients in another.
 *
 * Parameters are declared by name and shape; the first use of one allocates and initialises all of
 * them, and closes the store. Matrices keep a row pitch that the library chooses; padding is 0.
 * Running means and variances (layers.h, "batchnorm") are among them, and have no gradient.
 * Looking at a store that is NULL gives 0 or NULL. */
#ifndef BPCUDA_PARAMS_H
#define BPCUDA_PARAMS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_params bp_params; /* named parameters and their gradients */

/* Initial values, drawn on the host at the store's first use from (seed of the context, number of
 * the store among those drawn since bp_seed, index of the parameter): the same bits on every device
 * and machine, and others for each store. A store whose parameters are all ZERO, ONE, constant or a
 * function's draws nothing and is not counted.
 *
 * fan_in is the product of all sizes but the first, fan_out of all but the last. The variance is
 *     LECUN   1 / fan_in              (LeCun, Bottou, Orr, Mueller: "Efficient BackProp", 1998)
 *     HE      2 / fan_in              (He, Zhang, Ren, Sun, 2015, for ReLU)
 *     GLOROT  2 / (fan_in + fan_out)  (Glorot, Bengio, 2010)
 * uniform in [-b, b), b = sqrt(3 variance), or normal. ORTHOGONAL (Saxe, McClelland, Ganguli, 2013)
 * is a matrix [first size, the others] whose rows, or where there are more of them its columns, are
 * orthonormal, drawn evenly from all such: rows x columns x the smaller of them, in operations. */
typedef int32_t bp_init;
enum {
    BP_INIT_ZERO = 0,
    BP_INIT_ONE = 1,
    BP_INIT_LECUN = 2,
    BP_INIT_HE = 3,
    BP_INIT_GLOROT = 4,
    BP_INIT_LECUN_NORMAL = 5,
    BP_INIT_HE_NORMAL = 6,
    BP_INIT_GLOROT_NORMAL = 7,
    BP_INIT_ORTHOGONAL = 8
};

/* An empty store of f32 or f64. */
BP_API bp_status bp_params_create(bp_context *ctx, bp_dtype dtype, bp_params **params) BP_USE;

/* Frees it; its tensors become stale. Optimisers, plans and graphs that name it may be freed later:
 * a step, a replay, bp_backward then say that it was freed (BP_ERR_STATE). NULL is fine. */
BP_API void bp_params_free(bp_params *params);

/* Declares a parameter; the handle belongs to the store. Names are unique. Dense weights are
 * [out, in]. NULL on failure: BP_ERR_SHAPE too where the store would exceed 2^50 bytes. */
BP_API bp_tensor *bp_param(bp_params *params, const char *name, bp_shape shape, bp_init init);

/* The same, each element `value`, which must be finite in the store's dtype. */
BP_API bp_tensor *bp_param_constant(bp_params *params, const char *name, bp_shape shape,
                                    double value);

/* The same, with initial values of your own: at the store's first use fill() puts `count` of them,
 * row-major, where `values` (all 0) points. It may call nothing of the context (BP_ERR_STATE; what
 * it frees goes when the call has ended), and longjmp out of it leaves a context that can only be
 * closed. What it returns, if not BP_OK, that use returns, and BP_ERR_NONFINITE where a value is
 * not finite in the store's dtype; a later use calls it again. user may be NULL. */
typedef bp_status (*bp_init_fn)(void *user, double *values, int64_t count);
BP_API bp_tensor *bp_param_with(bp_params *params, const char *name, bp_shape shape,
                                bp_init_fn fill, void *user);

/* Parameters in order of declaration; 0 <= i < bp_param_count(). Handles belong to the store. */
BP_API int32_t bp_param_count(const bp_params *params);
BP_API bp_tensor *bp_param_at(bp_params *params, int32_t i);
BP_API const char *bp_param_name(const bp_params *params, int32_t i);

/* The parameter of this name; -1 where there is none, or a NULL. */
BP_API int32_t bp_param_index(const bp_params *params, const char *name);

/* A view of the gradient, belonging to the store: what bp_backward wrote since the last optimiser
 * step or bp_grad_clear(). NULL where nothing arrived, or the last backward failed. */
BP_API bp_tensor *bp_param_grad(bp_params *params, int32_t i);

/* A frozen parameter asks for no gradient. Not while a plan is recorded; plans that use it and were
 * recorded with the other setting refuse to be replayed (bp_plan_replay). */
BP_API bp_status bp_param_freeze(bp_params *params, int32_t i, int32_t frozen) BP_USE;

/* The same for all parameters whose name matches: in `pattern` '*' stands for any bytes, '?' for
 * any one ("layer1.*", "*.bias"). BP_ERR_ARG where none does. */
BP_API bp_status bp_params_freeze(bp_params *params, const char *pattern, int32_t frozen) BP_USE;

/* dst = src, all parameters, frozen ones too: the same names, shapes and order in both, and one
 * dtype; else an error that says what differs, and nothing is changed. Of the same context, or of
 * another one, whose turn this thread then takes as well: that waits for it, and goes through the
 * host. Gradients stay as they are, and what a graph has saved of dst is noticed (bp_backward).
 * Within a context it is one kernel call, and a part of a plan. */
BP_API bp_status bp_params_copy(bp_params *dst, bp_params *src) BP_USE;

/* dst += tau (src - dst), tau in [0, 1]: target networks (Lillicrap et al., 2015), means of weights
 * (Polyak, Juditsky, 1992). 1 copies; with 0, and with dst for src, nothing is changed. As
 * bp_params_copy(), but of one context. */
BP_API bp_status bp_params_average(bp_params *dst, bp_params *src, double tau) BP_USE;

/* Writes all parameters under their names, each packed in its own shape, as a safetensors file, in
 * the way of bp_model_save(): a reader sees the whole file or the one that was there. Equal stores
 * give equal bytes. Waits. BP_ERR_ARG where a name is not UTF-8, or "__metadata__". */
BP_API bp_status bp_params_save(bp_params *params, const char *path) BP_USE;

/* Reads parameters from a safetensors file, anybody's (NPZ files: export.h): the names and the
 * [out, in] of what safetensors.torch.save_file() writes of a state_dict are those of bp_linear(),
 * bp_lstm_cell() and bp_gru_cell(). With pattern NULL the file holds all parameters of the store
 * and nothing else; with one (as in bp_params_freeze()) those that match, and anything else, which
 * is passed over. F16, BF16, F32 and F64 become the store's dtype, rounded to the nearest where
 * that is narrower.
 *
 * All is looked at before anything is written. Errors name the file, the tensor, what was found and
 * what is wanted: BP_ERR_FORMAT where the file is damaged, a parameter is not there, or a number is
 * NaN, infinite, or beyond the store's dtype; BP_ERR_SHAPE; BP_ERR_DTYPE; BP_ERR_ARG where no
 * parameter matches; BP_ERR_IO as of bp_model_load(). Not while a plan is recorded. */
BP_API bp_status bp_params_load(bp_params *params, const char *path, const char *pattern) BP_USE;

/* Forgets all gradients (touches no memory). */
BP_API bp_status bp_grad_clear(bp_params *params) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
