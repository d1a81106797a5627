/* Convolution and pooling of images. Common to all ops: ops.h.
 *
 * An image batch is x [N, H, W, C], a channel being the innermost axis; filters are [O, R, S, C /
 * groups]. A signal [N, L, C] is an image of height 1, [N, 1, L, C]: bp_reshape makes a view of it.
 * All real, of one dtype. What does not fit (channels, groups, a window that is larger than the
 * padded image, a negative number) is BP_ERR_SHAPE or BP_ERR_ARG, and the text says what was
 * wanted. */
#ifndef BPCUDA_CONV_H
#define BPCUDA_CONV_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a window walks over an image. All of it may be 0: no padding, one group, and steps of 1, or
 * of a pool the size of its window. Pixel (p, q) of y looks at rows stride[0] p + dilation[0] r -
 * pad[0] of x, r = 0 .. R - 1, and columns likewise, and there are as many p as end inside the
 * padded image: P = (H + pad[0] + pad[2] - dilation[0] (R - 1) - 1) / stride[0] + 1. */
typedef struct bp_window {
    int32_t stride[2];   /* from pixel to pixel of y, down and across; 0 is 1, or a pool's window */
    int32_t dilation[2]; /* from tap to tap of a window, down and across; 0 is 1 */
    int32_t pad[4];      /* rows and columns of nothing at top, left, bottom, right (ONNX's order) */
    int32_t groups;      /* of channels and filters; 0 is 1; a pool has none */
} bp_window;

/* --- convolution ------------------------------------------------------------------------------ */

/* y[n,p,q,o] = b[o] + sum over r, s, c of x[n,h,w,c] w[o,r,s,c], h and w as bp_window says, x being
 * 0 in the padding: x [N, H, W, C], w [O, R, S, C / groups], b [O] -> [N, P, Q, O]. Filters o of
 * group g look at the channels of group g; both are cut in `groups` equal parts (LeCun et al.,
 * 1989). Terms are added in an order that follows from the shapes alone. With dy for y's gradient:
 *     dx = bp_conv2d_input(dy, w, H, W, how), dw = bp_conv2d_filter(dy, x, R, S, how),
 *     db = the sum of dy over n, p, q */
BP_API bp_tensor *bp_conv2d(bp_tensor *x, bp_tensor *w, bp_tensor *b, bp_window how);
/* Without a bias. */
BP_API bp_tensor *bp_conv2d_unbiased(bp_tensor *x, bp_tensor *w, bp_window how);
/* relu(conv2d(x, w, b, how)) in one pass. NaN stays NaN. */
BP_API bp_tensor *bp_conv2d_relu(bp_tensor *x, bp_tensor *w, bp_tensor *b, bp_window how);

/* The transposed convolution: y [N, P, Q, O], w [O, R, S, C / groups] -> x [N, height, width, C],
 * to which each y[n,p,q,o] adds its w[o,r,s,c] where bp_conv2d would read. height and width are
 * those of an image that gives P x Q pixels: (P - 1) stride + dilation (R - 1) + 1 - padding, and
 * up to stride - 1 more. dy = conv2d_unbiased(dx, w), dw = conv2d_filter(y, dx). */
BP_API bp_tensor *bp_conv2d_input(bp_tensor *y, bp_tensor *w, int64_t height, int64_t width,
                                  bp_window how);

/* The filters' gradient, a product of two batches of images: y [N, P, Q, O], x [N, H, W, C] -> w
 * [O, height, width, C / groups], w[o,r,s,c] = sum over n, p, q of y[n,p,q,o] x[n,h,w,c].
 * dy = conv2d_unbiased(x, dw), dx = conv2d_input(y, dw). */
BP_API bp_tensor *bp_conv2d_filter(bp_tensor *y, bp_tensor *x, int64_t height, int64_t width,
                                   bp_window how);

/* --- pooling ---------------------------------------------------------------------------------- */

/* The largest of each window of height x width, at most 256 pixels: x [N, H, W, C] -> [N, P, Q, C].
 * Of equals the first, row by row; NaN is larger than all. Padding is never looked at, and a window
 * of nothing else is BP_ERR_SHAPE. *places, unless places is NULL, is u8 of y's shape: the number
 * of that pixel in its window, row by row. dx = bp_max_spread(dy, places, ...). */
BP_API bp_tensor *bp_max_pool(bp_tensor *x, int64_t height, int64_t width, bp_window how,
                              bp_tensor **places);

/* y [N, P, Q, C] back at the places of a bp_max_pool of images of rows x columns, whose other
 * arguments these are: [N, rows, columns, C], the sum where windows overlap, 0 elsewhere.
 * dy = bp_max_pick(dx, places, ...). */
BP_API bp_tensor *bp_max_spread(bp_tensor *y, bp_tensor *places, int64_t height, int64_t width,
                                int64_t rows, int64_t columns, bp_window how);

/* What of x is at such places: [N, P, Q, C]. A place outside window or image gives 0, and
 * bp_max_spread leaves it out. dx = bp_max_spread(dy, places, ...). */
BP_API bp_tensor *bp_max_pick(bp_tensor *x, bp_tensor *places, int64_t height, int64_t width,
                              bp_window how);

/* The mean of each window, of the pixels that are there: padding does not count (PyTorch's
 * count_include_pad = False). dx = bp_avg_spread(dy, ...). */
BP_API bp_tensor *bp_avg_pool(bp_tensor *x, int64_t height, int64_t width, bp_window how);

/* Each y [N, P, Q, C] over the number of its pixels, added to them: [N, rows, columns, C].
 * dy = bp_avg_pool(dx, ...). */
BP_API bp_tensor *bp_avg_spread(bp_tensor *y, int64_t height, int64_t width, int64_t rows,
                                int64_t columns, bp_window how);

/* The largest, the mean, of each channel of an image: [N, H, W, C] -> [N, C]. Gradients as of
 * bp_max_axes and bp_mean_axes. */
BP_API bp_tensor *bp_global_max_pool(bp_tensor *x);
BP_API bp_tensor *bp_global_avg_pool(bp_tensor *x);

/* --- larger images ---------------------------------------------------------------------------- */

/* Each pixel `down` times `across` times: [N, H, W, C] -> [N, down H, across W, C]. dx = the sum of
 * its copies' dy. */
BP_API bp_tensor *bp_upsample_nearest(bp_tensor *x, int64_t down, int64_t across);

/* x [N, H, W, C] at the places of [N, height, width, C], whose pixel i lies at (i + 0.5) H / height
 * - 0.5 of x, held inside it, and is interpolated between the two next to it, down and across
 * (PyTorch's align_corners = False; any sizes). dx = bp_bilinear_spread(dy, H, W). */
BP_API bp_tensor *bp_upsample_bilinear(bp_tensor *x, int64_t height, int64_t width);

/* Its transpose: each pixel of y shared out to the four it would be made of, [N, height, width, C].
 * dy = bp_upsample_bilinear(dx, H, W) of y's sizes. */
BP_API bp_tensor *bp_bilinear_spread(bp_tensor *y, int64_t height, int64_t width);

#ifdef __cplusplus
}
#endif
#endif
