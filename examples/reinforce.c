/* REINFORCE (Williams, 1992) balances a pole on a cart (Barto, Sutton, Anderson, 1983): a net tells
 * with which probability to push to the right, and pushes that were followed by more steps than
 * usual become more likely:
 *
 *     loss = -mean over carts of sum_t ln p(a_t | s_t) (R_t - mean over carts of R_t) / deviation
 *
 * R_t counts the steps until the pole falls. 64 carts at once, and the world is ops too: 200 steps
 * of it, the walk back and the optimiser are one plan that leaves nothing to the host. By chance a
 * pole stands for 20 steps; in the end for 200 of 200. Exits with 1 where it is less than 180.
 *
 *     reinforce [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { CARTS = 64, T = 200, UPDATES = 150 };

typedef struct problem {
    bp_layers *policy;
    bp_optimizer *adam;
    bp_tensor *steps; /* result, f32 []: how long a pole stands, in the mean */
} problem;

/* 0.02 s later: s [CARTS, 4] is place, speed, angle, speed of angle; right [CARTS, 1] is 0 or 1. */
static bp_tensor *push(bp_tensor *s, bp_tensor *right)
{
    bp_tensor *part[4];
    if (!bp_split(s, 1, 4, NULL, part))
        return NULL;
    bp_tensor *sine = bp_sin(part[2]), *cosine = bp_cos(part[2]);
    bp_tensor *whirl = bp_scale(bp_mul(bp_square(part[3]), sine), 0.05 / 1.1);
    bp_tensor *force = bp_add(bp_scale(bp_shift(right, -0.5), 20 / 1.1), whirl);
    bp_tensor *mass = bp_shift(bp_scale(bp_square(cosine), -0.05 / 1.1), 2.0 / 3);
    bp_tensor *turn = bp_div(bp_sub(bp_scale(sine, 9.8), bp_mul(cosine, force)), mass);
    bp_tensor *go = bp_sub(force, bp_scale(bp_mul(turn, cosine), 0.05 / 1.1));
    bp_tensor *speed = bp_concat((bp_tensor *[]){part[1], go, part[3], turn}, 4, 1);
    return bp_add(s, bp_scale(speed, 0.02));
}

/* 1 where the pole stands and the cart is on its track, [CARTS, 1]. */
static bp_tensor *stands(bp_tensor *s)
{
    bp_tensor *place = bp_abs(bp_slice(s, 1, 0, 1, 1)), *angle = bp_abs(bp_slice(s, 1, 2, 3, 1));
    return bp_logical_not(bp_add(bp_threshold(place, 2.4), bp_threshold(angle, 0.2095)));
}

static bp_status step(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *s = bp_uniform(ctx, BP_F32, BP_SHAPE(CARTS, 4), -0.05, 0.05);
    bp_tensor *surprise[T], *alive[T];
    for (int t = 0; t < T; t++) {
        bp_tensor *y = bp_layers_forward(p->policy, s, 1);
        bp_tensor *right = bp_bernoulli_of(bp_sigmoid(bp_detach(y)));
        surprise[t] = bp_sigmoid_cross_entropy(y, right); /* -ln p(a) */
        s = push(s, right);
        alive[t] = t ? bp_mul(alive[t - 1], stands(s)) : stands(s);
    }
    bp_tensor *lived = bp_concat(alive, T, 1); /* [CARTS, T] */
    bp_tensor *later = bp_cumsum(lived, 1, 1);
    bp_tensor *usual = bp_mean_axes(later, BP_AXIS(0), 1);
    bp_tensor *gain = bp_mul(bp_div(bp_sub(later, usual), bp_shift(bp_std(later, 0), 1e-3)), lived);
    bp_tensor *loss = bp_scale(bp_sum(bp_mul(bp_concat(surprise, T, 1), gain)), 1.0 / CARTS);
    bp_status st = bp_copy_into(p->steps, bp_scale(bp_sum(lived), 1.0 / CARTS));
    if (st == BP_OK)
        st = bp_backward(ctx, loss);
    return st == BP_OK ? bp_optimizer_step(p->adam) : st;
}

int main(int argc, char **argv)
{
    problem p = {0};
    bp_context *ctx;
    bp_params *params = NULL;
    bp_plan *plan = NULL;
    float first = 0, last = 0;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    p.steps = bp_tensor_create(ctx, BP_F32, BP_SCALAR);
    CHECK(bp_params_create(ctx, BP_F32, &params));
    CHECK(bp_layers_create(params, "", 4, "32 tanh 1", &p.policy));
    CHECK(bp_adam_create(params, 0.01, &p.adam));
    CHECK(bp_plan_record(ctx, step, &p, &plan));
    CHECK(bp_read(p.steps, &first, sizeof first));
    CHECK(bp_plan_replay(plan, UPDATES - 1));
    CHECK(bp_read(p.steps, &last, sizeof last));
    printf("%s: poles stand for %.1f steps at first, for %.1f of %d in the end\n",
           bp_device_text(ctx), (double)first, (double)last, T);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_plan_free(plan);
    bp_optimizer_free(p.adam);
    bp_layers_free(p.policy);
    bp_params_free(params);
    bp_free(p.steps);
    bp_close(ctx);
    return st != BP_OK || !(last > 180);
}
