/* Pictures about rates: the losses of a range test, and the eigenvalues of a Hessian. */
#include <math.h>

#include "plot/picture.h"
#include "plot/plot.h"

enum { WIDTH = 900, HEIGHT = 480 };

static void begin_axes(picture *p, const char *x, const char *y)
{
    fprintf(p->script, "set grid linecolor rgb '#d8d8d8' dashtype 1 linewidth 0.6\n"
                       "set xlabel '%s'\nset ylabel '%s'\nset key top left Left reverse samplen 3\n"
                       "set lmargin at screen 0.11\nset rmargin at screen 0.96\n", x, y);
}

bool plot_range(const double *rate, const double *loss, const double *smooth, int64_t n,
                const bp_rate_range *found, const char *out, char *text)
{
    picture p;
    double low = INFINITY, high = smooth[0];
    for (int64_t i = 0; i < n; i++)
        low = fmin(low, smooth[i]);
    if (!picture_begin(&p, out, WIDTH, HEIGHT, text))
        return false;
    fprintf(p.script, "$test << END\n");
    for (int64_t i = 0; i < n; i++)
        fprintf(p.script, "%.9g %.9g %.9g\n", rate[i], loss[i], smooth[i]);
    fprintf(p.script, "END\n");
    begin_axes(&p, "learning rate (log)", "loss of a step");
    double room = high > low ? high - low : fabs(high) + 1e-9;
    fprintf(p.script, "set logscale x\nset format x '%%g'\nset xrange [%.9g:%.9g]\n"
                      "set yrange [%.9g:%.9g]\n", rate[0], n > 1 ? rate[n - 1] : 2 * rate[0],
            low - 0.12 * room, high + 0.5 * room);
    fprintf(p.script, "set arrow 1 from %.9g, graph 0 to %.9g, graph 1 nohead linecolor rgb '%s' "
                      "linewidth 2 dashtype (8,6)\n", found->rate, found->rate, picture_colours[1]);
    fprintf(p.script, "set label 1 '%.2g' at %.9g, graph 0.94 offset 0.6,0 textcolor rgb '%s'\n",
            found->rate, found->rate, picture_colours[1]);
    fprintf(p.script, "plot $test using 1:2 with points pointtype 7 pointsize 0.35 "
                      "linecolor rgb '#a8a8a8' title 'of each step', $test using 1:3 with lines "
                      "linewidth 2.5 linecolor rgb '%s' title 'smoothed', NaN with lines "
                      "linewidth 2 dashtype (8,6) linecolor rgb '%s' title 'suggested rate'\n",
            picture_colours[0], picture_colours[1]);
    return picture_end(&p, true, text);
}

static void put(picture *p, double x, double *least)
{
    if (isnan(x)) {
        fprintf(p->script, " NaN");
        return;
    }
    fprintf(p->script, " %.9g", x);
    *least = fmin(*least, x);
}

/* What is negative has another colour and an open mark. */
bool plot_eigenvalues(const double *ascending, int64_t n, const char *out, char *text)
{
    picture p;
    double least = INFINITY, most = 0;
    bool below = ascending[0] < 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(ascending[i]));
    if (!(most > 0))
        return fault(text, "all eigenvalues are 0: there is nothing to draw");
    if (!picture_begin(&p, out, WIDTH, HEIGHT, text))
        return false;
    fprintf(p.script, "$values << END\n");
    for (int64_t i = 0; i < n; i++) { /* each side from its largest on; the rest is rounding */
        double x = ascending[n - 1 - i], y = -ascending[i];
        fprintf(p.script, "%lld", (long long)i + 1);
        put(&p, x > 3e-7 * most ? x : NAN, &least);
        put(&p, y > 3e-7 * most ? y : NAN, &least);
        fputc('\n', p.script);
    }
    fprintf(p.script, "END\n");
    begin_axes(&p, "number of the eigenvalue, of each sign", "|eigenvalue| (log)");
    fprintf(p.script, "set logscale y\nset format y '%%g'\nset key top right Right noreverse\n"
                      "set xrange [-%g:%lld]\nset yrange [%.9g:%.9g]\n", 0.01 * (double)n,
            (long long)n + 1, least / 2, most * 4);
    double largest = ascending[n - 1];
    if (largest > 0)
        fprintf(p.script, "set label 1 '%.3g, the largest: rate 1 / %.3g = %.2g' at 1, %.9g "
                          "offset 1,0.8 textcolor rgb '#404040'\n", largest, largest, 1 / largest,
                largest);
    fprintf(p.script, "plot $values using 1:2 with points pointtype 7 "
                      "pointsize 0.5 linecolor rgb '%s' title 'positive'", picture_colours[0]);
    if (below)
        fprintf(p.script, ", $values using 1:3 with points pointtype 6 "
                          "pointsize 0.5 linecolor rgb '%s' title 'negative'", picture_colours[1]);
    fputc('\n', p.script);
    return picture_end(&p, true, text);
}
