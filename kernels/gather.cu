/* gather: y[i, ...] = table[index[i], ...]. Forward: table, index -> y; any dtype, a row is bytes.
 * A bad index gives a row of zeros and is noted. Backward is scatter_rows.
 *
 * A row moves in units of 16 bytes where all rows are aligned, else of 4 or of 1. Floor: each row
 * of y once read and once written. The truth: src/cpu/gather.c; the rule: src/ops/gather.c. */
#include "grid.cuh"
#include "reduce.cuh"
#include "small.cuh"

namespace bpi {

enum { GATHER_EACH = 4 }; /* units of a thread */

struct Gather {
    const char *table;
    char *y;
    const int32_t *index;
    int64_t limit, from_pitch, to_pitch; /* rows of the table; bytes */
    bpi_fault *fault;
    int32_t kernel;
};

/* A unit is N of E. */
template <typename E, int N>
static __global__ void __launch_bounds__(STRIP_THREADS) gather_rows(const Gather w, const Strips s)
{
    const StripPlace at = place_of(s, GATHER_EACH);
    if (at.row >= s.rows)
        return;
    const int64_t first = at.first * N, left = s.units * N - first;
    const int step = s.team * N;
    const int32_t index = w.index[at.row];
    const bool good = index_ok(index, w.limit, at.row, w.fault, w.kernel);
    const char *from = w.table + (good ? index * w.from_pitch + first * (int64_t)sizeof(E) : 0);
    Vector<E, N> v[GATHER_EACH];
    load(v, reinterpret_cast<const E *>(from), good ? left : 0, step, (E)0);
    store(reinterpret_cast<E *>(w.y + at.row * w.to_pitch) + first, v, left, step);
}

template <typename E, int N>
static bp_status launch_gather(bp_exec *ex, const Gather &w, int64_t rows, int64_t bytes)
{
    const Strips s = strips_of(rows, bytes / (int64_t)(N * sizeof(E)), GATHER_EACH);
    return BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (gather_rows<E, N>), w, s);
}

/* One row, or one element a row. */
static bp_status small_gather(bp_exec *ex, const Gather &w, bp_dtype dtype, int64_t rows,
                              int64_t bytes)
{
    bpi_small_call call = {};
    call.kind = BPI_SMALL_ROWS;
    call.dtype = dtype;
    call.y = w.y;
    call.a = w.table;
    call.index = w.index;
    call.rows = rows;
    call.limit = w.limit;
    call.row_bytes = bytes;
    call.y_pitch = w.to_pitch;
    call.a_pitch = w.from_pitch;
    return bpi_cuda_small(ex, &call);
}

static bp_status gather(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const int64_t element = in->dtype == BP_F64 ? 8 : in->dtype == BP_U8 ? 1 : 4;
    const auto from = rows_of<char>(in, 1), to = rows_of<char>(out, 1);
    const Gather w = {from.data, to.data,
                      static_cast<const int32_t *>(in[1].data), from.n, from.pitch * element,
                      to.pitch * element, ex->fault, ex->kernel};
    const int64_t bytes = to.size * element;
    if (bytes == 0)
        return BP_OK;
    if ((to.n == 1 || to.size == 1) && to.n * bytes <= BPI_SMALL_BYTES)
        return small_gather(ex, w, in->dtype, to.n, bytes);
    const uint64_t fit = reinterpret_cast<uintptr_t>(from.data) |
                         reinterpret_cast<uintptr_t>(to.data) |
                         (uint64_t)(bytes | w.from_pitch | w.to_pitch);
    if (fit % 16 == 0)
        return launch_gather<uint32_t, 4>(ex, w, to.n, bytes);
    if (fit % 4 == 0)
        return launch_gather<uint32_t, 1>(ex, w, to.n, bytes);
    return launch_gather<uint8_t, 1>(ex, w, to.n, bytes);
}

} // namespace bpi

BPI_CUDA_OP(gather, {bpi::gather, BPI_ROWS, nullptr});
