/* attention: y = softmax(scale q k^T + mask) v, without the matrix of weights in memory.
 *
 *     forward:   q [.., T, D], k [.., S, D], v [.., S, E], mask -> y [.., T, E]; aux: L [.., T]
 *                x_ij = scale q_i k_j + mask_ij, L_i = ln sum_j e^x_ij,
 *                y_i = sum_j e^(x_ij - L_i) v_j
 *     backward:  dy, q, k, v, mask, y, L -> dq, dk, dv
 *                p_ij = e^(x_ij - L_i), g_ij = scale p_ij (dy_i v_j - dy_i y_i)
 *                dv = p^T dy, dq = g k, dk = g^T q
 *
 * A strip of queries meets the keys chunk by chunk, with the largest x so far, the sum of terms and
 * y relative to it (Dao et al., FlashAttention, 2022). Scores stand as [keys][queries]: the queries
 * are the panel that the product brings into order once, and max and sum go lane by lane. A query
 * without a key has weights 0. Backward takes many heads one by one; of few, chunks of keys and
 * then strips of queries, at the price of making scores and dp twice. That follows from the shape,
 * as does the order of every sum. The rule: src/ops/attention.c. */
#include <string.h>

#include "cpu/gemm.h"
#include "cpu/vmath.h"

enum {
    QUERIES = 32,        /* of a strip */
    KEYS = 128,          /* of a chunk: its scores, and those of dp, stay in the first cache */
    TERMS = 16,          /* of a sum of e^x in `real`, before it goes to double */
    BLOCK_WORK = 250000, /* multiply-adds that are worth a thread's while */
    MANY_HEADS = 16      /* each of which is a block of its own */
};

/* A matrix of one head; [row, col] is data[row * r + col * c]. */
typedef struct matrix {
    real *data;
    int64_t r, c;
} matrix;

typedef struct job {
    const bp_view *q, *k, *v, *mask, *y, *dy, *dq, *dk, *dv; /* NULL: absent */
    real *log_sum;                                           /* L, or NULL */
    int64_t heads, n_q, n_k, d, e;
    real scale;
    int causal;
    int64_t per_head, per_block;                             /* parts of a head, of a block */
    void (*part)(const struct job *w, int64_t h, int64_t number);
} job;

/* Elements from the first head of v to head `h` of all; an axis of size 1 repeats. */
static int64_t head_of(const job *w, const bp_view *v, int64_t h)
{
    int64_t offset = 0;
    for (int32_t i = w->q->shape.ndim - 3; i >= 0; i--) {
        int64_t size = w->q->shape.dim[i], next = h / size;
        offset += (h - next * size) * bpi_broadcast_stride(v, w->q, i);
        h = next;
    }
    return offset;
}

static matrix matrix_of(const job *w, const bp_view *v, int64_t h)
{
    const int64_t *stride = v->stride + v->shape.ndim - 2;
    return (matrix){(real *)v->data + head_of(w, v, h), stride[0], stride[1]};
}

static matrix rows_from(matrix m, int64_t row)
{
    m.data += row * m.r;
    return m;
}

static matrix swapped(matrix m)
{
    return (matrix){m.data, m.c, m.r};
}

/* C [m, n] (+)= A [m, k] B [k, n]; rows of C are packed in memory. */
static void multiply(matrix c, int64_t m, int64_t n, int64_t k, matrix a, matrix b, int add)
{
    bpi_gemm g = {.m = m, .n = n, .k = k, .a = a.data, .a_row = a.r, .a_col = a.c, .b = b.data,
                  .b_row = b.r, .b_col = b.c, .c = c.data, .c_row = c.r, .accumulate = add};
    BPI_CPU(gemm_alone)(&g);
}

/* --- scores ---------------------------------------------------------------------------------- */

/* A strip of queries and a chunk of keys. */
typedef struct pair {
    int64_t h, q, queries, k, keys;
} pair;

#define EACH_QUERY for (int j = 0; j < QUERIES; j++)

static void add_mask(const job *w, const pair *at, real *x)
{
    const bp_view *v = w->mask;
    int64_t by_key = bpi_broadcast_stride(v, w->q, w->q->shape.ndim - 1);
    int64_t by_query = bpi_broadcast_stride(v, w->q, w->q->shape.ndim - 2);
    int64_t from = head_of(w, v, at->h) + at->q * by_query + at->k * by_key;
    const real *added = (const real *)v->data + from;
    const uint8_t *kept = (const uint8_t *)v->data + from;
    for (int64_t p = 0; p < at->keys; p++, x += QUERIES)
        for (int64_t j = 0; j < at->queries; j++) {
            int64_t i = j * by_query + p * by_key;
            if (v->dtype != BP_U8)
                x[j] += added[i];
            else if (!kept[i])
                x[j] = -(real)INFINITY;
        }
}

