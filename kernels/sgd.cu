/* sgd: gradient descent with momentum mu (Polyak, 1964):
 *
 *     g += l1 sign(w) + l2 w, from step decay_from on
 *     u = mu u + g;   w -= rate u
 *
 * Forward: g, state -> w, u, all [n]; nothing where the step is refused. The loop: update.cuh.
 * Floor: g, w, u read and w, u written: 20 bytes an f32. Its sibling: adam.cu. The truth:
 * src/cpu/sgd.c. Called by src/optim. */
#include "update.cuh"

namespace bpi {

template <typename T> struct Sgd {
    T momentum, rate;

    __device__ void begin(const bpi_optimizer_state &state) { rate = (T)state.rate; }

    __device__ void operator()(T g, T *x) const
    {
        T &w = x[0], &u = x[1];
        u = momentum * u + g;
        w -= rate * u;
    }
};

template <typename T>
static bp_status sgd_forward(bp_exec *ex, const bp_view *in, const bp_view *out,
                             const void *params)
{
    const auto *p = static_cast<const bpi_update_params *>(params);
    return update<1, T>(ex, Sgd<T>{(T)p->beta1, 0}, in, out, *p);
}

} // namespace bpi

BPI_CUDA_OP(sgd, {bpi::sgd_forward<T>, BPI_PACKED, nullptr});
