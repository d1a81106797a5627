/* The matrix product of a CUDA device: cuBLASLt, with a list of its plans.
 *
 * cuBLASLt is column-major; a row-major C = A B is its C^T = B^T A^T, so A and B change places, m
 * and n too, and a bias along the columns of C lies along its rows. A plan (descriptors and the
 * first algorithm that the library's heuristic offers) is made when a shape is first seen, and
 * kept: the heuristic costs tens of microseconds. Schemes that split K and add up in place are
 * refused; the others are deterministic. */
#include <cublasLt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/inside.h"

/* All that a plan depends on; compared as bytes. */
typedef struct plan_key {
    int64_t m, n, k, a_pitch, b_pitch, c_pitch, aux_pitch;
    int64_t a_next, b_next, c_next; /* of a batch; 0 for one product */
    int32_t dtype, precision, epilogue;
    int32_t a_transposed, b_transposed, accumulate;
    uint32_t a_align, b_align, c_align, bias_align, aux_align; /* bytes, up to 16 */
    int32_t count; /* of products */
} plan_key;

typedef struct plan {
    struct plan *next; /* used less recently */
    plan_key key;
    int32_t supported;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c; /* of the row-major matrices */
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_bytes;
} plan;

struct bpi_lt {
    bpi_cuda *device;
    cublasLtHandle_t handle;
    plan *plans;
};

static bp_status check(bpi_cuda *d, cublasStatus_t status, const char *call)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return BP_OK;
    (void)cudaGetLastError();
    if (status == CUBLAS_STATUS_ALLOC_FAILED)
        return BP_ERR_NOMEM;
    snprintf(d->base.why, sizeof d->base.why, "%.*s: %s", (int)strcspn(call, "("), call,
             cublasLtGetStatusName(status));
    return BP_ERR_DEVICE;
}

#define LT_TRY(d, call) BPI_TRY(check(d, call, #call))

bp_status bpi_lt_open(bpi_cuda *d)
{
    d->lt = calloc(1, sizeof *d->lt);
    if (!d->lt)
        return BP_ERR_NOMEM;
    d->lt->device = d;
    LT_TRY(d, cublasLtCreate(&d->lt->handle));
    return BP_OK;
}

static void free_plan(plan *p)
{
    if (p->product)
        (void)cublasLtMatmulDescDestroy(p->product);
    cublasLtMatrixLayout_t layout[3] = {p->a, p->b, p->c};
    for (int i = 0; i < 3; i++)
        if (layout[i])
            (void)cublasLtMatrixLayoutDestroy(layout[i]);
    free(p);
}

void bpi_lt_close(bpi_lt *lt)
{
    while (lt && lt->plans) {
        plan *p = lt->plans;
        lt->plans = p->next;
        free_plan(p);
    }
    if (lt && lt->handle)
        (void)cublasLtDestroy(lt->handle);
    free(lt);
}

/* --- making a plan ------------------------------------------------------------------------- */

static cudaDataType_t type_of(int32_t dtype)
{
    return dtype == BP_F64 ? CUDA_R_64F : CUDA_R_32F;
}

static bp_status describe_product(bpi_cuda *d, plan *p)
{
    static const cublasLtEpilogue_t epilogues[] = {
        [BPI_EPILOGUE_NONE] = CUBLASLT_EPILOGUE_DEFAULT,
        [BPI_EPILOGUE_BIAS] = CUBLASLT_EPILOGUE_BIAS,
        [BPI_EPILOGUE_DRELU] = CUBLASLT_EPILOGUE_DRELU,
        [BPI_EPILOGUE_BGRAD] = CUBLASLT_EPILOGUE_BGRADB,
        [BPI_EPILOGUE_DRELU_BGRAD] = CUBLASLT_EPILOGUE_DRELU_BGRAD,
    };
    const plan_key *key = &p->key;
    cublasComputeType_t compute = key->dtype == BP_F64 ? CUBLAS_COMPUTE_64F
                                  : key->precision == BP_PRECISION_TF32
                                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : CUBLAS_COMPUTE_32F;
    cublasLtEpilogue_t epilogue = epilogues[key->epilogue];
    /* our B is the library's first matrix, our A its second */
    cublasOperation_t first = key->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t second = key->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    LT_TRY(d, cublasLtMatmulDescCreate(&p->product, compute, type_of(key->dtype)));
    LT_TRY(d, cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &first,
                                             sizeof first));
    LT_TRY(d, cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSB, &second,
                                             sizeof second));
    LT_TRY(d, cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                             sizeof epilogue));
    if (key->aux_pitch)
        LT_TRY(d, cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD,
                                                 &key->aux_pitch, sizeof key->aux_pitch));
    return BP_OK;
}

