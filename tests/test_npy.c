/* NPY and NPZ files, and folders of IDX files: what NumPy writes is read as it is; what is wrong
 * with a file is told, and leaves nothing behind. */
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

static char path[64], other[64];

static void setup_npy(void)
{
    setup();
    snprintf(path, sizeof path, "/tmp/bpcuda_x_%d.npy", (int)getpid());
    snprintf(other, sizeof other, "/tmp/bpcuda_y_%d.npy", (int)getpid());
}

static void teardown_npy(void)
{
    remove(path);
    remove(other);
    teardown();
}

#define CLAIM(name) Test(npy, name, .init = setup_npy, .fini = teardown_npy)

static void put_bytes(const char *to, const void *bytes, size_t n)
{
    FILE *f = fopen(to, "wb");
    cr_assert(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
}

/* An NPY file of version `version`, with what the dictionary says; its length. */
static size_t make(unsigned char *to, int version, const char *descr, const char *shape,
                   const char *fortran, const void *numbers, size_t n)
{
    char header[200];
    int length = snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, 'shape': "
                          "%s, }\n", descr, fortran, shape);
    size_t at = version == 1 ? 10 : 12;
    memset(to, 0, at);
    memcpy(to, "\x93NUMPY", 6);
    to[6] = (unsigned char)version;
    to[8] = (unsigned char)length;
    memcpy(to + at, header, (size_t)length);
    memcpy(to + at + length, numbers, n);
    return at + (size_t)length + n;
}

static void put(const char *to, int version, const char *descr, const char *shape,
                const void *numbers, size_t n)
{
    unsigned char file[1024];
    put_bytes(to, file, make(file, version, descr, shape, "False", numbers, n));
}

CLAIM(every_type_and_version_is_read)
{
    const float f4[] = {1, 2.5f, 3, 4, 5, 6};
    const double f8[] = {1, 2.5, 3, 4, 5, 6};
    const uint8_t u1[] = {1, 2, 3, 4, 5, 6};
    const int64_t i8[] = {1, 0, 3};
    for (int version = 1; version <= 3; version++) {
        bp_data *d[3];
        put(path, version, "<f4", "(3, 2)", f4, sizeof f4);
        put(other, version, "<f8", "(3,)", f8, 24);
        OK(bp_data_npy(ctx, path, other, &d[0]));
        cr_assert(bp_data_targets(d[0]) == BP_TARGETS_REAL && bp_data_outputs(d[0]) == 1);
        cr_assert_eq(at(bp_data_labels(d[0]), 1), 2.5);
        put(path, version, "<f8", "(3L, 2L)", f8, sizeof f8);
        put(other, version, "<i8", "(3,)", i8, sizeof i8);
        OK(bp_data_npy(ctx, path, other, &d[1]));
        cr_assert_eq(bp_data_classes(d[1]), 4);
        same(bp_data_samples(d[1]), bp_data_samples(d[0]), 0);
        put(path, version, "|u1", "(3, 1, 2)", u1, sizeof u1);
        put(other, version, "|u1", "(3,)", u1, 3);
        OK(bp_data_npy(ctx, path, other, &d[2]));
        cr_assert(bp_dtype_of(bp_data_samples(d[2])) == BP_U8 && bp_data_cols(d[2]) == 2);
        cr_assert(bp_data_classes(d[2]) == 4 && at(bp_data_labels(d[2]), 2) == 3);
        for (int i = 0; i < 3; i++)
            bp_data_free(d[i]);
    }
    bp_data *d;
    OK(bp_data_npy(ctx, path, NULL, &d));
    cr_assert_eq(bp_data_targets(d), BP_TARGETS_NONE);
    bp_data_free(d);
}

static void numpys_own(const char *file)
{
    bp_data *d;
    OK(bp_data_npz(ctx, file, &d));
    cr_assert(bp_data_rows(d) == 4 && bp_data_columns(d) == 5 && bp_data_cols(d) == 6);
    for (int i = 0; i < 24; i++)
        cr_assert_eq(at(bp_data_samples(d), i), i / 8.0);
    cr_assert(bp_data_classes(d) == 3 && at(bp_data_labels(d), 0) == 2);
    cr_assert_eq(at(bp_data_column(d, "weight"), 1), 0.5);
    cr_assert_eq(at(bp_data_column(d, "seen"), 3), 1);
    cr_assert_eq(at(bp_data_column(d, "step"), 3), 2147483647);
    bp_data_free(d);
}

