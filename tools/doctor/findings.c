/* The list of findings, and how it is shown. What files and users wrote in it (names of columns) is
 * made printable, for terminals and for JSON. */
#include <stdarg.h>
#include <string.h>

#include "core/text.h"
#include "inside.h"

void doctor_add(findings *to, doctor_severity severity, const char *code, const char *option,
                const char *format, ...)
{
    char text[1024];
    va_list args;
    if (to->n == FINDINGS_MAX)
        return;
    finding *f = &to->list[to->n++];
    to->count[severity]++;
    f->severity = severity;
    f->code = code;
    f->option = option;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bpi_printable(f->text, sizeof f->text, text);
}

enum { NAMED = 3 };

void doctor_name(names *list, const char *format, ...)
{
    va_list args;
    size_t used = strlen(list->text);
    if (list->n++ >= NAMED)
        return;
    if (used) {
        memcpy(list->text + used, ", ", 3);
        used += 2;
    }
    va_start(args, format);
    vsnprintf(list->text + used, sizeof list->text / (NAMED + 1), format, args);
    va_end(args);
}

const char *doctor_names(names *list)
{
    size_t used = strlen(list->text);
    if (list->n > NAMED)
        snprintf(list->text + used, sizeof list->text - used, " and %lld more",
                 (long long)(list->n - NAMED));
    return list->text;
}

/* Between quotes. No control character is left in a text that prints. */
static void print_json_text(const char *text, FILE *to)
{
    fputc('"', to);
    for (const char *p = text; *p; p++)
        fprintf(to, *p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
    fputc('"', to);
}

static const char *const severity_name[] = {"error", "warning", "note"};

static void print_finding(const finding *f, FILE *to, bool json, bool first)
{
    if (!json) {
        fprintf(to, "%-7s  %-16s  %-14s  %s\n", severity_name[f->severity], f->code, f->option,
                f->text);
        return;
    }
    fprintf(to, "%s{\"severity\": \"%s\", \"code\": \"%s\", \"text\": ", first ? "" : ", ",
            severity_name[f->severity], f->code);
    print_json_text(f->text, to);
    fprintf(to, ", \"option\": \"%s\"}", f->option);
}

void doctor_print(const findings *of, FILE *to, bool json)
{
    int shown = 0;
    if (json)
        fputs("{\"findings\": [", to);
    for (int s = DOCTOR_ERROR; s <= DOCTOR_NOTE; s++)
        for (int i = 0; i < of->n; i++)
            if ((int)of->list[i].severity == s)
                print_finding(&of->list[i], to, json, shown++ == 0);
    fprintf(to, json ? "], \"errors\": %d, \"warnings\": %d}\n" : "errors: %d, warnings: %d\n",
            of->count[DOCTOR_ERROR], of->count[DOCTOR_WARNING]);
}