/* A row-major [rows, cols] with a pitch is a column-major [cols, rows] with that leading size;
 * `next` elements from one to the next of a batch. */
static bp_status describe_matrix(bpi_cuda *d, cublasLtMatrixLayout_t *layout, const plan_key *key,
                                 int64_t rows, int64_t cols, int64_t pitch, int64_t next)
{
    LT_TRY(d, cublasLtMatrixLayoutCreate(layout, type_of(key->dtype), (uint64_t)cols,
                                         (uint64_t)rows, pitch));
    if (key->count == 1)
        return BP_OK;
    LT_TRY(d, cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                               &key->count, sizeof key->count));
    LT_TRY(d, cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                               &next, sizeof next));
    return BP_OK;
}

static bp_status set_preference(bpi_cuda *d, cublasLtMatmulPreference_t preference,
                                const plan_key *key)
{
    size_t workspace = BPI_CUDA_WORKSPACE;
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK & ~CUBLASLT_REDUCTION_SCHEME_INPLACE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t bytes;
    } set[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &key->b_align, sizeof key->b_align},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &key->a_align, sizeof key->a_align},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &key->c_align, sizeof key->c_align},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &key->c_align, sizeof key->c_align},
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        LT_TRY(d, cublasLtMatmulPreferenceSetAttribute(preference, set[i].attribute, set[i].value,
                                                       set[i].bytes));
    return BP_OK;
}

/* The library's first choice; `supported` stays 0 where it has none. */
static bp_status choose_algorithm(bpi_lt *lt, plan *p)
{
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    LT_TRY(lt->device, cublasLtMatmulPreferenceCreate(&preference));
    bp_status st = set_preference(lt->device, preference, &p->key);
    if (st == BP_OK) {
        cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(lt->handle, p->product, p->b, p->a,
                                                               p->c, p->c, preference, 1, &found,
                                                               &count);
        bool none = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE;
        st = none ? BP_OK : check(lt->device, status, "cublasLtMatmulAlgoGetHeuristic");
    }
    if (st == BP_OK && count > 0 && found.state == CUBLAS_STATUS_SUCCESS) {
        p->supported = 1;
        p->algorithm = found.algo;
        p->workspace_bytes = found.workspaceSize;
    }
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return st;
}

static bp_status set_pointers(bpi_cuda *d, plan *p, void *bias, void *aux)
{
    if (bias)
        LT_TRY(d, cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                 &bias, sizeof bias));
    if (aux)
        LT_TRY(d, cublasLtMatmulDescSetAttribute(p->product,
                                                 CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux,
                                                 sizeof aux));
    return BP_OK;
}

/* A heuristic may read the alignment of bias and aux: it gets places that have the key's and no
 * better one, so that the plan follows from the key, whichever pointers come first. */
static bp_status make_plan(bpi_lt *lt, plan *p, const bpi_product *w)
{
    bpi_cuda *d = lt->device;
    const plan_key *key = &p->key;
    bool at = key->a_transposed, bt = key->b_transposed;
    BPI_TRY(describe_product(d, p));
    BPI_TRY(describe_matrix(d, &p->a, key, at ? key->k : key->m, at ? key->m : key->k,
                            key->a_pitch, key->a_next));
    BPI_TRY(describe_matrix(d, &p->b, key, bt ? key->n : key->k, bt ? key->k : key->n,
                            key->b_pitch, key->b_next));
    BPI_TRY(describe_matrix(d, &p->c, key, key->m, key->n, key->c_pitch, key->c_next));
    char *place = d->workspace; /* aligned to more than 16 */
    BPI_TRY(set_pointers(d, p, w->bias ? place + key->bias_align : NULL,
                         w->aux ? place + key->aux_align : NULL));
    return choose_algorithm(lt, p);
}

/* --- the product --------------------------------------------------------------------------- */

static uint32_t alignment(const void *p)
{
    uintptr_t bits = (uintptr_t)p | 16;
    return (uint32_t)(bits & -bits);
}

/* Of all matrices of a batch. */
static uint32_t alignment_of(const bpi_product *w, const void *first, int64_t next)
{
    int64_t bytes = w->count > 1 ? next * (w->dtype == BP_F64 ? 8 : 4) : 0;
    return alignment((const void *)((uintptr_t)first | (uintptr_t)bytes));
}

