/* The text of layers: "64 relu dropout=0.1 residual( 64 tanh )". The grammar is at the top of
 * include/bpcuda/layers.h. A word of the text is one layer; so is the ")" of a residual group, and
 * "residual (" is one word. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "nn/layers.h"


enum { DEPTH_MAX = 16, WORD_MAX = 96 };

static const bpi_activation activations[] = {
    {"relu", bp_relu, NULL, 0, true, "x Relu", "x <= 0 ? 0 : x"},
    {"leaky_relu", NULL, bp_leaky_relu, 0.01, true, "x alpha=# LeakyRelu", "x > 0 ? x : p * x"},
    {"elu", NULL, bp_elu, 1, true, "x alpha=# Elu", "x > 0 ? x : p * expm1f(x)"},
    {"gelu", bp_gelu, NULL, 0, true, "x x 0.70710678118654752 Mul Erf 1 Add Mul 0.5 Mul",
     "x * 0.5f * erfcf(x * -0.707106781f)"},
    {"gelu_tanh", bp_gelu_tanh, NULL, 0, true,
     "x x x x Mul 0.0713548162726002488 Mul 1.59576912160573071 Add Mul Sigmoid Mul",
     "x / (1 + expf(-x * (1.595769122f + 0.071354816f * x * x)))"},
    {"silu", bp_silu, NULL, 0, true, "x x Sigmoid Mul", "x / (1 + expf(-x))"},
    {"mish", bp_mish, NULL, 0, true, "x x Softplus Tanh Mul",
     "x * tanhf((x > 0 ? x : 0) + log1pf(expf(-fabsf(x))))"},
    {"tanh", bp_tanh, NULL, 0, false, "x Tanh", "tanhf(x)"},
    {"scaled_tanh", NULL, bp_scaled_tanh, 0, false,
     "x 0.66666666666666667 Mul Tanh 1.7159 Mul x # Mul Add",
     "1.7159f * tanhf(x * 2 / 3) + p * x"},
    {"sigmoid", bp_sigmoid, NULL, 0, false, "x Sigmoid", "1 / (1 + expf(-x))"},
    {"hard_sigmoid", bp_hard_sigmoid, NULL, 0, false, "x alpha=0.16666666666666667 HardSigmoid",
     "x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6"},
    {"log_sigmoid", bp_log_sigmoid, NULL, 0, false, "x Neg Softplus Neg",
     "(x < 0 ? x : 0) - log1pf(expf(-fabsf(x)))"},
    {"softplus", bp_softplus, NULL, 0, false, "x Softplus",
     "(x > 0 ? x : 0) + log1pf(expf(-fabsf(x)))"},
    {"sin", bp_sin, NULL, 0, false, "x Sin", "sinf(x)"},
};
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };

typedef struct reader {
    bp_layers *to;
    const char *at;
    char word[WORD_MAX]; /* the one that is read; cut where it is longer */
    int64_t width;       /* columns behind the last layer, */
    bpi_image image;     /* where they are an image */
    size_t length;       /* of the text that is kept */
    int32_t depth, open[DEPTH_MAX]; /* groups that are open */
    int32_t before;      /* words that the text itself does not have */
} reader;

static int place(const reader *r, int32_t i)
{
    return (int)(i + 1 - r->before);
}

/* The whole of a text is a number that f32 holds; '-' may lead it. */
static bool number(const char *text, double *x)
{
    bool minus = *text == '-';
    const char *rest = bpi_number(text + minus, x);
    *x = minus ? -*x : *x;
    return rest && *rest == '\0' && isfinite((float)*x);
}

/* Whether a word is "NAME" or "NAME=VALUE" with this name; *value is NULL, or the value. */
static bool named(const char *word, const char *name, const char **value)
{
    size_t n = strlen(name);
    if (strncmp(word, name, n) || (word[n] && word[n] != '='))
        return false;
    *value = word[n] ? word + n + 1 : NULL;
    return true;
}

