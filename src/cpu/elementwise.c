/* The loop behind every elementwise kernel: its operands become runs.
 *
 * Packed operands are runs as they lie. Else the innermost axis and one more are cut into tiles. A
 * tile is a run a row where its rows are long; what is one element all along a row is a unit of
 * it. Of a tile whose rows are short, or where an operand jumps, what does not lie side by side
 * anyway is brought into a buffer first, and y put back from one. The second axis is the one that
 * has an operand which jumps side by side, so a tile takes whole cache lines of it. So a formula
 * sees neighbours only, and is compiled once. */
#include <stdlib.h>

#include "cpu/bring.h"
#include "cpu/elementwise.h"
#include "cpu/vec_rows.h"

/* Bytes of a tile in a buffer. Elements: of a row of a tile that is turned, if there are so many;
 * of one that is a run, where y has gaps and where it has none. */
enum { TILE_BYTES = 16384, COLS = 256, SHORT = 32, LONG = 128 };

typedef struct job {
    bpi_loop loop; /* two axes at least, if not packed */
    bpi_run_fn run;
    const double *k;
    int64_t bytes[BPI_OPERANDS]; /* of an element */
    int32_t in_place;            /* y is an input */
    int32_t past;                /* y goes past the caches (vec_rows.h) */
    int32_t turned;              /* an operand is in columns */
    int64_t cols, rows;          /* of a tile, along axes 0 and 1 */
    int64_t count[BP_MAX_DIMS];  /* tiles along an axis */
    int64_t tiles, per_block;
} job;
_Static_assert(sizeof(job) <= BPI_ELEMENTWISE_JOB, "a plan has room for it");

typedef struct tile {
    char *at[BPI_OPERANDS]; /* where it begins in each operand */
    int64_t n, rows;
} tile;

/* What the tiles of a block share: what is in a buffer often is what the next tile wants. */
typedef struct buffers {
    _Alignas(64) char of[BPI_OPERANDS][TILE_BYTES + BPI_BEHIND];
    tile brought[BPI_OPERANDS];
} buffers;

/* n < UNIT elements into a buffer of a unit, and out of one. A single one is moved as such: what
 * was written by a mask is not at hand for some time, and neither is a part of it. Behind them may
 * stand anything, which goes through the formula and is not put back: where that branches on it, as
 * e^x does where no lane is far out, a checker of memory says so. */
OUTLINE void bring_other(void *buffer, const void *from, int64_t bytes, int64_t n)
{
    bpi_bring(buffer, from, bytes, 1, 0, n, 1, 0);
}

static inline void bring_few(void *buffer, const void *from, int64_t bytes, int64_t n)
{
    if (bytes != sizeof(real) || (int)UNIT > (int)LANES)
        bring_other(buffer, from, bytes, n);
    else
        store(buffer, n == 1 ? (vec){*(const real *)from} : load_part(from, (int)n));
}

static inline void put_few(void *y, const void *buffer, int64_t bytes, int64_t n)
{
    if (bytes != sizeof(real) || (int)UNIT > (int)LANES)
        bpi_put(y, buffer, bytes, 1, 0, n, 1);
    else if (n == 1)
        *(real *)y = *(const real *)buffer;
    else
        store_part(y, load(buffer), (int)n);
}

/* A run of less than a unit, n elements from `from` on, goes through buffers. */
static void take_few(const job *w, char *y, const bpi_operand *in, int64_t from, int64_t n)
{
    _Alignas(64) char buffer[BPI_OPERANDS][UNIT * sizeof(double)];
    bpi_operand unit[BPI_INPUTS];
    for (int k = 1; k <= BPI_INPUTS; k++) { /* not copied: a half of it was written just now */
        const int of = k < w->loop.operands ? k : 1;
        const char *at = in[of - 1].at;
        if (of == k && in[k - 1].step)
            bring_few(buffer[k], at + from * w->bytes[k], w->bytes[k], n);
        unit[k - 1].at = in[of - 1].step ? buffer[of] : at;
        unit[k - 1].step = in[of - 1].step;
    }
    w->run(buffer[0], unit, UNIT, w->k, 0);
    put_few(y + from * w->bytes[0], buffer[0], w->bytes[0], n);
}

/* The end of a run that is no whole unit is the last whole one, some of it once more; where that
 * would read what was written, or there is none, it goes through buffers. */
