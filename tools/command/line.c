/* The command line: commands, and one list of options from which it is read and checked. */
#include "line.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

const command commands[] = {
#include "commands.def"
};
const int n_commands = sizeof commands / sizeof *commands;

#define COMMON (1 << BP_TRAIN_EPOCHS | 1 << BP_TRAIN_BATCH | 1 << BP_TRAIN_LR | 1 << BP_TRAIN_SEED | \
                1 << BP_TRAIN_OPTIMIZER | 1 << BP_TRAIN_PATIENCE | 1 << BP_TRAIN_HOLD_OUT)
/* What says which rows make a batch: those who look at batches have it too. */
#define OF_ROWS (1 << BP_TRAIN_EPOCHS | 1 << BP_TRAIN_BATCH | 1 << BP_TRAIN_SEED | 1 << BP_TRAIN_ROWS | \
                 1 << BP_TRAIN_EPOCH_STEPS | 1 << BP_TRAIN_BATCH_CLASSES | 1 << BP_TRAIN_BATCH_PER_CLASS)
/* What a range test has no use for: it sets the rate itself, and nothing is kept of its steps. */
#define OF_RUNS (1 << BP_TRAIN_EPOCHS | 1 << BP_TRAIN_LR | 1 << BP_TRAIN_PATIENCE | 1 << BP_TRAIN_AVERAGE | \
                 1 << BP_TRAIN_AVERAGE_FROM | 1 << BP_TRAIN_STOP_GL | 1 << BP_TRAIN_STOP_PQ |               \
                 1 << BP_TRAIN_STOP_UP | 1 << BP_TRAIN_STOP_STRIP)
#define OF_CHECKS (1 << BP_TRAIN_LR | 1 << BP_TRAIN_SEED | 1 << BP_TRAIN_ROWS | 1 << BP_TRAIN_HOLD_OUT | \
                   1 << BP_TRAIN_OPTIMIZER)
#define HAS(set, code, bit) ((set) >> (code) & 1 ? (bit) : 0)
#define AT(name) .place = offsetof(settings, name)

