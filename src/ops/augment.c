/* Images moved a little, at random: a text says how. The numbers are draws like any other, and what
 * becomes of them is one kernel, src/cpu/augment.c, whose formulas are src/door/augment.h. No
 * gradient. */
#include "ops/augment.h"

#include <math.h>
#include <string.h>

#include "core/text.h"
#include "ops/window.h"

static const char wanted[] = "shift=PIXELS, flip, crop=PIXELS or elastic=ALPHA,DEVIATION is wanted";

static bool integer(const char *text, const char *end, int32_t *to)
{
    double x;
    bool good = bpi_number(text, &x) == end && x == floor(x) && x <= BPI_AUGMENT_MOST;
    *to = good ? (int32_t)x : 0;
    return good;
}

/* alpha from 0 to 10,000, the deviation above 0 and, with its three-fold, within the reach. */
static bool elastic(const char *text, const char *end, bpi_augment_params *p)
{
    const char *comma = bpi_number(text, &p->alpha);
    p->bent = comma && *comma == ',' && bpi_number(comma + 1, &p->deviation) == end;
    return p->bent && p->alpha <= BPI_AUGMENT_MOST && p->deviation > 0 &&
           3 * p->deviation <= BPI_AUGMENT_REACH;
}

static bool read_word(const char *word, size_t n, bpi_augment_params *p)
{
    const char *end = word + n;
    if (!strncmp(word, "shift=", 6))
        return integer(word + 6, end, &p->shift);
    if (!strncmp(word, "crop=", 5))
        return integer(word + 5, end, &p->crop);
    if (!strncmp(word, "elastic=", 8))
        return elastic(word + 8, end, p);
    p->flip = 1;
    return n == 4 && !strncmp(word, "flip", 4);
}

bp_status bpi_augment_read(const char *text, bpi_augment_params *p, char *why)
{
    *p = (bpi_augment_params){0};
    for (int place = 1; *(text += strspn(text, BPI_BLANKS)); place++) {
        size_t n = strcspn(text, BPI_BLANKS);
        if (!read_word(text, n, p))
            return bpi_why(why, BP_ERR_FORMAT, "word %d is \"%.*s\"; %s", place,
                           (int)(n < 32 ? n : 32), text, wanted);
        text += n;
    }
    return BP_OK;
}

bp_status bpi_augment_fits(const bpi_augment_params *p, int64_t height, int64_t width, char *why)
{
    int64_t least = height < width ? height : width;
    if (p->shift < least && p->crop < least && height <= INT32_MAX / width)
        return BP_OK;
    return bpi_why(why, BP_ERR_SHAPE, "images of %lld x %lld: shift=%d and crop=%d are to be less",
                   (long long)height, (long long)width, (int)p->shift, (int)p->crop);
}

/* x, the numbers of each image, and if bent those of each pixel; y, and if bent room. */
static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_augment_params *p = params;
    const int64_t *x = in[0].shape.dim;
    BPI_TRY(bpi_image_check("x", &in[0].shape, why));
    BPI_TRY(bpi_augment_fits(p, x[1], x[2], why));
    bpi_view_packed(&out[0], in[1].dtype, in[0].shape);
    if (p->bent)
        bpi_view_packed(&out[1], in[1].dtype, BP_SHAPE(x[0], 3, x[1], x[2]));
    return BP_OK;
}

#define AUGMENT(bent)                                                                     \
    {.def = {.name = "augment", .n_in = 2 + (bent), .n_out = 1 + (bent),                  \
             .params_bytes = sizeof(bpi_augment_params), .infer = infer},                 \
     .id = BPI_OP_augment}
const bp_op bpi_op_augment = AUGMENT(0);
static const bp_op bending = AUGMENT(1);

/* x [N, H, W, C], or [N, H, W]. */
static bp_tensor *augment(bp_context *ctx, bp_tensor *x, const bpi_augment_params *p)
{
    const bp_shape is = bp_shape_of(x);
    const bp_dtype dtype = bp_dtype_of(x) == BP_U8 ? BP_F32 : bp_dtype_of(x);
    const int64_t *n = is.dim;
    bp_tensor *in[3] = {x, NULL, NULL}, *out[BP_MAX_IO] = {NULL};
    if ((is.ndim != 3 && is.ndim != 4) || !bpi_is_real(dtype)) {
        bpi_fail(ctx, is.ndim == 3 || is.ndim == 4 ? BP_ERR_DTYPE : BP_ERR_SHAPE, "augment: x %s "
                 "%s: images [N,H,W,C] or [N,H,W], real or u8, are wanted",
                 bp_dtype_name(bp_dtype_of(x)), bpi_shape_str(&is).s);
        return NULL;
    }
    if (is.ndim == 3)
        in[0] = bp_reshape(x, BP_SHAPE(n[0], n[1], n[2], 1));
    in[1] = bp_uniform(ctx, dtype, BP_SHAPE(n[0], BPI_AUGMENT_DRAWS), 0, 1);
    if (p->bent)
        in[2] = bp_uniform(ctx, dtype, BP_SHAPE(n[0], 2, n[1], n[2]), -1, 1);
    bp_tensor *y = bpi_apply(p->bent ? &bending : &bpi_op_augment, in, p, out);
    bp_tensor *made = y && is.ndim == 3 ? bp_reshape(y, is) : y;
    bp_free(made != y ? y : NULL);
    bp_free(out[1]);
    bp_free(in[2]);
    bp_free(in[1]);
    bp_free(in[0] != x ? in[0] : NULL);
    return made;
}

bp_tensor *bp_augment(bp_tensor *x, const char *how)
{
    bpi_augment_params params;
    char why[160];
    bp_tensor *y = NULL;
    bp_context *ctx = BPI_BEGIN("augment", &x, 1);
    if (!ctx)
        return NULL;
    if (bpi_given(ctx, how, "augment: how") == BP_OK) {
        bp_status st = bpi_augment_read(how, &params, why);
        if (st == BP_OK)
            y = augment(ctx, x, &params);
        else
            bpi_fail(ctx, st, "augment: %s", why);
    }
    bpi_leave(ctx);
    return y;
}
