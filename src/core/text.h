/* Text that others wrote: as messages show it, and what is read of it. */
#ifndef BPI_CORE_TEXT_H
#define BPI_CORE_TEXT_H

#include <stddef.h>

/* The bytes of the character of UTF-8 at s that prints; 0: there is none. */
size_t bpi_character(const char *s);

/* Fills to[bytes], bytes >= 32, with `from` for people to read: a byte that does not print, or is
 * not of UTF-8, becomes \xNN, and of what is too long the middle becomes " ... ". */
void bpi_printable(char *to, size_t bytes, const char *from);

#define BPI_BLANKS " \t\n\r\f\v" /* between the words of layers and schedules */

/* Reads a decimal number: digits with or without a point, then perhaps an exponent: ".5", "1e-1".
 * Returns what follows it, NULL where there is none. */
const char *bpi_number(const char *p, double *x);

#endif
