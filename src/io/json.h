/* A reader of JSON (RFC 8259) that walks a text once, front to back. Strings are decoded in place:
 * an escape is never shorter than what it stands for. Errors name the path and the byte. */
#ifndef BPI_JSON_H
#define BPI_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

typedef struct bpi_json {
    bp_context *ctx;
    const char *path, *what;   /* the file, and its part; for messages */
    unsigned char *start, *at; /* the text ends with a 0 */
} bpi_json;

/* BP_ERR_FORMAT, with what is wrong at this place. */
bp_status bpi_json_bad(const bpi_json *j, const char *why);

/* Is all of it UTF-8, of which no part stands for a surrogate or has a shorter form? */
bp_status bpi_json_utf8(bpi_json *j, size_t length);

bool bpi_is_utf8(const char *text);

/* Past blanks: past `c` too, if it is there. */
bool bpi_json_skip(bpi_json *j, char c);

/* A 0 within a string becomes the bytes C0 80, which are in no other. */
bp_status bpi_json_string(bpi_json *j, const char **out);
bp_status bpi_json_key(bpi_json *j, const char **out); /* a string and ':' */
bp_status bpi_json_integer(bpi_json *j, int64_t *out); /* without sign, fraction and exponent */
bool bpi_json_null(bpi_json *j);                       /* past a null, if one is there */

/* Past any value that stands `depth` values deep. */
bp_status bpi_json_value(bpi_json *j, int depth);

#endif
