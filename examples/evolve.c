/* An evolution strategy balances a pole on a cart (Barto, Sutton, Anderson, 1983): CMA-ES, and a
 * (1+lambda)-ES beside it, each over the 49 numbers of a net of 4-8-1,
 *
 *     push to the right where w2 . tanh(W1 s + b1) + b2 > 0,
 *
 * whose value is the number of steps, at most 500, until the pole falls, from 12 starts. The push
 * is one of two, and the count has no slope anywhere: there is no gradient to follow. The world is
 * a plain C function, which the library calls for several candidates side by side, and gets the
 * same bits for any number of threads. With a net of zeros a pole stands for 9 steps; after 120
 * and 255 candidates for 500 of 500, from 100 new starts too. Exits with 1 where either stands for
 * less than 475 in the mean.
 *
 *     evolve [device]        "auto" */
#include <bpcuda/bpcuda.h>
#include <math.h>
#include <stdio.h>

#define CHECK(call) do { if ((st = (call)) != BP_OK) goto done; } while (0)

enum { IN = 4, HIDDEN = 8, N = HIDDEN * (IN + 2) + 1, T = 500, STARTS = 12, NEW = 100 };

/* An even number in [-0.05, 0.05), by its number. */
static double start(uint32_t i)
{
    i = (i + 1) * 2654435761u;
    i = (i ^ i >> 15) * 2246822519u;
    return (double)((i ^ i >> 13) >> 8) * 0x1p-24 * 0.1 - 0.05;
}

static int pushes_right(const double *w, const double s[IN])
{
    const double *bias = w + HIDDEN * IN, *out = bias + HIDDEN;
    double sum = out[HIDDEN];
    for (int h = 0; h < HIDDEN; h++) {
        double a = bias[h];
        for (int i = 0; i < IN; i++)
            a += w[h * IN + i] * s[i];
        sum += out[h] * tanh(a);
    }
    return sum > 0;
}

/* 0.02 s later: place, speed, angle, speed of angle. */
static void push(double s[IN], int right)
{
    double sine = sin(s[2]), cosine = cos(s[2]);
    double force = ((right ? 10 : -10) + 0.05 * s[3] * s[3] * sine) / 1.1;
    double turn = (9.8 * sine - cosine * force) / (2.0 / 3 - 0.05 * cosine * cosine / 1.1);
    double speed[IN] = {s[1], force - 0.05 * turn * cosine / 1.1, s[3], turn};
    for (int i = 0; i < IN; i++)
        s[i] += 0.02 * speed[i];
}

/* How long the pole stands, in the mean of starts first .. first + n. */
static double stands(const double *w, uint32_t first, uint32_t n)
{
    int steps = 0;
    for (uint32_t k = first; k < first + n; k++) {
        double s[IN];
        for (uint32_t i = 0; i < IN; i++)
            s[i] = start(IN * k + i);
        for (int t = 0; t < T && fabs(s[0]) < 2.4 && fabs(s[2]) < 0.2095; t++, steps++)
            push(s, pushes_right(w, s));
    }
    return (double)steps / n;
}

static double cost(void *user, const double *w, int64_t n)
{
    (void)user, (void)n;
    return -stands(w, 0, STARTS);
}

typedef bp_status (*strategy)(bp_context *, bp_cost_fn, void *, double *, int64_t,
                              const bp_evolve_options *, bp_found *);

int main(int argc, char **argv)
{
    static const strategy all[] = {bp_cma_es_host, bp_es_host};
    static const char *const name[] = {"CMA-ES", "(1+lambda)-ES"};
    bp_evolve_options options = {.struct_bytes = sizeof options, .deviation = 0.5, .seed = 1,
                                 .evaluations = 4000, .has_target = 1, .target = -T};
    double worst = T;
    bp_context *ctx;
    bp_status st;
    CHECK(bp_open(argc > 1 ? argv[1] : "auto", &ctx));
    for (int k = 0; k < 2; k++) {
        bp_found found = {.struct_bytes = sizeof found};
        double w[N] = {0};
        double before = stands(w, STARTS, NEW);
        CHECK(all[k](ctx, cost, NULL, w, N, &options, &found));
        double after = stands(w, STARTS, NEW);
        printf("%s: poles stand for %.1f steps, and for %.1f of %d after %lld candidates: %s\n",
               name[k], before, after, T, (long long)found.evaluations, bp_stop_text(found.stop));
        worst = fmin(worst, after);
    }
done:
    if (st != BP_OK)
        fprintf(stderr, "%s\n", bp_error_text(ctx));
    bp_close(ctx);
    return st != BP_OK || !(worst > 475);
}
