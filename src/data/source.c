/* A source: a function of the host's makes batches, on a thread of the library's, which prepares
 * the next one while the step runs.
 *
 * There is host memory for two batches, the halves. What half holds which batch, and how that came
 * out, is kept until the half is filled again: a call that failed later on finds its batch there.
 * Without a thread (none could be made) the half is filled where it is asked for. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "data/set.h"
#include "door/thread.h"

typedef struct half {
    int64_t batch; /* -1: none */
    void **column; /* [n_columns]: where its numbers go */
    int64_t filled; /* what the function returned */
    const bpi_column *bad; /* has a number that does not fit, or NULL */
    char why[BPI_WHY_BYTES];
} half;

typedef struct source {
    bp_data *set;
    bp_fill_fn fill;
    void *user;
    int64_t batches, n_columns;
    half half[2];
    int filling; /* the half that the thread is at, or is to begin with; -1: none */
    bool has_thread, quits;
    pid_t pid; /* where the thread lives; 0: none was tried */
    pthread_t thread;
    pthread_mutex_t lock; /* of `filling`, `quits` and the half that is filled */
    pthread_cond_t changed;
} source;

/* --- filling ----------------------------------------------------------------------------- */

static void fill(source *s, half *h)
{
    int64_t rows = s->set->capacity;
    h->bad = NULL;
    h->filled = s->fill(s->user, h->batch, h->column, rows);
    for (int64_t i = 0; i < s->n_columns && h->filled == rows && !h->bad; i++) {
        const bpi_column *c = &s->set->column[i];
        if (bpi_rows_fit(c, h->column[i], 0, rows, h->why) != BP_OK)
            h->bad = c;
    }
}

