/* Elementwise ops over operands that lie in any way: every view is also kept as an index here, so
 * that what is read, and what is written, is known element by element. The numbers are small
 * integers, which every dtype holds. Sizes are around those of vectors and tiles, at every
 * instruction level. */
#include "suite.h"

#define CLAIM(name) Test(layouts, name)

enum { MOST = 60000, TRIALS = 250 };

/* x, a view of base, sees element `offset + sum of at[i] * stride[i]` of it. */
typedef struct seen {
    bp_tensor *base, *x;
    int ndim;
    int64_t dim[BP_MAX_DIMS], stride[BP_MAX_DIMS], offset, count;
} seen;

static uint64_t draws;
static bp_dtype dtype;

static int64_t below(int64_t n)
{
    return (int64_t)(op_random(77, (int64_t)draws++) * (double)n);
}

static int64_t count_of(const seen *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->ndim; i++)
        n *= s->dim[i];
    return n;
}

static int64_t place(const seen *s, int64_t i)
{
    int64_t at = s->offset;
    for (int a = s->ndim - 1; a >= 0; i /= s->dim[a--])
        at += i % s->dim[a] * s->stride[a];
    return at;
}

/* Element i of base. */
static double number(int64_t i, int salt)
{
    return (double)((i * 37 + salt * 11 + i / 64) % 100);
}

static void made_of(seen *s, int salt)
{
    s->count = 1;
    s->offset = 0;
    for (int i = s->ndim - 1; i >= 0; s->count *= s->dim[i--])
        s->stride[i] = s->count;
    double *v = malloc((size_t)(s->count + 1) * sizeof *v);
    bp_shape shape = {.ndim = s->ndim};
    memcpy(shape.dim, s->dim, sizeof s->dim);
    for (int64_t i = 0; i < s->count; i++)
        v[i] = number(i, salt);
    s->base = s->x = tensor_in(ctx, dtype, shape, v, 0);
    free(v);
}

static void swap(seen *s, int32_t a, int32_t b)
{
    int64_t dim = s->dim[a], stride = s->stride[a];
    s->dim[a] = s->dim[b];
    s->stride[a] = s->stride[b];
    s->dim[b] = dim;
    s->stride[b] = stride;
    cr_assert(s->x = bp_transpose(s->x, a, b));
}

static void cut(seen *s, int32_t axis)
{
    const int64_t step = below(5) - 2, n = s->dim[axis];
    if (step == 0 || n < 3)
        return;
    const int64_t by = step < 0 ? -step : step, first = below(3), size = (n - first + by - 1) / by;
    const int64_t last = first + (size - 1) * by;
    s->x = step > 0 ? bp_slice(s->x, axis, first, INT64_MAX, by)
                    : bp_slice(s->x, axis, last, first ? first - 1 : INT64_MIN, -by);
    cr_assert(s->x, "%s", bp_error_text(ctx));
    s->offset += (step > 0 ? first : last) * s->stride[axis];
    s->stride[axis] *= step;
    s->dim[axis] = size;
}

/* Of the shape of `to`, or one that broadcasts to it, if it may; with views between. */
static seen drawn(const seen *to, int repeats, int salt)
{
    static const int64_t size[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 64, 65, 127, 130, 257, 300};
    seen s = {.ndim = to ? to->ndim : 1 + (int)below(4)};
    int32_t a = (int32_t)below(s.ndim), b = (int32_t)below(s.ndim);
    for (int64_t n = 1, i = 0; i < s.ndim; n *= s.dim[i++])
        do
            s.dim[i] = to ? to->dim[i] : size[below(sizeof size / sizeof *size)];
        while (!to && n * s.dim[i] > MOST);
    for (int i = 0; i < s.ndim && repeats; i++)
        s.dim[i] = below(3) ? s.dim[i] : 1;
    int64_t dim = s.dim[a], wider = to ? below(3) : 0;
    s.dim[a] = s.dim[b];
    s.dim[b] = dim;
    s.dim[0] += wider; /* a part of it is seen */
    made_of(&s, salt);
    if (wider) {
        cr_assert(s.x = bp_slice(s.x, 0, wider, INT64_MAX, 1));
        s.offset += wider * s.stride[0];
        s.dim[0] -= wider;
    }
    swap(&s, a, b);
    for (int32_t i = 0; i < s.ndim && !to; i++)
        cut(&s, i);
    return s;
}

/* What s has at element i of `to`, to whose shape it broadcasts. */
static double of(const seen *s, const seen *to, int64_t i, int salt)
{
    int64_t at = s->offset;
    for (int a = to->ndim - 1; a >= 0; i /= to->dim[a--])
        at += s->dim[a] == 1 ? 0 : i % to->dim[a] * s->stride[a];
    return number(at, salt);
}

static void holds(bp_tensor *y, const double *want, int64_t n, int trial)
{
    values v = {0};
    cr_assert(y && tensor_values(y, &v), "%s", bp_error_text(ctx));
    cr_assert_eq(v.n, n);
    for (int64_t i = 0; i < n; i++)
        cr_assert(v.v[i] == want[i], "trial %d, %s: [%d] %g, not %g", trial,
                  bp_dtype_name(dtype), (int)i, v.v[i], want[i]);
    values_free(&v, 1);
}

