/* Tensors and stores as NumPy's files: written and read back by the bit; archives that do not fit a
 * store, or are damaged, are told and change nothing. NumPy itself: tests/python/export.py. */
#include "folder.h"

#define CLAIM(name) Test(arrays, name, .init = enter, .fini = leave)
#define ARCHIVE BPI_GOLDEN_DIR "/numpy/stored.npz"

CLAIM(arrays_are_read_back_by_the_bit)
{
    bp_tensor *t = tensor_in(ctx, BP_F32, BP_SHAPE(3, 2, 2), NULL, 1);
    bp_params *p;
    bp_data *data;
    OK(bp_npy_save(t, path));
    OK(bp_data_npy(ctx, path, NULL, &data));
    same(bp_data_samples(data), t, 0);
    bp_data_free(data);
    begin();
    bp_tensor *turned = bp_transpose(t, 0, 2); /* a view: what is written is packed */
    OK(bp_npy_save(turned, path));
    OK(bp_data_npy(ctx, path, NULL, &data));
    same(bp_data_samples(data), turned, 0);
    end();
    bp_data_free(data);
    OK(bp_params_create(ctx, BP_F32, &p));
    bp_tensor *w = bp_param(p, "x", BP_SHAPE(4, 33), BP_INIT_HE);
    bp_tensor *b = bp_param(p, "\xc3\xa9", BP_SHAPE(4), BP_INIT_HE_NORMAL);
    OK(bp_params_save_npz(p, path));
    OK(bp_data_npz(ctx, path, &data)); /* which looks at the checksums too */
    cr_assert_eq(bp_data_columns(data), 2);
    same(bp_data_column(data, "x"), w, 0);
    same(bp_data_column(data, "\xc3\xa9"), b, 0);
    bp_data_free(data);
    for (int dtype = BP_F32; dtype <= BP_F64; dtype++) {
        bp_params *q;
        OK(bp_params_create(ctx, dtype, &q));
        bp_tensor *c = bp_param(q, "\xc3\xa9", BP_SHAPE(4), BP_INIT_ONE);
        OK(bp_params_load_npz(q, path, "?*"));
        same(c, b, 0);
        bp_params_free(q);
        OK(bp_params_create(ctx, dtype, &q));
        c = bp_param(q, "\xc3\xa9", BP_SHAPE(4), BP_INIT_ONE);
        bp_tensor *v = bp_param(q, "x", BP_SHAPE(4, 33), BP_INIT_ONE);
        OK(bp_params_load_npz(q, path, NULL));
        same(c, b, 0), same(v, w, 0);
        bp_params_free(q);
    }
    bp_params_free(p);
    bp_free(t);
}

/* x f8 [4,3,2], y i8 [4], weight f4 [4], seen b1 [4,2], step i4 [4]. */
CLAIM(an_archive_that_does_not_fit_a_store_is_told_and_changes_nothing)
{
    static const struct {
        const char *name, *pattern;
        bp_shape shape;
        bp_status status;
        const char *text;
    } of[] = {
        {"x", "x", {1, {3}}, BP_ERR_SHAPE, ": x is [4,3,2] in the file and [3] in the store"},
        {"x", NULL, {3, {4, 3, 2}}, BP_ERR_FORMAT, ": holds y I64 [4], which the store does not"},
        {"y", "y", {1, {4}}, BP_ERR_DTYPE, ": y is I64 in the file: F16, BF16, F32 or F64 is"},
        {"seen", "*", {2, {4, 2}}, BP_ERR_DTYPE, ": seen is BOOL in the file: "},
        {"none", "*", {1, {4}}, BP_ERR_FORMAT, ": none [4] is not there: of 5 tensors the first"},
        {"x", "y", {1, {4}}, BP_ERR_ARG, "params_load_npz: no parameter is named y"},
        {"weight", "w*", {1, {4}}, BP_OK, ""}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bp_params *p;
        OK(bp_params_create(ctx, BP_F64, &p));
        bp_tensor *t = bp_param_constant(p, of[i].name, of[i].shape, 77);
        cr_assert_eq(bp_params_load_npz(p, ARCHIVE, of[i].pattern), of[i].status, "%d: %s", (int)i,
                     bp_error_text(ctx));
        cr_assert(!of[i].status || strstr(bp_error_text(ctx), of[i].text), "%s",
                  bp_error_text(ctx));
        cr_assert_eq(at(t, 0) == 77, of[i].status != BP_OK);
        cr_assert_eq(bp_params_load_npz(p, path, NULL), BP_ERR_IO);
        bp_params_free(p);
    }
}

CLAIM(an_archive_that_was_cut_or_gets_no_memory_has_changed_nothing)
{
    static unsigned char all[8192];
    FILE *f = fopen(ARCHIVE, "rb");
    cr_assert(f);
    size_t n = fread(all, 1, sizeof all, f);
    int failures = 0;
    fclose(f);
    for (size_t cut = 0; cut < n; cut += 5) {
        f = fopen(path, "wb");
        bp_params *p;
        cr_assert(f && fwrite(all, 1, cut, f) == cut);
        fclose(f);
        OK(bp_params_create(ctx, BP_F32, &p));
        bp_tensor *t = bp_param_constant(p, "weight", BP_SHAPE(4), 77);
        cr_assert_eq(bp_params_load_npz(p, path, "weight"), BP_ERR_FORMAT, "cut to %d", (int)cut);
        cr_assert_eq(at(t, 0), 77);
        bp_params_free(p);
    }
    for (bool none = false; !none;) {
        guard g = {0};
        bp_hooks hooks = guard_hooks(&g);
        bp_context *c;
        cr_assert_eq(bp_open_with(test_device(), &hooks, &c), BP_OK);
        bp_params *p;
        cr_assert_eq(bp_params_create(c, BP_F32, &p), BP_OK);
        bp_tensor *t = bp_param_constant(p, "weight", BP_SHAPE(4), 77);
        cr_assert_neq(at(t, 0), 0);
        g.fail_at = g.calls + failures + 1;
        bp_status st = bp_params_load_npz(p, ARCHIVE, "weight");
        none = g.calls < g.fail_at;
        g.fail_at = 0;
        cr_assert_eq(st, none ? BP_OK : BP_ERR_NOMEM, "%s", bp_error_text(c));
        cr_assert_eq(at(t, 0) == 77, !none);
        cr_assert_eq(bp_params_load_npz(p, ARCHIVE, "weight"), BP_OK);
        cr_assert_neq(at(t, 0), 77);
        failures += !none;
        bp_params_free(p);
        bp_close(c);
        cr_assert(g.live == 0 && !g.broken);
    }
    cr_assert_gt(failures, 5);
}
