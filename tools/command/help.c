/* What the lists of commands and options say: help, manual pages, completions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"

void print_usage(FILE *to)
{
    fprintf(to, "usage: bpcuda COMMAND [options]\n\ncommands:\n");
    for (int i = 0; i < n_commands; i++)
        fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].text);
    fprintf(to, "\nbpcuda COMMAND --help explains a command; bpcuda --version tells its "
                "version.\n");
}

/* "[64]", "[adam]"; empty where there is nothing to say. */
static const char *without(const option *o, char *to, size_t bytes)
{
    char word[32];
    *to = '\0';
    if (o->words)
        snprintf(to, bytes, " [%s]", option_word(o, o->start, word));
    else if (o->number)
        snprintf(to, bytes, " [%.16g]", o->start);
    else if (o->start_text)
        snprintf(to, bytes, " [%s]", o->start_text);
    return to;
}

static bool shows(const command *c, const option *o, bool all)
{
    return o->name && o->commands & c->bit && (all || o->common);
}

/* The options of training come where the list says LIBRARY. */
static const unsigned char order[] = {
#define TEXT(commands, name, ...) OPTION_##name,
#define NUMBER(commands, name, ...) OPTION_##name,
#define WORD(commands, name, ...) OPTION_##name,
#define SWITCH(commands, name, ...) OPTION_##name,
#define LIBRARY                                                                                  \
    BP_TRAIN_EPOCHS, BP_TRAIN_BATCH, BP_TRAIN_OPTIMIZER, BP_TRAIN_LR, BP_TRAIN_HOLD_OUT,         \
        BP_TRAIN_PATIENCE, BP_TRAIN_SEED, BP_TRAIN_L1, BP_TRAIN_L2, BP_TRAIN_DECAY_FROM,         \
        BP_TRAIN_WEIGHT_DECAY, BP_TRAIN_CLIP_NORM, BP_TRAIN_MAX_NORM, BP_TRAIN_ROWS,             \
        BP_TRAIN_BATCH_CLASSES, BP_TRAIN_BATCH_PER_CLASS, BP_TRAIN_EMPHASIS,                     \
        BP_TRAIN_EPOCH_STEPS, BP_TRAIN_PARTS, BP_TRAIN_EAGER, BP_TRAIN_MU, BP_TRAIN_FAN_IN,      \
        BP_TRAIN_AVERAGE, BP_TRAIN_AVERAGE_FROM, BP_TRAIN_STOP_GL, BP_TRAIN_STOP_PQ,             \
        BP_TRAIN_STOP_UP, BP_TRAIN_STOP_STRIP, BP_TRAIN_SYMMETRIC,
#include "options.def"
};
_Static_assert(sizeof order == N_OPTIONS - 1, "each option has a place in the help");

/* Words, of which what has no room in the line stands in the next. */
static void print_words(const char *words)
{
    enum { ROOM = 52 };
    for (; strlen(words) > ROOM; words++) {
        const char *end = words + ROOM;
        while (*end != '|')
            end--;
        printf("%.*s\n%24s", (int)(end - words) + 1, words, "");
        words = end;
    }
    printf("%s", words);
}

static const char *value_shown(const command *c, const option *o)
{
    return takes_auto(c, o) ? "N|auto" : o->value ? o->value : "";
}

static void print_option(const command *c, const option *o)
{
    char left[64], start[64];
    /* Words that are long stand behind what they are for. */
    bool many = o->words && strlen(o->words) > 12;
    snprintf(left, sizeof left, "%s %s", option_shown(o), many ? "WORD" : value_shown(c, o));
    printf("  %-21s ", left);
    print_words(many ? o->words : "");
    printf("%s%s%s\n", many && *o->text ? ": " : "", o->text, without(o, start, sizeof start));
}

void print_help(const command *c, bool all)
{
    bool more = false;
    printf("usage: bpcuda %s%s%s [options]: %s\n", c->name, *c->operands ? " " : "", c->operands,
           c->text);
    for (size_t i = 0; i < sizeof order; i++) {
        const option *o = &options[order[i]];
        if (shows(c, o, all))
            print_option(c, o);
        else
            more |= shows(c, o, true);
    }
    if (more)
        printf("bpcuda %s --help-all has the other options.\n", c->name);
}

/* --- manual pages ---------------------------------------------------------------------------- */

/* Text as roff takes it: no line begins with a point or a quote. */
static void roff(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n' && p[1] == '\n')
            printf("\n.PP\n"), p++;
        else if (*p == '-' || *p == '\\')
            printf("\\%c", *p);
        else
            putchar(*p);
        if (p[0] == '\n' && (p[1] == '.' || p[1] == '\''))
            printf("\\&");
    }
}

static void roff_examples(const char *lines)
{
    printf(".SH EXAMPLES\n.nf\n");
    roff(lines);
    printf("\n.fi\n");
}

static void print_command_page(const command *c)
{
    char start[64];
    printf(".TH BPCUDA\\-%s 1 \"\" \"bpcuda %s\" \"bpcuda\"\n.SH NAME\nbpcuda\\-%s \\- ", c->name,
           bp_version(), c->name);
    roff(c->text);
    printf("\n.SH SYNOPSIS\n.B bpcuda %s\n", c->name);
    if (*c->operands)
        printf(".I %s\n", c->operands);
    printf("[options]\n.SH DESCRIPTION\n");
    roff(c->about);
    printf("\n.SH OPTIONS\n");
    for (size_t i = 0; i < sizeof order; i++) {
        const option *o = &options[order[i]];
        if (!shows(c, o, true))
            continue;
        printf(".TP\n.B ");
        roff(option_shown(o));
        printf(" %s\n", value_shown(c, o));
        roff(*o->text ? o->text : "which of these");
        roff(without(o, start, sizeof start));
        putchar('\n');
    }
    roff_examples(c->examples);
    printf(".SH SEE ALSO\n.BR bpcuda (1)\n");
}

