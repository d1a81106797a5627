/* Reading the log of a run: see read_run.h. A reader of JSON that knows one line at a time; texts
 * are decoded in place. */
#include "plot/read_run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/text.h"

enum { DEPTH_MAX = 16 };

/* --- one line --------------------------------------------------------------------------------- */

typedef struct line {
    char *at;
    const char *why; /* it cannot be read; NULL: it can */
    bool has_epoch, has_run, has_result;
    run_point point;
    char *data, *layers, *device; /* within the line; NULL: it does not say */
    double seed;
    bool nats;
} line;

static bool bad(line *l, const char *why)
{
    l->why = why;
    return false;
}

static bool skip(line *l, char c)
{
    l->at += strspn(l->at, " \t\r\n");
    if (*l->at != c)
        return false;
    l->at++;
    return true;
}

/* A character of UTF-8 for \uXXXX; halves of pairs, which no log has, become '?'. */
static bool unicode(line *l, char **to)
{
    char digits[5] = "", *end;
    strncat(digits, l->at, 4);
    unsigned long c = strtoul(digits, &end, 16);
    if (end != digits + 4)
        return bad(l, "\\u wants four digits");
    l->at += 4;
    if (c == 0 || (c >= 0xD800 && c < 0xE000))
        c = '?';
    if (c < 0x80) {
        *(*to)++ = (char)c;
        return true;
    }
    if (c < 0x800) {
        *(*to)++ = (char)(0xC0 | c >> 6);
    } else {
        *(*to)++ = (char)(0xE0 | c >> 12);
        *(*to)++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *(*to)++ = (char)(0x80 | (c & 0x3F));
    return true;
}

static bool string(line *l, char **out)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (!skip(l, '"'))
        return bad(l, "a text in quotes is wanted");
    char *to = *out = l->at;
    while (*l->at && *l->at != '"') {
        char c = *l->at++;
        if (c != '\\') {
            *to++ = c;
            continue;
        }
        const char *escape = *l->at ? strchr(from, *l->at) : NULL;
        if (!escape && *l->at != 'u')
            return bad(l, "an escape that JSON does not know");
        l->at++;
        if (escape)
            *to++ = into[escape - from];
        else if (!unicode(l, &to))
            return false;
    }
    if (!skip(l, '"'))
        return bad(l, "a text that does not end");
    *to = '\0';
    return true;
}

static bool number(line *l, double *x)
{
    bool minus = skip(l, '-');
    const char *end = bpi_number(l->at, x);
    if (!end)
        return bad(l, "a value is wanted");
    l->at += end - l->at;
    *x = minus ? -*x : *x;
    return true;
}

static bool word(line *l, const char *name)
{
    size_t n = strlen(name);
    bool is = !strncmp(l->at, name, n);
    l->at += is ? n : 0;
    return is;
}

/* What a line says under a key; `in` is the key of the object around it, "" of the line itself. */
static bool take_number(line *l, const char *in, const char *key, double x)
{
    run_point *p = &l->point;
    const struct {
        const char *key;
        double *to;
    } known[] = {{"time", &p->time}, {"loss", &p->loss}, {"accuracy", &p->accuracy},
                 {"valid_loss", &p->valid_loss}, {"valid_accuracy", &p->valid_accuracy},
                 {"lr", &p->lr}, {"samples_per_second", &p->samples_per_second}};
    if (!strcmp(in, "run") && !strcmp(key, "seed"))
        l->seed = x;
    if (*in)
        return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(key, known[i].key))
            *known[i].to = x;
    if (strcmp(key, "epoch"))
        return true;
    if (!(x >= 0 && x < 1e15 && x == floor(x)))
        return bad(l, "an epoch is a whole number");
    p->epoch = (int64_t)x;
    l->has_epoch = true;
    return true;
}

