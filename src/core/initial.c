/* Initial values of parameters, made on the host: a number a word of the stream of (seed, number of
 * the store, index of the parameter), which depends on the element's logical index, not on the
 * pitch; params.h has the formulas.
 *
 * Orthogonal is Gram-Schmidt over normal vectors, the rows of a wide matrix or the columns of a
 * tall one: their triangle has a positive diagonal, so that the matrix is of the uniform
 * distribution (Haar's), as Saxe et al. want it. */
#include <math.h>

#include "core/context.h"
#include "core/error.h"
#include "core/params.h"
#include "core/view.h"
#include "door/draw.h"

bool bpi_segment_draws(const bpi_segment *s)
{
    return s->init >= BP_INIT_LECUN;
}

int64_t bpi_segment_room(const bpi_segment *s)
{
    return s->fill || s->init == BP_INIT_ORTHOGONAL ? bp_shape_count(s->shape) : 0;
}

void bpi_segment_put(const bpi_segment *s, void *flat, int64_t e, double x)
{
    const bp_view *v = bpi_view_of(s->value);
    int64_t cols = s->shape.ndim ? s->shape.dim[s->shape.ndim - 1] : 1;
    int64_t pitch = s->shape.ndim == 2 ? v->stride[0] : cols;
    int64_t at = s->offset + e / cols * pitch + e % cols;
    if (v->dtype == BP_F32)
        ((float *)flat)[at] = (float)x;
    else
        ((double *)flat)[at] = x;
}

/* The middle of a word's cell of (0, 1). */
static double unit(uint32_t word)
{
    return ((double)word + 0.5) / 4294967296.0;
}

static double normal(uint32_t word)
{
    return bpi_normal_f64((uint64_t)word << 32 | 0x80000000u);
}

static bpi_stream stream_of(const bp_params *p, const bpi_segment *s)
{
    return (bpi_stream){p->ctx->seed, p->ctx->drawn_stores,
                        bpi_purpose_site(BPI_PURPOSE_INIT, (uint32_t)(s - p->segment))};
}

/* Each element by itself. */
static void draw(const bp_params *p, const bpi_segment *s, void *flat)
{
    int64_t count = bp_shape_count(s->shape), n = s->shape.ndim;
    bool glorot = s->init == BP_INIT_GLOROT || s->init == BP_INIT_GLOROT_NORMAL;
    bool lecun = s->init == BP_INIT_LECUN || s->init == BP_INIT_LECUN_NORMAL;
    bool even = s->init == BP_INIT_LECUN || s->init == BP_INIT_HE || s->init == BP_INIT_GLOROT;
    int64_t fan_in = n ? count / s->shape.dim[0] : 1, fan_out = n ? count / s->shape.dim[n - 1] : 1;
    double fan = (double)fan_in + (glorot ? (double)fan_out : 0), over = lecun ? 1 : 2;
    double scale = sqrt((even ? 3 * over : over) / fan);
    bpi_stream stream = stream_of(p, s);
    uint32_t word[4] = {0};
    for (int64_t e = 0; e < count; e++) {
        if (e % 4 == 0)
            bpi_philox_block(&stream, (uint64_t)e / 4, word);
        double x = even ? 2 * unit(word[e % 4]) - 1 : normal(word[e % 4]);
        bpi_segment_put(s, flat, e, scale * x);
    }
}

/* --- orthogonal --------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, int64_t n)
{
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* What is left of vector k without its parts along those before it. Again where most of it was
 * along them: what is left then is in part the rounding of what was taken away (Kahan's "twice is
 * enough": Parlett, The Symmetric Eigenvalue Problem, 1980). */
static double project(double *v, int64_t k, int64_t length)
{
    double *w = v + k * length, left = sqrt(dot(w, w, length)), before;
    do {
        before = left;
        for (int64_t j = 0; j < k; j++) {
            const double *q = v + j * length;
            double along = dot(q, w, length);
            for (int64_t i = 0; i < length; i++)
                w[i] -= along * q[i];
        }
        left = sqrt(dot(w, w, length));
    } while (left < 0.5 * before);
    return left;
}

static void orthogonal(const bp_params *p, const bpi_segment *s, void *flat, double *v)
{
    int64_t count = bp_shape_count(s->shape), rows = s->shape.ndim ? s->shape.dim[0] : 1;
    int64_t cols = count / rows, n = rows < cols ? rows : cols, length = count / n;
    bpi_stream stream = stream_of(p, s);
    for (int64_t e = 0; e < count; e++)
        v[e] = normal(bpi_random_word(&stream, (uint64_t)e));
    for (int64_t k = 0; k < n; k++) {
        double norm = project(v, k, length);
        for (int64_t i = 0; i < length; i++)
            v[k * length + i] /= norm;
    }
    for (int64_t e = 0; e < count; e++) /* of a tall matrix the vectors are columns */
        bpi_segment_put(s, flat, e, rows <= cols ? v[e] : v[e % cols * length + e / cols]);
}

/* --- a function of the host's --------------------------------------------------------------- */

static const char filling[] =
    "a function of initial values calls the library, which it may not, or was left by longjmp: "
    "then the context can only be closed";

static void reopen(bp_context **ctx)
{
    (*ctx)->shut = NULL;
}

static bp_status call(bp_context *ctx, const bpi_segment *s, double *value, int64_t n)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, ctx, false);
    __attribute__((cleanup(reopen))) bp_context *shut = ctx;
    shut->shut = filling;
    bp_status st = s->fill(s->user, value, n);
    return bpi_callback_end(&callback) ? BP_ERR_STATE : st; /* it cannot: nothing may be called */
}

static bp_status filled(const bp_params *p, const bpi_segment *s, void *flat, double *value)
{
    int64_t n = bp_shape_count(s->shape);
    bp_status st = call(p->ctx, s, value, n);
    if (st != BP_OK)
        return bpi_fail(p->ctx, st, "param %s: its function of initial values returned %d (%s)",
                        s->name, (int)st, bp_status_name(st));
    for (int64_t e = 0; e < n; e++) {
        if (!isfinite(p->dtype == BP_F32 ? (double)(float)value[e] : value[e]))
            return bpi_fail(p->ctx, BP_ERR_NONFINITE,
                            "param %s: its function of initial values gives %g for element %lld, "
                            "which is not finite in %s", s->name, value[e], (long long)e,
                            bp_dtype_name(p->dtype));
        bpi_segment_put(s, flat, e, value[e]);
    }
    return BP_OK;
}

bp_status bpi_segment_initialise(const bp_params *p, int64_t i, void *flat, double *room)
{
    const bpi_segment *s = &p->segment[i];
    if (s->fill)
        return filled(p, s, flat, room);
    if (s->init == BP_INIT_ORTHOGONAL)
        orthogonal(p, s, flat, room);
    else if (bpi_segment_draws(s))
        draw(p, s, flat);
    else
        for (int64_t e = 0; e < bp_shape_count(s->shape); e++)
            bpi_segment_put(s, flat, e, s->constant);
    return BP_OK;
}
