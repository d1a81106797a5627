/* Models and their files: the text of layers, prediction, and files that were cut, bent or made up.
 * Whatever a file holds, loading it ends in a model or a status, and leaves nothing behind. */
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(models, name, .init = setup, .fini = teardown)

static char path[64];

static const char *temporary(void)
{
    snprintf(path, sizeof path, "/tmp/bpcuda_test_%d.tmp", (int)getpid());
    return path;
}

static unsigned char *file_bytes(size_t *bytes)
{
    static unsigned char all[1 << 16];
    FILE *f = fopen(path, "rb");
    cr_assert(f);
    *bytes = fread(all, 1, sizeof all, f);
    fclose(f);
    return all;
}

static void put(const void *head, size_t head_bytes, const void *rest, size_t rest_bytes)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f);
    fwrite(head, 1, head_bytes, f);
    fwrite(rest, 1, rest_bytes, f);
    fclose(f);
}

static bp_model *small(bp_context *c, uint64_t seed)
{
    bp_model *m;
    float x[6] = {0};
    float p[2];
    cr_assert_eq(bp_seed(c, seed), BP_OK);
    cr_assert_eq(bp_model_create(c, 6, "5 relu dropout=0.5 4 elu", 2, &m), BP_OK);
    cr_assert_eq(bp_model_predict(m, x, 1, p), BP_OK); /* the first use */
    return m;
}

CLAIM(a_text_of_layers_makes_named_parameters)
{
    static const char *const name[] = {"layer1.weight", "layer1.bias", "layer2.weight",
                                       "layer2.bias", "layer3.weight", "layer3.bias"};
    static const int64_t rows[] = {64, 64, 64, 64, 10, 10};
    bp_model *m;
    OK(bp_model_create(ctx, 64, "64 relu dropout=0.1 64 relu", 10, &m));
    cr_assert_eq(bp_param_count(bp_model_params(m)), 6);
    for (int i = 0; i < 6; i++) {
        cr_assert_str_eq(bp_param_name(bp_model_params(m), i), name[i]);
        cr_assert_eq(bp_shape_of(bp_param_at(bp_model_params(m), i)).dim[0], rows[i]);
    }
    cr_assert_str_eq(bp_model_layers(m), "64 relu dropout=0.1 64 relu");
    cr_assert_eq(bp_model_inputs(m), 64);
    cr_assert_eq(bp_model_classes(m), 10);
    cr_assert_eq(bp_model_context(m), ctx);
    bp_model_free(m);
    bp_model_free(NULL);
}

CLAIM(a_wrong_word_is_named)
{
    static const char *const wrong[][2] = {
        {"64 tanhh", "tanhh"}, {"0", "0"}, {"-3", "-3"}, {"64x", "64x"}, {"dropout=1", "dropout=1"},
        {"dropout=nan", "dropout=nan"}, {"dropout", "dropout"}, {"99999999999999999999", "9999"},
        {"relu=2", "relu=2"}};
    bp_model *m;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(bp_model_create(ctx, 8, wrong[i][0], 2, &m), BP_ERR_FORMAT, "%s", wrong[i][0]);
        cr_assert_null(m);
        cr_assert(strstr(bp_error_text(ctx), wrong[i][1]), "%s", bp_error_text(ctx));
    }
    cr_assert_neq(bp_model_create(ctx, 8, NULL, 2, &m), BP_OK);
    cr_assert_neq(bp_model_create(ctx, 0, "8", 2, &m), BP_OK);
    cr_assert_neq(bp_model_create(ctx, 8, "8", 0, &m), BP_OK);
    OK(bp_model_create(ctx, 8, "", 2, &m)); /* one dense layer */
    bp_model_free(m);
}

