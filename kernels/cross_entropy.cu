/* cross_entropy: log_softmax, nll_loss, its gradient and the count of correct rows in one launch.
 *
 *     forward:   logits [N, C], labels [N] -> loss, correct; aux: dlogits for dy = 1, [N, C]
 *                loss = 1/N sum_i (ln sum_j e^(x_ij - max_i) - (x_i,label - max_i))
 *                dlogits = (softmax(logits) - onehot(labels)) / N
 *     backward:  dy -> that dlogits, times dy in place; nothing where dy is 1
 *
 * A team of threads reads a row once (team.cuh); what it holds in registers becomes e^(x - max) and
 * then the gradient. A row is correct if its label is the first of the largest. A row with a bad
 * label counts 0 everywhere. Floor: logits read, dlogits written once. The truth:
 * src/cpu/cross_entropy.c; the rule: src/ops/cross_entropy.c. */
#include "team.cuh"

namespace bpi {

struct RowSum {
    double loss;
    int64_t correct;
};

template <typename T> struct CrossEntropy {
    Rows<const T> x;
    const int32_t *labels; /* [N] */
    T *dx;                 /* [N, C], or NULL */
    T *loss, *correct;     /* correct may be NULL */
    RowSum *part;          /* [blocks] */
    uint32_t *counter;
    bpi_fault *fault;
    int32_t kernel;
    Share share;
};

/* What a thread, or a block, has found: the first of the largest stands at `first`. */
template <typename T> struct Found {
    MaxSum<T> s;
    int first;
};

enum { MOST_BLOCKS = 8192 };
static constexpr int NOWHERE = INT32_MAX; /* a place in a row */

/* Goes on, in x, which is at `begin` of the row, with the search for the first of the largest; that
 * was `max` so far. */
template <typename T, int N, int COUNT>
__device__ static inline void find_first(int *first, T max, const Vector<T, N> (&x)[COUNT],
                                         int begin, int step)
{
    const T largest = largest_of(x, max);
    int place = NOWHERE;
#pragma unroll
    for (int k = COUNT - 1; k >= 0; k--)
#pragma unroll
        for (int j = N - 1; j >= 0; j--)
            place = x[k].at[j] == largest ? k * step + j : place;
    if (place != NOWHERE && (largest > max || *first == NOWHERE))
        *first = begin + place;
}

/* Terms e^(x - max) become gradients. */
template <typename T, int N, int COUNT>
__device__ static inline void scale_terms(Vector<T, N> (&term)[COUNT], T factor, bool good)
{
    each(term, [=](T &e) { e = good ? e * factor : (T)0; });
}

/* The label of row r, -1 if it is bad or there is no such row. */
template <typename T> __device__ static inline int label_of(const CrossEntropy<T> &w, int64_t r)
{
    const int32_t label = r < w.x.n ? w.labels[r] : -1;
    return r < w.x.n && index_ok(label, w.x.size, r, w.fault, w.kernel) ? label : -1;
}

/* What a team, `size` neighbours, has found, from what its threads have. */
template <typename T> __device__ static inline Found<T> fold_found(const Found<T> &f, int size)
{
    const MaxSum<T> s = fold_terms(f.s, size);
    return {s, fold(f.s.max == s.max ? f.first : NOWHERE, size, Least())};
}

/* A row of group `group`, which may be beyond the last one, by its team, whose first thread adds to
 * *total. */
template <typename T, int N, typename Team>
__device__ static inline void one_row(const CrossEntropy<T> &w, int64_t group, RowSum *total)
{
    using C = Cut<T, N, Team>;
    constexpr int STEP = C::STEP, HELD = C::HELD;
    const Share share = w.share;
    const auto at = place_in_row<T, N, Team>(group, w.x.n, w.x.size, share);
    const auto left = at.left, rest = left - HELD;
    const T *from = w.x.data + at.row * w.x.pitch + at.column;
    BPI_DYNAMIC_SHARED(T, shared);
    T *own = shared + at.own;
    Found<T> found = {{-(T)INFINITY, 0}, NOWHERE};
    Vector<T, N> held[C::COUNT], next[C::REST], next_term[C::REST];
    load(held, from, left, STEP, -(T)INFINITY); /* before anything waits for the label */
    fetch<T, N, Team>(own, from + HELD, rest, share.kept);
    const int label = label_of(w, at.row);
    const T at_label = label < 0 ? (T)0 : from[label - at.column];
    find_first(&found.first, found.s.max, held, (int)at.column, STEP);
    add_terms(&found.s, held, held);
    const T held_max = found.s.max;
    fetched<Team>();
    typename C::Count i = 0;
#pragma unroll 1
    for (; Team::WIDEST && i < rest; i += C::CHUNK) {
        load(next, i < share.kept ? own + i : from + HELD + i, rest - i, STEP, -(T)INFINITY);
        find_first(&found.first, found.s.max, next, (int)(at.column + HELD + i), STEP);
        add_terms(&found.s, next, next_term);
    }
    found = fold_found(found, Team::SIZE);
    if (Team::WIDEST && share.blocks > 1)
        found = fold_found(value_of_block(found, share.blocks, {{-(T)INFINITY, 0}, NOWHERE}),
                           CLUSTER);
    const MaxSum<T> s = found.s;
    const int first = found.first;
    if (label >= 0 && at.column == 0) {
        total->loss += (double)log_of((T)s.sum) - (double)(at_label - s.max);
        total->correct += label == first;
    }
    if (!w.dx)
        return;
    const double factor = 1 / (s.sum * (double)w.x.n);
    T *to = w.dx + at.row * w.x.size + at.column;
    scale_terms(held, (T)((double)shrink(held_max, s.max) * factor), label >= 0);
    store(to, held, left, STEP);
#pragma unroll 1
    while (Team::WIDEST && i > 0) {
        i -= C::CHUNK;
        load(next, i < share.kept ? own + i : from + HELD + i, rest - i, STEP, (T)0);
        each(next, [=](T &e) { e = exp_of(e - s.max); });
        scale_terms(next, (T)factor, label >= 0);
        store(to + HELD + i, next, rest - i, STEP);
    }
    const auto place = label - at.column; /* from the thread's first column on */
    if (label >= 0 && place >= 0 && place < left && place % STEP < N)
        to[place] = (T)(((double)exp_of(at_label - s.max) - s.sum) * factor);
}

/* The sums of a team's threads. */
__device__ static inline RowSum fold_rows(const RowSum &s, int team)
{
    return {fold(s.loss, team, Sum()), fold(s.correct, team, Sum())};
}

template <typename T, int N, typename Team>
static __global__ void __launch_bounds__(Team::THREADS, Team::BLOCKS)
    cross_entropy_forward(const CrossEntropy<T> w)
{
    BPI_SHARED(RowSum, total, [Team::ROWS]);
    const int row = threadIdx.x / Team::SIZE;
    if (threadIdx.x % Team::SIZE == 0)
        total[row] = {0, 0};
    for (int64_t g = first_group<Team>(w.share); g * Team::ROWS < w.x.n;
         g += groups<Team>(w.share))
        one_row<T, N, Team>(w, g, &total[row]);
    __syncthreads();
    RowSum s = {0, 0};
    if (threadIdx.x < Team::ROWS)
        s = total[threadIdx.x];
    s = fold_rows(s, Team::ROWS);
    if (threadIdx.x == 0)
        w.part[blockIdx.x] = s;
    if (!last_block(w.counter, gridDim.x))
        return;
    s = {0, 0};
    for (unsigned i = threadIdx.x; i < gridDim.x; i += Team::THREADS) {
        s.loss += w.part[i].loss;
        s.correct += w.part[i].correct;
    }
    s = fold_rows(s, Team::THREADS);
    if (threadIdx.x != 0)
        return;
    *w.loss = (T)(s.loss / (double)w.x.n);
    if (w.correct)
        *w.correct = (T)s.correct;
}

template <typename T, int N> static bp_status launch_forward(bp_exec *ex, CrossEntropy<T> w)
{
    return with_team<T>(w.x.size, [&](auto team) {
        using Team = decltype(team);
        bp_status st = share_out<T, Team>(ex, cross_entropy_forward<T, N, Team>, w.x.size, 1,
                                          &w.share);
        const int64_t at_once = MOST_BLOCKS / w.share.blocks * Team::ROWS;
        return st != BP_OK ? st
                           : BPI_LAUNCH_TEAMS(ex, Team, w.share,
                                              at_most(at_least(w.x.n, 1), at_once),
                                              (cross_entropy_forward<T, N, Team>), w);
    });
}

template <typename T>
static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const bpi_cuda *d = bpi_cuda_of(ex);
    CrossEntropy<T> w = {};
    w.x = rows_of<const T>(in, 1);
    w.labels = static_cast<const int32_t *>(in[1].data);
    w.loss = static_cast<T *>(out[0].data);
    w.correct = static_cast<T *>(out[1].data);
    w.dx = static_cast<T *>(out[2].data);
    w.part = static_cast<RowSum *>(d->workspace);
    w.counter = d->counters;
    w.fault = ex->fault;
    w.kernel = ex->kernel;
    return is_vectors(w.x) && is_aligned(w.dx) ? launch_forward<T, lanes_of<T>>(ex, w)
                                               : launch_forward<T, 1>(ex, w);
}

