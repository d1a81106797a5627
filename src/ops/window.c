/* Windows over images: the sizes that follow, and what is said of those that cannot be. */
#include "ops/window.h"

static int32_t or_one(int64_t n)
{
    return n == 0 ? 1 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

bp_window bpi_window_of(bp_window how, int64_t down, int64_t across)
{
    how.stride[0] = how.stride[0] ? how.stride[0] : or_one(down);
    how.stride[1] = how.stride[1] ? how.stride[1] : or_one(across);
    how.dilation[0] = or_one(how.dilation[0]);
    how.dilation[1] = or_one(how.dilation[1]);
    how.groups = or_one(how.groups);
    return how;
}

bp_status bpi_image_check(const char *what, const bp_shape *x, char *why)
{
    bool good = x->ndim == 4;
    for (int i = 0; i < 4 && good; i++)
        good = x->dim[i] >= (i > 0) && x->dim[i] <= INT32_MAX;
    if (good)
        return BP_OK;
    return bpi_why(why, BP_ERR_SHAPE,
                   "%s %s: [N,H,W,C] is wanted, of sizes from 1 (N: 0) to 2^31 - 1", what,
                   bpi_shape_str(x).s);
}

/* Neither steps below 1 nor negative padding. */
static bp_status numbers(const bp_window *how, char *why)
{
    static const char *const side[] = {"top", "left", "bottom", "right"};
    static const char *const way[] = {"down", "across"};
    for (int i = 0; i < 2; i++) {
        const bool stride = how->stride[i] < 1;
        if (stride || how->dilation[i] < 1)
            return bpi_why(why, BP_ERR_ARG, "a %s of %d %s: 1 or more is wanted",
                           stride ? "stride" : "dilation",
                           stride ? how->stride[i] : how->dilation[i], way[i]);
    }
    for (int i = 0; i < 4; i++)
        if (how->pad[i] < 0)
            return bpi_why(why, BP_ERR_ARG, "padding of %d at the %s: 0 or more is wanted",
                           how->pad[i], side[i]);
    if (how->groups < 1)
        return bpi_why(why, BP_ERR_ARG, "%d groups: 1 or more are wanted", how->groups);
    return BP_OK;
}

bp_status bpi_window_check(const bp_window *how, const bp_shape *x, int64_t height, int64_t width,
                           bp_shape *y, char *why)
{
    static const char *const line[] = {"rows", "columns"};
    const int64_t window[] = {height, width};
    for (int i = 0; i < 2; i++)
        if (window[i] < 1 || window[i] > INT32_MAX)
            return bpi_why(why, BP_ERR_SHAPE, "a window of %lld %s: 1 to 2^31 - 1 are wanted",
                           (long long)window[i], line[i]);
    BPI_TRY(numbers(how, why));
    for (int i = 0; i < 2; i++) {
        const char *lines = line[i];
        const int64_t padded = x->dim[1 + i] + how->pad[i] + how->pad[2 + i];
        const int64_t reach = how->dilation[i] * (window[i] - 1) + 1;
        if (reach > padded)
            return bpi_why(why, BP_ERR_SHAPE, "x %s: a window over %lld %s has no place in %lld, "
                           "padding included", bpi_shape_str(x).s, (long long)reach, lines,
                           (long long)padded);
        y->dim[1 + i] = (padded - reach) / how->stride[i] + 1;
        if (y->dim[1 + i] > INT32_MAX)
            return bpi_why(why, BP_ERR_SHAPE, "x %s: y would have %lld %s, more than 2^31 - 1",
                           bpi_shape_str(x).s, (long long)y->dim[1 + i], lines);
    }
    return BP_OK;
}

bp_status bpi_window_made(const bp_shape *y, const bp_shape *want, int64_t rows, int64_t columns,
                          char *why)
{
    if (bpi_same_shape(y, want))
        return BP_OK;
    return bpi_why(why, BP_ERR_SHAPE, "y %s: images of %lld x %lld give %s", bpi_shape_str(y).s,
                   (long long)rows, (long long)columns, bpi_shape_str(want).s);
}
