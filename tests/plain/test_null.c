/* NULL for every pointer of every public function, one at a time: null_cases.py makes the table out of
 * the headers. An error comes back, its text (never an older one) names the argument, the process
 * lives, nothing leaks, and the objects go on working. */
#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "core/dlpack.h"
#include "readers.h"
#include "train/train.h"

/* One valid object of each kind, and room for what a call makes. */
typedef struct world {
    bp_context *ctx, *other;
    bp_tensor *t, *out[4];
    bp_params *params, *new_params, *new_store;
    bp_layers *layers, *new_layers;
    bp_optimizer *opt, *new_opt;
    bp_group group;
    bp_schedule *schedule, *new_schedule;
    bp_plan *plan, *new_plan;
    bp_data *data, *new_data, *second, *table, *ring;
    const void *columns[1];
    bp_csv csv;
    const char *names[4];
    bp_model *model, *new_model;
    bp_optimizer *model_opt;
    bp_trainer *trainer, *new_trainer;
    bp_batch batch;
    bp_checkpoint *checkpoint, *new_checkpoint;
    struct DLManagedTensorVersioned *dl, *new_dl;
    struct DLManagedTensor *old_dl, *new_old_dl;
    bp_op *op, *new_op;
    bp_op_def def;
    bp_hooks hooks;
    bp_stats stats;
    bp_progress progress;
    bp_metrics metrics;
    bp_snapshot *snapshot, *new_snapshot;
    bp_gradcheck_report report;
    bp_minimize_options minimize;
    bp_evolve_options evolve;
    bp_found found;
    bp_eigen eigen;
    bp_rate_range range;
    bp_optimizer *diagonal;
    bp_tensor *index;
    char room[64];
    float f[64];
    int32_t i[64];
    int64_t n;
    double d, f64[8];
} world;

typedef struct null_case {
    const char *name, *argument;
    bool (*call)(world *); /* true: it returned what it must */
    bool in_scope, may;
} null_case;

static bp_status nothing(bp_context *ctx, void *user)
{
    (void)ctx, (void)user;
    return BP_OK;
}

static bp_tensor *first(bp_context *ctx, bp_tensor *const *x, void *user)
{
    (void)ctx, (void)user;
    return x[0];
}

static bp_tensor *no_forward(bp_model *model, bp_tensor *x, int32_t training, void *user)
{
    (void)model, (void)training, (void)user;
    return x;
}

static bp_tensor *no_objective(bp_context *ctx, void *user)
{
    (void)ctx, (void)user;
    return NULL;
}

static double no_cost(void *user, const double *x, int64_t n)
{
    (void)user, (void)x, (void)n;
    return 1;
}

static void no_text(void *user, const char *text, size_t n)
{
    (void)user, (void)text, (void)n;
}

static bp_status no_values(void *user, double *to, int64_t count)
{
    (void)user, (void)to, (void)count;
    return BP_OK;
}

static void no_block(void *arg, int64_t block)
{
    (void)arg, (void)block;
}

static bp_tensor *no_loss(bp_context *ctx, bp_batch *batch, void *user)
{
    (void)ctx, (void)batch, (void)user;
    return NULL;
}

static bp_status no_rows(void *user, int64_t epoch, int32_t *rows, int64_t n)
{
    (void)user, (void)epoch, (void)rows, (void)n;
    return BP_OK;
}

static bp_status no_callback(bp_trainer *trainer, const bp_progress *progress, void *user)
{
    (void)trainer, (void)progress, (void)user;
    return BP_OK;
}

static double no_factor(void *user, double epoch, double epochs)
{
    (void)user, (void)epoch, (void)epochs;
    return 1;
}

static int64_t no_fill(void *user, int64_t batch, void *const *columns, int64_t rows)
{
    (void)user, (void)batch, (void)columns, (void)rows;
    return -1;
}

#include "null_cases.inc"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    for (int i = 0; i < 2; i++) {
        out[i].dtype = in[0].dtype;
        out[i].shape = in[0].shape;
    }
    return BP_OK;
}

static bp_status no_kernel(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)ex, (void)in, (void)out, (void)params;
    return BP_OK;
}

