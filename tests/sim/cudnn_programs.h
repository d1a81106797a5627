/* The table of cudnn_programs.c: a program of descriptors that is right, and what rows change in
 * it. Left out is what the real library does not survive, as descriptors of another type than is
 * wanted and elements that are not there, and what we never say: flipped filters, other pointwise
 * operations. */
#include "cudnn_run.h"

/* --- programs ------------------------------------------------------------------------------ */

static const char *const names[PARTS] = {
    "x", "w", "y", "bias", "sum", "out", "window", "convolution", "pointwise add", "add",
    "pointwise relu", "relu", "graph", "device", "heuristic", "plan", "pack"};

#define LONGS(...) CUDNN_TYPE_INT64, sizeof((int64_t[]){__VA_ARGS__}) / 8, (int64_t[]){__VA_ARGS__}
#define PART(...)                                                                                  \
    CUDNN_TYPE_BACKEND_DESCRIPTOR, sizeof((int[]){__VA_ARGS__}) / sizeof(int), (int[]){__VA_ARGS__}
#define ENUM(type, value) CUDNN_TYPE_##type, 1, (int[]){value}
#define IS(value) CUDNN_TYPE_BOOLEAN, 1, (bool[]){value}
#define FLOAT(value) CUDNN_TYPE_FLOAT, 1, (float[]){value}
#define DOUBLE(value) CUDNN_TYPE_DOUBLE, 1, (double[]){value}
#define MISSING CUDNN_TYPE_INT64, 0, NULL

/* [n, c, h, w] in the order NHWC. */
#define TENSOR(part, uid, n, c, h, w, is_virtual)                                                  \
    {part, CUDNN_ATTR_TENSOR_DATA_TYPE, ENUM(DATA_TYPE, CUDNN_DATA_FLOAT)},                        \
    {part, CUDNN_ATTR_TENSOR_DIMENSIONS, LONGS(n, c, h, w)},                                       \
    {part, CUDNN_ATTR_TENSOR_STRIDES, LONGS((h) * (w) * (c), 1, (w) * (c), c)},                    \
    {part, CUDNN_ATTR_TENSOR_UNIQUE_ID, LONGS(uid)},                                               \
    {part, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, LONGS(16)},                                           \
    {part, CUDNN_ATTR_TENSOR_IS_VIRTUAL, IS(is_virtual)}

static const char *device_text;

static const field base[] = {
    TENSOR(X, 1, 2, 4, 8, 8, false),
    TENSOR(W, 2, 6, 4, 3, 3, false),
    TENSOR(Y, 3, 2, 6, 8, 8, false),
    TENSOR(B, 4, 1, 6, 1, 1, false),
    TENSOR(SUM, 5, 2, 6, 8, 8, true),
    TENSOR(OUT, 6, 2, 6, 8, 8, false),
    {WINDOW, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, ENUM(DATA_TYPE, CUDNN_DATA_FLOAT)},
    {WINDOW, CUDNN_ATTR_CONVOLUTION_CONV_MODE, ENUM(CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)},
    {WINDOW, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, LONGS(2)},
    {WINDOW, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, LONGS(1, 1)},
    {WINDOW, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, LONGS(1, 1)},
    {WINDOW, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, LONGS(1, 1)},
    {WINDOW, CUDNN_ATTR_CONVOLUTION_DILATIONS, LONGS(1, 1)},
    {ADDS, CUDNN_ATTR_POINTWISE_MODE, ENUM(POINTWISE_MODE, CUDNN_POINTWISE_ADD)},
    {ADDS, CUDNN_ATTR_POINTWISE_MATH_PREC, ENUM(DATA_TYPE, CUDNN_DATA_FLOAT)},
    {ADD, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, PART(ADDS)},
    {ADD, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, PART(Y)},
    {ADD, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, PART(B)},
    {ADD, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, PART(SUM)},
    {RELUS, CUDNN_ATTR_POINTWISE_MODE, ENUM(POINTWISE_MODE, CUDNN_POINTWISE_RELU_FWD)},
    {RELUS, CUDNN_ATTR_POINTWISE_MATH_PREC, ENUM(DATA_TYPE, CUDNN_DATA_FLOAT)},
    {RELUS, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, ENUM(NAN_PROPOGATION, CUDNN_PROPAGATE_NAN)},
    {RELU, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, PART(RELUS)},
    {RELU, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, PART(SUM)},
    {RELU, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, PART(OUT)},
    {DEVICE, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1, &device_text},
    {HEUR, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, PART(GRAPH)},
    {HEUR, CUDNN_ATTR_ENGINEHEUR_MODE, ENUM(HEUR_MODE, CUDNN_HEUR_MODE_A)},
    {HEUR, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, PART(DEVICE)},
    {PLAN, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, PART(DEVICE)},
    {PACK, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, LONGS(1, 2, 4, 6)},
    {PACK, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 4,
     (int64_t[]){4096, 8192, 12288, 16384}},
    {PACK, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, (int64_t[]){65536}},
};

