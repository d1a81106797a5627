/* What the parts of the command share: the sentence of a failure, as the library's calls have one
 * in their context, and files that are written line by line. */
#ifndef LOG_FAULT_H
#define LOG_FAULT_H

#include <stdbool.h>
#include <stdio.h>

enum { FAULT_BYTES = 512 };

/* Fills text[FAULT_BYTES]; false, to be returned. Of what is too long the end is missing. */
bool fault(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "PATH: cannot be written: REASON", by errno. */
bool fault_write(char *text, const char *path);

/* Everything that was written to the file so far is with the system; else a fault. */
bool flushed(FILE *file, const char *path, char *text);

#endif
