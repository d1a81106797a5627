/* Predicting beside training: a thread answers, image by image, while another trains. They share
 * nothing but a pointer to the newest snapshot of the model, which never changes once it is taken;
 * each thread computes in a context of its own.
 *
 * The trainer publishes a snapshot an epoch. The other thread takes the newest before each pass
 * over the images of the test. Its first answers are guesses (10 % right), its last ones as good as
 * the trained model, to the row: 97.8 %. Exits with 1 where they differ, or where it is less than
 * 96 %.
 *
 *     beside [device]        "auto", of both */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { MOST = 400 };

typedef struct shared {
    pthread_mutex_t lock; /* of the two that follow */
    bp_snapshot *newest;
    bool over;

    bp_model *model; /* of the thread that trains */
    const char *device;
    float image[MOST][64];
    int32_t label[MOST], rows, answers, snapshots;

    double right; /* of the last pass over the images */
    bp_status st; /* of the thread that answers */
    char error[256];
} shared;

/* The newest snapshot, if it is another than `mine`; and whether it is the last. */
static bp_snapshot *look(shared *s, const bp_snapshot *mine, bool *last)
{
    pthread_mutex_lock(&s->lock);
    bp_snapshot *newer = s->newest != mine ? bp_snapshot_share(s->newest) : NULL;
    *last = s->over;
    pthread_mutex_unlock(&s->lock);
    return newer;
}

static void *answer(void *arg)
{
    shared *s = arg;
    bp_context *ctx;
    bp_model *model = NULL;
    bp_snapshot *mine = NULL;
    bp_status st;
    CHECK(bp_open(s->device, &ctx));
    for (bool last = false; !last;) {
        bp_snapshot *newer = look(s, mine, &last);
        if (newer) {
            bp_snapshot_free(mine);
            mine = newer;
            CHECK(model ? bp_model_restore(model, mine) : bp_model_from(ctx, mine, &model));
            s->snapshots++;
        }
        s->right = 0;
        for (int i = 0; i < s->rows; i++, s->answers++) {
            float p[10];
            int best = 0;
            CHECK(bp_model_predict(model, s->image[i], 1, p));
            for (int k = 1; k < 10; k++)
                best = p[k] > p[best] ? k : best;
            s->right += (double)(best == s->label[i]) / s->rows;
        }
    }
done:
    s->st = st;
    snprintf(s->error, sizeof s->error, "%s", bp_error_text(ctx));
    bp_model_free(model);
    bp_snapshot_free(mine);
    bp_close(ctx);
    return NULL;
}

static bp_status publish(bp_trainer *trainer, const bp_progress *now, void *user)
{
    shared *s = user;
    bp_snapshot *newer, *old;
    (void)trainer;
    (void)now;
    bp_status st = bp_snapshot_take(s->model, &newer);
    if (st != BP_OK)
        return st;
    pthread_mutex_lock(&s->lock);
    old = s->newest;
    s->newest = newer;
    pthread_mutex_unlock(&s->lock);
    bp_snapshot_free(old); /* who still reads it has a reference */
    return BP_OK;
}

int main(int argc, char **argv)
{
    static shared s = {.lock = PTHREAD_MUTEX_INITIALIZER};
    bp_context *ctx;
    bp_data *all = NULL, *train = NULL, *test = NULL;
    bp_trainer *trainer = NULL;
    pthread_t thread;
    bool started = false;
    double loss, accuracy = 0;
    int32_t done;
    bp_status st;
    s.device = argc > 1 ? argv[1] : "auto";
    CHECK(bp_open(s.device, &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(bp_data_digits(ctx, &all));
    CHECK(bp_data_split(all, 0.2, 0, &train, &test));
    s.rows = (int32_t)bp_data_rows(test);
    CHECK(bp_read_f32(bp_data_samples(test), s.image[0], s.rows * 64));
    CHECK(bp_read(bp_data_labels(test), s.label, (size_t)s.rows * sizeof *s.label));
    CHECK(bp_model_create(ctx, 64, "64 relu dropout=0.1 64 relu", 10, &s.model));
    CHECK(bp_model_normalize(s.model, train));
    CHECK(publish(NULL, NULL, &s)); /* of nothing but chance */
    started = !pthread_create(&thread, NULL, answer, &s);
    CHECK(bp_trainer_create(s.model, train, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, 30));
    CHECK(bp_trainer_on_epoch(trainer, publish, &s));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    CHECK(bp_model_evaluate(s.model, test, &loss, &accuracy));
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    pthread_mutex_lock(&s.lock);
    s.over = true;
    pthread_mutex_unlock(&s.lock);
    if (started)
        pthread_join(thread, NULL);
    if (s.st != BP_OK)
        fprintf(stderr, "%s\n", s.error);
    printf("%s: %d answers with %d snapshots; %.2f %% right in the end, trained %.2f %%\n",
           bp_device_text(ctx), s.answers, s.snapshots, 100 * s.right, 100 * accuracy);
    bp_trainer_free(trainer);
    bp_model_free(s.model);
    bp_snapshot_free(s.newest);
    bp_data_free(test);
    bp_data_free(train);
    bp_data_free(all);
    bp_close(ctx);
    return st != BP_OK || s.st != BP_OK || !(accuracy > 0.96 && fabs(s.right - accuracy) < 1e-9);
}