/* x [keys][QUERIES]. Lanes beyond the queries hold numbers that nobody reads. */
static void make_scores(const job *w, const pair *at, matrix q, matrix k, real *x)
{
    if (at->queries < QUERIES)
        memset(x, 0, (size_t)(at->keys * QUERIES) * sizeof *x);
    multiply((matrix){x, QUERIES, 1}, at->keys, at->queries, w->d, rows_from(k, at->k),
             swapped(rows_from(q, at->q)), 0);
    for (int64_t i = 0; i < at->keys * QUERIES; i++)
        x[i] *= w->scale;
    if (w->mask)
        add_mask(w, at, x);
    if (w->causal && at->k + at->keys - 1 > at->q)
        for (int64_t p = 0; p < at->keys; p++)
            for (int64_t j = 0; j < at->queries && j < at->k + p - at->q; j++)
                x[p * QUERIES + j] = -(real)INFINITY;
}

/* x becomes e^(x - base). */
OUTLINE void make_terms(real *x, int64_t keys, const real base[QUERIES])
{
    for (int64_t p = 0; p < keys; p++)
        EACH_QUERY
            x[p * QUERIES + j] = exp_of(x[p * QUERIES + j] - base[j]);
}

/* The keys that a strip may look at. */
static int64_t keys_of(const job *w, int64_t q, int64_t queries)
{
    return w->causal ? at_most(q + queries, w->n_k) : w->n_k;
}

/* --- forward --------------------------------------------------------------------------------- */

/* Of each query of a strip. */
typedef struct running {
    real max[QUERIES];
    double sum[QUERIES];
} running;

/* Takes a chunk in: x becomes e^(x - max); `shrunk` takes the sums before to this max. */
static void take_in(running *s, real *x, int64_t keys, real shrunk[QUERIES])
{
    real max[QUERIES], base[QUERIES];
    memcpy(max, s->max, sizeof max);
    for (int64_t p = 0; p < keys; p++)
        EACH_QUERY
            max[j] = x[p * QUERIES + j] > max[j] ? x[p * QUERIES + j] : max[j];
    EACH_QUERY
    {
        base[j] = max[j] == -(real)INFINITY ? 0 : max[j];
        shrunk[j] = exp_of(s->max[j] - base[j]);
        s->sum[j] *= (double)shrunk[j];
        s->max[j] = max[j];
    }
    make_terms(x, keys, base);
    for (int64_t p = 0; p < keys; p += TERMS) {
        real part[QUERIES] = {0};
        for (int64_t i = p; i < at_most(p + TERMS, keys); i++)
            EACH_QUERY
                part[j] += x[i * QUERIES + j];
        EACH_QUERY
            s->sum[j] += (double)part[j];
    }
}

static void scale_rows(matrix y, int64_t rows, int64_t cols, const real *factor)
{
    for (int64_t j = 0; j < rows; j++)
        for (int64_t i = 0; i < cols; i++)
            y.data[j * y.r + i] *= factor[j];
}

static void forward_strip(const job *w, int64_t h, int64_t strip)
{
    real x[KEYS * QUERIES] __attribute__((aligned(64))), factor[QUERIES];
    pair at = {.h = h, .q = strip * QUERIES};
    at.queries = at_most(QUERIES, w->n_q - at.q);
    matrix q = matrix_of(w, w->q, h), k = matrix_of(w, w->k, h), v = matrix_of(w, w->v, h);
    matrix y = rows_from(matrix_of(w, w->y, h), at.q);
    running s;
    EACH_QUERY
    {
        s.max[j] = -(real)INFINITY;
        s.sum[j] = 0;
    }
    int64_t end = keys_of(w, at.q, at.queries);
    for (; at.k < end; at.k += KEYS) {
        at.keys = at_most(KEYS, end - at.k);
        make_scores(w, &at, q, k, x);
        take_in(&s, x, at.keys, factor);
        if (at.k > 0)
            scale_rows(y, at.queries, w->e, factor);
        multiply(y, at.queries, w->e, at.keys, (matrix){x, 1, QUERIES}, rows_from(v, at.k),
                 at.k > 0);
    }
    if (end == 0)
        memset(y.data, 0, (size_t)(at.queries * w->e) * sizeof *y.data);
    EACH_QUERY
        factor[j] = s.sum[j] == 0 ? 0 : (real)(1 / s.sum[j]);
    scale_rows(y, at.queries, w->e, factor);
    real *log_sum = w->log_sum ? w->log_sum + h * w->n_q + at.q : NULL;
    for (int64_t j = 0; log_sum && j < at.queries; j++)
        log_sum[j] = s.sum[j] == 0 ? (real)INFINITY : s.max[j] + log_of((real)s.sum[j]);
}

