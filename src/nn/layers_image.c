/* The words of images: "28x28x1", "conv3x3=32,stride=2", "pool=2", "avgpool=2", "globalpool". What
 * comes out of one, and whether it fits what comes, is for the ops to say that it stands for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "nn/layers.h"
#include "ops/window.h"

typedef struct word_kind {
    const char *name;
    bpi_layer_kind kind;
    const char *wanted;
} word_kind;

static const word_kind kinds[] = {
    {"conv", BPI_CONV,
     "convRxS=O, and behind it ,pad=P ,stride=S ,dilation=D or ,groups=G, is wanted"},
    {"pool", BPI_MAX_POOL, "pool=K or pool=RxS, and behind it ,stride=S, is wanted"},
    {"avgpool", BPI_AVG_POOL, "avgpool=K or avgpool=RxS, and behind it ,stride=S, is wanted"},
    {"globalpool", BPI_GLOBAL_POOL, "globalpool without a number is wanted"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static size_t letters(const char *word)
{
    return strspn(word, "abcdefghijklmnopqrstuvwxyz_");
}

static const word_kind *kind_of(const char *word)
{
    size_t n = letters(word);
    for (int i = 0; i < KINDS; i++)
        if (strlen(kinds[i].name) == n && !strncmp(kinds[i].name, word, n))
            return &kinds[i];
    return NULL;
}

static bool is_size(const char *word)
{
    size_t n = strspn(word, "0123456789");
    return n > 0 && word[n] == 'x';
}

bool bpi_is_image_word(const char *word)
{
    return is_size(word) || kind_of(word);
}

bool bpi_begins_with_images(const char *text)
{
    static const char between[] = BPI_BLANKS "()";
    text += strspn(text, between);
    while (*text && !kind_of(text) && !(*text >= '0' && *text <= '9')) {
        text += strcspn(text, between);
        text += strspn(text, between);
    }
    return kind_of(text) != NULL;
}

/* A whole number of at most 9 digits; *at is behind it. */
static bool integer(const char **at, int32_t *n)
{
    size_t digits = strspn(*at, "0123456789");
    *n = (int32_t)strtoul(*at, NULL, 10);
    *at += digits;
    return digits > 0 && digits < 10;
}

/* "3x5", and where `square` "3" for "3x3"; from 1 on. */
static bool sizes(const char **at, int32_t n[2], bool square)
{
    if (!integer(at, &n[0]) || (**at != 'x' && !square))
        return false;
    n[1] = n[0];
    if (**at == 'x' && (++*at, !integer(at, &n[1])))
        return false;
    return n[0] > 0 && n[1] > 0;
}

/* ",stride=2" and the like: each once at most, and none but those of the kind; pad is -1 before. */
static bool settings(const char *at, bpi_layer_kind kind, bp_window *how, int32_t *pad)
{
    const struct {
        const char *name;
        int32_t *to;
    } of[] = {{",stride=", how->stride}, {",pad=", pad}, {",dilation=", how->dilation},
              {",groups=", &how->groups}};
    int n = kind == BPI_CONV ? 4 : 1, i;
    for (uint32_t seen = 0; *at; seen |= 1u << i) {
        for (i = 0; i < n && strncmp(at, of[i].name, strlen(of[i].name)) != 0;)
            i++;
        if (i == n || seen >> i & 1)
            return false;
        at += strlen(of[i].name);
        if (!integer(&at, of[i].to) || (*of[i].to == 0 && of[i].to != pad))
            return false;
    }
    how->stride[1] = how->stride[0];
    how->dilation[1] = how->dilation[0];
    return true;
}

/* As many pixels as come, of every stride-th: PyTorch's "same", more at the end than before. */
static void pad_same(bpi_layer *l)
{
    for (int i = 0; i < 2; i++) {
        int64_t all = (int64_t)l->how.dilation[i] * (l->window[i] - 1);
        all = all < INT32_MAX ? all : INT32_MAX;
        l->how.pad[i] = (int32_t)(all / 2);
        l->how.pad[2 + i] = (int32_t)(all - all / 2);
    }
}

