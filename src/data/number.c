/* The C library's strtof: number.h says when it is asked. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strtof_l */
#endif
#include "data/number.h"

#include <stdlib.h>

float bpi_slow_number(const char *p, locale_t c_locale)
{
    return strtof_l(p, NULL, c_locale);
}
