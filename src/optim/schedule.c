/* Schedules: a text of words becomes factors, one a step. The formulas and their sources are in
 * bpcuda/schedule.h. Nothing here is on a device: the numbers are uploaded by whoever uses them. */
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/text.h"
#include "optim/optim.h"

enum { WORDS_MAX = 32, NUMBERS_MAX = 3, WORD_MAX = 96 };

/* Where a word's clock is. */
typedef struct moment {
    double epoch, step, last; /* since its start; `last`: the step that ends the run */
    double epoch_steps, plateau;
} moment;

typedef struct kind {
    const char *name;
    int least, most;         /* numbers */
    double low[NUMBERS_MAX]; /* of each */
    double (*factor)(const double *x, const moment *m);
    const char *wanted;
} kind;

typedef struct word {
    const kind *kind;
    double x[NUMBERS_MAX]; /* what is left out is 0 */
} word;

struct bp_schedule {
    bp_context *ctx;
    bpi_late late;
    bp_factor_fn own; /* or words */
    void *user;
    int n;
    word word[WORDS_MAX];
    bpi_schedule_state state;
};

/* --- the words --------------------------------------------------------------------------- */

static const double pi = 3.14159265358979323846;

static double constant(const double *x, const moment *m)
{
    (void)x, (void)m;
    return 1;
}

/* Where t / EVERY is a whole number but for rounding, it is one. */
static double step(const double *x, const moment *m)
{
    return pow(x[1], floor(m->epoch / x[0] + 1e-9));
}

static double exponential(const double *x, const moment *m)
{
    return pow(x[0], m->epoch);
}

static double inverse(const double *x, const moment *m)
{
    return 1 / (1 + m->epoch / x[0]);
}

/* Of the way from `from` to `to`, both included; a way of no steps is not begun. */
static double share(double from, double to, double at)
{
    return to <= from ? 0 : at >= to ? 1 : (at - from) / (to - from);
}

static double polynomial(const double *x, const moment *m)
{
    return x[1] + (1 - x[1]) * pow(1 - share(0, m->last, m->step), x[0]);
}

/* From 1 to `end`, at this share of the way. */
static double half_cosine(double end, double at)
{
    return end + (1 - end) * 0.5 * (1 + cos(pi * at));
}

/* The share of the period that t, in periods, is in: they begin at 0, 1, 1 + growth, ... A time
 * that is a beginning but for rounding is one. */
static double restarted(double t, double growth)
{
    if (growth <= 1)
        return fmax(t - floor(t + 1e-9), 0);
    double k = floor(log1p(t * (growth - 1)) / log(growth) + 1e-9), length = pow(growth, k);
    return fmax((t - (length - 1) / (growth - 1)) / length, 0);
}

static double cosine(const double *x, const moment *m)
{
    double at = x[1] > 0 ? restarted(m->epoch / x[1], x[2]) : share(0, m->last, m->step);
    return half_cosine(x[0], at);
}

static double warmup(const double *x, const moment *m)
{
    return fmin(1, (m->step + 1) / (x[0] * m->epoch_steps));
}

static double onecycle(const double *x, const moment *m)
{
    double peak = fmax(0.3 * (m->last + 1) - 1, 0);
    if (m->step < peak)
        return half_cosine(x[0], 1 - m->step / peak);
    return half_cosine(x[1], share(peak, m->last, m->step));
}

static double plateau(const double *x, const moment *m)
{
    (void)x;
    return m->plateau;
}

#define ABOVE_0 1e-300
static const kind kinds[] = {
    {"constant", 0, 0, {0}, constant, "constant"},
    {"step", 2, 2, {ABOVE_0, ABOVE_0}, step, "step=EVERY,FACTOR with both above 0"},
    {"exponential", 1, 1, {ABOVE_0}, exponential, "exponential=FACTOR with FACTOR above 0"},
    {"inverse", 1, 1, {ABOVE_0}, inverse, "inverse=T with T above 0"},
    {"polynomial", 2, 2, {ABOVE_0, 0}, polynomial,
     "polynomial=POWER,END with POWER above 0 and END from 0"},
    {"cosine", 0, 3, {0, ABOVE_0, 1}, cosine,
     "cosine or cosine=END or cosine=END,PERIOD or cosine=END,PERIOD,GROWTH with END from 0, PERIOD "
     "above 0 and GROWTH from 1"},
    {"warmup", 1, 1, {0}, warmup, "warmup=T with T from 0"},
    {"onecycle", 2, 2, {0, 0}, onecycle, "onecycle=START,END with both from 0"},
    {"plateau", 2, 2, {ABOVE_0, 0}, plateau,
     "plateau=FACTOR,PATIENCE, once, with FACTOR above 0 and PATIENCE from 0"},
    {"after", 1, 1, {0}, NULL, "after=T with T from 0"}};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* --- reading a text ---------------------------------------------------------------------- */

