/* A permutation of 0 .. n - 1: src/door/permutation.h. The random state is the op's input, as of
 * draw.c. Kernel: src/cpu/permutation.c. */
#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_draw_params *p = params;
    (void)in;
    if (p->shape.dim[0] < 0 || p->shape.dim[0] > INT32_MAX)
        return bpi_why(why, BP_ERR_ARG, "%lld numbers, not 0 to 2147483647",
                       (long long)p->shape.dim[0]);
    bpi_view_packed(&out[0], BP_I32, p->shape);
    return BP_OK;
}

const bp_op bpi_op_permutation = {
    .def = {.name = "permutation", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_draw_params),
            .infer = infer},
    .id = BPI_OP_permutation,
};

bp_tensor *bp_permutation(bp_context *ctx, int64_t n)
{
    bpi_draw_params params = {.shape = {1, {n}}};
    bp_tensor *y = NULL;
    if (bpi_enter(ctx) != BP_OK)
        return NULL;
    if (bpi_next_site(ctx, &params.site) == BP_OK)
        y = bpi_apply1(&bpi_op_permutation, ctx->rng, &params);
    bpi_leave(ctx);
    return y;
}
