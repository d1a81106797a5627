/* Writing protobuf: fields of a number each, integers, floats and texts, and fields that hold
 * others. */
#ifndef BPI_PROTOBUF_H
#define BPI_PROTOBUF_H

#include "io/buffer.h"

void bpi_pb_int(bpi_buffer *b, uint64_t field, int64_t x);
void bpi_pb_float(bpi_buffer *b, uint64_t field, float x);
void bpi_pb_text(bpi_buffer *b, uint64_t field, const char *text);

/* A field that holds what is put from here on, up to the end of the place that this gives. */
int64_t bpi_pb_begin(bpi_buffer *b, uint64_t field);
void bpi_pb_end(bpi_buffer *b, int64_t begin);

#endif