static bool read_numbers(const char *at, word *w)
{
    int n = 0;
    for (; *at && n < w->kind->most; n++) {
        at = *at == (n ? ',' : '=') ? bpi_number(at + 1, &w->x[n]) : NULL;
        if (!at || !(w->x[n] >= w->kind->low[n] && w->x[n] <= 1e9))
            return false;
    }
    return !*at && n >= w->kind->least;
}

/* NULL, or what is wanted instead. */
static const char *read_word(bp_schedule *s, const char *text, word *w)
{
    size_t name = strcspn(text, "=");
    *w = (word){0};
    for (int i = 0; i < KINDS && !w->kind; i++)
        if (strlen(kinds[i].name) == name && !strncmp(text, kinds[i].name, name))
            w->kind = &kinds[i];
    if (!w->kind)
        return "constant, step=, exponential=, inverse=, polynomial=, cosine=, warmup=, onecycle=, "
               "plateau= or after=";
    bool good = read_numbers(text + name, w);
    for (int i = 0; i < s->n; i++)
        good &= w->kind->factor != plateau || s->word[i].kind != w->kind;
    return good ? NULL : w->kind->wanted;
}

static bp_status read_text(bp_schedule *s, const char *text)
{
    for (const char *at = text; *(at += strspn(at, BPI_BLANKS));) {
        size_t length = strcspn(at, BPI_BLANKS);
        char one[WORD_MAX] = "";
        if (s->n == WORDS_MAX)
            return bpi_fail(s->ctx, BP_ERR_FORMAT, "schedule: more than %d words", WORDS_MAX);
        memcpy(one, at, length < sizeof one ? length : sizeof one - 1);
        const char *wanted = read_word(s, one, &s->word[s->n]);
        if (length >= sizeof one)
            wanted = "a shorter one";
        if (wanted)
            return bpi_fail(s->ctx, BP_ERR_FORMAT, "schedule: word %d is \"%s\"; %s is wanted",
                            s->n + 1, one, wanted);
        s->n++;
        at += length;
    }
    return BP_OK;
}

/* --- making one -------------------------------------------------------------------------- */

static bp_status create(bp_context *ctx, const char *text, bp_factor_fn own, void *user,
                        bp_schedule **out)
{
    bp_schedule *s = bpi_object_alloc(ctx, sizeof *s);
    if (!s)
        return bpi_fail(ctx, BP_ERR_NOMEM, "schedule: out of memory");
    s->ctx = ctx;
    s->own = own;
    s->user = user;
    s->state = (bpi_schedule_state){.best = INFINITY, .factor = 1};
    bp_status st = own ? BP_OK : read_text(s, text);
    if (st == BP_OK)
        *out = s;
    else
        bpi_object_free(ctx, s, sizeof *s);
    return st;
}

static bp_status create_text(bp_context *ctx, const char *text, bp_schedule **out)
{
    BPI_TRY(bpi_given(ctx, text, "schedule_create: text"));
    BPI_TRY(bpi_given(ctx, out, "schedule_create: schedule"));
    return create(ctx, text, NULL, NULL, out);
}

bp_status bp_schedule_create(bp_context *ctx, const char *text, bp_schedule **schedule)
{
    if (schedule)
        *schedule = NULL;
    BPI_INSIDE(ctx, create_text(ctx, text, schedule));
}

static bp_status create_own(bp_context *ctx, bp_factor_fn factor, void *user, bp_schedule **out)
{
    if (!factor)
        return bpi_fail(ctx, BP_ERR_ARG, "schedule_own: factor is NULL");
    BPI_TRY(bpi_given(ctx, out, "schedule_own: schedule"));
    return create(ctx, NULL, factor, user, out);
}

