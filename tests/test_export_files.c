/* Files of PyTorch's load, and are written under its names; whatever is written for other programs
 * has equal bytes for equal models; what cannot be said is refused, and leaves no file. onnxruntime,
 * NumPy and PyTorch read such files in tests/python/export.py. */
#include "export_model.h"

#define CLAIM(name) Test(export_files, name, .init = enter, .fini = leave)

/* --- PyTorch's names -------------------------------------------------------------------------- */

#define SEQUENTIAL BPI_GOLDEN_DIR "/sequential.safetensors"
static const char sequential[] = "4 relu dropout=0.5 residual( layernorm 4 gelu ) rmsnorm";

static size_t bytes_of(const char *name, unsigned char *all, size_t room)
{
    FILE *f = fopen(name, "rb");
    cr_assert(f, "%s", name);
    size_t n = fread(all, 1, room, f);
    fclose(f);
    return n;
}

CLAIM(a_sequential_of_pytorch_loads_gives_its_outputs_and_is_written_under_its_names)
{
    bp_model *m, *again;
    bp_params *told, *named;
    float x[15], y[10], p[10], q[10];
    OK(bp_params_create(ctx, BP_F32, &told));
    bp_tensor *of_x = bp_param(told, "x", BP_SHAPE(5, 3), BP_INIT_ZERO);
    bp_tensor *of_y = bp_param(told, "y", BP_SHAPE(5, 2), BP_INIT_ZERO);
    OK(bp_params_load(told, BPI_GOLDEN_DIR "/sequential_told.safetensors", NULL));
    OK(bp_read(of_x, x, sizeof x));
    OK(bp_read(of_y, y, sizeof y));
    OK(bp_model_create_as(ctx, 3, sequential, BP_TASK_REGRESSION, 2, &m));
    OK(bp_model_create_as(ctx, 3, sequential, BP_TASK_REGRESSION, 2, &again));
    OK(bp_model_load_torch(m, SEQUENTIAL));
    OK(bp_model_predict(m, x, 5, p));
    for (int i = 0; i < 10; i++)
        cr_assert_float_eq(p[i], y[i], 1e-6);
    OK(bp_model_save_torch(m, path));
    OK(bp_model_load_torch(again, path));
    OK(bp_model_predict(again, x, 5, q));
    cr_assert_arr_eq(q, p, sizeof p);
    OK(bp_params_create(ctx, BP_F32, &named));
    cr_assert(bp_param(named, "3.body.1.weight", BP_SHAPE(4, 4), BP_INIT_ZERO));
    cr_assert(bp_param(named, "4.weight", BP_SHAPE(4), BP_INIT_ZERO));
    OK(bp_params_load(named, path, "*"));
    same(bp_param_at(named, 0), bp_param_at(bp_model_params(m), 4), 0);
    same(bp_param_at(named, 1), bp_param_at(bp_model_params(m), 6), 0);
    bp_params_free(told), bp_params_free(named);
    bp_model_free(m), bp_model_free(again);
}

CLAIM(a_file_of_another_net_is_told_by_pytorchs_names_and_changes_nothing)
{
    static const struct {
        const char *layers;
        bp_status status;
        const char *text;
    } wrong[] = {
        {"4 relu residual( layernorm 4 gelu ) rmsnorm", BP_ERR_FORMAT,
         ": 2.body.0.weight [4] is not there: of 9 tensors the first is "},
        {"4 relu dropout=0.5 residual( layernorm 9 4 ) rmsnorm", BP_ERR_SHAPE,
         ": 3.body.1.weight is [4,4] in the file and [9,4] in the store"},
        {"4 relu dropout=0.5 residual( rmsnorm 4 gelu ) rmsnorm", BP_ERR_FORMAT,
         ": holds 3.body.0.bias F32 [4], which the store does not"}};
    for (int i = 0; i < 3; i++) {
        bp_model *m;
        float x[3] = {1, 2, 3}, before[2], after[2];
        OK(bp_model_create_as(ctx, 3, wrong[i].layers, BP_TASK_REGRESSION, 2, &m));
        OK(bp_model_predict(m, x, 1, before));
        cr_assert_eq(bp_model_load_torch(m, SEQUENTIAL), wrong[i].status);
        cr_assert(strstr(bp_error_text(ctx), wrong[i].text), "%s", bp_error_text(ctx));
        OK(bp_model_predict(m, x, 1, after));
        cr_assert_arr_eq(after, before, sizeof after);
        cr_assert_eq(bp_model_load_torch(m, path), BP_ERR_IO);
        bp_model_free(m);
    }
}

