/* IDX files (Y. LeCun, C. Cortes, C. Burges: the MNIST database): two zero bytes, the type of the
 * elements (8: u8), the number of sizes, each size as a big-endian u32, then the elements. Images
 * go to the device some rows at a time, so that no second copy of them is in memory. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "data/set.h"
#include "io/file.h"

enum { AT_ONCE = 1 << 20, PATH_BYTES = 4096 };

typedef struct idx {
    bpi_file file;
    uint64_t rows, cols;
    int64_t height, width; /* of an image; cols = height width */
} idx;

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What the file claims, in f->rows and f->cols. */
static bp_status header(idx *f, int n_sizes)
{
    bpi_file *file = &f->file;
    unsigned char h[16];
    size_t got, want = 4 + 4 * (size_t)n_sizes;
    BPI_TRY(bpi_file_take(file, h, want, &got));
    if (got < want)
        return bpi_fail(file->ctx, BP_ERR_FORMAT, "%s: ends within its header of %zu bytes",
                        file->path, want);
    if (big_endian(h) != 0x800u + (uint32_t)n_sizes)
        return bpi_fail(file->ctx, BP_ERR_FORMAT,
                        "%s: not an IDX file of u8 with %d sizes: it begins with %08x, not %08x",
                        file->path, n_sizes, (unsigned)big_endian(h), 0x800u + (unsigned)n_sizes);
    f->rows = big_endian(h + 4);
    f->height = n_sizes == 3 ? big_endian(h + 8) : 1;
    f->width = n_sizes == 3 ? big_endian(h + 12) : 1;
    f->cols = (uint64_t)f->height * (uint64_t)f->width;
    if (f->rows == 0 || f->cols == 0 || f->rows > INT32_MAX || f->cols > INT32_MAX)
        return bpi_fail(file->ctx, BP_ERR_FORMAT,
                        "%s: claims %llu rows of %llu: 1 to 2147483647 are wanted", file->path,
                        (unsigned long long)f->rows, (unsigned long long)f->cols);
    return BP_OK;
}

static bp_status wrong_size(const idx *f, const char *more_or_fewer)
{
    return bpi_fail(f->file.ctx, BP_ERR_FORMAT, "%s: %s than the %llu bytes its sizes ask for",
                    f->file.path, more_or_fewer, (unsigned long long)(f->rows * f->cols));
}

static bp_status open_idx(bp_context *ctx, const char *path, int n_sizes, idx *f)
{
    BPI_TRY(bpi_file_open(ctx, path, true, &f->file));
    BPI_TRY(header(f, n_sizes));
    return bpi_file_may_hold(&f->file, f->rows * f->cols) ? BP_OK : wrong_size(f, "fewer");
}

static bp_status take(idx *f, void *to, uint64_t n)
{
    size_t got;
    BPI_TRY(bpi_file_take(&f->file, to, (size_t)n, &got));
    return got == n ? BP_OK : wrong_size(f, "fewer");
}

static bp_status at_end(idx *f)
{
    unsigned char more;
    size_t got;
    BPI_TRY(bpi_file_take(&f->file, &more, 1, &got));
    return got ? wrong_size(f, "more") : BP_OK;
}

static bp_status read_labels(idx *f, bp_data *d, int32_t *label)
{
    unsigned char some[4096];
    int32_t classes = 0;
    for (uint64_t i = 0; i < f->rows; i++) {
        if (i % sizeof some == 0)
            BPI_TRY(take(f, some, f->rows - i < sizeof some ? f->rows - i : sizeof some));
        label[i] = some[i % sizeof some];
        if (label[i] >= classes)
            classes = label[i] + 1;
    }
    BPI_TRY(at_end(f));
    return bpi_data_add_classes(d, "data_idx", label, classes, NULL);
}

static bp_status read_images(idx *f, bp_data *d, unsigned char *some, uint64_t rows)
{
    BPI_TRY(bpi_data_add(d, "data_idx", "x", BP_U8, BP_SHAPE(f->height, f->width), NULL));
    const bpi_column *x = bpi_data_find(d, "x");
    for (uint64_t i = 0; i < f->rows; i += rows) {
        uint64_t n = f->rows - i < rows ? f->rows - i : rows;
        BPI_TRY(take(f, some, n * f->cols));
        BPI_TRY(bpi_column_write(x, (int64_t)i, (int64_t)n, some));
    }
    return at_end(f);
}

