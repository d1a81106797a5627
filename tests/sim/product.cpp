/* What a matrix product of the fake cuBLASLt reads, writes and computes:
 *
 *     D = epilogue(alpha op(A) op(B) + beta C)
 *
 * each element summed in the type of the matrices; biases and their gradients are along the rows of
 * D, but for BGRADB. What NVIDIA does not document has two answers (config.undocumented): the order
 * of sums, from the first term or from the last; whether the padding of the bits is read; 0 times
 * NaN where alpha is 0 and where a bit cuts. The workspace holds nothing afterwards. */
#include "product.h"

#include <algorithm>
#include <cstring>

namespace sim {
namespace {

/* --- the memory of a product ------------------------------------------------------------------ */

enum Use { INPUT, OUTPUT, SCRATCH };

/* So many pieces of memory, at equal distances. */
struct Range {
    const char *name;
    Use use;
    const void *first;
    int64_t pieces, bytes, step_bytes;
};

Range range_of(const char *name, Use use, const void *p, const Layout &layout)
{
    const int64_t size = size_of(layout.type);
    return {name, use, p, layout.cols, layout.rows * size, layout.ld * size};
}

/* The elements of the bias or of its gradient. */
int64_t bias_length(const Problem &p)
{
    const int epilogue = p.desc.epilogue;
    if (epilogue == CUBLASLT_EPILOGUE_BGRADB)
        return p.d.cols;
    return epilogue & (ADD_BIAS | BIAS_GRADIENT | CUBLASLT_EPILOGUE_BGRADA) ? p.d.rows : 0;
}

std::vector<Range> ranges_of(const Product &p)
{
    const Problem &q = p.problem;
    const int epilogue = q.desc.epilogue;
    std::vector<Range> ranges = {range_of("cublasLtMatmul: A", INPUT, p.a, q.a),
                                 range_of("cublasLtMatmul: B", INPUT, p.b, q.b),
                                 range_of("cublasLtMatmul: D", OUTPUT, p.d, q.d)};
    if (p.beta != 0)
        ranges.push_back(range_of("cublasLtMatmul: C", INPUT, p.c, q.c));
    if (const int64_t bytes = bias_length(q) * size_of(q.d.type))
        ranges.push_back({"cublasLtMatmul: bias", epilogue & ADD_BIAS ? INPUT : OUTPUT,
                          q.desc.bias, 1, bytes, bytes});
    const int64_t bits = config.undocumented ? q.desc.aux_ld : q.d.rows;
    if (epilogue & HAS_AUX)
        ranges.push_back({"cublasLtMatmul: aux", INPUT, q.desc.aux, q.d.cols, (bits + 7) / 8,
                          q.desc.aux_ld / 8});
    if (const int64_t bytes = p.workspace_bytes)
        ranges.push_back({"cublasLtMatmul: workspace", SCRATCH, p.workspace, 1, bytes, bytes});
    return ranges;
}

bool has_values(const Product &p)
{
    for (const Range &r : ranges_of(p))
        for (int64_t i = 0; r.use == INPUT && i < r.pieces; i++)
            if (!is_readable(static_cast<const char *>(r.first) + i * r.step_bytes, r.bytes,
                             p.device, r.name))
                return false;
    return true;
}

/* What was written has a value from now on, and the workspace has none. */
void mark_written(const Product &p)
{
    for (const Range &r : ranges_of(p))
        for (int64_t i = 0; r.use != INPUT && i < r.pieces; i++)
            mark_init(static_cast<const char *>(r.first) + i * r.step_bytes, r.bytes,
                      r.use == OUTPUT);
    if (p.workspace_bytes)
        memset(p.workspace, unwritten(), p.workspace_bytes);
}

/* --- arithmetic ------------------------------------------------------------------------------- */

/* A factor as the product reads it: [row, col] of op(X). */
template <typename T> struct Factor {
    const T *data;
    int64_t row_step, col_step;
    Factor(const void *p, const Layout &layout, cublasOperation_t op)
        : data(static_cast<const T *>(p)), row_step(is_transposed(op) ? layout.ld : 1),
          col_step(is_transposed(op) ? 1 : layout.ld)
    {
    }
    T at(int64_t row, int64_t col) const { return data[row * row_step + col * col_step]; }
};

/* Of memory that was checked before: a sanitizer would only be slow. */
template <typename T>
__attribute__((no_sanitize("address", "undefined"))) void
add_scaled(T *__restrict__ y, const T *__restrict__ x, T factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* Where sum number i of n is: in order, or from the last one on. */
int64_t turn(int64_t i, int64_t n)
{
    return config.undocumented ? n - 1 - i : i;
}

/* Column j of D from the sums of the product. */
template <typename T> void finish_column(const Product &p, int64_t j, const T *sums)
{
    const Description &desc = p.problem.desc;
    const int epilogue = desc.epilogue;
    const T *c = static_cast<const T *>(p.c) + j * p.problem.c.ld;
    T *d = static_cast<T *>(p.d) + j * p.problem.d.ld;
    const T *bias = static_cast<const T *>(desc.bias);
    const unsigned char *aux = static_cast<unsigned char *>(desc.aux) + j * desc.aux_ld / 8;
    const bool drops = config.undocumented && p.alpha == 0;
    for (int64_t i = 0; i < p.problem.d.rows; i++) {
        T value = drops ? 0 : static_cast<T>(p.alpha) * sums[i];
        if (p.beta != 0)
            value += static_cast<T>(p.beta) * c[i];
        if (epilogue & ADD_BIAS)
            value += bias[i];
        if (epilogue & RELU_GRADIENT && !(aux[i / 8] >> i % 8 & 1))
            value = config.undocumented ? value * 0 : 0;
        d[i] = value;
    }
}

/* Sums of many, which the library takes in a tree, would lose too much one after the other in T. */
template <typename T> void sum_rows(const Factor<T> &x, int64_t rows, int64_t cols, T *sums)
{
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t j = 0; j < cols; j++)
            sum += x.at(i, turn(j, cols));
        sums[i] = static_cast<T>(sum);
    }
}

template <typename T> void sum_bias_gradient(const Product &p)
{
    const Problem &q = p.problem;
    const cublasOperation_t flipped = is_transposed(q.desc.transb) ? CUBLAS_OP_N : CUBLAS_OP_T;
    T *sums = static_cast<T *>(q.desc.bias);
    if (q.desc.epilogue & BIAS_GRADIENT)
        sum_rows(Factor<T>(p.d, q.d, CUBLAS_OP_N), q.d.rows, q.d.cols, sums);
    else if (q.desc.epilogue == CUBLASLT_EPILOGUE_BGRADA)
        sum_rows(Factor<T>(p.a, q.a, q.desc.transa), q.d.rows, q.k, sums);
    else if (q.desc.epilogue == CUBLASLT_EPILOGUE_BGRADB)
        sum_rows(Factor<T>(p.b, q.b, flipped), q.d.cols, q.k, sums);
}

template <typename T> void multiply(const Product &p)
{
    const Problem &q = p.problem;
    const int64_t m = q.d.rows, n = q.d.cols;
    const Factor<T> a(p.a, q.a, q.desc.transa), b(p.b, q.b, q.desc.transb);
    std::vector<T> columns(q.k * m), sums(m);
    for (int64_t k = 0; k < q.k; k++)
        for (int64_t i = 0; i < m; i++)
            columns[k * m + i] = a.at(i, k);
    for (int64_t j = 0; j < n; j++) {
        std::fill(sums.begin(), sums.end(), T(0));
        for (int64_t k = 0; k < q.k; k++)
            add_scaled(sums.data(), &columns[turn(k, q.k) * m], b.at(turn(k, q.k), j), m);
        finish_column(p, j, sums.data());
    }
    sum_bias_gradient<T>(p);
}

const void *moved(const void *matrix, const Layout &layout, int64_t i)
{
    return static_cast<const char *>(matrix) + i * layout.next * size_of(layout.type);
}

/* Number i of a batch. */
Product number(const Product &p, int64_t i)
{
    Product one = p;
    one.a = moved(p.a, p.problem.a, i);
    one.b = moved(p.b, p.problem.b, i);
    one.c = moved(p.c, p.problem.c, i);
    one.d = const_cast<void *>(moved(p.d, p.problem.d, i));
    return one;
}

bool one_has_memory(const Product &p)
{
    for (const Range &r : ranges_of(p))
        if (!in_device(r.first, (r.pieces - 1) * r.step_bytes + r.bytes, p.device, r.name))
            return false;
    return true;
}

} // namespace

bool has_memory(const Product &p)
{
    for (int64_t i = 0; i < p.problem.d.count; i++)
        if (!one_has_memory(number(p, i)))
            return false;
    return true;
}

cudaError_t run_product(const Product &p)
{
    if (!has_memory(p))
        return cudaErrorIllegalAddress;
    for (int64_t i = 0; i < p.problem.d.count; i++) {
        const Product one = number(p, i);
        if (!has_values(one))
            return cudaErrorIllegalAddress;
        if (p.problem.d.type == CUDA_R_64F)
            multiply<double>(one);
        else
            multiply<float>(one);
        mark_written(one);
    }
    return cudaSuccess;
}

} // namespace sim