/* --- what all of them hold to ----------------------------------------------------------------- */

static bp_status write_as(int way, bp_model *m, const char *to)
{
    switch (way) {
    case 0: return bp_model_export_onnx(m, to);
    case 1: return bp_model_export_c(m, "net", to);
    case 2: return bp_model_save_torch(m, to);
    case 3: return bp_params_save_npz(bp_model_params(m), to);
    default: return bp_npy_save(bp_param_at(bp_model_params(m), 0), to);
    }
}
enum { WAYS = 5 };
static const char everything[] = "5 elu=2 dropout=0.5 residual( layernorm 5 gelu rmsnorm )";

CLAIM(equal_models_give_equal_bytes_and_a_failure_leaves_what_was_there)
{
    static unsigned char first[1 << 16], second[1 << 16];
    float x[ROWS * INPUTS];
    samples(x);
    bp_model *m = model_in(ctx, everything, BP_TASK_CLASSES, 3);
    bp_model *same_one = model_in(ctx, everything, BP_TASK_CLASSES, 3);
    normalize(m, x, BP_NORMALIZE_PCA), normalize(same_one, x, BP_NORMALIZE_PCA);
    for (int way = 0; way < WAYS; way++) {
        OK(write_as(way, m, path));
        size_t n = bytes_of(path, first, sizeof first);
        OK(write_as(way, same_one, path));
        cr_assert(n > 100 && bytes_of(path, second, sizeof second) == n);
        cr_assert_arr_eq(first, second, n);
        cr_assert_eq(write_as(way, m, "/nowhere/x"), BP_ERR_IO);
        cr_assert(strstr(bp_error_text(ctx), "/nowhere/x"));
        cr_assert_eq(write_as(way, m, folder), BP_ERR_IO);
        OK(write_as(way, m, "/dev/null"));
    }
    bp_model_free(m), bp_model_free(same_one);
}

static bp_tensor *as_it_is(bp_model *m, bp_tensor *x, int32_t training, void *user)
{
    (void)m, (void)training, (void)user;
    return x;
}

