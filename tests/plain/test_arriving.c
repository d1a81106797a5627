/* Rows that arrive while others train: a ring that threads push into, a source that a thread of the
 * library's fills. For the thread sanitizer above all. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "data/data.h"
#include "net.h"
#include "readers.h"

static bp_context *ctx;
static bool no_threads;

int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
                          void *arg)
{
    return no_threads ? EAGAIN : __real_pthread_create(thread, attr, body, arg);
}

static void must(bp_status st)
{
    if (st != BP_OK) {
        printf("FAILED %s\n", bp_error_text(ctx));
        exit(1);
    }
}

/* Element i of a column, by value; all of it is read. */
static double at(bp_data *d, const char *name, int64_t i)
{
    values v = {0};
    if (!tensor_values(bp_data_column(d, name), &v))
        exit(1);
    double x = v.v[i];
    values_free(&v, 1);
    return x;
}

/* --- the ring -------------------------------------------------------------------------------- */

enum { CAPACITY = 200, PUSHES = 3000, PUSHERS = 3 };

static bp_data *make_ring(int64_t capacity)
{
    bp_data *d;
    must(bp_data_ring(ctx, capacity, &d));
    must(bp_data_add(d, "state", BP_F32, BP_SHAPE(2, 2), NULL));
    must(bp_data_add_classes(d, NULL, 5, NULL));
    return d;
}

/* Row r: the state r four times, the class r % 5. */
static bp_status push(bp_data *d, int64_t first, int64_t n)
{
    float state[4 * 512];
    int32_t class[512];
    for (int64_t i = 0; i < n; i++) {
        for (int k = 0; k < 4; k++)
            state[4 * i + k] = (float)(first + i);
        class[i] = (int32_t)((first + i) % 5);
    }
    return bp_data_push(d, n, (const void *const[]){state, class});
}

static void ring_keeps_the_last(void)
{
    bp_data *d = make_ring(CAPACITY);
    check(bp_data_rows(d) == 0 && bp_data_drain(d) == BP_OK, "a ring begins empty");
    must(push(d, 0, 70));
    check(bp_data_rows(d) == 0, "rows that wait are not counted");
    must(bp_data_drain(d));
    check(bp_data_rows(d) == 70 && at(d, "state", 4 * 69 + 3) == 69 && at(d, "y", 69) == 4,
          "a drain brings them");
    must(push(d, 70, 150)); /* the last 20 take the places of the first */
    must(bp_data_drain(d));
    check(bp_data_rows(d) == CAPACITY && at(d, "state", 4 * 19) == 219 && at(d, "y", 20) == 0 &&
          at(d, "state", 4 * 20) == 20, "the oldest rows go");
    must(push(d, 220, 512)); /* more than there is room for, at once */
    must(push(d, 732, 3));
    must(bp_data_drain(d));
    bool all = true;
    for (int64_t row = 535; row < 735; row++)
        all &= at(d, "state", 4 * (row % CAPACITY)) == (double)row;
    check(all && bp_data_rows(d) == CAPACITY, "what nobody drained in time is gone");
    bp_data *rows, *part[2];
    must(bp_data_rows_at(d, (const int32_t[]){3, 199}, 2, &rows));
    check(bp_data_rows(rows) == 2 && at(rows, "state", 4) == at(d, "state", 4 * 199) &&
              bp_data_split(d, 0.5, 0, &part[0], &part[1]) == BP_ERR_STATE &&
              bp_data_add(d, "late", BP_F32, BP_SCALAR, NULL) == BP_ERR_STATE,
          "rows can be taken out of it; it cannot be split, and no column comes later");
    bp_data_free(rows);
    bp_data_free(d);
}

static bool told(const char *text)
{
    return !strcmp(bp_error_text(ctx), text);
}

static void ring_refuses_what_is_bad(void)
{
    bp_data *d = make_ring(4), *table;
    float state[4] = {1, 2, NAN, 4};
    int32_t class = 5;
    const void *const columns[] = {state, &class}, *const lacking[] = {state, NULL};
    check(bp_data_push(d, 1, columns) == BP_ERR_RANGE &&
          told("data_push: a number is not finite; nothing was taken"), "not a NaN");
    state[2] = 3;
    check(bp_data_push(d, 1, columns) == BP_ERR_RANGE &&
          told("data_push: a class is out of range; nothing was taken"), "not a class of others");
    check(bp_data_push(d, 1, lacking) == BP_ERR_ARG &&
          told("data_push: one of columns is NULL"), "not without a column");
    check(bp_data_push(d, -1, columns) == BP_ERR_ARG, "not less than none");
    check(bp_data_push(d, 0, columns) == BP_OK, "none is fine");
    must(bp_data_drain(d));
    check(bp_data_rows(d) == 0, "nothing was taken");
    bp_data_free(d);
    must(bp_data_table(ctx, 4, &table));
    check(bp_data_push(table, 1, columns) == BP_ERR_ARG && told("data_push: the set is no ring"),
          "not into a table");
    check(bp_data_drain(table) == BP_OK, "a table needs no drain");
    bp_data_free(table);
    must(bp_data_ring(ctx, 4, &d));
    check(bp_data_push(d, 1, columns) == BP_ERR_STATE, "not before there are columns");
    bp_data_free(d);
}

