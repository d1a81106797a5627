/* The first line of a CSV file, and what the columns are for. */
#include <stdio.h>
#include <stdlib.h>

#include "core/params.h"
#include "data/csv.h"

enum { BLOCK_NUMBERS = 1 << 18 };

const char *bpi_csv_name(const bpi_csv *r, int64_t i)
{
    return r->names ? r->names + r->name_at[i] : NULL;
}

bool bpi_csv_number(const bpi_csv *r, const bpi_field *f, float *value)
{
    return f->begin < f->end && bpi_read_number(f->begin, r->c_locale, value) == f->end;
}

static bp_status keep_name(bpi_csv *r, const bpi_field *f)
{
    int64_t bytes = f->end - f->begin;
    if (!bpi_grow(r->ctx, (void **)&r->names, &r->names_capacity, r->names_bytes + bytes + 1, 1) ||
        !bpi_grow(r->ctx, (void **)&r->name_at, &r->name_at_capacity, r->n + 1,
                  sizeof *r->name_at))
        return BP_ERR_NOMEM;
    memcpy(r->names + r->names_bytes, f->begin, (size_t)bytes);
    r->names[r->names_bytes + bytes] = 0;
    r->name_at[r->n] = r->names_bytes;
    r->names_bytes += bytes + 1;
    return BP_OK;
}

/* How many columns there are, and their names: a first line without a number is a header. */
static bp_status read_header(bpi_csv *r)
{
    bpi_csv_text *t = &r->text;
    bpi_field f = {0};
    bool header = true;
    float value;
    int64_t lines = 1;
    char *p = t->at;
    while (!f.last) {
        BPI_TRY(bpi_csv_field(t, p, &f));
        if (f.cut) {
            int64_t behind = p - t->at;
            BPI_TRY(bpi_csv_more(t));
            p = t->at + behind;
            f.last = false;
            continue;
        }
        header &= !bpi_csv_number(r, &f, &value);
        BPI_TRY(keep_name(r, &f));
        lines += f.lines;
        r->n++;
        p = f.next;
    }
    if (r->options.header ? r->options.header > 0 : header) {
        t->at = p;
        t->line += lines;
        return BP_OK;
    }
    bpi_host_free(r->ctx, r->names, (size_t)r->names_capacity);
    r->names = NULL;
    return BP_OK;
}

/* The column that the label is: by its name, or its number, from the end where that is negative. */
static bp_status find_label(bpi_csv *r, int64_t *label)
{
    const char *wanted = r->options.label ? r->options.label : "-1";
    char *end;
    *label = -1;
    if (!wanted[0])
        return BP_OK;
    for (int64_t i = r->names ? r->n : 0; i-- > 0;)
        if (!strcmp(bpi_csv_name(r, i), wanted))
            *label = i;
    if (*label >= 0)
        return BP_OK;
    long long number = strtoll(wanted, &end, 10);
    *label = number < 0 ? r->n + number : number;
    if (end != wanted && !*end && *label >= 0 && *label < r->n)
        return BP_OK;
    return bpi_fail(r->ctx, BP_ERR_ARG, "data_csv: %s has no column \"%s\": it has %lld, \"%s\" to "
                    "\"%s\"", r->text.path, wanted, (long long)r->n, r->names ? r->names : "0",
                    r->names ? bpi_csv_name(r, r->n - 1) : "-1");
}

/* Whether a pattern is a column's name, or its number, from the end too. */
static bool is_called(const bpi_csv *r, int64_t i, const char *pattern)
{
    char number[2][24];
    const char *name = bpi_csv_name(r, i);
    snprintf(number[0], sizeof number[0], "%lld", (long long)i);
    snprintf(number[1], sizeof number[1], "%lld", (long long)(i - r->n));
    return (name && bpi_name_matches(pattern, name)) || !strcmp(pattern, number[0]) ||
           !strcmp(pattern, number[1]) || (!name && bpi_name_matches(pattern, number[0]));
}

/* Patterns are separated by commas. The target stays, whatever they say. */
static bp_status skip(bpi_csv *r)
{
    char pattern[256];
    for (const char *next = r->options.skip; next && *next;) {
        size_t bytes = strcspn(next, ",");
        snprintf(pattern, sizeof pattern, "%.*s", (int)bytes, next);
        bool met = strpbrk(pattern, "*?") || bytes == 0;
        for (int64_t i = 0; bytes && i < r->n; i++) {
            bool called = is_called(r, i, pattern);
            met |= called;
            if (called && r->kind[i] == BPI_CSV_SAMPLE)
                r->kind[i] = BPI_CSV_SKIPPED;
        }
        if (!met)
            return bpi_fail(r->ctx, BP_ERR_ARG, "data_csv: %s has no column \"%s\" to skip",
                            r->text.path, pattern);
        next += bytes + (next[bytes] == ',');
    }
    return BP_OK;
}

static bp_status find_kinds(bpi_csv *r)
{
    int64_t label;
    BPI_TRY(find_label(r, &label));
    r->kind = bpi_host_alloc(r->ctx, (size_t)r->n);
    if (!r->kind)
        return bpi_fail(r->ctx, BP_ERR_NOMEM, "data_csv: out of memory");
    for (int64_t i = 0; i < r->n; i++)
        r->kind[i] = i == label ? BPI_CSV_TARGET : BPI_CSV_SAMPLE;
    BPI_TRY(skip(r));
    for (int64_t i = 0; i < r->n; i++)
        r->cols += r->kind[i] == BPI_CSV_SAMPLE;
    if (label < 0)
        r->targets = BP_TARGETS_NONE;
    if (r->cols == 0)
        return bpi_fail(r->ctx, BP_ERR_FORMAT, "%s: no column is left for samples: of %lld, "
                        "separated by '%c'", r->text.path, (long long)r->n, r->text.separator);
    r->block_rows = BLOCK_NUMBERS / (r->cols + 1) + 1;
    return BP_OK;
}

bp_status bpi_csv_head(bpi_csv *r)
{
    BPI_TRY(read_header(r));
    return find_kinds(r);
}
