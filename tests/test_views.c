/* Slices and what is made of them: what they see, as Python has it; that every op reads one as it
 * reads a copy, and its gradient; that writing to one writes to what it sees; stores and plans. */
#include "suite.h"

#define CLAIM(name) Test(views, name, .init = setup, .fini = teardown)

/* --- what is seen ---------------------------------------------------------------------------- */

/* x[begin:end:step] by walking: what CPython's documentation says of slices. */
static int walk(int size, int64_t begin, int64_t end, int64_t step, double *seen)
{
    int n = 0;
    double from = (double)begin, to = (double)end, by = (double)step;
    from = from < 0 ? from + size : from;
    to = to < 0 ? to + size : to;
    double low = by < 0 ? -1 : 0, high = by < 0 ? size - 1 : size;
    from = from < low ? low : from > high ? high : from;
    to = to < low ? low : to > high ? high : to;
    for (double i = from; by < 0 ? i > to : i < to; i += by)
        seen[n++] = i;
    return n;
}

CLAIM(a_slice_sees_what_pythons_slice_sees)
{
    static const int64_t end_at[] = {INT64_MIN, INT64_MIN + 3, -7, -5, -4, -3, -1, 0, 1, 2, 3, 4, 5,
                                     9, INT64_MAX - 1, INT64_MAX};
    static const int64_t step[] = {INT64_MIN, -4, -3, -2, -1, 1, 2, 3, 4, INT64_MAX};
    enum { ENDS = sizeof end_at / sizeof *end_at, STEPS = sizeof step / sizeof *step };
    for (int size = 0; size <= 5; size++) {
        const double count[] = {0, 1, 2, 3, 4};
        bp_tensor *x = tensor_in(ctx, BP_U8, BP_SHAPE(size), count, 0);
        for (int i = 0; i < ENDS * ENDS * STEPS; i++) {
            int64_t b = end_at[i % ENDS], e = end_at[i / ENDS % ENDS], s = step[i / ENDS / ENDS];
            double want[8];
            int n = walk(size, b, e, s, want);
            values v = {0};
            begin();
            bp_tensor *y = bp_slice(x, 0, b, e, s);
            cr_assert(y && tensor_values(y, &v), "%s", bp_error_text(ctx));
            cr_assert_eq(v.n, n, "%d[%lld:%lld:%lld]: %d", size, (long long)b, (long long)e,
                         (long long)s, (int)v.n);
            for (int k = 0; k < n; k++)
                cr_assert_eq(v.v[k], want[k]);
            end();
            values_free(&v, 1);
        }
        bp_free(x);
    }
}

CLAIM(a_reshape_is_a_view_where_strides_can_say_it)
{
    bp_tensor *x = random_tensor(BP_SHAPE(4, 6, 10), 0), *y;
    bp_stats before, after;
    bp_get_stats(ctx, &before);
    begin();
    bp_tensor *t = bp_transpose(x, 0, 1), *part = bp_slice(x, 2, 2, 8, 1), *back = bp_flip(x, 7);
    cr_assert(bp_reshape(t, BP_SHAPE(2, 3, 1, 4, 5, 2)));
    cr_assert(bp_reshape(part, BP_SHAPE(24, 2, 3)));
    cr_assert(bp_reshape(back, BP_SHAPE(240)));
    cr_assert(bp_squeeze(bp_unsqueeze(bp_unsqueeze(t, -1), 1), 1u << 1 | 1u << 4));
    cr_assert(bp_permute(bp_expand(bp_unsqueeze(part, 0), BP_SHAPE(3, 4, 6, 6)),
                         BP_SHAPE(3, 0, 2, 1)));
    bp_get_stats(ctx, &after);
    cr_assert_eq(after.kernels, before.kernels, "something was copied");
    cr_assert(y = bp_reshape(t, BP_SHAPE(24, 10)));
    bp_get_stats(ctx, &after);
    cr_assert_eq(after.kernels, before.kernels + 1);
    for (int i = 0; i < 24; i++)
        cr_assert_eq(at(y, 10 * i + 3), at(x, 60 * (i % 4) + 10 * (i / 4) + 3));
    end();
}

