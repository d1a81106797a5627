/* Online learning as a contender's work: the start, drawn and written or read, and the samples in
 * turn. */
#include "online.h"

#include <math.h>
#include <stdlib.h>

#include "timing.h"

typedef struct online {
    const online_learner *learner;
    void *self;
    int64_t at; /* the next sample */
    online_start start;
} online;

static float number(void)
{
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1 << 24) - 0.5f;
}

static void draw(online_start *s)
{
    for (int i = 0; i < s->hidden * s->in; i++)
        s->w[0][i] = number() / sqrtf((float)s->in);
    for (int i = 0; i < s->out * s->hidden; i++)
        s->w[1][i] = number() / sqrtf((float)s->hidden);
    for (int i = 0; i < s->hidden; i++)
        s->b[0][i] = 0.1f * number();
    for (int i = 0; i < s->out; i++)
        s->b[1][i] = 0.1f * number();
    for (int k = 0; k < ONLINE_SAMPLES; k++) {
        float sum = 0;
        for (int i = 0; i < s->in; i++)
            sum += s->sample[k][i] = 2 * number();
        for (int i = 0; i < s->out; i++)
            s->sample[k][s->in + i] = sinf(sum + (float)i) / 2;
    }
}

typedef size_t (*mover)(void *, size_t, size_t, FILE *);

static size_t put(void *from, size_t size, size_t count, FILE *to)
{
    return fwrite(from, size, count, to);
}

/* Whether all of the start has gone to the file, or come from it. */
static bool move(online_start *s, mover with, FILE *file)
{
    const int from[] = {s->in, s->hidden}, to[] = {s->hidden, s->out};
    bool all = true;
    for (int k = 0; k < ONLINE_SAMPLES; k++) {
        size_t n = (size_t)(s->in + s->out);
        all &= with(s->sample[k], sizeof(float), n, file) == n;
    }
    for (int i = 0; i < 2; i++) {
        size_t n = (size_t)(from[i] * to[i]);
        all &= with(s->w[i], sizeof(float), n, file) == n;
        all &= with(s->b[i], sizeof(float), (size_t)to[i], file) == (size_t)to[i];
    }
    return all;
}

const char *online_open(const work *w, const online_learner *learner, bool writes, void **self)
{
    if (w->layers != 2 || w->size[0] > ONLINE_MOST || w->size[1] > ONLINE_MOST ||
        w->size[2] > ONLINE_MOST)
        return "online nets have one hidden layer, and sizes of at most 64";
    online *o = calloc(1, sizeof *o);
    if (!o || !w->start)
        return free(o), "there is no memory for it, or no file to start from";
    o->learner = learner;
    o->start.in = (int)w->size[0];
    o->start.hidden = (int)w->size[1];
    o->start.out = (int)w->size[2];
    if (writes)
        draw(&o->start);
    if (!move(&o->start, writes ? put : fread, w->start))
        return free(o), "what it starts from is too short, or cannot be written";
    o->self = learner->open(&o->start);
    if (!o->self)
        return free(o), "the net cannot be made";
    *self = o;
    return NULL;
}

float online_loss(void *self, int64_t steps)
{
    online *o = self;
    float loss = 0;
    for (int64_t i = 0; i < steps; i++)
        loss = o->learner->step(o->self, &o->start, o->start.sample[o->at++ % ONLINE_SAMPLES]);
    return loss;
}

double online_run(void *self, int64_t calls)
{
    double from = seconds();
    online_loss(self, calls);
    return seconds() - from;
}

void online_close(void *self)
{
    online *o = self;
    o->learner->close(o->self);
    free(o);
}
