/* Views: shapes, strides, pitches and what a layout allows. Knows no context. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/view.h"

const char *bp_dtype_name(bp_dtype dtype)
{
    switch (dtype) {
    case BP_F32: return "f32";
    case BP_F64: return "f64";
    case BP_U8: return "u8";
    case BP_I32: return "i32";
    default: return "?";
    }
}

size_t bp_dtype_bytes(bp_dtype dtype)
{
    switch (dtype) {
    case BP_F32:
    case BP_I32: return 4;
    case BP_F64: return 8;
    case BP_U8: return 1;
    default: return 0;
    }
}

int64_t bp_shape_count(bp_shape shape)
{
    return shape.ndim < 0 || shape.ndim > BP_MAX_DIMS ? 0 : bpi_count(&shape);
}

bool bpi_is_real(bp_dtype dtype)
{
    return dtype == BP_F32 || dtype == BP_F64;
}

/* Sizes are not negative and their product, in elements of 8 bytes, fits a size_t. */
bool bpi_shape_valid(const bp_shape *s)
{
    if (s->ndim < 0 || s->ndim > BP_MAX_DIMS)
        return false;
    int64_t count = 1;
    for (int i = 0; i < s->ndim; i++)
        if (s->dim[i] < 0 || __builtin_mul_overflow(count, s->dim[i] > 1 ? s->dim[i] : 1, &count))
            return false;
    return count <= INT64_MAX / 16;
}

bool bpi_same_shape(const bp_shape *a, const bp_shape *b)
{
    return a->ndim == b->ndim && !memcmp(a->dim, b->dim, sizeof *a->dim * (size_t)a->ndim);
}

bpi_shape_text bpi_shape_str(const bp_shape *shape)
{
    bpi_shape_text t = {"["};
    size_t n = 1;
    for (int i = 0; i < shape->ndim && i < BP_MAX_DIMS; i++)
        n += (size_t)snprintf(t.s + n, sizeof t.s - n, i ? ",%lld" : "%lld",
                              (long long)shape->dim[i]);
    snprintf(t.s + n, sizeof t.s - n, "]");
    return t;
}

void bpi_view_packed(bp_view *v, bp_dtype dtype, bp_shape shape)
{
    v->dtype = dtype;
    v->shape = shape;
    int64_t stride = 1;
    for (int i = shape.ndim - 1; i >= 0; i--) {
        v->stride[i] = stride; /* too large a shape is refused later: unsigned, so that it wraps */
        stride = (int64_t)((uint64_t)stride * (uint64_t)shape.dim[i]);
    }
}

/* Rows of a multiple of 1 KiB fall into few cache sets; 64 bytes more spread them. */
int64_t bpi_row_pitch(int64_t cols, bp_dtype dtype)
{
    int64_t size = (int64_t)bp_dtype_bytes(dtype);
    return cols > 0 && cols * size % 1024 == 0 ? cols + 64 / size : cols;
}

void bpi_view_rows(bp_view *v, bp_dtype dtype, bp_shape shape)
{
    bpi_view_packed(v, dtype, shape);
    if (shape.ndim == 2)
        v->stride[0] = bpi_row_pitch(shape.dim[1], dtype);
}

bool bpi_is_packed(const bp_view *v)
{
    int64_t stride = 1;
    for (int i = v->shape.ndim - 1; i >= 0; i--) {
        if (v->shape.dim[i] == 0)
            return true;
        if (v->shape.dim[i] > 1 && v->stride[i] != stride)
            return false;
        stride *= v->shape.dim[i];
    }
    return true;
}

bool bpi_repeats(const bp_view *v)
{
    for (int i = 0; i < v->shape.ndim; i++)
        if (v->shape.dim[i] > 1 && v->stride[i] == 0)
            return !bpi_is_packed(v); /* nothing repeats where there is nothing */
    return false;
}

bool bpi_layout_fits(const bp_view *v, int layout)
{
    if (layout == BPI_ANY || !v->data || bpi_is_packed(v))
        return true;
    int n = v->shape.ndim;
    if (layout == BPI_PACKED || n < 2 || (n > 2 && layout != BPI_MATRICES))
        return false;
    const int64_t *dim = v->shape.dim + n - 2, *stride = v->stride + n - 2;
    bool rows = stride[1] == 1 && stride[0] >= dim[1];
    bool cols = stride[0] == 1 && stride[1] >= dim[0];
    return rows || (cols && layout >= BPI_MATRIX);
}

size_t bpi_view_span(const bp_view *v)
{
    int64_t last = 0, more;
    size_t span;
    bool fits = true;
    for (int i = 0; i < v->shape.ndim; i++) {
        if (v->shape.dim[i] == 0)
            return 0;
        fits &= !__builtin_mul_overflow(v->shape.dim[i] - 1, llabs(v->stride[i]), &more) &&
                !__builtin_add_overflow(last, more, &last);
    }
    fits &= !__builtin_mul_overflow((size_t)last + 1, bp_dtype_bytes(v->dtype), &span);
    return fits ? span : SIZE_MAX;
}

const char *bpi_view_low(const bp_view *v)
{
    int64_t low = 0;
    for (int i = 0; i < v->shape.ndim; i++)
        if (v->stride[i] < 0 && v->shape.dim[i] > 0)
            low += (v->shape.dim[i] - 1) * v->stride[i];
    return v->data ? (const char *)v->data + low * (int64_t)bp_dtype_bytes(v->dtype) : NULL;
}

/* Axes that lie behind each other are one stretch of memory, which new axes share out among them;
 * both are walked from the last one on. */
bool bpi_view_reshaped(const bp_view *v, const bp_shape *shape, bp_view *out)
{
    int64_t length = 1, step = 1, taken; /* the stretch, and the elements that new axes took */
    int k = shape->ndim - 1;
    out->data = v->data;
    bpi_view_packed(out, v->dtype, *shape);
    if (bpi_is_packed(v))
        return true;
    for (int i = v->shape.ndim - 1; i >= 0; i--) {
        if (v->shape.dim[i] == 1)
            continue;
        step = length == 1 ? v->stride[i] : step;
        length *= v->shape.dim[i];
        int next = i - 1;
        while (next >= 0 && v->shape.dim[next] == 1)
            next--;
        if (next >= 0 && v->stride[next] == length * step)
            continue;
        for (taken = 1; k >= 0 && (taken < length || shape->dim[k] == 1); k--) {
            bool one = shape->dim[k] == 1; /* any stride would do: that of rows */
            out->stride[k] = !one ? taken * step
                             : k + 1 < shape->ndim ? shape->dim[k + 1] * out->stride[k + 1] : 1;
            taken *= shape->dim[k];
        }
        if (taken != length)
            return false;
        length = 1;
    }
    return k < 0;
}

int32_t bpi_axis(int32_t axis, int32_t ndim)
{
    axis += axis < 0 ? ndim : 0;
    return axis >= 0 && axis < ndim ? axis : -1;
}

bool bpi_broadcast(const bp_shape *a, const bp_shape *b, bp_shape *out)
{
    out->ndim = a->ndim > b->ndim ? a->ndim : b->ndim;
    for (int i = 0; i < out->ndim; i++) {
        int ia = i - (out->ndim - a->ndim), ib = i - (out->ndim - b->ndim);
        int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return false;
        out->dim[i] = da == 1 ? db : da;
    }
    return true;
}
