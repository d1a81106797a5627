/* JSON on one line. */
#include "json.h"

#include <math.h>
#include <string.h>

#include "core/text.h"

static void quoted(FILE *to, const char *text)
{
    fputc('"', to);
    for (size_t n; *text; text += n ? n : 1) {
        n = bpi_character(text);
        if (*text == '"' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(to, "\\u%04x", (unsigned)*text);
        else if (n == 0)
            fputc('?', to);
        else
            fwrite(text, 1, n, to);
    }
    fputc('"', to);
}

static void member(json *j, const char *name)
{
    if (j->comma)
        fputs(", ", j->to);
    j->comma = true;
    if (name) {
        quoted(j->to, name);
        fputs(": ", j->to);
    }
}

void json_open(json *j, const char *name, char bracket)
{
    member(j, name);
    fputc(bracket, j->to);
    j->comma = false;
}

void json_close(json *j, char bracket)
{
    fputc(bracket, j->to);
    j->comma = true;
}

void json_text(json *j, const char *name, const char *text)
{
    member(j, name);
    quoted(j->to, text);
}

void json_number(json *j, const char *name, double x)
{
    bool whole = x == floor(x) && fabs(x) <= 0x1p53; /* a seed has all its digits */
    member(j, name);
    if (!isfinite(x))
        fputs("null", j->to);
    else
        fprintf(j->to, whole ? "%.0f" : fabs(x) >= 1e6 && fabs(x) < 1e15 ? "%.3f" : "%.9g", x);
}

void json_bool(json *j, const char *name, bool x)
{
    member(j, name);
    fputs(x ? "true" : "false", j->to);
}
