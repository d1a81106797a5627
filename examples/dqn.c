/* Deep Q-learning (Mnih et al., 2015) balances a pole on a cart (Barto, Sutton, Anderson, 1983). A
 * net tells what each push is worth; it learns from steps that were made long ago, out of a ring
 * (replay buffer), towards what a target network says, which follows it slowly (Lillicrap et al.,
 * 2015), the better push chosen by the net itself (van Hasselt, Guez, Silver, 2016):
 *
 *     loss = huber(Q(s, a) - 0.99 Q'(s', argmax Q(s', .))), or huber(Q(s, a) + 1) where it falls
 *
 * The world goes on in the trainer's callback, a step a step. Games end after 500 steps; by chance
 * a pole stands for 20, in the ten games at the end for 500 (with other roundings for 420 or more).
 * Exits with 1 where the mean is below 300.
 *
 *     dqn [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { STEPS = 40000, EPOCH = 100, FIRST = 500, LONGEST = 500, GAMES = 10 };

typedef struct game {
    bp_context *ctx;
    bp_params *params[2]; /* of Q and of Q' */
    bp_layers *q[2];
    bp_data *ring;
    bp_tensor *at; /* f32 [1, 4], what Q looks at */
    float s[4];    /* cart's place and speed, pole's angle and speed */
    int best, steps, games, all; /* all: steps of the games that are over */
    uint32_t seed;
} game;

static double chance(game *g)
{
    g->seed = g->seed * 1664525u + 1013904223u;
    return (g->seed >> 8) * 0x1p-24;
}

static void restart(game *g)
{
    for (int i = 0; i < 4; i++)
        g->s[i] = (float)(chance(g) * 0.1 - 0.05);
    g->steps = 0;
}

/* A push to the left (0) or right (1) for 0.02 s; whether the pole has fallen. */
static bool push(float *s, int right)
{
    float c = cosf(s[2]), sn = sinf(s[2]);
    float f = ((right ? 10.0f : -10.0f) + 0.05f * s[3] * s[3] * sn) / 1.1f;
    float turn = (9.8f * sn - c * f) / (0.5f * (4.0f / 3 - 0.1f * c * c / 1.1f));
    float speed[4] = {s[1], f - 0.05f * turn * c / 1.1f, s[3], turn};
    for (int i = 0; i < 4; i++)
        s[i] += 0.02f * speed[i];
    return fabsf(s[0]) > 2.4f || fabsf(s[2]) > 0.2095f;
}

static bp_status look(bp_context *ctx, void *user)
{
    game *g = user;
    float q[2] = {0};
    (void)ctx;
    bp_status st = bp_read_f32(bp_layers_forward(g->q[0], g->at, 0), q, 2);
    g->best = q[1] > q[0];
    return st;
}

/* One step of the world: the better push, or with probability `any` either; into the ring. */
static bp_status play(game *g, double any)
{
    float before[4] = {g->s[0], g->s[1], g->s[2], g->s[3]};
    bp_status st = bp_write(g->at, g->s, sizeof g->s);
    st = st == BP_OK ? bp_run(g->ctx, BP_NO_GRAD, look, g) : st;
    int32_t right = chance(g) < any ? chance(g) < 0.5 : g->best;
    float alive = !push(g->s, right);
    if (st == BP_OK)
        st = bp_data_push(g->ring, 1, (const void *[]){before, &right, g->s, &alive});
    if (++g->steps == LONGEST || alive == 0) {
        g->all += g->steps;
        g->games++;
        restart(g);
    }
    return st;
}

static bp_status between(bp_trainer *trainer, const bp_progress *now, void *user)
{
    game *g = user;
    bp_status st = bp_params_average(g->params[1], g->params[0], 0.01);
    (void)trainer;
    return st == BP_OK ? play(g, 0.3 * (1 - (double)now->steps / STEPS)) : st;
}

static bp_tensor *loss_of(bp_context *ctx, bp_batch *batch, void *user)
{
    const game *g = user;
    bp_tensor *next = bp_batch_column(batch, "next"), *alive = bp_batch_column(batch, "alive");
    bp_tensor *q = bp_layers_forward(g->q[0], bp_batch_column(batch, "state"), 1);
    bp_tensor *best = bp_argmax(bp_layers_forward(g->q[0], next, 1), 1);
    bp_tensor *later = bp_scale(bp_pick(bp_layers_forward(g->q[1], next, 1), best), 0.99);
    bp_tensor *target = bp_detach(bp_where(alive, later, bp_full_like(later, -1)));
    (void)ctx;
    return bp_huber_loss(bp_pick(q, bp_batch_column(batch, "action")), target, 1, BP_MEAN);
}

int main(int argc, char **argv)
{
    game g = {.seed = 1};
    bp_trainer *trainer = NULL;
    int32_t done;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &g.ctx));
    CHECK(bp_seed(g.ctx, 1));
    CHECK(bp_data_ring(g.ctx, STEPS, &g.ring));
    CHECK(bp_data_add(g.ring, "state", BP_F32, BP_SHAPE(4), NULL));
    CHECK(bp_data_add(g.ring, "action", BP_I32, BP_SCALAR, NULL));
    CHECK(bp_data_add(g.ring, "next", BP_F32, BP_SHAPE(4), NULL));
    CHECK(bp_data_add(g.ring, "alive", BP_F32, BP_SCALAR, NULL));
    for (int i = 0; i < 2; i++) {
        CHECK(bp_params_create(g.ctx, BP_F32, &g.params[i]));
        CHECK(bp_layers_create(g.params[i], "", 4, "64 relu 64 relu 2", &g.q[i]));
    }
    CHECK(bp_params_copy(g.params[1], g.params[0]));
    g.at = bp_tensor_create(g.ctx, BP_F32, BP_SHAPE(1, 4));
    restart(&g);
    for (int i = 0; i < FIRST; i++)
        CHECK(play(&g, 1));
    CHECK(bp_trainer_create_with(g.params[0], g.ring, loss_of, &g, &trainer));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCHS, STEPS / EPOCH));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_EPOCH_STEPS, EPOCH));
    CHECK(bp_trainer_set(trainer, BP_TRAIN_LR, 0.001));
    CHECK(bp_trainer_on_step(trainer, between, &g));
    CHECK(bp_trainer_run(trainer, -1, -1, &done));
    restart(&g);
    for (g.all = g.games = 0; g.games < GAMES;)
        CHECK(play(&g, 0));
    printf("%s: the pole stands for %.1f steps of %d\n", bp_device_text(g.ctx),
           (double)g.all / GAMES, LONGEST);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(g.ctx));
    bp_trainer_free(trainer);
    for (int i = 0; i < 2; i++)
        bp_layers_free(g.q[i]), bp_params_free(g.params[i]);
    bp_free(g.at);
    bp_data_free(g.ring);
    bp_close(g.ctx);
    return st != BP_OK || g.all < 300 * GAMES;
}
