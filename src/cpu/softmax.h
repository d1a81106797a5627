/* The parts of a softmax over rows: the largest element, the terms e^(x - max), and their sum.
 *
 * e^x is a chain of 15 operations: a group of vectors takes each of them together. A term below the
 * least normal number is 0. Rows of up to SHORT_ROW go LANES at a time, a lane each. Used by
 * softmax.c, log_softmax.c and cross_entropy.c. */
#ifndef BPI_CPU_SOFTMAX_H
#define BPI_CPU_SOFTMAX_H

#include "cpu/vec_rows.h"
#include "cpu/vmath.h"

enum { SHORT_ROW = 4 * LANES, AHEAD = 4096 / (int)sizeof(real), FAR_AHEAD = 1 << 20 };

#if BPI_F64
#define EXP_SHIFT (0x1.8p52 + 1023) /* BPI_SHIFT, and the bias of an exponent */
#define EXP_LEAST (-708.39)
static const real exp_q[] = {
    0x1.1f4adde5bd1c2p-29, 0x1.af6166f749914p-26, 0x1.27e4f168d0835p-22, 0x1.71ddf6f130807p-19,
    0x1.a01a019e89583p-16, 0x1.a01a01b05ec65p-13, 0x1.6c16c16c17689p-10, 0x1.111111110f5c3p-7,
    0x1.5555555555554p-5, 0x1.5555555555559p-3, 0.5, 1, 1};
enum { EXP_Q = 13 };
#else
#define EXP_SHIFT (0x1.8p23f + 127)
#define EXP_LEAST (-87.3365f)
static const real exp_q[] = {0x1.a254cap-13f, 0x1.6d3ca4p-10f, 0x1.110ffcp-7f, 0x1.5554f6p-5f,
                             0x1.555556p-3f, 0.5f, 1, 1};
enum { EXP_Q = 8 };
#endif

/* e^x for x <= 0 and NaN. */
INLINE void exp_group(const int n, vec x[])
{
    vec t[GROUP], r[GROUP], q[GROUP];
    const vec shift = splat(EXP_SHIFT);
    UNROLL for (int v = 0; v < n; v++)
        t[v] = x[v] * (real)BPI_LOG2E + shift;
    UNROLL for (int v = 0; v < n; v++)
        q[v] = t[v] - shift;
    UNROLL for (int v = 0; v < n; v++)
        r[v] = x[v] - q[v] * (real)BPI_LN2_HI;
    UNROLL for (int v = 0; v < n; v++)
        r[v] = r[v] - q[v] * (real)BPI_LN2_LO;
    UNROLL for (int v = 0; v < n; v++)
        q[v] = splat(exp_q[0]);
    UNROLL for (int k = 1; k < EXP_Q; k++)
        UNROLL for (int v = 0; v < n; v++)
            q[v] = q[v] * r[v] + exp_q[k];
    UNROLL for (int v = 0; v < n; v++)
        t[v] = (vec)((lane_mask)t[v] << BPI_MANTISSA);
    UNROLL for (int v = 0; v < n; v++)
        x[v] = zero_below(q[v] * t[v], x[v], splat(EXP_LEAST));
}

/* The sum of e^(x - max); e takes the terms where `keep`. Meanwhile what comes next is fetched: x
 * AHEAD elements on, which may be the next row, and the row that will be written. */
INLINE double row_exp(const int keep, real *e, const real *x, int64_t n, real max, const real *y)
{
    const vec m = splat(max), least = splat(-(real)INFINITY);
    const int64_t ahead = at_most(at_least(n, AHEAD), FAR_AHEAD);
    double sum[1];
    ROW_SUMS(1, sum, n,
        vec t[GROUP];
        UNROLL for (int v = 0; v < GROUP * BPI_VECTOR_BYTES; v += 64) {
            __builtin_prefetch((const char *)(x + i + ahead) + v);
            __builtin_prefetch((const char *)(y + i + (keep ? AHEAD : 0)) + v, 1);
        }
        EACH_VEC t[v] = get(x + i, v, left, least) - m;
        exp_group(GROUP, t);
        EACH_VEC {
            acc[0][v] += t[v];
            if (keep)
                put(e + i, v, left, t[v]);
        });
    return sum[0];
}

/* Cuts rows into blocks of 8K to 32K elements, a multiple of what is done at a time. */
static inline int64_t softmax_cut(bpi_rows *r)
{
    int64_t grain = at_most(at_least(r->n * r->size / 16, 8192), 32768);
    r->per_block = at_least(grain / at_least(r->size, 1), 1);
    if (r->size <= SHORT_ROW)
        r->per_block = parts(r->per_block, LANES) * LANES;
    return parts(r->n, r->per_block);
}

/* --- short rows: LANES of them at a time, a lane each ------------------------------------- */

