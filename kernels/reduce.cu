/* The reductions of src/door/reduce.def: sum, max, ... The walk: over_axes.cuh; the truth:
 * src/cpu/reduce.c; the rules: src/ops/reduce.c. */
#include "over_axes.cuh"

/* What a step calls. */
#define pick(c, a, b) ((c) ? (a) : (b))

#define BPI_REDUCE(name, type, saves, start_, step_, join_, result, ...)                      \
    namespace bpi {                                                                           \
    template <typename T> struct Rule_##name {                                                \
        enum { VALUES = 1, OUTPUTS = 1, BLOCKS = 4 };                                         \
        __device__ static double start(int) { return start_; }                                \
        __device__ static void take(double *a, T from, int64_t, int64_t)                      \
        {                                                                                     \
            double &acc = *a;                                                                 \
            const double x = (double)from;                                                    \
            step_;                                                                            \
        }                                                                                     \
        __device__ static void taken(double *, int64_t) {}                                    \
        __device__ static void join(double *a, const double *b)                               \
        {                                                                                     \
            double &acc = *a;                                                                 \
            const double other = *b;                                                          \
            join_;                                                                            \
        }                                                                                     \
        __device__ static void finish(double *a, const ReduceParams &)                        \
        {                                                                                     \
            const double acc = *a;                                                            \
            *a = result;                                                                      \
        }                                                                                     \
    };                                                                                        \
    }                                                                                         \
    BPI_CUDA_OP(name, {bpi::over_axes<T, bpi::Rule_##name<T>>, BPI_ANY, nullptr});
#include "door/reduce.def"
