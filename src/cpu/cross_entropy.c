/* cross_entropy: log_softmax, nll_loss, its gradient and the count of correct rows in one pass.
 *
 *     forward:   logits [N, C], labels [N] -> loss, correct; aux: dlogits for dy = 1, [N, C]
 *                loss = 1/N sum_i (ln sum_j e^(x_ij - max_i) - (x_i,label - max_i))
 *                dlogits = (softmax(logits) - onehot(labels)) / N
 *     backward:  dy -> that dlogits, times dy in place
 *
 * A row is walked while it is in cache; its terms e^(x - max) become the gradient where they are;
 * where no cache has room for that, from a buffer, or, of a wide row, if e^x is cheap, found again
 * while the next is walked. A row with a bad label counts 0. Floor: logits read, dlogits written.
 *
 * cross_entropy_with: a loss a row, of a target q that is any row of numbers.
 *
 *     q = smoothing / C weights + (1 - smoothing) weights[label] onehot(label), or a row of targets
 *     forward:   logits, labels and weights, or targets -> loss [N], weights of the labels [N]
 *                loss = -sum_j q_j log_softmax(x)_j
 *     backward:  dy [N], the inputs -> dlogits = dy (softmax(x) sum_j q_j - q)
 *
 * Floor: logits read twice, dlogits written once.
 * Rules: src/ops/cross_entropy.c, src/ops/label_losses.c. */
#include "cpu/elementwise.h"
#include "cpu/index.h"
#include "cpu/softmax.h"

typedef struct row_sum {
    double loss;
    int64_t correct;
} row_sum;

typedef struct job {
    bpi_rows x;
    bpi_indices labels;     /* none where targets are rows */
    const real *w;          /* weights [C], targets [N, C], or NULL: ones */
    int64_t pitch, ignored; /* of targets, else 0; no label where there is none */
    double flat, smoothing; /* flat: what w is taken times */
    const real *dy;         /* [N], or NULL: `part_of` */
    double part_of;         /* a row's part of the mean: 1 / N */
    real *dx;               /* [N, C], or NULL */
    int past;               /* it is written past the caches */
    real *loss, *weight;    /* [N], or NULL */
    row_sum *part;          /* [blocks], or NULL */
} job;

/* What the loss of a row is of: q = flat w + peak onehot(label), and dy. */
typedef struct target {
    const real *w;
    int64_t label; /* -1: none */
    real weight;   /* of the label */
    double peak, dy;
} target;

/* Whether row r counts; if so, its target. */
INLINE int target_of(job *w, int64_t r, target *t)
{
    *t = (target){.w = w->w ? w->w + r * w->pitch : NULL, .label = -1};
    t->dy = w->dy ? (double)w->dy[r] : w->part_of;
    if (!w->labels.at)
        return 1;
    const int64_t label = w->labels.at[r];
    if (label == w->ignored || !bpi_index_ok(&w->labels, r))
        return 0;
    t->label = label;
    t->weight = w->w ? w->w[label] : 1;
    t->peak = (1 - w->smoothing) * (double)t->weight;
    return 1;
}

/* What a row gives besides dx. */
INLINE void give(job *w, int64_t r, double loss, real weight, row_sum *s)
{
    s->loss += loss;
    if (w->loss)
        w->loss[r] = (real)loss;
    if (w->weight)
        w->weight[r] = weight;
}

static void fill_zero(real *dx, int64_t n)
{
    for (int64_t j = 0; j < n; j++)
        dx[j] = 0;
}

/* No element is larger than the label's, and none before it as large. */
static int is_correct(const real *x, int64_t label, real max)
{
    int before = 0;
    if (x[label] != max)
        return 0;
    for (int64_t j = 0; j < label; j++)
        before |= x[j] == max;
    return !before;
}

/* Takes the peak off the term at the label, which then has the gradient that all terms have: term
 * total / sum dy. The term may be nearly all of the sum: subtracted in double. */
