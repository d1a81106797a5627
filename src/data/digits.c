/* The UCI optical digits, out of a table of text: source, licence and notation in README.md. */
#include "core/error.h"
#include "core/memory.h"
#include "data/data.h"

enum { ROWS = 1797, COLS = 64 };

static const char table[ROWS][1 + COLS + 1] = {
#include "digits_table.inc"
};

typedef struct digits {
    uint8_t x[ROWS][COLS];
    int32_t label[ROWS];
} digits;

static bp_status create(bp_context *ctx, bp_data **data)
{
    BPI_TRY(bpi_given(ctx, data, "data_digits: data"));
    digits *d = bpi_host_alloc(ctx, sizeof *d);
    if (!d)
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_digits: out of memory");
    for (int i = 0; i < ROWS; i++) {
        d->label[i] = table[i][0] - '0';
        for (int j = 0; j < COLS; j++)
            d->x[i][j] = (uint8_t)(table[i][1 + j] - 'a');
    }
    bp_status st = bp_data_create(ctx, BP_U8, d->x, d->label, ROWS, COLS, 10, data);
    bpi_data_set_images(*data);
    bpi_host_free(ctx, d, sizeof *d);
    return st;
}

bp_status bp_data_digits(bp_context *ctx, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, create(ctx, data));
}