CLAIM(what_numpy_has_saved_is_read)
{
    numpys_own(BPI_GOLDEN_DIR "/numpy/stored.npz");
    bp_data *d = NULL;
    if (bp_data_npz(ctx, BPI_GOLDEN_DIR "/numpy/deflated.npz", &d) == BP_ERR_UNSUPPORTED)
        cr_skip_test("%s", bp_error_text(ctx)); /* no zlib */
    bp_data_free(d);
    numpys_own(BPI_GOLDEN_DIR "/numpy/deflated.npz");
}

static bp_status load_guarded(bool archive, const char *why)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    bp_data *d;
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    bp_status st = archive ? bp_data_npz(c, path, &d) : bp_data_npy(c, path, NULL, &d);
    cr_assert_eq(st == BP_OK, d != NULL);
    if (why)
        cr_assert(strstr(bp_error_text(c), why), "%s", bp_error_text(c));
    bp_data_free(d);
    bp_close(c);
    cr_assert_not(g.broken);
    cr_assert_eq(g.live, 0);
    return st;
}

static void refused(const char *descr, const char *shape, const char *fortran, const void *numbers,
                    size_t n, bp_status status, const char *why)
{
    unsigned char file[1024];
    put_bytes(path, file, make(file, 1, descr, shape, fortran, numbers, n));
    cr_assert_eq(load_guarded(false, why), status, "%s", why);
}

CLAIM(what_is_wrong_with_an_array_is_told)
{
    const double f8[] = {1, 1e39, NAN, 4};
    const int64_t i8[] = {1, 3000000000};
    refused(">f8", "(2,)", "False", f8, 16, BP_ERR_DTYPE, "'>f8'");
    refused("<f2", "(2,)", "False", f8, 4, BP_ERR_DTYPE, "'<f2'; <f4, <f8, |u1");
    refused("<f8", "(2, 2)", "True", f8, 32, BP_ERR_UNSUPPORTED, "Fortran order");
    refused("<f8", "(2, 2)", "Maybe", f8, 32, BP_ERR_FORMAT, "fortran_order");
    refused("<f8", "(4,)", "False", f8, 32, BP_ERR_RANGE, "row 1, element 0 has no room in f32");
    refused("<f8", "(1, 2)", "False", f8 + 2, 16, BP_ERR_RANGE, "row 0, element 0 is nan; finite");
    refused("<i8", "(1, 2)", "False", i8, 16, BP_ERR_DTYPE, "samples are u8 or f32");
    refused("<f8", "()", "False", f8, 8, BP_ERR_FORMAT, "is a number, not an array of rows");
    refused("<f8", "(0, 2)", "False", f8, 0, BP_ERR_FORMAT, "has no rows");
    refused("<f8", "(2, 3000000000)", "False", f8, 16, BP_ERR_FORMAT, "its shape is no list");
    refused("<f8", "(2147483647, 2147483647)", "False", f8, 16, BP_ERR_FORMAT, "ends before");
    refused("<f8", "[2]", "False", f8, 16, BP_ERR_FORMAT, "no shape");
    refused("<f8", "(3,)", "False", f8, 16, BP_ERR_FORMAT, "ends before");
    refused("<f4", "(2,)", "False", f8, 16, BP_ERR_FORMAT, "goes on behind");
    put_bytes(path, "\x93NUMPY\4\0\0", 10);
    cr_assert_eq(load_guarded(false, "is of version 4; 1 to 3 are known"), BP_ERR_UNSUPPORTED);
    put_bytes(path, "not NumPy's", 11);
    cr_assert_eq(load_guarded(false, "is no NPY file"), BP_ERR_FORMAT);
    put(path, 1, "<f8", "(1,)", f8, 8);
    put(other, 1, "<i8", "(2,)", i8, 16);
    bp_data *d;
    cr_assert_eq(bp_data_npy(ctx, path, other, &d), BP_ERR_SHAPE);
    cr_assert(strstr(bp_error_text(ctx), "2 rows; 1 are wanted, as \"x\" has"));
    const int32_t negative[] = {-1};
    put(other, 1, "<i4", "(1,)", negative, 4);
    cr_assert_eq(bp_data_npy(ctx, path, other, &d), BP_ERR_RANGE);
    cr_assert(strstr(bp_error_text(ctx), "row 0 is -1; a class of 0 or more is wanted"));
    unsigned char file[1024];
    for (size_t cut = make(file, 1, "<f8", "(1,)", "False", f8, 8); cut-- > 0;) {
        put_bytes(path, file, cut);
        cr_assert_eq(load_guarded(false, NULL), BP_ERR_FORMAT, "cut to %d bytes", (int)cut);
    }
}

