/* A ring: the last rows that were pushed, by any thread, while others train on them.
 *
 * A push knows no context: it copies its rows into host memory, under a lock that nobody holds for
 * longer than some rows take, and counts them. The thread inside the context brings them to the
 * device, a few at a time through a buffer of its own, so that no push waits for an upload. Row r
 * of all that were pushed has the place r % capacity, in host memory and in the column. */
#include <pthread.h>
#include <string.h>

#include "data/set.h"

enum { AT_ONCE = 64 }; /* rows copied under the lock */

typedef struct ring {
    pthread_mutex_t lock;
    int64_t pushed;  /* so far; of the lock */
    int64_t drained; /* of them are on the device, or were overwritten before */
} ring;

static void end_ring(bp_data *d)
{
    ring *r = d->arriving;
    pthread_mutex_destroy(&r->lock);
    bpi_host_free(d->ctx, r, sizeof *r);
}

static bp_status create(bp_context *ctx, int64_t capacity, bp_data **out)
{
    bp_data *d;
    BPI_TRY(bpi_given(ctx, out, "data_ring: data"));
    BPI_TRY(bpi_data_new(ctx, "data_ring", capacity, &d));
    ring *r = bpi_host_alloc(ctx, sizeof *r);
    if (!r) {
        bp_data_free(d);
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_ring: out of memory");
    }
    pthread_mutex_init(&r->lock, NULL);
    d->arriving = r;
    d->end_arriving = end_ring;
    d->host_rows = capacity + (capacity < AT_ONCE ? capacity : AT_ONCE);
    atomic_store(&d->rows, 0);
    *out = d;
    return BP_OK;
}

bp_status bp_data_ring(bp_context *ctx, int64_t capacity, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, create(ctx, capacity, data));
}

bool bpi_data_is_ring(const bp_data *d)
{
    return d->end_arriving == end_ring;
}

/* --- a push ------------------------------------------------------------------------------ */

/* The thread may be outside of the context: a sentence is all it can be told. */
static const char *unfit(const bp_data *d, int64_t n, const void *const *columns)
{
    static const char *const why[] = {
        [BPI_NUMBERS] = "data_push: a number is not finite; nothing was taken",
        [BPI_CLASSES] = "data_push: a class is out of range; nothing was taken",
        [BPI_FLAGS] = "data_push: a label is neither 0 nor 1; nothing was taken",
        [BPI_WEIGHTS] = "data_push: a weight is negative or not finite; nothing was taken"};
    char text[BPI_WHY_BYTES];
    for (int64_t i = 0; i < d->n_columns; i++)
        if (!columns[i])
            return "data_push: one of columns is NULL";
    for (int64_t i = 0; i < d->n_columns; i++)
        if (bpi_rows_fit(&d->column[i], columns[i], 0, n, text) != BP_OK)
            return why[d->column[i].rule];
    return NULL;
}

/* Rows first .. first + n of those given, to the place of row `at` of all. */
static void put(bp_data *d, int64_t at, int64_t first, int64_t n, const void *const *columns)
{
    while (n > 0) {
        int64_t place = at % d->capacity, left = d->capacity - place, some = n < left ? n : left;
        for (int64_t i = 0; i < d->n_columns; i++) {
            const bpi_column *c = &d->column[i];
            size_t bytes = bpi_row_bytes(c);
            const char *from = (const char *)columns[i] + (size_t)first * bytes;
            memcpy(c->host + (size_t)place * bytes, from, (size_t)some * bytes);
        }
        at += some;
        first += some;
        n -= some;
    }
}

bp_status bp_data_push(bp_data *d, int64_t n, const void *const *columns)
{
    BPI_LEADS(d, "data_push: data");
    BPI_LEADS(columns, "data_push: columns");
    if (!bpi_data_is_ring(d))
        return bpi_tell_thread(BP_ERR_ARG, "data_push: the set is no ring");
    if (n < 0)
        return bpi_tell_thread(BP_ERR_ARG, "data_push: n is negative");
    if (d->n_columns == 0)
        return bpi_tell_thread(BP_ERR_STATE, "data_push: the ring has no columns yet");
    const char *why = unfit(d, n, columns);
    if (why)
        return bpi_tell_thread(strstr(why, "NULL") ? BP_ERR_ARG : BP_ERR_RANGE, why);
    ring *r = d->arriving;
    int64_t skipped = n > d->capacity ? n - d->capacity : 0;
    pthread_mutex_lock(&r->lock);
    atomic_store_explicit(&d->begun, true, memory_order_relaxed);
    put(d, r->pushed + skipped, skipped, n - skipped, columns);
    r->pushed += n;
    pthread_mutex_unlock(&r->lock);
    return BP_OK;
}

/* --- to the device ----------------------------------------------------------------------- */

/* The next rows, copied behind the ring in each column's host memory: how many. */
static int64_t take(bp_data *d, ring *r, int64_t *from)
{
    pthread_mutex_lock(&r->lock);
    *from = r->drained > r->pushed - d->capacity ? r->drained : r->pushed - d->capacity;
    int64_t place = *from % d->capacity, n = d->host_rows - d->capacity;
    n = n < r->pushed - *from ? n : r->pushed - *from;
    n = n < d->capacity - place ? n : d->capacity - place;
    for (int64_t i = 0; i < d->n_columns; i++) {
        const bpi_column *c = &d->column[i];
        size_t bytes = bpi_row_bytes(c);
        memcpy(c->host + (size_t)d->capacity * bytes, c->host + (size_t)place * bytes,
               (size_t)n * bytes);
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

bp_status bpi_data_drain(bp_data *d)
{
    if (!bpi_data_is_ring(d))
        return BP_OK;
    ring *r = d->arriving;
    pthread_mutex_lock(&r->lock);
    int64_t all = r->pushed, from;
    pthread_mutex_unlock(&r->lock);
    while (r->drained < all) {
        int64_t n = take(d, r, &from);
        for (int64_t i = 0; i < d->n_columns; i++) {
            const bpi_column *c = &d->column[i];
            BPI_TRY(bpi_column_write(c, from % d->capacity, n,
                                     c->host + (size_t)d->capacity * bpi_row_bytes(c)));
        }
        r->drained = from + n;
        int64_t rows = r->drained < d->capacity ? r->drained : d->capacity;
        atomic_store_explicit(&d->rows, rows, memory_order_relaxed);
    }
    return BP_OK;
}

bp_status bp_data_drain(bp_data *d)
{
    BPI_LEADS(d, "data_drain: data");
    BPI_INSIDE(d->ctx, bpi_data_drain(d));
}
