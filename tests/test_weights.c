/* Parameter stores in files: saved and loaded to the bit, files of PyTorch's, every dtype, and
 * files that do not fit. What a load refuses it leaves as it was. */
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(weights, name, .init = setup, .fini = teardown)

static char path[64];

static const char *temporary(void)
{
    snprintf(path, sizeof path, "/tmp/bpcuda_weights_%d.tmp", (int)getpid());
    return path;
}

static bp_params *store(bp_dtype dtype)
{
    bp_params *p;
    OK(bp_params_create(ctx, dtype, &p));
    return p;
}

/* A header and data as a file. */
static void file_of(const char *header, const void *data, size_t bytes)
{
    FILE *f = fopen(temporary(), "wb");
    uint64_t n = strlen(header);
    cr_assert(f);
    for (int i = 0; i < 8; i++)
        fputc((int)(n >> 8 * i & 255), f);
    fwrite(header, 1, n, f);
    fwrite(data, 1, bytes, f);
    fclose(f);
}

static size_t file_bytes(unsigned char *all, size_t room)
{
    FILE *f = fopen(path, "rb");
    cr_assert(f);
    size_t n = fread(all, 1, room, f);
    fclose(f);
    return n;
}

static const char *const names[] = {"layer1.weight", "layer1.bias",
                                    "a \"name\"\\\n\x01 of \xc3\xa9", "scalar"};

static bp_params *four(bp_context *c, bp_dtype dtype, bp_init init)
{
    const bp_shape shape[] = {BP_SHAPE(3, 256), BP_SHAPE(5), BP_SHAPE(2, 3, 4), BP_SCALAR};
    bp_params *p;
    cr_assert_eq(bp_params_create(c, dtype, &p), BP_OK);
    for (int i = 0; i < 4; i++)
        cr_assert(bp_param(p, names[i], shape[i], init));
    return p;
}

CLAIM(what_is_saved_loads_to_the_same_bits_and_saves_to_the_same_bytes)
{
    static unsigned char first[1 << 14], second[1 << 14];
    for (int dtype = BP_F32; dtype <= BP_F64; dtype++) {
        bp_params *p = four(ctx, dtype, BP_INIT_HE_NORMAL), *q = four(ctx, dtype, BP_INIT_ZERO);
        OK(bp_params_save(p, temporary()));
        size_t n = file_bytes(first, sizeof first);
        cr_assert_eq(n % 8, 0);
        OK(bp_params_load(q, path, NULL));
        for (int i = 0; i < 4; i++)
            same(bp_param_at(q, i), bp_param_at(p, i), 0);
        OK(bp_params_save(q, path));
        cr_assert(file_bytes(second, sizeof second) == n && !memcmp(first, second, n));
        bp_params *other = four(ctx, dtype == BP_F32 ? BP_F64 : BP_F32, BP_INIT_ZERO);
        OK(bp_params_load(other, path, NULL)); /* exact one way, rounded the other */
        cr_assert_eq(at(other ? bp_param_at(other, 0) : NULL, 700),
                     dtype == BP_F32 ? at(bp_param_at(p, 0), 700)
                                     : (double)(float)at(bp_param_at(p, 0), 700));
        bp_params_free(p), bp_params_free(q), bp_params_free(other);
    }
    unlink(path);
}

CLAIM(a_pattern_loads_those_and_a_graph_notices_only_those)
{
    bp_params *p = four(ctx, BP_F64, BP_INIT_HE), *q = four(ctx, BP_F64, BP_INIT_ONE);
    OK(bp_params_save(p, temporary()));
    for (int read = 0; read < 2; read++) {
        bp_tensor *w = bp_param_at(q, read ? 0 : 1);
        begin();
        bp_tensor *loss = bp_sum(bp_mul(w, w));
        OK(bp_params_load(q, path, "*.weight"));
        cr_assert_eq(bp_backward(ctx, loss), read ? BP_ERR_STATE : BP_OK);
        if (read)
            end_with(BP_ERR_STATE, "mul: its input 0 was changed by params_load after it was saved "
                                   "for the gradient");
        else
            end();
        OK(bp_grad_clear(q));
    }
    same(bp_param_at(q, 0), bp_param_at(p, 0), 0);
    cr_assert_eq(at(bp_param_at(q, 1), 0), 1);
    cr_assert_eq(bp_params_load(q, path, "*.gain"), BP_ERR_ARG);
    TEXT("params_load: no parameter is named *.gain: of 4 the first is layer1.weight");
    bp_params_free(p), bp_params_free(q);
    unlink(path);
}

