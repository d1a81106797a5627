/* Snapshots: a thread trains and publishes, others predict with what was published, in contexts of
 * their own; under the thread sanitizer too. What a snapshot holds, and who may free it. */
#include <bpcuda/bpcuda.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "readers.h"

enum { EPOCHS = 6, READERS = 2, PIXELS = 64, CLASSES = 10 };
static const char text[] = "16 relu 16 tanh";

static float image[PIXELS];

/* --- one trains, two predict ----------------------------------------------------------------- */

/* The newest snapshot, and what its model said of the image when it was taken. */
typedef struct board {
    pthread_mutex_t lock;
    bp_snapshot *newest;
    float p[CLASSES];
    int32_t number;
    bool over;
} board;

static bool publish(board *b, bp_model *m)
{
    bp_snapshot *s;
    float p[CLASSES];
    if (bp_model_predict(m, image, 1, p) != BP_OK || bp_snapshot_take(m, &s) != BP_OK)
        return false;
    pthread_mutex_lock(&b->lock);
    bp_snapshot *old = b->newest;
    b->newest = s;
    memcpy(b->p, p, sizeof p);
    b->number++;
    pthread_mutex_unlock(&b->lock);
    bp_snapshot_free(old); /* a reader may hold it still */
    return true;
}

typedef struct reader {
    board *b;
    int32_t seen, differ;
    bool failed;
} reader;

/* Restores each snapshot it meets: the same bits as the trainer's own model had. */
static void *read_on(void *arg)
{
    reader *r = arg;
    bp_context *ctx;
    bp_model *m = NULL;
    float wanted[CLASSES], p[CLASSES];
    r->failed = bp_open("cpu", &ctx) != BP_OK || bp_set_threads(ctx, 1) != BP_OK;
    for (int32_t last = 0, number; !r->failed;) {
        pthread_mutex_lock(&r->b->lock);
        bp_snapshot *s = bp_snapshot_share(r->b->newest);
        memcpy(wanted, r->b->p, sizeof p);
        number = r->b->number;
        bool over = r->b->over;
        pthread_mutex_unlock(&r->b->lock);
        if (s && number != last) {
            bp_status st = m ? bp_model_restore(m, s) : bp_model_from(ctx, s, &m);
            r->failed = st != BP_OK || bp_model_predict(m, image, 1, p) != BP_OK;
            r->differ += !r->failed && memcmp(p, wanted, sizeof p) != 0;
            r->seen++;
            last = number;
        } else if (m && !over) {
            r->failed = bp_model_predict(m, image, 1, p) != BP_OK;
        }
        bp_snapshot_free(s);
        if (over)
            break;
    }
    bp_model_free(m);
    bp_close(ctx);
    return NULL;
}

static bool train_and_publish(board *b)
{
    bp_context *ctx;
    bp_data *d = NULL;
    bp_model *m = NULL;
    bp_trainer *t = NULL;
    int32_t done = 0;
    bool good = bp_open("cpu", &ctx) == BP_OK && bp_data_digits(ctx, &d) == BP_OK &&
                bp_model_create(ctx, PIXELS, text, CLASSES, &m) == BP_OK &&
                bp_model_normalize(m, d) == BP_OK && bp_trainer_create(m, d, &t) == BP_OK &&
                bp_trainer_set(t, BP_TRAIN_EPOCHS, EPOCHS) == BP_OK;
    while (good && !done)
        good = bp_trainer_run(t, 14, -1, &done) == BP_OK && publish(b, m);
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
    bp_close(ctx);
    return good;
}