#define OPERATION(direction, x, y, w)                                                              \
    {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_CONV_DESC, PART(WINDOW)},                \
    {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_##x, PART(X)},                           \
    {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_##w, PART(W)},                           \
    {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_##y, PART(Y)},                           \
    {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_ALPHA, FLOAT(1)},                        \
    {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_##direction##_BETA, FLOAT(0)}

static const field of_direction[DIRECTIONS][8] = {
    {OPERATION(FORWARD, X, Y, W), {GRAPH, CUDNN_ATTR_OPERATIONGRAPH_OPS, PART(CONV)}},
    {OPERATION(BWD_DATA, DX, DY, W), {GRAPH, CUDNN_ATTR_OPERATIONGRAPH_OPS, PART(CONV)}},
    {OPERATION(BWD_FILTER, X, DY, DW), {GRAPH, CUDNN_ATTR_OPERATIONGRAPH_OPS, PART(CONV)}},
    {OPERATION(FORWARD, X, Y, W), {GRAPH, CUDNN_ATTR_OPERATIONGRAPH_OPS, PART(CONV, ADD, RELU)},
     {Y, CUDNN_ATTR_TENSOR_IS_VIRTUAL, IS(true)}},
};

#define DIMS(part, ...) {part, CUDNN_ATTR_TENSOR_DIMENSIONS, LONGS(__VA_ARGS__)}
#define STRIDES(part, ...) {part, CUDNN_ATTR_TENSOR_STRIDES, LONGS(__VA_ARGS__)}
#define UID(part, uid) {part, CUDNN_ATTR_TENSOR_UNIQUE_ID, LONGS(uid)}
#define ALIGNED(part, bytes) {part, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, LONGS(bytes)}
#define VIRTUAL(part, is) {part, CUDNN_ATTR_TENSOR_IS_VIRTUAL, IS(is)}
#define TYPE(part, type) {part, CUDNN_ATTR_TENSOR_DATA_TYPE, ENUM(DATA_TYPE, CUDNN_DATA_##type)}
#define IN_WINDOW(name, ...) {WINDOW, CUDNN_ATTR_CONVOLUTION_##name, LONGS(__VA_ARGS__)}
#define COMPUTES(type)                                                                             \
    {WINDOW, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, ENUM(DATA_TYPE, CUDNN_DATA_##type)}
#define OPS(...) {GRAPH, CUDNN_ATTR_OPERATIONGRAPH_OPS, PART(__VA_ARGS__)}
#define IN_FORWARD(name, ...) {CONV, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_##name, __VA_ARGS__}
#define IN_POINTWISE(part, name, ...) {part, CUDNN_ATTR_OPERATION_POINTWISE_##name, __VA_ARGS__}
#define IDS(...) {PACK, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, LONGS(__VA_ARGS__)}
#define HEURISTIC(mode) {HEUR, CUDNN_ATTR_ENGINEHEUR_MODE, ENUM(HEUR_MODE, mode)}

static const row rows[] = {
    {"forward", FORWARD, {{0}}},
    {"data gradient", DATA_GRADIENT, {{0}}},
    {"filter gradient", FILTER_GRADIENT, {{0}}},
    {"bias and relu", FUSED, {{0}}},
    {"bias alone", FUSED, {OPS(CONV, ADD), VIRTUAL(SUM, false)}},
    {"forward in double", FORWARD, {TYPE(X, DOUBLE), TYPE(W, DOUBLE), TYPE(Y, DOUBLE),
        COMPUTES(DOUBLE), IN_FORWARD(ALPHA, DOUBLE(1)), IN_FORWARD(BETA, DOUBLE(0))}},
    {"forward in double, alpha and beta in float", FORWARD,
     {TYPE(X, DOUBLE), TYPE(W, DOUBLE), TYPE(Y, DOUBLE), COMPUTES(DOUBLE)}},
    {"forward, alpha and beta in double", FORWARD,
     {IN_FORWARD(ALPHA, DOUBLE(1)), IN_FORWARD(BETA, DOUBLE(0))}},
    {"bias and relu in double", FUSED, {TYPE(X, DOUBLE), TYPE(W, DOUBLE), TYPE(Y, DOUBLE),
        TYPE(B, DOUBLE), TYPE(SUM, DOUBLE), TYPE(OUT, DOUBLE), COMPUTES(DOUBLE)}},
    {"x in double alone", FORWARD, {TYPE(X, DOUBLE)}},
    {"computed in double", FORWARD, {COMPUTES(DOUBLE)}},
    {"the fallback engines", FORWARD, {HEURISTIC(CUDNN_HEUR_MODE_FALLBACK)}},
    {"heuristics of mode 9", FORWARD, {HEURISTIC(9)}},
    {"heuristics of no device", FORWARD, {{HEUR, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, MISSING}}},
    {"a plan of no device", FORWARD, {{PLAN, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, MISSING}}},

    {"padded above and left only", FORWARD, {IN_WINDOW(POST_PADDINGS, 0, 0), DIMS(Y, 2, 6, 7, 7),
        STRIDES(Y, 294, 1, 42, 6)}},
    {"stride 2", FORWARD, {IN_WINDOW(FILTER_STRIDES, 2, 2), DIMS(Y, 2, 6, 4, 4),
        STRIDES(Y, 96, 1, 24, 6)}},
    {"stride 2, gradient of data", DATA_GRADIENT, {IN_WINDOW(FILTER_STRIDES, 2, 2),
        DIMS(Y, 2, 6, 4, 4), STRIDES(Y, 96, 1, 24, 6)}},
    {"dilation 2", FORWARD, {IN_WINDOW(DILATIONS, 2, 2), IN_WINDOW(PRE_PADDINGS, 2, 2),
        IN_WINDOW(POST_PADDINGS, 2, 2)}},
    {"two groups", FORWARD, {DIMS(W, 6, 2, 3, 3), STRIDES(W, 18, 1, 6, 2)}},
    {"two groups, gradient of filter", FILTER_GRADIENT,
     {DIMS(W, 6, 2, 3, 3), STRIDES(W, 18, 1, 6, 2)}},
    {"depthwise", FORWARD, {DIMS(W, 4, 1, 3, 3), STRIDES(W, 9, 1, 3, 1), DIMS(Y, 2, 4, 8, 8),
        STRIDES(Y, 256, 1, 32, 4)}},
    {"depthwise, two outputs each", FORWARD, {DIMS(W, 8, 1, 3, 3), STRIDES(W, 9, 1, 3, 1),
        DIMS(Y, 2, 8, 8, 8), STRIDES(Y, 512, 1, 64, 8)}},
    {"two groups of five outputs", FORWARD, {DIMS(W, 5, 2, 3, 3), STRIDES(W, 18, 1, 6, 2),
        DIMS(Y, 2, 5, 8, 8), STRIDES(Y, 320, 1, 40, 5)}},
    {"a filter of three channels on four", FORWARD, {DIMS(W, 6, 3, 3, 3)}},
    {"a filter of eight channels on four", FORWARD, {DIMS(W, 6, 8, 3, 3)}},
    {"a filter of no channels", FORWARD, {DIMS(W, 6, 0, 3, 3)}},
    {"y has a row less", FORWARD, {DIMS(Y, 2, 6, 7, 8)}},
    {"y has a row less, gradient of data", DATA_GRADIENT, {DIMS(Y, 2, 6, 7, 8)}},
    {"y has a column more", FORWARD, {DIMS(Y, 2, 6, 8, 9)}},
    {"y has a channel less", FORWARD, {DIMS(Y, 2, 5, 8, 8)}},
    {"y has an image less", FORWARD, {DIMS(Y, 1, 6, 8, 8)}},
    {"y has an image less, gradient of filter", FILTER_GRADIENT, {DIMS(Y, 1, 6, 8, 8)}},
    {"the filter is taller than the padded image", FORWARD, {DIMS(W, 6, 4, 11, 3)}},
    {"no image", FORWARD, {DIMS(X, 0, 4, 8, 8), DIMS(Y, 0, 6, 8, 8)}},
    {"x of a size 0", FORWARD, {DIMS(X, 2, 4, 0, 8)}},
    {"x of a size -1", FORWARD, {DIMS(X, 2, 4, -1, 8)}},
    {"x of three dimensions", FORWARD, {DIMS(X, 2, 4, 8), STRIDES(X, 32, 1, 4)}},
    {"x of three strides", FORWARD, {STRIDES(X, 256, 1, 32)}},
    {"x of nine dimensions", FORWARD, {DIMS(X, 2, 4, 8, 8, 1, 1, 1, 1, 1)}},
    {"x in the order NCHW", FORWARD, {STRIDES(X, 256, 64, 8, 1)}},
    {"x with strides of 1", FORWARD, {STRIDES(X, 1, 1, 1, 1)}},
    {"x with rows that overlap", FORWARD, {STRIDES(X, 256, 1, 28, 4)}},
    {"x with images that overlap", FORWARD, {STRIDES(X, 4, 1, 32, 4)}},
    {"y with rows that overlap", FORWARD, {STRIDES(Y, 384, 1, 40, 6)}},
    {"x with a stride of 0", FORWARD, {STRIDES(X, 0, 1, 32, 4)}},
    {"x with a stride of -1", FORWARD, {STRIDES(X, 256, -1, 32, 4)}},
    {"x with gaps", FORWARD, {STRIDES(X, 1024, 1, 64, 8)}},
    {"x aligned to 4", FORWARD, {ALIGNED(X, 4)}},
    {"x aligned to 1", FORWARD, {ALIGNED(X, 1)}},
    {"x aligned to 3", FORWARD, {ALIGNED(X, 3)}},
    {"x aligned to 12", FORWARD, {ALIGNED(X, 12)}},
    {"x in double, aligned to 4", FORWARD, {TYPE(X, DOUBLE), ALIGNED(X, 4)}},
    {"x aligned to 0", FORWARD, {ALIGNED(X, 0)}},
    {"x aligned to -16", FORWARD, {ALIGNED(X, -16)}},
    {"x of the id 0", FORWARD, {UID(X, 0)}},
    {"x of the id -1", FORWARD, {UID(X, -1)}},

    {"padding -1", FORWARD, {IN_WINDOW(PRE_PADDINGS, -1, 1)}},
    {"padding -1 behind", FORWARD, {IN_WINDOW(POST_PADDINGS, 1, -1)}},
    {"stride 0", FORWARD, {IN_WINDOW(FILTER_STRIDES, 0, 1)}},
    {"dilation 0", FORWARD, {IN_WINDOW(DILATIONS, 1, 0)}},
    {"one padding", FORWARD, {IN_WINDOW(PRE_PADDINGS, 1)}},
    {"three strides", FORWARD, {IN_WINDOW(FILTER_STRIDES, 1, 1, 1)}},
    {"a window of one dimension", FORWARD, {IN_WINDOW(SPATIAL_DIMS, 1)}},
    {"a window of no dimension", FORWARD, {IN_WINDOW(SPATIAL_DIMS, 0)}},

    {"x and w of one id", FORWARD, {UID(W, 1)}},
    {"x and y of one id", FORWARD, {UID(Y, 1)}},
    {"bias and x of one id", FUSED, {UID(B, 1)}},
    {"a virtual x that nobody makes", FORWARD, {VIRTUAL(X, true)}},
    {"a virtual y that nobody wants", FORWARD, {VIRTUAL(Y, true)}},
    {"y is not virtual, and is used", FUSED, {VIRTUAL(Y, false)}},
    {"the sum is not virtual, and is used", FUSED, {VIRTUAL(SUM, false)}},
    {"a tensor in the window's place", FORWARD, {IN_FORWARD(CONV_DESC, PART(X))}},
    {"the operations in another order", FUSED, {OPS(RELU, ADD, CONV)}},
    {"one operation twice", FORWARD, {OPS(CONV, CONV)}},
    {"an addition alone", FUSED, {OPS(ADD), VIRTUAL(Y, false), VIRTUAL(SUM, false)}},
    {"no bias to add", FUSED, {IN_POINTWISE(ADD, BDESC, MISSING)}},
    {"an addition of no result", FUSED, {IN_POINTWISE(ADD, YDESC, MISSING)}},
    {"an addition to nothing", FUSED, {IN_POINTWISE(ADD, XDESC, MISSING)}},
    {"a bias of five", FUSED, {DIMS(B, 1, 5, 1, 1)}},
    {"a bias along the rows", FUSED, {DIMS(B, 1, 1, 8, 1)}},
    {"a bias of three dimensions", FUSED, {DIMS(B, 1, 6, 1), STRIDES(B, 6, 1, 6)}},
    {"a sum of another size", FUSED, {DIMS(SUM, 2, 6, 8, 9)}},
    {"relu passes no NaN", FUSED, {{RELUS, CUDNN_ATTR_POINTWISE_NAN_PROPAGATION,
        ENUM(NAN_PROPOGATION, CUDNN_NOT_PROPAGATE_NAN)}}},
    {"pointwise in double", FUSED, {{ADDS, CUDNN_ATTR_POINTWISE_MATH_PREC,
        ENUM(DATA_TYPE, CUDNN_DATA_DOUBLE)}}},
    {"a pack of one id too few", FORWARD, {IDS(1, 2, 4)}},
    {"a pack of an id twice", FORWARD, {IDS(1, 2, 2, 6)}},
    {"a pack without a workspace", FORWARD, {{PACK, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, MISSING}}},
};

/* For which real engines have knobs. */
static const row of_32_channels = {"of 32 channels", FORWARD,
    {DIMS(X, 8, 32, 14, 14), STRIDES(X, 6272, 1, 448, 32), DIMS(W, 64, 32, 3, 3),
     STRIDES(W, 288, 1, 96, 32), DIMS(Y, 8, 64, 14, 14), STRIDES(Y, 12544, 1, 896, 64)}};