/* Rows of 2 KiB have a pitch, which a store chooses when it gets its memory. */
CLAIM(the_first_use_of_a_parameter_may_be_a_reshape)
{
    bp_tensor *x = random_tensor(BP_SHAPE(3, 256), 0), *w;
    bp_params *p;
    OK(bp_params_create(ctx, BP_F64, &p));
    cr_assert(w = bp_param(p, "w", BP_SHAPE(3, 256), BP_INIT_HE));
    begin();
    bp_tensor *flat = bp_reshape(w, BP_SHAPE(768));
    for (int i = 0; i < 768; i += 85)
        cr_assert_eq(at(flat, i), at(w, i));
    end();
    bp_params_free(p);
    bp_free(x);
}

/* --- every op reads one ---------------------------------------------------------------------- */

/* Twice as many and one more along each axis, so that every second one, from behind, is x. */
static bp_shape twice(bp_shape s)
{
    for (int i = 0; i < s.ndim; i++)
        s.dim[i] = 2 * s.dim[i] + 1;
    return s;
}

static bp_tensor *every_second(bp_tensor *t)
{
    for (int i = 0; i < bp_shape_of(t).ndim; i++)
        t = bp_slice(t, i, -2, INT64_MIN, -2);
    return t;
}

typedef struct job {
    const op_case *c;
    bp_tensor *large[BP_MAX_IO], *small[BP_MAX_IO];
    const results *plain;
} job;

static void holds(const op_case *c, const char *what, bp_tensor *got, const values *want)
{
    const op_tolerance tol = {64, 1024, "the same formulas, perhaps summed in another order"};
    values v = {0};
    cr_assert(got && tensor_values(got, &v), "%s: %s", c->name, bp_error_text(ctx));
    cr_assert(check_values("views", c, what, &v, want, BP_F64, tol));
    values_free(&v, 1);
}

/* The gradient of the large one is x's where x was seen, and 0 elsewhere: NaN stood there. */
static void gradient_holds(const op_case *c, bp_tensor *dx, const values *want)
{
    holds(c, "gradient", every_second(dx), want);
    bp_tensor *part = every_second(dx), *all = bp_sum(bp_mul(dx, dx));
    bp_tensor *seen = bp_sum(bp_mul(part, part));
    cr_assert(fabs(at(all, 0) - at(seen, 0)) <= 1e-12 * at(all, 0), "%s", c->name);
}

static bp_status read_strided(bp_context *c, void *user)
{
    job *j = user;
    bp_tensor *leaf[BP_MAX_IO], *x[BP_MAX_IO], *seen[BP_MAX_IO], *out[BP_MAX_IO], *dx[BP_MAX_IO];
    int n = 0;
    for (int k = 0; k < j->c->n_in; k++) {
        OK(bp_copy_into(every_second(j->large[k]), j->small[k]));
        leaf[k] = j->large[k];
        if (case_differentiable(j->c, k))
            x[n++] = leaf[k] = bp_require_grad(leaf[k]);
        seen[k] = op_seen(j->c, k, every_second(leaf[k]));
    }
    cr_assert(op_builder(j->c->builder)(j->c, BP_F64, seen, out), "%s: %s", j->c->name,
              bp_error_text(c));
    holds(j->c, "output", out[0], &j->plain->out[0]);
    if (n == 0)
        return BP_OK;
    bp_tensor *dy = case_weights(out[0], 0);
    OK(bp_grad(c, out[0], dy, x, n, 0, dx));
    for (int k = 0, i = 0; k < j->c->n_in; k++)
        if (case_differentiable(j->c, k))
            gradient_holds(j->c, dx[i++], &j->plain->grad[k]);
    bp_free(dy);
    return BP_OK;
}

CLAIM(every_op_reads_a_slice_in_reverse_with_gaps_as_it_reads_a_copy)
{
    for (int i = 0; i < op_cases_n; i++) {
        const op_case *c = &op_cases[i];
        values in[BP_MAX_IO] = {{0}};
        results plain;
        job j = {.c = c, .plain = &plain};
        if (c->flags & CASE_BIG || !strcmp(c->builder, "cast_other"))
            continue;
        case_inputs(c, false, in);
        cr_assert(case_run(ctx, c, BP_F64, in, RUN_GRADIENTS, &plain), "%s", bp_error_text(ctx));
        cr_assert(case_tensors(ctx, c, BP_F64, in, j.small), "%s", bp_error_text(ctx));
        for (int k = 0; k < c->n_in; k++) {
            bp_shape large = twice(c->in[k].shape);
            values junk = {bp_shape_count(large), NULL};
            junk.v = malloc((size_t)junk.n * sizeof(double));
            bool real = c->in[k].dtype == 0;
            for (int64_t e = 0; e < junk.n; e++)
                junk.v[e] = real ? NAN : 255;
            j.large[k] = bp_tensor_create(ctx, real ? BP_F64 : c->in[k].dtype, large);
            cr_assert(j.large[k] && tensor_fill(j.large[k], &junk), "%s", bp_error_text(ctx));
            values_free(&junk, 1);
        }
        OK(bp_seed(ctx, 7));
        OK(bp_run(ctx, 0, read_strided, &j));
        for (int k = 0; k < c->n_in; k++) {
            bp_free(j.small[k]);
            bp_free(j.large[k]);
        }
        results_free(&plain);
        values_free(in, BP_MAX_IO);
    }
}