static void beside(void)
{
    board b = {.lock = PTHREAD_MUTEX_INITIALIZER};
    reader r[READERS];
    pthread_t thread[READERS];
    for (int i = 0; i < READERS; i++) {
        r[i] = (reader){.b = &b};
        if (pthread_create(&thread[i], NULL, read_on, &r[i]) != 0)
            abort();
    }
    check(train_and_publish(&b), "a thread trains and publishes");
    pthread_mutex_lock(&b.lock);
    b.over = true;
    pthread_mutex_unlock(&b.lock);
    bool good = true, saw = true;
    for (int i = 0; i < READERS; i++) {
        pthread_join(thread[i], NULL);
        good = good && !r[i].failed && r[i].differ == 0;
        saw = saw && r[i].seen > 0;
    }
    check(good && saw, "others predict with the bits of the model that was published");
    bp_snapshot_free(b.newest); /* whose context is closed */
}

/* --- what it holds --------------------------------------------------------------------------- */

static bool predicts(bp_model *m, const float *wanted, int64_t k)
{
    float p[CLASSES];
    return bp_model_predict(m, image, 1, p) == BP_OK &&
           memcmp(p, wanted, (size_t)k * sizeof *p) == 0;
}

static bool set_all(bp_model *m, float to)
{
    bp_params *params = bp_model_params(m);
    static float v[16 * PIXELS];
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        v[i] = to;
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        bp_tensor *t = bp_param_at(params, i);
        size_t bytes = (size_t)bp_shape_count(bp_shape_of(t)) * sizeof *v;
        if (bp_write(t, v, bytes) != BP_OK)
            return false;
    }
    return true;
}

/* Real targets: three columns of different units. */
static bp_data *targets(bp_context *ctx)
{
    static float x[8 * PIXELS], y[8 * 3];
    bp_data *d;
    for (int i = 0; i < 8 * PIXELS; i++)
        x[i] = (float)(i * i % 23);
    for (int i = 0; i < 8 * 3; i++)
        y[i] = (float)(i % 3 == 0 ? 1000 * i : i);
    return bp_data_table(ctx, 8, &d) == BP_OK &&
                   bp_data_add(d, "x", BP_F32, BP_SHAPE(PIXELS), x) == BP_OK &&
                   bp_data_add(d, "y", BP_F32, BP_SHAPE(3), y) == BP_OK
               ? d
               : NULL;
}

static void holds_all(bp_context *ctx)
{
    bp_data *d = targets(ctx);
    bp_model *m, *other = NULL;
    bp_snapshot *s = NULL;
    float p[3];
    bool good = d &&
                bp_model_create_as(ctx, PIXELS, "16 relu", BP_TASK_REGRESSION, 3, &m) == BP_OK &&
                bp_model_normalize(m, d) == BP_OK &&
                bp_model_predict(m, image, 1, p) == BP_OK && bp_snapshot_take(m, &s) == BP_OK;
    check(good && set_all(m, 0.25f) && !predicts(m, p, 3) && bp_model_restore(m, s) == BP_OK &&
              predicts(m, p, 3), "a model goes back to a snapshot, whatever came since");
    good = good && bp_model_normalize_as(m, d, BP_NORMALIZE_NONE) == BP_OK;
    bp_model_free(m);
    good = good && bp_model_from(ctx, s, &other) == BP_OK && predicts(other, p, 3) &&
           bp_model_normalized(other) == BP_NORMALIZE_COLUMN &&
           bp_model_task(other) == BP_TASK_REGRESSION;
    check(good, "and its own model may be gone: weights, normalisers and task come from it");
    bp_model_free(other);
    other = NULL;
    good = bp_model_create_as(ctx, PIXELS, "16 tanh", BP_TASK_REGRESSION, 3, &other) == BP_OK &&
           bp_model_restore(other, s) == BP_ERR_FORMAT &&
           strstr(bp_error_text(ctx), "model_restore: its layers are \"16 relu\"; the model's are "
                                      "\"16 tanh\"");
    check(good, "a model of another kind is refused with what differs");
    bp_model_free(other);
    bp_snapshot_free(s);
    bp_data_free(d);
}

static bp_tensor *own(bp_model *m, bp_tensor *x, int32_t training, void *user)
{
    (void)training, (void)user;
    return bp_linear(x, bp_param_at(bp_model_params(m), 0), bp_param_at(bp_model_params(m), 1));
}

