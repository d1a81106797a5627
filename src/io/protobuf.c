/* Writing protobuf: see protobuf.h. A field is its number and how it is written, then its bytes.
 * (developers.google.com: "Protocol Buffers, Encoding") */
#include <string.h>

#include "io/protobuf.h"

enum { VARINT = 0, BYTES = 2, FOUR = 5, VARINT_MAX = 10 };

/* Seven bits a byte, the lowest first; all but the last byte have the eighth. */
static size_t varint(unsigned char *to, uint64_t x)
{
    size_t n = 0;
    for (; x > 127; x >>= 7)
        to[n++] = (unsigned char)(x | 128);
    to[n++] = (unsigned char)x;
    return n;
}

static void put_varint(bpi_buffer *b, uint64_t x)
{
    unsigned char bytes[VARINT_MAX];
    bpi_put(b, bytes, varint(bytes, x));
}

void bpi_pb_int(bpi_buffer *b, uint64_t field, int64_t x)
{
    put_varint(b, field << 3 | VARINT);
    put_varint(b, (uint64_t)x);
}

void bpi_pb_float(bpi_buffer *b, uint64_t field, float x)
{
    put_varint(b, field << 3 | FOUR);
    bpi_put(b, &x, sizeof x);
}

void bpi_pb_text(bpi_buffer *b, uint64_t field, const char *text)
{
    int64_t begin = bpi_pb_begin(b, field);
    bpi_put(b, text, strlen(text));
    bpi_pb_end(b, begin);
}

int64_t bpi_pb_begin(bpi_buffer *b, uint64_t field)
{
    put_varint(b, field << 3 | BYTES);
    return b->n;
}

/* The length goes before the bytes, which make way for it: it is known only now. */
void bpi_pb_end(bpi_buffer *b, int64_t begin)
{
    unsigned char length[VARINT_MAX];
    size_t n = (size_t)(b->n - begin), bytes = varint(length, n);
    if (!bpi_buffer_room(b, bytes))
        return;
    memmove(b->at + begin + bytes, b->at + begin, n);
    memcpy(b->at + begin, length, bytes);
}
