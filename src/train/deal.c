/* Whether a wish about batches can be met: compose.h. What must hold of numbers alone is said with
 * them. Then rows are dealt, as numbers of each class in each batch:
 *
 *     groups   `least` groups of `each` rows of different classes to every batch: a class that has
 *              u groups gives them to u batches in a row, counted on from where the class before it
 *              ended, round and round. No class has more groups than there are batches, so none
 *              comes twice. This cannot fail.
 *     rows     what is left of the classes goes to the room that is left. One row may go anywhere
 *              where `each` is 1; else more groups are made, and rows go where a group of their class
 *              is: a flow from classes to batches, made larger along shortest paths until all rows
 *              have a place (Edmonds, Karp, 1972).
 *
 * Where the flow fails classes and batches are taken in another order, with other groups to begin
 * with, or fewer at the end: whether groups fit is a question of packing, which nobody answers
 * fast. */
#include "train/compose.h"

#include <stdbool.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"

enum { TRIES = 1000, SITE = 2 };
static const double WORK = 3e8; /* looks at the table, of all tries: about a second */

typedef struct dealing {
    bp_context *ctx;
    bpi_composer *c;
    size_t bytes;
    int64_t *left;   /* [classes]: rows of a class that have no place yet */
    int64_t *groups; /* [classes]: that it may have, then those it has not */
    int64_t *take;   /* [classes]: that it begins with */
    int64_t *room;   /* [steps]: places of a batch that are empty */
    double work; /* that was done */
    bpi_draws draws;
    int32_t *class, *batch; /* [classes], [steps]: in the order of this try */
    int32_t *queue, *from;  /* [classes + steps]: of a search; classes come first */
} dealing;

/* --- what numbers say --------------------------------------------------------------------- */

static int64_t groups_of(const bpi_composer *c, int32_t k)
{
    int64_t most = c->count[k] / c->wish.each;
    return most < c->steps ? most : c->steps;
}

static bp_status check_shuffled(bp_context *ctx, const bpi_composer *c)
{
    int64_t groups = 0, wanted = c->wish.least * c->steps;
    for (int32_t k = 0; k < c->classes; k++) {
        if (c->count[k] > 0 && c->count[k] < c->wish.each)
            return bpi_fail(ctx, BP_ERR_STATE, "trainer_run: class %d has %lld rows to train on; "
                            "batch_per_class wants %lld in each batch that has some", (int)k,
                            (long long)c->count[k], (long long)c->wish.each);
        groups += groups_of(c, k);
    }
    if (groups >= wanted)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_STATE, "trainer_run: %lld batches of %lld classes with %lld rows "
                    "each want %lld such groups; the rows make %lld, each class one a batch at "
                    "most", (long long)c->steps, (long long)c->wish.least,
                    (long long)c->wish.each, (long long)wanted, (long long)groups);
}

/* Of a batch of `size` rows: whether what the rounding leaves is enough, however it falls. */
static bp_status check_stratum(bp_context *ctx, const bpi_composer *c, int64_t size)
{
    int64_t sure = 0, loose = 0, firm = 0, up = size; /* firm: sure ones that may be rounded up */
    for (int32_t k = 0; k < c->classes; k++) {
        int64_t share = c->count[k] * size, down = share / c->rows;
        bool between = share % c->rows > 0;
        int64_t few = down ? down : between;
        if (few > 0 && few < c->wish.each)
            return bpi_fail(ctx, BP_ERR_STATE, "trainer_run: of class %d, %lld of %lld rows, a "
                            "stratified batch of %lld has %lld; batch_per_class wants %lld", (int)k,
                            (long long)c->count[k], (long long)c->rows, (long long)size,
                            (long long)few, (long long)c->wish.each);
        sure += down > 0;
        firm += down > 0 && between;
        loose += down == 0 && between;
        up -= down;
    }
    int64_t met = sure + (loose && up > firm ? up - firm : 0);
    if (met >= c->wish.least)
        return BP_OK;
    return bpi_fail(ctx, BP_ERR_STATE, "trainer_run: a stratified batch of %lld rows has %lld "
                    "classes for sure; batch_classes wants %lld", (long long)size, (long long)met,
                    (long long)c->wish.least);
}

