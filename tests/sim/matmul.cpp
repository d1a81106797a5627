/* The two calls of the fake cuBLASLt about a product: the heuristic, which chooses an algorithm for
 * it, and the product. The arithmetic is in product.cpp.
 *
 * What the real library leaves to luck is an error here: memory that is not the device's or has no
 * value, pointers less aligned than was promised, an algorithm that was chosen for another problem,
 * heuristics or captures of two threads at a time. BPCUDA_SIM_NO_EPILOGUES=1: no algorithm has an
 * epilogue. What NVIDIA does not document has two answers (config.undocumented): how a heuristic
 * says that there is no algorithm, whether an algorithm it found serves an epilogue on one row or
 * one term, how much workspace one wants, and what a product that failed leaves behind. */
#include "cublaslt.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace sim {
namespace {

enum { WORKSPACE_WANTED = 64 << 10, WORKSPACE_ALIGNMENT = 256, AUX_LD_MULTIPLE = 128 };

enum Pointer { OF_A, OF_B, OF_C, OF_D, OF_BIAS, OF_AUX, POINTERS };

/* What cublasLtMatmulAlgo_t holds: the problem that it was chosen for, and what it needs. */
struct Algorithm {
    struct Key {
        int64_t m, n, k;
        int32_t compute, transa, transb, epilogue, count, unused;
    } key;
    uint16_t alignments[POINTERS];
    uint32_t workspace_bytes;
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t), "it travels in one");

bool agrees(const Layout &layout, bool transposed, int64_t rows, int64_t cols, cudaDataType type)
{
    return layout.rows == (transposed ? cols : rows) && layout.cols == (transposed ? rows : cols) &&
           layout.ld >= layout.rows && layout.type == type;
}

/* Whether the batch of each matrix has as many as D's. That inputs may repeat, by a distance of 0,
 * is nowhere documented; outputs must not overlap. */
bool has_batch(const Problem &p)
{
    const int32_t count = p.d.count;
    if (count < 1 || p.a.count != count || p.b.count != count || p.c.count != count)
        return false;
    if (count == 1)
        return true;
    if (p.a.next == 0 || p.b.next == 0)
        return complain("cublasLt: a batch of %d reads one matrix for each", count);
    return p.d.next >= p.d.ld * (p.d.cols - 1) + p.d.rows && p.c.next == p.d.next;
}

/* False: no such problem. */
bool read_problem(cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                  cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, Problem *p)
{
    auto *held = find<Held<Description>>(desc);
    auto *held_a = find<Held<Layout>>(a), *held_b = find<Held<Layout>>(b);
    auto *held_c = find<Held<Layout>>(c), *held_d = find<Held<Layout>>(d);
    if (!held || !held_a || !held_b || !held_c || !held_d)
        return false;
    *p = Problem{held->value, held_a->value, held_b->value, held_c->value, held_d->value, 0};
    const bool transa = is_transposed(p->desc.transa), transb = is_transposed(p->desc.transb);
    const cudaDataType type = p->desc.compute == CUBLAS_COMPUTE_64F ? CUDA_R_64F : CUDA_R_32F;
    const int64_t m = p->d.rows, n = p->d.cols;
    p->k = transa ? p->a.rows : p->a.cols;
    return m > 0 && n > 0 && p->k > 0 && p->desc.scale == type &&
           agrees(p->a, transa, m, p->k, type) && agrees(p->b, transb, p->k, n, type) &&
           agrees(p->c, false, m, n, type) && agrees(p->d, false, m, n, type) && has_batch(*p);
}

bool is_supported(const Problem &p)
{
    const char *none = getenv("BPCUDA_SIM_NO_EPILOGUES");
    if (p.d.count > 1)
        return p.desc.epilogue == CUBLASLT_EPILOGUE_DEFAULT; /* we use no other */
    switch (p.desc.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
        return true;
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_DRELU:
    case CUBLASLT_EPILOGUE_DRELU_BGRAD:
    case CUBLASLT_EPILOGUE_BGRADA:
    case CUBLASLT_EPILOGUE_BGRADB:
        return p.d.type == CUDA_R_32F && !(none && strcmp(none, "1") == 0);
    default:
        return false;
    }
}

bool is_aux_valid(const Problem &p)
{
    return !(p.desc.epilogue & HAS_AUX) ||
           (p.desc.aux_ld >= p.d.rows && p.desc.aux_ld % AUX_LD_MULTIPLE == 0);
}

Algorithm::Key key_of(const Problem &p)
{
    const Description &desc = p.desc;
    return {p.d.rows,    p.d.cols,    p.k,           desc.compute,
            desc.transa, desc.transb, desc.epilogue, p.d.count,    0};
}

uint16_t alignment_of(const void *p)
{
    const uintptr_t bits = reinterpret_cast<uintptr_t>(p) | 256;
    return static_cast<uint16_t>(bits & -bits);
}

/* Alignments as promised; that of bias and aux as found. */
Algorithm choose(const Problem &p, const Preference &preference)
{
    const uint64_t wanted = config.undocumented ? 0 : WORKSPACE_WANTED;
    Algorithm algorithm = {};
    algorithm.key = key_of(p);
    for (int i = 0; i <= OF_D; i++)
        algorithm.alignments[i] = static_cast<uint16_t>(preference.alignments[i]);
    algorithm.alignments[OF_BIAS] = alignment_of(p.desc.bias);
    algorithm.alignments[OF_AUX] = alignment_of(p.desc.aux);
    algorithm.workspace_bytes =
        static_cast<uint32_t>(std::min(preference.workspace_bytes, wanted));
    return algorithm;
}