static bp_data *shared;
static atomic_int pushing;
static atomic_bool refused;

static void *pusher(void *arg)
{
    for (int i = 0; i < PUSHES; i++)
        if (push(shared, *(int *)arg * PUSHES + i, 1) != BP_OK)
            atomic_store(&refused, true);
    atomic_fetch_sub(&pushing, 1);
    return NULL;
}

/* Rows are whole: their four numbers and their class are of one push. */
static bool rows_are_whole(bp_data *d)
{
    values state = {0}, class = {0};
    bool whole = tensor_values(bp_data_column(d, "state"), &state) &&
                 tensor_values(bp_data_labels(d), &class);
    for (int64_t row = 0; whole && row < bp_data_rows(d); row++) {
        const double *v = state.v + 4 * row;
        whole = v[0] == v[1] && v[1] == v[2] && v[2] == v[3] &&
                class.v[row] == (double)((int64_t)v[0] % 5);
    }
    values_free(&state, 1);
    values_free(&class, 1);
    return whole;
}

static bp_status sums(bp_context *c, void *user)
{
    (void)c;
    return bp_copy_into(user, bp_sum(bp_data_column(shared, "state")));
}

static void threads_push_while_one_replays(void)
{
    pthread_t thread[PUSHERS];
    int number[PUSHERS];
    bp_tensor *sum = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    bp_plan *plan;
    bool whole = true, replayed = true;
    shared = make_ring(CAPACITY);
    must(bp_plan_record(ctx, sums, sum, &plan));
    atomic_store(&pushing, PUSHERS);
    for (int i = 0; i < PUSHERS; i++) {
        number[i] = i;
        if (pthread_create(&thread[i], NULL, pusher, &number[i]) != 0)
            exit(2);
    }
    while (atomic_load(&pushing) > 0) {
        must(bp_data_drain(shared));
        replayed &= bp_plan_replay(plan, 1) == BP_OK;
        whole &= rows_are_whole(shared);
    }
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(thread[i], NULL);
    must(bp_data_drain(shared));
    check(!atomic_load(&refused), "no push is ever refused");
    check(replayed, "a plan goes on over the same columns");
    check(whole && rows_are_whole(shared) && bp_data_rows(shared) == CAPACITY,
          "rows come to the device whole");
    bp_plan_free(plan);
    bp_free(sum);
    bp_data_free(shared);
}

static void *push_beside(void *arg)
{
    *(bp_status *)arg = push(shared, 7, 1);
    return NULL;
}

static bp_status while_inside(bp_context *c, void *user)
{
    pthread_t thread;
    bp_stats before, after;
    bp_get_stats(c, &before);
    if (pthread_create(&thread, NULL, push_beside, user) != 0)
        return BP_ERR_STATE;
    pthread_join(thread, NULL);
    bp_get_stats(c, &after);
    check(after.allocations == before.allocations, "a push takes no memory");
    return BP_OK;
}

static void a_push_comes_in_while_another_is_inside(void)
{
    bp_status st = BP_ERR_BUSY;
    shared = make_ring(4);
    must(bp_run(ctx, 0, while_inside, &st));
    must(bp_data_drain(shared));
    check(st == BP_OK && at(shared, "state", 0) == 7, "a push comes in while another is inside");
    bp_data_free(shared);
}

/* --- the source ------------------------------------------------------------------------------ */

enum { BATCH = 8, BATCHES = 5 };

typedef struct maker {
    pthread_t inside; /* who is inside the context */
    atomic_int calls, here, last;
    int64_t bad, short_by, ends; /* batches that go wrong; -1: none */
} maker;

static int64_t make_batch(void *user, int64_t batch, void *const *columns, int64_t rows)
{
    maker *m = user;
    float *x = columns[0], *y = columns[1];
    atomic_fetch_add(&m->calls, 1);
    atomic_fetch_add(&m->here, pthread_equal(pthread_self(), m->inside) != 0);
    atomic_store(&m->last, (int)batch);
    for (int64_t i = 0; i < rows; i++) {
        x[2 * i] = x[2 * i + 1] = (float)(100 * batch + i);
        y[i] = batch == m->bad && i == 3 ? INFINITY : 1;
    }
    return batch == m->ends ? -2 : rows - (batch == m->short_by);
}

static bp_data *make_source(maker *m)
{
    bp_data *d;
    *m = (maker){.inside = pthread_self(), .bad = -1, .short_by = -1, .ends = -1};
    must(bp_data_source(ctx, BATCH, BATCHES, make_batch, m, &d));
    must(bp_data_add(d, "x", BP_F32, BP_SHAPE(2), NULL));
    must(bp_data_add(d, "y", BP_F32, BP_SCALAR, NULL));
    return d;
}

