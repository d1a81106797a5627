/* linear: y = dropout(relu(x W^T + b)), relu and dropout as asked.
 *
 *     forward:          x [N, in], w [out, in], b [out], rng -> y [N, out]
 *     backward:         dz [N, out], w, gate [N, in] -> dx = dz W through the gate
 *     backward_params:  dz, x -> dw = dz^T x, db = sum of dz over rows; written or added; suspect
 *
 * Everything but db rides on the product's epilogue (gemm.c); db is reduce.c's sum over axis 0.
 * The rule: src/ops/linear.c. */
#include "cpu/gemm.h"
#include "cpu/dropout_row.h"
#include "cpu/over_axes.h"
#include "cpu/reduce.h"
#include "cpu/unfit.h"

extern const bpi_op_kernels BPI_CPU(op_sum);

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_linear_params *p = params;
    const bp_view *x = &in[0], *weight = &in[1];
    bpi_dropout d;
    bpi_gemm g = {.m = x->shape.dim[0], .n = weight->shape.dim[0], .k = x->shape.dim[1],
                  .a = x->data, .a_row = x->stride[0], .a_col = 1,
                  .b = weight->data, .b_row = 1, .b_col = weight->stride[0],
                  .c = out->data, .c_row = out->stride[0],
                  .bias = in[2].data, .relu = p->relu != 0};
    if (p->keep < 65536) {
        ex->work = NULL; /* the next run has other draws */
        g.dropout = &d;
        g.scale = bpi_dropout_init(&d, &in[3], p->site, p->keep);
    }
    return BPI_CPU(gemm)(ex, &g);
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    const bpi_linear_backward_params *p = params;
    const bp_view *dz = &in[0], *weight = &in[1], *gate = &in[2];
    bpi_gemm g = {.m = dz->shape.dim[0], .n = weight->shape.dim[1], .k = weight->shape.dim[0],
                  .a = dz->data, .a_row = dz->stride[0], .a_col = 1,
                  .b = weight->data, .b_row = weight->stride[0], .b_col = 1,
                  .c = out->data, .c_row = out->stride[0],
                  .gate = gate->data, .gate_row = gate->data ? gate->stride[0] : 0,
                  .scale = (real)p->scale};
    return BPI_CPU(gemm)(ex, &g);
}

/* dw and db, each perhaps absent. */
typedef struct gradients {
    bp_exec *ex;
    bpi_work dw, db; /* without a body: not wanted, or db of one row */
    int64_t rows, cols;
    const real *dz;
    real *bias; /* db, or NULL */
    int add;
    int32_t *suspect;
    bpi_gemm_plan product;
    _Alignas(16) char sum[BPI_OVER_AXES_JOB];
} gradients;

/* db of a single row, which is its sum: rounded from double it would be the same. */
OUTLINE void take_row(const gradients *j)
{
    vec seen = {0};
    for (int64_t i = 0; i < j->cols; i += LANES) {
        const int n = (int)at_most(j->cols - i, LANES);
        vec sum = load_part(j->dz + i, n);
        if (j->add)
            sum += load_part(j->bias + i, n);
        store_part(j->bias + i, sum, n);
        seen += sum * BPI_SUSPECT_SCALE;
    }
    if (j->suspect)
        bpi_judge(j->suspect, seen);
}

static void look_at_sum(const gradients *j)
{
    if (j->suspect && bpi_unfit(j->bias, j->cols, BPI_SUSPECT))
        *j->suspect = 1;
}

static void gradients_block(void *arg, int64_t block)
{
    const gradients *j = arg;
    (void)block;
    if (j->dw.body)
        bpi_run_work(j->ex, &j->dw);
    if (j->bias && j->rows == 1) {
        take_row(j);
    } else if (j->bias) {
        bpi_run_work(j->ex, &j->db);
        look_at_sum(j);
    }
}

static bp_status backward_params(bp_exec *ex, const bp_view *in, const bp_view *out,
                                 const void *params)
{
    const bpi_linear_wgrad_params *p = params;
    const bp_view *dz = &in[0], *x = &in[1], *dw = &out[0], *db = &out[1];
    bpi_gemm g = {.m = dz->shape.dim[1], .n = x->shape.dim[1], .k = dz->shape.dim[0],
                  .a = dz->data, .a_row = 1, .a_col = dz->stride[0],
                  .b = x->data, .b_row = x->stride[0], .b_col = 1,
                  .c = dw->data, .c_row = dw->stride[0], .accumulate = p->add_w,
                  .suspect = out[2].data};
    bpi_sum_params sum = {1u | (p->add_b ? BPI_SUM_ADD : 0)};
    gradients here, *j = ex->work ? ex->work->job : &here;
    bp_exec part = *ex; /* the work of each is a part of this one's */
    j->ex = ex;
    j->dw = (bpi_work){.job = &j->product};
    j->db = (bpi_work){.job = j->sum};
    j->rows = g.k;
    j->cols = g.m;
    j->dz = dz->data;
    j->bias = db->data;
    j->add = p->add_b;
    j->suspect = out[2].data;
    part.work = ex->work ? &j->dw : NULL;
    if (dw->data)
        BPI_TRY(BPI_CPU(gemm)(&part, &g));
    part.work = ex->work ? &j->db : NULL;
    if (db->data && g.k == 1) {
        take_row(j);
    } else if (db->data) {
        BPI_TRY(BPI_CPU(op_sum).slot[BPI_FORWARD].fn(&part, dz, db, &sum));
        look_at_sum(j);
    }
    if (ex->work && (!dw->data || j->dw.body) && (!db->data || g.k == 1 || j->db.body)) {
        ex->work->body = gradients_block;
        ex->work->blocks = 1;
    }
    return BP_OK;
}

/* What the sum of dz wants. */
static size_t workspace_bytes(const bp_view *in, const void *params)
{
    (void)params;
    bpi_sum_params sum = {1};
    return BPI_CPU(op_sum).slot[BPI_FORWARD].workspace_bytes(in, &sum);
}

BPI_CPU_OP(linear) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS,
                              .job_bytes = sizeof(bpi_gemm_plan)},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS,
                               .job_bytes = sizeof(bpi_gemm_plan)},
             [BPI_BACKWARD_PARAMS] = {.fn = backward_params, .layout = BPI_ROWS,
                                      .workspace_bytes = workspace_bytes, .notes = 1,
                                      .job_bytes = sizeof(gradients)}}};
