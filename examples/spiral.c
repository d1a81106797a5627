/* Two spirals, a net of 2-16-16-2 with tanh, and how its answers move with the point: the Jacobian
 * of the logits, which is 1e-11 from central differences (1 where it is more than 1e-9, or where
 * bp_gradcheck finds a gradient wrong); the Hessian of the loss times a direction.
 *
 *     spiral [device [graph.dot]]        "auto"; the graph of the loss is written there */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { N = 128, STEPS = 600 };

typedef struct problem {
    bp_tensor *points, *labels, *at; /* f64 [N, 2], i32 [N], f64 [1, 2] */
    bp_layers *net;
    bp_optimizer *adam;
    double found[2], j[4], hv[2], y[2]; /* results */
    const char *dot;
} problem;

static bp_status train_step(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *y = bp_layers_forward(p->net, p->points, 1);
    bp_status st = bp_backward(ctx, bp_cross_entropy(y, p->labels));
    return st == BP_OK ? bp_optimizer_step(p->adam) : st;
}

/* Loss and accuracy, and the picture. */
static bp_status measure(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *y = bp_layers_forward(p->net, p->points, 0), *both[2];
    both[0] = bp_cross_entropy_correct(y, p->labels, &both[1]);
    bp_status st = bp_read_all(ctx, both, 2, p->found, 2);
    return st == BP_OK && p->dot ? bp_graph_write_dot(ctx, both[0], p->dot) : st;
}

/* The net as a function of the point; and its loss. */
static bp_tensor *logits(bp_context *ctx, bp_tensor *const *x, void *user)
{
    const problem *p = user;
    (void)ctx;
    return bp_layers_forward(p->net, x[0], 0);
}

static bp_tensor *loss(bp_context *ctx, bp_tensor *const *x, void *user)
{
    return bp_neg(bp_sum(bp_log_softmax(logits(ctx, x, user), 1)));
}

static bp_status derive(bp_context *ctx, void *user)
{
    problem *p = user;
    bp_tensor *j, *hv;
    bp_status st = bp_jacobian(ctx, logits, p, &p->at, 1, NULL, &j); /* [1, 2, 1, 2] */
    if (st == BP_OK)
        st = bp_read_f64(j, p->j, 4);
    if (st == BP_OK)
        st = bp_hvp(ctx, loss, p, &p->at, &p->at, 1, NULL, &hv);
    return st == BP_OK ? bp_read_f64(hv, p->hv, 2) : st;
}

static bp_status value(bp_context *ctx, void *user)
{
    problem *p = user;
    return bp_read_f64(logits(ctx, &p->at, p), p->y, 2);
}

/* d logits / d point[k], by central differences of 4 points. */
static bp_status difference(bp_context *ctx, problem *p, const double *at, int k, double *d)
{
    static const double step[4] = {1, -1, 2, -2}, factor[4] = {8, -8, -1, 1};
    double h = 2e-4, x[2] = {at[0], at[1]};
    d[0] = d[1] = 0;
    bp_status st = BP_OK;
    for (int s = 0; s < 4 && st == BP_OK; s++) {
        x[k] = at[k] + step[s] * h;
        st = bp_write(p->at, x, sizeof x);
        if (st == BP_OK)
            st = bp_run(ctx, BP_NO_GRAD, value, p);
        for (int i = 0; i < 2; i++)
            d[i] += factor[s] * p->y[i] / (12 * h);
    }
    return st == BP_OK ? bp_write(p->at, at, sizeof x) : st;
}

static bp_status make_data(bp_context *ctx, problem *p)
{
    double points[N][2];
    int32_t labels[N];
    for (int i = 0; i < N; i++) {
        double t = (i / 2 + 1.0) / (N / 2), angle = 6 * t + (i % 2) * 3.14159265358979;
        points[i][0] = 2 * t * cos(angle);
        points[i][1] = 2 * t * sin(angle);
        labels[i] = i % 2;
    }
    p->points = bp_tensor_create(ctx, BP_F64, BP_SHAPE(N, 2));
    p->labels = bp_tensor_create(ctx, BP_I32, BP_SHAPE(N));
    p->at = bp_tensor_create(ctx, BP_F64, BP_SHAPE(1, 2));
    bp_status st = bp_write(p->points, points, sizeof points);
    return st == BP_OK ? bp_write(p->labels, labels, sizeof labels) : st;
}

int main(int argc, char **argv)
{
    static const double at[2] = {0.4, -0.3};
    problem p = {.dot = argc > 2 ? argv[2] : NULL};
    bp_gradcheck_report report = {.struct_bytes = sizeof report};
    bp_context *ctx;
    bp_params *params = NULL;
    bp_plan *plan = NULL;
    double worst = 0, d[2];
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    CHECK(bp_seed(ctx, 1));
    CHECK(make_data(ctx, &p));
    CHECK(bp_params_create(ctx, BP_F64, &params));
    CHECK(bp_layers_create(params, "", 2, "16 tanh 16 tanh 2", &p.net));
    CHECK(bp_adam_create(params, 0.01, &p.adam));
    CHECK(bp_plan_record(ctx, train_step, &p, &plan));
    CHECK(bp_plan_replay(plan, STEPS - 1));
    CHECK(bp_run(ctx, 0, measure, &p));
    printf("%s: loss %.4f, %.0f of %d right\n", bp_device_text(ctx), p.found[0], p.found[1], N);
    CHECK(bp_write(p.at, at, sizeof at));
    CHECK(bp_run(ctx, 0, derive, &p));
    printf("logits at (%g, %g)     Jacobian           differences\n", at[0], at[1]);
    for (int k = 0; k < 2; k++) {
        CHECK(difference(ctx, &p, at, k, d));
        for (int i = 0; i < 2; i++) {
            printf("d y[%d] / d x[%d]  %18.12f %18.12f\n", i, k, p.j[2 * i + k], d[i]);
            worst = fmax(worst, fabs(p.j[2 * i + k] - d[i]) / fmax(1, fabs(d[i])));
        }
    }
    CHECK(bp_gradcheck(ctx, loss, &p, &p.at, 1, 0, &report));
    printf("at most %.1e apart; Hessian of a loss times x: %.6f %.6f\n", worst, p.hv[0], p.hv[1]);
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_plan_free(plan);
    bp_optimizer_free(p.adam);
    bp_layers_free(p.net);
    bp_params_free(params);
    for (int i = 0; i < 3; i++)
        bp_free((bp_tensor *[]){p.points, p.labels, p.at}[i]);
    bp_close(ctx);
    return st != BP_OK || !(worst < 1e-9) || report.wrong || report.checked != 2;
}
