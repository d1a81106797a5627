/* sort: the first k of each row in order, and their places. Forward: x [rows, n] -> y, index
 * [rows, k], the same counted through all rows. The order is that of src/cpu/sort.c, the truth, and
 * has no equal elements.
 *
 * A block a row. What fits shared memory is sorted there, in a network whose exchanges all put the
 * first of two in front: elements that would stand behind the last one need not be there. A wider
 * row is sorted where it is to be; of one of which only k are wanted, the block looks for one after
 * the other, k times through the row. Floor: x read, y and index written once.
 * The rule: src/ops/sort.c. */
#include "reduce.cuh"

namespace bpi {

enum { SORT_ROW_THREADS = 256, SORT_ROW_BYTES = 48 << 10 };

template <typename T> struct SortRows {
    Rows<const T> x;
    Rows<T> y;
    int32_t *index, *through; /* places in a row, through all rows; packed */
    int32_t descending;
};

template <typename T>
__device__ static inline bool before(T a, int32_t i, T b, int32_t j, int32_t descending)
{
    const T low = descending ? b : a, high = descending ? a : b;
    if (low < high || (high != high && low == low))
        return true;
    return i < j && (low == high || (low != low && high != high));
}

/* Sorts n elements, by all threads of the block. */
template <typename T>
__device__ static inline void sort_block(T *value, int32_t *place, int64_t n, int32_t descending)
{
    for (int64_t size = 2; size < 2 * n; size *= 2)
        for (int64_t apart = size / 2; apart > 0; apart /= 2) {
            const int64_t pairs = (n + 2 * apart - 1) / (2 * apart) * apart;
            __syncthreads();
            for (int64_t t = threadIdx.x; t < pairs; t += SORT_ROW_THREADS) {
                const int64_t group = t / apart, in_group = t - group * apart;
                const int64_t i = group * 2 * apart + in_group;
                /* the first step of a size mirrors its second half */
                const int64_t j = apart == size / 2 ? (group + 1) * 2 * apart - 1 - in_group
                                                    : i + apart;
                if (j < n && before(value[j], place[j], value[i], place[i], descending)) {
                    const T v = value[i];
                    const int32_t p = place[i];
                    value[i] = value[j];
                    place[i] = place[j];
                    value[j] = v;
                    place[j] = p;
                }
            }
        }
    __syncthreads();
}

template <typename T, bool SHARED>
static __global__ void __launch_bounds__(SORT_ROW_THREADS) sort_rows(const SortRows<T> w)
{
    const int64_t row = blockIdx.x, n = w.x.size, k = w.y.size;
    const T *x = w.x.data + row * w.x.pitch;
    T *y = w.y.data + row * w.y.pitch;
    int32_t *index = w.index + row * k;
    BPI_DYNAMIC_SHARED(T, shared);
    T *value = SHARED ? shared : y;
    int32_t *place = SHARED ? reinterpret_cast<int32_t *>(shared + n) : index;
    for (int64_t i = threadIdx.x; i < n; i += SORT_ROW_THREADS) {
        value[i] = x[i];
        place[i] = (int32_t)i;
    }
    sort_block(value, place, n, w.descending);
    for (int64_t i = threadIdx.x; i < k; i += SORT_ROW_THREADS) {
        w.through[row * k + i] = (int32_t)(row * n + place[i]);
        if (SHARED) {
            y[i] = value[i];
            index[i] = place[i];
        }
    }
}

template <typename T>
static __global__ void __launch_bounds__(SORT_ROW_THREADS) select_first(const SortRows<T> w)
{
    BPI_SHARED(T, value, [SORT_ROW_THREADS]);
    BPI_SHARED(int32_t, place, [SORT_ROW_THREADS]);
    const int64_t row = blockIdx.x, n = w.x.size, k = w.y.size;
    const int me = threadIdx.x;
    const T *x = w.x.data + row * w.x.pitch;
    T last = 0;
    int32_t last_place = -1; /* none yet */
    for (int64_t chosen = 0; chosen < k; chosen++) {
        T best = 0;
        int32_t best_place = -1;
        for (int64_t i = me; i < n; i += SORT_ROW_THREADS) {
            const bool left = last_place < 0 || before(last, last_place, x[i], (int32_t)i,
                                                       w.descending);
            if (left && (best_place < 0 || before(x[i], (int32_t)i, best, best_place,
                                                  w.descending))) {
                best = x[i];
                best_place = (int32_t)i;
            }
        }
        __syncthreads(); /* the last one has been read */
        value[me] = best;
        place[me] = best_place;
        for (int half = SORT_ROW_THREADS / 2; half > 0; half /= 2) {
            __syncthreads();
            if (me < half && place[me + half] >= 0 &&
                (place[me] < 0 || before(value[me + half], place[me + half], value[me], place[me],
                                         w.descending))) {
                value[me] = value[me + half];
                place[me] = place[me + half];
            }
        }
        __syncthreads();
        last = value[0];
        last_place = place[0];
        if (me == 0) {
            w.y.data[row * w.y.pitch + chosen] = last;
            w.index[row * k + chosen] = last_place;
            w.through[row * k + chosen] = (int32_t)(row * n + last_place);
        }
    }
}

template <typename T>
static bp_status sort(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_sort_params *p = static_cast<const bpi_sort_params *>(params);
    const int32_t outer = in->shape.ndim - 1;
    const SortRows<T> w = {rows_of<const T>(in, outer), rows_of<T>(out, outer),
                           static_cast<int32_t *>(out[1].data),
                           static_cast<int32_t *>(out[2].data), p->descending};
    const int64_t bytes = w.x.size * (int64_t)(sizeof(T) + sizeof(int32_t));
    if (w.y.size == 0)
        return BP_OK;
    if (bytes <= SORT_ROW_BYTES)
        return BPI_LAUNCH(ex, w.x.n, SORT_ROW_THREADS, (size_t)bytes, (sort_rows<T, true>), w);
    return w.y.size == w.x.size
               ? BPI_LAUNCH(ex, w.x.n, SORT_ROW_THREADS, 0, (sort_rows<T, false>), w)
               : BPI_LAUNCH(ex, w.x.n, SORT_ROW_THREADS, 0, (select_first<T>), w);
}

} // namespace bpi

BPI_CUDA_OP(sort, {bpi::sort<T>, BPI_ROWS, nullptr});
