/* cross_entropy_with: a loss a row, of a target q that is any row of numbers.
 *
 *     q = smoothing / C weights + (1 - smoothing) weights[label] onehot(label), or a row of targets
 *     forward:   logits [N, C], labels [N] and weights [C], or targets [N, C] -> loss [N], weights
 *                of the labels [N];  loss = -sum_j q_j log_softmax(x)_j
 *     backward:  dy [N], the inputs -> dlogits = dy (softmax(x) sum_j q_j - q)
 *
 * A team of threads a row, as in softmax.cuh. A row that is ignored or has a bad label counts 0
 * everywhere. Floor: logits and targets read twice, dlogits written once. The truth:
 * src/cpu/cross_entropy.c; the rule: src/ops/label_losses.c. */
#include "team.cuh"

namespace bpi {

template <typename T> struct RowLosses {
    Rows<const T> x;
    const int32_t *labels; /* [N], or NULL: w has targets */
    const T *w;            /* weights [C] or targets [N, C], or NULL: ones */
    int64_t pitch;         /* of targets, else 0 */
    double flat, smoothing; /* flat: what w is taken times */
    int32_t ignored;
    T *loss, *weight; /* [N] */
    const T *dy;      /* [N]; backward */
    T *dx;            /* [N, C]; NULL: forward */
    bpi_fault *fault;
    int32_t kernel;
    Share share;
};

/* Sums of w (x - base) and of w over a part of a row: base is its max, 0 where that is -Inf. */
struct Sums {
    double wx, w;
};

template <typename T> __device__ static inline T base_of(T max)
{
    return max == -(T)INFINITY ? (T)0 : max;
}

/* From the base of one max to that of another. */
template <typename T> __device__ static inline Sums moved(const Sums &a, T from, T to)
{
    return {a.wx + ((double)base_of(from) - (double)base_of(to)) * a.w, a.w};
}

/* w of the vector at an element, 1 where there is none. */
template <int N, typename T> __device__ static inline Vector<T, N> weights_at(const T *w, int64_t i)
{
    Vector<T, N> v;
#pragma unroll
    for (int j = 0; j < N; j++)
        v.at[j] = 1;
    return w ? load<N>(w + i) : v;
}

/* Takes x, of which there are `left`, into shares that are relative to `max` so far. */
template <typename T, int N, int COUNT, typename I>
__device__ static inline void add_shares(Sums *a, const Vector<T, N> (&x)[COUNT], const T *w,
                                         I left, int step, T max)
{
    const T now = largest_of(x, max), base = base_of(now);
    T wx = 0, sum = 0;
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left) {
            const Vector<T, N> v = weights_at<N>(w, k * step);
#pragma unroll
            for (int j = 0; j < N; j++) {
                wx += v.at[j] * (x[k].at[j] - base);
                sum += v.at[j];
            }
        }
    *a = moved(*a, max, now);
    *a = {a->wx + (double)wx, a->w + (double)sum};
}

/* Terms e^(x - max) times factor, less w times flat. */
template <typename T, int N, int COUNT, typename I>
__device__ static inline void to_gradient(Vector<T, N> (&term)[COUNT], const T *w, I left, int step,
                                          T factor, T flat, bool good)
{
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        if (k * step < left) {
            const Vector<T, N> v = flat != 0 ? weights_at<N>(w, k * step) : Vector<T, N>{};
#pragma unroll
            for (int j = 0; j < N; j++)
                term[k].at[j] = good ? term[k].at[j] * factor - v.at[j] * flat : (T)0;
        }
}

template <typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    row_losses(const RowLosses<T> w)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const Share share = w.share;
    const auto place = place_in_row<T, N, Team>(first_group<Team>(share), w.x.n, w.x.size, share);
    const int64_t r = place.row;
    const auto at = place.column;
    const auto left = place.left, rest = left - HELD;
    const T *from = w.x.data + r * w.x.pitch + at;
    const T *weights = w.w ? w.w + r * w.pitch + at : NULL;
    BPI_DYNAMIC_SHARED(T, shared);
    T *own = shared + place.own;
    MaxSum<T> s = {-(T)INFINITY, 0};
    Sums a = {0, 0};
    Vector<T, N> held[C::COUNT], next[C::REST], next_term[C::REST];
    load(held, from, left, STEP, -(T)INFINITY); /* before anything waits for the label */
    fetch<T, N, Team>(own, from + HELD, rest, share.kept);
    const int32_t label = r < w.x.n && w.labels ? w.labels[r] : -1;
    bool counts = r < w.x.n;
    if (counts && w.labels)
        counts = label != w.ignored && index_ok(label, w.x.size, r, w.fault, w.kernel);
    const bool has_label = counts && w.labels;
    const T at_label = has_label ? from[label - at] : (T)0;
    const T weight = has_label ? (w.w ? w.w[label] : (T)1) : (T)0;
    if (w.flat != 0)
        add_shares(&a, held, weights, left, STEP, s.max);
    add_terms(&s, held, held);
    const T held_max = s.max;
    fetched<Team>();
    typename C::Count i = 0;