static bp_status check(bp_context *ctx, const bpi_composer *c)
{
    const bpi_wish *w = &c->wish;
    int64_t size = c->cut.full ? c->cut.batch : c->cut.rest;
    if (w->least > c->met)
        return bpi_fail(ctx, BP_ERR_STATE, "trainer_run: batch_classes wants %lld classes in every "
                        "batch; the rows to train on have %d", (long long)w->least, (int)c->met);
    if (w->least * w->each > size)
        return bpi_fail(ctx, BP_ERR_STATE, "trainer_run: %lld classes with %lld rows each are %lld "
                        "rows; a batch has %lld", (long long)w->least, (long long)w->each,
                        (long long)(w->least * w->each), (long long)size);
    if (w->way == BP_ROWS_SHUFFLED)
        return check_shuffled(ctx, c);
    if (w->way == BP_ROWS_BALANCED)
        return w->each <= size ? BP_OK
                               : bpi_fail(ctx, BP_ERR_STATE, "trainer_run: batch_per_class wants "
                                          "%lld rows of a class; a batch has %lld",
                                          (long long)w->each, (long long)size);
    if (c->cut.full)
        BPI_TRY(check_stratum(ctx, c, c->cut.batch));
    return c->cut.rest ? check_stratum(ctx, c, c->cut.rest) : BP_OK;
}

/* --- groups ------------------------------------------------------------------------------- */

static int32_t *held(const dealing *d, int64_t batch, int64_t k)
{
    return d->c->held + batch * d->c->classes + k;
}

static void put_group(dealing *d, int64_t batch, int32_t k)
{
    int64_t each = d->c->wish.each;
    *held(d, batch, k) = (int32_t)each;
    d->left[k] -= each;
    d->room[batch] -= each;
    d->groups[k]--;
}

/* The level up to which classes give groups, so that there are as many as wanted, or just more. */
static int64_t find_level(const dealing *d, int64_t wanted)
{
    int64_t low = 0, high = d->c->steps;
    while (low < high) {
        int64_t level = (low + high) / 2, sum = 0;
        for (int32_t k = 0; k < d->c->classes; k++)
            sum += d->groups[k] < level ? d->groups[k] : level;
        if (sum >= wanted)
            high = level;
        else
            low = level + 1;
    }
    return low;
}

/* How many groups classes begin with, as many as are wanted in all: about as many of each where
 * `even`, else drawn. */
static void choose_groups(dealing *d, int64_t wanted, bool even)
{
    int64_t sum = 0, level = even ? find_level(d, wanted) : 0;
    for (int32_t k = 0; k < d->c->classes; k++) {
        int64_t most = d->groups[k];
        d->take[k] = !even ? bpi_draw_below(&d->draws, most + 1) : most < level ? most : level;
        sum += d->take[k];
    }
    for (int32_t i = 0; i < d->c->classes && sum != wanted; i++) {
        int32_t k = d->class[i];
        int64_t was = d->take[k], spare = even ? was == level : was, n = was + wanted - sum;
        d->take[k] = n < was - spare ? was - spare : n > d->groups[k] ? d->groups[k] : n;
        sum += d->take[k] - was;
    }
}

static void deal_groups(dealing *d, bool even)
{
    int64_t batch = 0;
    choose_groups(d, d->c->wish.least * d->c->steps, even);
    for (int32_t i = 0; i < d->c->classes; i++)
        for (int64_t n = d->take[d->class[i]]; n > 0; n--)
            put_group(d, d->batch[batch++ % d->c->steps], d->class[i]);
}

/* More of them where there is room: of each class one at least, and where `all`, as many as can be. */
static bool add_groups(dealing *d, bool all)
{
    const bpi_composer *c = d->c;
    int64_t batch = 0;
    for (int32_t i = 0; i < 2 * c->classes; i++) {
        int32_t k = d->class[i % c->classes];
        bool none = c->count[k] > 0 && d->left[k] == c->count[k], first = i < c->classes;
        int64_t n = first ? none : all ? d->groups[k] : 0;
        for (int64_t tried = 0; n > 0 && tried < c->steps; tried++, batch++) {
            int64_t b = d->batch[batch % c->steps];
            if (*held(d, b, k) || d->room[b] < c->wish.each)
                continue;
            put_group(d, b, k);
            n--;
        }
        if (first && n > 0)
            return false;
    }
    return true;
}

/* --- what is left ------------------------------------------------------------------------- */

static void give(dealing *d, int64_t batch, int32_t k, int64_t n)
{
    *held(d, batch, k) += (int32_t)n;
    d->left[k] -= n;
    d->room[batch] -= n;
}

/* Rows go where they may, as they come. */
static void fill(dealing *d)
{
    const bpi_composer *c = d->c;
    for (int32_t i = 0; i < c->classes; i++) {
        int32_t k = d->class[i];
        for (int64_t b = 0; b < c->steps && d->left[k] > 0; b++) {
            int64_t n = d->left[k] < d->room[b] ? d->left[k] : d->room[b];
            if (c->wish.each == 1 || *held(d, b, k))
                give(d, b, k, n);
        }
    }
}

/* A shortest path from a class with rows left, to batches of it, to classes of those whose rows can
 * make room, to a batch with room. That batch, or -1. */