bp_status bp_schedule_own(bp_context *ctx, bp_factor_fn factor, void *user,
                          bp_schedule **schedule)
{
    if (schedule)
        *schedule = NULL;
    BPI_INSIDE(ctx, create_own(ctx, factor, user, schedule));
}

static void free_late(bpi_late *late)
{
    bp_schedule_free((bp_schedule *)((char *)late - offsetof(bp_schedule, late)));
}

void bp_schedule_free(bp_schedule *s)
{
    if (!s || !bpi_enter_to_free(s->ctx, &s->late, free_late))
        return;
    bp_context *ctx = s->ctx;
    bpi_object_free(ctx, s, sizeof *s);
    bpi_leave(ctx);
}

bpi_schedule_state *bpi_schedule_state_of(bp_schedule *s)
{
    return &s->state;
}

bp_context *bpi_schedule_context(const bp_schedule *s)
{
    return s->ctx;
}

/* --- factors ----------------------------------------------------------------------------- */

static double product(const bp_schedule *s, double at, double epoch_steps, double all)
{
    double factor = 1, from = 0;
    for (int i = 0; i < s->n; i++) {
        const word *w = &s->word[i];
        if (!w->kind->factor) {
            from = w->x[0] * epoch_steps;
            continue;
        }
        double since = fmax(at - from, 0);
        moment m = {since / epoch_steps, since, all - 1 - from, epoch_steps, s->state.factor};
        factor *= w->kind->factor(w->x, &m);
    }
    return factor;
}

static bp_status fill(bp_schedule *s, int64_t first, int64_t n, int64_t epoch_steps, int64_t all,
                      double *factor)
{
    bp_context *ctx = s->ctx;
    BPI_TRY(bpi_given(ctx, factor, "schedule_fill: factor"));
    if (first < 0 || n < 0 || first > INT64_MAX - n || epoch_steps < 1 || all < 1)
        return bpi_fail(ctx, BP_ERR_ARG,
                        "schedule_fill: steps %lld to %lld + %lld of %lld, %lld an epoch; counts "
                        "from 0, and from 1 for the run and its epochs, are wanted",
                        (long long)first, (long long)first, (long long)n, (long long)all,
                        (long long)epoch_steps);
    double each = (double)epoch_steps;
    for (int64_t i = 0; i < n; i++) {
        double at = (double)(first + i);
        if (s->own) {
            BPI_CALLBACK(callback);
            bpi_callback_begin(&callback, ctx, false);
            factor[i] = s->own(s->user, at / each, (double)all / each);
            BPI_TRY(bpi_callback_over(&callback, "schedule_fill"));
        } else {
            factor[i] = product(s, at, each, (double)all);
        }
        if (!(factor[i] >= 0 && isfinite(factor[i])))
            return bpi_fail(ctx, BP_ERR_NONFINITE,
                            "schedule_fill: the factor of step %lld is %g; a number from 0 is "
                            "wanted", (long long)(first + i), factor[i]);
    }
    return BP_OK;
}

bp_status bp_schedule_fill(bp_schedule *s, int64_t first, int64_t n, int64_t epoch_steps,
                           int64_t all, double *factor)
{
    BPI_LEADS(s, "schedule_fill: schedule");
    BPI_INSIDE(s->ctx, fill(s, first, n, epoch_steps, all, factor));
}

/* Better is below the best by 0.01 % of it. */
static bp_status tell(bp_schedule *s, double measure)
{
    bpi_schedule_state *now = &s->state;
    double from = 0;
    const word *w = s->word, *end = s->word + s->n;
    for (; w < end && w->kind->factor != plateau; w++)
        from = w->kind->factor ? from : w->x[0];
    if (w == end || (double)now->told++ < from)
        return BP_OK;
    if (isinf(now->best) ? measure < now->best : measure < now->best - 1e-4 * fabs(now->best)) {
        now->best = measure;
        now->bad = 0;
    } else if ((double)++now->bad > w->x[1]) {
        now->factor *= w->x[0];
        now->bad = 0;
    }
    return BP_OK;
}

bp_status bp_schedule_tell(bp_schedule *s, double measure)
{
    BPI_LEADS(s, "schedule_tell: schedule");
    BPI_INSIDE(s->ctx, tell(s, measure));
}
