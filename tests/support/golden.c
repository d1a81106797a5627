/* Golden values: tests/golden/golden.txt and those of ops/, written by make_golden.py, which says
 * what their lines mean. Outputs and gradients of ops, a three-layer net through bp_backward, and
 * trajectories of the optimisers; f64 to a few eps, f32 to what PyTorch's own roundings allow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "readers.h"

enum { NET = 8 }; /* tensors of the net: x, three layers, labels */
static const op_tolerance tolerance = {64, 64, "both sides round, in another order"};

typedef struct line {
    int index;
    bp_dtype dtype;
    bp_shape shape;
    values v;
} line;

static FILE *file;
static char word[64];

static bool next_word(void)
{
    return fscanf(file, "%63s", word) == 1;
}

static double next_number(void)
{
    return next_word() ? strtod(word, NULL) : 0;
}

static bp_shape next_shape(void)
{
    bp_shape s = {(int32_t)next_number(), {0}};
    for (int i = 0; i < s.ndim && i < BP_MAX_DIMS; i++)
        s.dim[i] = (int64_t)next_number();
    return s;
}

/* The tensor behind the word `in`, `out` or `grad`. */
static line next_tensor(void)
{
    line l = {.index = (int)next_number()};
    (void)next_word();
    for (bp_dtype d = BP_F32; d <= BP_I32; d++)
        if (!strcmp(word, bp_dtype_name(d)))
            l.dtype = d;
    l.shape = next_shape();
    l.v.n = bp_shape_count(l.shape);
    l.v.v = calloc((size_t)l.v.n + 1, sizeof(double));
    for (int64_t i = 0; i < l.v.n; i++)
        l.v.v[i] = next_number();
    return l;
}

static bp_tensor *tensor_of(bp_context *ctx, const line *l, bp_dtype real)
{
    bool is_real = l->dtype == BP_F32 || l->dtype == BP_F64;
    bp_tensor *t = bp_tensor_create(ctx, is_real ? real : l->dtype, l->shape);
    if (t && !tensor_fill(t, &l->v)) {
        bp_free(t);
        t = NULL;
    }
    return t;
}

/* --- cases ----------------------------------------------------------------------------------- */

typedef struct job {
    op_case *c;
    bool net;
    bp_dtype real;
    bp_tensor *t[NET], *param[NET];
    bp_params *p;
    values out, grad[NET];
} job;

static bp_tensor *three_layers(bp_tensor *const *t)
{
    bp_tensor *h = bp_linear_relu(t[0], t[1], t[2], 0);
    h = bp_linear_relu(h, t[3], t[4], 0);
    return bp_cross_entropy(bp_linear(h, t[5], t[6]), t[7]);
}

static bp_status net_step(bp_context *ctx, void *user)
{
    job *j = user;
    bp_tensor *loss = three_layers(j->t);
    bp_status st = bp_backward(ctx, loss);
    if (st == BP_OK && !tensor_values(loss, &j->out))
        st = BP_ERR_STATE;
    for (int i = 1; i < NET - 1 && st == BP_OK; i++)
        st = tensor_values(bp_param_grad(j->p, i - 1), &j->grad[i]) ? BP_OK : BP_ERR_STATE;
    return st;
}

static bp_status op_step(bp_context *ctx, void *user)
{
    job *j = user;
    bp_tensor *x[BP_MAX_IO], *wanted[BP_MAX_IO], *dx[BP_MAX_IO], *out[BP_MAX_IO];
    int n = 0, at[BP_MAX_IO];
    for (int i = 0; i < j->c->n_in; i++) {
        bool asks = case_differentiable(j->c, i);
        x[i] = asks ? bp_require_grad(j->t[i]) : j->t[i];
        if (asks) {
            at[n] = i;
            wanted[n++] = x[i];
        }
    }
    if (!op_builder(j->c->builder)(j->c, j->real, x, out) || !tensor_values(out[0], &j->out))
        return BP_ERR_STATE;
    if (n == 0 || bp_dtype_of(out[0]) == BP_I32)
        return BP_OK; /* it has no gradient */
    bp_tensor *dy = bp_tensor_create(ctx, j->real, bp_shape_of(out[0]));
    values w = {j->out.n, calloc((size_t)j->out.n + 1, sizeof(double))};
    for (int64_t e = 0; e < w.n; e++)
        w.v[e] = 1 + (double)(e % 7) / 8;
    bp_status st = dy && tensor_fill(dy, &w) ? bp_grad(ctx, out[0], dy, wanted, n, 0, dx)
                                             : BP_ERR_NOMEM;
    for (int i = 0; i < n && st == BP_OK; i++)
        st = tensor_values(dx[i], &j->grad[at[i]]) ? BP_OK : BP_ERR_STATE;
    bp_free(dy);
    values_free(&w, 1);
    return st;
}

