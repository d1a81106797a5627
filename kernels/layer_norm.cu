/* layer_norm along the last axis; rms_norm where the params say not to centre.
 *
 *     forward:   x, gain, bias -> y; aux: the mean and 1 / deviation of each row
 *                y = (x - mean) / sqrt(variance + eps) gain + bias
 *     backward:  dy, x, gain, aux -> dx, dgain, dbias; z = (x - mean) / sqrt(variance + eps)
 *                dx = (dz - mean(dz) - z mean(dz z)) / sqrt(variance + eps), dz = dy gain
 *                dgain = sum over rows of dy z, dbias = sum over rows of dy
 *
 * A team of threads reads a row once (team.cuh). A thread takes its own mean, as a distance from
 * the row's first element, and squares about it, so that no digits are lost far from 0; the
 * team's follow from theirs. dgain and dbias are sums of strips of columns, in a second launch.
 * Floor: 2 elements of memory traffic an element, dx 3, dgain and dbias 2; gain, bias and sums of
 * strips, a quarter of an element, come from cache. The truth: src/cpu/layer_norm.c; the rule:
 * src/ops/layer_norm.c. */
#include "team.cuh"

namespace bpi {

template <typename T> struct RowStats {
    T mean, low, scale; /* z = ((x - mean) - low) scale */
    __device__ T standard(T x) const { return ((x - mean) - low) * scale; }
};

template <typename T> struct LayerNorm {
    Rows<const T> x, dy; /* dy: backward */
    Rows<T> y;           /* backward: dx */
    const T *gain, *bias; /* [size], or NULL */
    RowStats<T> *stats;   /* [rows], or NULL */
    double eps;
    int32_t centred;
    Share share;
};

/* The number of some elements, their mean less `from`, and their squares about it. */
struct Moments {
    double from, n, mean, squares;
};

/* Takes the vectors of x that there are into m (Chan, Golub, LeVeque, 1983); means are 0 where the
 * row is not centred. Squares are about the rounded mean, and corrected by what it is off. */
template <typename T, int N, int COUNT, typename I>
__device__ static inline void add_moments(Moments *m, const Vector<T, N> (&x)[COUNT], I left,
                                          int step, bool centred)
{
    double sum = 0, squares = 0;
    int n = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left) {
            n += N;
#pragma unroll
            for (int j = 0; j < N; j++)
                sum += (double)x[k].at[j] - m->from;
        }
    if (n == 0)
        return;
    const double mean = centred ? sum / n : 0, apart = mean - m->mean, both = m->n + n;
    const double centre = m->from + mean, off = (centre - m->from) - mean;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left)
#pragma unroll
            for (int j = 0; j < N; j++) {
                const double d = (double)x[k].at[j] - centre;
                squares += d * d;
            }
    m->squares += squares - n * off * off + apart * apart * (m->n * n / both);
    m->mean += apart * (n / both);
    m->n = both;
}

/* The moments of the n elements of a team, from those of its threads. */
__device__ static inline Moments fold_moments(const Moments &m, int team, double n, bool centred)
{
    const double mean = centred ? fold(m.n * m.mean, team, Sum()) / n : 0, apart = m.mean - mean;
    return {m.from, n, mean, fold(m.n > 0 ? m.squares + m.n * apart * apart : 0, team, Sum())};
}

/* The statistics of a row. `begin`: of the block's slice. */
template <typename Team, typename T>
__device__ static inline RowStats<T> stats_of(Moments m, const LayerNorm<T> &w, int64_t begin)
{
    const int64_t size = w.x.size, slice = Team::WIDEST ? min(w.share.slice, size - begin) : size;
    m = fold_moments(m, Team::SIZE, (double)slice, w.centred);
    if (Team::WIDEST && w.share.blocks > 1)
        m = fold_moments(value_of_block(m, w.share.blocks, {m.from, 0, 0, 0}), CLUSTER,
                         (double)size, w.centred);
    const T near = (T)(m.from + m.mean);
    return {near, (T)((m.from - (double)near) + m.mean), (T)(1 / sqrt_of(m.squares / m.n + w.eps))};
}

