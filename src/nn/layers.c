/* The text of layers: "64 relu dropout=0.1 64 relu". */
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"

/* Digits with or without a point, then perhaps an exponent: ".5", "1e-1". Not strtod: the host's
 * locale may have another decimal point. */
static bool number(const char *p, double *x)
{
    int tens = 0, digits = 0, exponent = 0;
    bool point = false;
    for (*x = 0; (*p >= '0' && *p <= '9') || (*p == '.' && !point); p++) {
        point |= *p == '.';
        if (*p == '.')
            continue;
        *x = *x * 10 + (*p - '0');
        tens -= point;
        digits++;
    }
    if (digits && (*p == 'e' || *p == 'E')) {
        int sign = p[1] == '-' ? -1 : 1;
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (*p < '0' || *p > '9')
            return false;
        for (; *p >= '0' && *p <= '9'; p++)
            exponent = exponent < 999 ? exponent * 10 + (*p - '0') : exponent;
        tens += sign * exponent;
    }
    double unit = 1;
    for (int i = tens < 0 ? -tens : tens; i > 0 && unit < 1e300; i--)
        unit *= 10;
    *x = tens < 0 ? *x / unit : *x * unit;
    return digits && *p == '\0';
}

static bool parse_word(const char *word, bpi_layer *layer)
{
    char *end = (char *)word;
    *layer = (bpi_layer){.kind = BPI_DENSE};
    if (*word >= '0' && *word <= '9') {
        layer->width = strtoll(word, &end, 10);
        return *end == '\0' && layer->width >= 1 && layer->width <= BPI_WIDTH_MAX;
    }
    if (!strcmp(word, "relu") || !strcmp(word, "elu")) {
        layer->kind = *word == 'r' ? BPI_RELU : BPI_ELU;
        return true;
    }
    layer->kind = BPI_DROPOUT;
    size_t name = strlen("dropout=");
    return !strncmp(word, "dropout=", name) && number(word + name, &layer->p) && layer->p >= 0 &&
           layer->p < 1;
}

bp_status bpi_layers_parse(bp_context *ctx, const char *text, int32_t classes, bpi_layer *layers,
                           int32_t *n)
{
    *n = 0;
    for (const char *at = text; *(at += strspn(at, BPI_BLANKS));) {
        size_t length = strcspn(at, BPI_BLANKS);
        char word[32] = "";
        memcpy(word, at, length < sizeof word ? length : sizeof word - 1);
        if (*n == BPI_LAYERS_MAX - 1)
            return bpi_fail(ctx, BP_ERR_FORMAT, "layers: more than %d words", BPI_LAYERS_MAX - 1);
        if (length >= sizeof word || !parse_word(word, &layers[*n]))
            return bpi_fail(ctx, BP_ERR_FORMAT,
                            "layers: word %d is \"%s\"; a width from 1 to %d, relu, elu, or "
                            "dropout=P with 0 <= P < 1 is wanted",
                            (int)*n + 1, word, BPI_WIDTH_MAX);
        ++*n;
        at += length;
    }
    layers[(*n)++] = (bpi_layer){.kind = BPI_DENSE, .width = classes};
    return BP_OK;
}
