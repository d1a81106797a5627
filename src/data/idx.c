/* IDX files (Y. LeCun, C. Cortes, C. Burges: the MNIST database): two zero bytes, the type of the
 * elements (8: u8), the number of sizes, each size as a big-endian u32, then the elements. */
#include "data/data.h"
#include "io/file.h"

typedef struct idx {
    bpi_bytes bytes;
    uint64_t rows, cols;
} idx;

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What the file claims, in f->rows and f->cols. */
static bp_status header(bpi_file *file, int n_sizes, idx *f)
{
    uint64_t got, want = 4 + 4 * (uint64_t)n_sizes;
    BPI_TRY(bpi_file_read(file, want, &f->bytes, &got));
    const unsigned char *h = f->bytes.at;
    if (got < want)
        return bpi_fail(file->ctx, BP_ERR_FORMAT, "%s: ends within its header of %llu bytes",
                        file->path, (unsigned long long)want);
    if (big_endian(h) != 0x800u + (uint32_t)n_sizes)
        return bpi_fail(file->ctx, BP_ERR_FORMAT,
                        "%s: not an IDX file of u8 with %d sizes: it begins with %08x, not %08x",
                        file->path, n_sizes, (unsigned)big_endian(h), 0x800u + (unsigned)n_sizes);
    f->rows = big_endian(h + 4);
    f->cols = n_sizes == 3 ? (uint64_t)big_endian(h + 8) * big_endian(h + 12) : 1;
    if (f->rows == 0 || f->cols == 0 || f->rows > INT32_MAX || f->cols > INT32_MAX)
        return bpi_fail(file->ctx, BP_ERR_FORMAT,
                        "%s: claims %llu rows of %llu: 1 to 2147483647 are wanted", file->path,
                        (unsigned long long)f->rows, (unsigned long long)f->cols);
    return BP_OK;
}

static bp_status read_idx(bp_context *ctx, const char *path, int n_sizes, idx *f)
{
    bpi_file file;
    bp_status st = bpi_file_open(ctx, path, true, &file);
    if (st == BP_OK)
        st = header(&file, n_sizes, f);
    uint64_t got = 0, want = f->rows * f->cols;
    if (st == BP_OK)
        st = bpi_file_read(&file, want + 1, &f->bytes, &got);
    if (st == BP_OK && got != want)
        st = bpi_fail(ctx, BP_ERR_FORMAT, "%s: %s than the %llu bytes its sizes ask for", path,
                      got < want ? "fewer" : "more", (unsigned long long)want);
    bpi_file_close(&file);
    return st;
}

static bp_status make(bp_context *ctx, const idx *x, const idx *y, bp_data **data)
{
    int32_t *label = bpi_host_alloc(ctx, y->rows * sizeof *label), classes = 0;
    if (!label)
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_idx: no memory for the labels");
    for (uint64_t i = 0; i < y->rows; i++) {
        label[i] = y->bytes.at[i];
        if (label[i] >= classes)
            classes = label[i] + 1;
    }
    bp_status st = bp_data_create(ctx, BP_U8, x->bytes.at, label, (int64_t)x->rows,
                                  (int64_t)x->cols, classes, data);
    bpi_data_set_images(*data);
    bpi_host_free(ctx, label, y->rows * sizeof *label);
    return st;
}

static bp_status read_pair(bp_context *ctx, const char *images, const char *labels, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, images, "data_idx: images"));
    BPI_TRY(bpi_given(ctx, labels, "data_idx: labels"));
    BPI_TRY(bpi_given(ctx, data, "data_idx: data"));
    idx x = {0}, y = {0};
    bp_status st = read_idx(ctx, images, 3, &x);
    if (st == BP_OK)
        st = read_idx(ctx, labels, 1, &y);
    if (st == BP_OK && x.rows != y.rows)
        st = bpi_fail(ctx, BP_ERR_FORMAT, "%s: %llu labels for the %llu images of %s", labels,
                      (unsigned long long)y.rows, (unsigned long long)x.rows, images);
    if (st == BP_OK)
        st = make(ctx, &x, &y, data);
    bpi_bytes_free(ctx, &x.bytes);
    bpi_bytes_free(ctx, &y.bytes);
    return st;
}

bp_status bp_data_idx(bp_context *ctx, const char *images, const char *labels, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, read_pair(ctx, images, labels, data));
}
