/* Views: shapes, strides, pitches and what a layout allows. Knows no context. */
#ifndef BPI_CORE_VIEW_H
#define BPI_CORE_VIEW_H

#include <stdbool.h>

#include "door/backend.h"

/* bp_shape_count of a shape that is not copied. */
static inline int64_t bpi_count(const bp_shape *s)
{
    int64_t count = 1;
    for (int i = 0; i < s->ndim; i++)
        if (__builtin_mul_overflow(count, s->dim[i], &count))
            return 0;
    return count;
}

void bpi_view_packed(bp_view *v, bp_dtype dtype, bp_shape shape);
/* The one choice of a row pitch, in elements, for store matrices and rank-2 results of linear,
 * matmul and gather. */
int64_t bpi_row_pitch(int64_t cols, bp_dtype dtype);
void bpi_view_rows(bp_view *v, bp_dtype dtype, bp_shape shape); /* pitched if rank 2 */
bool bpi_is_packed(const bp_view *v);
bool bpi_repeats(const bp_view *v); /* two indices name one element, by a stride of 0 */
bool bpi_is_real(bp_dtype dtype);
bool bpi_layout_fits(const bp_view *v, int layout);
bool bpi_same_shape(const bp_shape *a, const bp_shape *b);
/* Bytes from the lowest element to the highest; SIZE_MAX, which nobody has, where they overflow. */
size_t bpi_view_span(const bp_view *v);
/* The lowest element, which is not the first where a stride is negative. */
const char *bpi_view_low(const bp_view *v);
/* The same memory in another shape of equal count; false where no strides say that. */
bool bpi_view_reshaped(const bp_view *v, const bp_shape *shape, bp_view *out);
/* An axis as a program names it, from 0, or from -1 backwards; -1 where there is none such. */
int32_t bpi_axis(int32_t axis, int32_t ndim);
bool bpi_shape_valid(const bp_shape *s);
/* "[64,784]". */
typedef struct bpi_shape_text { char s[176]; } bpi_shape_text;
bpi_shape_text bpi_shape_str(const bp_shape *shape);
/* The shape both broadcast to; false if there is none. */
bool bpi_broadcast(const bp_shape *a, const bp_shape *b, bp_shape *out);

#endif
