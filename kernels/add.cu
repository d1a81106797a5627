/* add: y = a + b, with broadcasting; real, or i32, which wraps. Forward: a, b -> y. Backward is dy,
 * summed where an input was broadcast. Floor: 3 elements of memory traffic an element: 12 bytes an
 * f32. The truth: src/cpu/add.c. The rule: src/ops/add.c. */
#include "elementwise.cuh"
#include "small.cuh"

namespace bpi {

template <typename T> struct Add {
    __device__ T operator()(T a, T b) const { return a + b; }
};

struct AddWrapping {
    __device__ int32_t operator()(int32_t a, int32_t b) const
    {
        return (int32_t)((uint32_t)a + (uint32_t)b);
    }
};

/* y = a + b of a few packed elements, none of them repeated. */
static bp_status small_add(bp_exec *ex, const bp_view *in, const bp_view &y, int64_t count)
{
    bpi_small_call call = {};
    call.kind = BPI_SMALL_ADD;
    call.dtype = y.dtype;
    call.y = y.data;
    call.a = in[0].data;
    call.b = in[1].data;
    call.rows = call.limit = count;
    call.row_bytes = call.y_pitch = call.a_pitch = bytes_of(y.dtype);
    return bpi_cuda_small(ex, &call);
}

template <typename T>
static bp_status add_forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const int64_t count = small_count(*out);
    if (count > 0 && small_count(in[0]) == count && small_count(in[1]) == count)
        return small_add(ex, in, *out, count);
    if (out->dtype == BP_I32)
        return elementwise<int32_t, int32_t, 2>(ex, AddWrapping{}, *out, in);
    return elementwise<T, T, 2>(ex, Add<T>{}, *out, in);
}

} // namespace bpi

BPI_CUDA_OP(add, {bpi::add_forward<T>, BPI_ANY, nullptr});