CLAIM(numbers_and_white_space_are_read_as_c_and_python_read_them)
{
    static const char *const same[] = {
        "64\frelu\vdropout=.25\r\n64 relu\r\n", "\t64 relu dropout=0.25 64 relu",
        "64 relu dropout=25e-2 64 relu", "64 relu dropout=2.5E-1 64 relu",
        "64 relu dropout=.0025e+2 64 relu", "64 relu dropout=00.2500 64 relu"};
    static const char *const wrong[] = {"dropout=.", "dropout=", "dropout=1e", "dropout=e-1",
                                        "dropout=1e-", "dropout=-.1", "dropout=0x.1", "dropout=.1.",
                                        "dropout=1e0", "dropout=1e999", "dropout=,5"};
    bp_model *m;
    double loss[6], accuracy;
    for (int i = 0; i < 6; i++) { /* dropout shows in what is learned */
        bp_data *d;
        bp_trainer *t;
        int32_t done;
        bp_close(ctx);
        setup();
        OK(bp_data_digits(ctx, &d));
        OK(bp_model_create(ctx, 64, same[i], 10, &m));
        OK(bp_trainer_create(m, d, &t));
        OK(bp_trainer_run(t, 3, -1, &done));
        OK(bp_model_evaluate(m, d, &loss[i], &accuracy));
        cr_assert_eq(loss[i], loss[0], "%s", same[i]);
        bp_trainer_free(t);
        bp_model_free(m);
        bp_data_free(d);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_eq(bp_model_create(ctx, 8, wrong[i], 2, &m), BP_ERR_FORMAT, "%s", wrong[i]);
    OK(bp_model_create(ctx, 8, "dropout=0e999 \r\n\f\v\t 4\rrelu\v", 2, &m));
    cr_assert_str_eq(bp_model_layers(m), "dropout=0e999 4 relu");
    bp_model_free(m);
}

CLAIM(predictions_are_probabilities_and_do_not_depend_on_the_batch)
{
    bp_model *m = small(ctx, 1);
    float x[40 * 6], p[80], one[2];
    for (int i = 0; i < 240; i++)
        x[i] = (float)op_random(9, i);
    OK(bp_model_predict(m, x, 40, p));
    for (int i = 0; i < 40; i++) {
        cr_assert_float_eq(p[2 * i] + p[2 * i + 1], 1, 1e-6);
        OK(bp_model_predict(m, x + 6 * i, 1, one));
        cr_assert_float_eq(one[0], p[2 * i], 1e-6);
    }
    OK(bp_model_predict(m, x, 0, p));
    bp_model_free(m);
}

CLAIM(a_saved_model_loads_to_the_same_bits_and_saves_to_the_same_bytes)
{
    bp_model *m = small(ctx, 1), *other;
    float x[6] = {0.5f, -1, 2, 0, 3, 1}, p[2], q[2];
    size_t n, again;
    OK(bp_model_save(m, temporary()));
    unsigned char *bytes = file_bytes(&n), *copy = malloc(n);
    memcpy(copy, bytes, n);
    OK(bp_model_load(ctx, path, &other));
    OK(bp_model_predict(m, x, 1, p));
    OK(bp_model_predict(other, x, 1, q));
    cr_assert_arr_eq(p, q, sizeof p);
    OK(bp_model_save(other, path));
    file_bytes(&again);
    cr_assert(again == n && !memcmp(copy, bytes, n));
    free(copy);
    bp_model_free(m);
    bp_model_free(other);
    remove(path);
}

CLAIM(a_save_that_fails_leaves_what_was_there)
{
    bp_model *m = small(ctx, 1);
    cr_assert_eq(bp_model_save(m, "/nowhere/at/all"), BP_ERR_IO);
    cr_assert(strstr(bp_error_text(ctx), "/nowhere/at/all"), "%s", bp_error_text(ctx));
    cr_assert_neq(bp_model_save(m, NULL), BP_OK);
    cr_assert_eq(bp_model_save(NULL, "x"), BP_ERR_ARG);
    bp_model_free(m);
}

CLAIM(a_number_that_is_not_finite_is_named)
{
    bp_model *m = small(ctx, 1), *other;
    size_t n;
    OK(bp_model_save(m, temporary()));
    unsigned char *bytes = file_bytes(&n), *copy = malloc(n); /* `bytes` stays as it is */
    memcpy(copy, bytes, n);
    size_t data = 8 + (copy[0] | (size_t)copy[1] << 8), doubles = n - 12 * sizeof(double);
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t at = data, size = 4; at < n; at += size) {
        float one = bad[at / 4 % 3];
        double two = one;
        size = at < doubles ? sizeof one : sizeof two; /* the normaliser is f64 */
        memcpy(copy + at, at < doubles ? (void *)&one : &two, size);
        put(copy, n, "", 0);
        cr_assert_eq(bp_model_load(ctx, path, &other), BP_ERR_FORMAT, "byte %d", (int)at);
        cr_assert(strstr(bp_error_text(ctx), "] holds "), "%s", bp_error_text(ctx));
        if (at == data)
            cr_assert(strstr(bp_error_text(ctx), "layer1.weight [5,6]") &&
                      strstr(bp_error_text(ctx), "at element 0"), "%s", bp_error_text(ctx));
        memcpy(copy + at, bytes + at, size);
    }
    cr_assert(strstr(bp_error_text(ctx), "normalizer.scale [6] holds") &&
              strstr(bp_error_text(ctx), "at element 5"), "%s", bp_error_text(ctx));
    free(copy);
    bp_model_free(m);
    remove(path);
}

/* --- hostile files -------------------------------------------------------------------------- */