/* x becomes y. `at` is the column of its first vector. */
template <typename T, int N, int COUNT, typename I>
__device__ static inline void to_output(Vector<T, N> (&x)[COUNT], const LayerNorm<T> &w,
                                        const RowStats<T> &s, int64_t at, I left, int step)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left) {
#pragma unroll
            for (int j = 0; j < N; j++)
                x[k].at[j] = s.standard(x[k].at[j]);
            if (w.gain) {
                const Vector<T, N> gain = load<N>(w.gain + at + k * step);
#pragma unroll
                for (int j = 0; j < N; j++)
                    x[k].at[j] *= gain.at[j];
            }
            if (w.bias) {
                const Vector<T, N> bias = load<N>(w.bias + at + k * step);
#pragma unroll
                for (int j = 0; j < N; j++)
                    x[k].at[j] += bias.at[j];
            }
        }
}

template <typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    layer_norm_forward(const LayerNorm<T> w)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const auto at = place_in_row<T, N, Team>(first_group<Team>(w.share), w.x.n, w.x.size, w.share);
    const auto left = at.left, rest = left - HELD;
    const T *row = w.x.data + at.row * w.x.pitch, *from = row + at.column;
    T *to = w.y.data + at.row * w.y.pitch + at.column;
    BPI_DYNAMIC_SHARED(T, shared);
    T *own = shared + at.own;
    Moments m = {w.centred && at.row < w.x.n ? (double)*row : 0, 0, 0, 0};
    Vector<T, N> held[C::COUNT], next[C::REST];
    load(held, from, left, STEP, (T)0);
    fetch<T, N, Team>(own, from + HELD, rest, w.share.kept);
    add_moments(&m, held, left, STEP, w.centred);
    fetched<Team>();
    typename C::Count i = 0;
#pragma unroll 1
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        load(next, i < w.share.kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        add_moments(&m, next, rest - i, STEP, w.centred);
    }
    const RowStats<T> s = stats_of<Team>(m, w, at.column - at.own);
    if (at.row >= w.x.n)
        return;
    if (w.stats && at.column == 0)
        w.stats[at.row] = s;
    to_output(held, w, s, at.column, left, STEP);
    store(to, held, left, STEP);
#pragma unroll 1
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        load(next, i < w.share.kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        to_output(next, w, s, at.column + HELD + i, rest - i, STEP);
        store(to + HELD + i, next, rest - i, STEP);
    }
}

/* Whether gain and bias, which may be NULL, can be read as vectors with x and y. */
template <typename T> static bool all_vectors(const LayerNorm<T> &w)
{
    return is_vectors(w.x) && is_vectors(w.y) && is_aligned(w.gain) && is_aligned(w.bias) &&
           (!w.dy.data || is_vectors(w.dy));
}

/* Single elements take more registers, so a thread holds half as many. */
template <typename T, int N> static bp_status launch_forward(bp_exec *ex, LayerNorm<T> w)
{
    return with_team<T, 1>(N == 1 ? 2 * w.x.size : w.x.size, [&](auto team) {
        using Full = decltype(team);
        using Team = std::conditional_t<N == 1, HalfOf<Full>, Full>;
        bp_status st = share_out<T, Team>(ex, layer_norm_forward<T, N, Team>, w.x.size, 1,
                                          &w.share);
        return st != BP_OK ? st
                           : BPI_LAUNCH_TEAMS(ex, Team, w.share, w.x.n,
                                              (layer_norm_forward<T, N, Team>), w);
    });
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_layer_norm_params *p = static_cast<const bpi_layer_norm_params *>(params);
    const int32_t outer = in->shape.ndim - 1;
    LayerNorm<T> w = {};
    w.x = rows_of<const T>(in, outer);
    w.y = rows_of<T>(out, outer);
    w.gain = p->gain ? static_cast<const T *>(in[1].data) : nullptr;
    w.bias = p->bias ? static_cast<const T *>(in[2].data) : nullptr;
    w.stats = static_cast<RowStats<T> *>(out[1].data);
    w.eps = p->eps;
    w.centred = p->centred;
    return all_vectors(w) ? launch_forward<T, lanes_of<T>>(ex, w) : launch_forward<T, 1>(ex, w);
}

template <typename T> static size_t aux_bytes(const bp_view *in, const void *)
{
    return (size_t)rows_of<const T>(in, in->shape.ndim - 1).n * sizeof(RowStats<T>);
}

/* --- dx ------------------------------------------------------------------------------------ */

