/* Eigenvalues of Hessians: curvature.h against dense ones, made by other walks and reduced by
 * another method. */
#include "suite.h"

#define CLAIM(name) Test(curvature, name, .init = setup, .fini = teardown)

enum { ROWS = 20, INPUTS = 2, HIDDEN = 4, CLASSES = 3, PARTS = 4, ALL = 27 };

typedef struct small_net {
    bp_params *store;
    bp_tensor *p[PARTS], *x, *labels;
    double scale; /* of the loss */
} small_net;

static small_net make(bp_dtype dtype)
{
    static const bp_shape shape[PARTS] = {{2, {HIDDEN, INPUTS}}, {1, {HIDDEN}},
                                          {2, {CLASSES, HIDDEN}}, {1, {CLASSES}}};
    static const char *const name[PARTS] = {"a.weight", "a.bias", "b.weight", "b.bias"};
    small_net n = {.scale = 1};
    double label[ROWS];
    OK(bp_params_create(ctx, dtype, &n.store));
    for (int i = 0; i < PARTS; i++)
        n.p[i] = bp_param(n.store, name[i], shape[i], BP_INIT_LECUN);
    for (int i = 0; i < ROWS; i++)
        label[i] = i % CLASSES;
    n.x = tensor_in(ctx, dtype, BP_SHAPE(ROWS, INPUTS), NULL, 5);
    n.labels = tensor_in(ctx, BP_I32, BP_SHAPE(ROWS), label, 0);
    return n;
}

static bp_tensor *small_loss(bp_context *c, void *user)
{
    small_net *n = user;
    (void)c;
    bp_tensor *h = bp_tanh(bp_linear(n->x, n->p[0], n->p[1]));
    return bp_scale(bp_cross_entropy(bp_linear(h, n->p[2], n->p[3]), n->labels), n->scale);
}

/* The Hessian as the Jacobian of a gradient. */
static void dense(small_net *n, double (*h)[ALL])
{
    begin();
    bp_tensor *g[PARTS], *j[PARTS];
    OK(bp_grad_scalar(ctx, small_loss(ctx, n), n->p, PARTS, BP_CREATE_GRAPH, g));
    for (int a = 0, row = 0; a < PARTS; a++) {
        int64_t rows = bp_shape_count(bp_shape_of(n->p[a]));
        OK(bp_jacobian_of(ctx, g[a], n->p, PARTS, BP_KEEP_GRAPH, j));
        for (int b = 0, column = 0; b < PARTS; b++) {
            int64_t columns = bp_shape_count(bp_shape_of(n->p[b]));
            double part[ALL * ALL];
            OK(bp_read_f64(j[b], part, rows * columns));
            for (int64_t i = 0; i < rows * columns; i++)
                h[row + i / columns][column + i % columns] = part[i];
            column += (int)columns;
        }
        row += (int)rows;
    }
    end();
}

