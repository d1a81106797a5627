/* Data sets: what is checked when they are made, the split, and IDX files, good and hostile. */
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

#define CLAIM(name) Test(data, name, .init = setup, .fini = teardown)

CLAIM(the_digits_are_1797_images_of_ten_classes)
{
    bp_data *d;
    OK(bp_data_digits(ctx, &d));
    cr_assert_eq(bp_data_rows(d), 1797);
    cr_assert_eq(bp_data_cols(d), 64);
    cr_assert_eq(bp_data_classes(d), 10);
    cr_assert_eq(bp_dtype_of(bp_data_samples(d)), BP_U8);
    values x, y;
    int64_t per_class[10] = {0};
    cr_assert(tensor_values(bp_data_samples(d), &x) && tensor_values(bp_data_labels(d), &y));
    for (int64_t i = 0; i < x.n; i++)
        cr_assert(x.v[i] >= 0 && x.v[i] <= 16);
    for (int64_t i = 0; i < y.n; i++)
        per_class[(int)y.v[i]]++;
    for (int k = 0; k < 10; k++)
        cr_assert(per_class[k] > 170 && per_class[k] < 190);
    values_free(&x, 1);
    values_free(&y, 1);
    bp_data_free(d);
    bp_data_free(NULL);
}

CLAIM(a_set_is_checked_when_it_is_made)
{
    float x[] = {1, 2, 3, 4, NAN, 6};
    int32_t good[] = {0, 1, 0}, bad[] = {0, 2, 0};
    bp_data *d;
    cr_assert_eq(bp_data_create(ctx, BP_F32, x, bad, 3, 2, 2, &d), BP_ERR_RANGE);
    cr_assert(strstr(bp_error_text(ctx), "2"), "%s", bp_error_text(ctx));
    cr_assert_eq(bp_data_create(ctx, BP_F32, x, good, 3, 2, 2, &d), BP_ERR_RANGE);
    cr_assert_null(d);
    x[4] = 5;
    OK(bp_data_create(ctx, BP_F32, x, good, 3, 2, 2, &d));
    x[0] = 99; /* copied */
    cr_assert_eq(at(bp_data_samples(d), 0), 1);
    bp_data_free(d);
    cr_assert_neq(bp_data_create(ctx, BP_F64, x, good, 3, 2, 2, &d), BP_OK);
    cr_assert_neq(bp_data_create(ctx, BP_F32, NULL, good, 3, 2, 2, &d), BP_OK);
    cr_assert_neq(bp_data_create(ctx, BP_F32, x, NULL, 3, 2, 2, &d), BP_OK);
    cr_assert_neq(bp_data_create(ctx, BP_F32, x, good, -3, 2, 2, &d), BP_OK);
    cr_assert_eq(bp_data_create(ctx, BP_F32, x, good, INT64_MAX, 2, 2, &d), BP_ERR_SHAPE);
    cr_assert_eq(bp_data_create(ctx, BP_F32, x, good, 1LL << 40, 1LL << 40, 2, &d), BP_ERR_SHAPE);
    cr_assert(strstr(bp_error_text(ctx), "too large"), "%s", bp_error_text(ctx));
}

CLAIM(a_split_takes_its_share_of_each_class_and_loses_no_row)
{
    enum { N = 100 };
    float x[N], seen[N] = {0};
    int32_t labels[N];
    bp_data *all, *a, *b, *c;
    for (int i = 0; i < N; i++) {
        x[i] = (float)i;
        labels[i] = i % 10 == 0; /* 10 of class 1, 90 of class 0 */
    }
    OK(bp_data_create(ctx, BP_F32, x, labels, N, 1, 2, &all));
    OK(bp_data_split(all, 0.3, 7, &a, &b));
    cr_assert_eq(bp_data_rows(a), 70);
    cr_assert_eq(bp_data_rows(b), 30);
    bp_data *part[] = {a, b};
    for (int k = 0; k < 2; k++) {
        values v, l;
        int ones = 0;
        cr_assert(tensor_values(bp_data_samples(part[k]), &v));
        cr_assert(tensor_values(bp_data_labels(part[k]), &l));
        for (int64_t i = 0; i < v.n; i++) {
            seen[(int)v.v[i]]++;
            ones += l.v[i] == 1;
            cr_assert_eq(l.v[i], labels[(int)v.v[i]]);
            cr_assert(i == 0 || v.v[i] > v.v[i - 1], "in their old order");
        }
        cr_assert_eq(ones, k ? 3 : 7);
        values_free(&v, 1);
        values_free(&l, 1);
    }
    for (int i = 0; i < N; i++)
        cr_assert_eq(seen[i], 1);
    bp_data_free(a);
    OK(bp_data_split(all, 0.3, 7, &a, &c));
    same(bp_data_samples(c), bp_data_samples(b), 0);
    bp_data *no1, *no2;
    cr_assert_eq(bp_data_split(all, 0, 7, &no1, &no2), BP_ERR_ARG);
    cr_assert_eq(bp_data_split(all, NAN, 7, &no1, &no2), BP_ERR_ARG);
    bp_data_free(all);
    bp_data_free(a);
    bp_data_free(b);
    bp_data_free(c);
}