static bool make(world *w, const guard *g)
{
    memset(w, 0, sizeof *w);
    w->hooks = guard_hooks((guard *)g);
    w->group.rate = 1;
    w->names[0] = w->names[1] = "class";
    w->columns[0] = w->f;
    w->csv.struct_bytes = sizeof w->csv;
    w->minimize.struct_bytes = sizeof w->minimize;
    w->evolve.struct_bytes = sizeof w->evolve;
    w->found.struct_bytes = sizeof w->found;
    w->eigen.struct_bytes = sizeof w->eigen;
    w->range.struct_bytes = sizeof w->range;
    w->def = (bp_op_def){.struct_bytes = sizeof w->def, .name = "two", .n_in = 1, .n_out = 2,
                         .params_bytes = 8, .infer = infer, .forward = no_kernel};
    return bp_open_with("cpu", &w->hooks, &w->ctx) == BP_OK && bp_set_threads(w->ctx, 1) == BP_OK &&
           (w->t = bp_tensor_create(w->ctx, BP_F32, BP_SHAPE(2, 3))) &&
           bp_dlpack_export(w->t, &w->dl) == BP_OK &&
           bp_dlpack_export_legacy(w->t, &w->old_dl) == BP_OK &&
           bp_params_create(w->ctx, BP_F32, &w->params) == BP_OK &&
           bp_param(w->params, "w", BP_SHAPE(2, 3), BP_INIT_ONE) &&
           bp_adam_create(w->params, 0.1, &w->opt) == BP_OK &&
           bp_schedule_create(w->ctx, "plateau=0.5,1", &w->schedule) == BP_OK &&
           bp_plan_record(w->ctx, nothing, NULL, &w->plan) == BP_OK &&
           bp_data_create(w->ctx, BP_F32, w->f, w->i, 4, 3, 2, &w->data) == BP_OK &&
           bp_data_table(w->ctx, 4, &w->table) == BP_OK &&
           bp_params_create(w->ctx, BP_F32, &w->new_store) == BP_OK &&
           bp_layers_create(w->new_store, "a.", 3, "4", &w->layers) == BP_OK &&
           bp_data_ring(w->ctx, 4, &w->ring) == BP_OK &&
           bp_data_add(w->ring, "x", BP_F32, BP_SCALAR, NULL) == BP_OK &&
           bp_model_create(w->ctx, 3, "4", 2, &w->model) == BP_OK &&
           bp_snapshot_take(w->model, &w->snapshot) == BP_OK &&
           bp_sgd_create(bp_model_params(w->model), 0.1, 0, &w->model_opt) == BP_OK &&
           bp_optimizer_create(bp_model_params(w->model), BP_DIAGONAL_LM, 0.1, &w->diagonal) ==
               BP_OK &&
           (w->index = bp_tensor_create(w->ctx, BP_I32, BP_SHAPE(1))) &&
           bp_trainer_create(w->model, w->data, &w->trainer) == BP_OK &&
           bp_checkpoint_create(w->ctx, &w->checkpoint) == BP_OK &&
           bp_op_register(w->ctx, &w->def, &w->op) == BP_OK &&
           (w->batch = (bp_batch){.ctx = w->ctx, .data = w->data}, true);
}

/* What every object of the world still does. */
static bool works(world *w)
{
    int32_t done;
    double loss, accuracy;
    return bp_read(w->t, w->f, 24) == BP_OK && bp_plan_replay(w->plan, 1) == BP_OK &&
           bp_optimizer_step(w->opt) == BP_OK && bp_schedule_tell(w->schedule, 1) == BP_OK &&
           bp_model_evaluate(w->model, w->data, &loss, &accuracy) == BP_OK &&
           bp_trainer_run(w->trainer, 1, -1, &done) == BP_OK;
}

static void end(world *w)
{
    w->dl->deleter(w->dl);
    w->old_dl->deleter(w->old_dl);
    bp_trainer_free(w->new_trainer);
    bp_trainer_free(w->trainer);
    bp_checkpoint_free(w->new_checkpoint);
    bp_checkpoint_free(w->checkpoint);
    bp_optimizer_free(w->model_opt);
    bp_optimizer_free(w->diagonal);
    bp_free(w->index);
    bp_layers_free(w->new_layers);
    bp_layers_free(w->layers);
    bp_params_free(w->new_store);
    bp_snapshot_free(w->new_snapshot);
    bp_snapshot_free(w->snapshot);
    bp_model_free(w->new_model);
    bp_model_free(w->model);
    bp_data_free(w->second);
    bp_data_free(w->new_data);
    bp_data_free(w->ring);
    bp_data_free(w->table);
    bp_data_free(w->data);
    bp_plan_free(w->new_plan);
    bp_plan_free(w->plan);
    bp_schedule_free(w->new_schedule);
    bp_schedule_free(w->schedule);
    bp_optimizer_free(w->new_opt);
    bp_optimizer_free(w->opt);
    bp_params_free(w->new_params);
    bp_params_free(w->params);
    bp_close(w->other);
    bp_close(w->ctx);
}

/* "relu: input 0 is NULL": what an op calls its tensors. */
static bool names(const char *text, const char *argument)
{
    char words[64];
    snprintf(words, sizeof words, "%s is NULL", argument);
    return strstr(text, words) || (strstr(text, ": input ") && strstr(text, " is NULL"));
}

static bool holds(const null_case *c)
{
    guard g = {0};
    world w;
    bool good = make(&w, &g);
    (void)!bp_tensor_create(w.ctx, 99, BP_SCALAR); /* the older sentence */
    good = good && (!c->in_scope || bp_scope_begin(w.ctx, 0) == BP_OK);
    good = good && c->call(&w);
    const char *text = bp_error_text(w.other ? w.other : w.ctx);
    if (!c->may && !names(text, c->argument)) {
        printf("       %s: \"%s\"\n", c->name, text);
        good = false;
    }
    if (c->in_scope)
        (void)!bp_scope_end(w.ctx);
    good = good && works(&w);
    end(&w);
    return good && g.live == 0 && !g.broken;
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(holds(&cases[i]), cases[i].name);
    return check_end();
}