/* dy becomes dz, x becomes z, and the sums of dz and dz z grow. */
template <typename T, int N, int COUNT, typename I>
__device__ static inline void to_standard(Vector<T, N> (&dy)[COUNT], Vector<T, N> (&x)[COUNT],
                                          const LayerNorm<T> &w, const RowStats<T> &s, int64_t at,
                                          I left, int step, double *sum, double *product)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left) {
            if (w.gain) {
                const Vector<T, N> gain = load<N>(w.gain + at + k * step);
#pragma unroll
                for (int j = 0; j < N; j++)
                    dy[k].at[j] *= gain.at[j];
            }
#pragma unroll
            for (int j = 0; j < N; j++) {
                x[k].at[j] = s.standard(x[k].at[j]);
                *sum += (double)dy[k].at[j];
                *product += (double)(dy[k].at[j] * x[k].at[j]);
            }
        }
}

/* dz becomes dx. */
template <typename T, int N, int COUNT>
__device__ static inline void to_gradient(Vector<T, N> (&dz)[COUNT], const Vector<T, N> (&z)[COUNT],
                                          T a, T b, T scale)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
#pragma unroll
        for (int j = 0; j < N; j++)
            dz[k].at[j] = (dz[k].at[j] - a - z[k].at[j] * b) * scale;
}

/* dy and then dz is kept from shared[0], x and then z from shared[share.kept]. */
template <typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    layer_norm_backward(const LayerNorm<T> w)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const auto at = place_in_row<T, N, Team>(first_group<Team>(w.share), w.x.n, w.x.size, w.share);
    const auto left = at.left, rest = left - HELD;
    const T *from = w.x.data + at.row * w.x.pitch + at.column;
    const T *from_dy = w.dy.data + at.row * w.dy.pitch + at.column;
    T *to = w.y.data + at.row * w.y.pitch + at.column;
    BPI_DYNAMIC_SHARED(T, shared);
    T *own = shared + at.own, *own_x = own + w.share.kept;
    const RowStats<T> s = at.row < w.x.n ? w.stats[at.row] : RowStats<T>{0, 0, 0};
    double sum = 0, product = 0;
    Vector<T, N> held[C::COUNT], held_dy[C::COUNT], next[C::REST], next_dy[C::REST];
    load(held, from, left, STEP, (T)0);
    load(held_dy, from_dy, left, STEP, (T)0);
    fetch<T, N, Team>(own_x, from + HELD, rest, w.share.kept);
    fetch<T, N, Team>(own, from_dy + HELD, rest, w.share.kept);
    to_standard(held_dy, held, w, s, at.column, left, STEP, &sum, &product);
    fetched<Team>();
    typename C::Count i = 0;
#pragma unroll 1
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        const bool is_kept = i < w.share.kept;
        load(next, is_kept ? own_x + i : from + HELD + i, rest - i, STEP, (T)0);
        load(next_dy, is_kept ? own + i : from_dy + HELD + i, rest - i, STEP, (T)0);
        to_standard(next_dy, next, w, s, at.column + HELD + i, rest - i, STEP, &sum, &product);
        if (is_kept) {
            keep(own + i, next_dy, STEP);
            keep(own_x + i, next, STEP);
        }
    }
    const double size = (double)w.x.size;
    const T a = (T)(w.centred ? fold_row<Team>(sum, w.share, Sum(), 0.0) / size : 0);
    const T b = (T)(fold_row<Team>(product, w.share, Sum(), 0.0) / size);
    to_gradient(held_dy, held, a, b, s.scale);
    store(to, held_dy, left, STEP);
#pragma unroll 1
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        if (i < w.share.kept) {
            load(next, own_x + i, rest - i, STEP, (T)0);
            load(next_dy, own + i, rest - i, STEP, (T)0);
        } else {
            load(next, from + HELD + i, rest - i, STEP, (T)0);
            load(next_dy, from_dy + HELD + i, rest - i, STEP, (T)0);
            to_standard(next_dy, next, w, s, at.column + HELD + i, rest - i, STEP, &sum, &product);
        }
        to_gradient(next_dy, next, a, b, s.scale);
        store(to + HELD + i, next_dy, rest - i, STEP);
    }
}

template <typename T, int N> static bp_status launch_backward(bp_exec *ex, LayerNorm<T> w)
{
    return with_team<T, 1>(2 * w.x.size, [&](auto both) {
        using Each = HalfOf<decltype(both)>;
        bp_status st = share_out<T, Each>(ex, layer_norm_backward<T, N, Each>, w.x.size, 2,
                                          &w.share);
        return st != BP_OK ? st
                           : BPI_LAUNCH_TEAMS(ex, Each, w.share, w.x.n,
                                              (layer_norm_backward<T, N, Each>), w);
    });
}