bool is_aligned(const void *p, size_t bytes)
{
    return bytes == 0 || reinterpret_cast<uintptr_t>(p) % bytes == 0;
}

/* An epilogue that an algorithm was found for, and that it may refuse all the same. */
bool is_refused(const Problem &p)
{
    return config.undocumented && p.desc.epilogue != CUBLASLT_EPILOGUE_DEFAULT &&
           (p.d.rows == 1 || p.d.cols == 1 || p.k == 1);
}

/* As far as the distance of a batch's matrices goes. */
bool keeps_alignment(const Layout &layout, size_t bytes)
{
    return layout.count == 1 || bytes == 0 || layout.next * size_of(layout.type) % bytes == 0;
}

/* Whether the product is what the algorithm was chosen for. */
bool fits(const Product &p, const Algorithm &algorithm)
{
    const Description &desc = p.problem.desc;
    const void *const pointers[POINTERS] = {p.a, p.b, p.c, p.d, desc.bias, desc.aux};
    const char *const names[POINTERS] = {"A", "B", "C", "D", "bias", "aux"};
    const Algorithm::Key key = key_of(p.problem);
    if (memcmp(&key, &algorithm.key, sizeof key))
        return complain("cublasLtMatmul: the algorithm was chosen for another problem");
    const Layout *const layouts[] = {&p.problem.a, &p.problem.b, &p.problem.c, &p.problem.d};
    for (int i = 0; i < POINTERS; i++)
        if (!is_aligned(pointers[i], algorithm.alignments[i]) ||
            (i <= OF_D && !keeps_alignment(*layouts[i], algorithm.alignments[i])))
            return complain("cublasLtMatmul: %s at %p is not aligned to %u bytes, as promised",
                            names[i], pointers[i], algorithm.alignments[i]);
    if (p.workspace_bytes && !is_aligned(p.workspace, WORKSPACE_ALIGNMENT))
        return complain("cublasLtMatmul: workspace at %p is not aligned to %d bytes",
                        p.workspace, WORKSPACE_ALIGNMENT);
    return true;
}

/* A product that failed may have written any of it. */
void spoil(void *matrix, cublasLtMatrixLayout_t layout, cudaStream_t stream)
{
    Stream *s;
    auto *held = find<Held<Layout>>(layout);
    if (!held || find_stream(stream, &s))
        return;
    const Layout l = held->value;
    submit(s, [=] {
        for (int64_t i = 0; i < l.cols; i++)
            memset(static_cast<char *>(matrix) + i * l.ld * size_of(l.type), unwritten(),
                   l.rows * size_of(l.type));
        return cudaSuccess;
    });
}

} // namespace
} // namespace sim

using namespace sim;

extern "C" {

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int requested,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *returned)
{
    *returned = 0;
    const Alone alone("cublasLtMatmulAlgoGetHeuristic");
    return library(NAME_OF("cublasLtMatmulAlgoGetHeuristic", desc), WORK, [=] {
        Problem problem;
        auto *held = find<Held<Preference>>(preference);
        if (!find<Held<Context>>(handle) || !held || requested < 1 ||
            !read_problem(desc, a, b, c, d, &problem) || !is_aux_valid(problem))
            return CUBLAS_STATUS_INVALID_VALUE;
        results[0] = cublasLtMatmulHeuristicResult_t();
        if (!is_supported(problem)) {
            results[0].state = CUBLAS_STATUS_NOT_SUPPORTED;
            *returned = config.undocumented;
            return config.undocumented ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
        }
        const Algorithm algorithm = choose(problem, held->value);
        memcpy(&results[0].algo, &algorithm, sizeof algorithm);
        results[0].workspaceSize = algorithm.workspace_bytes;
        *returned = 1;
        return CUBLAS_STATUS_SUCCESS;
    });
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                              const void *alpha, const void *A, cublasLtMatrixLayout_t a,
                              const void *B, cublasLtMatrixLayout_t b, const void *beta,
                              const void *C, cublasLtMatrixLayout_t c, void *D,
                              cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    std::lock_guard<std::recursive_mutex> lock(mutex);
    const cublasStatus_t status = library(NAME_OF("cublasLtMatmul", desc), WORK, [=] {
        Product p;
        Stream *s;
        auto *held = find<Held<Context>>(handle);
        if (!held || find_stream(stream, &s) || held->device != s->device || !algo ||
            !read_problem(desc, a, b, c, d, &p.problem) || !is_aux_valid(p.problem) ||
            !is_supported(p.problem))
            return CUBLAS_STATUS_INVALID_VALUE;
        if (is_refused(p.problem))
            return CUBLAS_STATUS_NOT_SUPPORTED;
        Algorithm algorithm;
        memcpy(&algorithm, algo, sizeof algorithm);
        const bool is_f64 = p.problem.d.type == CUDA_R_64F;
        p.alpha = is_f64 ? *static_cast<const double *>(alpha) : *static_cast<const float *>(alpha);
        p.beta = is_f64 ? *static_cast<const double *>(beta) : *static_cast<const float *>(beta);
        p.a = A;
        p.b = B;
        p.c = C;
        p.d = D;
        p.workspace = workspace;
        p.workspace_bytes = algorithm.workspace_bytes;
        p.device = s->device;
        if (workspace_bytes < p.workspace_bytes || !fits(p, algorithm) || !has_memory(p))
            return CUBLAS_STATUS_INVALID_VALUE;
        return submit(s, [=] { return run_product(p); }) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                 : CUBLAS_STATUS_SUCCESS;
    });
    if (status != CUBLAS_STATUS_SUCCESS && config.undocumented)
        spoil(D, d, stream);
    return status;
}

} // extern "C"
