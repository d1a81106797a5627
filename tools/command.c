/* The command line: one list of options, from which it is read, checked and explained. */
#include "command.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpcuda/bpcuda.h"
#include "core/text.h"

enum { TRAIN = 1, EVAL = 2, DEVICES = 4, CHECK = 8 };

static const struct command {
    const char *name, *text;
    unsigned bit;
} commands[] = {
    {"train", "trains a classifier and tests it", TRAIN},
    {"eval", "tests a model that was saved", EVAL},
    {"devices", "lists what can be computed on", DEVICES},
    {"check", "check device: holds a device against the CPU, as a table", CHECK},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

typedef enum kind { TEXT, NUMBER, SWITCH } kind;

#define TEXT_OPTION(commands, name, value, text) \
    {commands, #name, value, text, TEXT, offsetof(settings, name), 0, 0, 0, false},
#define NUMBER_OPTION(commands, name, place, start, min, max, integer, text) \
    {commands, #name, "N", text, NUMBER, offsetof(settings, place), start, min, max, integer},

static const struct option {
    unsigned commands;
    const char *name, *value, *text; /* '_' in a name is written '-' */
    kind kind;
    size_t place; /* in settings */
    double start, min, max;
    bool integer;
} options[] = {
    TEXT_OPTION(TRAIN | EVAL | CHECK, data, "digits|mnist:DIR", "DIR holds the IDX files [digits]")
    TEXT_OPTION(EVAL, model, "FILE", "the model, as train --out wrote it")
    TEXT_OPTION(TRAIN, layers, "TEXT", "the hidden layers [" DEFAULT_LAYERS "]")
    TEXT_OPTION(TRAIN, normalize, "HOW", "columns: none, global or column [as the data want it]")
#define BPI_OPTION(number, name, start, min, max, integer, text) \
    NUMBER_OPTION(TRAIN, name, train[number], start, min, max, integer, text)
#include "../src/train/options.def"
    TEXT_OPTION(TRAIN | EVAL | CHECK, device, "NAME", "what to compute on [auto]")
    NUMBER_OPTION(TRAIN | EVAL, threads, threads, 0, 0, 1024, 1, "threads of the CPU, 0 for all")
    TEXT_OPTION(TRAIN, out, "FILE", "writes the model here (safetensors)")
    {TRAIN | EVAL, "json", NULL, "prints the result as a JSON object", SWITCH,
     offsetof(settings, json), 0, 0, 0, false},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

static void print_usage(FILE *to)
{
    fprintf(to, "usage: bpcuda COMMAND [options]\n\ncommands:\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].text);
    fprintf(to, "\nbpcuda COMMAND --help explains a command; bpcuda --version tells its "
                "version.\n");
}

static void print_help(const struct command *c)
{
    printf("usage: bpcuda %s [options]: %s\n", c->name, c->text);
    for (int i = 0; i < N_OPTIONS; i++) {
        const struct option *o = &options[i];
        if (!(o->commands & c->bit))
            continue;
        char left[64];
        snprintf(left, sizeof left, "--%s %s", o->name, o->value ? o->value : "");
        for (char *p = left; *p; p++)
            *p = *p == '_' ? '-' : *p;
        printf("  %-24s %s", left, o->text);
        if (o->kind == NUMBER)
            printf(" [%.16g]", o->start);
        printf("\n");
    }
}

static bool same_name(const char *name, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!name[i] || (name[i] == '_' ? '-' : name[i]) != word[i])
            return false;
    return name[length] == '\0';
}

static const struct option *find_option(const struct command *c, const char *word, size_t length)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].commands & c->bit && same_name(options[i].name, word, length))
            return &options[i];
    return NULL;
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

/* Ends the one line of a message about the command line. */
static int wrong(const char *command)
{
    fprintf(stderr, " (see bpcuda %s--help)\n", command);
    return 2;
}

static bool take(const struct option *o, const char *shown, const char *value, settings *set)
{
    void *place = (char *)set + o->place;
    if (o->kind == TEXT) {
        *(const char **)place = value;
        return true;
    }
    char *end;
    double x = strtod(value, &end);
    if (end == value || *end || !(x >= o->min && x <= o->max) || (o->integer && x != floor(x))) {
        say("%s: \"%s\" is not %s from %.16g to %.16g", shown, value,
            o->integer ? "an integer" : "a number", o->min, o->max);
        return false;
    }
    *(double *)place = x;
    return true;
}

/* One option at argv[*i], and its value, in the same word or the next. */
static bool option_at(const struct command *c, int argc, char **argv, int *i, settings *set)
{
    const char *word = argv[*i], *value = NULL;
    size_t length = strcspn(word, "=");
    const struct option *o = strncmp(word, "--", 2) ? NULL : find_option(c, word + 2, length - 2);
    if (!o) {
        say("%s does not know \"%s\"", c->name, word);
        return false;
    }
    if (word[length] == '=')
        value = word + length + 1;
    if (o->kind == SWITCH) {
        if (value)
            say("%.*s takes no value", (int)length, word);
        *(bool *)((char *)set + o->place) = true;
        return !value;
    }
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value) {
        say("%s wants a value: %s", word, o->value);
        return false;
    }
    char shown[32];
    snprintf(shown, sizeof shown, "%.*s", (int)length, word);
    return take(o, shown, value, set);
}

int command_line(int argc, char **argv, settings *set)
{
    *set = (settings){.data = "digits", .layers = DEFAULT_LAYERS, .normalize = "default",
                      .device = "auto"};
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].kind == NUMBER)
            *(double *)((char *)set + options[i].place) = options[i].start;
    if (argc < 2)
        return print_usage(stderr), 2;
    const char *word = argv[1];
    if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        return print_usage(stdout), 0;
    if (!strcmp(word, "--version"))
        return printf("bpcuda %s\n", bp_version()), 0;
    const struct command *c = NULL;
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(word, commands[i].name))
            c = &commands[i];
    if (!c) {
        say("\"%s\" is not a command", word);
        return wrong("");
    }
    char help[32];
    snprintf(help, sizeof help, "%s ", c->name);
    set->command = c->name;
    int first = 2;
    if (c->bit == CHECK && argc > 2 && !strcmp(argv[2], "device"))
        first = 3;
    else if (c->bit == CHECK && (argc < 3 || strncmp(argv[2], "-", 1))) {
        say("check wants what to check: device");
        return wrong(help);
    }
    for (int i = first; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return print_help(c), 0;
        if (!option_at(c, argc, argv, &i, set))
            return wrong(help);
    }
    while (strcmp(bp_normalize_name(set->how), set->normalize)) {
        if (++set->how <= BP_NORMALIZE_COLUMN)
            continue;
        say("--normalize: \"%s\" is not none, global or column", set->normalize);
        return wrong(help);
    }
    if (c->bit == EVAL && !set->model) {
        say("eval wants --model FILE");
        return wrong(help);
    }
    return COMMAND_RUN;
}
