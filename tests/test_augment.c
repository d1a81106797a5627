/* Images moved at random: what each word does, held against the formula; what a wrong one says; a
 * trainer that augments, whose bits do not depend on how it is run. */
#include "digits_job.h"
#include "folder.h"

#define CLAIM(name) Test(augment, name, .init = enter, .fini = leave)

enum { N = 400, H = 5, W = 4 };

/* Every image is its own place in the batch, but for one pixel of each, which counts up. */
static bp_tensor *counted(void)
{
    static double v[N * H * W];
    for (int i = 0; i < N * H * W; i++)
        v[i] = 1 + i % (H * W);
    return tensor_in(ctx, BP_F64, BP_SHAPE(N, H, W), v, 0);
}

static void augmented(bp_tensor *x, const char *how, double *to, int64_t n)
{
    begin();
    bp_tensor *y = bp_augment(x, how);
    cr_assert(y, "%s", bp_error_text(ctx));
    OK(bp_read_f64(y, to, n));
    end();
}

CLAIM(a_shift_is_by_whole_pixels_each_as_often_and_brings_zeros)
{
    static double y[N * H * W];
    int seen[3][5] = {{0}};
    bp_tensor *x = counted();
    augmented(x, "shift=1", y, N * H * W);
    for (int n = 0; n < N; n++) {
        const double *at = y + n * H * W;
        int down = 0, across = 0, fits = 0;
        for (int d = -1; d <= 1; d++)
            for (int a = -1; a <= 1; a++) {
                bool same = true;
                for (int i = 0; i < H; i++)
                    for (int j = 0; j < W; j++) {
                        bool in = i - d >= 0 && i - d < H && j - a >= 0 && j - a < W;
                        same &= at[i * W + j] == (in ? 1 + (i - d) * W + j - a : 0);
                    }
                fits += same;
                down = same ? d : down;
                across = same ? a : across;
            }
        cr_assert_eq(fits, 1, "image %d", n);
        seen[down + 1][across + 1]++;
    }
    for (int k = 0; k < 9; k++)
        cr_assert(seen[k / 3][k % 3] > 20 && seen[k / 3][k % 3] < 75, "%d", seen[k / 3][k % 3]);
    bp_free(x);
}

CLAIM(half_of_the_images_are_flipped_and_the_next_scope_draws_anew)
{
    static double y[N * H * W], z[N * H * W];
    int flipped = 0, others = 0;
    bp_tensor *x = counted();
    augmented(x, " flip\t", y, N * H * W);
    augmented(x, "flip", z, N * H * W);
    for (int n = 0; n < N; n++) {
        const double *at = y + n * H * W;
        bool flip = at[0] == W;
        for (int i = 0; i < H * W; i++)
            cr_assert_eq(at[i], 1 + i / W * W + (flip ? W - 1 - i % W : i % W));
        flipped += flip;
        others += at[0] != z[n * H * W];
    }
    cr_assert(flipped > 160 && flipped < 240 && others > 160 && others < 240);
    bp_free(x);
}

CLAIM(a_crop_stretches_a_window_within_the_image_over_all_of_it)
{
    static double y[N * H * W];
    int whole = 0;
    bp_tensor *x = counted();
    augmented(x, "crop=2", y, N * H * W);
    for (int n = 0; n < N; n++) {
        const double *at = y + n * H * W;
        for (int i = 0; i < H * W; i++) {
            cr_assert(at[i] >= 1 && at[i] <= H * W);
            cr_assert(i < W || at[i] >= at[i - W]);
            cr_assert(i % W == 0 || at[i] >= at[i - 1]);
        }
        double high = at[(H - 1) * W] - at[0]; /* W a row: 5, 4 or 3 of them from edge to edge */
        whole += high == (H - 1) * W;
        cr_assert(high >= 2 * W - 1 && high <= (H - 1) * W);
    }
    cr_assert(whole > 90 && whole < 180, "%d", whole);
    bp_free(x);
}

/* Displacements as the header tells them, of the same draws, with the host's own exp. */
static double displaced(const double *noise, int at, double alpha, double deviation)
{
    double sum = 0, all = 0;
    int reach = (int)(3 * deviation);
    for (int d = -reach; d <= reach; d++)
        all += exp(-d * d / (2 * deviation * deviation));
    for (int d = -reach; d <= reach; d++)
        for (int a = -reach; a <= reach; a++) {
            int i = at / W + d, j = at % W + a;
            if (i >= 0 && i < H && j >= 0 && j < W)
                sum += exp(-(d * d + a * a) / (2 * deviation * deviation)) * noise[i * W + j];
        }
    return alpha * sum / (all * all);
}