static void of_ones_own(bp_context *ctx)
{
    bp_model *m[2], *other;
    bp_snapshot *s = NULL;
    float p[3];
    bool good = true;
    for (int i = 0; i < 2; i++) {
        good = good && bp_model_own(ctx, PIXELS, BP_TASK_LABELS, 3, own, NULL, &m[i]) == BP_OK;
        good = good && bp_param(bp_model_params(m[i]), "w", BP_SHAPE(3, PIXELS), BP_INIT_LECUN) &&
               bp_param(bp_model_params(m[i]), i ? "c" : "b", BP_SHAPE(3), BP_INIT_ZERO);
    }
    good = good && bp_model_predict(m[0], image, 1, p) == BP_OK &&
           bp_snapshot_take(m[0], &s) == BP_OK && set_all(m[0], 1) &&
           bp_model_restore(m[0], s) == BP_OK && predicts(m[0], p, 3);
    check(good, "a model with a forward pass of its own is snapshotted too");
    good = bp_model_from(ctx, s, &other) == BP_ERR_FORMAT && !other &&
           bp_model_restore(m[1], s) == BP_ERR_FORMAT &&
           strstr(bp_error_text(ctx), "parameter 1 is b [3]; the model's is c [3]");
    check(good, "but no model is made from that, nor does one with other parameters take it");
    bp_snapshot_free(s);
    bp_model_free(m[0]);
    bp_model_free(m[1]);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Every allocation fails once: nothing leaks, and what stood before stands. */
static void short_of_memory(void)
{
    bool good = true;
    int64_t failures = 0, n = 1;
    for (bool failed = true; failed && good; n++) {
        guard g = {0};
        bp_hooks hooks = guard_hooks(&g);
        bp_context *ctx;
        bp_model *m, *other = NULL;
        bp_snapshot *s = NULL;
        float p[CLASSES];
        good = bp_open_with("cpu", &hooks, &ctx) == BP_OK && bp_set_threads(ctx, 1) == BP_OK &&
               bp_model_create(ctx, PIXELS, text, CLASSES, &m) == BP_OK &&
               bp_model_predict(m, image, 1, p) == BP_OK;
        g.fail_at = g.calls + n;
        bp_status took = bp_snapshot_take(m, &s);
        good = good && (took == BP_OK || (took == BP_ERR_NOMEM && !s));
        if (took != BP_OK)
            good = good && bp_snapshot_take(m, &s) == BP_OK;
        bp_status made = bp_model_from(ctx, s, &other);
        good = good && (made == BP_OK || (made == BP_ERR_NOMEM && !other));
        if (made != BP_OK)
            good = good && bp_model_from(ctx, s, &other) == BP_OK;
        bp_status back = good ? bp_model_restore(m, s) : BP_ERR_NOMEM;
        if (back != BP_OK)
            good = good && bp_model_restore(m, s) == BP_OK;
        failed = g.calls >= g.fail_at;
        g.fail_at = 0;
        good = good && predicts(m, p, CLASSES) && predicts(other, p, CLASSES);
        failures += took != BP_OK || made != BP_OK || back != BP_OK;
        bp_model_free(other);
        bp_model_free(m);
        bp_close(ctx);
        bp_snapshot_free(s); /* by the hooks of the context that is gone */
        good = good && g.live == 0 && !g.broken;
    }
    check(good && failures > 10, "each allocation may fail once");
}

int main(void)
{
    bp_context *ctx;
    for (int i = 0; i < PIXELS; i++)
        image[i] = (float)(i * 7 % 17);
    check(bp_open("cpu", &ctx) == BP_OK, "open");
    holds_all(ctx);
    of_ones_own(ctx);
    bp_close(ctx);
    bp_snapshot_free(NULL);
    check(bp_snapshot_share(NULL) == NULL, "NULL is no snapshot, and may be freed");
    short_of_memory();
    beside();
    return check_end();
}