static bp_status wanted(const reader *r, const char *what)
{
    return bpi_fail(r->to->ctx, BP_ERR_FORMAT, "layers: word %d is \"%s\"; %s is wanted",
                    place(r, r->to->n), r->word, what);
}

static bp_status unknown(const reader *r)
{
    char what[400];
    int n = snprintf(what, sizeof what, "a width from 1 to %d", BPI_WIDTH_MAX);
    for (int i = 0; i < N_ACTIVATIONS; i++)
        n += snprintf(what + n, sizeof what - (size_t)n, ", %s", activations[i].name);
    snprintf(what + n, sizeof what - (size_t)n,
             ", layernorm, rmsnorm, batchnorm, HxWxC, convRxS=O, pool=K, avgpool=K, globalpool, "
             "dropout=P or residual( ... )");
    return wanted(r, what);
}

static bp_status activation(reader *r, const bpi_activation *a, const char *value, bpi_layer *layer)
{
    bool elu = a->with == bp_elu;
    layer->kind = BPI_ACTIVATION;
    layer->activation = a;
    layer->number = a->number;
    if (!value)
        return BP_OK;
    char what[96];
    snprintf(what, sizeof what, a->with ? "%s=NUMBER%s" : "%s without a number%s", a->name,
             elu ? " above 0" : "");
    if (!a->with || !number(value, &layer->number) || (elu && !((float)layer->number > 0)))
        return wanted(r, what);
    return BP_OK;
}

static bp_status norm(reader *r, bpi_layer_kind kind, const char *value, bpi_layer *layer)
{
    layer->kind = kind;
    layer->number = 1e-5;
    if (value && !(number(value, &layer->number) && layer->number >= 0))
        return wanted(r, "an eps of 0 or more, as in layernorm=1e-5,");
    return BP_OK;
}

static bp_status image(reader *r, bpi_layer *layer)
{
    char why[BPI_IMAGE_WHY];
    bp_status st = bpi_image_layer(r->word, r->to->n == 0, layer, why);
    return st == BP_OK ? st
                       : bpi_fail(r->to->ctx, BP_ERR_FORMAT, "layers: word %d \"%s\": %s",
                                  place(r, r->to->n), r->word, why);
}

/* A word that is neither "residual(" nor ")". */
static bp_status one(reader *r, bpi_layer *layer)
{
    char *end;
    const char *word = r->word, *value;
    if (bpi_is_image_word(word))
        return image(r, layer);
    if (*word >= '0' && *word <= '9') {
        layer->width = strtoll(word, &end, 10); /* BPI_DENSE */
        layer->to = (bpi_image){0};
        return *end || layer->width < 1 || layer->width > BPI_WIDTH_MAX ? unknown(r) : BP_OK;
    }
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (named(word, activations[i].name, &value))
            return activation(r, &activations[i], value, layer);
    if (named(word, "layernorm", &value))
        return norm(r, BPI_LAYERNORM, value, layer);
    if (named(word, "rmsnorm", &value))
        return norm(r, BPI_RMSNORM, value, layer);
    if (named(word, "batchnorm", &value))
        return norm(r, BPI_BATCHNORM, value, layer);
    if (!named(word, "dropout", &value))
        return unknown(r);
    layer->kind = BPI_DROPOUT;
    bool share = value && number(value, &layer->number) && layer->number >= 0 && layer->number < 1;
    return share ? BP_OK : wanted(r, "dropout=P with 0 <= P < 1");
}

