/* y = 1 where u < p, else 0, u uniform (src/door/draw.h): a probability for each element. No
 * gradient: y is constant almost everywhere. Kernel: src/cpu/bernoulli.c. */
#include "ops/rule.h"

const bp_op bpi_op_bernoulli = {
    .def = {.name = "bernoulli_of", .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_draw_params),
            .infer = bpi_infer_like},
    .id = BPI_OP_bernoulli,
    .none = "bernoulli_of: input 0 is NULL",
    .flags = BPI_OP_DRAWS,
};

bp_tensor *bp_bernoulli_of(bp_tensor *p)
{
    bpi_draw_params params = {0};
    if (p && bpi_next_site(bpi_at(p)->ctx, &params.site) != BP_OK)
        return NULL;
    return bpi_apply1(&bpi_op_bernoulli, p, &params);
}
