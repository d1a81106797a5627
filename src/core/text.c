/* Text that others wrote. As messages show it, no byte of it can move a terminal's cursor or hide
 * what the message says; a number in it is the same number in every locale. */
#include "core/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Refused are forms longer than needed, surrogates, and the control characters, up to U+009F. */
size_t bpi_character(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] < 0x7F;
    size_t n = s[0] < 0xC2 || s[0] > 0xF4 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xC2 && s[1] < 0xA0) || (s[0] == 0xE0 && s[1] < 0xA0) ||
        (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) ||
        (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return n;
}

/* What is shown of the character at s; how many bytes that was of. */
static size_t shown(const char *s, char out[8])
{
    size_t n = bpi_character(s);
    memcpy(out, s, n);
    out[n] = '\0';
    if (n == 0)
        snprintf(out, 8, "\\x%02x", (unsigned)(unsigned char)*s);
    return n > 0 ? n : 1;
}

void bpi_printable(char *to, size_t bytes, const char *from)
{
    static const char dots[] = " ... ";
    char out[8];
    size_t length = 0, n = 0;
    for (const char *s = from; *s; length += strlen(out))
        s += shown(s, out);
    size_t skip = length < bytes ? 0 : length - (bytes - sizeof dots);
    for (const char *s = from; *s;) {
        s += shown(s, out);
        size_t width = strlen(out);
        if (skip > 0 && n >= bytes / 2) {
            skip -= width < skip ? width : skip;
            if (skip > 0)
                continue;
            strcpy(out, dots);
            width = sizeof dots - 1;
        }
        memcpy(to + n, out, width);
        n += width;
    }
    to[n] = '\0';
}

/* Not strtod: the host's locale may have another decimal point. */
const char *bpi_number(const char *p, double *x)
{
    int tens = 0, digits = 0, exponent = 0;
    bool point = false;
    for (*x = 0; (*p >= '0' && *p <= '9') || (*p == '.' && !point); p++) {
        point |= *p == '.';
        if (*p == '.')
            continue;
        *x = *x * 10 + (*p - '0');
        tens -= point;
        digits++;
    }
    if (digits && (*p == 'e' || *p == 'E')) {
        int sign = p[1] == '-' ? -1 : 1;
        p += p[1] == '-' || p[1] == '+' ? 2 : 1;
        if (*p < '0' || *p > '9')
            return NULL;
        for (; *p >= '0' && *p <= '9'; p++)
            exponent = exponent < 999 ? exponent * 10 + (*p - '0') : exponent;
        tens += sign * exponent;
    }
    double unit = 1;
    for (int i = tens < 0 ? -tens : tens; i > 0 && unit < 1e300; i--)
        unit *= 10;
    *x = tens < 0 ? *x / unit : *x * unit;
    return digits ? p : NULL;
}
