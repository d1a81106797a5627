/* The norm of what comes into a unit, held: w <- w c / |w| where |w| > c, for each row of a weight.
 * Made of ops, so that it is a part of a step on every device. */
#include "core/context.h"
#include "core/error.h"
#include "core/params.h"

/* Rows that are within stay as they are, bit by bit, and so does one that was held before, whose
 * norm may be off by its rounding. */
static const double SLACK = 1e-5;

static bp_status hold(bp_tensor *w, double most)
{
    uint32_t all_but_first = BP_AXIS(bp_shape_of(w).ndim) - 2;
    bp_tensor *sum = bp_sum_squares_axes(w, all_but_first, 1);
    bp_tensor *factor = bp_where(bp_threshold(sum, most * most * (1 + SLACK)),
                                 bp_scale(bp_rsqrt(sum), most), bp_full_like(sum, 1));
    return bp_copy_into(w, bp_mul(w, factor));
}

static bp_status hold_all(bp_params *p, const char *pattern, double most)
{
    bp_context *ctx = p->ctx;
    BPI_TRY(bpi_given(ctx, pattern, "max_norm: pattern"));
    if (!(most > 0 && most <= 1e15))
        return bpi_fail(ctx, BP_ERR_ARG, "max_norm: the norm cannot be %g; a number above 0 and up "
                        "to 1e15 is wanted", most);
    BPI_TRY(bpi_params_matched(p, pattern, "max_norm"));
    BPI_TRY(bp_scope_begin(ctx, BP_NO_GRAD));
    bp_status st = BP_OK;
    for (int64_t i = 0; i < p->n && st == BP_OK; i++)
        if (bpi_segment_decays(&p->segment[i]) && !p->segment[i].frozen &&
            bpi_name_matches(pattern, p->segment[i].name))
            st = hold(bp_param_at(p, (int32_t)i), most);
    bp_status end = bp_scope_end(ctx);
    return st != BP_OK ? st : end;
}

bp_status bp_max_norm(bp_params *p, const char *pattern, double most)
{
    BPI_LEADS(p, "max_norm: params");
    BPI_INSIDE(p->ctx, hold_all(p, pattern, most));
}
