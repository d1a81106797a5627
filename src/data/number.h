/* Numbers in text, whatever the host's locale: [+-] digits [. digits] [e [+-] digits], rounded once
 * to f32.
 *
 * The digits make an integer m of at most 19 places. m as a double, and times or divided by a power
 * of ten up to 10^22, which a double holds exactly (Clinger: "How to read floating point numbers
 * accurately", 1990), is off by less than 2^-51 of itself. Where all that lies so near rounds to
 * one f32, that is the number; else the C library's strtof, in the C locale, finds it. */
#ifndef BPI_NUMBER_H
#define BPI_NUMBER_H

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

float bpi_slow_number(const char *p, locale_t c_locale);

typedef struct bpi_digits {
    uint64_t m;
    int64_t n; /* digits in m, which has overflowed where there are more than 19 */
} bpi_digits;

/* Eight digits at once, the first in the lowest byte; `*p` must have 8 bytes. */
static inline bool bpi_eight_digits(const char *p, uint64_t *value)
{
    uint64_t v;
    memcpy(&v, p, 8);
    if (((v & 0xF0F0F0F0F0F0F0F0u) | (((v + 0x0606060606060606u) & 0xF0F0F0F0F0F0F0F0u) >> 4)) !=
        0x3333333333333333u)
        return false;
    v = (v & 0x0F0F0F0F0F0F0F0Fu) * 2561 >> 8;
    v = (v & 0x00FF00FF00FF00FFu) * 6553601 >> 16;
    *value = (v & 0x0000FFFF0000FFFFu) * 42949672960001u >> 32;
    return true;
}

static inline const char *bpi_read_digits(const char *p, bpi_digits *d)
{
    const char *start = p;
    uint64_t eight;
    while (bpi_eight_digits(p, &eight)) {
        d->m = d->m * 100000000 + eight;
        p += 8;
    }
    for (; (unsigned)(*p - '0') < 10; p++)
        d->m = d->m * 10 + (unsigned)(*p - '0');
    d->n += p - start;
    return p;
}

/* Behind the number that begins at p; NULL where there is none. *value is infinite for what f32 has
 * no room for. At least 8 bytes that are no part of a number must be behind the text. */
static inline const char *bpi_read_number(const char *p, locale_t c_locale, float *value)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    enum { DIGITS = 19, POWERS = sizeof power / sizeof *power, LARGE = 100000 };
    const char *start = p;
    bpi_digits d = {0, 0};
    int64_t exponent = 0;
    bool negative = *p == '-';
    p = bpi_read_digits(p + (negative || *p == '+'), &d);
    if (*p == '.') {
        int64_t before = d.n;
        p = bpi_read_digits(p + 1, &d);
        exponent = before - d.n;
    }
    if (d.n == 0)
        return NULL;
    if ((*p | 0x20) == 'e') {
        bool down = *++p == '-';
        bpi_digits e = {0, 0};
        p = bpi_read_digits(p + (down || *p == '+'), &e);
        if (e.n == 0)
            return NULL;
        int64_t size = e.n > DIGITS || e.m > LARGE ? LARGE : (int64_t)e.m;
        exponent += down ? -size : size;
    }
    if (d.n <= DIGITS && exponent > -POWERS && exponent < POWERS) {
        double x = (double)d.m;
        x = exponent < 0 ? x / power[-exponent] : x * power[exponent];
        float low = (float)(x * (1 - 0x1p-51)), high = (float)(x * (1 + 0x1p-51));
        *value = negative ? -low : low;
        if (low == high)
            return p;
    }
    *value = bpi_slow_number(start, c_locale);
    return p;
}

#endif
