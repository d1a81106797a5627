/* A GRU that learns a text, character by character: an embedding, a cell that is unrolled over 40
 * characters, a linear layer. Prints the loss as it falls, in nats a character, and what the net
 * writes when it starts with the first letter. It ends at 0.001; exits with 1 above 0.2.
 *
 *     chars [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <stdio.h>
#include <string.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

static const char text[] =
    "the quick brown fox jumps over the lazy dog. the dog sleeps, the fox runs on. "
    "a net learns what comes next: a letter, a word, a line. it reads the same text "
    "again and again, and each time it is a little less surprised than it was before.";

enum { T = 40, STATE = 64, CODE = 16, MOST = 64, STEPS = 400, SAMPLE = 72 };

typedef struct problem {
    int32_t code[256], classes, rows; /* of the text: rows of T + 1 letters, which overlap by 1 */
    char letter[MOST];
    bp_tensor *at[T + 1]; /* i32 [rows]: character t of each row */
    bp_tensor *table, *w_ih, *w_hh, *b_ih, *b_hh, *w, *b;
    bp_tensor *seen, *state; /* sampling: i32 [1], f32 [1, STATE] */
    bp_optimizer *adam;
    float loss, logits[MOST]; /* results */
} problem;

static bp_tensor *cell(const problem *p, bp_tensor *letters, bp_tensor *h)
{
    return bp_gru_cell(bp_gather(p->table, letters), h, p->w_ih, p->w_hh, p->b_ih, p->b_hh);
}

static bp_tensor *loss_of(bp_context *ctx, const problem *p)
{
    bp_tensor *h = bp_full(ctx, BP_F32, BP_SHAPE(p->rows, STATE), 0), *loss = NULL;
    for (int t = 0; t < T; t++) {
        h = cell(p, p->at[t], h);
        bp_tensor *one = bp_cross_entropy(bp_linear(h, p->w, p->b), p->at[t + 1]);
        loss = t ? bp_add(loss, one) : one;
    }
    return bp_scale(loss, 1.0 / T);
}

static bp_status train_step(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_status st = bp_backward(ctx, loss_of(ctx, p));
    return st == BP_OK ? bp_optimizer_step(p->adam) : st;
}

static bp_status measure(bp_context *ctx, void *user)
{
    problem *p = user;
    return bp_read_f32(loss_of(ctx, p), &p->loss, 1);
}

/* The state moves on by a letter; logits of the next one. */
static bp_status say(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *h = cell(p, p->seen, p->state);
    (void)ctx;
    bp_status st = bp_read_f32(bp_linear(h, p->w, p->b), p->logits, p->classes);
    return st == BP_OK ? bp_copy_into(p->state, h) : st;
}

static bp_status read_text(bp_context *ctx, problem *p)
{
    int32_t column[sizeof text / T];
    bp_status st = BP_OK;
    memset(p->code, -1, sizeof p->code);
    for (const char *s = text; *s; s++)
        if (p->code[(unsigned char)*s] < 0) {
            p->letter[p->classes] = *s;
            p->code[(unsigned char)*s] = p->classes++;
        }
    p->rows = (int32_t)(strlen(text) - 1) / T;
    for (int t = 0; t <= T && st == BP_OK; t++) {
        for (int i = 0; i < p->rows; i++)
            column[i] = p->code[(unsigned char)text[i * T + t]];
        p->at[t] = bp_tensor_create(ctx, BP_I32, BP_SHAPE(p->rows));
        st = bp_write(p->at[t], column, (size_t)p->rows * sizeof *column);
    }
    p->seen = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    p->state = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, STATE));
    return st;
}

static bp_status sample(bp_context *ctx, problem *p)
{
    int32_t next = 0;
    bp_status st = BP_OK;
    for (int i = 0; i < SAMPLE && st == BP_OK; i++) {
        putchar(p->letter[next]);
        st = bp_write(p->seen, &next, sizeof next);
        if (st == BP_OK)
            st = bp_run(ctx, BP_NO_GRAD, say, p);
        for (int k = next = 0; k < p->classes; k++)
            if (p->logits[k] > p->logits[next])
                next = k;
    }
    putchar('\n');
    return st;
}

int main(int argc, char **argv)
{
    problem p = {.classes = 0};
    float zeros[STATE] = {0};
    bp_context *ctx;
    bp_params *s = NULL;
    bp_plan *plan = NULL;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(read_text(ctx, &p));
    CHECK(bp_params_create(ctx, BP_F32, &s));
    p.table = bp_param(s, "table", BP_SHAPE(p.classes, CODE), BP_INIT_LECUN);
    p.w_ih = bp_param(s, "gru.weight_ih", BP_SHAPE(3 * STATE, CODE), BP_INIT_LECUN);
    p.w_hh = bp_param(s, "gru.weight_hh", BP_SHAPE(3 * STATE, STATE), BP_INIT_LECUN);
    p.b_ih = bp_param(s, "gru.bias_ih", BP_SHAPE(3 * STATE), BP_INIT_ZERO);
    p.b_hh = bp_param(s, "gru.bias_hh", BP_SHAPE(3 * STATE), BP_INIT_ZERO);
    p.w = bp_param(s, "head.weight", BP_SHAPE(p.classes, STATE), BP_INIT_LECUN);
    p.b = bp_param(s, "head.bias", BP_SHAPE(p.classes), BP_INIT_ZERO);
    CHECK(bp_adam_create(s, 0.01, &p.adam));
    CHECK(bp_run(ctx, BP_NO_GRAD, measure, &p));
    printf("%s: %d letters\nloss %.3f\n", bp_device_text(ctx), p.classes, (double)p.loss);
    CHECK(bp_plan_record(ctx, train_step, &p, &plan));
    for (int i = 0; i < 4; i++) {
        CHECK(bp_plan_replay(plan, STEPS / 4));
        CHECK(bp_run(ctx, BP_NO_GRAD, measure, &p));
        printf("loss %.3f\n", (double)p.loss);
    }
    CHECK(bp_write(p.state, zeros, sizeof zeros));
    CHECK(sample(ctx, &p));
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_plan_free(plan);
    bp_optimizer_free(p.adam);
    bp_params_free(s);
    for (int t = 0; t <= T; t++)
        bp_free(p.at[t]);
    bp_free(p.seen);
    bp_free(p.state);
    bp_close(ctx);
    return st != BP_OK || !(p.loss < 0.2f);
}