INLINE void take_peak(const target *t, real *term, double sum, double total)
{
    if (total != 0)
        *term = (real)((double)*term - t->peak / total * sum);
}

/* Of a q that sums to 0, as with weights below 0 it may, no term counts: the peak is taken off the
 * gradient. */
INLINE void take_lone_peak(const target *t, real *dx)
{
    dx[t->label] -= (real)(t->peak * t->dy);
}

/* The first of c columns that holds m, in each lane. */
INLINE vec first_of(const vec *col, int64_t c, vec m)
{
    vec at = splat((real)c);
    for (int64_t j = c - 1; j >= 0; j--) {
        lane_mask is = (lane_mask)(col[j] == m);
        at = (vec)(((lane_mask)splat((real)j) & is) | ((lane_mask)at & ~is));
    }
    return at;
}

/* Rows r.. of at most LANES. */
static void short_rows(job *w, int64_t r, int64_t rows, row_sum *s)
{
    const int64_t c = w->x.size;
    vec col[COLUMNS], e[COLUMNS], part[GROUP];
    load_columns(col, bpi_row(&w->x, r), w->x.pitch, c, rows);
    const vec m = columns_max(col, c);
    vec sum = columns_exp(e, col, c, m), weights = splat(0), of[COLUMNS];
    EACH_VEC part[v] = weights;
    if (w->pitch)
        load_columns(of, w->w + r * w->pitch, w->pitch, c, rows);
    for (int64_t j = 0; w->flat != 0 && j < c; j++) {
        if (!w->pitch)
            of[j] = splat(w->w ? w->w[j] : 1);
        weights += of[j];
        part[j % GROUP] += (col[j] - m) * of[j];
    }
    real all[LANES], share[LANES], terms[LANES], log_sum[LANES], max[LANES], best[LANES];
    real factor[LANES] = {0}, less[LANES] = {0};
    int counts[LANES];
    store(all, weights);
    store(terms, sum);
    store(max, m);
    store(best, first_of(col, w->part ? c : 0, m));
    store(share, (part[0] + part[1]) + (part[2] + part[3]));
    for (int i = 0; i < LANES; i++)
        log_sum[i] = log_of(terms[i]);
    for (int i = 0; i < rows; i++) {
        target t;
        counts[i] = target_of(w, r + i, &t);
        if (!counts[i]) {
            give(w, r + i, 0, 0, s);
            continue;
        }
        const double total = w->flat * (double)all[i] + t.peak, under = (double)terms[i];
        double loss = total * (double)log_sum[i] - w->flat * (double)share[i];
        if (t.label >= 0) {
            const real x = ((const real *)&col[t.label])[i];
            loss -= t.peak * (double)(x - max[i]);
            take_peak(&t, (real *)&e[t.label] + i, under, total);
            counts[i] += total == 0; /* 2: has a lone peak */
        }
        give(w, r + i, loss, t.weight, s);
        s->correct += best[i] == (real)t.label;
        factor[i] = (real)(total / under * t.dy);
        less[i] = (real)(w->flat * t.dy);
    }
    if (!w->dx)
        return;
    const vec f = load(factor), g = load(less);
    for (int64_t j = 0; j < c; j++)
        e[j] = w->flat != 0 ? e[j] * f - g * of[j] : e[j] * f;
    real *dx = w->dx + r * c;
    store_columns(dx, c, e, c, rows);
    for (int i = 0; i < rows; i++)
        if (!counts[i]) {
            fill_zero(dx + i * c, c);
        } else if (counts[i] > 1) {
            target t;
            target_of(w, r + i, &t);
            take_lone_peak(&t, dx + i * c);
        }
}

/* dx = e f - of g of a row, or - g where there is no `of`; e may be dx. */
INLINE void slopes(const int past, real *dx, const real *e, const real *of, int64_t n, vec f, vec g)
{
    PAST_STEPS(past, dx, n,
        STEP_VECS {
            const vec less = of ? get(of + i, v, left, g) * g : g;
            put_past(past, dx + i, v, left, fused(get(e + i, v, left, g), f, -less));
        })
}

