/* Reads ranges, and draws from them. */
#include "ranges.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- reading ---------------------------------------------------------------------------------- */

/* What cannot be another for each trial: the rows are cut once, and the draws are by the seed. */
static bool varies(const option *o)
{
    bool trains = o >= options && o < options + TRAIN_OPTIONS;
    int number = (int)(o - options);
    return (trains && number != BP_TRAIN_SEED && number != BP_TRAIN_HOLD_OUT) ||
           number == OPTION_layers || number == OPTION_schedule || number == OPTION_normalize;
}

/* No fault of the command line. */
static int failed(const char *path, const char *why)
{
    say("search: %s%s%s", path, *why ? ": " : "", why);
    fputc('\n', stderr);
    return 1;
}

static int split_words(const command *c, range *r, const char *text)
{
    settings tried = {0};
    r->text = strdup(text);
    if (!r->text)
        return failed("out of memory", "");
    for (char *p = r->text, *next = p; next; p = next + 1) {
        next = strchr(p, '|');
        if (next)
            *next = '\0';
        if (r->words == RANGE_WORDS)
            return say("%s: more than %d words", option_shown(r->option), RANGE_WORDS), wrong(c);
        int status = take_value(c, r->option, p, &tried);
        if (status != COMMAND_RUN)
            return status;
        if (tried.train[BP_TRAIN_OPTIMIZER] > BP_DIAGONAL_LM)
            return say("--optimizer %s has no steps, which a trial is made of", p), wrong(c);
        r->word[r->words++] = p;
    }
    return COMMAND_RUN;
}

static int read_bounds(const command *c, range *r, const char *text)
{
    const option *o = r->option;
    const char *dots = strstr(text, "..");
    char low[64], *end, *last;
    snprintf(low, sizeof low, "%.*s", (int)(dots - text), text); /* "1." is a number too */
    r->low = strtod(low, &end);
    r->high = strtod(dots + 2, &last);
    bool two = *low && !*end && dots[2] && !*last;
    bool whole = !o->integer || (r->low == floor(r->low) && r->high == floor(r->high));
    if (two && whole && r->low >= o->min && r->high <= o->max && r->low < r->high)
        return COMMAND_RUN;
    say("%s: \"%s\" is not LOW..HIGH of %s from %.16g to %.16g", option_shown(o), text,
        o->integer ? "integers" : "numbers", o->min, o->max);
    return wrong(c);
}

static int read_range(const command *c, const settings *set, const char *text, ranges *to)
{
    char name[64];
    const char *is = strchr(text, '=');
    snprintf(name, sizeof name, "--%.*s", (int)(is ? is - text : 0), text);
    for (char *p = name + 2; *p; p++)
        *p = *p == '_' ? '-' : *p;
    const option *o = is ? find_option(c, name) : NULL;
    if (!o || !varies(o)) {
        say("\"%s\" is no NAME=RANGE of an option of training: lr=0.0001..0.1, batch=32|64", text);
        return wrong(c);
    }
    for (int i = 0; i < to->n; i++)
        if (to->at[i].option == o)
            return say("%s has two ranges", option_shown(o)), wrong(c);
    if (set->given[o - options])
        return say("%s has a range, and a value of its own", option_shown(o)), wrong(c);
    if (to->n == OPERANDS)
        return say("more than %d ranges", OPERANDS), wrong(c);
    range *r = &to->at[to->n++];
    r->option = o;
    bool bounds = o->number && strstr(is, "..");
    return bounds ? read_bounds(c, r, is + 1) : split_words(c, r, is + 1);
}

/* A range a line; what # begins is passed over. */
static int read_file(const command *c, const settings *set, ranges *to)
{
    const char *path = set->ranges;
    char line[4096];
    FILE *f = fopen(path, "r");
    if (!f)
        return failed(path, strerror(errno));
    int status = COMMAND_RUN;
    while (status == COMMAND_RUN && fgets(line, sizeof line, f)) {
        if (!strchr(line, '\n') && !feof(f))
            status = failed(path, "a line is longer than 4094 bytes, or no text");
        line[strcspn(line, "#\r\n")] = '\0';
        char *begin = line + strspn(line, " \t"), *end = begin + strlen(begin);
        while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
            *--end = '\0';
        if (*begin && status == COMMAND_RUN)
            status = read_range(c, set, begin, to);
    }
    if (ferror(f) && status == COMMAND_RUN)
        status = failed(path, "cannot be read");
    fclose(f);
    return status;
}

