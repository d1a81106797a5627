/* The loop of the optimisers, adam.cu and sgd.cu, over slices of the flat buffers of a store:
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on;   rule(g, w and its moments)
 *
 * and nothing at all where the step is refused. A gradient that got through step_begin keeps the
 * moments finite (src/optim says why), one with decay is cut off at the same limit, and a w that
 * would leave the range stays where it is: both are noted. A thread has two vectors of every buffer
 * under way before it looks at the state. While they come, one thread of a block works out what
 * depends on the step, in double, of which many GPUs do little: no table, no second launch, and a
 * recorded step stays right. g is hinted: its next use is to be overwritten. */
#ifndef BPI_UPDATE_CUH
#define BPI_UPDATE_CUH

#include "elementwise.cuh"
#include "grid.cuh"

namespace bpi {

/* load, where nobody reads again soon: these leave the caches first. */
template <int N, typename T>
__device__ static inline Vector<T, N> load_last(const T *p, int64_t left)
{
    typedef Vector<T, N> V;
    if (left < N)
        return load<N>(p, left);
    const Word<V> word = __ldcs(reinterpret_cast<const Word<V> *>(p));
    return reinterpret_cast<const V &>(word);
}

/* MOMENTS: buffers beside the values. */
template <typename T, int MOMENTS> struct Update {
    const T *g;         /* [n] */
    T *x[1 + MOMENTS];  /* [n]: w, then its moments */
    int64_t n;
    const bpi_optimizer_state *state;
    bpi_fault *fault;
    T l1, l2, most; /* most: of |g| with decay */
    double decay_from;
    int64_t begin; /* of g in its store */
    uint32_t store;
};

template <typename Rule, typename T, int MOMENTS, int N>
static __global__ void __launch_bounds__(THREADS) update_kernel(Rule rule, Update<T, MOMENTS> u)
{
    constexpr int ITEMS = items_of<N>, BUFFERS = 1 + MOMENTS;
    const int64_t first = ((int64_t)blockIdx.x * (ITEMS * THREADS) + threadIdx.x) * N;
    Vector<T, N> g[ITEMS], x[ITEMS][BUFFERS];
    for (int i = 0; i < ITEMS; i++) {
        const int64_t at = first + i * (THREADS * N), left = u.n - at;
        g[i] = load_last<N>(u.g + at, left);
        for (int k = 0; k < BUFFERS; k++)
            x[i][k] = load<N>(u.x[k] + at, left);
    }
    const bool refused = u.state->refused != 0;
    const bool decays = (u.l1 != 0 || u.l2 != 0) && u.state->step >= u.decay_from;
    BPI_SHARED(Rule, begun, [1]);
    if (threadIdx.x == 0) {
        rule.begin(*u.state);
        begun[0] = rule;
    }
    __syncthreads();
    if (refused)
        return;
    rule = begun[0];
    int64_t held_back = -1; /* the first place */
#pragma unroll
    for (int i = 0; i < ITEMS; i++) {
        const int64_t at = first + i * (THREADS * N);
#pragma unroll
        for (int j = 0; j < N; j++) {
            T each[BUFFERS], gradient = g[i].at[j];
            for (int k = 0; k < BUFFERS; k++)
                each[k] = x[i][k].at[j];
            const T w = each[0];
            bool held = false;
            if (decays) {
                gradient += u.l2 * w + (w > 0 ? u.l1 : w < 0 ? -u.l1 : 0);
                held = !(fabs(gradient) <= u.most);
                gradient = gradient > u.most ? u.most : gradient < -u.most ? -u.most : gradient;
            }
            rule(gradient, each);
            if (each[0] - each[0] != 0) { /* infinity and NaN, less themselves, are NaN */
                each[0] = w;
                held = true;
            }
            held_back = held && held_back < 0 ? at + j : held_back;
            for (int k = 0; k < BUFFERS; k++)
                x[i][k].at[j] = each[k];
        }
        for (int k = 0; k < BUFFERS; k++)
            store<N>(u.x[k] + at, x[i][k], u.n - at);
    }
    if (held_back >= 0)
        note_held(u.fault, BPI_STEP(u.store, u.state->step), u.begin + held_back);
}

template <int N, typename Rule, typename T, int MOMENTS>
static bp_status launch_update(bp_exec *ex, const Rule &rule, const Update<T, MOMENTS> &u)
{
    return BPI_LAUNCH(ex, parts(u.n, items_of<N> * THREADS * N), THREADS, 0,
                      (update_kernel<Rule, T, MOMENTS, N>), rule, u);
}

/* in: g, state; out: w and its moments. */
template <int MOMENTS, typename T, typename Rule>
static bp_status update(bp_exec *ex, const Rule &rule, const bp_view *in, const bp_view *out,
                        const bpi_update_params &p)
{
    Update<T, MOMENTS> u = {};
    u.g = static_cast<const T *>(in[0].data);
    u.n = in[0].shape.dim[0];
    u.state = static_cast<const bpi_optimizer_state *>(in[1].data);
    u.fault = ex->fault;
    u.l1 = (T)p.l1;
    u.l2 = (T)p.l2;
    u.decay_from = p.decay_from;
    u.most = (T)p.most_gradient;
    u.begin = p.begin;
    u.store = p.store;
    bool aligned = is_aligned(u.g);
    for (int k = 0; k <= MOMENTS; k++) {
        u.x[k] = static_cast<T *>(out[k].data);
        aligned = aligned && is_aligned(u.x[k]);
    }
    return aligned ? launch_update<lanes_of<T>>(ex, rule, u) : launch_update<1>(ex, rule, u);
}

} // namespace bpi
#endif
