/* gather_normalized: y[i, j] = (table[index[i], j] - shift[j]) scale[j]. Forward: table (u8 or
 * real), index, shift and scale (f64) -> y, which is rounded once. A bad index counts as a row of
 * zeros of the table, as it does in the composed form, and is noted. Backward is the composed
 * form's.
 *
 * Where all rows are aligned a unit is 16 bytes of y, else one element. Floor: each row of y once
 * read and once written; of a table of u8 5 bytes an f32. The truth: src/cpu/gather_normalized.c;
 * the rule: src/ops/gather_normalized.c. */
#include "grid.cuh"
#include "reduce.cuh"

namespace bpi {

enum { NORMALIZE_EACH = 2 }; /* units of a thread */

template <typename T, typename U> struct GatherNormalized {
    Rows<const U> table;
    Rows<T> y;
    const int32_t *index;
    const double *shift, *scale; /* [C] */
    bpi_fault *fault;
    int32_t kernel;
};

template <typename T, typename U, int N>
static __global__ void __launch_bounds__(STRIP_THREADS)
    gather_normalized_rows(const GatherNormalized<T, U> w, const Strips s)
{
    const StripPlace at = place_of(s, NORMALIZE_EACH);
    if (at.row >= s.rows)
        return;
    const int32_t index = w.index[at.row];
    const int64_t first = at.first * N, left = w.y.size - first;
    const int step = s.team * N;
    Vector<U, N> row[NORMALIZE_EACH];
    Vector<double, N> shift[NORMALIZE_EACH], scale[NORMALIZE_EACH];
    Vector<T, N> y[NORMALIZE_EACH];
    load(shift, w.shift + first, left, step, 0.0);
    load(scale, w.scale + first, left, step, 0.0);
    const bool good = index_ok(index, w.table.n, at.row, w.fault, w.kernel);
    load(row, w.table.data + (good ? index * w.table.pitch + first : 0), good ? left : 0, step,
         (U)0);
#pragma unroll
    for (int k = 0; k < NORMALIZE_EACH; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            y[k].at[j] = (T)(((double)row[k].at[j] - shift[k].at[j]) * scale[k].at[j]);
    store(w.y.data + at.row * w.y.pitch + first, y, left, step);
}

template <typename T, typename U, int N>
static bp_status launch_rows(bp_exec *ex, const GatherNormalized<T, U> &w)
{
    const Strips s = strips_of(w.y.n, parts(w.y.size, N), NORMALIZE_EACH);
    return BPI_LAUNCH(ex, blocks_of(s), STRIP_THREADS, 0, (gather_normalized_rows<T, U, N>), w, s);
}

/* Whether p can be read as vectors of N. */
template <int N, typename V> static bool fits_vectors(const V *p)
{
    return reinterpret_cast<uintptr_t>(p) % sizeof(Vector<V, N>) == 0;
}

template <typename T, typename U>
static bp_status from_table(bp_exec *ex, const bp_view *in, const bp_view *out)
{
    constexpr int N = lanes_of<T>;
    const GatherNormalized<T, U> w = {rows_of<const U>(in, 1), rows_of<T>(out, 1),
                                      static_cast<const int32_t *>(in[1].data),
                                      static_cast<const double *>(in[2].data),
                                      static_cast<const double *>(in[3].data), ex->fault,
                                      ex->kernel};
    const bool fits = fits_vectors<N>(w.table.data) && w.table.pitch % N == 0 &&
                      fits_vectors<N>(w.shift) && fits_vectors<N>(w.scale);
    return is_vectors(w.y) && fits ? launch_rows<T, U, N>(ex, w) : launch_rows<T, U, 1>(ex, w);
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    return in->dtype == BP_U8 ? from_table<T, uint8_t>(ex, in, out) : from_table<T, T>(ex, in, out);
}

} // namespace bpi

BPI_CUDA_OP(gather_normalized, {bpi::forward<T>, BPI_ROWS, nullptr});