static bp_status fill(bp_context *ctx, idx *x, idx *y, bp_data *d)
{
    uint64_t rows = x->cols < AT_ONCE ? AT_ONCE / x->cols : 1;
    rows = rows < x->rows ? rows : x->rows;
    size_t label_bytes = (size_t)y->rows * sizeof(int32_t), some_bytes = (size_t)(rows * x->cols);
    int32_t *label = bpi_host_alloc(ctx, label_bytes);
    unsigned char *some = bpi_host_alloc(ctx, some_bytes);
    bp_status st = label && some ? read_images(x, d, some, rows)
                                 : bpi_fail(ctx, BP_ERR_NOMEM, "data_idx: out of memory");
    if (st == BP_OK)
        st = read_labels(y, d, label);
    bpi_data_set_images(d);
    bpi_host_free(ctx, some, some_bytes);
    bpi_host_free(ctx, label, label_bytes);
    return st;
}

static bp_status read_pair(bp_context *ctx, const char *images, const char *labels, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, images, "data_idx: images"));
    BPI_TRY(bpi_given(ctx, labels, "data_idx: labels"));
    BPI_TRY(bpi_given(ctx, data, "data_idx: data"));
    idx x = {.file = {.ctx = ctx, .fd = -1}}, y = x;
    bp_data *d = NULL;
    bp_status st = open_idx(ctx, images, 3, &x);
    if (st == BP_OK)
        st = open_idx(ctx, labels, 1, &y);
    if (st == BP_OK && x.rows != y.rows)
        st = bpi_fail(ctx, BP_ERR_FORMAT, "%s: %llu labels for the %llu images of %s", labels,
                      (unsigned long long)y.rows, (unsigned long long)x.rows, images);
    if (st == BP_OK)
        st = bpi_data_new(ctx, "data_idx", (int64_t)x.rows, &d);
    if (st == BP_OK)
        st = fill(ctx, &x, &y, d);
    bpi_file_close(&x.file);
    bpi_file_close(&y.file);
    if (st == BP_OK)
        *data = d;
    else
        bp_data_free(d);
    return st;
}

bp_status bp_data_idx(bp_context *ctx, const char *images, const char *labels, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, read_pair(ctx, images, labels, data));
}

/* --- a folder ---------------------------------------------------------------------------- */

/* A file as it is named by those who offer it: MNIST and Fashion-MNIST, EMNIST's six sets, unpacked
 * by hand or by a program. */
static bool find_file(const char *folder, const char *set, const char *part, const char *what,
                      char *path)
{
    for (int form = 0; form < 4; form++) {
        int n = snprintf(path, PATH_BYTES, "%s/%s%s-%s%cidx%c-ubyte%s", folder, set, part, what,
                         form & 2 ? '.' : '-', *what == 'i' ? '3' : '1', form & 1 ? ".gz" : "");
        if (n < PATH_BYTES && access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static bp_status read_folder(bp_context *ctx, const char *folder, bool test, bp_data **data)
{
    static const char *const sets[] = {"", "emnist-balanced-", "emnist-byclass-", "emnist-bymerge-",
                                       "emnist-digits-", "emnist-letters-", "emnist-mnist-"};
    char images[PATH_BYTES], labels[PATH_BYTES], other[PATH_BYTES];
    const char *found = NULL, *part = test ? "t10k" : "train";
    BPI_TRY(bpi_given(ctx, folder, "data_idx_folder: folder"));
    BPI_TRY(bpi_given(ctx, data, "data_idx_folder: data"));
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const char *of_part = test && i > 0 ? "test" : part;
        if (!find_file(folder, sets[i], of_part, "images", found ? other : images))
            continue;
        if (found)
            return bpi_fail(ctx, BP_ERR_ARG, "data_idx_folder: %s and %s: which of them is for "
                            "bp_data_idx to say", images, other);
        found = sets[i];
        if (!find_file(folder, found, of_part, "labels", labels))
            return bpi_fail(ctx, BP_ERR_IO, "data_idx_folder: there is no %s%s-labels-idx1-ubyte "
                            "beside %s", found, of_part, images);
    }
    if (!found)
        return bpi_fail(ctx, BP_ERR_IO, "data_idx_folder: %s holds no %s-images-idx3-ubyte, plain "
                        "or with .gz, nor one of EMNIST", folder, part);
    return read_pair(ctx, images, labels, data);
}

bp_status bp_data_idx_folder(bp_context *ctx, const char *folder, int32_t test, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, read_folder(ctx, folder, test != 0, data));
}