/* --- backward -------------------------------------------------------------------------------- */

/* sum of dy y along each row of a strip */
static void row_products(const job *w, const pair *at, matrix dy, matrix y, real sum[QUERIES])
{
    enum { PARTS = 8 };
    dy = rows_from(dy, at->q);
    y = rows_from(y, at->q);
    for (int64_t j = 0; j < at->queries; j++) {
        double acc[PARTS] = {0};
        int64_t i = 0;
        for (; i + PARTS <= w->e; i += PARTS)
            for (int64_t p = 0; p < PARTS; p++)
                acc[p] += (double)dy.data[j * dy.r + (i + p) * dy.c] *
                          (double)y.data[j * y.r + (i + p) * y.c];
        for (; i < w->e; i++)
            acc[0] += (double)dy.data[j * dy.r + i * dy.c] * (double)y.data[j * y.r + i * y.c];
        sum[j] = (real)(((acc[0] + acc[4]) + (acc[1] + acc[5])) +
                        ((acc[2] + acc[6]) + (acc[3] + acc[7])));
    }
}

/* What a block computes: absent outputs are NULL. */
typedef struct wanted {
    const bp_view *dq, *dk, *dv;
} wanted;

/* A strip of queries and a chunk of keys: adds to, or where they are the first, writes. */
static void backward_pair(const job *w, const pair *at, wanted out, int first_strip)
{
    real p[KEYS * QUERIES] __attribute__((aligned(64)));
    real g[KEYS * QUERIES] __attribute__((aligned(64)));
    real log_sum[QUERIES] = {0}, products[QUERIES] = {0};
    matrix q = matrix_of(w, w->q, at->h), k = matrix_of(w, w->k, at->h);
    matrix v = matrix_of(w, w->v, at->h), dy = matrix_of(w, w->dy, at->h);
    make_scores(w, at, q, k, p);
    memcpy(log_sum, w->log_sum + at->h * w->n_q + at->q, (size_t)at->queries * sizeof *log_sum);
    make_terms(p, at->keys, log_sum);
    matrix by_key = {p, QUERIES, 1};
    if (out.dv)
        multiply(rows_from(matrix_of(w, out.dv, at->h), at->k), at->keys, w->e, at->queries,
                 by_key, rows_from(dy, at->q), !first_strip);
    if (!out.dq && !out.dk)
        return;
    row_products(w, at, dy, matrix_of(w, w->y, at->h), products);
    if (at->queries < QUERIES)
        memset(g, 0, sizeof g);
    by_key.data = g;
    multiply(by_key, at->keys, at->queries, w->e, rows_from(v, at->k),
             swapped(rows_from(dy, at->q)), 0);
    for (int64_t i = 0; i < at->keys; i++)
        EACH_QUERY
            g[i * QUERIES + j] = p[i * QUERIES + j] * (g[i * QUERIES + j] - products[j]) * w->scale;
    if (out.dk)
        multiply(rows_from(matrix_of(w, out.dk, at->h), at->k), at->keys, w->d, at->queries,
                 by_key, rows_from(q, at->q), !first_strip);
    if (out.dq)
        multiply(rows_from(matrix_of(w, out.dq, at->h), at->q), at->queries, w->d, at->keys,
                 swapped(by_key), rows_from(k, at->k), at->k > 0);
}

static void zero_rows(const job *w, const bp_view *v, int64_t h, int64_t row, int64_t rows,
                      int64_t cols)
{
    if (v)
        memset(rows_from(matrix_of(w, v, h), row).data, 0, (size_t)(rows * cols) * sizeof(real));
}