void range_put(const range *r, int i, settings *set)
{
    if (r->words)
        take_value(command_of(set->command), r->option, r->word[i], set);
    else
        *(double *)((char *)set + r->option->place) = i ? r->high : r->low;
}

/* Each option counts with one value of the ranges, at least. */
static int all_count(const command *c, const settings *set, const ranges *of)
{
    settings base = *set;
    bool counted[N_OPTIONS] = {false};
    char text[160];
    for (int i = 0; i < of->n; i++) { /* a default is none of them */
        base.given[of->at[i].option - options] = true;
        range_put(&of->at[i], 0, &base);
    }
    for (int i = 0; i < of->n; i++) {
        settings tried = base;
        for (int k = 0; k < (of->at[i].words ? of->at[i].words : 2); k++) {
            range_put(&of->at[i], k, &tried);
            count_options(&tried, counted);
        }
    }
    if (!idle_option(&base, counted, text, sizeof text))
        return COMMAND_RUN;
    return say("%s", text), wrong(c);
}

int ranges_read(const settings *set, ranges *to)
{
    const command *c = command_of(set->command);
    int status = COMMAND_RUN;
    *to = (ranges){0};
    for (int i = 0; i < set->operands && status == COMMAND_RUN; i++)
        status = read_range(c, set, set->operand[i], to);
    if (set->ranges && status == COMMAND_RUN)
        status = read_file(c, set, to);
    if (status == COMMAND_RUN && to->n == 0)
        status = (say("%s wants a NAME=RANGE: lr=0.0001..0.1, or --ranges FILE", c->name), wrong(c));
    return status == COMMAND_RUN ? all_count(c, set, to) : status;
}

void ranges_free(ranges *of)
{
    for (int i = 0; i < of->n; i++)
        free(of->at[i].text);
}

/* --- drawing ---------------------------------------------------------------------------------- */

/* In [0, 1): the finaliser of splitmix64 (Steele, Lea, Flood, 2014), twice, of a counter. */
static double unit(uint64_t seed, uint64_t trial, uint64_t which)
{
    uint64_t z = seed * 0x9E3779B97F4A7C15u + trial * 0xD1B54A32D192ED03u +
                 (which + 1) * 0x8CB92BA72F3D8DD7u;
    for (int i = 0; i < 2; i++) {
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z ^= z >> 31;
    }
    return (double)(z >> 11) * 0x1p-53;
}

/* Of three digits, or all where it is an integer: the line that is told makes it again. */
static double number_of(const range *r, double u)
{
    char text[32];
    bool whole = r->option->integer, wide = r->low > 0 && r->high >= 10 * r->low;
    double low = r->low, high = r->high + whole, x;
    x = wide ? low * pow(high / low, u) : low + u * (high - low);
    snprintf(text, sizeof text, whole ? "%.0f" : "%.3g", whole ? floor(x) : x);
    x = strtod(text, NULL);
    return x < r->low ? r->low : x > r->high ? r->high : x;
}

/* The word, by its number, or the number. */
static double drawn(const range *r, const settings *set, int64_t trial)
{
    size_t number = (size_t)(r->option - options);
    double u = unit((uint64_t)set->train[BP_TRAIN_SEED], (uint64_t)trial, number);
    return r->words ? floor(u * r->words) : number_of(r, u);
}

void ranges_draw(const ranges *of, int64_t trial, settings *set)
{
    for (int i = 0; i < of->n; i++) {
        const range *r = &of->at[i];
        double x = drawn(r, set, trial);
        if (r->words)
            range_put(r, (int)x, set);
        else
            *(double *)((char *)set + r->option->place) = x;
        set->given[r->option - options] = true;
    }
}

bool ranges_equal(const ranges *of, const settings *set, int64_t a, int64_t b)
{
    for (int i = 0; i < of->n; i++)
        if (drawn(&of->at[i], set, a) != drawn(&of->at[i], set, b))
            return false;
    return true;
}
