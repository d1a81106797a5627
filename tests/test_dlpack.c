/* Memory shared by DLPack: what goes out is described rightly; what comes in is read where it lies,
 * written to where it may be, and refused as a whole. Who holds it: test_dlpack_life.c. */
#include "foreign.h"

#define CLAIM(name) Test(dlpack, name, .init = open_both, .fini = close_both)

/* --- out ------------------------------------------------------------------------------------- */

CLAIM(what_goes_out_is_described_as_it_is)
{
    static const uint8_t code[] = {0, BPI_DL_FLOAT, BPI_DL_FLOAT, BPI_DL_UINT, BPI_DL_INT};
    const bpi_device *device = ctx->device;
    for (bp_dtype dtype = BP_F32; dtype <= BP_I32; dtype++) {
        bp_tensor *t = bp_tensor_create(ctx, dtype, BP_SHAPE(2, 3, 5));
        struct DLManagedTensorVersioned *m;
        struct DLManagedTensor *old;
        begin();
        bp_tensor *v = bp_flip(bp_transpose(t, 0, 2), 1u << 1);
        OK(bp_dlpack_export(v, &m));
        OK(bp_dlpack_export_legacy(v, &old));
        cr_assert(m->major == 1 && m->minor == 1 && m->flags == 0);
        for (const bpi_dl_tensor *d = &m->dl_tensor; d;
             d = d == &m->dl_tensor ? &old->dl_tensor : NULL) {
            cr_assert(d->device_type == device->dl_type && d->device_id == device->dl_number);
            cr_assert(d->code == code[dtype] && d->lanes == 1 && d->byte_offset == 0);
            cr_assert_eq(d->bits, 8 * bp_dtype_bytes(dtype));
            cr_assert_eq(d->data, bpi_view_of(v)->data);
            cr_assert(d->ndim == 3 && d->shape[0] == 5 && d->shape[1] == 3 && d->shape[2] == 2);
            cr_assert(d->strides[0] == 1 && d->strides[1] == -5 && d->strides[2] == 15);
        }
        end();
        bp_free(t);
        m->deleter(m);
        old->deleter(old);
    }
}

CLAIM(a_scalar_and_nothing_go_both_ways)
{
    foreign f;
    bp_tensor *t, *zero;
    make(&f, tensor_in(other, BP_F64, BP_SCALAR, (double[]){7}, 0), false);
    cr_assert_eq(f.d->ndim, 0);
    f.d->shape = f.d->strides = NULL;
    OK(take(&f, &t));
    cr_assert_eq(at(t, 0), 7);
    bp_free(t);
    make(&f, bp_tensor_create(other, BP_F32, BP_SHAPE(3, 0, 2)), true);
    cr_assert_null(f.d->data);
    f.strides[0] = INT64_MIN;
    f.strides[2] = INT64_MAX;
    OK(take(&f, &zero));
    begin();
    cr_assert_eq(at(bp_sum(zero), 0), 0);
    end();
    OK(bp_write(zero, NULL, 0));
    bp_free(zero);
    cr_assert_eq(f.deleted, 1);
}

CLAIM(what_a_store_and_a_tape_hold_goes_out)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2), 1, 2), *w;
    bp_params *p = store_of(1, &x, &w);
    struct DLManagedTensorVersioned *m;
    bp_tensor *shared;
    OK(bp_dlpack_export(w, &m));
    bp_params_free(p);
    OK(bp_dlpack_import(ctx, m, &shared));
    same(shared, x, 0);
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_exp(leaf), *grad, *other_y;
    OK(bp_dlpack_export(y, &m));
    OK(bp_dlpack_import(ctx, m, &other_y)); /* without its history */
    OK(bp_grad_scalar(ctx, bp_sum(y), &leaf, 1, 0, &grad));
    same(grad, other_y, 0);
    end();
    bp_free(other_y);
    bp_free(shared);
}

static void reshape(foreign *f, int ndim, const int64_t *shape, const int64_t *strides)
{
    f->d->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        f->shape[i] = shape[i];
        f->strides[i] = strides ? strides[i] : 0;
    }
    f->d->strides = strides ? f->strides : NULL;
}

/* --- in -------------------------------------------------------------------------------------- */

