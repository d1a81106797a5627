/* Parameter stores: all parameters of a model in one flat buffer, their gradients in another.
 *
 * Parameters are declared by name and shape; the first use of one allocates and initialises all of
 * them, and closes the store. Matrices keep a row pitch that the library chooses; padding is 0.
 * Looking at a store that is NULL gives 0 or NULL. */
#ifndef BPCUDA_PARAMS_H
#define BPCUDA_PARAMS_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bp_params bp_params;

/* Initial values, drawn on the host at the store's first use from (seed of the context, number of
 * the store among those drawn since bp_seed, index of the parameter): the same bits on every device
 * and machine, and others for each store. One without LeCun and He draws nothing and is not
 * counted. fan_in is the product of all sizes but
 * the first. Uniform, in [-b, b): LeCun b = sqrt(3 / fan_in) (LeCun, Bottou, Orr, Mueller:
 * "Efficient BackProp", 1998), He b = sqrt(6 / fan_in) (He, Zhang, Ren, Sun, 2015, for ReLU). */
typedef int32_t bp_init;
enum { BP_INIT_ZERO = 0, BP_INIT_ONE = 1, BP_INIT_LECUN = 2, BP_INIT_HE = 3 };

BP_API bp_status bp_params_create(bp_context *ctx, bp_dtype dtype, bp_params **params) BP_USE;
/* Its tensors become stale. Optimisers, plans and graphs that name it may be freed later: a step, a
 * replay, bp_backward then say that it was freed (BP_ERR_STATE). NULL is fine. */
BP_API void bp_params_free(bp_params *params);

/* Declares a parameter; the handle belongs to the store. Names are unique. Dense weights are
 * [out, in]. NULL on failure: BP_ERR_SHAPE too where the store would exceed 2^50 bytes. */
BP_API bp_tensor *bp_param(bp_params *params, const char *name, bp_shape shape, bp_init init);

/* Parameters in order of declaration; 0 <= i < bp_param_count(). Handles belong to the store. */
BP_API int32_t bp_param_count(const bp_params *params);
BP_API bp_tensor *bp_param_at(bp_params *params, int32_t i);
BP_API const char *bp_param_name(const bp_params *params, int32_t i);

/* A view of the gradient, belonging to the store: what bp_backward wrote since the last optimiser
 * step or bp_grad_clear(). NULL where nothing arrived, or the last backward failed. */
BP_API bp_tensor *bp_param_grad(bp_params *params, int32_t i);

/* A frozen parameter asks for no gradient. Not while a plan is recorded; plans that use it and were
 * recorded with the other setting refuse to be replayed (bp_plan_replay). */
BP_API bp_status bp_param_freeze(bp_params *params, int32_t i, int32_t frozen) BP_USE;

/* Forgets all gradients (touches no memory). */
BP_API bp_status bp_grad_clear(bp_params *params) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
