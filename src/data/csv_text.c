/* A CSV file as fields. A line that the buffer ends within is read again, from its begin. */
#include "data/csv_text.h"

#include <string.h>

enum { CHUNK = 1 << 20, ZEROS = 16, LINE = 1 << 28 }; /* LINE: more is none, but /dev/zero, say */

static bp_status bad(const bpi_csv_text *t, int64_t line, const char *what)
{
    return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: line %lld: %s", t->path, (long long)line, what);
}

bp_status bpi_csv_more(bpi_csv_text *t)
{
    int64_t kept = t->end - t->at, more = kept > CHUNK ? kept : CHUNK; /* a line is read again */
    size_t got;
    if (kept >= LINE)
        return bad(t, t->line, "it has no end in 256 MiB");
    if (kept && t->at > t->buffer)
        memmove(t->buffer, t->at, (size_t)kept);
    t->at = t->buffer;
    if (!bpi_grow(t->ctx, (void **)&t->buffer, &t->capacity, kept + more + ZEROS, 1))
        return BP_ERR_NOMEM;
    t->at = t->buffer;
    t->end = t->at + kept;
    BPI_TRY(bpi_file_take(&t->file, t->end, (size_t)more, &got));
    t->end += got;
    memset(t->end, 0, ZEROS);
    t->all = got < (size_t)more;
    return BP_OK;
}

bp_status bpi_csv_line(bpi_csv_text *t, bool *found)
{
    for (;;) {
        if (t->end - t->at < 2 && !t->all)
            BPI_TRY(bpi_csv_more(t));
        *found = t->at < t->end;
        int ends = !*found ? 0 : *t->at == '\n' ? 1 : t->at[0] == '\r' && t->at[1] == '\n' ? 2 : 0;
        if (!ends)
            return BP_OK;
        t->at += ends;
        t->line++;
    }
}

/* --- fields ------------------------------------------------------------------------------ */

static bool is_blank(const bpi_csv_text *t, char c)
{
    return (c == ' ' || c == '\t') && c != t->separator;
}

/* What ends a field at p: its separator, its line, or the file. */
static bp_status close_field(bpi_csv_text *t, char *p, bpi_field *f)
{
    char *line = p + (*p == '\r'); /* zeros are behind the end */
    if (p < t->end && *p == t->separator) {
        f->next = p + 1;
    } else if (line < t->end && *line == '\n') {
        f->next = line + 1;
        f->last = true;
    } else if (line >= t->end) {
        f->cut = !t->all;
        f->next = t->end;
        f->last = true;
    } else {
        return bad(t, t->line, "there is text behind a closing quote");
    }
    return BP_OK;
}

/* begin .. end without the second of two quotes. */
static bp_status unquote(bpi_csv_text *t, bpi_field *f)
{
    int64_t n = f->end - f->begin, k = 0;
    if (!bpi_grow(t->ctx, (void **)&t->unquoted, &t->unquoted_capacity, n + ZEROS, 1))
        return BP_ERR_NOMEM;
    for (const char *p = f->begin; p < f->end; p++) {
        t->unquoted[k++] = *p;
        p += *p == '"';
    }
    memset(t->unquoted + k, 0, ZEROS);
    f->begin = t->unquoted;
    f->end = t->unquoted + k;
    return BP_OK;
}

static bp_status quoted_field(bpi_csv_text *t, char *p, bpi_field *f)
{
    char *q = p + 1;
    bool doubled = false;
    for (;; q += 2) {
        q = memchr(q, '"', (size_t)(t->end - q));
        f->cut = !t->all && (!q || q + 1 == t->end);
        if (f->cut)
            return BP_OK;
        if (!q)
            return bad(t, t->line, "a quote that begins here or later is not closed");
        if (q[1] != '"')
            break;
        doubled = true;
    }
    f->begin = p + 1;
    f->end = q;
    for (const char *c = f->begin; (c = memchr(c, '\n', (size_t)(q - c))); c++)
        f->lines++;
    for (q++; is_blank(t, *q);)
        q++;
    BPI_TRY(close_field(t, q, f));
    return doubled && !f->cut ? unquote(t, f) : BP_OK;
}

bp_status bpi_csv_field(bpi_csv_text *t, char *p, bpi_field *f)
{
    *f = (bpi_field){0};
    while (is_blank(t, *p))
        p++;
    if (*p == '"')
        return quoted_field(t, p, f);
    f->begin = p;
    while (p < t->end && *p != t->separator && *p != '\n')
        p++;
    f->end = p;
    f->last = p == t->end || *p == '\n';
    f->cut = p == t->end && !t->all;
    f->next = p + (p < t->end);
    if (f->last && f->end > f->begin && f->end[-1] == '\r')
        f->end--;
    while (f->end > f->begin && is_blank(t, f->end[-1]))
        f->end--;
    return BP_OK;
}

/* --- the file ---------------------------------------------------------------------------- */

/* Separators in the first line, outside of quotes. */
static void find_separator(bpi_csv_text *t)
{
    static const char one_of[] = {',', ';', '\t'};
    int64_t most = 0;
    t->separator = ',';
    for (size_t k = 0; k < sizeof one_of; k++) {
        int64_t n = 0;
        bool quoted = false;
        for (const char *p = t->at; p < t->end && (quoted || *p != '\n'); p++) {
            quoted ^= *p == '"';
            n += !quoted && *p == one_of[k];
        }
        if (n > most) {
            most = n;
            t->separator = one_of[k];
        }
    }
}

static bp_status begin(bpi_csv_text *t, char separator)
{
    bool found;
    BPI_TRY(bpi_csv_more(t));
    if (t->end - t->at >= 2 && (!memcmp(t->at, "\xFF\xFE", 2) || !memcmp(t->at, "\xFE\xFF", 2)))
        return bad(t, 1, "the text is UTF-16; UTF-8 is wanted");
    if (t->end - t->at >= 3 && !memcmp(t->at, "\xEF\xBB\xBF", 3))
        t->at += 3;
    BPI_TRY(bpi_csv_line(t, &found));
    if (!found)
        return bpi_fail(t->ctx, BP_ERR_FORMAT, "%s: is empty", t->path);
    t->separator = separator;
    if (!separator)
        find_separator(t);
    return BP_OK;
}

bp_status bpi_csv_open(bp_context *ctx, const char *path, char separator, bpi_csv_text *t)
{
    *t = (bpi_csv_text){.ctx = ctx, .path = path, .line = 1};
    bp_status st = bpi_file_open(ctx, path, true, &t->file);
    return st == BP_OK ? begin(t, separator) : st;
}

void bpi_csv_close(bpi_csv_text *t)
{
    bpi_file_close(&t->file);
    bpi_host_free(t->ctx, t->buffer, (size_t)t->capacity);
    bpi_host_free(t->ctx, t->unquoted, (size_t)t->unquoted_capacity);
}