static double looked_up(const double *x, double down, double across)
{
    double sum = 0;
    for (int i = 0; i < H; i++)
        for (int j = 0; j < W; j++)
            sum += fmax(0, 1 - fabs(down - i)) * fmax(0, 1 - fabs(across - j)) * x[i * W + j];
    return sum;
}

CLAIM(an_elastic_image_is_the_formula_of_its_draws)
{
    static double y[6 * H * W], noise[6 * 2 * H * W], x[6 * H * W];
    bp_tensor *t = random_tensor(BP_SHAPE(6, H, W, 1), 3);
    OK(bp_read_f64(t, x, 6 * H * W));
    OK(bp_seed(ctx, 5));
    augmented(t, "elastic=7,1.5", y, 6 * H * W);
    OK(bp_seed(ctx, 5));
    begin();
    cr_assert(bp_uniform(ctx, BP_F64, BP_SHAPE(1), 0, 1)); /* shifts and the like */
    OK(bp_read_f64(bp_uniform(ctx, BP_F64, BP_SHAPE(6, 2, H, W), -1, 1), noise, 12 * H * W));
    end();
    for (int n = 0; n < 6; n++)
        for (int i = 0; i < H * W; i++) {
            const double *of = noise + 2 * n * H * W;
            double down = i / W + displaced(of, i, 7, 1.5);
            double across = i % W + displaced(of + H * W, i, 7, 1.5);
            cr_assert_float_eq(y[n * H * W + i], looked_up(x + n * H * W, down, across), 1e-12,
                               "image %d, pixel %d", n, i);
        }
    bp_free(t);
}

CLAIM(bytes_become_f32_and_nothing_asked_changes_nothing)
{
    static const double v[] = {0, 255, 7, 1, 2, 3};
    bp_tensor *x = tensor_in(ctx, BP_U8, BP_SHAPE(1, 2, 3), v, 0);
    double y[6];
    begin();
    bp_tensor *t = bp_augment(x, "");
    cr_assert_eq(bp_dtype_of(t), BP_F32);
    cr_assert_eq(bp_shape_of(t).ndim, 3);
    OK(bp_read_f64(t, y, 6));
    cr_assert_arr_eq(y, v, sizeof v);
    end();
    bp_free(x);
}

CLAIM(what_cannot_be_is_said)
{
    static const char *const wrong[][2] = {
        {"shift=2 flop", "word 2 is \"flop\"; "}, {"shift=-1", "word 1 is \"shift=-1\"; "},
        {"shift", "word 1 is \"shift\"; "}, {"shift=1.5", "word 1 is \"shift=1.5\"; "},
        {"shift=", "word 1 is \"shift=\"; "}, {"crop=x", "word 1 is \"crop=x\"; "},
        {"shift=1e9", "word 1 is \"shift=1e9\"; "}, {"elastic=8", "word 1 is \"elastic=8\"; "},
        {"elastic=8,", "word 1 is \"elastic=8,\"; "},
        {"elastic=8,0", "word 1 is \"elastic=8,0\"; "},
        {"elastic=8,17", "word 1 is \"elastic=8,17\"; "}, {"flip=1", "word 1 is \"flip=1\"; "},
        {"elastic=1e5,4", "word 1 is \"elastic=1e5,4\"; "}};
    bp_tensor *x = random_tensor(BP_SHAPE(2, 5, 4), 1), *row = random_tensor(BP_SHAPE(2, 5), 1);
    char text[200];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "augment: %sshift=PIXELS, flip, crop=PIXELS or "
                 "elastic=ALPHA,DEVIATION is wanted", wrong[i][1]);
        REFUSED(BP_ERR_FORMAT, text, bp_augment(x, wrong[i][0]));
    }
    REFUSED(BP_ERR_SHAPE, "augment: images of 5 x 4: shift=4 and crop=0 are to be less",
            bp_augment(x, "shift=4"));
    REFUSED(BP_ERR_SHAPE, "augment: x f64 [2,5]: images [N,H,W,C] or [N,H,W], real or u8, are "
                          "wanted", bp_augment(row, "flip"));
    REFUSED(BP_ERR_UNSUPPORTED, "augment has no gradient, and an input asks for one",
            bp_augment(bp_require_grad(x), "flip"));
    REFUSED(BP_ERR_ARG, "augment: how is NULL", bp_augment(x, NULL));
    bp_free(x);
    bp_free(row);
}

