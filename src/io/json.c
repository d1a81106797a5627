/* Reading JSON: see json.h. */
#include <string.h>

#include "io/json.h"

enum { DEPTH_MAX = 127 }; /* values in one another */

bp_status bpi_json_bad(const bpi_json *j, const char *why)
{
    return bpi_fail(j->ctx, BP_ERR_FORMAT, "%s: %s, byte %lld: %s", j->path, j->what,
                    (long long)(j->at - j->start), why);
}

/* Bytes of the character at p, 0 where there is none. The text ends with a 0. */
static size_t character(const unsigned char *p)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] > 0xF4 || (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

bool bpi_is_utf8(const char *text)
{
    size_t n = 1;
    for (const unsigned char *p = (const unsigned char *)text; *p && n; p += n)
        n = character(p);
    return n > 0;
}

bp_status bpi_json_utf8(bpi_json *j, size_t length)
{
    for (size_t n; j->at < j->start + length; j->at += n)
        if ((n = character(j->at)) == 0)
            return bpi_json_bad(j, "not UTF-8");
    j->at = j->start;
    return BP_OK;
}

static void blanks(bpi_json *j)
{
    j->at += strspn((char *)j->at, " \t\r\n");
}

bool bpi_json_skip(bpi_json *j, char c)
{
    blanks(j);
    if (*j->at != (unsigned char)c)
        return false;
    j->at++;
    return true;
}

/* The four digits of a \u; -1 where they are not there. */
static int32_t hex4(bpi_json *j)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    int32_t c = 0;
    for (int i = 0; i < 4; i++, j->at++) {
        const char *d = *j->at ? strchr(digits, *j->at) : NULL;
        if (!d)
            return -1;
        c = 16 * c + (int32_t)(d - digits) % 16;
    }
    return c;
}

/* After \u: one character, of two escapes where the first is half of a pair; false for other
 * halves. */
static bool unicode(bpi_json *j, unsigned char **to)
{
    int32_t c = hex4(j), low;
    if (c >= 0xD800 && c < 0xDC00) {
        if (j->at[0] != '\\' || j->at[1] != 'u')
            return false;
        j->at += 2;
        low = hex4(j);
        if (low < 0xDC00 || low > 0xDFFF)
            return false;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    } else if (c < 0 || (c >= 0xDC00 && c < 0xE000)) {
        return false;
    }
    int more = c == 0 ? 1 : c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char first[] = {0, 0xC0, 0xE0, 0xF0};
    *(*to)++ = (unsigned char)(first[more] | c >> 6 * more);
    while (more-- > 0)
        *(*to)++ = (unsigned char)(0x80 | (c >> 6 * more & 0x3F));
    return true;
}

bp_status bpi_json_string(bpi_json *j, const char **out)
{
    if (!bpi_json_skip(j, '"'))
        return bpi_json_bad(j, "a string is wanted");
    unsigned char *to = j->at;
    *out = (char *)to;
    while (*j->at != '"') {
        if (*j->at < 0x20)
            return bpi_json_bad(j, "a string that does not end, or holds a control character");
        if (*j->at != '\\') {
            *to++ = *j->at++;
            continue;
        }
        const char *from = "\"\\/bfnrt", *escape = *++j->at ? strchr(from, *j->at) : NULL;
        bool is_unicode = *j->at == 'u';
        if (!escape && !is_unicode)
            return bpi_json_bad(j, "an escape that JSON does not know");
        j->at++;
        if (escape)
            *to++ = (unsigned char)"\"\\/\b\f\n\r\t"[escape - from];
        else if (!unicode(j, &to))
            return bpi_json_bad(j, "\\u wants four digits, and half of a pair its other half");
    }
    j->at++;
    *to = '\0';
    return BP_OK;
}

bp_status bpi_json_key(bpi_json *j, const char **out)
{
    BPI_TRY(bpi_json_string(j, out));
    return bpi_json_skip(j, ':') ? BP_OK : bpi_json_bad(j, "':' is wanted");
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

bp_status bpi_json_integer(bpi_json *j, int64_t *out)
{
    blanks(j);
    const unsigned char *first = j->at;
    bool fits = true;
    for (*out = 0; is_digit(*j->at); j->at++)
        fits = fits && !__builtin_mul_overflow(*out, 10, out) &&
               !__builtin_add_overflow(*out, *j->at - '0', out);
    if (!fits || j->at == first || (*first == '0' && j->at > first + 1) ||
        (*j->at && strchr(".eE", *j->at)))
        return bpi_json_bad(j, "an integer from 0 to 9223372036854775807 is wanted");
    return BP_OK;
}

static bool digits(bpi_json *j)
{
    const unsigned char *first = j->at;
    while (is_digit(*j->at))
        j->at++;
    return j->at > first;
}

static bp_status number(bpi_json *j)
{
    j->at += *j->at == '-';
    bool zero = *j->at == '0', good = zero ? (j->at++, true) : digits(j);
    if (good && *j->at == '.') {
        j->at++;
        good = digits(j);
    }
    if (good && (*j->at == 'e' || *j->at == 'E')) {
        j->at++;
        j->at += *j->at == '+' || *j->at == '-';
        good = digits(j);
    }
    return good ? BP_OK : bpi_json_bad(j, "a value is wanted");
}

static bool word(bpi_json *j, const char *text)
{
    size_t n = strlen(text);
    blanks(j);
    if (strncmp((char *)j->at, text, n))
        return false;
    j->at += n;
    return true;
}

bool bpi_json_null(bpi_json *j)
{
    return word(j, "null");
}

bp_status bpi_json_value(bpi_json *j, int depth)
{
    const char *text;
    blanks(j);
    if (*j->at == '"')
        return bpi_json_string(j, &text);
    bool object = *j->at == '{';
    if (!object && *j->at != '[')
        return word(j, "true") || word(j, "false") || word(j, "null") ? BP_OK : number(j);
    if (depth >= DEPTH_MAX)
        return bpi_json_bad(j, "too many values in one another");
    j->at++;
    if (bpi_json_skip(j, object ? '}' : ']'))
        return BP_OK;
    do {
        if (object)
            BPI_TRY(bpi_json_key(j, &text));
        BPI_TRY(bpi_json_value(j, depth + 1));
    } while (bpi_json_skip(j, ','));
    return bpi_json_skip(j, object ? '}' : ']') ? BP_OK
                                                : bpi_json_bad(j, "',' or the end is wanted");
}
