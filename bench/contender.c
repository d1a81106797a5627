/* The questions of contender.h, answered by who does such work. */
#include "contender.h"

#include <stdlib.h>
#include <string.h>

#include "timing.h"

typedef struct session {
    const contender *who; /* NULL: nothing is open */
    void *self;
    double seconds; /* what `calls` take about */
    int64_t calls;
    int threads;
} session;

static void end(session *s)
{
    if (s->who)
        s->who->close(s->self);
    *s = (session){.threads = s->threads};
}

static void read_sizes(work *w)
{
    char *at = (char *)w->word[0];
    int n = 0;
    while (n <= WORK_LAYERS && *at >= '0' && *at <= '9') {
        w->size[n++] = strtoll(at, &at, 10);
        at += *at == '-';
    }
    w->layers = *at ? 0 : n - 1; /* more than there is room for is none */
}

static const char *begin(session *s, const contender *(*find)(const char *kind))
{
    work w = {.word = {"", "", "", ""}, .threads = s->threads};
    const char *file = strtok(NULL, " \n"), *word;
    w.kind = strtok(NULL, " \n");
    if (!w.kind)
        return "open wants a file and a kind of work";
    for (int i = 0; i < WORK_WORDS && (word = strtok(NULL, " \n")); i++)
        w.word[i] = word;
    read_sizes(&w);
    s->who = find(w.kind);
    if (!s->who)
        return "does not do this kind of work";
    w.start = strcmp(file, "-") ? fopen(file, "r+b") : NULL;
    const char *why = strcmp(file, "-") && !w.start ? "what it starts from cannot be opened"
                                                    : s->who->open(&w, &s->self);
    if (w.start)
        fclose(w.start);
    if (why)
        s->who = NULL;
    return why;
}

/* As many calls as take about so long: warm first, then doubled until they can be timed. */
static void settle(session *s, double seconds)
{
    int64_t n = 1;
    s->who->run(s->self, 1);
    double t = s->who->run(s->self, n);
    while (t < seconds / 8)
        t = s->who->run(s->self, n *= 2);
    s->calls = (int64_t)((double)n * seconds / t);
    s->calls = s->calls > 0 ? s->calls : 1;
    s->seconds = seconds;
}

int contender_serve(int argc, char **argv, const contender *(*find)(const char *kind))
{
    char line[256];
    session s = {.threads = argc == 3 && !strcmp(argv[1], "--threads") ? atoi(argv[2]) : 0};
    if (s.threads < 1) {
        fprintf(stderr, "usage: %s --threads N, from 1; its questions come from bench/compare.py\n",
                argv[0]);
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        const char *word = strtok(line, " \n");
        if (word && !strcmp(word, "open")) {
            end(&s);
            const char *why = begin(&s, find);
            printf(why ? "no %s\n" : "ok\n", why);
        } else if (word && s.who && s.who->loss && !strcmp(word, "loss")) {
            const char *n = strtok(NULL, " \n");
            printf("%.9g\n", (double)s.who->loss(s.self, n ? atoll(n) : 1));
        } else if (word && s.who && !strcmp(word, "time")) {
            const char *n = strtok(NULL, " \n");
            double wanted = n ? atof(n) : 0;
            if (s.seconds != wanted)
                settle(&s, wanted);
            printf("%.9g\n", s.who->run(s.self, s.calls) / (double)s.calls);
        } else {
            printf("no such question\n");
        }
        fflush(stdout);
    }
    end(&s);
    return 0;
}
