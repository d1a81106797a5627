/* NULL for the object a call works on, which is what a failed create leaves: a status, NULL or 0
 * comes back, and the process lives. */
#include <bpcuda/bpcuda.h>

#include "check.h"

#define REFUSED(call) check((call) != BP_OK, #call)
#define NOTHING(value) check(!(value), #value)

static bp_status step(bp_context *ctx, void *user)
{
    (void)ctx, (void)user;
    return BP_OK;
}

static float f;
static int32_t i32;

static void inner_rings(void)
{
    int64_t steps;
    bp_stats stats;
    bp_params *params;
    bp_optimizer *opt;
    bp_plan *plan;
    bp_op *op;
    bp_tensor *t[1] = {NULL};
    REFUSED(bp_set_threads(NULL, 1));
    REFUSED(bp_seed(NULL, 1));
    REFUSED(bp_sync(NULL));
    REFUSED(bp_scope_begin(NULL, 0));
    REFUSED(bp_scope_end(NULL));
    REFUSED(bp_run(NULL, 0, step, NULL));
    bp_get_stats(NULL, &stats);
    NOTHING(stats.kernels);
    check(bp_error_text(NULL) && bp_device_text(NULL), "texts");
    bp_close(NULL);
    NOTHING(bp_tensor_create(NULL, BP_F32, BP_SCALAR));
    NOTHING(bp_keep(NULL));
    NOTHING(bp_require_grad(NULL));
    NOTHING(bp_detach(NULL));
    REFUSED(bp_write(NULL, &f, 4));
    REFUSED(bp_read(NULL, &f, 4));
    REFUSED(bp_copy_into(NULL, NULL));
    REFUSED(bp_add_into(NULL, NULL));
    REFUSED(bp_backward(NULL, NULL));
    REFUSED(bp_backward_keep(NULL, NULL));
    REFUSED(bp_grad(NULL, NULL, NULL, t, 1, 0, t));
    REFUSED(bp_params_create(NULL, BP_F32, &params));
    NOTHING(bp_param(NULL, "w", BP_SCALAR, BP_INIT_ZERO));
    NOTHING(bp_param_count(NULL));
    NOTHING(bp_param_at(NULL, 0));
    NOTHING(bp_param_name(NULL, 0));
    NOTHING(bp_param_grad(NULL, 0));
    REFUSED(bp_param_freeze(NULL, 0, 1));
    REFUSED(bp_grad_clear(NULL));
    bp_params_free(NULL);
    REFUSED(bp_adam_create(NULL, 0.1, &opt));
    REFUSED(bp_sgd_create(NULL, 0.1, 0, &opt));
    REFUSED(bp_optimizer_set(NULL, BP_OPT_LR, 1));
    NOTHING(bp_optimizer_rate(NULL));
    REFUSED(bp_optimizer_steps(NULL, &steps));
    REFUSED(bp_optimizer_step(NULL));
    bp_optimizer_free(NULL);
    REFUSED(bp_plan_record(NULL, step, NULL, &plan));
    REFUSED(bp_plan_replay(NULL, 1));
    NOTHING(bp_plan_kernels(NULL));
    bp_plan_free(NULL);
    REFUSED(bp_op_register(NULL, NULL, &op));
    NOTHING(bp_op_apply(NULL, t, NULL, NULL));
}

static void training_layer(void)
{
    double loss, accuracy;
    bp_progress progress;
    bp_data *data, *rest;
    bp_model *model;
    bp_trainer *trainer;
    REFUSED(bp_data_create(NULL, BP_F32, &f, &i32, 1, 1, 1, &data));
    REFUSED(bp_data_digits(NULL, &data));
    REFUSED(bp_data_idx(NULL, "a", "b", &data));
    REFUSED(bp_data_split(NULL, 0.5, 0, &data, &rest));
    NOTHING(bp_data_rows(NULL));
    NOTHING(bp_data_cols(NULL));
    NOTHING(bp_data_classes(NULL));
    NOTHING(bp_data_samples(NULL));
    NOTHING(bp_data_labels(NULL));
    bp_data_free(NULL);
    REFUSED(bp_model_create(NULL, 1, "1", 1, &model));
    REFUSED(bp_model_load(NULL, "a", &model));
    REFUSED(bp_model_save(NULL, "a"));
    REFUSED(bp_model_save_check(NULL, "a"));
    REFUSED(bp_model_normalize(NULL, NULL));
    REFUSED(bp_model_normalize_as(NULL, NULL, BP_NORMALIZE_NONE));
    NOTHING(bp_model_logits(NULL, NULL, NULL, 0));
    REFUSED(bp_model_predict(NULL, &f, 1, &f));
    REFUSED(bp_model_evaluate(NULL, NULL, &loss, &accuracy));
    NOTHING(bp_model_params(NULL));
    NOTHING(bp_model_context(NULL));
    NOTHING(bp_model_inputs(NULL));
    NOTHING(bp_model_classes(NULL));
    NOTHING(bp_model_layers(NULL));
    bp_model_free(NULL);
    REFUSED(bp_trainer_create(NULL, NULL, &trainer));
    REFUSED(bp_trainer_set(NULL, BP_TRAIN_LR, 1));
    REFUSED(bp_trainer_run(NULL, 1, 1, &i32));
    bp_trainer_progress(NULL, &progress);
    NOTHING(progress.steps);
    bp_trainer_stop(NULL);
    bp_trainer_free(NULL);
}

int main(void)
{
    inner_rings();
    training_layer();
    return check_end();
}
