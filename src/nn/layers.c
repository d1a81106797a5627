/* The text of layers: "64 relu dropout=0.1 64 relu". */
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"

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
    const char *p = word + strlen("dropout=");
    if (strncmp(word, "dropout=", strlen("dropout=")) || *p < '0' || *p > '9')
        return false;
    double unit = 1; /* not strtod: the host's locale may have another decimal point */
    bool point = false;
    for (; *p; p++) {
        if (*p == '.' && !point) {
            point = true;
        } else if (*p >= '0' && *p <= '9') {
            layer->p = layer->p * 10 + (*p - '0');
            unit *= point ? 10 : 1;
        } else {
            return false;
        }
    }
    layer->p /= unit;
    return layer->p >= 0 && layer->p < 1;
}

bp_status bpi_layers_parse(bp_context *ctx, const char *text, int32_t classes, bpi_layer *layers,
                           int32_t *n)
{
    *n = 0;
    for (const char *at = text; *(at += strspn(at, " \t\n"));) {
        size_t length = strcspn(at, " \t\n");
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
