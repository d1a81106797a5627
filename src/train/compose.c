/* The order of an epoch whose batches keep to a wish about classes: compose.h.
 *
 * SHUFFLED begins with what deal.c found, its full batches in a drawn order, and then exchanges the
 * classes of two places, drawn, wherever both batches keep to the wish: about what a shuffle would
 * be among those that do. Where a class has several rows in a batch or none, so many of them
 * change places at once in half of the trials.
 *
 * STRATIFIED rounds down, and deals what is missing: a class that k rows are missing of gets one
 * more in k of the full batches, counted on from where the class before it ended, round and round.
 * All these batches miss as many, and no class more than one in each, so that comes out even
 * (McNaughton, 1959, deals work to machines so). Which classes are rounded up in a shorter last
 * batch is drawn with the right probability for each (systematic sampling: Madow, 1949). */
#include "train/compose.h"

#include <stdbool.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "door/philox.h"

enum { TRIALS = 4, SITE = 1 }; /* of exchanges, a row; of the stream */

/* --- making one --------------------------------------------------------------------------- */

static void *room(char *block, size_t *at, int64_t n, size_t size)
{
    void *p = block ? block + *at : NULL;
    *at += ((size_t)n * size + 7) / 8 * 8;
    return p;
}

/* The places of all parts in a block, or with NULL only what they take. */
static size_t lay_out(bpi_composer *c, char *block)
{
    size_t at = (sizeof *c + 7) / 8 * 8;
    bool drawn = c->wish.way == BP_ROWS_BALANCED;
    int64_t table = drawn ? 0 : c->steps * c->classes;
    c->count = room(block, &at, c->classes, sizeof *c->count);
    c->next = room(block, &at, c->classes, sizeof *c->next);
    c->of_class = room(block, &at, c->rows, sizeof *c->of_class);
    c->held = room(block, &at, table, sizeof *c->held);
    c->now = room(block, &at, table, sizeof *c->now);
    c->present = room(block, &at, c->steps, sizeof *c->present);
    c->class_at = room(block, &at, drawn ? 0 : c->cut.rows, sizeof *c->class_at);
    c->pick = room(block, &at, c->steps + c->classes, sizeof *c->pick);
    return at;
}

/* A program may have written to the labels since they were checked. */
static bp_status count_rows(bp_context *ctx, bpi_composer *c)
{
    for (int64_t i = 0; i < c->rows; i++) {
        int32_t k = c->label[i];
        if (k < 0 || k >= c->classes)
            return bpi_fail(ctx, BP_ERR_RANGE, "trainer_run: class %d of row %lld is not in 0 .. %d",
                            (int)k, (long long)i, (int)c->classes - 1);
        c->met += c->count[k]++ == 0;
    }
    return BP_OK;
}

bp_status bpi_composer_create(bp_context *ctx, const bpi_wish *wish, const bpi_epoch *cut,
                              const int32_t *label, int64_t rows, int32_t classes,
                              bpi_composer **out)
{
    bpi_composer made = {.wish = *wish, .cut = *cut, .steps = bpi_epoch_steps(cut), .rows = rows,
                         .classes = classes, .label = label};
    made.wish.each += made.wish.each == 0;
    made.bytes = lay_out(&made, NULL);
    bpi_composer *c = bpi_host_alloc(ctx, made.bytes);
    if (!c)
        return bpi_fail(ctx, BP_ERR_NOMEM, "trainer_run: no memory for %lld batches of %d classes",
                        (long long)made.steps, (int)classes);
    lay_out(&made, (char *)c);
    *c = made;
    bp_status st = count_rows(ctx, c);
    if (st == BP_OK)
        st = bpi_deal(ctx, c);
    if (st == BP_OK)
        *out = c;
    else
        bpi_composer_free(ctx, c);
    return st;
}

void bpi_composer_free(bp_context *ctx, bpi_composer *c)
{
    if (c)
        bpi_host_free(ctx, c, c->bytes);
}

/* --- classes become rows ------------------------------------------------------------------ */

/* The rows class by class, each class in a drawn order; next[] stands at the first of each. */
static void collect(bpi_composer *c, bpi_draws *d)
{
    int64_t at = 0;
    for (int32_t k = 0; k < c->classes; at += c->count[k++])
        c->next[k] = at;
    for (int64_t i = 0; i < c->rows; i++)
        c->of_class[c->next[c->label[i]]++] = (int32_t)i;
    for (int32_t k = 0; k < c->classes; k++) {
        c->next[k] -= c->count[k];
        bpi_draw_order(d, c->of_class + c->next[k], c->count[k]);
    }
}

/* class_at[] as now[] says, batch after batch. */
static void spread(bpi_composer *c)
{
    int32_t *at = c->class_at, *n = c->now;
    for (int64_t b = 0; b < c->steps; b++)
        for (int32_t k = 0; k < c->classes; k++, n++)
            for (int32_t i = 0; i < *n; i++)
                *at++ = k;
}

static void take_rows(bpi_composer *c, bpi_draws *d, int32_t *order)
{
    collect(c, d);
    for (int64_t i = 0; i < c->cut.rows; i++)
        order[i] = c->of_class[c->next[c->class_at[i]]++];
    for (int64_t b = 0; b < c->steps; b++)
        bpi_draw_order(d, order + b * c->cut.batch, bpi_batch_size(&c->cut, b));
}

/* --- shuffled ----------------------------------------------------------------------------- */

