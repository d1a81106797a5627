/* Making the plan of a convolution: it is described as a graph of cuDNN's backend interface, and
 * cuDNN is asked what it offers, best first (mode A, then what it falls back to). The first
 * configuration is taken whose notes and workspace fit.
 *
 * One that adds in no fixed order, or rounds more than a sum of products does, is never taken; one
 * that uses tensor cores, which for f32 are TF32, only where the program asked for TF32. Where none
 * is left that is an error. A workspace may have twice the bytes of the operands (to turn them to
 * another layout and back): the choice follows from shapes, not from what memory is free. */
#include <stdbool.h>

#include "cuda/cudnn.h"

typedef cudnnBackendDescriptor_t descriptor;

/* --- descriptors ----------------------------------------------------------------------------- */

/* What is made on the way to a plan, to be given back. */
enum { OFFERS = 128, MADE = 3 * OFFERS + 32 };
typedef struct builder {
    bpi_cuda *d;
    const bpi_convolution *key;
    descriptor operand[BPI_CONV_OPERANDS];
    descriptor made[MADE];
    int n_made;
} builder;

static bp_status create(builder *b, cudnnBackendDescriptorType_t type, descriptor *out)
{
    DNN_TRY(b->d, BackendCreateDescriptor(type, out));
    b->made[b->n_made++] = *out;
    return BP_OK;
}

typedef struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    const void *value;
} attribute;

static bp_status fill(bpi_cuda *d, descriptor to, const attribute *a, int n)
{
    for (int i = 0; i < n; i++)
        DNN_TRY(d, BackendSetAttribute(to, a[i].name, a[i].type, a[i].count, a[i].value));
    return BP_OK;
}

