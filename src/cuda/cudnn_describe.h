/* What the files share that make a plan of cuDNN's: descriptors that are made on the way to it, and
 * its words. */
#ifndef BPI_CUDNN_DESCRIBE_H
#define BPI_CUDNN_DESCRIBE_H

#include <stdbool.h>

#include "cuda/cudnn.h"

typedef cudnnBackendDescriptor_t descriptor;

/* What is made on the way to a plan, to be given back. */
enum { OFFERS = 128, KNOBS = 64, MADE = 3 * OFFERS + KNOBS + 32 };
typedef struct builder {
    bpi_cuda *d;
    const bpi_convolution *key;
    descriptor operand[BPI_CONV_OPERANDS];
    descriptor made[MADE];
    int n_made;
} builder;

typedef struct attribute {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t count;
    const void *value;
} attribute;

#define LENGTH(array) ((int)(sizeof(array) / sizeof *(array)))
#define ATTR(name, type, count, ...) \
    {CUDNN_ATTR_##name, CUDNN_TYPE_##type, count, __VA_ARGS__}

/* "Not supported": no failure, another configuration may be. */
bool bpi_cudnn_says_no(cudnnStatus_t status);
bp_status bpi_cudnn_create(builder *b, cudnnBackendDescriptorType_t type, descriptor *out);
bp_status bpi_cudnn_fill(bpi_cuda *d, descriptor to, const attribute *a, int n);
/* Gives back what was made since there were `from`. */
void bpi_cudnn_clear(builder *b, int from);

/* y = relu(x w + bias), or less of it: the graph of b->key. */
bp_status bpi_cudnn_graph(builder *b, descriptor *out);

/* --- cudnn_choice.c -------------------------------------------------------------------------- */

void bpi_cudnn_key(const bpi_cuda *d, const bpi_convolution *key, char text[BPI_CHOICE_LINE / 2]);
/* A configuration of an engine in words; "": it has none. */
bp_status bpi_cudnn_say(builder *b, descriptor configuration, int64_t engine,
                        char words[BPI_CHOICE_LINE / 2]);
/* What the words of a line mean, a configuration; NULL: nothing that cuDNN takes. */
bp_status bpi_cudnn_mean(builder *b, descriptor graph, const char *words,
                         descriptor *configuration);

#endif