static void take_text(line *l, const char *in, const char *key, char *value)
{
    if (strcmp(in, "run"))
        return;
    if (!strcmp(key, "data"))
        l->data = value;
    else if (!strcmp(key, "layers"))
        l->layers = value;
    else if (!strcmp(key, "device"))
        l->device = value;
    else if (!strcmp(key, "task"))
        l->nats = strcmp(value, "regression") != 0;
}

static bool value(line *l, const char *in, const char *key, int depth)
{
    char *name, close = skip(l, '{') ? '}' : skip(l, '[') ? ']' : '\0';
    double x;
    if (close && depth >= DEPTH_MAX)
        return bad(l, "too many values in one another");
    if (close && skip(l, close))
        return true;
    if (close) {
        do {
            name = "?";
            if (close == '}' && (!string(l, &name) || !skip(l, ':')))
                return l->why ? false : bad(l, "':' is wanted");
            l->has_run |= depth == 0 && !strcmp(name, "run");
            l->has_result |= depth == 0 && !strcmp(name, "result");
            if (!value(l, depth > 1 ? "?" : key, name, depth + 1))
                return false;
        } while (skip(l, ','));
        return skip(l, close) || bad(l, "',' or the end is wanted");
    }
    if (*l->at == '"') {
        if (!string(l, &name))
            return false;
        take_text(l, in, key, name);
        return true;
    }
    if (word(l, "null") || word(l, "true") || word(l, "false"))
        return true;
    return number(l, &x) && take_number(l, in, key, x);
}

/* False, with l->why, where it is no line of such a log. */
static bool read_line(char *text, size_t n, line *l)
{
    *l = (line){.at = text, .seed = -1, .point = {.loss = NAN, .accuracy = NAN, .valid_loss = NAN,
                                                  .valid_accuracy = NAN, .lr = NAN}};
    if (strlen(text) != n)
        return bad(l, "it has a byte 0");
    if (text[strspn(text, " \t\r\n")] != '{')
        return bad(l, "an object in braces is wanted");
    if (!value(l, "", "", 0))
        return false;
    l->at += strspn(l->at, " \t\r\n");
    if (*l->at)
        return bad(l, "something behind the object");
    return l->has_epoch || l->has_run || l->has_result ||
           bad(l, "an object without epoch, run or result");
}

/* --- one file --------------------------------------------------------------------------------- */

static bool out_of_memory(char *text)
{
    return fault(text, "plot: out of memory");
}

/* The last line of an epoch counts; epochs come in order, but for those of a run that went on. */
static bool add_point(run *r, const run_point *p, char *text)
{
    int64_t at = r->n;
    while (at > 0 && r->points[at - 1].epoch >= p->epoch)
        at--;
    if (at < r->n && r->points[at].epoch == p->epoch) {
        r->points[at] = *p;
        return true;
    }
    if (r->n == r->capacity) {
        int64_t capacity = 2 * r->capacity + 64;
        run_point *more = realloc(r->points, (size_t)capacity * sizeof *more);
        if (!more)
            return out_of_memory(text);
        r->points = more;
        r->capacity = capacity;
    }
    memmove(r->points + at + 1, r->points + at, (size_t)(r->n++ - at) * sizeof *p);
    r->points[at] = *p;
    return true;
}

static bool add_header(run *r, const line *l, char *text)
{
    char about[512], seed[32] = "";
    if (l->seed >= 0)
        snprintf(seed, sizeof seed, ", seed %.0f", l->seed);
    snprintf(about, sizeof about, "%.100s: %.200s%s%.100s%s", l->data ? l->data : "?",
             l->layers ? l->layers : "?", l->device ? ", " : "", l->device ? l->device : "", seed);
    free(r->about);
    r->about = strdup(about);
    r->nats = l->nats;
    return r->about || out_of_memory(text);
}

static bool bad_line(char *text, const char *path, int64_t number, const char *why)
{
    return fault(text, "%.300s: line %lld: no line of a run's log: %s", path,
                 (long long)number, why);
}