static bp_status group(reader *r, bpi_layer *layer)
{
    bp_layers *to = r->to;
    if (*r->word != ')') {
        if (r->depth == DEPTH_MAX)
            return bpi_fail(to->ctx, BP_ERR_FORMAT,
                            "layers: word %d: residual groups more than %d deep", place(r, to->n),
                            DEPTH_MAX);
        r->open[r->depth++] = to->n;
        layer->kind = BPI_RESIDUAL;
        return BP_OK;
    }
    if (r->depth == 0)
        return wanted(r, "a residual( before it");
    int32_t begin = r->open[--r->depth];
    to->layer[begin].end = to->n;
    layer->kind = BPI_END;
    const bpi_image *a = &to->layer[begin].from, *b = &r->image;
    if (to->layer[begin].in == r->width && !memcmp(a, b, sizeof *a))
        return BP_OK;
    if (a->channels || b->channels)
        return bpi_fail(to->ctx, BP_ERR_FORMAT,
                        "layers: the residual( of word %d has %lldx%lldx%lld before it and "
                        "%lldx%lldx%lld at its end, word %d: they are added, and must be alike",
                        place(r, begin), (long long)a->height, (long long)a->width,
                        (long long)a->channels, (long long)b->height, (long long)b->width,
                        (long long)b->channels, place(r, to->n));
    return bpi_fail(to->ctx, BP_ERR_FORMAT,
                    "layers: the residual( of word %d has %lld columns before it and %lld at its "
                    "end, word %d: they are added, and must be as many", place(r, begin),
                    (long long)to->layer[begin].in, (long long)r->width, place(r, to->n));
}

/* The words of a text with one space between them: equal layers, equal texts. */
static bp_status keep(reader *r)
{
    bp_layers *to = r->to;
    size_t n = strlen(r->word);
    if (r->length + n + 2 > sizeof to->text)
        return bpi_fail(to->ctx, BP_ERR_FORMAT, "layers: the text is longer than %zu bytes",
                        sizeof to->text - 1);
    if (r->length)
        to->text[r->length++] = ' ';
    memcpy(to->text + r->length, r->word, n + 1);
    r->length += n;
    return BP_OK;
}

/* Takes the next word, which is there. */
static bp_status word(reader *r)
{
    const char *at = r->at;
    size_t n = *at == ')' ? 1 : strcspn(at, BPI_BLANKS "()");
    const char *behind = at + n + strspn(at + n, BPI_BLANKS);
    bool opens = n == strlen("residual") && !strncmp(at, "residual", n) && *behind == '(';
    n += n == 0; /* a "(" alone */
    size_t kept = n < sizeof r->word - 2 ? n : sizeof r->word - 2;
    memcpy(r->word, at, kept);
    memcpy(r->word + kept, opens ? "(" : "", opens ? 2 : 1);
    r->at = opens ? behind + 1 : at + n;
    bpi_layer *layer = &r->to->layer[r->to->n];
    if (r->to->n == BPI_LAYERS_MAX - 1)
        return bpi_fail(r->to->ctx, BP_ERR_FORMAT, "layers: more than %d words",
                        BPI_LAYERS_MAX - 1);
    if (kept < n)
        return unknown(r);
    *layer = (bpi_layer){.in = r->width, .width = r->width, .from = r->image, .to = r->image};
    BPI_TRY(opens || *at == ')' ? group(r, layer) : one(r, layer));
    BPI_TRY(keep(r));
    r->width = layer->width;
    r->image = layer->to;
    r->to->n++;
    return BP_OK;
}

bp_status bpi_layers_parse(bp_layers *to, const char *head, const char *text, int64_t last)
{
    reader r = {.to = to, .at = head, .width = to->inputs};
    if (*head)
        BPI_TRY(word(&r));
    r.before = to->n;
    r.at = text;
    while (*(r.at += strspn(r.at, BPI_BLANKS)))
        BPI_TRY(word(&r));
    if (r.depth)
        return bpi_fail(to->ctx, BP_ERR_FORMAT, "layers: the residual( of word %d has no \")\"",
                        place(&r, r.open[r.depth - 1]));
    if (last)
        to->layer[to->n++] = (bpi_layer){.in = r.width, .width = last, .from = r.image};
    to->outputs = last ? last : r.width;
    return BP_OK;
}