static void *thread_main(void *arg)
{
    source *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->quits) {
        if (s->filling < 0) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        pthread_mutex_unlock(&s->lock);
        fill(s, &s->half[s->filling]);
        pthread_mutex_lock(&s->lock);
        s->filling = -1;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void reset(source *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    s->half[0].batch = s->half[1].batch = s->filling = -1;
    s->has_thread = false;
    s->pid = 0;
}

static void wait_idle(source *s)
{
    while (s->filling >= 0)
        pthread_cond_wait(&s->changed, &s->lock);
}

/* After fork() the thread exists only in the parent, where it may have been at work. */
static void forget_after_fork(source *s)
{
    if (s->pid && s->pid != getpid())
        reset(s);
}

/* --- its life ---------------------------------------------------------------------------- */

static void end_source(bp_data *d)
{
    source *s = d->arriving;
    forget_after_fork(s);
    if (s->has_thread) {
        pthread_mutex_lock(&s->lock);
        s->quits = true;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    bpi_host_free(d->ctx, s->half[0].column, 2 * (size_t)s->n_columns * sizeof(void *));
    bpi_host_free(d->ctx, s, sizeof *s);
}

static bp_status create(bp_context *ctx, int64_t rows, int64_t batches, bp_fill_fn fn, void *user,
                        bp_data **out)
{
    bp_data *d;
    BPI_TRY(bpi_given(ctx, out, "data_source: data"));
    if (!fn)
        return bpi_fail(ctx, BP_ERR_ARG, "data_source: fill is NULL");
    if (batches < 1)
        return bpi_fail(ctx, BP_ERR_ARG, "data_source: %lld batches; 1 or more are wanted",
                        (long long)batches);
    BPI_TRY(bpi_data_new(ctx, "data_source", rows, &d));
    source *s = bpi_host_alloc(ctx, sizeof *s);
    if (!s) {
        bp_data_free(d);
        return bpi_fail(ctx, BP_ERR_NOMEM, "data_source: out of memory");
    }
    *s = (source){.set = d, .fill = fn, .user = user, .batches = batches};
    reset(s);
    d->arriving = s;
    d->end_arriving = end_source;
    d->host_rows = 2 * rows;
    *out = d;
    return BP_OK;
}

bp_status bp_data_source(bp_context *ctx, int64_t rows, int64_t batches, bp_fill_fn fill_fn,
                         void *user, bp_data **data)
{
    if (data)
        *data = NULL;
    BPI_INSIDE(ctx, create(ctx, rows, batches, fill_fn, user, data));
}

bool bpi_data_is_source(const bp_data *d)
{
    return d->end_arriving == end_source;
}

int64_t bpi_source_batches(const bp_data *d)
{
    return ((source *)d->arriving)->batches;
}

/* --- batches ----------------------------------------------------------------------------- */

/* Once, when the columns are complete. */
static bp_status place_columns(source *s)
{
    const bp_data *d = s->set;
    if (d->n_columns == 0)
        return bpi_fail(d->ctx, BP_ERR_STATE, "data_source: it has no columns yet");
    void **column = bpi_host_alloc(d->ctx, 2 * (size_t)d->n_columns * sizeof *column);
    if (!column)
        return bpi_fail(d->ctx, BP_ERR_NOMEM, "data_source: out of memory");
    for (int k = 0; k < 2; k++) {
        s->half[k].column = column + k * d->n_columns;
        for (int64_t i = 0; i < d->n_columns; i++)
            s->half[k].column[i] = d->column[i].host + (size_t)(k * d->capacity) *
                                                           bpi_row_bytes(&d->column[i]);
    }
    s->n_columns = d->n_columns;
    return BP_OK;
}

/* The thread has the floating-point state of the one that makes it: the host's. */
static void start(source *s)
{
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, s->set->ctx, false);
    s->pid = getpid();
    s->has_thread = bpi_thread_start(&s->thread, thread_main, s);
    bpi_callback_end(&callback);
}

/* Has half h filled with a batch, or begun with it; under the lock. */
static bp_status ask(source *s, int h, int64_t batch)
{
    s->half[h].batch = batch;
    if (s->has_thread) {
        s->filling = h;
        pthread_cond_broadcast(&s->changed);
        return BP_OK;
    }
    s->half[h].batch = -1; /* the function may be left by an exception */
    pthread_mutex_unlock(&s->lock);
    BPI_CALLBACK(callback);
    bpi_callback_begin(&callback, s->set->ctx, false);
    half filled = s->half[h];
    filled.batch = batch;
    fill(s, &filled);
    bp_status st = bpi_callback_over(&callback, "data_source");
    pthread_mutex_lock(&s->lock);
    if (st == BP_OK)
        s->half[h] = filled;
    return st;
}

/* Which half holds the batch, filled. */
static bp_status find(source *s, int64_t batch, int *found)
{
    bp_status st = BP_OK;
    pthread_mutex_lock(&s->lock);
    wait_idle(s);
    *found = s->half[1].batch == batch;
    if (s->half[*found].batch != batch)
        st = ask(s, *found, batch);
    wait_idle(s);
    pthread_mutex_unlock(&s->lock);
    return st;
}

/* While the step runs on half h, the thread fills the other. */
static void prepare(source *s, int h, int64_t batch)
{
    pthread_mutex_lock(&s->lock);
    if (s->has_thread && s->half[!h].batch != batch)
        (void)!ask(s, !h, batch);
    pthread_mutex_unlock(&s->lock);
}

static bp_status judge(source *s, half *h)
{
    bp_context *ctx = s->set->ctx;
    long long batch = h->batch;
    if (h->filled == s->set->capacity && !h->bad)
        return BP_OK;
    h->batch = -1; /* it is asked for again */
    if (h->filled < 0)
        return bpi_fail(ctx, BP_ERR_STOPPED, "data_source: batch %lld: the function that fills it "
                        "returned %lld", batch, (long long)h->filled);
    if (h->filled != s->set->capacity)
        return bpi_fail(ctx, BP_ERR_SHAPE, "data_source: batch %lld: %lld rows were filled; %lld "
                        "are wanted", batch, (long long)h->filled, (long long)s->set->capacity);
    return bpi_fail(ctx, BP_ERR_RANGE, "data_source: batch %lld: column \"%s\": %s", batch,
                    h->bad->name, h->why);
}

bp_status bpi_source_next(bp_data *d, int64_t batch, bool more)
{
    source *s = d->arriving;
    int k;
    if (!s->n_columns)
        BPI_TRY(place_columns(s));
    atomic_store_explicit(&d->begun, true, memory_order_relaxed);
    forget_after_fork(s);
    if (!s->pid)
        start(s);
    BPI_TRY(find(s, batch, &k));
    BPI_TRY(judge(s, &s->half[k]));
    if (more)
        prepare(s, k, batch + 1);
    for (int64_t i = 0; i < s->n_columns; i++)
        BPI_TRY(bpi_column_write(&d->column[i], 0, d->capacity, s->half[k].column[i]));
    return BP_OK;
}

void bpi_source_rest(bp_data *d)
{
    source *s = bpi_data_is_source(d) ? d->arriving : NULL;
    if (!s)
        return;
    forget_after_fork(s);
    pthread_mutex_lock(&s->lock);
    wait_idle(s);
    pthread_mutex_unlock(&s->lock);
}