/* All queries that may look at a chunk of keys. */
static void backward_chunk(const job *w, int64_t h, int64_t chunk, wanted out)
{
    pair at = {.h = h, .k = chunk * KEYS};
    at.keys = at_most(KEYS, w->n_k - at.k);
    int64_t first = w->causal ? at.k / QUERIES * QUERIES : 0;
    for (at.q = first; at.q < w->n_q; at.q += QUERIES) {
        at.queries = at_most(QUERIES, w->n_q - at.q);
        backward_pair(w, &at, out, at.q == first);
    }
    if (first >= w->n_q) {
        zero_rows(w, out.dk, h, at.k, at.keys, w->d);
        zero_rows(w, out.dv, h, at.k, at.keys, w->e);
    }
}

/* All keys that a strip of queries may look at: dq alone. */
static void backward_strip(const job *w, int64_t h, int64_t strip)
{
    pair at = {.h = h, .q = strip * QUERIES};
    at.queries = at_most(QUERIES, w->n_q - at.q);
    int64_t end = keys_of(w, at.q, at.queries);
    for (; at.k < end; at.k += KEYS) {
        at.keys = at_most(KEYS, end - at.k);
        backward_pair(w, &at, (wanted){.dq = w->dq}, 0);
    }
    if (end == 0)
        zero_rows(w, w->dq, h, at.q, at.queries, w->d);
}

/* Everything of a head, of which it is the only part. */
static void backward_head(const job *w, int64_t h, int64_t part)
{
    (void)part;
    if (w->n_k == 0)
        zero_rows(w, w->dq, h, 0, w->n_q, w->d);
    for (int64_t c = 0; c * KEYS < w->n_k; c++)
        backward_chunk(w, h, c, (wanted){w->dq, w->dk, w->dv});
}

static void backward_keys(const job *w, int64_t h, int64_t chunk)
{
    backward_chunk(w, h, chunk, (wanted){.dk = w->dk, .dv = w->dv});
}

/* --- the kernels ----------------------------------------------------------------------------- */

/* in[0 .. 3] are q, k, v and, where there is one, the mask. */
static job job_of(const bp_view *in, const void *params)
{
    const bpi_attention_params *p = params;
    const int32_t n = in[0].shape.ndim;
    job w = {.q = &in[0], .k = &in[1], .v = &in[2], .mask = p->masked ? &in[3] : NULL, .heads = 1,
             .n_q = in[0].shape.dim[n - 2], .n_k = in[1].shape.dim[n - 2],
             .d = in[0].shape.dim[n - 1], .e = in[2].shape.dim[n - 1], .scale = (real)p->scale,
             .causal = p->causal};
    for (int32_t i = 0; i < n - 2; i++)
        w.heads *= in[0].shape.dim[i];
    return w;
}

static void block(void *arg, int64_t number)
{
    const job *w = arg;
    int64_t end = at_most((number + 1) * w->per_block, w->heads * w->per_head);
    for (int64_t i = number * w->per_block; i < end; i++)
        w->part(w, i / w->per_head, i % w->per_head);
}

/* Each head in so many parts, of which some are a block. */
static void run(bp_exec *ex, job *w, int64_t per_head,
                void (*part)(const job *w, int64_t h, int64_t number))
{
    w->part = part;
    w->per_head = per_head;
    if (w->heads * per_head == 0 || w->d + w->e == 0) /* nothing to write */
        return;
    double each = (double)w->n_q * (double)w->n_k * (double)(w->d + w->e) / (double)per_head;
    w->per_block = at_least((int64_t)(BLOCK_WORK / (each + 1)), 1);
    bp_parallel_for(ex, parts(w->heads * per_head, w->per_block), block, w);
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job w = job_of(in, params);
    w.y = &out[0];
    w.log_sum = out[1].data;
    run(ex, &w, parts(w.n_q, QUERIES), forward_strip);
    return BP_OK;
}

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    job w = job_of(in + 1, params);
    w.dy = &in[0];
    w.y = &in[5];
    w.log_sum = in[6].data;
    w.dq = out[0].data ? &out[0] : NULL;
    w.dk = out[1].data ? &out[1] : NULL;
    w.dv = out[2].data ? &out[2] : NULL;
    const int many = w.heads >= MANY_HEADS;
    if (many)
        run(ex, &w, 1, backward_head);
    if (!many && (w.dk || w.dv))
        run(ex, &w, parts(w.n_k, KEYS), backward_keys);
    if (!many && w.dq)
        run(ex, &w, parts(w.n_q, QUERIES), backward_strip);
    return BP_OK;
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    job w = job_of(in, params);
    return (size_t)(w.heads * w.n_q) * sizeof(real);
}

BPI_CPU_OP(attention) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRICES, .aux_bytes = aux_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_MATRICES}}};
