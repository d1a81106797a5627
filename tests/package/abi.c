/* What a program that was compiled against version 0.1 relies on: prototypes, types, the numbers of
 * enum values, the places of members. This compiles as long as the headers keep it; abi.py does that,
 * and compares with what the library exports. A new name is added here in the commit that makes it;
 * a line that is here changes only with the SONAME (docs/abi.md). */
#include <bpcuda/bpcuda.h>

#define IS(name, value) _Static_assert((name) == (value), #name " is another number")
#define AT(type, member, place) \
    _Static_assert(offsetof(type, member) == (place), #type "." #member " has moved")
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has another size")

/* --- types ------------------------------------------------------------------------------------ */

typedef struct bp_checkpoint bp_checkpoint;
typedef int32_t bp_status;
typedef int32_t bp_dtype;
typedef struct bp_context bp_context;
typedef struct bp_tensor bp_tensor;
typedef void (*bp_block_fn_hook)(void *arg, int64_t block);
typedef int32_t bp_precision;
typedef bp_status (*bp_step_fn)(bp_context *ctx, void *user);
typedef struct bp_data bp_data;
typedef int32_t bp_targets;
typedef int64_t (*bp_fill_fn)(void *user, int64_t batch, void *const *columns, int64_t rows);
typedef bp_tensor *(*bp_function)(bp_context *ctx, bp_tensor *const *x, void *user);
typedef void (*bp_text_fn)(void *user, const char *text, size_t n);
typedef struct bp_layers bp_layers;
typedef struct bp_model bp_model;
typedef int32_t bp_task;
typedef bp_tensor *(*bp_forward_fn)(bp_model *model, bp_tensor *x, int32_t training, void *user);
typedef int32_t bp_normalize;
typedef struct bp_snapshot bp_snapshot;
typedef struct bp_exec bp_exec;
typedef struct bp_op bp_op;
typedef bp_status (*bp_kernel_fn)(bp_exec *ex, const bp_view *in, const bp_view *out, const void
    *params);
typedef void (*bp_block_fn)(void *arg, int64_t block);
typedef struct bp_optimizer bp_optimizer;
typedef int32_t bp_optimizer_kind;
typedef int32_t bp_optimizer_option;
typedef struct bp_params bp_params;
typedef int32_t bp_init;
typedef bp_status (*bp_init_fn)(void *user, double *values, int64_t count);
typedef struct bp_plan bp_plan;
typedef struct bp_schedule bp_schedule;
typedef double (*bp_factor_fn)(void *user, double epoch, double epochs);
typedef struct bp_trainer bp_trainer;
typedef struct bp_batch bp_batch;
typedef bp_tensor *(*bp_loss_fn)(bp_context *ctx, bp_batch *batch, void *user);
typedef int32_t bp_train_option;
typedef int32_t bp_rows;
typedef bp_status (*bp_rows_fn)(void *user, int64_t epoch, int32_t *rows, int64_t n);
typedef bp_status (*bp_trainer_fn)(bp_trainer *trainer, const bp_progress *progress, void *user);
typedef int32_t bp_stop;
typedef int32_t bp_method;
typedef double (*bp_cost_fn)(void *user, const double *x, int64_t n);
typedef bp_tensor *(*bp_objective_fn)(bp_context *ctx, void *user);
typedef bp_status (*bp_found_fn)(bp_context *ctx, const bp_found *now, void *user);

/* --- functions -------------------------------------------------------------------------------- */

bp_tensor *bp_require_grad(bp_tensor *t);
bp_tensor *bp_detach(bp_tensor *t);
bp_status bp_backward(bp_context *ctx, bp_tensor *loss);
bp_status bp_backward_keep(bp_context *ctx, bp_tensor *loss);
bp_status bp_grad(bp_context *ctx, bp_tensor *y, bp_tensor *dy, bp_tensor *const *x, int32_t n,
    uint32_t flags, bp_tensor **dx);
bp_status bp_grad_scalar(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n, uint32_t
    flags, bp_tensor **dx);
bp_status bp_checkpoint_create(bp_context *ctx, bp_checkpoint **checkpoint);
void bp_checkpoint_free(bp_checkpoint *checkpoint);
bp_status bp_checkpoint_params(bp_checkpoint *checkpoint, const char *name, bp_params *params);
bp_status bp_checkpoint_optimizer(bp_checkpoint *checkpoint, const char *name, bp_optimizer *opt);
bp_status bp_checkpoint_tensor(bp_checkpoint *checkpoint, const char *name, bp_tensor *t);
bp_status bp_checkpoint_bytes(bp_checkpoint *checkpoint, const char *name, void *host, size_t
    bytes);
bp_status bp_checkpoint_save(bp_checkpoint *checkpoint, const char *path, int32_t keep);
bp_status bp_checkpoint_load(bp_checkpoint *checkpoint, const char *path);
const char *bp_version(void);
const char *bp_status_name(bp_status status);
const char *bp_dtype_name(bp_dtype dtype);
size_t bp_dtype_bytes(bp_dtype dtype);
int64_t bp_shape_count(bp_shape shape);
bp_status bp_open(const char *device, bp_context **ctx);
bp_status bp_open_with(const char *device, const bp_hooks *hooks, bp_context **ctx);
void bp_close(bp_context *ctx);
const char *bp_error_text(const bp_context *ctx);
const char *bp_device_text(const bp_context *ctx);
bp_status bp_set_threads(bp_context *ctx, int32_t threads);
bp_status bp_set_precision(bp_context *ctx, bp_precision precision);
bp_status bp_share_plans(bp_context *ctx, const char *path);
bp_status bp_seed(bp_context *ctx, uint64_t seed);
bp_status bp_sync(bp_context *ctx);
bp_status bp_scope_begin(bp_context *ctx, uint32_t flags);
bp_status bp_scope_end(bp_context *ctx);
bp_status bp_run(bp_context *ctx, uint32_t flags, bp_step_fn step, void *user);
void bp_stats_of(const bp_context *ctx, bp_stats *stats, size_t struct_bytes);
static inline void bp_get_stats(const bp_context *ctx, bp_stats *stats);
bp_status bp_data_create(bp_context *ctx, bp_dtype dtype, const void *x, const int32_t *labels,
    int64_t rows, int64_t cols, int32_t classes, bp_data **data);
bp_status bp_data_table(bp_context *ctx, int64_t rows, bp_data **data);
bp_status bp_data_add(bp_data *data, const char *name, bp_dtype dtype, bp_shape row, const void
    *values);
bp_status bp_data_add_classes(bp_data *data, const int32_t *labels, int32_t classes, const char
    *const *names);
bp_status bp_data_digits(bp_context *ctx, bp_data **data);
bp_status bp_data_idx(bp_context *ctx, const char *images, const char *labels, bp_data **data);
bp_status bp_data_idx_folder(bp_context *ctx, const char *folder, int32_t test, bp_data **data);
bp_status bp_data_npy(bp_context *ctx, const char *x_path, const char *y_path, bp_data **data);
bp_status bp_data_npz(bp_context *ctx, const char *path, bp_data **data);
bp_status bp_data_csv(bp_context *ctx, const char *path, const bp_csv *options, bp_data **data);
bp_status bp_data_ring(bp_context *ctx, int64_t capacity, bp_data **data);
bp_status bp_data_push(bp_data *data, int64_t n, const void *const *columns);
bp_status bp_data_drain(bp_data *data);
bp_status bp_data_source(bp_context *ctx, int64_t rows, int64_t batches, bp_fill_fn fill, void
    *user, bp_data **data);
bp_status bp_data_split(const bp_data *data, double fraction, uint64_t seed, bp_data **first,
    bp_data **second);
bp_status bp_data_split_order(const bp_data *data, double fraction, bp_data **first, bp_data
    **second);
bp_status bp_data_split_groups(const bp_data *data, const char *column, double fraction, uint64_t
    seed, bp_data **first, bp_data **second);
bp_status bp_data_fold(const bp_data *data, int32_t folds, int32_t fold, uint64_t seed, bp_data
    **train, bp_data **test);
bp_status bp_data_rows_at(const bp_data *data, const int32_t *rows, int64_t n, bp_data **part);
void bp_data_free(bp_data *data);
int64_t bp_data_rows(const bp_data *data);
int64_t bp_data_cols(const bp_data *data);
int32_t bp_data_classes(const bp_data *data);
bp_targets bp_data_targets(const bp_data *data);
int64_t bp_data_outputs(const bp_data *data);
const char *bp_data_class_name(const bp_data *data, int32_t c);
int32_t bp_data_columns(const bp_data *data);
const char *bp_data_column_name(const bp_data *data, int32_t i);
const char *bp_data_feature_name(const bp_data *data, int64_t i);
const char *bp_model_feature_name(const bp_model *model, int64_t i);
bp_tensor *bp_data_column(bp_data *data, const char *name);
bp_tensor *bp_data_samples(bp_data *data);
bp_tensor *bp_data_labels(bp_data *data);
bp_status bp_dlpack_export(bp_tensor *t, struct DLManagedTensorVersioned **out);
bp_status bp_dlpack_export_legacy(bp_tensor *t, struct DLManagedTensor **out);
bp_status bp_dlpack_import(bp_context *ctx, struct DLManagedTensorVersioned *in, bp_tensor **t);
bp_status bp_dlpack_import_legacy(bp_context *ctx, struct DLManagedTensor *in, bp_tensor **t);
bp_status bp_model_export_onnx(bp_model *model, const char *path);
bp_status bp_model_export_c(bp_model *model, const char *name, const char *path);
bp_status bp_model_save_torch(bp_model *model, const char *path);
bp_status bp_model_load_torch(bp_model *model, const char *path);
bp_status bp_npy_save(bp_tensor *t, const char *path);
bp_status bp_params_save_npz(bp_params *params, const char *path);
bp_status bp_params_load_npz(bp_params *params, const char *path, const char *pattern);
bp_status bp_vjp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
    bp_tensor *dy, bp_tensor **y, bp_tensor **dx);
