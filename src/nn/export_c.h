/* A model as C source on its way: export_c.c writes the file, export_c_layers.c its functions. */
#ifndef BPI_NN_EXPORT_C_H
#define BPI_NN_EXPORT_C_H

#include "nn/export.h"

typedef struct bpi_c_source {
    bp_model *model;
    const char *name;
    bpi_buffer b;
    int64_t wide, stack; /* columns of the widest layer; bytes of what lies between */
    int32_t params;      /* so far, in the order of the store */
    int depth, windows;  /* groups that are open; convolutions and pools so far */
    char at;             /* the array in which the values are */
} bpi_c_source;

/* A number whose mantissa has `bits` bits, as 0x18p-3, between two texts. */
void bpi_c_number(bpi_buffer *b, const char *before, double x, int bits, const char *behind);
/* The name of parameter i: layer1.weight is NAME_layer1_weight. */
void bpi_c_name(bpi_c_source *s, int32_t i);
/* The functions that the layers need; NAME_predict. */
void bpi_c_functions(bpi_c_source *s);
void bpi_c_predict(bpi_c_source *s);

#endif
