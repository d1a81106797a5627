/* linear: y = dropout(relu(x W^T + b)), relu and dropout as asked.
 *
 *     forward:          x [N, in], w [out, in], b [out], rng -> y [N, out]
 *     backward:         dz [N, out], w, gate [N, in] -> dx = dz W through the gate
 *     backward_params:  dz, x -> dw = dz^T x, db = sum of dz over rows; written or added; suspect
 *
 * Everything but db rides on the product's epilogue (gemm.c); db is reduce.c's sum over axis 0, or
 * that of a few rows, which with a small product is work of one block.
 * The rule: src/ops/linear.c. */
#include "cpu/gemm.h"
#include "cpu/dropout_row.h"
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

enum { FEW = 8, COLS = 64 };

typedef struct few {
    bpi_gemm_plan w;      /* of dw */
    const real *dz;       /* [rows, cols], `row` from one to the next */
    int64_t rows, cols, row;
    real *db;             /* may be NULL */
    int add, has_w;
    int32_t *suspect;
} few;

/* db of up to COLS columns. A single row is its sum. */
static void sum_few(const few *f, const real *dz, real *db, int64_t n)
{
    double sum[COLS];
    if (f->rows == 1) {
        for (int64_t j = 0; j < n; j++)
            db[j] = f->add ? dz[j] + db[j] : dz[j]; /* rounded from double it would be the same */
    } else {
        for (int64_t j = 0; j < n; j++)
            sum[j] = (double)dz[j];
        for (int64_t i = 1; i < f->rows; i++)
            for (int64_t j = 0; j < n; j++)
                sum[j] += (double)dz[i * f->row + j];
        for (int64_t j = 0; j < n; j++)
            db[j] = (real)(f->add ? sum[j] + (double)db[j] : sum[j]);
    }
    if (f->suspect && bpi_unfit(db, n, BPI_SUSPECT))
        *f->suspect = 1;
}

/* dw and db of a few rows. */
static void few_block(void *arg, int64_t block)
{
    few *f = arg;
    if (f->has_w)
        BPI_CPU(gemm_block)(&f->w, block);
    if (!f->db)
        return;
    for (int64_t first = 0; first < f->cols; first += COLS)
        sum_few(f, f->dz + first, f->db + first, at_most(f->cols - first, COLS));
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
    few f = {.dz = dz->data, .rows = g.k, .cols = g.m, .row = g.a_col, .db = db->data,
             .add = p->add_b, .has_w = dw->data != NULL, .suspect = out[2].data};
    if (g.k >= 1 && g.k <= FEW && g.m > 0 && g.n > 0 && BPI_CPU(gemm_small)(&f.w, &g))
        return run_work(ex, 1, few_block, &f, sizeof f);
    ex->work = NULL; /* several pieces */
    bp_status st = dw->data ? BPI_CPU(gemm)(ex, &g) : BP_OK;
    if (st == BP_OK && db->data) {
        bpi_sum_params sum = {1u | (p->add_b ? BPI_SUM_ADD : 0)};
        st = BPI_CPU(op_sum).slot[BPI_FORWARD].fn(ex, dz, db, &sum);
        if (out[2].data && bpi_unfit(db->data, db->shape.dim[0], BPI_SUSPECT))
            *(int32_t *)out[2].data = 1;
    }
    return st;
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
                                      .job_bytes = sizeof(few)}}};
