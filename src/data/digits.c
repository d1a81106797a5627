/* The UCI optical digits, out of a packed table: source, licence and notation in README.md. */
#include "core/error.h"
#include "core/memory.h"
#include "data/set.h"

enum { ROWS = 1797, SIDE = 8, COLS = SIDE * SIDE };

static const uint8_t table[] = {
#include "digits_table.inc"
};

typedef struct digits {
    uint8_t x[ROWS][COLS];
    int32_t label[ROWS];
} digits;

/* One image; what is behind it in the table. */
static const uint8_t *unpack(const uint8_t *at, uint8_t *pixel, int32_t *label)
{
    const uint8_t *inked = at + 1, *half = at + 9;
    int n = 0;
    *label = *at;
    for (int j = 0; j < COLS; j++)
        if (inked[j / 8] >> j % 8 & 1) {
            pixel[j] = (uint8_t)((half[n / 2] >> n % 2 * 4 & 15) + 1);
            n++;
        }
    return half + (n + 1) / 2;
}

static bp_status create(bp_context *ctx, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, data, "data_digits: data"));
    digits *d = bpi_host_alloc(ctx, sizeof *d);
    if (!d)
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_digits: out of memory");
    const uint8_t *at = table;
    for (int i = 0; i < ROWS; i++)
        at = unpack(at, d->x[i], &d->label[i]);
    bp_status st = bpi_data_new(ctx, "data_digits", ROWS, data);
    if (st == BP_OK)
        st = bpi_data_add(*data, "data_digits", "x", BP_U8, BP_SHAPE(SIDE, SIDE), d->x);
    if (st == BP_OK)
        st = bpi_data_add_classes(*data, "data_digits", d->label, 10, NULL);
    bpi_data_set_images(*data);
    bpi_host_free(ctx, d, sizeof *d);
    if (st != BP_OK) {
        bp_data_free(*data);
        *data = NULL;
    }
    return st;
}

bp_status bp_data_digits(bp_context *ctx, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, create(ctx, data));
}