/* --- IDX ------------------------------------------------------------------------------------- */

static char images[64], labels_path[64];

static void put(const char *path, const unsigned char *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f);
    fwrite(bytes, 1, n, f);
    fclose(f);
}

static void paths(void)
{
    snprintf(images, sizeof images, "/tmp/bpcuda_images_%d", (int)getpid());
    snprintf(labels_path, sizeof labels_path, "/tmp/bpcuda_labels_%d", (int)getpid());
}

/* Three images of 2 x 2, labels 0, 2, 1. */
static const unsigned char good_images[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2,
                                            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255};
static const unsigned char good_labels[] = {0, 0, 8, 1, 0, 0, 0, 3, 0, 2, 1};

static bp_status load_guarded(void)
{
    guard g = {0};
    bp_hooks hooks = guard_hooks(&g);
    bp_context *c;
    bp_data *d;
    cr_assert_eq(bp_open_with("cpu", &hooks, &c), BP_OK);
    bp_status st = bp_data_idx(c, images, labels_path, &d);
    cr_assert_eq(st == BP_OK, d != NULL);
    bp_data_free(d);
    bp_close(c);
    cr_assert_not(g.broken);
    cr_assert_eq(g.live, 0);
    return st;
}

CLAIM(an_idx_pair_is_read_as_it_is)
{
    bp_data *d;
    paths();
    put(images, good_images, sizeof good_images);
    put(labels_path, good_labels, sizeof good_labels);
    OK(bp_data_idx(ctx, images, labels_path, &d));
    cr_assert_eq(bp_data_rows(d), 3);
    cr_assert_eq(bp_data_cols(d), 4);
    bp_shape shape = bp_shape_of(bp_data_samples(d)); /* images stay images */
    cr_assert(shape.ndim == 3 && shape.dim[1] == 2 && shape.dim[2] == 2);
    cr_assert_eq(bp_data_classes(d), 3);
    cr_assert_eq(at(bp_data_samples(d), 11), 255);
    cr_assert_eq(at(bp_data_labels(d), 1), 2);
    bp_data_free(d);
    remove(images);
    cr_assert_eq(bp_data_idx(ctx, images, labels_path, &d), BP_ERR_IO);
    cr_assert(strstr(bp_error_text(ctx), images), "%s", bp_error_text(ctx));
    remove(labels_path);
}

CLAIM(every_cut_and_every_bent_header_byte_of_idx_is_safe)
{
    unsigned char bytes[sizeof good_images];
    paths();
    put(labels_path, good_labels, sizeof good_labels);
    for (size_t cut = 0; cut < sizeof good_images; cut++) {
        put(images, good_images, cut);
        cr_assert_eq(load_guarded(), BP_ERR_FORMAT, "cut to %d bytes", (int)cut);
    }
    for (size_t i = 0; i < 16; i++)
        for (int v = 0; v < 256; v += 5) {
            memcpy(bytes, good_images, sizeof bytes);
            if (bytes[i] == v)
                continue;
            bytes[i] = (unsigned char)v;
            put(images, bytes, sizeof bytes);
            cr_assert_neq(load_guarded(), BP_OK, "byte %d = %d", (int)i, v);
        }
    put(images, good_images, sizeof good_images);
    for (size_t cut = 0; cut < sizeof good_labels; cut++) {
        put(labels_path, good_labels, cut);
        cr_assert_neq(load_guarded(), BP_OK);
    }
    put(labels_path, good_images, sizeof good_images); /* images as labels */
    cr_assert_neq(load_guarded(), BP_OK);
    remove(images);
    remove(labels_path);
}

CLAIM(labels_that_a_program_has_written_are_checked_by_a_split)
{
    const uint8_t x[4] = {0};
    int32_t label[4] = {0, 1, 0, 1};
    bp_data *d, *first, *second;
    OK(bp_data_create(ctx, BP_U8, x, label, 4, 1, 2, &d));
    label[2] = 1000000;
    OK(bp_write(bp_data_labels(d), label, sizeof label));
    cr_assert_eq(bp_data_split(d, 0.5, 0, &first, &second), BP_ERR_RANGE);
    TEXT("data_split: label 2 is 1000000 of 2 classes");
    bp_data_free(d);
}