/* --- a trainer -------------------------------------------------------------------------------- */

static job start(const char *how, double eager, double parts)
{
    job j = digits_job(0.2, "8x8x1 conv3x3=4 relu pool=2 16 relu dropout=0.1");
    OK(bp_trainer_create(j.model, j.train, &j.trainer));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EPOCHS, 2));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_EAGER, eager));
    OK(bp_trainer_set(j.trainer, BP_TRAIN_PARTS, parts));
    OK(bp_trainer_augment(j.trainer, how));
    return j;
}

static values weights(job *j)
{
    values v;
    cr_assert(tensor_values(bp_param_at(bp_model_params(j->model), 2), &v));
    return v;
}

CLAIM(a_run_has_the_same_bits_called_replayed_cut_and_on_any_number_of_threads)
{
    static const char how[] = "shift=1 crop=1 elastic=6,2";
    int32_t done;
    job j = start(how, 0, 1);
    all_of_it(&j);
    values want = weights(&j);
    finish(&j);
    j = start("", 0, 1);
    all_of_it(&j);
    values plain = weights(&j);
    cr_assert_neq(plain.v[0], want.v[0]);
    finish(&j);
    for (int way = 0; way < 4; way++) {
        if (way > 1)
            OK(bp_set_threads(ctx, way == 2 ? 1 : 3));
        j = start(how, way == 0, 1);
        if (way == 1) {
            OK(bp_trainer_run(j.trainer, 13, -1, &done));
            OK(bp_trainer_save(j.trainer, path, 1));
            finish(&j);
            j = start("shift=1", 0, 1);
            cr_assert_eq(bp_trainer_resume(j.trainer, path), BP_ERR_FORMAT);
            cr_assert(strstr(bp_error_text(ctx), "images were augmented by \"shift=1 crop=1 "
                             "elastic=6,2\"; they are by \"shift=1\" now"), "%s",
                      bp_error_text(ctx));
            finish(&j);
            j = start(how, 0, 1);
            OK(bp_trainer_resume(j.trainer, path));
        }
        all_of_it(&j);
        values got = weights(&j);
        cr_assert_arr_eq(got.v, want.v, (size_t)want.n * sizeof *want.v, "way %d", way);
        values_free(&got, 1);
        finish(&j);
    }
    j = start(how, 0, 3);
    all_of_it(&j);
    finish(&j);
    values_free(&want, 1);
    values_free(&plain, 1);
}

CLAIM(a_trainer_says_where_there_are_no_images_before_it_runs)
{
    job j = start("", 0, 1);
    cr_assert_eq(bp_trainer_augment(j.trainer, "shift=9"), BP_ERR_SHAPE);
    TEXT("trainer_augment: images of 8 x 8: shift=9 and crop=0 are to be less");
    cr_assert_eq(bp_trainer_augment(j.trainer, "shift=1 flop"), BP_ERR_FORMAT);
    TEXT("trainer_augment: word 2 is \"flop\"; shift=PIXELS, flip, crop=PIXELS or "
         "elastic=ALPHA,DEVIATION is wanted");
    all_of_it(&j);
    cr_assert_eq(bp_trainer_augment(j.trainer, "flip"), BP_ERR_STATE);
    TEXT("trainer_augment: after the first run");
    finish(&j);
    static const float x[2 * 6] = {0};
    bp_data *d;
    OK(bp_data_create(ctx, BP_F32, x, (const int32_t[]){0, 1}, 2, 6, 2, &d));
    bp_model *m;
    OK(bp_model_create(ctx, 6, "4", 2, &m));
    bp_trainer *t;
    OK(bp_trainer_create(m, d, &t));
    cr_assert_eq(bp_trainer_augment(t, "flip"), BP_ERR_SHAPE);
    TEXT("trainer_augment: rows of 6 numbers are no images: HxWxC before the layers, or data that "
         "are images, say that they are");
    OK(bp_trainer_augment(t, "")); /* as they are */
    bp_trainer_free(t);
    bp_model_free(m);
    bp_data_free(d);
}