/* What the word says, but for what comes. */
static bool read(const char *word, bpi_layer *l)
{
    int32_t filters = 0, pad = -1;
    bool conv = l->kind == BPI_CONV;
    const char *at = word + letters(word);
    if (l->kind == BPI_GLOBAL_POOL)
        return !*at;
    if (!conv && *at++ != '=')
        return false;
    if (!sizes(&at, l->window, !conv))
        return false;
    if (conv && (*at != '=' || (++at, !integer(&at, &filters)) || filters == 0))
        return false;
    l->to.channels = filters;
    if (!settings(at, l->kind, &l->how, &pad))
        return false;
    l->how = bpi_window_of(l->how, conv ? 1 : l->window[0], conv ? 1 : l->window[1]);
    if (conv && pad < 0)
        pad_same(l);
    for (int i = 0; i < 4 && pad > 0; i++)
        l->how.pad[i] = pad;
    return true;
}

/* l->to, as the op's shape rule has it. */
static bp_status through(bpi_layer *l, char *why)
{
    const bpi_image *x = &l->from;
    const bp_op *op = l->kind == BPI_CONV       ? &bpi_op_conv2d
                      : l->kind == BPI_MAX_POOL ? &bpi_op_max_pool
                                                : &bpi_op_avg_pool;
    bpi_conv_params conv = {.how = l->how};
    bpi_pool_params pool = {.how = l->how, .window = {l->window[0], l->window[1]}};
    bp_view in[2], out[2];
    int64_t part = x->channels / l->how.groups;
    bpi_view_packed(&in[0], BP_F32, BP_SHAPE(1, x->height, x->width, x->channels));
    bpi_view_packed(&in[1], BP_F32, BP_SHAPE(l->to.channels, l->window[0], l->window[1],
                                             part ? part : 1));
    BPI_TRY(op->def.infer(in, out, l->kind == BPI_CONV ? (void *)&conv : &pool, why));
    const int64_t *y = out[0].shape.dim;
    l->to = (bpi_image){y[1], y[2], y[3]};
    return BP_OK;
}

static bp_status sized(const char *word, bool first, bpi_layer *l, char *why)
{
    int32_t n[2], channels;
    const char *at = word;
    if (!sizes(&at, n, false) || *at++ != 'x' || !integer(&at, &channels) || *at || channels == 0)
        return bpi_why(why, BP_ERR_FORMAT, "HxWxC is wanted, as in 28x28x1");
    if (!first)
        return bpi_why(why, BP_ERR_FORMAT, "the image that comes in is told at the beginning");
    l->kind = BPI_IMAGE;
    l->to = (bpi_image){n[0], n[1], channels};
    if ((double)n[0] * n[1] * channels == (double)l->in)
        return BP_OK;
    return bpi_why(why, BP_ERR_FORMAT, "%.0f numbers are wanted, %lld come",
                   (double)n[0] * n[1] * channels, (long long)l->in);
}

bp_status bpi_image_layer(const char *word, bool first, bpi_layer *l, char *why)
{
    const word_kind *kind = kind_of(word);
    if (!kind)
        return sized(word, first, l, why);
    l->kind = kind->kind;
    if (!read(word, l))
        return bpi_why(why, BP_ERR_FORMAT, "%s", kind->wanted);
    if (l->from.channels == 0)
        return bpi_why(why, BP_ERR_FORMAT, "an image is wanted, %lld numbers come",
                       (long long)l->in);
    if (l->kind == BPI_GLOBAL_POOL) {
        l->to = (bpi_image){0};
        l->width = l->from.channels;
        return BP_OK;
    }
    BPI_TRY(through(l, why));
    double numbers = (double)l->to.height * (double)l->to.width * (double)l->to.channels;
    if (numbers > BPI_WIDTH_MAX)
        return bpi_why(why, BP_ERR_FORMAT, "%.0f numbers come out; at most %d are wanted", numbers,
                       BPI_WIDTH_MAX);
    l->width = (int64_t)numbers;
    return BP_OK;
}