CLAIM(what_cannot_be_said_is_refused_and_leaves_no_file)
{
    static const char *const of_own[] = {"model_export_onnx", "model_export_c", "model_save_torch"};
    static const char *const bad[] = {"", "7up", "_x", "a b", "caf\xc3\xa9", "a.b",
        "a123456789012345678901234567890123456789012345678901234567890123"};
    char text[160];
    bp_model *m;
    bp_params *p;
    OK(bp_model_own(ctx, 3, BP_TASK_REGRESSION, 3, as_it_is, NULL, &m));
    for (int way = 0; way < 3; way++) {
        cr_assert_eq(write_as(way, m, path), BP_ERR_UNSUPPORTED);
        snprintf(text, sizeof text, "%s: the forward pass of this model is a program's own "
                 "function: a model of a text of layers is wanted", of_own[way]);
        TEXT(text);
    }
    cr_assert_eq(bp_model_load_torch(m, SEQUENTIAL), BP_ERR_UNSUPPORTED);
    bp_model_free(m);
    m = model_in(ctx, "3", BP_TASK_CLASSES, 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(bp_model_export_c(m, bad[i], path), BP_ERR_ARG, "%s", bad[i]);
    OK(bp_write(bp_param_at(bp_model_params(m), 1), (float[]){0, NAN, 0}, 3 * sizeof(float)));
    for (int way = 0; way < 2; way++) {
        cr_assert_eq(write_as(way, m, path), BP_ERR_NONFINITE);
        cr_assert(strstr(bp_error_text(ctx), "layer1.bias"), "%s", bp_error_text(ctx));
    }
    bp_model_free(m);
    OK(bp_model_create(ctx, 4, "200000", 2, &m));
    cr_assert_eq(bp_model_export_c(m, "net", path), BP_ERR_UNSUPPORTED);
    TEXT("model_export_c: what lies between the layers takes 1600000 bytes of stack; at most "
         "1048576 are wanted");
    bp_model_free(m);
    OK(bp_model_create(ctx, 16384, "40000", 2, &m)); /* 2.6 GB that nobody has drawn */
    cr_assert_eq(bp_model_export_onnx(m, path), BP_ERR_UNSUPPORTED);
    cr_assert(strstr(bp_error_text(ctx), ": weights of 2622"), "%s", bp_error_text(ctx));
    bp_model_free(m);
    OK(bp_params_create(ctx, BP_F32, &p));
    cr_assert(bp_param(p, "large", BP_SHAPE(1 << 15, 1 << 15), BP_INIT_ZERO));
    cr_assert_eq(bp_params_save_npz(p, path), BP_ERR_UNSUPPORTED);
    bp_params_free(p);
    OK(bp_params_create(ctx, BP_F32, &p));
    cr_assert(bp_param(p, "caf\xe9", BP_SHAPE(1), BP_INIT_ZERO));
    cr_assert_eq(bp_params_save_npz(p, path), BP_ERR_ARG);
    bp_params_free(p);
    cr_assert_neq(access(path, F_OK), 0);
}

typedef struct recording {
    bp_model *model;
    int way;
} recording;

static bp_status write_step(bp_context *c, void *user)
{
    recording *r = user;
    (void)c;
    return write_as(r->way, r->model, path);
}

CLAIM(a_plan_writes_no_files)
{
    bp_plan *plan;
    recording r = {model_in(ctx, everything, BP_TASK_CLASSES, 3), 0};
    for (; r.way < WAYS; r.way++)
        cr_assert_eq(bp_plan_record(ctx, write_step, &r, &plan), BP_ERR_STATE, "%d", r.way);
    cr_assert_neq(access(path, F_OK), 0);
    bp_model_free(r.model);
}

/* Each allocation fails once; the same call then does it, and all is given back. */
CLAIM(a_writer_that_gets_no_memory_can_be_asked_again)
{
    static unsigned char first[1 << 16], second[1 << 16];
    for (int way = 0; way < WAYS; way++) {
        int failures = 0;
        size_t n = 0;
        for (int64_t nth = 1;; nth++) {
            guard g = {0};
            bp_hooks hooks = guard_hooks(&g);
            bp_context *c;
            cr_assert_eq(bp_open_with(test_device(), &hooks, &c), BP_OK);
            bp_model *m = model_in(c, everything, BP_TASK_REGRESSION, 3);
            g.fail_at = g.calls + nth;
            bp_status st = write_as(way, m, path);
            bool none = g.calls < g.fail_at;
            g.fail_at = 0;
            cr_assert(st == (none ? BP_OK : BP_ERR_NOMEM), "%d: %s", way, bp_error_text(c));
            failures += st != BP_OK;
            cr_assert_eq(write_as(way, m, path), BP_OK, "%d: %s", way, bp_error_text(c));
            size_t now = bytes_of(path, second, sizeof second);
            cr_assert(!n || (now == n && !memcmp(first, second, n)));
            memcpy(first, second, n = now);
            bp_model_free(m);
            bp_close(c);
            cr_assert(g.live == 0 && !g.broken, "%d", way);
            if (none)
                break;
        }
        cr_assert(failures > 0);
    }
}
