/* uniform, normal, and bernoulli with one probability: one kernel, which reads the random state
 * alone. That is the op's input and leads it to its context; no gradient reaches it. What becomes
 * of a word: src/door/draw.h. Kernel: src/cpu/draw.c. */
#include <math.h>

#include "ops/rule.h"

static bp_status infer(const bp_view *in, bp_view *out, const void *params, char *why)
{
    const bpi_draw_params *p = params;
    (void)in;
    if (!bpi_is_real(p->dtype))
        return bpi_why(why, BP_ERR_DTYPE, "the dtype is %s, not f32 or f64",
                       bp_dtype_name(p->dtype));
    if (!bpi_shape_valid(&p->shape))
        return bpi_why(why, BP_ERR_SHAPE, "bad shape %s with %d sizes",
                       bpi_shape_str(&p->shape).s, (int)p->shape.ndim);
    bpi_view_packed(&out[0], p->dtype, p->shape);
    return BP_OK;
}

#define DRAW(op)                                                                                  \
    {.def = {.name = #op, .n_in = 1, .n_out = 1, .params_bytes = sizeof(bpi_draw_params),         \
             .infer = infer},                                                                     \
     .id = BPI_OP_draw}
const bp_op bpi_op_draw = DRAW(draw);
static const bp_op kinds[] = {[BPI_UNIFORM] = DRAW(uniform), [BPI_NORMAL] = DRAW(normal),
                              [BPI_CHANCE] = DRAW(bernoulli)};

/* Whether the numbers are what the kind wants, as kernels have them; p->most. */
static bp_status check(bp_context *ctx, bpi_draw_params *p)
{
    static const char *const want[] = {"lo <= hi, finite with their difference",
                                       "a mean and a deviation >= 0, finite", "0 <= p <= 1"};
    bool single = p->dtype == BP_F32, good = p->kind != BPI_CHANCE || (p->a >= 0 && p->a <= 1);
    double a = single ? (double)(float)p->a : p->a, b = single ? (double)(float)p->b : p->b;
    double hi = b;
    if (p->kind == BPI_UNIFORM)
        b = single ? (double)(float)(b - a) : b - a;
    if (!(good && isfinite(a) && isfinite(hi) && isfinite(b) && b >= 0)) {
        if (p->kind == BPI_CHANCE)
            return bpi_fail(ctx, BP_ERR_ARG, "bernoulli: the probability %g is not in [0, 1]",
                            p->a);
        return bpi_fail(ctx, BP_ERR_ARG, "%s: %g and %g are not %s in %s", kinds[p->kind].def.name,
                        p->a, p->b, want[p->kind], bp_dtype_name(p->dtype));
    }
    p->most = single ? (double)nextafterf((float)hi, (float)a) : nextafter(hi, a);
    p->a = a;
    p->b = b;
    return BP_OK;
}

static bp_tensor *draw(bp_context *ctx, bpi_draw_params params)
{
    bp_tensor *y = NULL;
    if (bpi_enter(ctx) != BP_OK)
        return NULL;
    if (check(ctx, &params) == BP_OK && bpi_next_site(ctx, &params.site) == BP_OK)
        y = bpi_apply1(&kinds[params.kind], ctx->rng, &params);
    bpi_leave(ctx);
    return y;
}

bp_tensor *bp_uniform(bp_context *ctx, bp_dtype dtype, bp_shape shape, double lo, double hi)
{
    return draw(ctx, (bpi_draw_params){
                         .a = lo, .b = hi, .kind = BPI_UNIFORM, .shape = shape, .dtype = dtype});
}

bp_tensor *bp_normal(bp_context *ctx, bp_dtype dtype, bp_shape shape, double mean, double deviation)
{
    return draw(ctx, (bpi_draw_params){.a = mean, .b = deviation, .kind = BPI_NORMAL,
                                       .shape = shape, .dtype = dtype});
}

bp_tensor *bp_bernoulli(bp_context *ctx, bp_dtype dtype, bp_shape shape, double p)
{
    return draw(ctx, (bpi_draw_params){
                         .a = p, .kind = BPI_CHANCE, .shape = shape, .dtype = dtype});
}