bp_status bp_jvp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, bp_tensor *const
    *v, int32_t n, bp_tensor **y, bp_tensor **jv);
bp_status bp_jvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v, int32_t
    n, uint32_t flags, bp_tensor **jv);
bp_status bp_jacobian(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
    bp_tensor **y, bp_tensor **jacobian);
bp_status bp_jacobian_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, int32_t n, uint32_t
    flags, bp_tensor **jacobian);
bp_status bp_hvp(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, bp_tensor *const
    *v, int32_t n, bp_tensor **y, bp_tensor **hv);
bp_status bp_hvp_of(bp_context *ctx, bp_tensor *y, bp_tensor *const *x, bp_tensor *const *v, int32_t
    n, uint32_t flags, bp_tensor **hv);
bp_status bp_gradcheck(bp_context *ctx, bp_function f, void *user, bp_tensor *const *x, int32_t n,
    int64_t directions, bp_gradcheck_report *report);
bp_tensor *bp_add(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_sub(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_mul(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_div(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_pow(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_maximum(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_minimum(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_squared_error(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_sigmoid_cross_entropy(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_equal(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_not_equal(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_less(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_less_equal(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_greater(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_greater_equal(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_logical_and(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_logical_or(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_gate(bp_tensor *a, bp_tensor *g);
bp_tensor *bp_where(bp_tensor *c, bp_tensor *a, bp_tensor *b);
bp_tensor *bp_exp(bp_tensor *x);
bp_tensor *bp_expm1(bp_tensor *x);
bp_tensor *bp_log(bp_tensor *x);
bp_tensor *bp_log1p(bp_tensor *x);
bp_tensor *bp_sqrt(bp_tensor *x);
bp_tensor *bp_rsqrt(bp_tensor *x);
bp_tensor *bp_reciprocal(bp_tensor *x);
bp_tensor *bp_square(bp_tensor *x);
bp_tensor *bp_sin(bp_tensor *x);
bp_tensor *bp_cos(bp_tensor *x);
bp_tensor *bp_abs(bp_tensor *x);
bp_tensor *bp_sign(bp_tensor *x);
bp_tensor *bp_logical_not(bp_tensor *x);
bp_tensor *bp_erf(bp_tensor *x);
bp_tensor *bp_normal_cdf(bp_tensor *x);
bp_tensor *bp_relu(bp_tensor *x);
bp_tensor *bp_tanh(bp_tensor *x);
bp_tensor *bp_sigmoid(bp_tensor *x);
bp_tensor *bp_log_sigmoid(bp_tensor *x);
bp_tensor *bp_softplus(bp_tensor *x);
bp_tensor *bp_hard_sigmoid(bp_tensor *x);
bp_tensor *bp_silu(bp_tensor *x);
bp_tensor *bp_mish(bp_tensor *x);
bp_tensor *bp_gelu(bp_tensor *x);
bp_tensor *bp_gelu_tanh(bp_tensor *x);
bp_tensor *bp_neg(bp_tensor *x);
bp_tensor *bp_scale(bp_tensor *x, double factor);
bp_tensor *bp_shift(bp_tensor *x, double by);
bp_tensor *bp_power(bp_tensor *x, double p);
bp_tensor *bp_clamp(bp_tensor *x, double lo, double hi);
bp_tensor *bp_threshold(bp_tensor *x, double at);
bp_tensor *bp_leaky_relu(bp_tensor *x, double slope);
bp_tensor *bp_elu(bp_tensor *x, double alpha);
bp_tensor *bp_scaled_tanh(bp_tensor *x, double a);
bp_tensor *bp_cast(bp_tensor *x, bp_dtype dtype);
bp_status bp_graph_write_dot(bp_context *ctx, bp_tensor *y, const char *path);
bp_status bp_graph_dot(bp_context *ctx, bp_tensor *y, bp_text_fn take, void *user);
bp_tensor *bp_gather(bp_tensor *table, bp_tensor *index);
bp_tensor *bp_gather_normalized(bp_tensor *table, bp_tensor *index, bp_tensor *shift, bp_tensor
    *scale, bp_dtype dtype);
bp_tensor *bp_scatter_rows(bp_tensor *x, bp_tensor *index, int64_t rows);
bp_tensor *bp_take(bp_tensor *x, int32_t axis, bp_tensor *index);
bp_tensor *bp_take_along(bp_tensor *x, int32_t axis, bp_tensor *index);
bp_tensor *bp_add_along(bp_tensor *x, int32_t axis, bp_tensor *index, int64_t size);
bp_tensor *bp_pick(bp_tensor *x, bp_tensor *index);
bp_tensor *bp_one_hot(bp_tensor *index, int64_t classes, bp_dtype dtype);
bp_status bp_layers_create(bp_params *params, const char *prefix, int64_t inputs, const char *text,
    bp_layers **layers);
void bp_layers_free(bp_layers *layers);
bp_tensor *bp_layers_forward(bp_layers *layers, bp_tensor *x, int32_t training);
int64_t bp_layers_outputs(const bp_layers *layers);
bp_tensor *bp_weighted_loss(bp_tensor *each, bp_tensor *weights, bp_reduction how);
bp_tensor *bp_mse_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
bp_tensor *bp_l1_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
bp_tensor *bp_huber_loss(bp_tensor *x, bp_tensor *t, double delta, bp_reduction how);
bp_tensor *bp_smooth_l1_loss(bp_tensor *x, bp_tensor *t, double beta, bp_reduction how);
bp_tensor *bp_hinge_loss(bp_tensor *x, bp_tensor *t, double margin, bp_reduction how);
bp_tensor *bp_binary_cross_entropy(bp_tensor *x, bp_tensor *t, bp_reduction how);
bp_tensor *bp_binary_cross_entropy_weighted(bp_tensor *x, bp_tensor *t, bp_tensor *positive,
    bp_reduction how);
bp_tensor *bp_kl_div_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
bp_tensor *bp_kl_div_log_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
bp_tensor *bp_poisson_nll_loss(bp_tensor *x, bp_tensor *t, bp_reduction how);
bp_tensor *bp_poisson_rate_nll_loss(bp_tensor *x, bp_tensor *t, double eps, bp_reduction how);
bp_tensor *bp_gaussian_nll_loss(bp_tensor *x, bp_tensor *t, bp_tensor *variance, double eps,
    bp_reduction how);
bp_tensor *bp_cosine_embedding_loss(bp_tensor *a, bp_tensor *b, bp_tensor *t, double margin,
    bp_reduction how);
bp_tensor *bp_triplet_margin_loss(bp_tensor *anchor, bp_tensor *positive, bp_tensor *negative,
    double margin, bp_reduction how);
bp_tensor *bp_nll_loss(bp_tensor *logp, bp_tensor *labels);
bp_tensor *bp_nll_spread(bp_tensor *s, bp_tensor *labels, int64_t classes);
bp_tensor *bp_cross_entropy(bp_tensor *logits, bp_tensor *labels);
bp_tensor *bp_cross_entropy_correct(bp_tensor *logits, bp_tensor *labels, bp_tensor **correct);
bp_tensor *bp_nll_loss_with(bp_tensor *logp, bp_tensor *labels, int32_t ignored, bp_reduction how);
bp_tensor *bp_nll_loss_weighted(bp_tensor *logp, bp_tensor *labels, bp_tensor *weights, int32_t
    ignored, bp_reduction how);
bp_tensor *bp_cross_entropy_with(bp_tensor *logits, bp_tensor *labels, double smoothing, int32_t
    ignored, bp_reduction how);
bp_tensor *bp_cross_entropy_weighted(bp_tensor *logits, bp_tensor *labels, bp_tensor *weights,
    double smoothing, int32_t ignored, bp_reduction how);
bp_tensor *bp_cross_entropy_soft(bp_tensor *logits, bp_tensor *targets, bp_reduction how);
const char *bp_task_name(bp_task task);
bp_status bp_model_create(bp_context *ctx, int64_t inputs, const char *layers, int32_t classes,
    bp_model **model);
bp_status bp_model_create_as(bp_context *ctx, int64_t inputs, const char *layers, bp_task task,
    int64_t outputs, bp_model **model);
bp_status bp_model_create_for(const bp_data *data, const char *layers, bp_model **model);
bp_status bp_model_own(bp_context *ctx, int64_t inputs, bp_task task, int64_t outputs, bp_forward_fn
    forward, void *user, bp_model **model);
void bp_model_free(bp_model *model);
bp_status bp_model_ensemble(bp_context *ctx, bp_model *const *models, int32_t n, bp_model **ensemble);
bp_status bp_model_normalize(bp_model *model, const bp_data *data);
bp_status bp_model_normalize_as(bp_model *model, const bp_data *data, bp_normalize how);
bp_normalize bp_model_normalized(const bp_model *model);
const char *bp_normalize_name(bp_normalize how);
bp_status bp_model_tanh_targets(bp_model *model, int32_t on);
int32_t bp_model_has_tanh_targets(const bp_model *model);
bp_status bp_model_normalized_of(bp_model *model, const float *x, int64_t n, float *y);
bp_status bp_model_raw_of(bp_model *model, const float *y, int64_t n, float *x);
bp_tensor *bp_model_decorrelation(bp_model *model);
bp_tensor *bp_model_forward(bp_model *model, bp_tensor *x, int32_t training);
bp_tensor *bp_model_logits(bp_model *model, bp_data *data, bp_tensor *index, int32_t training);
bp_tensor *bp_model_loss(bp_model *model, bp_tensor *outputs, bp_tensor *targets);
bp_tensor *bp_model_loss_weighted(bp_model *model, bp_tensor *outputs, bp_tensor *targets, bp_tensor
    *weights);
bp_status bp_model_predict(bp_model *model, const float *x, int64_t n, float *p);
bp_status bp_model_predict_spread(bp_model *model, const float *x, int64_t n, float *p, float *spread);
bp_status bp_model_evaluate(bp_model *model, bp_data *data, double *loss, double *accuracy);
bp_status bp_model_measure_of(bp_model *model, bp_data *data, int32_t top, bp_metrics *metrics,
    size_t struct_bytes);
static inline bp_status bp_model_measure(bp_model *model, bp_data *data, bp_metrics *metrics);
bp_status bp_model_confusion(bp_model *model, bp_data *data, int64_t *counts);
bp_status bp_model_diagonal(bp_model *model, bp_data *data, bp_tensor *index, double share,
    bp_optimizer *opt);
bp_status bp_model_fan_in(bp_model *model, bp_optimizer *opt, double power);
bp_params *bp_model_params(bp_model *model);
bp_context *bp_model_context(bp_model *model);
int64_t bp_model_inputs(const bp_model *model);
int64_t bp_model_outputs(const bp_model *model);
bp_task bp_model_task(const bp_model *model);
int32_t bp_model_classes(const bp_model *model);
const char *bp_model_layers(const bp_model *model);
int32_t bp_model_members(const bp_model *model);
const char *bp_model_class_name(const bp_model *model, int32_t c);
bp_status bp_model_save(bp_model *model, const char *path);
bp_status bp_model_save_check(bp_model *model, const char *path);
bp_status bp_model_load(bp_context *ctx, const char *path, bp_model **model);
bp_status bp_model_load_into(bp_model *model, const char *path);
bp_status bp_snapshot_take(bp_model *model, bp_snapshot **snapshot);
bp_snapshot *bp_snapshot_share(bp_snapshot *snapshot);
void bp_snapshot_free(bp_snapshot *snapshot);
bp_status bp_model_restore(bp_model *model, const bp_snapshot *snapshot);
bp_status bp_model_from(bp_context *ctx, const bp_snapshot *snapshot, bp_model **model);
bp_tensor *bp_softmax(bp_tensor *x, int32_t axis);
bp_tensor *bp_log_softmax(bp_tensor *x, int32_t axis);
bp_tensor *bp_conv2d(bp_tensor *x, bp_tensor *w, bp_tensor *b, bp_window how);
bp_tensor *bp_conv2d_unbiased(bp_tensor *x, bp_tensor *w, bp_window how);
bp_tensor *bp_conv2d_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, bp_window how);
bp_tensor *bp_conv2d_input(bp_tensor *y, bp_tensor *w, int64_t height, int64_t width, bp_window
    how);
bp_tensor *bp_conv2d_filter(bp_tensor *y, bp_tensor *x, int64_t height, int64_t width, bp_window
    how);
bp_tensor *bp_max_pool(bp_tensor *x, int64_t height, int64_t width, bp_window how, bp_tensor
    **places);
bp_tensor *bp_max_spread(bp_tensor *y, bp_tensor *places, int64_t height, int64_t width, int64_t
    rows, int64_t columns, bp_window how);
bp_tensor *bp_max_pick(bp_tensor *x, bp_tensor *places, int64_t height, int64_t width, bp_window
    how);
bp_tensor *bp_avg_pool(bp_tensor *x, int64_t height, int64_t width, bp_window how);
bp_tensor *bp_avg_spread(bp_tensor *y, int64_t height, int64_t width, int64_t rows, int64_t columns,
    bp_window how);
bp_tensor *bp_global_max_pool(bp_tensor *x);
bp_tensor *bp_global_avg_pool(bp_tensor *x);
bp_tensor *bp_upsample_nearest(bp_tensor *x, int64_t down, int64_t across);
bp_tensor *bp_upsample_bilinear(bp_tensor *x, int64_t height, int64_t width);
bp_tensor *bp_bilinear_spread(bp_tensor *y, int64_t height, int64_t width);
bp_tensor *bp_layer_norm(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, double eps);
bp_tensor *bp_rms_norm(bp_tensor *x, bp_tensor *gain, double eps);
bp_tensor *bp_standardize(bp_tensor *x, int32_t axes, double eps);
bp_tensor *bp_group_norm(bp_tensor *x, int32_t groups, bp_tensor *gain, bp_tensor *bias, double
    eps);
bp_tensor *bp_batch_norm(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, double eps, bp_tensor
    **mean, bp_tensor **variance);
bp_tensor *bp_batch_norm_with(bp_tensor *x, bp_tensor *gain, bp_tensor *bias, bp_tensor *mean,
    bp_tensor *variance, double eps);
void bp_parallel_for(bp_exec *ex, int64_t blocks, bp_block_fn body, void *arg);
void bp_fault_range(bp_exec *ex, int64_t value);
void *bp_cuda_stream(const bp_exec *ex);
bp_status bp_op_register(bp_context *ctx, const bp_op_def *def, bp_op **op);
bp_tensor *bp_op_apply(bp_op *op, bp_tensor *const *in, const void *params, bp_tensor **out);
bp_status bp_optimizer_create(bp_params *params, bp_optimizer_kind kind, double lr, bp_optimizer
    **opt);
bp_status bp_adam_create(bp_params *params, double lr, bp_optimizer **opt);
bp_status bp_sgd_create(bp_params *params, double lr, double momentum, bp_optimizer **opt);
const char *bp_optimizer_name(bp_optimizer_kind kind);
bp_optimizer_kind bp_optimizer_kind_of(const bp_optimizer *opt);
void bp_optimizer_free(bp_optimizer *opt);
bp_status bp_optimizer_set(bp_optimizer *opt, bp_optimizer_option option, double value);
bp_status bp_optimizer_group_of(bp_optimizer *opt, const char *pattern, const bp_group *group,
    size_t struct_bytes);
bp_status bp_optimizer_fan_in(bp_optimizer *opt, double power);
static inline bp_status bp_optimizer_group(bp_optimizer *opt, const char *pattern, const bp_group
    *group);
bp_tensor *bp_optimizer_rate(bp_optimizer *opt);
bp_tensor *bp_optimizer_norm(bp_optimizer *opt);
bp_status bp_optimizer_steps(bp_optimizer *opt, int64_t *steps);
bp_status bp_optimizer_step(bp_optimizer *opt);
bp_status bp_max_norm(bp_params *params, const char *pattern, double most);
bp_status bp_average_into(bp_optimizer *opt, bp_tensor *average, bp_tensor *x, double rate);
bp_status bp_params_create(bp_context *ctx, bp_dtype dtype, bp_params **params);
void bp_params_free(bp_params *params);
bp_tensor *bp_param(bp_params *params, const char *name, bp_shape shape, bp_init init);
bp_tensor *bp_param_constant(bp_params *params, const char *name, bp_shape shape, double value);
bp_tensor *bp_param_with(bp_params *params, const char *name, bp_shape shape, bp_init_fn fill, void
    *user);
int32_t bp_param_count(const bp_params *params);
bp_tensor *bp_param_at(bp_params *params, int32_t i);
const char *bp_param_name(const bp_params *params, int32_t i);
int32_t bp_param_index(const bp_params *params, const char *name);
bp_tensor *bp_param_grad(bp_params *params, int32_t i);
bp_status bp_param_freeze(bp_params *params, int32_t i, int32_t frozen);
bp_status bp_params_freeze(bp_params *params, const char *pattern, int32_t frozen);
bp_status bp_params_copy(bp_params *dst, bp_params *src);
bp_status bp_params_average(bp_params *dst, bp_params *src, double tau);
bp_status bp_params_save(bp_params *params, const char *path);
bp_status bp_params_load(bp_params *params, const char *path, const char *pattern);
bp_status bp_grad_clear(bp_params *params);
bp_status bp_plan_record(bp_context *ctx, bp_step_fn step, void *user, bp_plan **plan);
bp_status bp_plan_replay(bp_plan *plan, int64_t times);
void bp_plan_free(bp_plan *plan);
int64_t bp_plan_kernels(const bp_plan *plan);
int64_t bp_plan_nodes(const bp_plan *plan);
bp_tensor *bp_matmul(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_dot(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_outer(bp_tensor *a, bp_tensor *b);
bp_tensor *bp_linear(bp_tensor *x, bp_tensor *w, bp_tensor *b);
bp_tensor *bp_linear_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, double p);
bp_tensor *bp_attention(bp_tensor *q, bp_tensor *k, bp_tensor *v, uint32_t flags, double scale);
bp_tensor *bp_attention_masked(bp_tensor *q, bp_tensor *k, bp_tensor *v, bp_tensor *mask, uint32_t
    flags, double scale);
bp_tensor *bp_attention_weights(bp_tensor *scores, uint32_t flags);
bp_tensor *bp_dropout(bp_tensor *x, double p);
bp_tensor *bp_uniform(bp_context *ctx, bp_dtype dtype, bp_shape shape, double lo, double hi);
bp_tensor *bp_normal(bp_context *ctx, bp_dtype dtype, bp_shape shape, double mean, double
    deviation);
bp_tensor *bp_bernoulli(bp_context *ctx, bp_dtype dtype, bp_shape shape, double p);
bp_tensor *bp_bernoulli_of(bp_tensor *p);
bp_tensor *bp_augment(bp_tensor *x, const char *how);
bp_tensor *bp_permutation(bp_context *ctx, int64_t n);
bp_tensor *bp_lstm_cell(bp_tensor *x, bp_tensor *h, bp_tensor *c, bp_tensor *w_ih, bp_tensor *w_hh,
    bp_tensor *b_ih, bp_tensor *b_hh, bp_tensor **c_next);
bp_tensor *bp_gru_cell(bp_tensor *x, bp_tensor *h, bp_tensor *w_ih, bp_tensor *w_hh, bp_tensor
    *b_ih, bp_tensor *b_hh);
bp_tensor *bp_sum(bp_tensor *x);
bp_tensor *bp_sum_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_sum_squares(bp_tensor *x);
bp_tensor *bp_sum_squares_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_mean(bp_tensor *x);
bp_tensor *bp_mean_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_variance(bp_tensor *x, int32_t correction);
bp_tensor *bp_variance_axes(bp_tensor *x, uint32_t axes, int32_t correction, int32_t keep);
bp_tensor *bp_std(bp_tensor *x, int32_t correction);
bp_tensor *bp_std_axes(bp_tensor *x, uint32_t axes, int32_t correction, int32_t keep);
bp_tensor *bp_norm_l1(bp_tensor *x);
bp_tensor *bp_norm_l1_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_norm_l2(bp_tensor *x);
bp_tensor *bp_norm_l2_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_norm_max(bp_tensor *x);
bp_tensor *bp_norm_max_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_max(bp_tensor *x);
bp_tensor *bp_max_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_min(bp_tensor *x);
bp_tensor *bp_min_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_logsumexp(bp_tensor *x);
bp_tensor *bp_logsumexp_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_count_nonzero(bp_tensor *x);
bp_tensor *bp_count_nonzero_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_any(bp_tensor *x);
bp_tensor *bp_any_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_all(bp_tensor *x);
bp_tensor *bp_all_axes(bp_tensor *x, uint32_t axes, int32_t keep);
bp_tensor *bp_argmax(bp_tensor *x, int32_t axis);
bp_tensor *bp_argmin(bp_tensor *x, int32_t axis);
bp_tensor *bp_cumsum(bp_tensor *x, int32_t axis, int32_t reverse);
bp_tensor *bp_sort(bp_tensor *x, int32_t axis, int32_t descending, bp_tensor **index);
bp_tensor *bp_top_k(bp_tensor *x, int64_t k, int32_t axis, int32_t least, bp_tensor **index);
bp_status bp_schedule_create(bp_context *ctx, const char *text, bp_schedule **schedule);
bp_status bp_schedule_own(bp_context *ctx, bp_factor_fn factor, void *user, bp_schedule **schedule);
void bp_schedule_free(bp_schedule *schedule);
bp_status bp_schedule_fill(bp_schedule *schedule, int64_t first, int64_t n, int64_t epoch_steps,
    int64_t all, double *factor);
bp_status bp_schedule_tell(bp_schedule *schedule, double measure);
bp_tensor *bp_transpose(bp_tensor *x, int32_t a, int32_t b);
bp_tensor *bp_permute(bp_tensor *x, bp_shape order);
bp_tensor *bp_reshape(bp_tensor *x, bp_shape shape);
bp_tensor *bp_unsqueeze(bp_tensor *x, int32_t axis);
bp_tensor *bp_squeeze(bp_tensor *x, uint32_t axes);
bp_tensor *bp_expand(bp_tensor *x, bp_shape shape);
bp_tensor *bp_slice(bp_tensor *x, int32_t axis, int64_t begin, int64_t end, int64_t step);
bp_tensor *bp_flip(bp_tensor *x, uint32_t axes);
bp_tensor *bp_split(bp_tensor *x, int32_t axis, int32_t n, const int64_t *sizes, bp_tensor **parts);
bp_tensor *bp_concat(bp_tensor *const *x, int32_t n, int32_t axis);
bp_tensor *bp_stack(bp_tensor *const *x, int32_t n, int32_t axis);
bp_tensor *bp_pad(bp_tensor *x, int32_t axis, int64_t before, int64_t after, double value);
bp_tensor *bp_pad_edge(bp_tensor *x, int32_t axis, int64_t before, int64_t after);
bp_tensor *bp_pad_reflect(bp_tensor *x, int32_t axis, int64_t before, int64_t after);
bp_tensor *bp_tile(bp_tensor *x, bp_shape times);
bp_tensor *bp_repeat(bp_tensor *x, int32_t axis, int64_t times);
bp_tensor *bp_roll(bp_tensor *x, int32_t axis, int64_t shift);
bp_tensor *bp_full(bp_context *ctx, bp_dtype dtype, bp_shape shape, double value);
bp_tensor *bp_full_like(bp_tensor *x, double value);
bp_tensor *bp_arange(bp_context *ctx, bp_dtype dtype, double begin, double step, int64_t count);
bp_tensor *bp_eye(bp_context *ctx, bp_dtype dtype, int64_t n);
bp_tensor *bp_tril(bp_tensor *x, int64_t diagonal);
bp_tensor *bp_triu(bp_tensor *x, int64_t diagonal);
bp_tensor *bp_tensor_create(bp_context *ctx, bp_dtype dtype, bp_shape shape);
void bp_free(bp_tensor *t);
bp_tensor *bp_keep(bp_tensor *t);
bp_status bp_write(bp_tensor *t, const void *src, size_t bytes);
bp_status bp_read(bp_tensor *t, void *dst, size_t bytes);
bp_status bp_read_f32(bp_tensor *t, float *dst, int64_t count);
bp_status bp_read_f64(bp_tensor *t, double *dst, int64_t count);
bp_status bp_read_all(bp_context *ctx, bp_tensor *const *t, int32_t n, double *dst, int64_t count);
bp_status bp_copy_into(bp_tensor *dst, bp_tensor *src);
bp_status bp_add_into(bp_tensor *acc, bp_tensor *x);
bp_shape bp_shape_of(const bp_tensor *t);
bp_dtype bp_dtype_of(const bp_tensor *t);
bp_context *bp_context_of(const bp_tensor *t);
bp_tensor *bp_batch_column(bp_batch *batch, const char *name);
bp_tensor *bp_batch_index(bp_batch *batch);
int64_t bp_batch_rows(const bp_batch *batch);
int32_t bp_batch_training(const bp_batch *batch);
bp_status bp_trainer_create(bp_model *model, bp_data *data, bp_trainer **trainer);
bp_status bp_trainer_create_with(bp_params *params, bp_data *data, bp_loss_fn loss, void *user,
    bp_trainer **trainer);
void bp_trainer_free(bp_trainer *trainer);
bp_status bp_trainer_set(bp_trainer *trainer, bp_train_option option, double value);
bp_status bp_trainer_augment(bp_trainer *trainer, const char *text);
bp_status bp_trainer_schedule(bp_trainer *trainer, const char *text);
bp_status bp_trainer_schedule_own(bp_trainer *trainer, bp_schedule *schedule);
bp_status bp_trainer_rows(bp_trainer *trainer, bp_rows_fn rows, void *user);
bp_status bp_trainer_optimizer(bp_trainer *trainer, bp_optimizer *opt);
bp_status bp_trainer_validate(bp_trainer *trainer, bp_data *data);
bp_status bp_trainer_decay(bp_trainer *trainer, double *l2);
bp_status bp_trainer_best(bp_trainer *trainer);
bp_status bp_trainer_average(bp_trainer *trainer);
bp_status bp_trainer_on_step(bp_trainer *trainer, bp_trainer_fn fn, void *user);
bp_status bp_trainer_on_epoch(bp_trainer *trainer, bp_trainer_fn fn, void *user);
bp_status bp_trainer_run(bp_trainer *trainer, int64_t max_steps, double max_seconds, int32_t *done);
void bp_trainer_stop(bp_trainer *trainer);
void bp_progress_of(const bp_trainer *trainer, bp_progress *progress, size_t struct_bytes);
bp_status bp_trainer_range(bp_trainer *trainer, double from, double to, int64_t steps, double *loss,
    double *smooth, bp_rate_range *found);
bp_status bp_trainer_curvature(bp_trainer *trainer, int64_t rows, double tolerance, int64_t
    products, bp_eigen *found);
bp_status bp_model_fit(bp_model *model, bp_data *data, bp_method method, double l2, const
    bp_minimize_options *options, bp_found *result);
static inline void bp_trainer_progress(const bp_trainer *trainer, bp_progress *progress);
bp_checkpoint *bp_trainer_checkpoint(bp_trainer *trainer);
bp_status bp_trainer_save(bp_trainer *trainer, const char *path, int32_t keep);
bp_status bp_trainer_save_every(bp_trainer *trainer, int64_t steps, const char *path, int32_t keep);
bp_status bp_trainer_resume(bp_trainer *trainer, const char *path);
bp_status bp_cma_es(bp_params *params, bp_objective_fn loss, void *user, const bp_evolve_options
    *options, bp_found *result);
bp_status bp_cma_es_host(bp_context *ctx, bp_cost_fn cost, void *user, double *x, int64_t n, const
    bp_evolve_options *options, bp_found *result);
bp_status bp_es(bp_params *params, bp_objective_fn loss, void *user, const bp_evolve_options
    *options, bp_found *result);
bp_status bp_es_host(bp_context *ctx, bp_cost_fn cost, void *user, double *x, int64_t n, const
    bp_evolve_options *options, bp_found *result);
const char *bp_stop_text(bp_stop stop);
bp_status bp_lbfgs(bp_params *params, bp_objective_fn loss, void *user, const bp_minimize_options
    *options, bp_found *result);
bp_status bp_levenberg_marquardt(bp_params *params, bp_objective_fn residuals, void *user, const
    bp_minimize_options *options, bp_found *result);
bp_status bp_gauss_newton(bp_params *params, bp_objective_fn residuals, void *user, const
    bp_minimize_options *options, bp_found *result);
bp_status bp_hessian_largest(bp_params *params, bp_objective_fn loss, void *user, double tolerance,
    int64_t products, bp_eigen *found);
bp_status bp_hessian_eigenvalues(bp_params *params, bp_objective_fn loss, void *user, double
    *eigenvalues, int64_t *n);

/* --- values ----------------------------------------------------------------------------------- */

IS(BP_KEEP_GRAPH, 1);
IS(BP_CREATE_GRAPH, 2);
IS(BP_OK, 0);
IS(BP_ERR_NOMEM, 1);
IS(BP_ERR_ARG, 2);
IS(BP_ERR_SHAPE, 3);
IS(BP_ERR_DTYPE, 4);
IS(BP_ERR_DEVICE, 5);
IS(BP_ERR_UNSUPPORTED, 6);
IS(BP_ERR_RANGE, 7);
IS(BP_ERR_STATE, 8);
IS(BP_ERR_BUSY, 9);
IS(BP_ERR_IO, 10);
IS(BP_ERR_FORMAT, 11);
IS(BP_ERR_STOPPED, 12);
IS(BP_ERR_NONFINITE, 13);
IS(BP_F32, 1);
IS(BP_F64, 2);
IS(BP_U8, 3);
IS(BP_I32, 4);
IS(BP_MAX_DIMS, 8);
IS(BP_MAX_IO, 4);
IS(BP_PRECISION_F32, 1);
IS(BP_PRECISION_TF32, 2);
IS(BP_NO_GRAD, 1);
IS(BP_CHECK_FINITE, 2);
IS(BP_TARGETS_NONE, 0);
IS(BP_TARGETS_CLASSES, 1);
IS(BP_TARGETS_REAL, 2);
IS(BP_TARGETS_LABELS, 3);
IS(BP_EACH, 0);
IS(BP_SUM, 1);
IS(BP_MEAN, 2);
IS(BP_TASK_CLASSES, 1);
IS(BP_TASK_REGRESSION, 2);
IS(BP_TASK_LABELS, 3);
IS(BP_NORMALIZE_DEFAULT, 0);
IS(BP_NORMALIZE_NONE, 1);
IS(BP_NORMALIZE_GLOBAL, 2);
IS(BP_NORMALIZE_COLUMN, 3);
IS(BP_NORMALIZE_MINMAX, 4);
IS(BP_NORMALIZE_PCA, 5);
IS(BP_NORMALIZE_ZCA, 6);
IS(BP_SGD, 1);
IS(BP_NESTEROV, 2);
IS(BP_ADAM, 3);
IS(BP_ADAMW, 4);
IS(BP_RMSPROP, 5);
IS(BP_ADAGRAD, 6);
IS(BP_LION, 7);
IS(BP_DIAGONAL_LM, 8);
IS(BP_OPT_LR, 1);
IS(BP_OPT_BETA1, 2);
IS(BP_OPT_BETA2, 3);
IS(BP_OPT_EPS, 4);
IS(BP_OPT_MOMENTUM, 5);
IS(BP_OPT_L1, 6);
IS(BP_OPT_L2, 7);
IS(BP_OPT_DECAY_FROM, 8);
IS(BP_OPT_WEIGHT_DECAY, 9);
IS(BP_OPT_CLIP_VALUE, 10);
IS(BP_OPT_CLIP_NORM, 11);
IS(BP_OPT_ALPHA, 12);
IS(BP_INIT_ZERO, 0);
IS(BP_INIT_ONE, 1);
IS(BP_INIT_LECUN, 2);
IS(BP_INIT_HE, 3);
IS(BP_INIT_GLOROT, 4);
IS(BP_INIT_LECUN_NORMAL, 5);
IS(BP_INIT_HE_NORMAL, 6);
IS(BP_INIT_GLOROT_NORMAL, 7);
IS(BP_INIT_ORTHOGONAL, 8);
IS(BP_CAUSAL, 1);
IS(BP_TRAIN_EPOCHS, 1);
IS(BP_TRAIN_BATCH, 2);
IS(BP_TRAIN_LR, 3);
IS(BP_TRAIN_SEED, 4);
IS(BP_TRAIN_L1, 5);
IS(BP_TRAIN_L2, 6);
IS(BP_TRAIN_DECAY_FROM, 7);
IS(BP_TRAIN_ROWS, 8);
IS(BP_TRAIN_EPOCH_STEPS, 9);
IS(BP_TRAIN_PARTS, 10);
IS(BP_TRAIN_PATIENCE, 11);
IS(BP_TRAIN_EAGER, 12);
IS(BP_TRAIN_HOLD_OUT, 13);
IS(BP_TRAIN_OPTIMIZER, 14);
IS(BP_TRAIN_CLIP_NORM, 15);
IS(BP_TRAIN_WEIGHT_DECAY, 16);
IS(BP_TRAIN_BATCH_CLASSES, 17);
IS(BP_TRAIN_BATCH_PER_CLASS, 18);
IS(BP_TRAIN_EMPHASIS, 19);
IS(BP_TRAIN_MAX_NORM, 20);
IS(BP_TRAIN_MU, 21);
IS(BP_TRAIN_FAN_IN, 22);
IS(BP_TRAIN_AVERAGE, 23);
IS(BP_TRAIN_AVERAGE_FROM, 24);
IS(BP_TRAIN_STOP_GL, 25);
IS(BP_TRAIN_STOP_PQ, 26);
IS(BP_TRAIN_STOP_UP, 27);
IS(BP_TRAIN_STOP_STRIP, 28);
IS(BP_TRAIN_SYMMETRIC, 29);
IS(BP_ROWS_SHUFFLED, 0);
IS(BP_ROWS_IN_ORDER, 1);
IS(BP_ROWS_WEIGHTED, 2);
IS(BP_ROWS_BALANCED, 3);
IS(BP_ROWS_STRATIFIED, 4);
IS(BP_ROWS_BY_ERROR, 5);
IS(BP_METHOD_LBFGS, 1);
IS(BP_METHOD_LEVENBERG_MARQUARDT, 2);
IS(BP_METHOD_GAUSS_NEWTON, 3);
IS(BP_STOP_NONE, 0);
IS(BP_STOP_GRADIENT, 1);
IS(BP_STOP_VALUE, 2);
IS(BP_STOP_STEP, 3);
IS(BP_STOP_TARGET, 4);
IS(BP_STOP_LIMIT, 5);
IS(BP_STOP_PRECISION, 6);

/* --- places ----------------------------------------------------------------------------------- */

AT(bp_shape, ndim, 0);
AT(bp_shape, dim, 8);
SIZE(bp_shape, 72);
AT(bp_window, stride, 0);
AT(bp_window, dilation, 8);
AT(bp_window, pad, 16);
AT(bp_window, groups, 32);
SIZE(bp_window, 36);
AT(bp_hooks, struct_bytes, 0);
AT(bp_hooks, user, 8);
AT(bp_hooks, alloc, 16);
AT(bp_hooks, free, 24);
AT(bp_hooks, log, 32);
AT(bp_hooks, parallel_for, 40);
AT(bp_stats, allocations, 0);
AT(bp_stats, kernels, 8);
AT(bp_stats, layout_copies, 16);
AT(bp_stats, helped_blocks, 24);
AT(bp_stats, waits, 32);
AT(bp_stats, bytes, 40);
AT(bp_stats, peak_bytes, 48);
AT(bp_csv, struct_bytes, 0);
AT(bp_csv, header, 8);
AT(bp_csv, separator, 12);
AT(bp_csv, label, 16);
AT(bp_csv, targets, 24);
AT(bp_csv, skip, 32);
AT(bp_csv, like, 40);
AT(bp_csv, whole_classes, 48);
AT(bp_gradcheck_report, struct_bytes, 0);
AT(bp_gradcheck_report, checked, 8);
AT(bp_gradcheck_report, wrong, 16);
AT(bp_gradcheck_report, kinks, 24);
AT(bp_gradcheck_report, input, 32);
AT(bp_gradcheck_report, index, 40);
AT(bp_gradcheck_report, analytic, 48);
AT(bp_gradcheck_report, numeric, 56);
AT(bp_metrics, loss, 0);
AT(bp_metrics, accuracy, 8);
AT(bp_metrics, top, 16);
AT(bp_metrics, mse, 24);
AT(bp_metrics, mae, 32);
AT(bp_metrics, r2, 40);
AT(bp_metrics, auc, 48);
AT(bp_view, data, 0);
AT(bp_view, dtype, 8);
AT(bp_view, shape, 16);
AT(bp_view, stride, 88);
SIZE(bp_view, 152);
AT(bp_grad_call, ctx, 0);
AT(bp_grad_call, params, 8);
AT(bp_grad_call, n_in, 16);
AT(bp_grad_call, n_out, 20);
AT(bp_grad_call, in, 24);
AT(bp_grad_call, out, 56);
AT(bp_grad_call, dout, 88);
AT(bp_grad_call, in_shape, 120);
AT(bp_grad_call, need, 408);
AT(bp_grad_call, dx, 424);
AT(bp_op_def, struct_bytes, 0);
AT(bp_op_def, name, 8);
AT(bp_op_def, n_in, 16);
AT(bp_op_def, n_out, 20);
AT(bp_op_def, params_bytes, 24);
AT(bp_op_def, saves_in, 32);
AT(bp_op_def, saves_out, 36);
AT(bp_op_def, infer, 40);
AT(bp_op_def, forward, 48);
AT(bp_op_def, gradient, 56);
AT(bp_op_def, compose, 64);
AT(bp_op_def, forward_cuda, 72);
AT(bp_group, rate, 0);
AT(bp_group, l1, 8);
AT(bp_group, l2, 16);
AT(bp_group, weight_decay, 24);
AT(bp_progress, epoch, 0);
AT(bp_progress, steps, 8);
AT(bp_progress, epoch_steps, 16);
AT(bp_progress, loss, 24);
AT(bp_progress, accuracy, 32);
AT(bp_progress, seconds, 40);
AT(bp_progress, valid_loss, 48);
AT(bp_progress, valid_accuracy, 56);
AT(bp_progress, best_loss, 64);
AT(bp_progress, best_epoch, 72);
AT(bp_progress, rate, 80);
AT(bp_progress, stopped_by, 88);
AT(bp_evolve_options, struct_bytes, 0);
AT(bp_evolve_options, deviation, 8);
AT(bp_evolve_options, population, 16);
AT(bp_evolve_options, evaluations, 24);
AT(bp_evolve_options, seed, 32);
AT(bp_evolve_options, target, 40);
AT(bp_evolve_options, has_target, 48);
AT(bp_evolve_options, restarts, 52);
AT(bp_evolve_options, value, 56);
AT(bp_evolve_options, step, 64);
AT(bp_evolve_options, each, 72);
AT(bp_evolve_options, user, 80);
AT(bp_found, struct_bytes, 0);
AT(bp_found, iterations, 8);
AT(bp_found, evaluations, 16);
AT(bp_found, value, 24);
AT(bp_found, gradient, 32);
AT(bp_found, step, 40);
AT(bp_found, damping, 48);
AT(bp_found, population, 56);
AT(bp_found, restarts, 64);
AT(bp_found, stop, 68);
AT(bp_minimize_options, struct_bytes, 0);
AT(bp_minimize_options, iterations, 8);
AT(bp_minimize_options, gradient, 16);
AT(bp_minimize_options, value, 24);
AT(bp_minimize_options, step, 32);
AT(bp_minimize_options, history, 40);
AT(bp_minimize_options, damping, 48);
AT(bp_minimize_options, each, 56);
AT(bp_minimize_options, user, 64);
AT(bp_minimize_options, products, 72);
AT(bp_eigen, struct_bytes, 0);
AT(bp_eigen, value, 8);
AT(bp_eigen, residual, 16);
AT(bp_eigen, rate, 24);
AT(bp_eigen, products, 32);
AT(bp_eigen, converged, 40);
AT(bp_rate_range, struct_bytes, 0);
AT(bp_rate_range, steps, 8);
AT(bp_rate_range, diverged, 16);
AT(bp_rate_range, least, 24);
AT(bp_rate_range, rate, 32);