CLAIM(both_sides_write_to_one_memory)
{
    foreign f;
    double v[4];
    bp_tensor *theirs = counted(BP_F64, 4), *ours;
    make(&f, bp_keep(theirs), false);
    bp_stats before, after;
    bp_get_stats(ctx, &before);
    OK(take(&f, &ours));
    bp_get_stats(ctx, &after);
    cr_assert(before.kernels == after.kernels && before.bytes == after.bytes);
    OK(bp_write(ours, (double[]){4, 3, 2, 1}, 32));
    OK(bp_sync(ctx));
    bp_tensor *again;
    cr_assert_eq(bp_dlpack_import(other, f.inner, &again), BP_OK);
    cr_assert_eq(bp_read(again, v, 32), BP_OK);
    cr_assert(v[0] == 4 && v[3] == 1);
    cr_assert_eq(bp_write(again, (double[]){5, 6, 7, 8}, 32), BP_OK);
    cr_assert_eq(bp_sync(other), BP_OK);
    cr_assert_eq(at(ours, 2), 7);
    f.then = NULL;
    f.versioned.deleter = NULL; /* as a producer may have it */
    bp_free(ours);
    cr_assert_eq(f.deleted, 0);
}

static void sees(const char *what, int ndim, const int64_t *shape, const int64_t *strides,
                 uint64_t first, const double *want)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        foreign f;
        bp_tensor *t;
        values v = {0};
        make(&f, counted(BP_F32, 24), legacy);
        reshape(&f, ndim, shape, strides);
        f.d->byte_offset = first * sizeof(float);
        OK(take(&f, &t));
        cr_assert(tensor_values(t, &v), "%s", bp_error_text(ctx));
        for (int i = 0; i < v.n; i++)
            cr_assert_eq(v.v[i], want[i], "%s: [%d] is %g, not %g", what, i, v.v[i], want[i]);
        begin();
        bp_tensor *y = bp_scale(t, 1), *column = bp_reshape(y, BP_SHAPE(v.n));
        for (int i = 0; i < v.n; i++)
            cr_assert_eq(at(column, i), want[i], "%s, by an op", what);
        end();
        values_free(&v, 1);
        bp_free(t);
        cr_assert_eq(f.deleted, 1, "%s", what);
    }
}

#define SIZES(...) (const int64_t[]){__VA_ARGS__}
#define WANT(...) (const double[]){__VA_ARGS__}

CLAIM(any_strides_are_seen_from_any_first_element)
{
    sees("packed", 2, SIZES(2, 3), NULL, 1, WANT(1, 2, 3, 4, 5, 6));
    sees("rows with a pitch", 2, SIZES(2, 3), SIZES(10, 1), 2, WANT(2, 3, 4, 12, 13, 14));
    sees("transposed", 2, SIZES(3, 2), SIZES(1, 3), 0, WANT(0, 3, 1, 4, 2, 5));
    sees("backwards", 1, SIZES(3), SIZES(-2), 9, WANT(9, 7, 5));
    sees("repeated", 2, SIZES(2, 3), SIZES(0, 1), 20, WANT(20, 21, 22, 20, 21, 22));
    sees("windows", 2, SIZES(3, 2), SIZES(1, 1), 4, WANT(4, 5, 5, 6, 6, 7));
    sees("sizes of one", 4, SIZES(1, 2, 1, 2), SIZES(INT64_MIN, 3, INT64_MAX, 1), 0,
         WANT(0, 1, 3, 4));
    sees("eight sizes", 8, SIZES(1, 1, 2, 1, 1, 1, 1, 2), NULL, 3, WANT(3, 4, 5, 6));
    sees("a scalar", 0, NULL, NULL, 23, WANT(23));
}

CLAIM(a_product_reads_what_came_in)
{
    foreign f;
    bp_tensor *w;
    make(&f, counted(BP_F64, 12), false);
    reshape(&f, 2, SIZES(1, 5), SIZES(-77, 1)); /* a pitch that no row has */
    f.d->byte_offset = 8;
    OK(take(&f, &w));
    cr_assert_eq(bpi_view_of(w)->stride[0], 5);
    begin();
    bp_tensor *x = bp_require_grad(random_tensor(BP_SHAPE(3, 5), 1)), *grad;
    OK(bp_grad_scalar(ctx, bp_sum(bp_matmul(x, bp_transpose(w, 0, 1))), &x, 1, 0, &grad));
    for (int i = 0; i < 15; i++)
        cr_assert_eq(at(grad, i), 1 + i % 5);
    end();
    bp_free(w);
}

typedef struct refusal {
    bp_status status;
    const char *text;
    void (*spoil)(foreign *);
} refusal;