/* What is dealt, the full batches in a drawn order. */
static void begin(bpi_composer *c, bpi_draws *d)
{
    size_t row = (size_t)c->classes * sizeof *c->now;
    for (int64_t b = 0; b < c->steps; b++)
        c->pick[b] = (int32_t)b;
    bpi_draw_order(d, c->pick, c->cut.full);
    for (int64_t b = 0; b < c->steps; b++) {
        int32_t *now = c->now + b * c->classes;
        memcpy(now, c->held + (int64_t)c->pick[b] * c->classes, row);
        c->present[b] = 0;
        for (int32_t k = 0; k < c->classes; k++)
            c->present[b] += now[k] > 0;
    }
    spread(c);
}

/* Whether a batch may give n rows of a class, and take as many of another. */
static bool may(const bpi_composer *c, int64_t batch, int32_t gives, int32_t takes, int64_t n)
{
    const int32_t *now = c->now + batch * c->classes;
    int64_t left = now[gives] - n;
    return (left == 0 || left >= c->wish.each) && now[takes] + n >= c->wish.each &&
           c->present[batch] - (left == 0) + (now[takes] == 0) >= c->wish.least;
}

/* n places of a batch that hold a class hold another now. */
static void give(bpi_composer *c, int64_t batch, int32_t gives, int32_t takes, int64_t n)
{
    int32_t *now = c->now + batch * c->classes, *at = c->class_at + batch * c->cut.batch;
    now[gives] -= (int32_t)n;
    c->present[batch] += (now[takes] == 0) - (now[gives] == 0);
    now[takes] += (int32_t)n;
    for (; n > 0; at++)
        if (*at == gives) {
            *at = takes;
            n--;
        }
}

static int64_t batch_of(const bpi_epoch *e, int64_t place)
{
    int64_t batch = place / e->batch;
    return batch < e->full ? batch : e->full;
}

static void exchange(bpi_composer *c, bpi_draws *d)
{
    int64_t p = bpi_draw_below(d, c->cut.rows), q = bpi_draw_below(d, c->cut.rows);
    int64_t n = c->wish.each > 1 && bpi_draw_below(d, 2) ? c->wish.each : 1;
    int64_t a = batch_of(&c->cut, p), b = batch_of(&c->cut, q);
    int32_t of_p = c->class_at[p], of_q = c->class_at[q];
    if (a == b || of_p == of_q || !may(c, a, of_p, of_q, n) || !may(c, b, of_q, of_p, n))
        return;
    give(c, a, of_p, of_q, n);
    give(c, b, of_q, of_p, n);
}

static void shuffled(bpi_composer *c, bpi_draws *d, int32_t *order)
{
    begin(c, d);
    for (int64_t i = 0; i < TRIALS * c->cut.rows; i++)
        exchange(c, d);
    take_rows(c, d, order);
}

/* --- stratified --------------------------------------------------------------------------- */

/* Rounds n_k R / N of the rest down, and up for as many classes as are missing: those whose share
 * of what is missing, one behind the other, a comb with teeth of 1 and a drawn start falls into. */
static void cut_rest(bpi_composer *c, bpi_draws *d)
{
    int32_t *now = c->now + c->cut.full * c->classes;
    int64_t sum = bpi_draw_below(d, c->rows); /* in parts of N: nothing is lost */
    for (int32_t i = 0; i < c->classes; i++) {
        int32_t k = c->pick[i];
        int64_t share = c->count[k] * c->cut.rest, before = sum / c->rows;
        sum += share % c->rows;
        now[k] = (int32_t)(share / c->rows + (sum / c->rows - before));
    }
}

static void stratified(bpi_composer *c, bpi_draws *d, int32_t *order)
{
    int64_t full = c->cut.full, at = 0;
    int32_t *batch = c->pick + c->classes;
    for (int32_t k = 0; k < c->classes; k++)
        c->pick[k] = k;
    bpi_draw_order(d, c->pick, c->classes);
    for (int64_t b = 0; b < full; b++)
        batch[b] = (int32_t)b;
    bpi_draw_order(d, batch, full);
    if (c->cut.rest)
        cut_rest(c, d);
    for (int32_t i = 0; i < c->classes && full; i++) {
        int32_t k = c->pick[i];
        int64_t in_rest = c->cut.rest ? c->now[full * c->classes + k] : 0;
        int64_t down = c->count[k] * c->cut.batch / c->rows;
        for (int64_t b = 0; b < full; b++)
            c->now[b * c->classes + k] = (int32_t)down;
        for (int64_t n = c->count[k] - in_rest - full * down; n > 0; n--)
            c->now[batch[at++ % full] * c->classes + k]++;
    }
    spread(c);
    take_rows(c, d, order);
}

/* --- balanced ----------------------------------------------------------------------------- */

static void balanced(bpi_composer *c, bpi_draws *d, int32_t *order)
{
    int64_t batch = c->cut.batch, most = batch / c->wish.each, n = c->met < most ? c->met : most;
    int32_t *class = c->pick, met = 0;
    collect(c, d);
    for (int32_t k = 0; k < c->classes; k++)
        if (c->count[k])
            class[met++] = k;
    for (int64_t b = 0; b < c->steps; b++) {
        int32_t *to = order + b * batch;
        bpi_draw_order(d, class, met);
        for (int64_t i = 0; i < batch; i++) {
            int32_t k = class[i % n];
            to[i] = c->of_class[c->next[k] + bpi_draw_below(d, c->count[k])];
        }
        bpi_draw_order(d, to, batch);
    }
}

void bpi_composer_order(bpi_composer *c, uint64_t seed, int64_t epoch, int32_t *order)
{
    bpi_draws d = {.stream = {seed, (uint64_t)epoch, bpi_purpose_site(BPI_PURPOSE_SHUFFLE, SITE)}};
    if (c->wish.way == BP_ROWS_STRATIFIED)
        stratified(c, &d, order);
    else if (c->wish.way == BP_ROWS_BALANCED)
        balanced(c, &d, order);
    else
        shuffled(c, &d, order);
}
