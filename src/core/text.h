/* Text that others wrote, as messages show it. */
#ifndef BPI_CORE_TEXT_H
#define BPI_CORE_TEXT_H

#include <stddef.h>

/* Fills to[bytes], bytes >= 32, with `from` for people to read: a byte that does not print, or is
 * not of UTF-8, becomes \xNN, and of what is too long the middle becomes " ... ". */
void bpi_printable(char *to, size_t bytes, const char *from);

#endif
