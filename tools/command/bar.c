/* The bar, and the lines that stand for it where stderr is no terminal. */
#include "bar.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINES = 20, WIDTH = 30 };

static int columns(void)
{
    struct winsize size;
    if (ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return size.ws_col;
    const char *said = getenv("COLUMNS");
    return said && atoi(said) > 0 ? atoi(said) : 80;
}

bar bar_begin(const job *j, const bp_progress *p)
{
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bar b = {.epochs = (int64_t)j->set->train[BP_TRAIN_EPOCHS], .rows = bp_data_rows(j->train),
             .silent = j->set->quiet, .told = p->epoch, .before = p->seconds,
             .started = p->epoch_steps ? (double)p->steps / (double)p->epoch_steps : 0,
             .classes = bp_model_task(j->model) != BP_TASK_REGRESSION, .validates = j->valid};
    b.terminal = isatty(2) && term && strcmp(term, "dumb");
    b.colour = b.terminal && !(no_colour && *no_colour);
    locale_t own = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    b.unicode = own && !strcmp(nl_langinfo_l(CODESET, own), "UTF-8");
    if (own)
        freelocale(own);
    return b;
}

/* "850", "41.2k", "1.31M" */
static const char *short_number(double x, char *to)
{
    const char *unit = x < 1e4 ? "" : x < 1e6 ? "k" : x < 1e9 ? "M" : "G";
    double scaled = x / (x < 1e4 ? 1 : x < 1e6 ? 1e3 : x < 1e9 ? 1e6 : 1e9);
    snprintf(to, 16, "%.*f%s", *unit && scaled < 10 ? 2 : *unit && scaled < 100 ? 1 : 0, scaled,
             unit);
    return to;
}

static const char *clock_text(double seconds, char *to)
{
    long long s = seconds < 1e9 ? (long long)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(to, 24, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(to, 24, "%lld:%02lld", s / 60, s % 60);
    return to;
}

static void print_losses(const bar *b, const bp_progress *p, char *to, size_t room)
{
    int n = p->epoch ? snprintf(to, room, "  loss %.4g", p->loss) : (*to = '\0', 0);
    if (p->epoch && b->classes)
        n += snprintf(to + n, room - (size_t)n, "  %.2f %%", 100 * p->accuracy);
    if (p->epoch && b->validates && isfinite(p->valid_loss))
        n += snprintf(to + n, room - (size_t)n, "  val %.4g", p->valid_loss);
    if (p->epoch && b->validates && b->classes)
        snprintf(to + n, room - (size_t)n, "  %.2f %%", 100 * p->valid_accuracy);
}

/* What fits into the terminal's line: the bar gives way first, then the end of the text. */
static void draw(const bar *b, const bp_progress *p, double done, double rate, double left)
{
    char losses[128], text[256], number[24], clock[24], head[64];
    print_losses(b, p, losses, sizeof losses);
    snprintf(head, sizeof head, "epoch %lld/%lld ", (long long)p->epoch, (long long)b->epochs);
    snprintf(text, sizeof text, "%s  %s left  %s samples/s", losses,
             isfinite(left) ? clock_text(left, clock) : "-", short_number(rate, number));
    int room = columns() - 1 - (int)strlen(head), width = room - (int)strlen(text);
    width = width > WIDTH ? WIDTH : width < 4 ? 0 : width;
    fprintf(stderr, "\r%s%s", head, b->colour ? "\033[32m" : "");
    for (int i = 0; i < width; i++) {
        bool full = i < (int)(done * width);
        if (i == (int)(done * width) && b->colour)
            fputs("\033[2m", stderr);
        fputs(b->unicode ? full ? "\u2501" : "\u2500" : full ? "#" : ".", stderr);
    }
    room -= width;
    fprintf(stderr, "%s%.*s\033[K", b->colour ? "\033[0m" : "", room > 0 ? room : 0, text);
    fflush(stderr);
}

void bar_show(bar *b, const bp_progress *p)
{
    if (b->silent)
        return;
    double epochs = p->epoch_steps ? (double)p->steps / (double)p->epoch_steps : 0;
    double seconds = p->seconds - b->before, speed = (epochs - b->started) / seconds;
    if (b->terminal) {
        draw(b, p, epochs / (double)b->epochs, speed * (double)b->rows,
             ((double)b->epochs - epochs) / speed);
        return;
    }
    /* A line an epoch, of many epochs every n-th; the last is always told. */
    int64_t every = (b->epochs + LINES - 1) / LINES;
    if (p->epoch == b->told || (p->epoch % every && p->epoch != b->epochs))
        return;
    char losses[128], number[24];
    print_losses(b, p, losses, sizeof losses);
    b->told = p->epoch;
    fprintf(stderr, "epoch %lld/%lld%s  %s samples/s  %.2f s\n", (long long)p->epoch,
            (long long)b->epochs, losses, short_number(speed * (double)b->rows, number), p->seconds);
}

void bar_end(bar *b)
{
    if (b->terminal && !b->silent)
        fprintf(stderr, "\r\033[K");
}
