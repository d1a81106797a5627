/* lstm_gates, gru_gates: what is behind the products of a recurrent cell, a row at a time.
 *
 *     lstm_gates forward:  gates of x and of h [N, 4 H], c [N, H] -> h', c'
 *                backward: dh' and dc' (one may be absent), gates, c -> dgates, dc
 *     gru_gates  forward:  gates of x and of h [N, 3 H], h [N, H] -> h'
 *                backward: dh', gates, h -> dgates of x, dgates of h, dh
 *
 * Backward computes the gates again. Floor, in elements a number of the state: 9 read and 2
 * written, backward 11 and 5; GRU 7 and 1, 8 and 7. Formulas: door/cells.h; the rule:
 * src/ops/recurrent.c. */
#include "cpu/elementwise.h"
#include "cpu/reduce.h"
#include "cpu/normal.h"
#include "door/cells.h"

enum { OPERANDS = 7 };

typedef struct job {
    bpi_rows at[OPERANDS]; /* in, then out; data NULL where one is absent */
} job;

/* The real numbers of operand k in the row, as p. */
#define ROW(p, k) real *p = w->at[k].data ? bpi_row(&w->at[k], r) : NULL

/* A block function: for each row of the state, and each number i of n in it. */
#define BLOCK(name, state, operands, ...)                          \
    static void name(void *arg, int64_t block)                     \
    {                                                              \
        const job *w = arg;                                        \
        const bpi_rows *s = &w->at[state];                         \
        const int64_t end = bpi_rows_end(s, block), n = s->size;   \
        for (int64_t r = block * s->per_block; r < end; r++) {     \
            operands;                                              \
            BPI_EACH(n, __VA_ARGS__)                               \
        }                                                          \
    }

BLOCK(lstm_rows, 2, ROW(x, 0); ROW(u, 1); ROW(c, 2); ROW(h_next, 3); ROW(c_next, 4),
      lstm_of(x[i] + u[i], x[n + i] + u[n + i], x[2 * n + i] + u[2 * n + i],
              x[3 * n + i] + u[3 * n + i], c[i], &c_next[i], &h_next[i]))

BLOCK(lstm_slopes, 4,
      ROW(dh, 0); ROW(dc, 1); ROW(x, 2); ROW(u, 3); ROW(c, 4); ROW(dg, 5); ROW(dc_out, 6),
      real d[5];
      lstm_slope_of(x[i] + u[i], x[n + i] + u[n + i], x[2 * n + i] + u[2 * n + i],
                    x[3 * n + i] + u[3 * n + i], c[i], dh ? dh[i] : 0, dc ? dc[i] : 0, d);
      dg[i] = d[0]; dg[n + i] = d[1]; dg[2 * n + i] = d[2]; dg[3 * n + i] = d[3];
      dc_out[i] = d[4])

BLOCK(gru_rows, 2, ROW(x, 0); ROW(u, 1); ROW(h, 2); ROW(y, 3),
      y[i] = gru_of(x[i] + u[i], x[n + i] + u[n + i], x[2 * n + i], u[2 * n + i], h[i]))

BLOCK(gru_slopes, 3,
      ROW(dy, 0); ROW(x, 1); ROW(u, 2); ROW(h, 3); ROW(dx, 4); ROW(du, 5); ROW(dh, 6),
      real d[5];
      gru_slope_of(x[i] + u[i], x[n + i] + u[n + i], x[2 * n + i], u[2 * n + i], h[i], dy[i], d);
      dx[i] = du[i] = d[0]; dx[n + i] = du[n + i] = d[1]; dx[2 * n + i] = d[2];
      du[2 * n + i] = d[3]; dh[i] = d[4])

/* A kernel: its block function, its inputs and outputs, the operand with the shape of a state. */
#define KERNEL(name, rows, n_in, n_out, state)                                        \
    static bp_status name(bp_exec *ex, const bp_view *in, const bp_view *out,         \
                          const void *params)                                         \
    {                                                                                 \
        (void)params;                                                                 \
        job w;                                                                        \
        for (int k = 0; k < n_in + n_out; k++)                                        \
            w.at[k] = bpi_rows_of(k < n_in ? &in[k] : &out[k - n_in], 1);             \
        bp_parallel_for(ex, bpi_rows_cut(&w.at[state], BPI_GRAIN_EXP / 4), rows, &w); \
        return BP_OK;                                                                 \
    }
KERNEL(lstm_forward, lstm_rows, 3, 2, 2)
KERNEL(lstm_backward, lstm_slopes, 5, 2, 4)
KERNEL(gru_forward, gru_rows, 3, 1, 2)
KERNEL(gru_backward, gru_slopes, 4, 3, 3)

BPI_CPU_OP(lstm_gates) = {.slot = {[BPI_FORWARD] = {.fn = lstm_forward, .layout = BPI_ROWS},
                                   [BPI_BACKWARD] = {.fn = lstm_backward, .layout = BPI_ROWS}}};
BPI_CPU_OP(gru_gates) = {.slot = {[BPI_FORWARD] = {.fn = gru_forward, .layout = BPI_ROWS},
                                  [BPI_BACKWARD] = {.fn = gru_backward, .layout = BPI_ROWS}}};
