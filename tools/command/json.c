/* JSON on one line. */
#include "json.h"

#include <math.h>
#include <string.h>

/* The bytes of the character at p; 0 where it is no UTF-8. */
static size_t character(const unsigned char *p)
{
    size_t n = *p < 0x80 ? 1 : *p >= 0xC2 && *p < 0xE0 ? 2 : (*p & 0xF0) == 0xE0 ? 3
               : *p >= 0xF0 && *p < 0xF5 ? 4 : 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool wrong = (n == 3 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F))) ||
                 (n == 4 && ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)));
    return wrong ? 0 : n;
}

static void quoted(FILE *to, const char *text)
{
    fputc('"', to);
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = character(p);
        if (*p == '"' || *p == '\\')
            fprintf(to, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(to, "\\u%04x", *p);
        else if (n == 0)
            fputc('?', to);
        else
            fwrite(p, 1, n, to);
        p += n ? n : 1;
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
    member(j, name);
    if (!isfinite(x))
        fputs("null", j->to);
    else
        fprintf(j->to, x == floor(x) && fabs(x) < 1e15 ? "%.0f" : "%.9g", x);
}

void json_bool(json *j, const char *name, bool x)
{
    member(j, name);
    fputs(x ? "true" : "false", j->to);
}