/* The gradient of a wide row: late, but at its label; NULL if there is none. */
typedef struct late_slopes {
    late_row row;
    real *at_label, label;
} late_slopes;

static void end_late(late_slopes *l)
{
    while (l->row.at < l->row.end)
        late_step(LATE_EXPS, &l->row);
    if (l->at_label)
        *l->at_label = l->label;
    l->at_label = NULL;
}

/* room: for the terms of a row of at most PIECE. */
static void one_row(job *w, int64_t r, real *room, late_slopes *late, row_sum *s)
{
    const int64_t n = w->x.size;
    const int wide = CHEAP_EXP && w->past && n > PIECE && w->flat == 0;
    const real *x = bpi_row(&w->x, r);
    real *dx = w->dx ? w->dx + r * n : NULL, *e = w->past && n <= PIECE ? room : dx;
    target t;
    if (!target_of(w, r, &t)) {
        fill_zero(dx, dx ? n : 0);
        give(w, r, 0, 0, s);
        return;
    }
    real max;
    double sum;
    if (!dx) {
        sum = bpi_terms(x, n, &max);
    } else if (wide) {
        sum = row_terms(LATE_EXPS, &late->row, x, n, &max, x);
    } else {
        max = row_max(x, n);
        sum = row_exp(1, LATE_NONE, NULL, e, x, n, max == -(real)INFINITY ? 0 : max, e, NULL);
    }
    double share[2] = {0, (double)n}; /* the sums of w (x - max) and of w */
    if (w->flat != 0) {
        const vec m = splat(max), one = splat(1);
        ROW_SUMS(2, share, n,
            STEP_VECS {
                const vec of = t.w ? get(t.w + i, v, left, splat(0)) : one;
                acc[0][v] += of * (get(x + i, v, left, m) - m);
                acc[1][v] += of;
            })
    }
    const double total = w->flat * (t.w ? share[1] : (double)n) + t.peak;
    double loss = total * (double)log_of((real)sum) - w->flat * share[0];
    if (t.label >= 0)
        loss -= t.peak * (double)(x[t.label] - max);
    give(w, r, loss, t.weight, s);
    if (w->part)
        s->correct += is_correct(x, t.label, max);
    if (!dx)
        return;
    const vec f = splat((real)(total / sum * t.dy));
    if (wide) { /* all of q is its peak */
        vec term[1] = {splat(x[t.label] - max)};
        exp_group(1, term);
        end_late(late);
        late->row = (late_row){.to = dx, .from = x, .a = splat(max), .b = f, .past = 1};
        late_begin(LATE_EXPS, &late->row, n);
        late->at_label = &dx[t.label];
        late->label = term[0][0];
        take_peak(&t, &late->label, sum, total);
        late->label *= f[0];
        return;
    }
    if (t.label >= 0)
        take_peak(&t, &e[t.label], sum, total);
    const vec g = splat(w->flat != 0 ? (real)(w->flat * t.dy) : 0);
    const real *of = w->flat != 0 ? t.w : NULL;
    if (e != dx)
        slopes(1, dx, e, of, n, f, g);
    else
        slopes(0, dx, e, of, n, f, g);
    if (t.label >= 0 && total == 0)
        take_lone_peak(&t, dx);
}

static void block_fn(void *arg, int64_t block)
{
    job *w = arg;
    row_sum s = {0, 0};
    real room[PIECE];
    late_slopes late = {.at_label = NULL};
    int64_t end = bpi_rows_end(&w->x, block);
    int64_t step = w->x.size <= SHORT_ROW ? LANES : 1;
    for (int64_t r = block * w->x.per_block; r < end; r += step)
        if (step > 1)
            short_rows(w, r, at_most(end - r, LANES), &s);
        else
            one_row(w, r, room, &late, &s);
    end_late(&late);
    if (w->past)
        stream_end();
    if (w->part)
        w->part[block] = s;
}

