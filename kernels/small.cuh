/* A list of small calls, run by one block: src/cuda/cuda.h says what they are. Users: small.cu,
 * step_begin.cu; add.cu, copy.cu and gather.cu, which make them. */
#ifndef BPI_SMALL_CUH
#define BPI_SMALL_CUH

#include "grid.cuh"

namespace bpi {

template <typename T>
__device__ static inline void small_rows(const bpi_small_call &c, bpi_fault *fault)
{
    const int64_t words = c.row_bytes / (int64_t)sizeof(T); /* of a row: 1, or there is one row */
    for (int64_t i = threadIdx.x; i < c.rows * words; i += blockDim.x) {
        const int64_t row = words == 1 ? i : 0, word = i - row;
        const int32_t from = c.index ? c.index[row] : (int32_t)row;
        const bool ok = !c.index || index_ok(from, c.limit, row, fault, c.kernel);
        T *y = reinterpret_cast<T *>(static_cast<char *>(c.y) + row * c.y_pitch);
        const char *a = static_cast<const char *>(c.a);
        y[word] = ok ? reinterpret_cast<const T *>(a + from * c.a_pitch)[word] : T(0);
    }
}

template <typename T> __device__ static inline void small_add(const bpi_small_call &c)
{
    T *y = static_cast<T *>(c.y);
    const T *a = static_cast<const T *>(c.a), *b = static_cast<const T *>(c.b);
    for (int64_t i = threadIdx.x; i < c.rows; i += blockDim.x)
        y[i] = a[i] + b[i];
}

/* By way of f64, which holds every value of the others. */
template <typename T> __device__ static inline void small_cast(const bpi_small_call &c)
{
    T *y = static_cast<T *>(c.y);
    for (int64_t i = threadIdx.x; i < c.rows; i += blockDim.x) {
        double a;
        switch (c.from) {
        case BP_U8: a = static_cast<const uint8_t *>(c.a)[i]; break;
        case BP_I32: a = static_cast<const int32_t *>(c.a)[i]; break;
        case BP_F32: a = static_cast<const float *>(c.a)[i]; break;
        default: a = static_cast<const double *>(c.a)[i];
        }
        y[i] = (T)a;
    }
}

/* Called by all threads of one block. */
__device__ static inline void run_small(const bpi_small_list &list, bpi_fault *fault)
{
    for (int i = 0; i < list.n; i++) {
        const bpi_small_call &c = list.call[i];
        if (i > 0)
            __syncthreads();
        if (c.kind == BPI_SMALL_ROWS && c.dtype == BP_F64)
            small_rows<uint64_t>(c, fault);
        else if (c.kind == BPI_SMALL_ROWS && c.dtype == BP_U8)
            small_rows<uint8_t>(c, fault);
        else if (c.kind == BPI_SMALL_ROWS)
            small_rows<uint32_t>(c, fault);
        else if (c.kind == BPI_SMALL_CAST && c.dtype == BP_F64)
            small_cast<double>(c);
        else if (c.kind == BPI_SMALL_CAST)
            small_cast<float>(c);
        else if (c.dtype == BP_F64)
            small_add<double>(c);
        else if (c.dtype == BP_F32)
            small_add<float>(c);
        else
            small_add<uint32_t>(c); /* i32, which wraps */
    }
}

/* --- on the host: what is small ------------------------------------------------------------ */

static inline int64_t bytes_of(bp_dtype dtype)
{
    return dtype == BP_F64 ? 8 : dtype == BP_U8 ? 1 : 4;
}

/* The elements of a packed view of at most BPI_SMALL_BYTES; 0 where it is another. */
static inline int64_t small_count(const bp_view &v)
{
    int64_t count = 1;
    for (int32_t i = v.shape.ndim - 1; i >= 0; i--) {
        if (v.shape.dim[i] > 1 && v.stride[i] != count)
            return 0;
        count *= v.shape.dim[i];
        if (count > BPI_SMALL_BYTES)
            return 0;
    }
    return count * bytes_of(v.dtype) <= BPI_SMALL_BYTES ? count : 0;
}

} // namespace bpi
#endif
