/* The graph of an ONNX file on its way: export_onnx.c makes one, by programs, onnx_program.c. */
#ifndef BPI_NN_ONNX_H
#define BPI_NN_ONNX_H

#include "nn/export.h"

enum { BPI_ONNX_NAME = 64, BPI_ONNX_FLOAT = 1, BPI_ONNX_INT64 = 7, BPI_ONNX_INITIALIZER = 5 };

typedef struct bpi_onnx {
    bp_model *model;
    bpi_buffer b;      /* ModelProto, within its graph */
    int32_t n, params; /* values that we named, and parameters, so far */
    char x[BPI_ONNX_NAME], skip[BPI_ONNX_NAME]; /* what goes on; what went into the last group */
    const char *weight, *bias, *mean, *variance; /* of the layer, */
    double number;             /* and its number */
} bpi_onnx;

/* The head of a constant; where its elements begin. */
int64_t bpi_onnx_constant(bpi_buffer *b, const char *name, bp_shape shape, int type);

/* A word with a capital letter is an op, which takes its inputs off the stack and puts its output
 * there; "alpha=1" is an attribute of the op behind it. A number is a constant, and '#' the
 * layer's; x goes on, s went into the group, w, b, m and v are the layer's parameters. Any other
 * word names a value.
 *
 * x becomes what the program makes of it, which is called `result`, or, with NULL, anything. */
void bpi_onnx_run(bpi_onnx *g, const char *program, const char *result);

#endif