/* --- PyTorch's files -------------------------------------------------------------------------- */

static bp_params *loaded(const char *pattern, int n, const char *const *name, const bp_shape *shape)
{
    bp_params *p = store(BP_F32);
    for (int i = 0; i < n; i++)
        cr_assert(bp_param(p, name[i], shape[i], BP_INIT_ONE));
    OK(bp_params_load(p, BPI_MODULES, pattern));
    return p;
}

CLAIM(modules_of_pytorch_load_as_they_are_and_give_its_outputs)
{
    static const char *const told_name[] = {"told.x", "told.h", "told.c", "told.y", "told.h1",
                                            "told.c1", "told.g1"};
    static const char *const mlp_name[] = {"mlp.0.weight", "mlp.0.bias", "mlp.2.weight",
                                           "mlp.2.bias"};
    static const char *const cell_name[][4] = {
        {"lstm.weight_ih", "lstm.weight_hh", "lstm.bias_ih", "lstm.bias_hh"},
        {"gru.weight_ih", "gru.weight_hh", "gru.bias_ih", "gru.bias_hh"}};
    const bp_shape of5 = BP_SHAPE(5, 4);
    const bp_shape mlp_shape[] = {{2, {4, 3}}, {1, {4}}, {2, {2, 4}}, {1, {2}}};
    const bp_shape told_shape[] = {{2, {5, 3}}, of5, of5, {2, {5, 2}}, of5, of5, of5};
    const bp_shape lstm_shape[] = {{2, {16, 3}}, {2, {16, 4}}, {1, {16}}, {1, {16}}};
    const bp_shape gru_shape[] = {{2, {12, 3}}, {2, {12, 4}}, {1, {12}}, {1, {12}}};
    bp_params *told = loaded("told.*", 7, told_name, told_shape);
    bp_params *mlp = loaded("mlp.*", 4, mlp_name, mlp_shape);
    bp_params *lstm = loaded("*", 4, cell_name[0], lstm_shape);
    bp_params *gru = loaded("gru.*", 4, cell_name[1], gru_shape);
#define P(store, i) bp_param_at(store, i)
    bp_tensor *x = P(told, 0), *h = P(told, 1), *c = P(told, 2), *c1;
    begin();
    bp_tensor *y = bp_linear(bp_tanh(bp_linear(x, P(mlp, 0), P(mlp, 1))), P(mlp, 2), P(mlp, 3));
    bp_tensor *h1 =
        bp_lstm_cell(x, h, c, P(lstm, 0), P(lstm, 1), P(lstm, 2), P(lstm, 3), &c1);
    bp_tensor *g1 = bp_gru_cell(x, h, P(gru, 0), P(gru, 1), P(gru, 2), P(gru, 3));
    same(y, P(told, 3), 3e-7); /* sums of up to 8 terms in f32 */
    same(h1, P(told, 4), 3e-7);
    same(c1, P(told, 5), 3e-7);
    same(g1, P(told, 6), 3e-7);
    end();
    bp_params_free(told), bp_params_free(mlp), bp_params_free(lstm), bp_params_free(gru);
}