/* --- writing --------------------------------------------------------------------------------- */

CLAIM(writing_to_a_slice_writes_to_what_it_sees)
{
    bp_tensor *x = TENSOR(BP_SHAPE(2, 3), 1, 2, 3, 4, 5, 6), *two = TENSOR(BP_SHAPE(2), 10, 20);
    double v[6];
    begin();
    OK(bp_write(bp_flip(bp_slice(x, 1, 0, 1, 1), 1), (double[]){7, 8}, 16)); /* 8 2 3 / 7 5 6 */
    OK(bp_copy_into(bp_squeeze(bp_slice(x, 1, -1, INT64_MAX, 1), 1u << 1), two));
    OK(bp_add_into(bp_slice(x, 0, 1, 2, 1), NUMBER(100)));
    OK(bp_read(x, v, sizeof v));
    static const double want[] = {8, 2, 10, 107, 105, 120};
    for (int i = 0; i < 6; i++)
        cr_assert_eq(v[i], want[i], "[%d] %g", i, v[i]);
    OK(bp_read(bp_flip(x, 3), v, sizeof v));
    for (int i = 0; i < 6; i++)
        cr_assert_eq(v[i], want[5 - i]);
    end();
}

CLAIM(a_copy_between_views_that_overlap_is_as_if_by_a_copy_aside)
{
    static const int64_t part[][3] = {{0, 8, 1}, {1, 9, 1}, {-1, -9, -1}, {-2, -10, -1}, {0, 8, 1}};
    for (int from = 0; from < 5; from++)
        for (int to = 0; to < 5; to++) {
            const double count[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
            bp_tensor *x = tensor_in(ctx, BP_F64, BP_SHAPE(9), count, 0);
            double want[9];
            for (int i = 0; i < 9; i++)
                want[i] = i;
            for (int i = 0; i < 8; i++)
                want[(part[to][0] + 9) % 9 + part[to][2] * i] =
                    (double)((part[from][0] + 9) % 9 + part[from][2] * i);
            begin();
            OK(bp_copy_into(bp_slice(x, 0, part[to][0], part[to][1], part[to][2]),
                            bp_slice(x, 0, part[from][0], part[from][1], part[from][2])));
            for (int i = 0; i < 9; i++)
                cr_assert_eq(at(x, i), want[i], "%d to %d: [%d] %g", from, to, i, at(x, i));
            end();
        }
}

CLAIM(a_write_to_a_slice_of_what_a_gradient_needs_is_told)
{
    bp_tensor *x = random_tensor(BP_SHAPE(4), 0), *dx;
    begin();
    bp_tensor *leaf = bp_require_grad(x), *y = bp_sum(bp_exp(bp_mul(leaf, leaf)));
    OK(bp_copy_into(bp_slice(x, 0, 1, 2, 1), bp_slice(x, 0, 0, 1, 1)));
    cr_assert_eq(bp_grad(ctx, y, NUMBER(1), &leaf, 1, 0, &dx), BP_ERR_STATE);
    end_with(BP_ERR_STATE, "mul: its input 0 was changed by copy_into after it was saved for the "
                           "gradient");
}

/* --- stores and plans ------------------------------------------------------------------------ */

/* A loss of parts of one matrix that overlap, one of them of another; and of all of it. */
static bp_tensor *parts_loss(bp_tensor *w)
{
    bp_tensor *rows = bp_slice(w, 0, 0, 2, 1), *cols = bp_slice(w, 1, 250, 3, -3);
    bp_tensor *both = bp_slice(rows, -1, 100, INT64_MAX, 2);
    bp_tensor *loss = bp_add(bp_sum(bp_mul(rows, rows)), bp_sum(bp_exp(cols)));
    loss = bp_add(loss, bp_sum(bp_mul(both, bp_exp(bp_flip(both, 1)))));
    return bp_add(loss, bp_sum(bp_mul(bp_concat((bp_tensor *[]){cols, bp_flip(cols, 1)}, 2, 1),
                                      bp_concat((bp_tensor *[]){cols, cols}, 2, -1))));
}

CLAIM(overlapping_slices_of_a_store_s_matrix_have_the_gradient_of_a_copy_of_it)
{
    bp_tensor *x = random_tensor(BP_SHAPE(3, 256), 0), *w, *dx;
    bp_params *p = store_of(1, &x, &w);
    begin();
    bp_tensor *leaf = bp_require_grad(x);
    OK(bp_grad(ctx, parts_loss(leaf), NUMBER(1), &leaf, 1, 0, &dx));
    OK(bp_backward(ctx, parts_loss(w)));
    same(bp_param_grad(p, 0), dx, 1e-14);
    OK(bp_backward(ctx, parts_loss(w)));
    same(bp_param_grad(p, 0), bp_scale(dx, 2), 1e-14);
    bp_tensor *one = bp_slice(w, 0, 1, 2, 1); /* alone: the rest of the gradient is written too */
    OK(bp_grad_clear(p));
    OK(bp_backward(ctx, bp_sum(bp_mul(one, one))));
    for (int i = 0; i < 768; i += 17)
        cr_assert_eq(at(bp_param_grad(p, 0), i), i / 256 == 1 ? 2 * at(x, i) : 0);
    end();
    bp_params_free(p);
}

typedef struct step {
    bp_tensor *w, *index, *sum;
    bp_optimizer *sgd;
} step;

static bp_status parts_step(bp_context *c, void *user)
{
    step *s = user;
    bp_tensor *part[3];
    if (!bp_split(s->w, 1, 3, (const int64_t[]){100, 56, 100}, part))
        return BP_ERR_STATE;
    bp_tensor *y = bp_concat((bp_tensor *[]){bp_flip(part[2], 2), bp_roll(part[0], 0, 1)}, 2, 0);
    y = bp_mul(bp_pad(y, 1, 2, 3, 0.5), bp_pad_reflect(y, 1, 2, 3));
    y = bp_add(bp_sum(bp_tril(y, 1)), bp_sum(bp_exp(bp_take_along(part[1], 1, s->index))));
    bp_tensor *third = bp_pick(bp_transpose(part[0], 0, 1), bp_full(c, BP_I32, BP_SHAPE(100), 2));
    y = bp_add(y, bp_sum(bp_mul(third, bp_arange(c, BP_F64, 1, -0.01, 100))));
    OK(bp_add_into(bp_slice(s->sum, 0, -1, 0, -1), y));
    bp_status st = bp_backward(c, y);
    return st == BP_OK ? bp_optimizer_step(s->sgd) : st;
}

CLAIM(a_plan_of_them_gives_the_bits_of_calls)
{
    bp_tensor *x = random_tensor(BP_SHAPE(3, 256), 0);
    bp_tensor *index = INTS(BP_SHAPE(3, 2), 55, 3, 0, 0, 7, 9);
    double v[2][768], sum[2][3];
    for (int replayed = 0; replayed < 2; replayed++) {
        step s = {.index = index, .sum = TENSOR(BP_SHAPE(3), 0, 0, 0)};
        bp_params *p = store_of(1, &x, &s.w);
        bp_plan *plan = NULL;
        OK(bp_sgd_create(p, 0.001, 0.9, &s.sgd));
        for (int i = 0; i < (replayed ? 0 : 12); i++)
            OK(bp_run(ctx, 0, parts_step, &s));
        if (replayed) {
            OK(bp_plan_record(ctx, parts_step, &s, &plan));
            OK(bp_plan_replay(plan, 11));
        }
        OK(bp_read(s.w, v[replayed], sizeof v[0]));
        OK(bp_read(s.sum, sum[replayed], sizeof sum[0]));
        bp_plan_free(plan);
        bp_optimizer_free(s.sgd);
        bp_params_free(p);
        bp_free(s.sum);
    }
    cr_assert(!memcmp(v[0], v[1], sizeof v[0]) && !memcmp(sum[0], sum[1], sizeof sum[0]));
    cr_assert(sum[0][0] == 0 && isfinite(sum[0][1]) && sum[0][2] == sum[0][1]);
}