static int ascends(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Jacobi's rotations (1846). */
static void rotate_away(double (*a)[ALL], double *to)
{
    for (int sweep = 0; sweep < 30; sweep++)
        for (int p = 0; p < ALL; p++)
            for (int q = p + 1; q < ALL; q++) {
                double t = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(t), s = sin(t);
                for (int k = 0; k < ALL; k++) {
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                }
                for (int k = 0; k < ALL; k++) {
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
            }
    for (int i = 0; i < ALL; i++)
        to[i] = a[i][i];
    qsort(to, ALL, sizeof *to, ascends);
}

CLAIM(eigenvalues_are_those_of_the_dense_hessian)
{
    static double h[ALL][ALL];
    double all[ALL], wanted[ALL], before[HIDDEN * INPUTS], after[HIDDEN * INPUTS];
    bp_eigen found = {.struct_bytes = sizeof found};
    small_net n = make(BP_F64);
    dense(&n, h);
    rotate_away(h, wanted);
    OK(bp_read_f64(n.p[0], before, HIDDEN * INPUTS));
    int64_t room = ALL;
    OK(bp_hessian_eigenvalues(n.store, small_loss, &n, all, &room));
    cr_assert_eq(room, ALL);
    for (int i = 0; i < ALL; i++)
        cr_expect_float_eq(all[i], wanted[i], 1e-13, "%d: %.17g, not %.17g", i, all[i], wanted[i]);
    cr_expect(wanted[0] < 0 && -wanted[0] < wanted[ALL - 1]);
    OK(bp_hessian_largest(n.store, small_loss, &n, 1e-7, 0, &found));
    cr_expect(found.converged && found.residual <= 1e-7 * found.value && found.products > 3);
    cr_expect_float_eq(found.value, wanted[ALL - 1], 1e-12);
    cr_expect_eq(found.rate, 1 / found.value);
    OK(bp_read_f64(n.p[0], after, HIDDEN * INPUTS));
    cr_expect_eq(memcmp(before, after, sizeof before), 0, "it only looks");
    n.scale = -1; /* now the largest magnitude is negative */
    OK(bp_hessian_largest(n.store, small_loss, &n, 1e-4, 5000, &found));
    cr_expect(found.converged);
    cr_expect_float_eq(found.value, -wanted[0], 1e-7);
    bp_params_free(n.store);
}

CLAIM(a_frozen_parameter_is_no_part_of_it)
{
    static double h[ALL][ALL];
    double all[ALL];
    small_net n = make(BP_F64);
    dense(&n, h);
    for (int i = 0; i < 3; i++)
        OK(bp_param_freeze(n.store, i, 1));
    int64_t room = ALL;
    OK(bp_hessian_eigenvalues(n.store, small_loss, &n, all, &room));
    cr_assert_eq(room, CLASSES);
    double trace = h[ALL - 1][ALL - 1] + h[ALL - 2][ALL - 2] + h[ALL - 3][ALL - 3];
    cr_expect_float_eq(all[0] + all[1] + all[2], trace, 1e-14);
    bp_params_free(n.store);
}

CLAIM(f32_and_threads_agree)
{
    bp_eigen wide = {.struct_bytes = sizeof wide}, narrow = wide, again = wide;
    small_net a = make(BP_F64);
    OK(bp_hessian_largest(a.store, small_loss, &a, 0, 0, &wide));
    bp_params_free(a.store);
    OK(bp_seed(ctx, 0));
    small_net b = make(BP_F32);
    OK(bp_hessian_largest(b.store, small_loss, &b, 0, 0, &narrow));
    OK(bp_set_threads(ctx, 3));
    OK(bp_hessian_largest(b.store, small_loss, &b, 0, 0, &again));
    cr_expect_float_eq(narrow.value, wide.value, 1e-5);
    cr_expect_eq(memcmp(&narrow, &again, sizeof again), 0);
    bp_params_free(b.store);
}

/* --- losses whose Hessian is known ----------------------------------------------------------- */

typedef struct quadratic {
    bp_params *store;
    bp_tensor *w, *by;
} quadratic;

static bp_tensor *half_squares(bp_context *c, void *user)
{
    quadratic *q = user;
    (void)c;
    return bp_scale(bp_sum(bp_mul(q->by, bp_square(q->w))), 0.5);
}

static bp_tensor *line(bp_context *c, void *user)
{
    (void)c;
    return bp_sum(((quadratic *)user)->w);
}

static bp_tensor *no_number(bp_context *c, void *user)
{
    return bp_log(bp_scale(line(c, user), -1));
}

static bp_tensor *steep(bp_context *c, void *user) /* finite at 0, its slope not */
{
    return bp_sqrt(line(c, user));
}

static quadratic open_quadratic(double a, double b, double c)
{
    quadratic q = {.by = TENSOR(BP_SHAPE(3), a, b, c)};
    OK(bp_params_create(ctx, BP_F64, &q.store));
    q.w = bp_param_constant(q.store, "w", BP_SHAPE(3), 1);
    return q;
}

CLAIM(what_did_not_converge_says_so)
{
    quadratic q = open_quadratic(3, 2.9, -10);
    bp_eigen found = {.struct_bytes = sizeof found};
    OK(bp_hessian_largest(q.store, half_squares, &q, 1e-9, 3, &found));
    cr_expect(!found.converged && found.residual > 0);
    OK(bp_hessian_largest(q.store, half_squares, &q, 1e-9, 10000, &found));
    cr_expect(found.converged && fabs(found.value - 3) < 1e-9, "%.12g", found.value);
    bp_params_free(q.store);
}

CLAIM(no_curvature_gives_no_rate)
{
    quadratic q = open_quadratic(1, 1, 1);
    bp_eigen found = {.struct_bytes = sizeof found};
    double all[3];
    int64_t room = 3;
    OK(bp_hessian_largest(q.store, line, &q, 0, 0, &found));
    cr_expect(found.converged && found.value == 0 && found.rate == 0);
    OK(bp_hessian_eigenvalues(q.store, line, &q, all, &room));
    cr_expect(all[0] == 0 && all[2] == 0);
    OK(bp_hessian_eigenvalues(q.store, half_squares, &q, all, &room));
    cr_expect(fabs(all[0] - 1) < 1e-15 && fabs(all[2] - 1) < 1e-15, "one three times");
    bp_params_free(q.store);
}

CLAIM(what_has_no_curvature_to_find_is_told)
{
    quadratic q = open_quadratic(1, 2, 3);
    bp_eigen found = {.struct_bytes = sizeof found};
    double all[4];
    int64_t room = 2;
    cr_assert_eq(bp_hessian_largest(q.store, no_number, &q, 0, 0, &found), BP_ERR_NONFINITE);
    TEXT("hessian_largest: the loss is nan");
    double zero[3] = {0};
    OK(bp_write(q.w, zero, sizeof zero));
    cr_assert_eq(bp_hessian_largest(q.store, steep, &q, 0, 0, &found), BP_ERR_NONFINITE);
    TEXT("hessian_largest: the Hessian is not finite in parameter number 0");
    cr_assert_eq(bp_hessian_eigenvalues(q.store, line, &q, all, &room), BP_ERR_ARG);
    cr_expect_eq(room, 0);
    room = 4;
    TEXT("hessian_eigenvalues: room for 2, and 3 parameters; as many, and at most 4096, are "
         "wanted");
    found.value = found.rate = 7;
    cr_assert_eq(bp_hessian_largest(q.store, line, &q, 1, 0, &found), BP_ERR_ARG);
    cr_expect(found.value == 0 && found.rate == 0 && found.struct_bytes == sizeof found);
    TEXT("hessian_largest: a tolerance of 1, 0 products; [0, 1) and 0 or more are wanted");
    found.struct_bytes = 8;
    cr_assert_eq(bp_hessian_largest(q.store, line, &q, 0, 0, &found), BP_ERR_ARG);
    TEXT("hessian_largest: struct_bytes is 8, not the size of found");
    begin();
    cr_assert_eq(bp_hessian_eigenvalues(q.store, line, &q, all, &room), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "hessian_eigenvalues: in a scope: call it outside");
    room = 4;
    OK(bp_hessian_eigenvalues(q.store, half_squares, &q, all, &room)); /* it goes on working */
    cr_expect_float_eq(all[2], 3, 1e-15);
    bp_params_free(q.store);
}