#pragma unroll 1
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        load(next, i < share.kept ? own + i : from + HELD + i, rest - i, STEP, -(T)INFINITY);
        if (w.flat != 0)
            add_shares(&a, next, weights ? weights + HELD + i : NULL, rest - i, STEP, s.max);
        add_terms(&s, next, next_term);
    }
    const T last = s.max;
    s = fold_row_terms<Team>(s, share);
    if (w.flat != 0) {
        a = moved(a, last, s.max);
        a = {fold_row<Team>(a.wx, share, Sum(), 0.0), fold_row<Team>(a.w, share, Sum(), 0.0)};
    }
    const double peak = (1 - w.smoothing) * (double)weight, total = w.flat * a.w + peak;
    if (r >= w.x.n)
        return;
    if (!w.dx) {
        double loss = total * (double)log_of((T)s.sum) - w.flat * a.wx;
        if (has_label)
            loss -= peak * (double)(at_label - s.max);
        if (at == 0)
            w.loss[r] = counts ? (T)loss : (T)0;
        if (at == 0 && w.weight)
            w.weight[r] = weight;
        return;
    }
    const double dy = (double)w.dy[r], factor = total / s.sum * dy;
    const T flat = (T)(w.flat * dy);
    T *to = w.dx + r * w.x.size + at;
    to_gradient(held, weights, left, STEP, (T)((double)shrink(held_max, s.max) * factor), flat,
                counts);
    store(to, held, left, STEP);
#pragma unroll 1
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        load(next, i < share.kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        each(next, [=](T &e) { e = exp_of(e - s.max); });
        to_gradient(next, weights ? weights + HELD + i : NULL, rest - i, STEP, (T)factor, flat,
                    counts);
        store(to + HELD + i, next, rest - i, STEP);
    }
    const auto there = label - at; /* from the thread's first column on */
    if (has_label && there >= 0 && there < left && there % STEP < N) {
        const double q = peak + w.flat * (double)weight;
        to[there] = (T)(((double)exp_of(at_label - s.max) / s.sum * total - q) * dy);
    }
}

/* Half of what a team can hold is x: registers are wanted for the weights. */
template <typename T, int N> static bp_status launch_rows(bp_exec *ex, RowLosses<T> w)
{
    return with_team<T, 1>(2 * w.x.size, [&](auto both) {
        using Team = HalfOf<decltype(both)>;
        bp_status st = share_out<T, Team>(ex, row_losses<T, N, Team>, w.x.size, 1, &w.share);
        return st != BP_OK ? st
                           : BPI_LAUNCH_TEAMS(ex, Team, w.share, w.x.n,
                                              (row_losses<T, N, Team>), w);
    });
}

/* The inputs are at `in`, without a dy. */
template <typename T>
static bp_status rows(bp_exec *ex, const bp_view *in, const void *params, RowLosses<T> w)
{
    const auto *p = static_cast<const bpi_cross_entropy_params *>(params);
    w.x = rows_of<const T>(in, 1);
    w.labels = p->soft ? NULL : static_cast<const int32_t *>(in[1].data);
    w.w = p->soft || p->weighted ? static_cast<const T *>(in[p->soft ? 1 : 2].data) : NULL;
    w.pitch = p->soft ? in[1].stride[0] : 0;
    w.smoothing = p->smoothing;
    w.flat = p->soft ? 1 : p->smoothing / (double)w.x.size;
    w.ignored = p->ignored;
    w.fault = ex->fault;
    w.kernel = ex->kernel;
    return is_vectors(w.x) && w.pitch % lanes_of<T> == 0 && is_aligned(w.w) && is_aligned(w.dx)
               ? launch_rows<T, lanes_of<T>>(ex, w)
               : launch_rows<T, 1>(ex, w);
}

template <typename T>
static bp_status rows_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    RowLosses<T> w = {};
    w.loss = static_cast<T *>(out[0].data);
    if (!static_cast<const bpi_cross_entropy_params *>(params)->soft)
        w.weight = static_cast<T *>(out[1].data);
    return rows(ex, in, params, w);
}

template <typename T>
static bp_status rows_backward(bp_exec *ex, const bp_view *in, const bp_view *out,
                               const void *params)
{
    RowLosses<T> w = {};
    w.dy = static_cast<const T *>(in->data);
    w.dx = static_cast<T *>(out->data);
    return rows(ex, in + 1, params, w);
}

} // namespace bpi

BPI_CUDA_OP(cross_entropy_with, {bpi::rows_forward<T>, BPI_ROWS, nullptr},
            {bpi::rows_backward<T>, BPI_ROWS, nullptr});