/* Loads `path` in a guarded context; returns the status. Nothing may leak or be written beside. */
static bp_status load_guarded(void)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    bp_model *m;
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    bp_status st = bp_model_load(c, path, &m);
    cr_assert_eq(st == BP_OK, m != NULL);
    cr_assert(st == BP_OK || st == BP_ERR_FORMAT, "%d: %s", (int)st, bp_error_text(c));
    bp_model_free(m);
    bp_close(c);
    cr_assert_not(g.broken);
    cr_assert_eq(g.live, 0);
    return st;
}

CLAIM(every_cut_of_a_file_is_refused)
{
    bp_model *m = small(ctx, 1);
    size_t n;
    OK(bp_model_save(m, temporary()));
    unsigned char *bytes = file_bytes(&n), *copy = malloc(n);
    memcpy(copy, bytes, n);
    for (size_t cut = 0; cut < n; cut += cut < 24 || cut + 24 > n ? 1 : 13) {
        put(copy, cut, "", 0);
        cr_assert_eq(load_guarded(), BP_ERR_FORMAT, "cut to %d bytes", (int)cut);
    }
    put(copy, n, "x", 1);
    cr_assert_eq(load_guarded(), BP_ERR_FORMAT, "one byte too many");
    put(copy, n, "", 0);
    cr_assert_eq(load_guarded(), BP_OK);
    free(copy);
    bp_model_free(m);
    remove(path);
}

CLAIM(no_bent_byte_does_harm)
{
    bp_model *m = small(ctx, 1);
    size_t n;
    int refused = 0;
    OK(bp_model_save(m, temporary()));
    unsigned char *bytes = file_bytes(&n), *copy = malloc(n);
    memcpy(copy, bytes, n);
    for (int i = 0; i < 1500; i++) {
        size_t at[2];
        unsigned char was[2];
        for (int k = 0; k < 2; k++) { /* mostly in the header */
            at[k] = (size_t)(op_random(1, 4 * i + k) * (i % 4 ? 700 : (double)n)) % n;
            was[k] = copy[at[k]];
            copy[at[k]] = (unsigned char)(op_random(2, 4 * i + k) * 256);
        }
        put(copy, n, "", 0);
        refused += load_guarded() != BP_OK;
        for (int k = 1; k >= 0; k--)
            copy[at[k]] = was[k];
    }
    cr_assert_gt(refused, 800);
    free(copy);
    bp_model_free(m);
    remove(path);
}

CLAIM(made_up_headers_are_refused)
{
    static const char *const header[] = {
        "", "{", "{}", "[]", "null", "{\"a\":1}", "{\"a\":{}}", "{\"__metadata__\":{}}",
        ("{\"__metadata__\":{\"format\":\"bpcuda\",\"version\":\"1\",\"inputs\":\"99999999\","
         "\"classes\":\"2\",\"layers\":\"16000000 16000000\"}}"),
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}",
        "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}",
        "{\"\\ud800\":1}", "{\"a\\u0000b\":1}", "{\"a", "{\"a\":{\"shape\":[[[[[[[[[[[[[[[[",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}"};
    temporary();
    for (size_t i = 0; i < sizeof header / sizeof *header; i++) {
        uint64_t length = strlen(header[i]);
        char all[512];
        memcpy(all, &length, 8);
        memcpy(all + 8, header[i], length);
        put(all, 8 + length, "\0\0\0\0", 4);
        cr_assert_eq(load_guarded(), BP_ERR_FORMAT, "%s", header[i]);
    }
    uint64_t huge = UINT64_MAX;
    put(&huge, 8, "{}", 2);
    cr_assert_eq(load_guarded(), BP_ERR_FORMAT);
    remove(path);
    bp_model *m;
    cr_assert_eq(bp_model_load(ctx, path, &m), BP_ERR_IO);
    cr_assert_eq(bp_model_load(ctx, "/tmp", &m), BP_ERR_IO);
    cr_assert_null(m);
}

CLAIM(two_models_of_one_context_start_as_two_networks_and_repeat_from_the_seed)
{
    double w[2][3];
    for (int round = 0; round < 2; round++) {
        OK(bp_seed(ctx, 4));
        for (int k = 0; k < 3; k++) {
            bp_model *m;
            OK(bp_model_create(ctx, 4, "3 relu", 2, &m));
            w[round][k] = at(bp_param_at(bp_model_params(m), 0), 0);
            bp_model_free(m);
        }
    }
    cr_assert(w[0][0] != w[0][1] && w[0][1] != w[0][2] && w[0][0] != w[0][2]);
    cr_assert_arr_eq(w[0], w[1], sizeof w[0]);
}
