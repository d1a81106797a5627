/* Rows drawn with replacement. Row i of the order is where a uniform number falls among the running
 * sums of the weights: it follows from (seed, epoch, i) alone. */
#include "door/philox.h"
#include "train/train.h"

enum { LOW_WORDS = 1 }; /* the site of the second 32 bits of a number */

/* Uniform in [0, 1), of 53 bits. */
static double uniform(const bpi_stream *high, const bpi_stream *low, uint64_t i)
{
    uint64_t bits = (uint64_t)bpi_random_word(high, i) << 21 | bpi_random_word(low, i) >> 11;
    return (double)bits * 0x1p-53;
}

/* The first row whose running sum is above x; rows without weight are not found. */
static int32_t find(const double *cumulative, int64_t rows, double x)
{
    int64_t below = 0, above = rows - 1;
    while (below < above) {
        int64_t middle = (below + above) / 2;
        if (cumulative[middle] > x)
            above = middle;
        else
            below = middle + 1;
    }
    return (int32_t)above;
}

void bpi_sample_rows(uint64_t seed, int64_t epoch, const double *cumulative, int64_t rows,
                     int32_t *order, int64_t n)
{
    bpi_stream high = {seed, (uint64_t)epoch, bpi_purpose_site(BPI_PURPOSE_ROWS, 0)}, low = high;
    low.purpose_site = bpi_purpose_site(BPI_PURPOSE_ROWS, LOW_WORDS);
    for (int64_t i = 0; i < n; i++)
        order[i] = cumulative ? find(cumulative, rows, cumulative[rows - 1] *
                                                           uniform(&high, &low, (uint64_t)i))
                              : (int32_t)bpi_random_below(&high, (uint64_t)i, (uint32_t)rows);
}
