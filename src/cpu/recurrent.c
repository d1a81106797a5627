/* lstm_gates, gru_gates: what is behind the products of a recurrent cell.
 *
 *     lstm_gates forward:  gates of x and of h [N, 4 H], c [N, H] -> h', c'
 *                backward: dh' and dc' (one may be absent), gates, c -> dgates, dc
 *     gru_gates  forward:  gates of x and of h [N, 3 H], h [N, H] -> h'
 *                backward: dh', gates, h -> dgates of x, dgates of h, dh
 *
 * A row goes in parts: first the functions of its gates, which stay in cache, then the rest.
 * Backward computes the gates again. Floor, in elements a number of the state: 9 read and 2
 * written, backward 11 and 5; GRU 7 and 1, 8 and 7. Formulas: door/cells.h; the rule:
 * src/ops/recurrent.c. */
#include "cpu/loop.h"
#include "cpu/reduce.h"
#include "cpu/vmath.h"
#include "door/cells.h"

enum { OPERANDS = 7, PART = 128 };

typedef struct job {
    bpi_rows at[OPERANDS]; /* in, then out; data NULL where one is absent */
} job;

/* The functions of the gates of a part of a row. */
typedef struct gates {
    real open[3][PART], shut[3][PART]; /* i, f, o; r, z */
    real g[PART], t[PART];             /* tanh of a gate; of c' */
    real before[PART];                 /* what g is tanh of */
} gates;

/* Not inlined: each is there once. */
OUTLINE void gate_run(gates *w, int k, const real *x, const real *u,
                                               int64_t n)
{
    real *open = w->open[k], *shut = w->shut[k];
    BPI_EACH(n, gate_of(x[i] + u[i], &open[i], &shut[i]))
}

OUTLINE void tanh_run(real *y, const real *x, int64_t n)
{
    BPI_EACH(n, y[i] = tanh_of(x[i]))
}

/* x may be y. */
OUTLINE void tanh_slope_run(real *y, const real *x, int64_t n)
{
    BPI_EACH(n, y[i] = tanh_slope_of(x[i]))
}

/* Gates of x and u, `size` numbers apart; c' too. */
static void lstm_gates_of(gates *w, const real *x, const real *u, const real *c, int64_t size,
                          real *next, int64_t n)
{
    gate_run(w, 0, x, u, n);
    gate_run(w, 1, x + size, u + size, n);
    gate_run(w, 2, x + 3 * size, u + 3 * size, n);
    BPI_EACH(n, w->before[i] = x[2 * size + i] + u[2 * size + i])
    tanh_run(w->g, w->before, n);
    BPI_EACH(n, next[i] = w->open[1][i] * c[i] + w->open[0][i] * w->g[i])
    tanh_run(w->t, next, n);
}

static void gru_gates_of(gates *w, const real *x, const real *u, int64_t size, int64_t n)
{
    gate_run(w, 0, x, u, n);
    gate_run(w, 1, x + size, u + size, n);
    BPI_EACH(n, w->before[i] = x[2 * size + i] + w->open[0][i] * u[2 * size + i])
    tanh_run(w->g, w->before, n);
}

/* Where a part begins in operand k; NULL where that is absent. */
#define AT(k) (w->at[k].data ? bpi_row(&w->at[k], r) + first : NULL)

static void lstm_part(const job *w, int64_t r, int64_t first, int64_t n)
{
    gates s;
    real *h_next = AT(3);
    lstm_gates_of(&s, AT(0), AT(1), AT(2), w->at[2].size, AT(4), n);
    BPI_EACH(n, h_next[i] = s.open[2][i] * s.t[i])
}