CLAIM(halves_become_what_they_are)
{
    static const char *const name[] = {"f16", "bf16", "f16.wide", "bf16.wide"};
    for (int dtype = BP_F32; dtype <= BP_F64; dtype++) {
        bp_params *p = store(dtype);
        for (int i = 0; i < 4; i++)
            bp_param(p, name[i], BP_SHAPE(3, 4), BP_INIT_ONE);
        OK(bp_params_load(p, BPI_MODULES, "*"));
        for (int i = 0; i < 2; i++)
            for (int e = 0; e < 12; e++) {
                double x = at(bp_param_at(p, i), e), wide = at(bp_param_at(p, i + 2), e);
                cr_assert(x == wide && signbit(x) == signbit(wide), "%s %d", name[i], e);
            }
        cr_assert_eq(at(bp_param_at(p, 0), 2), 0x1p-24);
        cr_assert_eq(at(bp_param_at(p, 1), 2), 0x1p-133);
        bp_params_free(p);
    }
}

/* --- what does not fit ------------------------------------------------------------------------ */

#define T(dtype, shape, begin, end) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

typedef struct misfit {
    bp_status status;
    const char *pattern, *header, *text; /* behind the path */
    double v[4];
} misfit;

CLAIM(a_file_that_does_not_fit_is_told_and_leaves_the_store_as_it_was)
{
#define W "{\"w\":" T("F64", "[2]", 0, 16)
    static const misfit of[] = {
        {BP_ERR_FORMAT, NULL, W "}", ": b [1] is not there: of 1 tensors the first is w", {5, 6}},
        {BP_ERR_FORMAT, NULL, "{}", ": w [2] is not there: the file holds no tensor", {0}},
        {BP_ERR_FORMAT, NULL,
         W ",\"b\":" T("F64", "[1]", 16, 24) ",\"n\":" T("I64", "[]", 24, 32) "}",
         ": holds n I64 [], which the store does not; a pattern passes it over", {5, 6, 7}},
        {BP_ERR_SHAPE, NULL, W ",\"b\":" T("F64", "[1,1]", 16, 24) "}",
         ": b is [1,1] in the file and [1] in the store", {5, 6, 7}},
        {BP_ERR_DTYPE, NULL, W ",\"b\":" T("I64", "[1]", 16, 24) "}",
         ": b is I64 in the file: F16, BF16, F32 or F64 is wanted", {5, 6, 7}},
        {BP_ERR_FORMAT, "*", W ",\"b\":" T("F64", "[1]", 16, 24) "}",
         ": b [1] holds nan at element 0", {5, 6, NAN}},
        {BP_ERR_FORMAT, "w", W "}", ": w [2] holds -inf at element 1", {5, -INFINITY}},
        {BP_ERR_FORMAT, "w", W "}",
         ": w [2] holds 1e+39 at element 0, which is too large for f32", {1e39}},
        {BP_ERR_FORMAT, "b", W ",\"b\":" T("F64", "[1]", 16, 32) "}",
         ": header, byte 109: data_offsets that do not fit dtype and shape", {0}},
        {BP_ERR_FORMAT, NULL, W ",\"b\":" T("F128", "[1]", 16, 32) "}",
         ": header, byte 74: a dtype that the format does not have", {0}}};
#undef W
    bp_params *p = store(BP_F32);
    bp_tensor *w = bp_param_constant(p, "w", BP_SHAPE(2), 1);
    bp_tensor *b = bp_param_constant(p, "b", BP_SHAPE(1), 2);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char text[256];
        size_t bytes = strstr(of[i].header, "24,32") || strstr(of[i].header, "16,32") ? 32
                     : strstr(of[i].header, "16,24") ? 24 : strstr(of[i].header, "0,16") ? 16 : 0;
        file_of(of[i].header, of[i].v, bytes);
        snprintf(text, sizeof text, "%s%s", path, of[i].text);
        cr_assert_eq(bp_params_load(p, path, of[i].pattern), of[i].status, "%d: %s", (int)i,
                     bp_error_text(ctx));
        TEXT(text);
        cr_assert(at(w, 0) == 1 && at(w, 1) == 1 && at(b, 0) == 2, "%d", (int)i);
    }
    file_of("{\"b\":" T("F64", "[1]", 0, 8) ",\"w\":" T("F64", "[2]", 8, 24) "}",
            (double[]){3, 4, 0.1}, 24);
    OK(bp_params_load(p, path, NULL));
    cr_assert(at(w, 0) == 4 && at(w, 1) == (double)0.1f && at(b, 0) == 3);
    unlink(path);
    cr_assert_eq(bp_params_load(p, path, NULL), BP_ERR_IO);
    cr_assert_eq(bp_params_save(p, "/nowhere/x"), BP_ERR_IO);
    bp_params_free(p);
}