static void compute(bp_context *ctx, job *j, const line *in, int n, bp_dtype real)
{
    static const char *const name[NET] = {"x", "w1", "b1", "w2", "b2", "w3", "b3", "labels"};
    bool done = true;
    values_free(&j->out, 1);
    values_free(j->grad, NET);
    j->real = real;
    if (j->net && bp_params_create(ctx, real, &j->p) != BP_OK)
        return;
    for (int i = 0; i < n; i++) {
        bool param = j->net && i > 0 && i < NET - 1;
        j->t[i] = param ? bp_param(j->p, name[i], in[i].shape, BP_INIT_ZERO)
                        : tensor_of(ctx, &in[i], real);
    }
    for (int i = 1; i < NET - 1 && j->net; i++)
        done = done && tensor_fill(j->t[i], &in[i].v);
    if (!done || bp_run(ctx, 0, j->net ? net_step : op_step, j) != BP_OK)
        check_failed_case("golden", j->c, "%s", bp_error_text(ctx));
    for (int i = 0; i < n; i++)
        bp_free(j->t[i]); /* of a parameter: not ours, stays */
    bp_params_free(j->p);
    j->p = NULL;
}

/* Every op that stands whole in one entry must have been met: nothing else proves a formula that
 * all devices share. */
static struct {
    const char *op;
    bool met;
} wanted[] = {
#define BPI_UNARY_OP(name, ...) {#name, false},
#include "door/unary.def"
#define BPI_BINARY_OP(name, ...) {#name, false},
#include "door/binary.def"
};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* From behind the word `case` up to the next one, which is then in `word`. */
static void read_case(bp_context *ctx)
{
    static char name[96];
    char what[32];
    line in[NET];
    int n = 0;
    (void)next_word();
    snprintf(name, sizeof name, "%s", word);
    op_case c = {.op = name, .name = name, .builder = name};
    c.x = next_number();
    c.y = strchr(word, ',') ? strtod(strchr(word, ',') + 1, NULL) : 0;
    c.a = (int64_t)next_number();
    c.b = (int64_t)next_number();
    c.shape = next_shape();
    c.constant = !strcmp(name, "gate") ? 2 : !strncmp(name, "through_", 8) ? 1 : 0;
    job j = {.c = &c, .net = !strcmp(name, "net")};
    for (int i = 0; i < WANTED; i++)
        wanted[i].met |= !strcmp(wanted[i].op, name);
    if (!j.net && !op_builder(name))
        check_failed_case("golden", &c, "no such builder");
    while (next_word() && strcmp(word, "case") && strcmp(word, "train")) {
        bool out = !strcmp(word, "out"), grad = !strcmp(word, "grad");
        line l = next_tensor();
        if (!out && !grad) {
            bool real = l.dtype == BP_F32;
            if (n < BP_MAX_IO)
                c.in[n] = (op_input){.dtype = real ? 0 : l.dtype, .shape = l.shape};
            in[n++] = l;
            c.n_in = n;
            continue;
        }
        if (out && (j.net || op_builder(name)))
            compute(ctx, &j, in, n, l.dtype == BP_F64 ? BP_F64 : BP_F32);
        snprintf(what, sizeof what, "%s %d", out ? "output" : "gradient", l.index);
        check_values("golden", &c, what, out ? &j.out : &j.grad[l.index], &l.v, l.dtype, tolerance);
        values_free(&l.v, 1);
    }
    values_free(&j.out, 1);
    values_free(j.grad, NET);
    for (int i = 0; i < n; i++)
        values_free(&in[i].v, 1);
}

/* --- trajectories ---------------------------------------------------------------------------- */

typedef struct update {
    bp_tensor *w[2], *g[2];
    bp_optimizer *opt;
} update;

/* loss = sum of w * g: its gradient by w is g. */
static bp_status update_step(bp_context *ctx, void *user)
{
    update *u = user;
    bp_tensor *a = bp_sum(bp_mul(u->w[0], u->g[0])), *b = bp_sum(bp_mul(u->w[1], u->g[1]));
    bp_status st = bp_backward(ctx, bp_add(a, b));
    return st == BP_OK ? bp_optimizer_step(u->opt) : st;
}

