/* The inside of a chain of layers: what its text says, in order, with the parameters. */
#ifndef BPI_NN_LAYERS_H
#define BPI_NN_LAYERS_H

#include "bpcuda/bpcuda.h"
#include "core/error.h"
#include "core/memory.h"

/* A residual group is all up to its BPI_END. Those with weights come first. */
typedef enum bpi_layer_kind {
    BPI_DENSE,
    BPI_ACTIVATION,
    BPI_LAYERNORM,
    BPI_RMSNORM,
    BPI_BATCHNORM,
    BPI_IMAGE, /* the inputs are one */
    BPI_CONV,
    BPI_MAX_POOL,
    BPI_AVG_POOL,
    BPI_GLOBAL_POOL,
    BPI_DROPOUT,
    BPI_RESIDUAL,
    BPI_END
} bpi_layer_kind;

typedef struct bpi_activation {
    const char *name;
    bp_tensor *(*plain)(bp_tensor *); /* or with a number */
    bp_tensor *(*with)(bp_tensor *, double);
    double number; /* where the text has none */
    bool rectifies; /* He's weights before it */
    const char *onnx, *c; /* the same for other programs: words of export_onnx.c; C of x and p, the
                           * number */
} bpi_activation;

typedef struct bpi_image {
    int64_t height, width, channels; /* 0: no image, but a row of numbers */
} bpi_image;

typedef struct bpi_layer {
    bpi_layer_kind kind;
    int64_t in, width; /* numbers before and behind it, */
    bpi_image from, to; /* which may be images */
    int32_t window[2];  /* of a convolution or a pool: down, across, */
    bp_window how;      /* and how it walks */
    double number;     /* of dropout, a norm, an activation */
    const bpi_activation *activation;
    int32_t end;             /* of a residual group: where its BPI_END stands */
    bp_tensor *weight, *bias; /* of a dense layer or a convolution; of a norm its gain and bias; */
    bp_tensor *mean, *variance; /* of batchnorm the running ones: all the store's */
} bpi_layer;

enum { BPI_LAYERS_MAX = 256, BPI_LAYERS_TEXT_MAX = 4096, BPI_WIDTH_MAX = 1 << 24 };

struct bp_layers {
    bp_context *ctx;
    bpi_late late;
    int64_t inputs, outputs;
    int32_t n;
    bpi_layer layer[BPI_LAYERS_MAX];
    char text[BPI_LAYERS_TEXT_MAX]; /* the words, with one space between them */
};

/* layers_image.c. Whether a word is one of images: HxWxC, a convolution, a pool. */
bool bpi_is_image_word(const char *word);
/* Such a word, as a layer whose `in` and `from` are set: all else of it but its parameters. Else
 * what is wrong, as what follows "layers: word 5 "pool=2"". */
enum { BPI_IMAGE_WHY = 160 };
bp_status bpi_image_layer(const char *word, bool first, bpi_layer *layer, char *why);

/* Whether the first word of a text that does not keep every shape takes an image. */
bool bpi_begins_with_images(const char *text);

/* Fills layers of n = 0 whose inputs are set from a text, and from a word, or "", before it;
 * `last`, if not 0, is the width of one more dense layer. BP_ERR_FORMAT names the bad word. */
bp_status bpi_layers_parse(bp_layers *layers, const char *head, const char *text, int64_t last);
/* bp_layers_create, with such a word, and with one more dense layer where `last` is not 0. */
bp_status bpi_layers_create(bp_params *params, const char *prefix, int64_t inputs, const char *head,
                            const char *text, int64_t last, bp_layers **layers);
/* bp_layers_forward, which frees x as soon as it was read. */
bp_tensor *bpi_layers_consume(const bp_layers *layers, bp_tensor *x, bool training);

#endif
