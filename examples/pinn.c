/* A physics-informed network (Raissi, Perdikaris, Karniadakis, 2019): a net of 1-16-16-1 with tanh
 * that solves u'' + u = 0 on [0, 5] with u(0) = 0 and u'(0) = 1, from no data but the equation.
 * Its derivatives by x are bp_grad's, and are differentiated again by the weights. Prints u beside
 * sin x, from which it is 0.004 at most. Exits with 1 where they are more than 0.01 apart.
 *
 *     pinn [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { N = 32, STEPS = 3000 };

typedef struct problem {
    bp_tensor *x; /* f64 [N, 1]; the first is 0 */
    bp_layers *net;
    bp_optimizer *adam;
    double loss, u[N]; /* results */
} problem;

/* mean (u'' + u)^2 + u(0)^2 + (u'(0) - 1)^2; rows are points, so the gradient of a sum is u'. */
static bp_tensor *loss_of(bp_context *ctx, const problem *p)
{
    bp_tensor *x = bp_require_grad(p->x), *d1 = NULL, *d2 = NULL;
    bp_tensor *u = bp_layers_forward(p->net, x, 1);
    bp_status st = bp_grad_scalar(ctx, bp_sum(u), &x, 1, BP_CREATE_GRAPH, &d1);
    if (st == BP_OK)
        st = bp_grad_scalar(ctx, bp_sum(d1), &x, 1, BP_CREATE_GRAPH, &d2);
    if (st != BP_OK)
        return NULL; /* what failed has said so */
    bp_tensor *equation = bp_mean(bp_square(bp_add(d2, u)));
    bp_tensor *u0 = bp_slice(u, 0, 0, 1, 1), *slope = bp_shift(bp_slice(d1, 0, 0, 1, 1), -1);
    return bp_add(equation, bp_add(bp_sum_squares(u0), bp_sum_squares(slope)));
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
    bp_status st = bp_read_f64(loss_of(ctx, p), &p->loss, 1);
    return st == BP_OK ? bp_read_f64(bp_layers_forward(p->net, p->x, 0), p->u, N) : st;
}

int main(int argc, char **argv)
{
    problem p = {0};
    bp_context *ctx;
    bp_params *params = NULL;
    bp_plan *plan = NULL;
    double x[N], worst = 0;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    for (int i = 0; i < N; i++)
        x[i] = 5.0 * i / (N - 1);
    p.x = bp_tensor_create(ctx, BP_F64, BP_SHAPE(N, 1));
    CHECK(bp_write(p.x, x, sizeof x));
    CHECK(bp_params_create(ctx, BP_F64, &params));
    CHECK(bp_layers_create(params, "", 1, "16 tanh 16 tanh 1", &p.net));
    CHECK(bp_adam_create(params, 0.005, &p.adam));
    CHECK(bp_run(ctx, 0, measure, &p));
    printf("%s: loss %.3e at first, ", bp_device_text(ctx), p.loss);
    CHECK(bp_plan_record(ctx, train_step, &p, &plan));
    CHECK(bp_plan_replay(plan, STEPS - 1));
    CHECK(bp_run(ctx, 0, measure, &p));
    printf("%.3e after %d steps\n%6s %10s %10s\n", p.loss, STEPS, "x", "u", "sin x");
    for (int i = 0; i < N; i++) {
        worst = fmax(worst, fabs(p.u[i] - sin(x[i])));
        if (i % 5 == 0)
            printf("%6.2f %10.5f %10.5f\n", x[i], p.u[i], sin(x[i]));
    }
    printf("at most %.1e from sin x\n", worst);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_plan_free(plan);
    bp_optimizer_free(p.adam);
    bp_layers_free(p.net);
    bp_params_free(params);
    bp_free(p.x);
    bp_close(ctx);
    return st != BP_OK || !(worst < 0.01);
}