static bool new_optimizer(bp_params *p, const op_case *c, double rate, double a, double b,
                          double l2, bp_optimizer **o)
{
    bool adam = !strcmp(c->op, "adam");
    bp_status st = adam ? bp_adam_create(p, rate, o) : bp_sgd_create(p, rate, a, o);
    if (st == BP_OK && adam)
        st = bp_optimizer_set(*o, BP_OPT_BETA1, a);
    if (st == BP_OK && adam)
        st = bp_optimizer_set(*o, BP_OPT_BETA2, b);
    return st == BP_OK && bp_optimizer_set(*o, BP_OPT_L2, l2) == BP_OK;
}

/* From behind `train` to behind `end`; then one more word. */
static void read_trajectory(bp_context *ctx)
{
    static char name[96], what[64];
    (void)next_word();
    snprintf(name, sizeof name, "%s", word);
    op_case c = {.op = name, .name = name};
    double rate = next_number(), a = next_number(), b = next_number(), l2 = next_number();
    update u = {0};
    bp_params *p = NULL;
    values first = {0};
    int step = 0;
    while (next_word() && strcmp(word, "end")) {
        char kind = word[0];
        line l = next_tensor();
        bool ok = true;
        if (kind == 'i' && l.index == 0) { /* a new run, in another type */
            bp_optimizer_free(u.opt);
            bp_params_free(p);
            step = 0;
            ok = bp_params_create(ctx, l.dtype, &p) == BP_OK;
        }
        if (kind == 'i') {
            u.w[l.index] = bp_param(p, l.index ? "b" : "w", l.shape, BP_INIT_ZERO);
            ok = ok && u.w[l.index];
            if (l.index == 1) /* both are declared: the first use closes the store */
                ok = ok && tensor_fill(u.w[0], &first) && tensor_fill(u.w[1], &l.v) &&
                     new_optimizer(p, &c, rate, a, b, l2, &u.opt);
            else
                first = l.v;
        }
        if (kind == 'g') {
            bp_free(u.g[l.index]);
            u.g[l.index] = tensor_of(ctx, &l, l.dtype);
            if (l.index == 1)
                ok = bp_run(ctx, 0, update_step, &u) == BP_OK && ++step;
        }
        values got = {0};
        if (kind == 'o' && (ok = tensor_values(u.w[l.index], &got))) {
            snprintf(what, sizeof what, "weights %d after step %d", l.index, step);
            check_values("golden", &c, what, &got, &l.v, l.dtype, tolerance);
        }
        if (!ok)
            check_failed_case("golden", &c, "step %d: %s", step, bp_error_text(ctx));
        values_free(&got, 1);
        if (kind != 'i' || l.index)
            values_free(&l.v, 1);
        if (kind == 'i' && l.index)
            values_free(&first, 1);
    }
    bp_optimizer_free(u.opt);
    bp_params_free(p);
    bp_free(u.g[0]);
    bp_free(u.g[1]);
    word[0] = 0;
    (void)next_word();
}

static void read_file(bp_context *ctx, const char *path)
{
    file = fopen(path, "r");
    if (!file) {
        check_failed_case("golden", &op_cases[0], "%s cannot be read", path);
        return;
    }
    (void)next_word();
    while (!strcmp(word, "case") || !strcmp(word, "train"))
        if (word[0] == 'c')
            read_case(ctx);
        else
            read_trajectory(ctx);
    if (!feof(file))
        check_failed_case("golden", &op_cases[0], "%s: stopped at \"%s\"", path, word);
    fclose(file);
}

void read_golden(void)
{
    bp_context *ctx;
    const char *only = getenv("BPCUDA_GOLDEN");
    static const char *const files[] = {BPI_GOLDEN};
    if (bp_open(test_device(), &ctx) != BP_OK)
        check_failed_case("golden", &op_cases[0], "%s", bp_error_text(ctx));
    else if (only)
        read_file(ctx, only);
    else
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            read_file(ctx, files[i]);
    for (int i = 0; i < WANTED && !only; i++)
        if (!wanted[i].met)
            check_failed_case("golden", &(op_case){.op = wanted[i].op, .name = wanted[i].op},
                              "no golden value of it in tests/golden/ops");
    bp_close(ctx);
}
