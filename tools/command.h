/* The command line, read and checked. */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>

#define DEFAULT_LAYERS "dropout=0.1 128 relu dropout=0.2" /* good for the digits */

enum { TRAIN_OPTIONS = 17, COMMAND_RUN = -1 };

typedef struct settings {
    const char *command;
    const char *data, *layers, *normalize, *device, *out, *model;
    int how; /* `normalize` as a bp_normalize */
    double threads;
    double train[TRAIN_OPTIONS]; /* by bp_train_option */
    bool json;
} settings;

/* Begins a line on stderr, with what it quotes made printable. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* COMMAND_RUN, or the exit status of a program that has said all it has to say. */
int command_line(int argc, char **argv, settings *set);

#endif