static bool holds(bp_data *d, int64_t batch)
{
    return at(d, "x", 2 * 5 + 1) == (double)(100 * batch + 5);
}

static void batches_come_in_order_and_ahead(void)
{
    maker m;
    bp_data *d = make_source(&m);
    bool right = bp_data_rows(d) == BATCH && bpi_source_batches(d) == BATCHES;
    for (int64_t batch = 3; batch < 20; batch++) { /* a run that is resumed begins somewhere */
        must(bpi_source_next(d, batch, true));
        right &= holds(d, batch);
    }
    check(right, "the columns hold the batch that was asked for");
    bpi_source_rest(d);
    check(atomic_load(&m.calls) == 18 && atomic_load(&m.last) == 20, "one is made ahead");
    check(atomic_load(&m.here) == 0, "on a thread of the library's");
    must(bpi_source_next(d, 20, true));
    bpi_source_rest(d);
    check(atomic_load(&m.calls) == 19 && holds(d, 20), "and is not made again");
    must(bpi_source_next(d, 2, true));
    check(holds(d, 2), "any batch can be asked for");
    check(bp_data_add(d, "late", BP_F32, BP_SCALAR, NULL) == BP_ERR_STATE, "no column comes later");
    bp_data_free(d); /* while the thread is at work, perhaps */
}

static void a_bad_batch_is_told_when_it_is_asked_for(void)
{
    maker m;
    bp_data *d = make_source(&m);
    m.bad = 1;
    m.short_by = 2;
    m.ends = 3;
    must(bpi_source_next(d, 0, true));
    bpi_source_rest(d);
    check(holds(d, 0), "a bad batch does not harm the one before");
    check(bpi_source_next(d, 1, true) == BP_ERR_RANGE && told("data_source: batch 1: column \"y\": row "
          "3, element 0 is inf; finite numbers are wanted"), "a number that is not finite is told");
    check(holds(d, 0), "the columns stay as they were");
    check(bpi_source_next(d, 2, true) == BP_ERR_SHAPE &&
          told("data_source: batch 2: 7 rows were filled; 8 are wanted"), "so is a row less");
    check(bpi_source_next(d, 3, true) == BP_ERR_STOPPED &&
          told("data_source: batch 3: the function that fills it returned -2"), "so is an end");
    bpi_source_rest(d);
    m.bad = -1;
    must(bpi_source_next(d, 1, true));
    check(holds(d, 1), "the call can be made again");
    bp_data_free(d);
    must(bp_data_source(ctx, 1, 1, make_batch, &m, &d));
    check(bpi_source_next(d, 0, true) == BP_ERR_STATE, "there must be columns");
    bp_data_free(d);
}

static void it_does_without_a_thread(void)
{
    maker m;
    bp_data *d = make_source(&m);
    bool right = true;
    no_threads = true;
    m.bad = 2;
    for (int64_t batch = 0; batch < 2; batch++)
        right &= bpi_source_next(d, batch, true) == BP_OK && holds(d, batch);
    check(right && atomic_load(&m.here) == 2 && atomic_load(&m.calls) == 2,
          "without a thread, a batch is made where it is asked for");
    check(bpi_source_next(d, 2, true) == BP_ERR_RANGE, "and checked");
    m.bad = -1;
    check(bpi_source_next(d, 2, true) == BP_OK && holds(d, 2), "and made again");
    bpi_source_rest(d);
    bp_data_free(d);
    no_threads = false;
}

#ifndef __SANITIZE_THREAD__
/* The child of a fork has no thread: it makes one of its own. */
static void a_child_goes_on(void)
{
    maker m;
    bp_data *d = make_source(&m);
    must(bpi_source_next(d, 0, true));
    pid_t child = fork();
    if (child == 0) {
        bool good = bpi_source_next(d, 1, true) == BP_OK && holds(d, 1) &&
                    bpi_source_next(d, 2, true) == BP_OK && holds(d, 2);
        bp_data_free(d);
        _exit(!good);
    }
    int status = 1;
    check(child > 0 && waitpid(child, &status, 0) == child && status == 0, "a child goes on");
    must(bpi_source_next(d, 1, true));
    check(holds(d, 1), "and so does its parent");
    bp_data_free(d);
}
#endif

int main(void)
{
    if (bp_open(test_device(), &ctx) != BP_OK) {
        printf("%s: %s\n", test_device(), bp_error_text(ctx));
        return 1;
    }
    ring_keeps_the_last();
    ring_refuses_what_is_bad();
    threads_push_while_one_replays();
    a_push_comes_in_while_another_is_inside();
    batches_come_in_order_and_ahead();
    a_bad_batch_is_told_when_it_is_asked_for();
    it_does_without_a_thread();
#ifndef __SANITIZE_THREAD__ /* which ends a child that makes a thread */
    if (!strncmp(test_device(), "cpu", 3)) /* no GPU survives a fork */
        a_child_goes_on();
#endif
    bp_close(ctx);
    return check_end();
}