const option options[N_OPTIONS] = {
#define TEXT(bits, its_name, its_value, begin, often, what) \
    [OPTION_##its_name] = {#its_name, its_value, NULL, begin, what, bits, .common = often, \
                           AT(its_name)},
#define NUMBER(bits, its_name, begin, low, high, whole, often, what)                             \
    [OPTION_##its_name] = {#its_name, "N", NULL, NULL, what, bits, true, whole, often, AT(its_name), \
                           begin, low, high},
#define WORD(bits, its_name, list, begin, often, what) \
    [OPTION_##its_name] = {#its_name, list, list, NULL, what, bits, .common = often, AT(its_name), \
                           .start = begin},
#define SWITCH(bits, its_name, often, what) \
    [OPTION_##its_name] = {#its_name, NULL, NULL, NULL, what, bits, .common = often, AT(its_name)},
#define LIBRARY
#include "options.def"
#define BPI_OPTION(code, its_name, begin, low, high, whole, list, what)                            \
    [code] = {#its_name, (list) ? (list) : "N", list, NULL, what,                                 \
              TRAIN | SEARCH | HAS(~OF_RUNS, code, RATE) | HAS(OF_CHECKS, code, CHECK) |             \
                  HAS(OF_ROWS, code, INSPECT),                                                       \
              !(list), whole, COMMON >> code & 1, AT(train[code]), begin, low, high},
#include "../../src/train/options.def"
};

const command *command_of(unsigned bit)
{
    for (int i = 0; i < n_commands; i++)
        if (commands[i].bit == bit)
            return &commands[i];
    return NULL;
}

const char *option_shown(const option *o)
{
    static char shown[32];
    snprintf(shown, sizeof shown, "--%s", o->name);
    for (char *p = shown; *p; p++)
        *p = *p == '_' ? '-' : *p;
    return shown;
}

/* The word number i of "a|b|c"; its length, or 0 behind the last. */
static size_t word_at(const char *words, int i, const char **word)
{
    for (; i > 0 && *words; i--)
        words += strcspn(words, "|") + (words[strcspn(words, "|")] == '|');
    *word = words;
    return strcspn(words, "|");
}

const char *option_word(const option *o, double value, char *to)
{
    const char *word;
    size_t length = word_at(o->words, (int)(value - o->min), &word);
    snprintf(to, 32, "%.*s", (int)length, word);
    return to;
}

void say(const char *format, ...)
{
    char all[8192], text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(all, sizeof all, format, args);
    va_end(args);
    bpi_printable(text, sizeof text, all);
    fprintf(stderr, "bpcuda: %s", text);
}

/* --- the nearest word ------------------------------------------------------------------------ */

/* Letters to insert, leave out, exchange or swap with a neighbour (Damerau, 1964). */
static int distance(const char *a, const char *b)
{
    enum { MOST = 31 };
    int d[MOST + 1][MOST + 1], n = (int)strlen(a), m = (int)strlen(b);
    if (n > MOST || m > MOST)
        return MOST;
    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            int best = i == 0 ? j : j == 0 ? i : d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (i && j && d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (i && j && d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

typedef struct nearest {
    const char *wanted;
    char word[32];
    int distance;
} nearest;

static void compare(nearest *n, const char *word)
{
    bool begins = strlen(n->wanted) > 3 && !strncmp(n->wanted, word, strlen(n->wanted));
    int d = begins ? 1 : distance(n->wanted, word);
    if (d < n->distance)
        snprintf(n->word, sizeof n->word, "%s", word);
    n->distance = d < n->distance ? d : n->distance;
}

static nearest begin_compare(const char *wanted)
{
    int third = (int)strlen(wanted) / 3;
    return (nearest){.wanted = wanted, .distance = third < 1 ? 2 : third + 1};
}

/* Ends the one line of a message about the command line. */
static int wrong_word(const command *c, const nearest *n)
{
    if (n && n->word[0])
        fprintf(stderr, "; did you mean %s?", n->word);
    fprintf(stderr, " (see bpcuda %s%s--help)\n", c ? c->name : "", c ? " " : "");
    return 2;
}

int wrong(const command *c)
{
    return wrong_word(c, NULL);
}

/* --- options --------------------------------------------------------------------------------- */

const option *find_option(const command *c, const char *shown)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].name && options[i].commands & c->bit &&
            !strcmp(option_shown(&options[i]), shown))
            return &options[i];
    return NULL;
}

static int unknown(const command *c, const char *shown)
{
    nearest n = begin_compare(shown);
    unsigned others = 0;
    for (int i = 0; i < N_OPTIONS; i++) {
        if (options[i].name && options[i].commands & c->bit)
            compare(&n, option_shown(&options[i]));
        else if (options[i].name && !strcmp(option_shown(&options[i]), shown))
            others = options[i].commands;
    }
    say("%s does not know \"%s\"", c->name, shown);
    for (int i = 0; others && i < n_commands; i++)
        if (others & commands[i].bit) {
            fprintf(stderr, ", which bpcuda %s does", commands[i].name);
            break;
        }
    return wrong_word(c, &n);
}

static int take_word(const command *c, const option *o, const char *value, double *place)
{
    const char *word;
    nearest n = begin_compare(value);
    char one[32];
    for (int i = 0; word_at(o->words, i, &word); i++) {
        option_word(o, o->min + i, one);
        *place = o->min + i;
        if (!strcmp(one, value))
            return COMMAND_RUN;
        compare(&n, one);
    }
    say("%s: \"%s\" is none of %s", option_shown(o), value, o->words);
    return wrong_word(c, &n);
}

bool takes_auto(const command *c, const option *o)
{
    return c->bit == TRAIN && o == &options[BP_TRAIN_LR];
}

int take_value(const command *c, const option *o, const char *value, settings *set)
{
    void *place = (char *)set + o->place;
    if (o->words)
        return take_word(c, o, value, place);
    if (!o->number) {
        *(const char **)place = value;
        return COMMAND_RUN;
    }
    if (takes_auto(c, o) && !strcmp(value, "auto"))
        return *(double *)place = LR_AUTO, COMMAND_RUN;
    char *end;
    double x = strtod(value, &end);
    if (end == value || *end || !(x >= o->min && x <= o->max) || (o->integer && x != floor(x))) {
        say("%s: \"%s\" is not %s from %.16g to %.16g", option_shown(o), value,
            o->integer ? "an integer" : "a number", o->min, o->max);
        return wrong(c);
    }
    *(double *)place = x;
    return COMMAND_RUN;
}

/* One option at argv[*i], and its value, in the same word or the next. */
static int option_at(const command *c, int argc, char **argv, int *i, settings *set)
{
    char shown[64];
    const char *word = argv[*i], *value = NULL;
    size_t length = strcspn(word, "=");
    snprintf(shown, sizeof shown, "%.*s", (int)length, word);
    if (!strcmp(shown, "-o"))
        strcpy(shown, "--out");
    if (!strcmp(shown, "--label"))
        strcpy(shown, "--target"); /* another word for it */
    const option *o = find_option(c, shown);
    if (!o)
        return unknown(c, shown);
    if (word[length] == '=')
        value = word + length + 1;
    set->given[o - options] = true;
    if (!o->value) {
        *(bool *)((char *)set + o->place) = true;
        if (!value)
            return COMMAND_RUN;
        say("%s takes no value", shown);
        return wrong(c);
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (value)
        return take_value(c, o, value, set);
    say("%s wants a value: %s", shown, o->value);
    return wrong(c);
}

static void begin(settings *set)
{
    *set = (settings){0};
    for (int i = 0; i < N_OPTIONS; i++) {
        void *place = (char *)set + options[i].place;
        if (options[i].name && (options[i].number || options[i].words))
            *(double *)place = options[i].start;
        else if (options[i].name && options[i].value)
            *(const char **)place = options[i].start_text;
    }
}

static int count_operands(const command *c, const settings *set)
{
    if (set->operands < c->least)
        say("%s wants %s", c->name, c->operands);
    else if (set->operands > c->most)
        say("%s: \"%s\" is one word too many", c->name, set->operand[c->most]);
    else
        return COMMAND_RUN;
    return wrong(c);
}

/* What one option asks of others. */
static int fits(const command *c, const settings *set)
{
    char text[160];
    if (c->bit & (EVAL | PREDICT) && !set->data)
        say("%s wants --data: csv:FILE, npy:FILE, mnist:DIR, digits, - for a CSV on standard input",
            c->name);
    else if (set->ensemble > 1 && set->loss > BP_TASK_LABELS)
        say("--loss tanh: such outputs have no mean, which --ensemble wants");
    else if (set->train[BP_TRAIN_OPTIMIZER] > BP_DIAGONAL_LM && c->bit & (CHECK | RATE | SEARCH))
        say("%s is about steps and their rate, and --optimizer %s has none", c->name,
            option_word(&options[BP_TRAIN_OPTIMIZER], set->train[BP_TRAIN_OPTIMIZER], text));
    else if (c->bit == SEARCH && set->train[BP_TRAIN_HOLD_OUT] == 0)
        say("search wants --val SHARE, the rows that decide");
    else if (c->bit != SEARCH && idle_option(set, NULL, text, sizeof text)) /* search: ranges.c */
        say("%s", text);
    else
        return COMMAND_RUN;
    return wrong(c);
}

static int read_words(const command *c, int argc, char **argv, settings *set)
{
    bool only_operands = false;
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (!only_operands && (!strcmp(word, "--help") || !strcmp(word, "-h")))
            return print_help(c, false), 0;
        if (!only_operands && !strcmp(word, "--help-all"))
            return print_help(c, true), 0;
        if (!only_operands && !strcmp(word, "--")) {
            only_operands = true;
        } else if (!only_operands && word[0] == '-' && word[1]) {
            int status = option_at(c, argc, argv, &i, set);
            if (status != COMMAND_RUN)
                return status;
        } else if (set->operands < OPERANDS) {
            set->operand[set->operands++] = word;
        }
    }
    if (!set->data && c->bit & (TRAIN | CHECK | RATE | SEARCH))
        set->data = "digits";
    if (c->bit == SEARCH && !set->given[BP_TRAIN_HOLD_OUT])
        set->train[BP_TRAIN_HOLD_OUT] = 0.2;
    int status = count_operands(c, set);
    return status == COMMAND_RUN ? fits(c, set) : status;
}

int command_line(int argc, char **argv, settings *set)
{
    begin(set);
    if (argc < 2)
        return print_usage(stderr), 2;
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        return print_usage(stdout), 0;
    if (!strcmp(word, "--version"))
        return printf("bpcuda %s\n", bp_version()), 0;
    if (!strcmp(word, "--page") && argc == 3 && print_page(argv[2]))
        return 0;
    nearest n = begin_compare(word);
    for (int i = 0; i < n_commands; i++) {
        const command *c = &commands[i];
        if (!strcmp(word, "help") && argc > 2 && !strcmp(argv[2], c->name))
            return print_help(c, false), 0;
        set->command = c->bit;
        if (!strcmp(word, c->name))
            return read_words(c, argc, argv, set);
        compare(&n, c->name);
    }
    if (!strcmp(word, "help"))
        return print_usage(stdout), 0;
    say("\"%s\" is not a command", word);
    return wrong_word(NULL, &n);
}