static size_t read_whole(const char *from, unsigned char *to, size_t room)
{
    FILE *f = fopen(from, "rb");
    cr_assert(f);
    size_t n = fread(to, 1, room, f);
    fclose(f);
    return n;
}

CLAIM(no_cut_or_bent_archive_does_harm)
{
    static unsigned char whole[8192], bent[8192];
    static const char *const file[] = {BPI_GOLDEN_DIR "/numpy/stored.npz",
                                       BPI_GOLDEN_DIR "/numpy/deflated.npz"};
    for (int k = 0; k < 2; k++) {
        size_t n = read_whole(file[k], whole, sizeof whole);
        for (size_t cut = 0; cut < n; cut += 7) {
            put_bytes(path, whole, cut);
            cr_assert_neq(load_guarded(true, NULL), BP_OK, "cut to %d bytes", (int)cut);
        }
        for (size_t i = 0; i < n; i += k ? 3 : 5) {
            memcpy(bent, whole, n);
            bent[i] ^= (unsigned char)(1 + i % 255);
            put_bytes(path, bent, n);
            load_guarded(true, NULL);
        }
    }
    size_t n = read_whole(file[0], whole, sizeof whole);
    const double one = 1.0 / 8;
    for (size_t i = 0; i + 8 < n; i++)
        if (!memcmp(whole + i, &one, sizeof one)) {
            whole[i] ^= 1;
            break;
        }
    put_bytes(path, whole, n);
    cr_assert_eq(load_guarded(true, "its checksum is"), BP_ERR_FORMAT);
    put_bytes(path, "not an archive, and longer than the end of one", 46);
    cr_assert_eq(load_guarded(true, "is no NPZ file"), BP_ERR_FORMAT);
}

/* --- folders ----------------------------------------------------------------------------- */

static char folder[64];

static void put_in(const char *name, const void *bytes, size_t n)
{
    char file[160];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    if (n)
        put_bytes(file, bytes, n);
    else
        remove(file);
}

CLAIM(a_folder_is_read_by_the_usual_names)
{
    static const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2,
                                           1, 2, 3, 4};
    static const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
    static const char *const names[][3] = {
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", ""},
        {"t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte", "t"},
        {"emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte", ""},
        {"emnist-mnist-test-images-idx3-ubyte.gz", "emnist-mnist-test-labels-idx1-ubyte", "t"}};
    bp_data *d;
    snprintf(folder, sizeof folder, "/tmp/bpcuda_idx_%d", (int)getpid());
    cr_assert_eq(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool test = names[i][2][0];
        put_in(names[i][0], images, sizeof images);
        cr_assert_eq(bp_data_idx_folder(ctx, folder, test, &d), BP_ERR_IO);
        cr_assert(strstr(bp_error_text(ctx), "-labels-idx1-ubyte beside "));
        put_in(names[i][1], labels, sizeof labels);
        OK(bp_data_idx_folder(ctx, folder, test, &d));
        cr_assert(bp_data_rows(d) == 2 && bp_data_cols(d) == 2 && at(bp_data_samples(d), 3) == 4);
        bp_data_free(d);
        cr_assert_eq(bp_data_idx_folder(ctx, folder, !test, &d), BP_ERR_IO);
        if (i < 3) {
            put_in(names[i][0], NULL, 0);
            put_in(names[i][1], NULL, 0);
        }
    }
    put_in("t10k-images-idx3-ubyte", images, sizeof images);
    put_in("t10k-labels-idx1-ubyte", labels, sizeof labels);
    cr_assert_eq(bp_data_idx_folder(ctx, folder, 1, &d), BP_ERR_ARG);
    cr_assert(strstr(bp_error_text(ctx), "which of them is for bp_data_idx to say"));
    put_in("t10k-images-idx3-ubyte", NULL, 0);
    put_in("t10k-labels-idx1-ubyte", NULL, 0);
    put_in(names[3][0], NULL, 0);
    put_in(names[3][1], NULL, 0);
    rmdir(folder);
}