static void half(foreign *f) { f->d->bits = 16; }
static void lanes(foreign *f) { f->d->lanes = 2; }
static void no_code(foreign *f) { f->d->code = 200; }
static void far_device(foreign *f) { f->d->device_type = 7; }
static void minus(foreign *f) { f->d->ndim = -1; }
static void nine(foreign *f) { f->d->ndim = 9; }
static void no_shape(foreign *f) { f->d->shape = NULL; }
static void minus_one(foreign *f) { f->shape[0] = -1; }
static void far_away(foreign *f) { f->strides[0] = INT64_MAX / 2; }
static void no_magnitude(foreign *f) { f->strides[0] = INT64_MIN; }
static void no_data(foreign *f) { f->d->data = NULL; }
static void between(foreign *f) { f->d->byte_offset = 3; }

#define SHARED "float32, float64, uint8, int32 and bool, one by one, are wanted"
static const refusal refusals[] = {
    {BP_ERR_DTYPE, "the elements are float16, 1 together; " SHARED, half},
    {BP_ERR_DTYPE, "the elements are float64, 2 together; " SHARED, lanes},
    {BP_ERR_DTYPE, "the elements are of an unknown kind, 64, 1 together; " SHARED, no_code},
    {BP_ERR_DEVICE, "the memory is of device (7, ", far_device},
    {BP_ERR_SHAPE, "-1 sizes; 0 to 8 are wanted", minus},
    {BP_ERR_SHAPE, "9 sizes; 0 to 8 are wanted", nine},
    {BP_ERR_ARG, "shape is NULL", no_shape},
    {BP_ERR_SHAPE, "bad shape [-1]", minus_one},
    {BP_ERR_SHAPE, "the strides of [4] reach further than memory", far_away},
    {BP_ERR_SHAPE, "the strides of [4] reach further than memory", no_magnitude},
    {BP_ERR_ARG, "data is NULL", no_data},
    {BP_ERR_ARG, "data is not aligned to elements of 8 bytes", between},
};

CLAIM(what_cannot_be_shared_is_refused_and_stays_the_callers)
{
    for (size_t i = 0; i < 2 * sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i / 2];
        const char *who = i % 2 ? "dlpack_import_legacy: " : "dlpack_import: ";
        for (int scoped = 0; scoped < 2; scoped++) {
            foreign f;
            bp_tensor *t = (bp_tensor *)&f;
            make(&f, counted(BP_F64, 4), i % 2);
            r->spoil(&f);
            if (scoped)
                begin();
            cr_assert_eq(take(&f, &t), r->status, "%s: %s", r->text, bp_error_text(ctx));
            cr_assert_null(t);
            cr_assert(!strncmp(bp_error_text(ctx), who, strlen(who)), "%s", bp_error_text(ctx));
            cr_assert(strstr(bp_error_text(ctx), r->text), "%s", bp_error_text(ctx));
            if (scoped) {
                make(&f, counted(BP_F64, 4), i % 2); /* the first is the other context's to free */
                cr_assert_eq(take(&f, &t), r->status, "an error is pending");
                cr_assert_eq(bp_scope_end(ctx), r->status);
            }
            cr_assert_eq(f.deleted, 0);
            if (scoped) {
                OK(take(&f, &t));
                bp_free(t);
                cr_assert_eq(f.deleted, 1);
            } else {
                f.inner->deleter(f.inner);
            }
        }
    }
}

CLAIM(another_major_version_is_not_read)
{
    struct DLManagedTensorVersioned later = {.major = 2};
    memset((char *)&later + sizeof later.major, 0xEE, sizeof later - sizeof later.major);
    bp_tensor *t;
    cr_assert_eq(bp_dlpack_import(ctx, &later, &t), BP_ERR_UNSUPPORTED);
    TEXT("dlpack_import: DLPack of version 2; 1 is wanted");
    foreign f;
    make(&f, counted(BP_F64, 4), false);
    f.versioned.minor = 99;
    OK(take(&f, &t));
    bp_free(t);
}

