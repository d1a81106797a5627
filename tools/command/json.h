/* JSON on one line, for results: an object, its members in the order of writing. */
#ifndef COMMAND_JSON_H
#define COMMAND_JSON_H

#include <stdbool.h>
#include <stdio.h>

typedef struct json {
    FILE *to;
    bool comma;
} json;

/* `name` is NULL for an element of an array, and for the outermost object. */
void json_open(json *j, const char *name, char bracket); /* '{' or '[' */
void json_close(json *j, char bracket);                  /* '}' or ']' */
void json_text(json *j, const char *name, const char *text); /* what does not print becomes '?' */
/* With nine digits, or to the thousandth where it is large, as a time is; null where not finite. */
void json_number(json *j, const char *name, double x);
void json_bool(json *j, const char *name, bool x);

#endif