static void take_end(const job *w, char *y, const bpi_operand *in, int64_t n)
{
    const int64_t whole = n & -UNIT, from = n - UNIT;
    bpi_operand last[BPI_INPUTS];
    if (n < UNIT || w->in_place) {
        take_few(w, y, in, whole, n - whole);
        return;
    }
    for (int k = 1; k <= BPI_INPUTS; k++) {
        const int64_t bytes = w->bytes[k < w->loop.operands ? k : 1];
        last[k - 1].at = (const char *)in[k - 1].at + (in[k - 1].step ? from * bytes : 0);
        last[k - 1].step = in[k - 1].step;
    }
    w->run(y + from * w->bytes[0], last, UNIT, w->k, 0);
}

/* A run of any length. */
static inline void take_near(const job *w, char *y, const bpi_operand *in, int64_t n)
{
    if (n >= UNIT)
        w->run(y, in, n & -UNIT, w->k, 0);
    if (n & (UNIT - 1))
        take_end(w, y, in, n);
}

/* The same past the caches (vec_rows.h), but for the ends where y is not aligned to a vector. */
OUTLINE void take_past(const job *w, char *y, const bpi_operand *in, int64_t n)
{
    bpi_operand from[BPI_INPUTS] = {in[0], in[1], in[2]};
    const int64_t head = at_most(-((uintptr_t)y / sizeof(real)) & (LANES - 1), n);
    if (head)
        take_few(w, y, from, 0, head);
    for (int k = 0; k < BPI_INPUTS; k++)
        if (from[k].step)
            from[k].at = (const char *)from[k].at +
                         head * w->bytes[k + 1 < w->loop.operands ? k + 1 : 1];
    y += head * (int64_t)sizeof(real), n -= head;
    if (n >= UNIT)
        w->run(y, from, n & -UNIT, w->k, 1);
    if (n & (UNIT - 1))
        take_few(w, y, from, n & -UNIT, n & (UNIT - 1));
}

static inline void take(const job *w, int past, char *y, const bpi_operand *in, int64_t n)
{
    if (STREAMS && past)
        take_past(w, y, in, n);
    else
        take_near(w, y, in, n);
}

/* Asks for a row of the tile that comes next. */
static inline void fetch_row(const char *row, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += 64)
        __builtin_prefetch(row + i, 0, 2);
}

/* As runs of its rows, or as one where they are short or y must go through a buffer. */
static void run_tile(const job *w, const tile *t, buffers *b)
{
    const bpi_loop *l = &w->loop;
    const int64_t y_step = l->stride[0][0], y_row = l->stride[0][1];
    const int direct = y_step == 1;
    const int by_row = t->rows == 1 || (direct && t->n >= (y_row == t->n ? LONG : SHORT));
    const int lies = direct && (by_row || y_row == t->n);
    const int64_t runs = by_row ? t->rows : 1;
    char *y = lies ? t->at[0] : b->of[0];
    bpi_operand in[BPI_INPUTS] = {{NULL, 0}};
    int64_t next[BPI_OPERANDS], below[BPI_OPERANDS] = {0}; /* bytes; 0: is not fetched */
    for (int k = 1; k < l->operands; k++) {
        const int64_t step = l->stride[k][0], row = l->stride[k][1];
        tile *had = &b->brought[k];
        in[k - 1].step = UNIT;
        in[k - 1].at = t->at[k];
        next[k] = row * w->bytes[k];
        if (step == 1 && (by_row || row == t->n)) {
            below[k] = w->turned ? t->rows * next[k] : 0;
            continue;
        }
        in[k - 1].at = b->of[k];
        next[k] = t->n * w->bytes[k];
        if (step == 0 && by_row)
            in[k - 1].step = 0;
        else if (had->at[k] != t->at[k] || had->n != t->n || had->rows != t->rows)
            bpi_bring(b->of[k], t->at[k], w->bytes[k], t->rows, row, t->n, step,
                      w->turned);
        had->at[k] = t->at[k];
        had->n = t->n;
        had->rows = t->rows;
    }
    for (int k = l->operands; k <= BPI_INPUTS; k++)
        in[k - 1] = in[0];
    for (int64_t r = 0; r < runs; r++) {
        for (int k = 1; k < l->operands; k++)
            if (!in[k - 1].step)
                bpi_repeat(b->of[k], t->at[k] + r * l->stride[k][1] * w->bytes[k], w->bytes[k],
                           UNIT);
            else if (below[k])
                fetch_row((const char *)in[k - 1].at + below[k], t->n * w->bytes[k]);
        take(w, w->past && lies, y, in, t->rows * t->n / runs);
        y += y_row * w->bytes[0];
        for (int k = 1; k < l->operands; k++)
            if (in[k - 1].step)
                in[k - 1].at = (const char *)in[k - 1].at + next[k];
    }
    if (!lies)
        bpi_put(t->at[0], b->of[0], w->bytes[0], t->rows, y_row, t->n, y_step);
}