enum { COLUMNS = SHORT_ROW + GROUP };

/* col[j] holds element j of every row; lanes beyond the last row repeat it. */
INLINE void load_columns(vec col[COLUMNS], const real *x, int64_t pitch, int64_t n, int64_t rows)
{
    for (int64_t c = 0; c < n; c += LANES) {
        vec t[LANES];
        int part = (int)at_most(n - c, LANES);
        UNROLL for (int i = 0; i < LANES; i++) {
            const real *from = x + (i < rows ? i : rows - 1) * pitch + c;
            t[i] = part == LANES ? load(from) : load_part(from, part);
        }
        transpose(t);
        UNROLL for (int i = 0; i < LANES; i++)
            col[c + i] = t[i];
    }
}

INLINE void store_columns(real *y, int64_t pitch, const vec col[COLUMNS], int64_t n, int64_t rows)
{
    for (int64_t c = 0; c < n; c += LANES) {
        vec t[LANES];
        int part = (int)at_most(n - c, LANES);
        UNROLL for (int i = 0; i < LANES; i++)
            t[i] = col[c + i];
        transpose(t);
        UNROLL for (int i = 0; i < LANES; i++)
            if (i < rows) {
                if (part == LANES)
                    store(y + i * pitch + c, t[i]);
                else
                    store_part(y + i * pitch + c, t[i], part);
            }
    }
}

INLINE vec columns_max(const vec col[COLUMNS], int64_t n)
{
    vec m = splat(-(real)INFINITY);
    for (int64_t j = 0; j < n; j++)
        m = larger(col[j], m);
    return m;
}

/* e[j] = e^(col[j] - max), and their sum; e may be col. */
INLINE vec columns_exp(vec e[COLUMNS], vec col[COLUMNS], int64_t n, vec max)
{
    vec acc[GROUP];
    UNROLL for (int v = 0; v < GROUP; v++) {
        acc[v] = splat(0);
        col[n + v] = splat(-(real)INFINITY);
    }
    for (int64_t j = 0; j < n; j += GROUP) {
        vec t[GROUP];
        UNROLL for (int v = 0; v < GROUP; v++)
            t[v] = col[j + v] - max;
        exp_group(GROUP, t);
        UNROLL for (int v = 0; v < GROUP; v++) {
            acc[v] += t[v];
            e[j + v] = t[v];
        }
    }
    return (acc[0] + acc[1]) + (acc[2] + acc[3]);
}

/* --- softmax and log_softmax, which differ in what a row and LANES short rows are ------------ */

typedef struct softmax_job {
    bpi_rows x, y, dx; /* backward: x is dy */
} softmax_job;

static inline softmax_job softmax_of(const bp_view *x, const bp_view *y, const bp_view *dx)
{
    const int32_t outer = x->shape.ndim - 1;
    return (softmax_job){bpi_rows_of(x, outer), bpi_rows_of(y, outer), bpi_rows_of(dx, outer)};
}

/* static void name(job, block) over the rows of a block. */
#define SOFTMAX_BLOCKS(name, one_row, short_rows)                                                \
    static void name(void *arg, int64_t block)                                                   \
    {                                                                                            \
        const softmax_job *w = arg;                                                              \
        int64_t end = bpi_rows_end(&w->x, block), step = w->x.size <= SHORT_ROW ? LANES : 1;     \
        for (int64_t r = block * w->x.per_block; r < end; r += step)                             \
            if (step > 1)                                                                        \
                short_rows(w, r, at_most(end - r, LANES));                                       \
            else                                                                                 \
                one_row(w, r);                                                                   \
    }

/* The table entry, from forward_row, forward_short, backward_row and backward_short. */
#define SOFTMAX_OP(op)                                                                           \
    SOFTMAX_BLOCKS(forward_block, forward_row, forward_short)                                    \
    SOFTMAX_BLOCKS(backward_block, backward_row, backward_short)                                 \
    static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out,                 \
                             const void *params)                                                 \
    {                                                                                            \
        (void)params;                                                                            \
        softmax_job w = softmax_of(in, out, out);                                                \
        bp_parallel_for(ex, softmax_cut(&w.x), forward_block, &w);                               \
        return BP_OK;                                                                            \
    }                                                                                            \
    static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out,                \
                              const void *params)                                                \
    {                                                                                            \
        (void)params;                                                                            \
        softmax_job w = softmax_of(&in[0], &in[1], out);                                         \
        bp_parallel_for(ex, softmax_cut(&w.x), backward_block, &w);                              \
        return BP_OK;                                                                            \
    }                                                                                            \
    BPI_CPU_OP(op) = {.slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS},              \
                               [BPI_BACKWARD] = {.fn = backward, .layout = BPI_ROWS}}}

#endif
