/* The first weights of a model of images, on one scale from -m to m: those of a convolution, a tile
 * for each filter and channel, or else each row of a matrix as an image. Where samples are
 * decorrelated, y = x M, such rows are shown as what they make of x: W M^T. */
#include <math.h>
#include <stdlib.h>

#include "plot/picture.h"
#include "plot/plot.h"

enum { FILTERS_MAX = 256 };

typedef struct filters {
    const char *name;   /* of the parameter */
    int64_t n, channels, shown; /* filters; tiles of each; of all tiles, the first */
    int64_t width, height;
    int64_t across, down; /* tiles */
    float *w;             /* [n, height, width, channels] */
} filters;

/* The first parameter [n, inputs] or [n, height, width, channels]; NULL: there is none. */
static bp_tensor *find_weights(bp_model *model, const char **name)
{
    bp_params *params = bp_model_params(model);
    for (int32_t i = 0; i < bp_param_count(params); i++) {
        bp_tensor *t = bp_param_at(params, i);
        bp_shape shape = bp_shape_of(t);
        if ((shape.ndim == 2 && shape.dim[1] == bp_model_inputs(model)) || shape.ndim == 4) {
            *name = bp_param_name(params, i);
            return t;
        }
    }
    return NULL;
}

/* f->w times the turned matrix. */
static bool turn_back(filters *f, bp_tensor *matrix, int64_t inputs, char *text)
{
    float *m = malloc((size_t)(inputs * inputs) * sizeof *m), *w = f->w;
    double *row = malloc((size_t)inputs * sizeof *row);
    bool good = (m && row) || fault(text, "plot: out of memory");
    if (good && bp_read_f32(matrix, m, inputs * inputs) != BP_OK)
        good = fault(text, "%s", bp_error_text(bp_context_of(matrix)));
    for (int64_t k = 0; good && k < f->n; k++, w += inputs) {
        for (int64_t i = 0; i < inputs; i++) {
            row[i] = 0;
            for (int64_t j = 0; j < inputs; j++)
                row[i] += (double)w[j] * (double)m[i * inputs + j];
        }
        for (int64_t i = 0; i < inputs; i++)
            w[i] = (float)row[i];
    }
    free(row);
    free(m);
    return good;
}

static bool find_size(filters *f, int64_t inputs, char *text)
{
    if (f->width == 0 && f->height == 0)
        f->width = f->height = llround(sqrt((double)inputs));
    if (f->width > 0 && f->height > 0 && inputs % f->width == 0 && inputs / f->width == f->height)
        return true;
    return fault(text, "plot: %lld inputs are no image of %lld x %lld: give width and height",
                 (long long)inputs, (long long)f->width, (long long)f->height);
}

/* Tiles with a line of a pixel between them; about as wide as it is high. */
static void write_tiles(picture *p, const filters *f)
{
    int64_t wide = f->across * (f->width + 1) - 1, high = f->down * (f->height + 1) - 1;
    fprintf(p->script, "$tiles << END\n");
    for (int64_t y = 0; y < high; y++)
        for (int64_t x = 0; x < wide; x++) {
            int64_t tile = y / (f->height + 1) * f->across + x / (f->width + 1);
            int64_t i = y % (f->height + 1), j = x % (f->width + 1);
            fprintf(p->script, "%lld %lld ", (long long)x, (long long)y);
            int64_t at = ((tile / f->channels * f->height + i) * f->width + j) * f->channels +
                         tile % f->channels;
            if (tile < f->shown && i < f->height && j < f->width)
                fprintf(p->script, "%.5g\n", (double)f->w[at]);
            else
                fprintf(p->script, "NaN\n");
        }
    fprintf(p->script, "END\nset xrange [-1.5:%lld.5]\nset yrange [%lld.5:-1.5]\n", (long long)wide,
            (long long)high);
}

static bool draw(const filters *f, const char *out, char *text)
{
    picture p;
    double most = 0;
    for (int64_t i = 0; i < f->n * f->channels * f->width * f->height; i++)
        most = fmax(most, fabs((double)f->w[i]));
    if (!isfinite(most))
        return fault(text, "plot: %s holds a number that is not finite", f->name);
    double shape = (double)(f->down * f->height) / (double)(f->across * f->width);
    if (!picture_begin(&p, out, 800, (int)fmin(fmax(700 * shape, 160), 1400) + 60, text))
        return false;
    write_tiles(&p, f);
    most = most > 0 ? most : 1;
    fprintf(p.script, "set palette defined (-1 '#00476F', -0.5 '#4C9CCB', 0 '#FFFFFF', "
                      "0.5 '#E58A4C', 1 '#8A3C00')\nset cbrange [%.9g:%.9g]\n"
                      "set cblabel 'weight'\nunset tics\n"
                      "set cbtics\nunset border\nset size ratio -1\n"
                      "set object 1 rectangle from graph 0,0 to graph 1,1 behind fillcolor rgb "
                      "'#A0A0A0' fillstyle solid noborder\n", -most, most);
    fprintf(p.script, "set title '%s: %lld filters of %lld x %lld", f->name, (long long)f->n,
            (long long)f->width, (long long)f->height);
    if (f->channels > 1)
        fprintf(p.script, " x %lld, a tile a channel", (long long)f->channels);
    fprintf(p.script, f->shown < f->n * f->channels ? ", the first %lld'\n" : "'\n",
            (long long)f->shown);
    fprintf(p.script, "plot $tiles using 1:2:3 with image pixels notitle\n");
    return picture_end(&p, true, text);
}

bool plot_filters(bp_model *model, int64_t width, int64_t height, const char *out, char *text)
{
    filters f = {.width = width, .height = height};
    int64_t inputs = bp_model_inputs(model);
    bp_tensor *t = find_weights(model, &f.name);
    if (!t)
        return fault(text, "plot: the model has no weights [outputs, %lld]", (long long)inputs);
    bp_shape shape = bp_shape_of(t);
    f.n = shape.dim[0];
    f.channels = shape.ndim == 4 ? shape.dim[3] : 1;
    if (shape.ndim == 4 && width > 0 && (width != shape.dim[2] || height != shape.dim[1]))
        return fault(text, "plot: the filters of %s are %lld x %lld, not %lld x %lld", f.name,
                     (long long)shape.dim[2], (long long)shape.dim[1], (long long)width,
                     (long long)height);
    if (shape.ndim == 4) {
        f.height = shape.dim[1];
        f.width = shape.dim[2];
    } else if (!find_size(&f, inputs, text)) {
        return false;
    }
    f.shown = f.n * f.channels < FILTERS_MAX ? f.n * f.channels : FILTERS_MAX;
    f.across = (int64_t)ceil(sqrt((double)(f.shown * f.height) / (double)f.width));
    f.down = (f.shown + f.across - 1) / f.across;
    f.w = malloc((size_t)bp_shape_count(shape) * sizeof *f.w);
    bool good = f.w || fault(text, "plot: out of memory");
    if (good && bp_read_f32(t, f.w, bp_shape_count(shape)) != BP_OK)
        good = fault(text, "%s", bp_error_text(bp_model_context(model)));
    if (good && shape.ndim == 2 && bp_model_decorrelation(model))
        good = turn_back(&f, bp_model_decorrelation(model), inputs, text);
    good = good && draw(&f, out, text);
    free(f.w);
    return good;
}