static void reads(int trial)
{
    double *sum = malloc((MOST + 1) * sizeof *sum), *half = malloc((MOST + 1) * sizeof *half);
    begin();
    seen a = drawn(NULL, 0, 1), b = drawn(&a, 1, 2), c = drawn(&a, 1, 3);
    const int64_t n = count_of(&a);
    for (int64_t i = 0; i < n; i++) {
        const double x = of(&a, &a, i, 1), y = of(&b, &a, i, 2), z = of(&c, &a, i, 3);
        sum[i] = x + y;
        half[i] = x != 0 ? y : z;
    }
    if (dtype != BP_U8) {
        holds(bp_add(a.x, b.x), sum, n, trial);
        holds(bp_add(b.x, a.x), sum, n, trial);
        holds(bp_where(a.x, b.x, c.x), half, n, trial);
    }
    for (int64_t i = 0; i < n; i++)
        half[i] = of(&a, &a, i, 1);
    for (bp_dtype to = BP_F32; to <= BP_I32; to++)
        holds(bp_cast(a.x, to), half, n, trial);
    end();
    bp_free(a.base);
    bp_free(b.base);
    bp_free(c.base);
    free(sum);
    free(half);
}

static void writes(int trial)
{
    begin();
    seen y = drawn(NULL, 0, 1), x = drawn(&y, 0, 2), part = drawn(&y, 1, 3);
    double *all = malloc((size_t)(y.count + 1) * sizeof *all);
    for (int64_t i = 0; i < y.count; i++)
        all[i] = number(i, 1);
    OK(bp_copy_into(y.x, x.x));
    for (int64_t i = 0; i < count_of(&y); i++)
        all[place(&y, i)] = of(&x, &y, i, 2);
    holds(y.base, all, y.count, trial);
    if (dtype != BP_U8) {
        OK(bp_add_into(y.x, part.x));
        for (int64_t i = 0; i < count_of(&y); i++)
            all[place(&y, i)] += of(&part, &y, i, 3);
        holds(y.base, all, y.count, trial);
    }
    end();
    bp_free(y.base);
    bp_free(x.base);
    bp_free(part.base);
    free(all);
}

/* More than caches hold, turned and as it lies, in rows of whole vectors and, within them, in
 * others, which begin anywhere. */
static void far_out(int trial)
{
    enum { ROWS = 2200, COLS = 2000, WIDE = 1990 };
    double *want = malloc(ROWS * COLS * sizeof *want);
    dtype = trial ? BP_F64 : BP_F32;
    seen a = {.ndim = 2, .dim = {COLS, ROWS}}, b = {.ndim = 2, .dim = {ROWS, COLS}};
    begin();
    made_of(&a, 1);
    made_of(&b, 2);
    swap(&a, 0, 1);
    for (int64_t i = 0; i < ROWS * COLS; i++)
        want[i] = of(&a, &b, i, 1) + of(&b, &b, i, 2);
    holds(bp_add(a.x, b.x), want, ROWS * COLS, trial);
    for (int64_t i = 0; i < ROWS * COLS; i++)
        want[i] = of(&a, &b, i, 1);
    bp_tensor *left = bp_slice(a.x, 1, 0, WIDE, 1), *right = bp_slice(a.x, 1, WIDE, COLS, 1);
    holds(bp_concat((bp_tensor *[]){left, right}, 2, 1), want, ROWS * COLS, trial);
    for (int64_t i = 0; i < ROWS * COLS; i++)
        want[i] = 2 * of(&b, &b, i, 2);
    holds(bp_add(b.x, b.x), want, ROWS * COLS, trial);
    for (int64_t i = 0; i < ROWS * COLS; i++)
        want[i] = of(&b, &b, i % COLS < COLS - WIDE ? i + WIDE : i - (COLS - WIDE), 2);
    left = bp_slice(b.x, 1, 0, WIDE, 1);
    right = bp_slice(b.x, 1, WIDE, COLS, 1);
    holds(bp_concat((bp_tensor *[]){right, left}, 2, 1), want, ROWS * COLS, trial);
    end();
    bp_free(a.base);
    bp_free(b.base);
    free(want);
}

static void at_every_level(void (*claim)(int trial), int trials)
{
    static const char *const level[] = {"cpu:generic", "cpu:v3", "cpu:v4"};
    const int on_cpu = !strncmp(test_device(), "cpu", 3);
    for (int i = 0; i < (on_cpu ? 3 : 1); i++) {
        const char *name = on_cpu ? level[i] : test_device();
        if (bp_open(name, &ctx) == BP_OK) {
            draws = 0;
            for (int trial = 0; trial < trials; trial++) {
                dtype = BP_F32 + trial % 4;
                claim(trial);
            }
        }
        bp_close(ctx);
    }
}

CLAIM(any_layout_is_read_element_by_element)
{
    at_every_level(reads, TRIALS);
}

CLAIM(any_layout_is_written_element_by_element)
{
    at_every_level(writes, TRIALS);
}

CLAIM(what_no_cache_holds_is_written_element_by_element)
{
    if (!strncmp(test_device(), "cpu", 3))
        at_every_level(far_out, 2);
}

/* Rows of 7 in tables of 600 that do not follow each other: the last tile of a table is smaller, and
 * a block may begin with it; what repeats in every row is then there for more rows in the next. */
CLAIM(what_repeats_in_a_small_tile_repeats_in_the_large_one_behind_it)
{
    cr_assert_eq(bp_open(test_device(), &ctx), BP_OK);
    begin();
    bp_tensor *x = random_tensor(BP_SHAPE(40, 601, 7), 1), *b = random_tensor(BP_SHAPE(7), 2);
    values wide = {0}, row = {0}, y = {0};
    cr_assert(tensor_values(x, &wide) && tensor_values(b, &row));
    cr_assert(tensor_values(bp_add(bp_slice(x, 1, 0, 600, 1), b), &y));
    for (int i = 0; i < 40 * 600 * 7; i++)
        cr_assert_eq(y.v[i], wide.v[i / 4200 * 4207 + i % 4200] + row.v[i % 7], "%d", i);
    values_free(&wide, 1);
    values_free(&row, 1);
    values_free(&y, 1);
    end();
    bp_close(ctx);
}
