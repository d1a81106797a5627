/* copy: the same values in another layout, or in another dtype. Forward: x -> y of equal shapes and
 * any strides: the same dtype, whose bits are kept, or any to any other. Floor: each element once
 * read and once written. The truth: src/cpu/copy.c. The rule: src/ops/copy.c. */
#include "elementwise.cuh"
#include "door/formulas.h"
#include "small.cuh"

namespace bpi {

template <typename Y, typename A> struct Cast {
    __device__ Y operator()(A a) const { return (Y)a; }
};

template <typename Y, typename A>
static bp_status cast(bp_exec *ex, const bp_view &y, const bp_view &x)
{
    return elementwise<Y, A, 1>(ex, Cast<Y, A>{}, y, &x);
}

template <typename A> struct ToI32 {
    __device__ int32_t operator()(A a) const { return i32_of(a); }
};
template <typename A> struct ToU8 {
    __device__ uint8_t operator()(A a) const { return u8_of(a); }
};
struct I32ToU8 {
    __device__ uint8_t operator()(int32_t a) const
    {
        return (uint8_t)(a < 0 ? 0 : a > 255 ? 255 : a);
    }
};

template <typename T>
static bp_status to_integer(bp_exec *ex, const bp_view &y, const bp_view &x)
{
    if (y.dtype == BP_I32)
        return x.dtype == BP_U8 ? cast<int32_t, uint8_t>(ex, y, x)
                                : elementwise<int32_t, T, 1>(ex, ToI32<T>{}, y, &x);
    return x.dtype == BP_I32 ? elementwise<uint8_t, int32_t, 1>(ex, I32ToU8{}, y, &x)
                             : elementwise<uint8_t, T, 1>(ex, ToU8<T>{}, y, &x);
}

/* Integers, so that no NaN is changed on the way. */
static bp_status copy_bits(bp_exec *ex, const bp_view &y, const bp_view &x)
{
    switch (x.dtype) {
    case BP_U8: return cast<uint8_t, uint8_t>(ex, y, x);
    case BP_F64: return cast<uint64_t, uint64_t>(ex, y, x);
    default: return cast<uint32_t, uint32_t>(ex, y, x);
    }
}

static bp_status small_copy(bp_exec *ex, const bp_view &y, const bp_view &x, int64_t count)
{
    bpi_small_call call = {};
    call.kind = BPI_SMALL_ROWS;
    call.dtype = y.dtype;
    call.y = y.data;
    call.a = x.data;
    call.rows = call.limit = 1;
    call.row_bytes = call.y_pitch = call.a_pitch = count * bytes_of(y.dtype);
    return bpi_cuda_small(ex, &call);
}

static bp_status small_cast(bp_exec *ex, const bp_view &y, const bp_view &x, int64_t count)
{
    bpi_small_call call = {};
    call.kind = BPI_SMALL_CAST;
    call.dtype = y.dtype;
    call.from = x.dtype;
    call.y = y.data;
    call.a = x.data;
    call.rows = call.limit = count;
    call.y_pitch = bytes_of(y.dtype);
    call.a_pitch = bytes_of(x.dtype);
    call.row_bytes = call.y_pitch < call.a_pitch ? call.a_pitch : call.y_pitch;
    return bpi_cuda_small(ex, &call);
}

template <typename T>
static bp_status copy_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const int64_t count = small_count(*out);
    if (in->dtype == out->dtype && count > 0 && small_count(*in) == count)
        return small_copy(ex, *out, *in, count);
    if (in->dtype == out->dtype)
        return copy_bits(ex, *out, *in);
    if (out->dtype == BP_I32 || out->dtype == BP_U8)
        return to_integer<T>(ex, *out, *in);
    if (count > 0 && small_count(*in) == count)
        return small_cast(ex, *out, *in, count);
    switch (in->dtype) {
    case BP_U8: return cast<T, uint8_t>(ex, *out, *in);
    case BP_I32: return cast<T, int32_t>(ex, *out, *in);
    case BP_F32: return cast<T, float>(ex, *out, *in);
    case BP_F64: return cast<T, double>(ex, *out, *in);
    default: return BP_ERR_UNSUPPORTED;
    }
}

} // namespace bpi

BPI_CUDA_OP(copy, {bpi::copy_forward<T>, BPI_ANY, nullptr});