static void lstm_back(const job *w, int64_t r, int64_t first, int64_t n)
{
    gates s;
    real next[PART];
    const int64_t size = w->at[4].size;
    const real *dh = AT(0), *dc = AT(1), *c = AT(4);
    real *dg = AT(5), *to_c = AT(6);
    lstm_gates_of(&s, AT(2), AT(3), c, size, next, n);
    tanh_slope_run(s.before, s.before, n);
    tanh_slope_run(next, next, n);
    BPI_EACH(n,
        real d[5];
        const real open[] = {s.open[0][i], s.open[1][i], s.open[2][i]};
        const real shut[] = {s.shut[0][i], s.shut[1][i], s.shut[2][i]};
        lstm_slope_of(open, shut, s.g[i], s.before[i], s.t[i], next[i], c[i], dh ? dh[i] : 0,
                      dc ? dc[i] : 0, d);
        dg[i] = d[0]; dg[size + i] = d[1]; dg[2 * size + i] = d[2]; dg[3 * size + i] = d[3];
        to_c[i] = d[4])
}

static void gru_part(const job *w, int64_t r, int64_t first, int64_t n)
{
    gates s;
    const real *h = AT(2);
    real *y = AT(3);
    gru_gates_of(&s, AT(0), AT(1), w->at[2].size, n);
    BPI_EACH(n, y[i] = s.shut[1][i] * s.g[i] + s.open[1][i] * h[i])
}

static void gru_back(const job *w, int64_t r, int64_t first, int64_t n)
{
    gates s;
    const int64_t size = w->at[3].size;
    const real *dy = AT(0), *u = AT(2), *h = AT(3);
    real *dx = AT(4), *du = AT(5), *dh = AT(6);
    gru_gates_of(&s, AT(1), u, size, n);
    tanh_slope_run(s.before, s.before, n);
    BPI_EACH(n,
        real d[5];
        const real open[] = {s.open[0][i], s.open[1][i]}, shut[] = {s.shut[0][i], s.shut[1][i]};
        gru_slope_of(open, shut, s.g[i], s.before[i], u[2 * size + i], h[i], dy[i], d);
        dx[i] = du[i] = d[0]; dx[size + i] = du[size + i] = d[1]; dx[2 * size + i] = d[2];
        du[2 * size + i] = d[3]; dh[i] = d[4])
}

/* A kernel: what it does with a part, its inputs and outputs, and the operand with the shape of a
 * state, whose rows are cut into blocks. */
#define KERNEL(name, part, n_in, n_out, state)                                              \
    static void name##_block(void *arg, int64_t block)                                      \
    {                                                                                       \
        const job *w = arg;                                                                 \
        const bpi_rows *s = &w->at[state];                                                  \
        for (int64_t r = block * s->per_block; r < bpi_rows_end(s, block); r++)             \
            for (int64_t first = 0; first < s->size; first += PART)                         \
                part(w, r, first, at_most(s->size - first, PART));                          \
    }                                                                                       \
    static bp_status name(bp_exec *ex, const bp_view *in, const bp_view *out,               \
                          const void *params)                                               \
    {                                                                                       \
        (void)params;                                                                       \
        job w;                                                                              \
        for (int k = 0; k < n_in + n_out; k++)                                              \
            w.at[k] = bpi_rows_of(k < n_in ? &in[k] : &out[k - n_in], 1);                   \
        bp_parallel_for(ex, bpi_rows_cut(&w.at[state], BPI_GRAIN_EXP / 4), name##_block, &w); \
        return BP_OK;                                                                       \
    }
KERNEL(lstm_forward, lstm_part, 3, 2, 2)
KERNEL(lstm_backward, lstm_back, 5, 2, 4)
KERNEL(gru_forward, gru_part, 3, 1, 2)
KERNEL(gru_backward, gru_back, 4, 3, 3)

BPI_CPU_OP(lstm_gates) = {.slot = {[BPI_FORWARD] = {.fn = lstm_forward, .layout = BPI_ROWS},
                                   [BPI_BACKWARD] = {.fn = lstm_backward, .layout = BPI_ROWS}}};
BPI_CPU_OP(gru_gates) = {.slot = {[BPI_FORWARD] = {.fn = gru_forward, .layout = BPI_ROWS},
                                  [BPI_BACKWARD] = {.fn = gru_backward, .layout = BPI_ROWS}}};