static job job_of(const bp_view *in)
{
    return (job){.x = bpi_rows_of(in, 1), .labels = BPI_INDICES(in[1], in->shape.dim[1]),
                 .ignored = -INT64_MAX, .part_of = 1 / (double)in->shape.dim[0]};
}

static void write_to(job *w, real *dx)
{
    w->dx = dx;
    w->past = dx && bpi_rows_bytes(&w->x) >= PAST_BYTES;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    row_sum one, s = {0, 0};
    job w = job_of(in);
    write_to(&w, out[2].data);
    w.part = &one;
    int64_t blocks = softmax_cut(&w.x);
    if (blocks > 1)
        w.part = ex->workspace;
    bp_parallel_for(ex, blocks, block_fn, &w);
    for (int64_t i = 0; i < blocks; i++) {
        s.loss += w.part[i].loss;
        s.correct += w.part[i].correct;
    }
    *(real *)out[0].data = (real)(s.loss / (double)w.x.n);
    if (out[1].data)
        *(real *)out[1].data = (real)s.correct;
    return bpi_indices_done(ex, &w.labels);
}

static size_t aux_bytes(const bp_view *in, const void *params)
{
    (void)params;
    return (size_t)(in->shape.dim[0] * in->shape.dim[1]) * sizeof(real);
}

static size_t workspace_bytes(const bp_view *in, const void *params)
{
    (void)params;
    bpi_rows x = bpi_rows_of(in, 1);
    int64_t blocks = softmax_cut(&x);
    return blocks > 1 ? (size_t)blocks * sizeof(row_sum) : 0;
}

BPI_RUN(scale_run, real, real, out[i] = u[i] * (real)k[0])

static bp_status backward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    double dy = (double)*(const real *)in->data;
    return dy == 1 ? BP_OK : bpi_elementwise(ex, scale_run, BPI_GRAIN, out, out, 1, &dy);
}

BPI_CPU_OP(cross_entropy) = {
    .slot = {[BPI_FORWARD] = {.fn = forward, .layout = BPI_ROWS, .aux_bytes = aux_bytes,
                              .workspace_bytes = workspace_bytes},
             [BPI_BACKWARD] = {.fn = backward, .layout = BPI_PACKED}}};

/* --- cross_entropy_with ---------------------------------------------------------------------- */

static job job_with(const bp_view *in, const void *params)
{
    const bpi_cross_entropy_params *p = params;
    job w = job_of(in);
    w.smoothing = p->smoothing;
    w.flat = p->soft ? 1 : p->smoothing / (double)w.x.size;
    w.ignored = p->ignored;
    if (p->weighted)
        w.w = in[2].data;
    if (p->soft) {
        w.labels.at = NULL;
        w.w = in[1].data;
        w.pitch = in[1].stride[0];
    }
    return w;
}

static bp_status forward_with(bp_exec *ex, const bp_view *in, const bp_view *out,
                              const void *params)
{
    job w = job_with(in, params);
    w.loss = out[0].data;
    if (w.labels.at)
        w.weight = out[1].data;
    bp_parallel_for(ex, softmax_cut(&w.x), block_fn, &w);
    return w.labels.at ? bpi_indices_done(ex, &w.labels) : BP_OK;
}

static bp_status backward_with(bp_exec *ex, const bp_view *in, const bp_view *out,
                               const void *params)
{
    job w = job_with(in + 1, params);
    w.dy = in->data;
    write_to(&w, out->data);
    bp_parallel_for(ex, softmax_cut(&w.x), block_fn, &w);
    return BP_OK;
}

BPI_CPU_OP(cross_entropy_with) = {
    .slot = {[BPI_FORWARD] = {.fn = forward_with, .layout = BPI_ROWS},
             [BPI_BACKWARD] = {.fn = backward_with, .layout = BPI_ROWS}}};