/* Tiles follow each other along axis 1, then 0, then the others. */
static int32_t axis_of(int32_t i)
{
    return i < 2 ? 1 - i : i;
}

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const bpi_loop *l = &w->loop;
    int64_t number = block * w->per_block, at[BP_MAX_DIMS];
    const int64_t end = at_most(number + w->per_block, w->tiles);
    buffers b;
    for (int k = 0; k < l->operands; k++)
        b.brought[k].at[k] = NULL;
    for (int32_t i = 0; i < l->axes; i++)
        at[i] = 0;
    for (int64_t i = 0, rest = number; rest > 0; rest /= w->count[axis_of(i++)])
        at[axis_of(i)] = rest % w->count[axis_of(i)];
    while (number < end) {
        tile t = {.n = at_most(l->size[0] - at[0] * w->cols, w->cols),
                  .rows = at_most(l->size[1] - at[1] * w->rows, w->rows)};
        for (int k = 0; k < l->operands; k++) {
            int64_t offset = at[0] * w->cols * l->stride[k][0] + at[1] * w->rows * l->stride[k][1];
            for (int32_t a = 2; a < l->axes; a++)
                offset += at[a] * l->stride[k][a];
            t.at[k] = l->data[k] + offset * w->bytes[k];
        }
        run_tile(w, &t, &b);
        if (++number < end)
            for (int32_t i = 0; ++at[axis_of(i)] == w->count[axis_of(i)]; i++)
                at[axis_of(i)] = 0;
    }
    if (w->past)
        stream_end();
}

static void swap_axes(bpi_loop *l, int32_t a, int32_t b)
{
    int64_t size = l->size[a];
    l->size[a] = l->size[b];
    l->size[b] = size;
    for (int k = 0; k < l->operands; k++) {
        int64_t stride = l->stride[k][a];
        l->stride[k][a] = l->stride[k][b];
        l->stride[k][b] = stride;
    }
}

/* The axis from `first` on along which operand k has the smallest stride that is not 0. */
static int32_t nearest(const bpi_loop *l, int k, int32_t first)
{
    int32_t best = first;
    for (int32_t a = first + 1; a < l->axes; a++)
        if (l->stride[k][a] != 0 && (l->stride[k][best] == 0 ||
                                     llabs(l->stride[k][a]) < llabs(l->stride[k][best])))
            best = a;
    return best;
}

/* Axis 0 is y's, axis 1 that of an operand that jumps along axis 0. Returns the blocks. */
static int64_t cut(job *w, int64_t grain)
{
    static const int64_t none[BPI_OPERANDS] = {0};
    bpi_loop *l = &w->loop;
    if (l->axes == 1)
        bpi_loop_axis(l, 1, none);
    swap_axes(l, 0, nearest(l, 0, 0));
    int64_t room = TILE_BYTES; /* elements */
    int jumper = -1;
    for (int k = l->operands - 1; k >= 0; k--) {
        room = at_most(room, TILE_BYTES / w->bytes[k]);
        if ((uint64_t)l->stride[k][0] > 1)
            jumper = k;
    }
    if (jumper >= 0)
        swap_axes(l, 1, nearest(l, jumper, 1));
    w->turned = jumper >= 0 && w->past && l->stride[0][0] == 1;
    if (w->turned && l->stride[0][1] % LANES)
        w->past = 0; /* the ends of a short run are no whole lines */
    if (l->axes == 2 && l->size[0] * l->size[1] <= room) { /* small: no division */
        w->cols = l->size[0];
        w->rows = l->size[1];
        w->tiles = w->per_block = 1;
        return 1;
    }
    const int64_t most = jumper >= 0 || l->size[0] < LONG ? room : grain;
    w->cols = at_most(l->size[0], jumper < 0 ? most : at_least(COLS, room / l->size[1]));
    w->rows = at_most(l->size[1], most / w->cols);
    w->tiles = 1;
    for (int32_t a = 0; a < l->axes; a++) {
        w->count[a] = a == 0 ? parts(l->size[0], w->cols)
                             : a == 1 ? parts(l->size[1], w->rows) : l->size[a];
        w->tiles *= w->count[a];
    }
    w->per_block = at_least(grain / (w->cols * w->rows), 1);
    return parts(w->tiles, w->per_block);
}