static bp_status describe(builder *b, cudnnBackendDescriptorType_t type, descriptor *out,
                          const attribute *a, int n)
{
    BPI_TRY(create(b, type, out));
    BPI_TRY(fill(b->d, *out, a, n));
    DNN_TRY(b->d, BackendFinalize(*out));
    return BP_OK;
}

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))
#define ATTR(name, type, count, ...) \
    {CUDNN_ATTR_##name, CUDNN_TYPE_##type, count, __VA_ARGS__}

/* --- a convolution as a graph ---------------------------------------------------------------- */

/* Sizes as cuDNN orders them, [N, C, H, W], of memory whose channels are innermost. */
static bp_status describe_tensor(builder *b, int64_t id, const int64_t *size, bool is_virtual,
                                 uint32_t align, descriptor *out)
{
    const int64_t sizes[4] = {size[0], size[3], size[1], size[2]}, bytes = align;
    const int64_t strides[4] = {size[1] * size[2] * size[3], 1, size[2] * size[3], size[3]};
    const cudnnDataType_t type = b->key->dtype == BP_F64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    const attribute a[] = {ATTR(TENSOR_DATA_TYPE, DATA_TYPE, 1, &type),
                           ATTR(TENSOR_DIMENSIONS, INT64, 4, sizes),
                           ATTR(TENSOR_STRIDES, INT64, 4, strides),
                           ATTR(TENSOR_UNIQUE_ID, INT64, 1, &id),
                           ATTR(TENSOR_BYTE_ALIGNMENT, INT64, 1, &bytes),
                           ATTR(TENSOR_IS_VIRTUAL, BOOLEAN, 1, &is_virtual)};
    return describe(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR, out, a, LENGTH(a));
}

static bp_status describe_window(builder *b, descriptor *out)
{
    const bp_window *how = &b->key->how;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    const cudnnDataType_t type = b->key->dtype == BP_F64 ? CUDNN_DATA_DOUBLE : CUDNN_DATA_FLOAT;
    const int64_t axes = 2, before[2] = {how->pad[0], how->pad[1]};
    const int64_t after[2] = {how->pad[2], how->pad[3]};
    const int64_t stride[2] = {how->stride[0], how->stride[1]};
    const int64_t dilation[2] = {how->dilation[0], how->dilation[1]};
    const attribute a[] = {ATTR(CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, &type),
                           ATTR(CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, &mode),
                           ATTR(CONVOLUTION_SPATIAL_DIMS, INT64, 1, &axes),
                           ATTR(CONVOLUTION_PRE_PADDINGS, INT64, 2, before),
                           ATTR(CONVOLUTION_POST_PADDINGS, INT64, 2, after),
                           ATTR(CONVOLUTION_FILTER_STRIDES, INT64, 2, stride),
                           ATTR(CONVOLUTION_DILATIONS, INT64, 2, dilation)};
    return describe(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, out, a, LENGTH(a));
}

/* The product of x, w and `y`, which is virtual where something is fused. */
static bp_status describe_product(builder *b, descriptor y, descriptor *out)
{
    const double one64 = 1, zero64 = 0;
    const float one32 = 1, zero32 = 0;
    const bool f64 = b->key->dtype == BP_F64;
    const cudnnBackendAttributeType_t type = f64 ? CUDNN_TYPE_DOUBLE : CUDNN_TYPE_FLOAT;
    const void *one = f64 ? (const void *)&one64 : &one32;
    const void *zero = f64 ? (const void *)&zero64 : &zero32;
    const descriptor x = b->operand[BPI_CONV_X], w = b->operand[BPI_CONV_W];
    descriptor window;
    BPI_TRY(describe_window(b, &window));
#define PRODUCT(direction, dx, dw, dy)                                                  \
    {ATTR(OPERATION_CONVOLUTION_##direction##_CONV_DESC, BACKEND_DESCRIPTOR, 1, &window), \
     ATTR(OPERATION_CONVOLUTION_##direction##_##dx, BACKEND_DESCRIPTOR, 1, &x),           \
     ATTR(OPERATION_CONVOLUTION_##direction##_##dw, BACKEND_DESCRIPTOR, 1, &w),           \
     ATTR(OPERATION_CONVOLUTION_##direction##_##dy, BACKEND_DESCRIPTOR, 1, &y),           \
     {CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_ALPHA, type, 1, one},                \
     {CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_BETA, type, 1, zero}}
    const attribute forward[] = PRODUCT(FORWARD, X, W, Y);
    const attribute input[] = PRODUCT(BWD_DATA, DX, W, DY);
    const attribute filter[] = PRODUCT(BWD_FILTER, X, DW, DY);
    if (b->key->kind == BPI_CONV_INPUT)
        return describe(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, out,
                        input, LENGTH(input));
    if (b->key->kind == BPI_CONV_FILTER)
        return describe(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, out,
                        filter, LENGTH(filter));
    return describe(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, out, forward,
                    LENGTH(forward));
}

/* to = from + bias, or relu(from). */
static bp_status describe_pointwise(builder *b, cudnnPointwiseMode_t mode, descriptor from,
                                    descriptor to, descriptor *out)
{
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnNanPropagation_t nan = CUDNN_PROPAGATE_NAN;
    const bool adds = mode == CUDNN_POINTWISE_ADD;
    const attribute how[] = {ATTR(POINTWISE_MODE, POINTWISE_MODE, 1, &mode),
                             ATTR(POINTWISE_MATH_PREC, DATA_TYPE, 1, &type),
                             ATTR(POINTWISE_NAN_PROPAGATION, NAN_PROPOGATION, 1, &nan)};
    descriptor pointwise;
    BPI_TRY(describe(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &pointwise, how,
                     adds ? LENGTH(how) - 1 : LENGTH(how)));
    const attribute a[] = {
        ATTR(OPERATION_POINTWISE_PW_DESCRIPTOR, BACKEND_DESCRIPTOR, 1, &pointwise),
        ATTR(OPERATION_POINTWISE_XDESC, BACKEND_DESCRIPTOR, 1, &from),
        ATTR(OPERATION_POINTWISE_YDESC, BACKEND_DESCRIPTOR, 1, &to),
        ATTR(OPERATION_POINTWISE_BDESC, BACKEND_DESCRIPTOR, 1, &b->operand[BPI_CONV_B])};
    return describe(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out, a,
                    adds ? LENGTH(a) : LENGTH(a) - 1);
}

static bp_status describe_operands(builder *b)
{
    const bpi_convolution *key = b->key;
    const int64_t bias[4] = {1, 1, 1, key->w[0]};
    const int64_t *size[BPI_CONV_OPERANDS] = {key->x, key->w, key->y, bias};
    for (int i = 0; i < BPI_CONV_OPERANDS; i++)
        BPI_TRY(describe_tensor(b, i, size[i], false, key->align[i], &b->operand[i]));
    return BP_OK;
}

/* y = relu(x w + bias), or less of it. */
static bp_status describe_graph(builder *b, descriptor *out)
{
    const bool adds = b->key->kind == BPI_CONV_BIAS || b->key->kind == BPI_CONV_BIAS_RELU;
    const bool relu = b->key->kind == BPI_CONV_BIAS_RELU;
    descriptor op[3], between[2], y = b->operand[BPI_CONV_Y];
    int64_t n = 0;
    for (int i = 0; i < adds + relu; i++)
        BPI_TRY(describe_tensor(b, BPI_CONV_OPERANDS + i, b->key->y, true, 16, &between[i]));
    BPI_TRY(describe_product(b, adds ? between[0] : y, &op[n++]));
    if (adds)
        BPI_TRY(describe_pointwise(b, CUDNN_POINTWISE_ADD, between[0], relu ? between[1] : y,
                                   &op[n++]));
    if (relu)
        BPI_TRY(describe_pointwise(b, CUDNN_POINTWISE_RELU_FWD, between[1], y, &op[n++]));
    const attribute a[] = {ATTR(OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, n, op),
                           ATTR(OPERATIONGRAPH_HANDLE, HANDLE, 1, &b->d->cudnn->handle)};
    return describe(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, out, a,
                    b->d->cudnn->described ? LENGTH(a) - 1 : LENGTH(a));
}

/* --- the choice ------------------------------------------------------------------------------ */

static int64_t most_workspace(const bpi_convolution *key)
{
    const int64_t *size[] = {key->x, key->w, key->y};
    int64_t elements = 0;
    for (int i = 0; i < LENGTH(size); i++)
        elements += size[i][0] * size[i][1] * size[i][2] * size[i][3];
    return BPI_CUDA_WORKSPACE + 2 * elements * (key->dtype == BP_F64 ? 8 : 4);
}

/* What rounds more than a sum of products does: what goes in, on the way, or by adding up something
 * else, where a NaN would spread as well. */
#define BIT_OF(note) (1u << ((unsigned)(note) & 31))
static const uint32_t not_strict = BIT_OF(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_FFT) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6) |
                                   BIT_OF(CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13);

/* Reads the notes of a configuration; counts it. */
static bp_status judge(builder *b, descriptor configuration, bpi_conv_plan *p, bool *fits,
                       int64_t *number)
{
    cudnnBackendNumericalNote_t note[32];
    int64_t n = 0;
    descriptor engine;
    uint32_t notes = 0;
    BPI_TRY(create(b, CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine));
    DNN_TRY(b->d, BackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &n, &engine));
    DNN_TRY(b->d, BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1,
                                      &n, number));
    DNN_TRY(b->d, BackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                      CUDNN_TYPE_NUMERICAL_NOTE, LENGTH(note), &n, note));
    for (int64_t i = 0; i < n; i++)
        notes |= BIT_OF(note[i]);
    if (b->key->precision == BP_PRECISION_TF32)
        notes &= ~BIT_OF(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    const bool deterministic = !(notes & BIT_OF(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
    p->offered++;
    p->deterministic += deterministic;
    p->strict += *fits = deterministic && !(notes & not_strict);
    return BP_OK;
}

/* "Not supported": no failure, another configuration may be. */
static bool is_no(cudnnStatus_t status)
{
    return status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000 ||
           status == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
}

/* The plan of a configuration, unless cuDNN then has none, or it wants too much memory. */
static bp_status try_plan(builder *b, descriptor configuration, bpi_conv_plan *p)
{
    const bpi_cudnn *cudnn = b->d->cudnn;
    const attribute a[] = {
        ATTR(EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR, 1, &configuration),
        cudnn->described
            ? (attribute)ATTR(EXECUTION_PLAN_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &cudnn->described)
            : (attribute)ATTR(EXECUTION_PLAN_HANDLE, HANDLE, 1, &cudnn->handle)};
    descriptor plan;
    int64_t n;
    BPI_TRY(create(b, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &plan));
    BPI_TRY(fill(b->d, plan, a, LENGTH(a)));
    const cudnnStatus_t status = cudnn->call.BackendFinalize(plan);
    if (is_no(status))
        return BP_OK;
    BPI_TRY(bpi_cudnn_check(b->d, status, "BackendFinalize"));
    DNN_TRY(b->d, BackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                      CUDNN_TYPE_INT64, 1, &n, &p->workspace_bytes));
    if (p->workspace_bytes > most_workspace(b->key))
        return BP_OK;
    b->n_made--; /* it is the last one, and stays */
    p->plan = plan;
    return BP_OK;
}

/* The first of what a mode offers that will do. */
static bp_status choose(builder *b, descriptor graph, cudnnBackendHeurMode_t mode,
                        bpi_conv_plan *p)
{
    const bpi_cudnn *cudnn = b->d->cudnn;
    const attribute a[] = {
        ATTR(ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &graph),
        ATTR(ENGINEHEUR_MODE, HEUR_MODE, 1, &mode),
        ATTR(ENGINEHEUR_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &cudnn->described)};
    descriptor heuristic, offer[OFFERS];
    int64_t n = 0, number;
    BPI_TRY(create(b, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic));
    BPI_TRY(fill(b->d, heuristic, a, cudnn->described ? LENGTH(a) : LENGTH(a) - 1));
    const cudnnStatus_t status = cudnn->call.BackendFinalize(heuristic);
    if (is_no(status))
        return BP_OK;
    BPI_TRY(bpi_cudnn_check(b->d, status, "BackendFinalize"));
    for (int i = 0; i < OFFERS; i++)
        BPI_TRY(create(b, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &offer[i]));
    DNN_TRY(b->d, BackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, OFFERS, &n, offer));
    for (int64_t i = 0; i < n; i++) {
        bool fits;
        BPI_TRY(judge(b, offer[i], p, &fits, &number));
        if (!fits || p->plan)
            continue;
        p->engine = number;
        BPI_TRY(try_plan(b, offer[i], p));
    }
    return BP_OK;
}

/* Gives back what was made since there were `from`. */
static void clear(builder *b, int from)
{
    while (b->n_made > from)
        (void)b->d->cudnn->call.BackendDestroyDescriptor(b->made[--b->n_made]);
}

bp_status bpi_cudnn_make(bpi_cuda *d, bpi_conv_plan *p)
{
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    builder b = {.d = d, .key = &p->key};
    descriptor graph;
    bp_status st = describe_operands(&b);
    if (st == BP_OK)
        st = describe_graph(&b, &graph);
    const int n_graph = b.n_made;
    for (int i = 0; i < LENGTH(modes) && st == BP_OK && !p->plan; i++) {
        st = choose(&b, graph, modes[i], p);
        clear(&b, n_graph);
    }
    clear(&b, 0);
    return st;
}
