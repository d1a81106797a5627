/* Images that a model takes for another class: a sheet of them, each below "class > what the model
 * says", those of which it is surest first. */
#include <math.h>
#include <stdlib.h>

#include "core/text.h"
#include "plot/picture.h"
#include "plot/plot.h"

enum { SHOWN = 40, ACROSS = 8, AT_ONCE = 256 };

typedef struct mistake {
    int64_t row;
    int32_t is, said;
    float sure;
} mistake;

typedef struct sheet {
    bp_model *model;
    bp_data *data;
    int64_t rows, inputs, width, height, channels;
    int64_t wrong, shown;
    mistake worst[SHOWN]; /* the surest first */
    int32_t *label;       /* [rows] */
    float *x, *p;         /* [AT_ONCE, inputs], [AT_ONCE, classes] */
    int64_t first, n;     /* rows that are in x */
    int64_t wide, high;   /* of the sheet, in pixels of images */
    float *shade;         /* [high, wide] */
} sheet;

static bool failed(const sheet *s, char *text)
{
    return fault(text, "%s", bp_error_text(bp_model_context(s->model)));
}

static bool find_size(sheet *s, char *text)
{
    bp_shape x = bp_shape_of(bp_data_samples(s->data));
    bool image = x.ndim == 3 || x.ndim == 4, told = s->width > 0;
    s->channels = x.ndim == 4 ? x.dim[3] : 1;
    if (image && told && (s->width != x.dim[2] || s->height != x.dim[1]))
        return fault(text, "plot: the images are %lld x %lld, not %lld x %lld", (long long)x.dim[2],
                     (long long)x.dim[1], (long long)s->width, (long long)s->height);
    if (image) {
        s->height = x.dim[1];
        s->width = x.dim[2];
    } else if (!told) {
        s->width = s->height = llround(sqrt((double)s->inputs));
    }
    if (s->inputs / s->channels / s->width == s->height &&
        s->height * s->width * s->channels == s->inputs)
        return true;
    return fault(text, "plot: %lld inputs are no image of %lld x %lld: give width and height",
                 (long long)s->inputs, (long long)s->width, (long long)s->height);
}

static bool check(sheet *s, char *text)
{
    if (bp_model_task(s->model) != BP_TASK_CLASSES)
        return fault(text, "plot: what is misread wants a model of classes, not of %s",
                     bp_task_name(bp_model_task(s->model)));
    if (bp_data_targets(s->data) != BP_TARGETS_CLASSES || bp_data_cols(s->data) != s->inputs)
        return fault(text, "plot: what is misread wants data of classes and %lld inputs",
                     (long long)s->inputs);
    return find_size(s, text);
}

static bp_status read_rows(bp_context *ctx, void *user)
{
    sheet *s = user;
    (void)ctx;
    bp_tensor *some = bp_slice(bp_data_samples(s->data), 0, s->first, s->first + s->n, 1);
    return bp_read_f32(some, s->x, s->n * s->inputs);
}

static bool read_some(sheet *s, int64_t first, int64_t n, char *text)
{
    s->first = first;
    s->n = n;
    return bp_run(bp_model_context(s->model), BP_NO_GRAD, read_rows, s) == BP_OK || failed(s, text);
}

static void keep(sheet *s, mistake m)
{
    int64_t i = s->shown < SHOWN ? s->shown++ : SHOWN - 1;
    if (s->wrong++ >= SHOWN && m.sure <= s->worst[i].sure)
        return;
    for (; i > 0 && s->worst[i - 1].sure < m.sure; i--)
        s->worst[i] = s->worst[i - 1];
    s->worst[i] = m;
}

static bool find_wrong(sheet *s, char *text)
{
    int32_t classes = bp_model_classes(s->model);
    size_t bytes = (size_t)s->rows * sizeof *s->label;
    if (bp_read(bp_data_labels(s->data), s->label, bytes) != BP_OK)
        return failed(s, text);
    for (int64_t first = 0; first < s->rows; first += AT_ONCE) {
        int64_t n = s->rows - first < AT_ONCE ? s->rows - first : AT_ONCE;
        if (!read_some(s, first, n, text))
            return false;
        if (bp_model_predict(s->model, s->x, n, s->p) != BP_OK)
            return failed(s, text);
        for (int64_t i = 0; i < n; i++) {
            const float *p = s->p + i * classes;
            int32_t best = 0;
            for (int32_t c = 1; c < classes; c++)
                best = p[c] > p[best] ? c : best;
            if (best != s->label[first + i])
                keep(s, (mistake){first + i, s->label[first + i], best, p[best]});
        }
    }
    return s->wrong > 0 || fault(text, "plot: none of %lld rows is misread", (long long)s->rows);
}

static void name_of(const sheet *s, int32_t c, char *to, size_t bytes)
{
    const char *name = bp_model_class_name(s->model, c);
    if (name)
        bpi_printable(to, bytes, name);
    else
        snprintf(to, bytes, "%d", (int)c);
}

/* Where tile k begins on the sheet: above each there is a third of its height for words. */
static int64_t left_of(const sheet *s, int64_t k)
{
    return k % ACROSS * (s->width + s->width / 14 + 1);
}