static void packed_fn(void *arg, int64_t block)
{
    const job *w = arg;
    const bpi_loop *l = &w->loop;
    const int64_t from = block * w->cols;
    bpi_operand in[BPI_INPUTS];
    for (int k = 1; k <= BPI_INPUTS; k++) {
        const int of = k < l->operands ? k : 1;
        in[k - 1].at = l->data[of] + from * w->bytes[of];
        in[k - 1].step = UNIT;
    }
    take(w, w->past, l->data[0] + from * w->bytes[0], in, at_most(l->size[0] - from, w->cols));
    if (w->past)
        stream_end();
}

/* Whether all operands are packed and have one shape. */
static int is_plain(const bp_view *y, const bp_view *in, int n_in, int64_t *count)
{
    *count = 1;
    for (int k = 0; k < n_in; k++)
        if (in[k].shape.ndim != y->shape.ndim)
            return 0;
    for (int32_t i = y->shape.ndim - 1; i >= 0; i--) {
        const int64_t dim = y->shape.dim[i], stride = *count;
        if (y->stride[i] != stride)
            return 0;
        for (int k = 0; k < n_in; k++)
            if (in[k].shape.dim[i] != dim || in[k].stride[i] != stride)
                return 0;
        *count *= dim;
    }
    return 1;
}

/* All operands, packed and less than a unit. */
static void few_fn(void *arg, int64_t block)
{
    _Alignas(64) char buffer[BPI_OPERANDS][UNIT * sizeof(double)];
    const job *w = arg;
    const int64_t n = w->loop.size[0];
    bpi_operand in[BPI_INPUTS] = {{buffer[1], UNIT}, {buffer[1], UNIT}, {buffer[1], UNIT}};
    (void)block;
    bring_few(buffer[1], w->loop.data[1], w->bytes[1], n);
    for (int k = 2; k < w->loop.operands; k++) {
        bring_few(buffer[k], w->loop.data[k], w->bytes[k], n);
        in[k - 1].at = buffer[k];
    }
    w->run(buffer[0], in, UNIT, w->k, 0);
    put_few(w->loop.data[0], buffer[0], w->bytes[0], n);
}

bp_status bpi_elementwise(bp_exec *ex, bpi_run_fn run, int64_t grain, const bp_view *y,
                          const bp_view *in, int n_in, const double *k)
{
    job w;
    bpi_loop *l = &w.loop;
    w.run = run;
    w.k = k;
    w.in_place = 0;
    l->operands = 1 + n_in;
    for (int i = 0; i < l->operands; i++) {
        const bp_view *v = i ? &in[i - 1] : y;
        l->data[i] = v->data;
        w.bytes[i] = bytes_of(v->dtype);
        w.in_place |= i > 0 && v->data == y->data;
    }
    int packed = is_plain(y, in, n_in, &l->size[0]);
    if (!packed) {
        bpi_loop_init(l, y, in, n_in);
        packed = l->axes == 1;
        for (int i = 0; i < l->operands; i++)
            packed &= l->stride[i][0] == 1;
        for (int32_t a = 1; a < l->axes; a++)
            if (l->size[a] == 0)
                return BP_OK;
    }
    if (l->size[0] == 0)
        return BP_OK;
    w.cols = grain;
    if (packed && l->size[0] < UNIT)
        return bpi_leave_work(ex, 1, few_fn, &w, sizeof w);
    w.past = STREAMS && w.bytes[0] == sizeof(real) && !w.in_place &&
             (packed ? l->size[0] : count_of(y)) >= PAST_BYTES / (int64_t)sizeof(real);
    if (packed)
        return bpi_leave_work(ex, l->size[0] <= grain ? 1 : parts(l->size[0], grain), packed_fn, &w,
                        sizeof w);
    int64_t blocks = cut(&w, grain);
    return bpi_leave_work(ex, blocks, block_fn, &w, sizeof w);
}