static bool read_lines(run *r, FILE *file, const char *path, char *text)
{
    char *at = NULL;
    size_t room = 0;
    ssize_t n;
    line l;
    int64_t number = 0, cut = 0; /* a line that may be cut, which is seen by what follows it */
    const char *why = NULL;
    bool good = true, ended = true;
    errno = 0;
    while (good && (n = getline(&at, &room, file)) >= 0) {
        number++;
        ended = n > 0 && at[n - 1] == '\n';
        bool object = *at == '{', blank = strspn(at, " \t\r\n") == (size_t)n;
        if (cut && strncmp(at, "{\"run\"", 6))
            break;
        cut = 0;
        if (blank)
            continue;
        if (!read_line(at, (size_t)n, &l)) {
            cut = number;
            why = l.why;
            good = object || bad_line(text, path, number, why);
        } else if (l.has_epoch) {
            good = add_point(r, &l.point, text);
        } else if (l.has_run) {
            good = add_header(r, &l, text);
        }
    }
    free(at);
    if (good && ferror(file))
        return fault(text, "%.300s: cannot be read: %s", path, strerror(errno));
    if (good && cut && (ended || number != cut))
        return bad_line(text, path, cut, why);
    return good && (r->n > 0 || fault(text, "%.300s: no epoch is in it", path));
}

static bool read_one(run *r, const char *path, char *text)
{
    FILE *file = fopen(path, "re");
    struct stat is;
    if (!file)
        return fault(text, "%.300s: cannot be read: %s", path, strerror(errno));
    if (fstat(fileno(file), &is) == 0 && S_ISCHR(is.st_mode)) { /* /dev/zero has no end */
        fclose(file);
        return fault(text, "%.300s: is a device, no log", path);
    }
    const char *dot = strrchr(path, '.');
    bool ending = dot && dot > path && dot[-1] != '/' && !strchr(dot, '/');
    r->name = strndup(path, ending ? (size_t)(dot - path) : strlen(path));
    r->about = strdup("");
    bool good = r->name && r->about ? read_lines(r, file, path, text) : out_of_memory(text);
    fclose(file);
    return good;
}

bool runs_read(const char *const *paths, int n, run **runs, char *text)
{
    *runs = n > 0 ? calloc((size_t)n, sizeof **runs) : NULL;
    if (!*runs)
        return n > 0 ? out_of_memory(text) : fault(text, "plot: no log is given");
    for (int i = 0; i < n; i++)
        if (!read_one(*runs + i, paths[i], text)) {
            runs_free(*runs, n);
            *runs = NULL;
            return false;
        }
    return true;
}

void runs_free(run *runs, int n)
{
    for (int i = 0; runs && i < n; i++) {
        free(runs[i].name);
        free(runs[i].about);
        free(runs[i].points);
    }
    free(runs);
}

/* --- what is drawn ---------------------------------------------------------------------------- */

double run_value(const run_point *p, int curve)
{
    const double values[CURVES] = {p->loss, p->valid_loss, 100 * p->accuracy,
                                   100 * p->valid_accuracy, p->lr};
    return fabs(values[curve]) < 1e300 ? values[curve] : NAN; /* so that a range is finite too */
}

bool run_range(const run *r, int curve, double *low, double *high)
{
    bool any = false;
    for (int64_t i = 0; i < r->n; i++) {
        double x = run_value(r->points + i, curve);
        any = any || !isnan(x);
        *low = fmin(*low, x);
        *high = fmax(*high, x);
    }
    return any;
}

bool runs_panel(const run *runs, int n, int first, int second, run_panel *panel)
{
    bool any = false;
    panel->low = INFINITY;
    panel->high = -INFINITY;
    for (int i = 0; i < n; i++) {
        any |= run_range(runs + i, first, &panel->low, &panel->high);
        if (second >= 0)
            any |= run_range(runs + i, second, &panel->low, &panel->high);
    }
    panel->log = any && first != CURVE_ACCURACY && panel->low > 0 && panel->high > 10 * panel->low;
    return any;
}
