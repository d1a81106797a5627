/* Tables of elements that are not neighbours, brought into a buffer where they are (bring.c). */
#ifndef BPI_CPU_BRING_H
#define BPI_CPU_BRING_H

#include "cpu/kernel.h"

enum { BPI_BEHIND = 64 }; /* bytes that a buffer has behind its elements, to be written over */

/* buffer[i * n + j] = x[i * row + j * step], elements of `bytes` bytes; far: x is in no cache, and
 * the rows below come next. */
void BPI_CPU(bring)(void *buffer, const void *x, int64_t bytes, int64_t rows, int64_t row,
                    int64_t n, int64_t step, int far);
#define bpi_bring BPI_CPU(bring)

/* y[i * row + j * step] = buffer[i * n + j]. */
void BPI_CPU(put)(void *y, const void *buffer, int64_t bytes, int64_t rows, int64_t row,
                  int64_t n, int64_t step);
#define bpi_put BPI_CPU(put)

/* n times the element at x; whole vectors of them. */
void BPI_CPU(repeat)(void *buffer, const void *x, int64_t bytes, int64_t n);
#define bpi_repeat BPI_CPU(repeat)

#endif