static int64_t find_path(dealing *d)
{
    const bpi_composer *c = d->c;
    int32_t classes = c->classes;
    int64_t n = 0;
    for (int64_t i = 0; i < classes + c->steps; i++)
        d->from[i] = -1;
    for (int32_t k = 0; k < classes; k++)
        if (d->left[k] > 0) {
            d->queue[n++] = k;
            d->from[k] = k;
        }
    for (int64_t i = 0; i < n; i++) {
        int32_t at = d->queue[i];
        bool batch = at >= classes;
        int64_t b = at - classes, most = batch ? classes : c->steps;
        d->work += (double)most;
        if (batch && d->room[b] > 0)
            return b;
        for (int64_t to = 0; to < most; to++) {
            int64_t node = batch ? to : classes + to;
            int32_t rows = batch ? *held(d, b, to) : *held(d, to, at);
            if (d->from[node] < 0 && rows > (batch ? c->wish.each : 0)) {
                d->from[node] = at;
                d->queue[n++] = (int32_t)node;
            }
        }
    }
    return -1;
}

/* As many rows as the path has room for move along it. */
static void follow(dealing *d, int64_t batch)
{
    int32_t classes = d->c->classes;
    int64_t n = d->room[batch];
    int32_t k = d->from[classes + batch];
    for (int64_t b; d->from[k] != k; k = d->from[classes + b]) {
        b = d->from[k] - classes;
        int64_t spare = *held(d, b, k) - d->c->wish.each;
        n = n < spare ? n : spare;
    }
    n = n < d->left[k] ? n : d->left[k];
    d->left[k] -= n;
    d->room[batch] -= n;
    for (int64_t b = batch;; b = d->from[k] - classes) {
        k = d->from[classes + b];
        *held(d, b, k) += (int32_t)n;
        if (d->from[k] == k)
            break;
        *held(d, d->from[k] - classes, k) -= (int32_t)n;
    }
}

/* --- tries -------------------------------------------------------------------------------- */

static bool deal(dealing *d, bool even, bool all)
{
    bpi_composer *c = d->c;
    memset(c->held, 0, (size_t)(c->steps * c->classes) * sizeof *c->held);
    for (int32_t k = 0; k < c->classes; k++) {
        d->left[k] = c->count[k];
        d->groups[k] = groups_of(c, k);
    }
    d->work += (double)(c->steps * c->classes);
    for (int64_t b = 0; b < c->steps; b++)
        d->room[b] = bpi_batch_size(&c->cut, b);
    deal_groups(d, even);
    if (c->wish.each > 1 && !add_groups(d, all))
        return false;
    fill(d);
    for (int32_t k = 0; k < c->classes; k++)
        while (d->left[k] > 0) {
            int64_t batch = find_path(d);
            if (batch < 0)
                return false;
            follow(d, batch);
        }
    return true;
}

static bp_status try_all(dealing *d)
{
    bpi_composer *c = d->c;
    for (int32_t k = 0; k < c->classes; k++)
        d->class[k] = k;
    for (int32_t b = 0; b < c->steps; b++)
        d->batch[b] = b;
    int i = 0;
    for (; i < TRIES && d->work < WORK; i++) {
        if (deal(d, i % 2 == 0, (i + 1) / 2 % 2 == 0))
            return BP_OK;
        bpi_draw_order(&d->draws, d->class, c->classes);
        bpi_draw_order(&d->draws, d->batch, c->steps);
    }
    return bpi_fail(d->ctx, BP_ERR_STATE, "trainer_run: no cut of %lld rows into %lld batches of "
                    "%lld was found in %d tries that has %lld classes or more in each, with %lld "
                    "rows or more: fewer are wanted, or larger batches", (long long)c->rows,
                    (long long)c->steps, (long long)c->cut.batch, i, (long long)c->wish.least,
                    (long long)c->wish.each);
}

bp_status bpi_deal(bp_context *ctx, bpi_composer *c)
{
    BPI_TRY(check(ctx, c));
    if (c->wish.way != BP_ROWS_SHUFFLED)
        return BP_OK;
    size_t numbers = (size_t)(3 * c->classes + c->steps) * sizeof(int64_t);
    size_t nodes = (size_t)(c->classes + c->steps) * sizeof(int32_t);
    dealing d = {.ctx = ctx, .c = c, .bytes = numbers + 2 * nodes,
                 .draws = {{0, 0, bpi_purpose_site(BPI_PURPOSE_SHUFFLE, SITE)}, 0, {0}}};
    d.left = bpi_host_alloc(ctx, d.bytes);
    if (!d.left)
        return bpi_fail(ctx, BP_ERR_NOMEM, "trainer_run: out of memory");
    d.groups = d.left + c->classes;
    d.take = d.groups + c->classes;
    d.room = d.take + c->classes;
    d.class = c->pick;
    d.batch = c->pick + c->classes;
    d.queue = (int32_t *)(d.room + c->steps);
    d.from = d.queue + c->classes + c->steps;
    bp_status st = try_all(&d);
    bpi_host_free(ctx, d.left, d.bytes);
    return st;
}