CLAIM(memory_for_reading_is_not_written_to)
{
    bp_tensor *x = TENSOR(BP_SHAPE(4), 1, 2, 3, 4), *t, *u;
    struct DLManagedTensorVersioned *m;
    struct DLManagedTensor *old;
    foreign f;
    make(&f, counted(BP_F64, 4), false);
    f.versioned.flags = BPI_DL_READ_ONLY;
    OK(take(&f, &t));
    static const char text[] = "the target [4] is memory of others, for reading only";
    char wanted[128];
    for (int i = 0; i < 3; i++) {
        bp_status st = i == 0   ? bp_write(t, (double[4]){0}, 32)
                       : i == 1 ? bp_copy_into(t, x)
                                : bp_add_into(t, x);
        cr_assert_eq(st, BP_ERR_ARG);
        snprintf(wanted, sizeof wanted, "%s: %s",
                 (const char *const[]){"write", "copy_into", "add_into"}[i], text);
        TEXT(wanted);
    }
    cr_assert_eq(at(t, 3), 3);
    OK(bp_copy_into(x, t));
    cr_assert_eq(bp_dlpack_export_legacy(t, &old), BP_ERR_UNSUPPORTED);
    cr_assert_null(old);
    begin();
    OK(bp_dlpack_export(bp_slice(t, 0, 1, 3, 1), &m));
    end();
    cr_assert_eq(m->flags, BPI_DL_READ_ONLY);
    OK(bp_dlpack_import(ctx, m, &u));
    cr_assert_eq(bp_write(u, (double[2]){0}, 16), BP_ERR_ARG);
    bp_free(u);
    bp_free(t);
    make(&f, counted(BP_U8, 2), true);
    f.d->code = BPI_DL_BOOL;
    OK(take(&f, &t));
    cr_assert(bp_dtype_of(t) == BP_U8 && at(t, 1) == 1);
    cr_assert_eq(bp_write(t, "22", 2), BP_ERR_ARG);
    bp_free(t);
}

CLAIM(what_lies_over_itself_is_not_written_to)
{
    static const struct {
        int64_t shape[2], strides[2];
        bool may;
    } lies[] = {{{2, 3}, {3, 1}, true},   {{3, 2}, {1, 3}, true},  {{2, 3}, {-3, 1}, true},
                {{2, 3}, {0, 1}, false},  {{2, 3}, {2, 1}, false}, {{2, 2}, {1, 1}, false},
                {{2, 2}, {1, -1}, false}, {{1, 4}, {0, 2}, true},  {{2, 0}, {0, 0}, true}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        foreign f;
        bp_tensor *t;
        make(&f, counted(BP_F64, 24), false);
        reshape(&f, 2, lies[i].shape, lies[i].strides);
        f.d->byte_offset = 8 * 8;
        OK(take(&f, &t));
        size_t bytes = (size_t)(lies[i].shape[0] * lies[i].shape[1]) * 8;
        cr_assert_eq(bp_write(t, (double[8]){0}, bytes), lies[i].may ? BP_OK : BP_ERR_ARG, "%d",
                     (int)i);
        bp_free(t);
    }
}

/* Two names of one memory, which the library cannot know to be one. */
CLAIM(copies_between_two_imports_of_one_memory_are_right)
{
    enum { N = 5000 };
    bp_tensor *theirs = tensor_in(other, BP_F64, BP_SHAPE(N), NULL, 1), *a, *b;
    struct DLManagedTensorVersioned *m[2];
    values before = {0}, after = {0};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(bp_dlpack_export(theirs, &m[i]), BP_OK);
    OK(bp_dlpack_import(ctx, m[0], &a));
    OK(bp_dlpack_import(ctx, m[1], &b));
    cr_assert(tensor_values(b, &before));
    begin();
    OK(bp_copy_into(a, bp_flip(b, 1)));
    end();
    cr_assert(tensor_values(b, &after));
    for (int i = 0; i < N; i++)
        cr_assert_eq(after.v[i], before.v[N - 1 - i]);
    values_free(&before, 1);
    values_free(&after, 1);
    bp_free(a);
    bp_free(b);
    bp_free(theirs);
}

/* Where a device works later than it is told to (BPCUDA_SIM_LAZY=1). */
CLAIM(both_ways_wait_for_what_was_given_to_the_device)
{
    bp_tensor *theirs = counted(BP_F64, 3), *t;
    struct DLManagedTensorVersioned *m;
    bp_stats before, after;
    bp_get_stats(other, &before);
    cr_assert_eq(bp_dlpack_export(theirs, &m), BP_OK);
    bp_get_stats(other, &after);
    cr_assert_eq(after.waits, before.waits + 1);
    cr_assert_eq(bp_add_into(theirs, theirs), BP_OK); /* on its way */
    OK(bp_dlpack_import(ctx, m, &t));
    cr_assert_eq(at(t, 2), 4);
    bp_free(t);
    bp_free(theirs);
}