CLAIM(a_name_that_no_file_can_have_is_refused)
{
    static const char *const wrong[][2] = {
        {"caf\xe9", ": the name caf\\xe9 is not UTF-8, which the file must be"},
        {"__metadata__", ": the name __metadata__ is the format's own"}};
    for (int i = 0; i < 2; i++) {
        char text[160];
        bp_params *p = store(BP_F32);
        bp_param(p, "good", BP_SHAPE(1), BP_INIT_ONE);
        bp_param(p, wrong[i][0], BP_SHAPE(1), BP_INIT_ONE);
        unlink(temporary()); /* what an ended process of this number left */
        cr_assert_eq(bp_params_save(p, path), BP_ERR_ARG);
        snprintf(text, sizeof text, "%s%s", path, wrong[i][1]);
        TEXT(text);
        cr_assert_neq(access(path, F_OK), 0);
        bp_params_free(p);
    }
}

/* Each allocation fails once: the store is as it was, and the same call then does it. */
CLAIM(a_load_that_gets_no_memory_has_written_nothing)
{
    int failures = 0, saves = 0;
    bp_params *from = four(ctx, BP_F64, BP_INIT_HE);
    OK(bp_params_save(from, temporary()));
    for (int64_t nth = 1; nth < 1000; nth++) {
        guard g = {0};
        bp_hooks hooks = guard_hooks(&g);
        bp_context *c;
        double one[5], b[5];
        cr_assert_eq(bp_open_with(test_device(), &hooks, &c), BP_OK);
        bp_params *p = four(c, BP_F64, BP_INIT_ONE);
        cr_assert_eq(bp_read(bp_param_at(p, 1), one, sizeof one), BP_OK);
        g.fail_at = g.calls + nth;
        bp_status st = bp_params_load(p, path, NULL);
        bool none = g.calls < g.fail_at;
        g.fail_at = 0;
        cr_assert(st == BP_OK || st == BP_ERR_NOMEM, "%s", bp_error_text(c));
        if (st != BP_OK) {
            failures++;
            cr_assert_eq(bp_read(bp_param_at(p, 1), b, sizeof b), BP_OK);
            cr_assert_arr_eq(b, one, sizeof b);
            cr_assert_eq(bp_params_load(p, path, NULL), BP_OK);
        }
        same(bp_param_at(p, 0), bp_param_at(from, 0), 0);
        g.fail_at = g.calls + nth;
        saves += bp_params_save(p, "/dev/null") != BP_OK;
        bp_params_free(p);
        bp_close(c);
        cr_assert(g.live == 0 && g.broken == 0);
        if (none)
            break;
    }
    cr_assert(failures > 3 && saves > 3, "%d, %d", failures, saves);
    bp_params_free(from);
    unlink(path);
}

typedef struct plan_user {
    bp_params *params;
    bool saves;
} plan_user;

static bp_status file_step(bp_context *c, void *user)
{
    (void)c;
    plan_user *u = user;
    return u->saves ? bp_params_save(u->params, path) : bp_params_load(u->params, path, NULL);
}

CLAIM(files_are_not_a_part_of_a_plan)
{
    plan_user u = {four(ctx, BP_F32, BP_INIT_ONE), true};
    bp_plan *plan;
    OK(bp_params_save(u.params, temporary()));
    cr_assert_eq(bp_plan_record(ctx, file_step, &u, &plan), BP_ERR_STATE);
    TEXT("params_save: not while a plan is recorded");
    u.saves = false;
    cr_assert_eq(bp_plan_record(ctx, file_step, &u, &plan), BP_ERR_STATE);
    TEXT("params_load: not while a plan is recorded");
    bp_params_free(u.params);
    unlink(path);
}