static int64_t top_of(const sheet *s, int64_t k)
{
    return k / ACROSS * (s->height * 4 / 3 + 2) + s->height / 3 + 1;
}

/* Shades from 0 to 1, by the image's own smallest and largest number. */
static bool put_image(sheet *s, int64_t k, char *text)
{
    float low = INFINITY, high = -INFINITY;
    if (!read_some(s, s->worst[k].row, 1, text))
        return false;
    for (int64_t i = 0; i < s->inputs; i++) {
        low = fminf(low, s->x[i]);
        high = fmaxf(high, s->x[i]);
    }
    for (int64_t i = 0; i < s->height * s->width; i++) {
        float sum = 0;
        for (int64_t c = 0; c < s->channels; c++)
            sum += s->x[i * s->channels + c] - low;
        s->shade[(top_of(s, k) + i / s->width) * s->wide + left_of(s, k) + i % s->width] =
            high > low ? sum / (float)s->channels / (high - low) : 0;
    }
    return true;
}

static void write_words(picture *p, const sheet *s, int64_t k)
{
    char is[32], said[32], both[72];
    name_of(s, s->worst[k].is, is, sizeof is);
    name_of(s, s->worst[k].said, said, sizeof said);
    snprintf(both, sizeof both, "%s > %s", is, said);
    fprintf(p->script, "set label ");
    picture_text(p, both, sizeof both - 1);
    fprintf(p->script, " at %.6g,%.6g center front font ',%d'\n",
            (double)left_of(s, k) + (double)(s->width - 1) / 2,
            (double)top_of(s, k) - 0.15 * (double)s->height - 0.5,
            bp_model_class_name(s->model, 0) ? 10 : 14);
}

/* gnuplot wants every pixel of an image. */
static void write_sheet(picture *p, const sheet *s)
{
    fprintf(p->script, "$sheet << END\n");
    for (int64_t i = 0; i < s->wide * s->high; i++)
        fprintf(p->script, "%lld %lld %.4g\n", (long long)(i % s->wide), (long long)(i / s->wide),
                (double)s->shade[i]);
    fprintf(p->script, "END\nset xrange [-1.5:%lld.5]\nset yrange [%lld.5:-0.5]\n",
            (long long)s->wide, (long long)s->high);
    for (int64_t k = 0; k < s->shown; k++)
        write_words(p, s, k);
}

static bool draw(const sheet *s, const char *out, char *text)
{
    picture p;
    double shape = (double)s->high / (double)s->wide;
    int width = 40 + 100 * (int)(s->shown < ACROSS ? s->shown : ACROSS);
    width = width < 560 ? 560 : width; /* for the title */
    if (!picture_begin(&p, out, width, (int)fmin(width * shape, 2000) + 60, text))
        return false;
    write_sheet(&p, s);
    fprintf(p.script, "set palette defined (0 '#FFFFFF', 1 '#000000')\nset cbrange [0:1]\n"
                      "unset colorbox\nunset tics\nunset border\nset size ratio -1\n"
                      "set title 'class > what the model says: %lld of %lld rows are misread "
                      "(%.2f %%)", (long long)s->wrong, (long long)s->rows,
            100.0 * (double)s->wrong / (double)s->rows);
    fprintf(p.script, s->shown < s->wrong ? ", the surest %lld'\n" : "'\n", (long long)s->shown);
    fprintf(p.script, "plot $sheet using 1:2:3 with image pixels notitle\n");
    return picture_end(&p, true, text);
}

static bool make_sheet(sheet *s, char *text)
{
    s->wide = left_of(s, s->shown < ACROSS ? s->shown - 1 : ACROSS - 1) + s->width;
    s->high = top_of(s, s->shown - 1) + s->height;
    s->shade = malloc((size_t)(s->wide * s->high) * sizeof *s->shade);
    bool good = s->shade || fault(text, "plot: out of memory");
    for (int64_t i = 0; i < s->wide * s->high && good; i++)
        s->shade[i] = 0.1f; /* between the images */
    for (int64_t k = 0; k < s->shown && good; k++)
        good = put_image(s, k, text);
    return good;
}

bool plot_misread(bp_model *model, bp_data *data, int64_t width, int64_t height, const char *out,
                  char *text)
{
    sheet s = {.model = model, .data = data, .rows = bp_data_rows(data),
               .inputs = bp_model_inputs(model), .width = width, .height = height};
    if (!check(&s, text))
        return false;
    s.label = malloc((size_t)s.rows * sizeof *s.label + 1);
    s.x = malloc((size_t)(AT_ONCE * s.inputs) * sizeof *s.x);
    s.p = malloc((size_t)(AT_ONCE * bp_model_outputs(model)) * sizeof *s.p);
    bool good = (s.label && s.x && s.p) || fault(text, "plot: out of memory");
    good = good && find_wrong(&s, text) && make_sheet(&s, text) && draw(&s, out, text);
    free(s.shade);
    free(s.label);
    free(s.x);
    free(s.p);
    return good;
}
