/* Whether rows may be in a column. What is real must be finite; labels, flags and weights have a
 * range. A block of numbers is looked at as a whole, so that the loop is one of vectors; where it
 * holds a bad one, that is searched for. */
#include <math.h>
#include <string.h>

#include "data/set.h"

enum { BLOCK = 1024 };

static bool f32_finite(const float *x, int64_t n)
{
    uint32_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !bad;
}

static double value_at(const bpi_column *c, const void *values, int64_t i)
{
    switch (c->dtype) {
    case BP_F32: return ((const float *)values)[i];
    case BP_F64: return ((const double *)values)[i];
    case BP_I32: return ((const int32_t *)values)[i];
    default: return ((const uint8_t *)values)[i];
    }
}

static bool fits(const bpi_column *c, double v)
{
    switch (c->rule) {
    case BPI_CLASSES: return v >= 0 && v < c->classes;
    case BPI_FLAGS: return v == 0 || v == 1;
    case BPI_WEIGHTS: return v >= 0 && isfinite(v);
    default: return isfinite(v) != 0;
    }
}

static bp_status tell(const bpi_column *c, double v, int64_t row, int64_t element, char *why)
{
    if (c->rule == BPI_CLASSES)
        return bpi_why(why, BP_ERR_RANGE, "row %lld is class %.0f, which is not in 0 .. %d",
                       (long long)row, v, (int)c->classes - 1);
    const char *wanted = c->rule == BPI_FLAGS     ? "0 or 1 is wanted"
                         : c->rule == BPI_WEIGHTS ? "a finite number of 0 or more is wanted"
                                                  : "finite numbers are wanted";
    return bpi_why(why, BP_ERR_RANGE, "row %lld, element %lld is %g; %s", (long long)row,
                   (long long)element, v, wanted);
}

bp_status bpi_rows_fit(const bpi_column *c, const void *values, int64_t first, int64_t n, char *why)
{
    bool whole = c->rule == BPI_NUMBERS && c->dtype == BP_F32;
    if (c->rule == BPI_NUMBERS && c->dtype != BP_F32 && c->dtype != BP_F64)
        return BP_OK;
    int64_t all = n * c->count;
    for (int64_t begin = 0; begin < all; begin += BLOCK) {
        int64_t end = all - begin < BLOCK ? all : begin + BLOCK;
        if (whole && f32_finite((const float *)values + begin, end - begin))
            continue;
        for (int64_t i = begin; i < end; i++) {
            double v = value_at(c, values, i);
            if (!fits(c, v))
                return tell(c, v, first + i / c->count, i % c->count, why);
        }
    }
    return BP_OK;
}