static void print_main_page(void)
{
    printf(".TH BPCUDA 1 \"\" \"bpcuda %s\" \"bpcuda\"\n.SH NAME\nbpcuda \\- train neural networks\n"
           ".SH SYNOPSIS\n.B bpcuda\n.I COMMAND\n[options]\n.SH COMMANDS\n", bp_version());
    for (int i = 0; i < n_commands; i++) {
        printf(".TP\n.BR bpcuda\\-%s (1)\n", commands[i].name);
        roff(commands[i].text);
        putchar('\n');
    }
    printf(".SH DATA\n.TP\n.B digits\n1,797 images of 8 x 8 that come with the library (UCI)\n"
           ".TP\n.B mnist:DIR\nthe IDX files of MNIST, Fashion\\-MNIST or EMNIST, gzipped or not\n"
           ".TP\n.B csv:FILE\na table with or without a header; \\- reads one from standard input\n"
           ".TP\n.B npy:FILE[,FILE]\nNumPy's arrays: samples and targets, or an .npz of both\n"
           ".TP\n.B spiral:C,N,NOISE\nC arms of N points: t from 0.1 to 1, angle 2 pi / C (c + 2 t) "
           "and NOISE times a normal number, x = t (sin, cos)\n"
           ".SH EXIT STATUS\n0; 1 for a failure; 2 for a command line that is wrong, by itself or for the data it names; 130 where a "
           "run was stopped by Ctrl\\-C or SIGTERM.\n"
           ".SH ENVIRONMENT\nNO_COLOR, TERM and COLUMNS are what they are for other programs; "
           "BPCUDA_PLUGIN_DIR is the folder of the library of a GPU's device.\n"
           "Results go to standard output, all else to standard error.\n");
    roff_examples(commands[0].examples);
}

/* --- completions ----------------------------------------------------------------------------- */

static void print_names(const command *c)
{
    for (size_t i = 0; i < sizeof order; i++)
        if (shows(c, &options[order[i]], true))
            printf(" %s", option_shown(&options[order[i]]));
}

static void print_bash(void)
{
    printf("# Completion for bash.\n_bpcuda() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then words=\"--help --version");
    for (int i = 0; i < n_commands; i++)
        printf(" %s", commands[i].name);
    printf("\"\n    else\n        case $before in\n");
    for (int i = 0; i < N_OPTIONS; i++)
        if (options[i].name && options[i].words) {
            printf("        %s) words=\"", option_shown(&options[i]));
            for (const char *p = options[i].words; *p; p++)
                putchar(*p == '|' ? ' ' : *p);
            printf("\" ;;\n");
        }
    printf("        --data) words=\"digits mnist: csv: npy: spiral:\" ;;\n"
           "        *) case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < n_commands; i++) {
        printf("            %s) words=\"--help", commands[i].name);
        print_names(&commands[i]);
        printf("%s\" ;;\n", commands[i].bit == CHECK ? " device data model"
                         : commands[i].bit == RATE ? " range hessian" : "");
    }
    printf("            esac ;;\n        esac\n    fi\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
           "complete -o filenames -F _bpcuda bpcuda\n");
}

/* ' would end a word of zsh, ] a text, : a part. */
static void print_plain(const char *text)
{
    for (const char *p = text; *p; p++)
        if (!strchr("'[]:", *p))
            putchar(*p);
}

static void print_zsh(void)
{
    printf("#compdef bpcuda\n_bpcuda() {\n    if (( CURRENT == 2 )); then\n"
           "        local -a commands=(\n");
    for (int i = 0; i < n_commands; i++) {
        printf("            '%s:", commands[i].name);
        print_plain(commands[i].text);
        printf("'\n");
    }
    printf("        )\n        _describe command commands\n        return\n    fi\n"
           "    case $words[2] in\n");
    for (int i = 0; i < n_commands; i++) {
        printf("    %s) _arguments", commands[i].name);
        for (size_t k = 0; k < sizeof order; k++) {
            const option *o = &options[order[k]];
            if (!shows(&commands[i], o, true))
                continue;
            printf(" \\\n        '%s[", option_shown(o));
            print_plain(o->text);
            printf("]");
            if (o->words) {
                printf(":word:(");
                for (const char *p = o->words; *p; p++)
                    putchar(*p == '|' ? ' ' : *p);
                printf(")");
            } else if (o->value) {
                printf(":%s:%s", o->value, !strcmp(o->value, "FILE")  ? "_files"
                                           : !strcmp(o->value, "DIR") ? "_files -/"
                                                                      : " ");
            }
            printf("'");
        }
        printf(" '*:file:_files' ;;\n");
    }
    printf("    esac\n}\n_bpcuda \"$@\"\n");
}

bool print_page(const char *what)
{
    if (!strcmp(what, "man"))
        return print_main_page(), true;
    if (!strcmp(what, "bash"))
        return print_bash(), true;
    if (!strcmp(what, "zsh"))
        return print_zsh(), true;
    for (int i = 0; i < n_commands; i++)
        if (!strncmp(what, "man-", 4) && !strcmp(what + 4, commands[i].name))
            return print_command_page(&commands[i]), true;
    return false;
}
