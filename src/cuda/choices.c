/* What NVIDIA's libraries have chosen for the calls of a device, as lines "key: choice" that
 * another process may be given (bp_share_plans), which then need not ask them. A key says all that
 * a choice depends on, the library's version and the GPU among it; it is compared as text, so that
 * what was made elsewhere is never found. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/inside.h"

struct bpi_choice {
    bpi_choice *next;
    bool ours;   /* made by this process: no file knows better */
    bool theirs; /* in the file of the last call, as it is */
    size_t key;  /* bytes of it */
    char line[]; /* "key: choice\n" */
};

static const char between[] = ": ";

/* Behind the key of a line: the last such, as a GPU's name may have one. */
static size_t end_of_key(const char *line, size_t n)
{
    while (n > 1 && memcmp(line + n - 2, between, 2))
        n--;
    return n > 1 ? n - 2 : 0;
}

static bpi_choice **find(bpi_cuda *d, const char *key, size_t n)
{
    bpi_choice **c = &d->choices;
    while (*c && ((*c)->key != n || memcmp((*c)->line, key, n)))
        c = &(*c)->next;
    return c;
}

const char *bpi_choice_find(bpi_cuda *d, const char *key)
{
    const bpi_choice *c = *find(d, key, strlen(key));
    return c ? c->line + c->key + strlen(between) : NULL;
}

/* In place of one that has this key. */
static bp_status put(bpi_cuda *d, const char *line, size_t n, bool ours)
{
    const size_t key = end_of_key(line, n);
    bpi_choice **at = find(d, line, key), *c = malloc(sizeof *c + n + 1), *old = *at;
    if (!c)
        return BP_ERR_NOMEM;
    *c = (bpi_choice){.next = old ? old->next : NULL, .ours = ours, .theirs = !ours, .key = key};
    memcpy(c->line, line, n);
    c->line[n] = '\0';
    *at = c;
    free(old);
    return BP_OK;
}

bp_status bpi_choice_keep(bpi_cuda *d, const char *key, const char *choice)
{
    char line[BPI_CHOICE_LINE];
    const int n = snprintf(line, sizeof line, "%s%s%s\n", key, between, choice);
    return n < (int)sizeof line ? put(d, line, (size_t)n, true) : BP_OK;
}

/* Each line of a file, but for a key that this process has chosen for. */
static bp_status take(bpi_cuda *d, const char *lines)
{
    for (const char *end; (end = strchr(lines, '\n')); lines = end + 1) {
        const size_t n = (size_t)(end + 1 - lines), key = end_of_key(lines, n);
        bpi_choice *c = *find(d, lines, key);
        if (c && !strncmp(c->line, lines, n))
            c->theirs = true;
        else if (!c || !c->ours)
            BPI_TRY(put(d, lines, n, false));
    }
    return BP_OK;
}

bp_status bpi_cuda_share(bpi_device *device, const char *lines, const char **all, int64_t *news)
{
    bpi_cuda *d = (bpi_cuda *)device;
    size_t bytes = 1;
    for (bpi_choice *c = d->choices; c; c = c->next)
        c->theirs = false;
    BPI_TRY(take(d, lines));
    for (const bpi_choice *c = d->choices; c; c = c->next)
        bytes += strlen(c->line);
    char *text = realloc(d->choices_text, bytes), *end = text;
    if (!text)
        return BP_ERR_NOMEM;
    d->choices_text = text;
    *news = 0;
    for (const bpi_choice *c = d->choices; c; c = c->next) {
        end = stpcpy(end, c->line);
        *news += !c->theirs;
    }
    *end = '\0';
    *all = text;
    return BP_OK;
}

void bpi_choices_free(bpi_cuda *d)
{
    for (bpi_choice *c; (c = d->choices);) {
        d->choices = c->next;
        free(c);
    }
    free(d->choices_text);
    d->choices_text = NULL;
}
