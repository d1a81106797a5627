/* The command line, read and checked. line.c reads it; help.c explains it. */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bpcuda/bpcuda.h"

#define DEFAULT_LAYERS "dropout=0.1 128 relu dropout=0.2" /* good for the digits */

enum {
    TRAIN = 1, EVAL = 2, PREDICT = 4, INSPECT = 8, EXPORT = 16, PLOT = 32, BENCH = 64, DEVICES = 128,
    CHECK = 256, RATE = 512, SEARCH = 1024
};
enum { TRAIN_OPTIONS = 30, OPERANDS = 32, COMMAND_RUN = -1, LR_AUTO = 0 };

/* The words of --kind. */
enum { PLOT_AUTO, PLOT_RUNS, PLOT_REGIONS, PLOT_CONFUSION, PLOT_FILTERS, PLOT_MISREAD };

/* An option's number: that of the trainer's is its bp_train_option, the others stand behind. */
enum {
    BEHIND_TRAIN = TRAIN_OPTIONS - 1,
#define TEXT(commands, name, ...) OPTION_##name,
#define NUMBER(commands, name, ...) OPTION_##name,
#define WORD(commands, name, ...) OPTION_##name,
#define SWITCH(commands, name, ...) OPTION_##name,
#define LIBRARY
#include "options.def"
    N_OPTIONS
};

typedef struct settings {
    unsigned command; /* its bit */
    const char *operand[OPERANDS];
    int operands;
#define TEXT(commands, name, ...) const char *name;
#define NUMBER(commands, name, ...) double name;
#define WORD(commands, name, ...) double name; /* which of the words */
#define SWITCH(commands, name, ...) bool name;
#define LIBRARY double train[TRAIN_OPTIONS]; /* by bp_train_option */
#include "options.def"
    bool given[N_OPTIONS]; /* on the command line */
} settings;

typedef struct command {
    const char *name, *operands, *text;
    unsigned bit;
    int least, most; /* operands */
    const char *about; /* paragraphs of the manual */
    const char *examples; /* lines */
} command;

typedef struct option {
    const char *name;  /* '_' is written '-' */
    const char *value; /* what stands for it in the help: NULL for a switch */
    const char *words; /* "a|b|c": the value is which of them; else NULL */
    const char *start_text; /* of a text */
    const char *text;
    unsigned commands;
    bool number, integer, common;
    size_t place; /* in settings */
    double start, min, max;
} option;

extern const command commands[];
extern const int n_commands;
extern const option options[N_OPTIONS]; /* one without a name is none */

/* Begins a line on stderr, with what it quotes made printable. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* COMMAND_RUN, or the exit status of a program that has said all it has to say. */
int command_line(int argc, char **argv, settings *set);

const command *command_of(unsigned bit);
/* "--decay-from", in a buffer of its own. */
const char *option_shown(const option *o);
/* An option of a command, as it is shown; NULL: it has none such. Its value from a text, into set:
 * COMMAND_RUN, or the exit status, and what is wrong is said. */
const option *find_option(const command *c, const char *shown);
int take_value(const command *c, const option *o, const char *value, settings *set);
/* Whether the option takes "auto" as well, which the number LR_AUTO stands for. */
bool takes_auto(const command *c, const option *o);
/* Ends a line that say() began about the command line: its exit status. */
int wrong(const command *c);
/* Copies the word of a number, "adam"; `to` has 32 bytes. */
const char *option_word(const option *o, double value, char *to);

/* needs.c: an option that was given, and that nothing reads as the others are: its text says what it
 * is of. False where there is none. Those of `counted`, where it is not NULL, are let be. */
bool idle_option(const settings *set, const bool *counted, char *text, size_t room);
/* Adds those that would be read as the others are, given or not, to counted[N_OPTIONS]. */
void count_options(const settings *set, bool *counted);

/* help.c: all of the options where `all`, or those that most runs want. */
void print_usage(FILE *to);
void print_help(const command *c, bool all);
/* Manual pages and completions: "man", "man-train", "bash", "zsh". False where there is no such. */
bool print_page(const char *what);

#endif