/* C = 0 where nothing is summed; gaps between rows are the output's own. */
static bp_status clear(bpi_cuda *d, const bpi_product *w)
{
    size_t size = w->dtype == BP_F64 ? 8 : 4;
    size_t bytes = (size_t)((w->m - 1) * w->c_pitch + w->n) * size;
    for (int64_t i = 0; i < (w->count > 1 ? w->count : 1); i++) {
        char *c = (char *)w->c + (size_t)(i * w->c_next) * size;
        BPI_CUDA_TRY(d, cudaMemsetAsync(c, 0, bytes, d->stream));
    }
    return BP_OK;
}

static bp_status find_plan(bpi_lt *lt, const plan_key *key, const bpi_product *w, plan **out)
{
    for (plan **link = &lt->plans, *p; (p = *link); link = &p->next) {
        if (memcmp(&p->key, key, sizeof *key))
            continue;
        *link = p->next; /* to the front: a step asks for the same few */
        p->next = lt->plans;
        *out = lt->plans = p;
        return BP_OK;
    }
    plan *p = calloc(1, sizeof *p);
    if (!p)
        return BP_ERR_NOMEM;
    p->key = *key;
    if (!lt->device->capturing) /* then it is ours already */
        bpi_cuda_lock();
    bp_status st = make_plan(lt, p, w);
    if (!lt->device->capturing)
        bpi_cuda_unlock();
    if (st != BP_OK && key->epilogue == BPI_EPILOGUE_NONE) {
        free_plan(p);
        return st;
    }
    p->next = lt->plans;
    *out = lt->plans = p;
    return BP_OK;
}

static bp_status run_plan(bpi_lt *lt, plan *p, const bpi_product *w)
{
    bpi_cuda *d = lt->device;
    double one64 = w->alpha, beta64 = w->accumulate;
    float one32 = (float)w->alpha, beta32 = (float)w->accumulate;
    bool f64 = w->dtype == BP_F64;
    const void *alpha = f64 ? (const void *)&one64 : &one32;
    const void *beta = f64 ? (const void *)&beta64 : &beta32;
    BPI_TRY(set_pointers(d, p, w->bias, w->aux));
    LT_TRY(d, cublasLtMatmul(lt->handle, p->product, alpha, w->b, p->b, w->a, p->a, beta, w->c,
                             p->c, w->c, p->c, &p->algorithm, d->workspace, p->workspace_bytes,
                             d->stream));
    return BP_OK;
}

bp_status bpi_lt_product(bp_exec *ex, const bpi_product *w)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    bpi_lt *lt = d->lt;
    plan *p;
    if (w->m == 0 || w->n == 0 || (w->k == 0 && w->accumulate))
        return BP_OK;
    BPI_TRY(bpi_cuda_flush(ex));
    if (w->k == 0)
        return clear(d, w);
    bool batch = w->count > 1;
    plan_key key = {.m = w->m, .n = w->n, .k = w->k, .a_pitch = w->a_pitch, .b_pitch = w->b_pitch,
                    .c_pitch = w->c_pitch, .aux_pitch = w->aux ? w->aux_pitch : 0,
                    .dtype = w->dtype, .precision = d->precision,
                    .epilogue = (int32_t)w->epilogue, .a_transposed = w->a_transposed,
                    .b_transposed = w->b_transposed, .accumulate = w->accumulate,
                    .count = batch ? (int32_t)w->count : 1, .a_next = batch ? w->a_next : 0,
                    .b_next = batch ? w->b_next : 0, .c_next = batch ? w->c_next : 0,
                    .a_align = alignment_of(w, w->a, w->a_next),
                    .b_align = alignment_of(w, w->b, w->b_next),
                    .c_align = alignment_of(w, w->c, w->c_next), .bias_align = alignment(w->bias),
                    .aux_align = alignment(w->aux)};
    BPI_TRY(find_plan(lt, &key, w, &p));
    bp_status st = p->supported ? run_plan(lt, p, w) : BP_ERR_UNSUPPORTED;
    if (st != BP_OK && w->epilogue != BPI_EPILOGUE_NONE) {
        p->supported = 0; /* a heuristic's answer is no promise, above all for sizes of 1 */
        return BP_ERR_UNSUPPORTED;
    }
    BPI_TRY(st);
    return bpi_cuda_launched(ex, cudaSuccess, "cublasLtMatmul");
}