/* --- dgain and dbias ----------------------------------------------------------------------- */

/* A block is WARP columns wide, LINES rows are under way. So many strips of rows are summed apart
 * that there is work for all, and then in their order. */
enum { LINES = 8, STRIP_ROWS = 64, MOST_STRIPS = 256 };

struct ColumnSums {
    int64_t tiles, strips, rows; /* blocks of columns and of rows; rows of one */
    double *part;                /* [strips][2][size] */
};

template <typename T>
static __global__ void __launch_bounds__(WARP *LINES)
    layer_norm_strips(const LayerNorm<T> w, const ColumnSums c)
{
    BPI_SHARED(double, part, [2][LINES][WARP]);
    const int lane = threadIdx.x % WARP, line = threadIdx.x / WARP;
    const int64_t strip = blockIdx.x / c.tiles, column = blockIdx.x % c.tiles * WARP + lane;
    const int64_t end = min((strip + 1) * c.rows, w.x.n);
    double dgain = 0, dbias = 0;
    if (column < w.x.size)
        for (int64_t r = strip * c.rows + line; r < end; r += LINES) {
            const T dy = w.dy.data[r * w.dy.pitch + column];
            dgain += (double)(dy * w.stats[r].standard(w.x.data[r * w.x.pitch + column]));
            dbias += (double)dy;
        }
    part[0][line][lane] = dgain;
    part[1][line][lane] = dbias;
    __syncthreads();
    if (line > 1 || column >= w.x.size)
        return;
    double sum = 0;
    for (int i = 0; i < LINES; i++)
        sum += part[line][i][lane];
    c.part[(strip * 2 + line) * w.x.size + column] = sum;
}

template <typename T>
static __global__ void __launch_bounds__(256)
    layer_norm_columns(const ColumnSums c, int64_t size, T *dgain, T *dbias)
{
    const int64_t column = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (column >= size)
        return;
    double sum[2] = {0, 0};
    for (int64_t strip = 0; strip < c.strips; strip++)
        for (int k = 0; k < 2; k++)
            sum[k] += c.part[(strip * 2 + k) * size + column];
    if (dgain)
        dgain[column] = (T)sum[0];
    if (dbias)
        dbias[column] = (T)sum[1];
}

template <typename T>
static bp_status launch_columns(bp_exec *ex, const LayerNorm<T> &w, T *dgain, T *dbias)
{
    const int64_t fit = BPI_CUDA_WORKSPACE / (2 * (int64_t)sizeof(double)) / w.x.size;
    const int64_t most = at_least(at_most(fit, MOST_STRIPS), 1);
    ColumnSums c = {};
    c.rows = at_least(parts(w.x.n, most), STRIP_ROWS);
    c.strips = parts(w.x.n, c.rows);
    c.tiles = parts(w.x.size, WARP);
    c.part = static_cast<double *>(bpi_cuda_of(ex)->workspace);
    bp_status st = BPI_LAUNCH(ex, c.tiles * c.strips, WARP * LINES, 0, (layer_norm_strips<T>), w,
                              c);
    return st != BP_OK ? st
                       : BPI_LAUNCH(ex, parts(w.x.size, 256), 256, 0, (layer_norm_columns<T>), c,
                                    w.x.size, dgain, dbias);
}

template <typename T>
static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_layer_norm_params *p = static_cast<const bpi_layer_norm_params *>(params);
    const int32_t outer = in->shape.ndim - 1;
    LayerNorm<T> w = {};
    w.dy = rows_of<const T>(&in[0], outer);
    w.x = rows_of<const T>(&in[1], outer);
    w.gain = static_cast<const T *>(in[2].data);
    w.stats = static_cast<RowStats<T> *>(in[3].data);
    w.centred = p->centred;
    T *dgain = static_cast<T *>(out[1].data), *dbias = static_cast<T *>(out[2].data);
    const bp_status st = dgain || dbias ? launch_columns(ex, w, dgain, dbias) : BP_OK;
    if (st != BP_OK || !out[0].data)
        return st;
    w.y = rows_of<T>(out, outer);
    return all_vectors(w) ? launch_backward<T, lanes_of<T>>(ex, w) : launch_backward<T, 1>(ex, w);
}

} // namespace bpi

BPI_CUDA_OP(layer_norm, {bpi::forward<T>, BPI_ROWS, bpi::aux_bytes<T>},
            {bpi::backward<T>, BPI_ROWS, nullptr});