template <typename T> static size_t aux_bytes(const bp_view *in, const void *)
{
    return (size_t)(in->shape.dim[0] * in->shape.dim[1]) * sizeof(T);
}

enum { SCALE_THREADS = 256, SCALE_BLOCKS = 4096, SCALE_AT_ONCE = 4 };

template <typename T, int N>
static __global__ void __launch_bounds__(SCALE_THREADS)
    cross_entropy_backward(const T *dy, T *dx, int64_t n)
{
    constexpr int STEP = SCALE_THREADS * N, CHUNK = SCALE_AT_ONCE * STEP;
    const T factor = *dy;
    if (factor == 1)
        return;
    Vector<T, N> v[SCALE_AT_ONCE];
    const int64_t stride = (int64_t)gridDim.x * CHUNK;
    for (int64_t i = (int64_t)blockIdx.x * CHUNK + threadIdx.x * N; i < n; i += stride) {
        load(v, dx + i, n - i, STEP, (T)0);
        scale_terms(v, factor, true);
        store(dx + i, v, n - i, STEP);
    }
}

template <typename T, int N>
static bp_status launch_backward(bp_exec *ex, const T *dy, T *dx, int64_t n)
{
    const int64_t blocks = at_most(parts(n, SCALE_AT_ONCE * SCALE_THREADS * N), SCALE_BLOCKS);
    return BPI_LAUNCH(ex, blocks, SCALE_THREADS, 0, (cross_entropy_backward<T, N>), dy, dx, n);
}

template <typename T>
static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *)
{
    const T *dy = static_cast<const T *>(in->data);
    const auto dx = rows_of<T>(out, 1);
    const int64_t n = dx.n * dx.size;
    return n % lanes_of<T> == 0 && is_aligned(dx.data)
               ? launch_backward<T, lanes_of<T>>(ex, dy, dx.data, n)
               : launch_backward<T, 1>(ex, dy, dx.data, n);
}

} // namespace bpi

BPI_CUDA_OP(cross_entropy, {bpi::forward<T>, BPI_ROWS, bpi::aux_bytes<T>},
            {bpi::backward<T>, BPI_PACKED, nullptr});
