/* linear: y = dropout(relu(x W^T + b)), relu and dropout as asked.
 *
 *     forward:          x [N, in], w [out, in], b [out], rng -> y [N, out]; aux: a bit an element,
 *                       set where y is not cut, for ReLU when a gradient will be asked for
 *     backward:         dz [N, out], w, gate [N, in], aux -> dx = dz W through the gate
 *     backward_params:  dz, x -> dw = dz^T x, db = sum of dz over rows; written or added
 *
 * A bias, ReLU's derivative and the bias gradient ride on the products of f32 where cuBLASLt has a
 * plan for them (it is known to have none for sums of one term and bias gradients of one column).
 * The rest is done in place after the product: kernels/linear_finish.cu, gate.cu, reduce.cu. ReLU
 * is there too, because what the library's makes of NaN, and its bit at 0, are documented nowhere.
 * Floor: the products', and y read and written once more. The rule: src/ops/linear.c. */
#include "cuda/inside.h"

extern const bpi_op_kernels bpi_cuda_gate_f32, bpi_cuda_gate_f64;
extern const bpi_op_kernels bpi_cuda_sum_f32, bpi_cuda_sum_f64;

/* From row to row of a view in BPI_ROWS; an only row may have any stride, and the library wants one
 * that it fits in. */
static int64_t pitch_of(const bp_view *v)
{
    int64_t cols = v->shape.dim[1];
    return v->shape.dim[0] > 1 && v->stride[0] > cols ? v->stride[0] : cols > 0 ? cols : 1;
}

/* From row to row of the bits, as the library wants it. */
static int64_t aux_pitch(int64_t cols)
{
    return (cols + 127) / 128 * 128;
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    const bpi_linear_params *p = params;
    int64_t rows = in[0].shape.dim[0], cols = in[1].shape.dim[0];
    return p->relu ? (size_t)(rows * (aux_pitch(cols) / 8)) : 0;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_linear_params *p = params;
    const bp_view *x = &in[0], *weight = &in[1], *y = &out[0];
    int64_t rows = x->shape.dim[0], cols = weight->shape.dim[0], inner = x->shape.dim[1];
    bpi_product product = {.dtype = y->dtype, .m = rows, .n = cols, .k = inner, .alpha = 1,
                           .a = x->data, .a_pitch = pitch_of(x),
                           .b = weight->data, .b_pitch = pitch_of(weight), .b_transposed = 1,
                           .c = y->data, .c_pitch = y->stride[0]};
    if (rows == 0 || cols == 0)
        return BP_OK;
    if (y->dtype == BP_F32 && !p->relu && p->keep == 65536 && inner > 0) {
        bpi_product fused = product;
        fused.epilogue = BPI_EPILOGUE_BIAS;
        fused.bias = in[2].data;
        bp_status st = bpi_lt_product(ex, &fused);
        if (st != BP_ERR_UNSUPPORTED)
            return st;
    }
    BPI_TRY(bpi_lt_product(ex, &product));
    bpi_linear_finish finish = {.dtype = y->dtype, .y = y->data, .rows = rows, .cols = cols,
                                .pitch = y->stride[0], .bias = in[2].data,
                                .relu = (int32_t)p->relu, .site = p->site, .keep = p->keep,
                                .rng = in[3].data, .mask = out[1].data,
                                .mask_pitch = aux_pitch(cols)};
    return bpi_cuda_linear_finish(ex, &finish);
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_linear_backward_params *p = params;
    const bp_view *dz = &in[0], *weight = &in[1], *gate = &in[2], *aux = &in[3];
    int64_t rows = dz->shape.dim[0], cols = weight->shape.dim[1], inner = weight->shape.dim[0];
    bpi_product product = {.dtype = out->dtype, .m = rows, .n = cols, .k = inner, .alpha = 1,
                           .a = dz->data, .a_pitch = pitch_of(dz),
                           .b = weight->data, .b_pitch = pitch_of(weight),
                           .c = out->data, .c_pitch = out->stride[0]};
    if (out->dtype == BP_F32 && gate->data && aux->data && rows && cols && inner > 1) {
        bpi_product fused = product;
        fused.alpha = p->scale;
        fused.epilogue = BPI_EPILOGUE_DRELU;
        fused.aux = aux->data;
        fused.aux_pitch = aux_pitch(cols);
        bp_status st = bpi_lt_product(ex, &fused);
        if (st != BP_ERR_UNSUPPORTED)
            return st;
    }
    BPI_TRY(bpi_lt_product(ex, &product));
    if (!gate->data)
        return BP_OK;
    bpi_scale_params scale = {p->scale};
    const bp_view cut[2] = {*out, *gate};
    const bpi_op_kernels *op = out->dtype == BP_F64 ? &bpi_cuda_gate_f64 : &bpi_cuda_gate_f32;
    return op->slot[BPI_FORWARD].fn(ex, cut, out, &scale);
}

static bp_status backward_params(bp_exec *ex, const bp_view *in, const bp_view *out,
                                 const void *params)
{
    const bpi_linear_wgrad_params *p = params;
    const bp_view *dz = &in[0], *x = &in[1], *dw = &out[0], *db = &out[1];
    int64_t rows = dz->shape.dim[0], m = dz->shape.dim[1], n = x->shape.dim[1];
    bpi_product product = {.dtype = dz->dtype, .m = m, .n = n, .k = rows, .alpha = 1,
                           .a = dz->data, .a_pitch = pitch_of(dz), .a_transposed = 1,
                           .b = x->data, .b_pitch = pitch_of(x),
                           .c = dw->data, .c_pitch = dw->stride[0], .accumulate = p->add_w};
    int32_t writes = dw->data && db->data && !p->add_w && !p->add_b;
    if (dz->dtype == BP_F32 && writes && rows > 1 && m > 1 && n) {
        bpi_product fused = product;
        fused.epilogue = BPI_EPILOGUE_BGRAD;
        fused.bias = db->data;
        bp_status st = bpi_lt_product(ex, &fused);
        if (st != BP_ERR_UNSUPPORTED)
            return st;
    }
    if (dw->data)
        BPI_TRY(bpi_lt_product(ex, &product));
    if (!db->data)
        return BP_OK;
    bpi_sum_params sum = {1u | (p->add_b ? BPI_SUM_ADD : 0)};
    const bpi_op_kernels *op = dz->dtype == BP_F64 ? &bpi_cuda_sum_f64 : &bpi_cuda_sum_f32;
    return op->slot[BPI_FORWARD].fn(ex, dz, db, &sum);
}

#define LINEAR                                                                            \
    {                                                                                     \
        .slot = {                                                                         \
            [BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes},  \
            [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS},                        \
            [BPI_BACKWARD_PARAMS] = {.fn = backward_params, .layout = BPI_ROWS} }         \
    }
const bpi_op_kernels bpi_cuda_linear_f32 = LINEAR, bpi_cuda_linear_f64 = LINEAR;
