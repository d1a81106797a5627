/* The names of a model's classes: one block of bytes, each name with its 0. In a file they are one
 * text: separated by commas, with %XX (two digits of base 16) for each byte that is no plain ASCII,
 * a quote, a backslash, '%' or ','. */
#include <string.h>

#include "nn/nn.h"

void bpi_model_take_names(bp_model *m, char *names, size_t n)
{
    bpi_host_free(m->ctx, m->names, m->names_bytes);
    m->names = names;
    m->names_bytes = n;
}

const char *bp_model_class_name(const bp_model *m, int32_t c)
{
    if (!m || !m->names || c < 0 || c >= m->outputs)
        return NULL;
    const char *name = m->names;
    for (; c > 0; c--)
        name += strlen(name) + 1;
    return *name ? name : NULL;
}

bp_status bpi_names_of_data(const bp_model *m, const bp_data *data, char **names, size_t *bytes)
{
    int32_t n = (int32_t)bp_data_outputs(data);
    *bytes = (size_t)(m->outputs - n);
    for (int32_t c = 0; c < n; c++)
        *bytes += strlen(bp_data_class_name(data, c)) + 1;
    *names = bpi_host_alloc(m->ctx, *bytes);
    if (!*names)
        return bpi_fail(m->ctx, BP_ERR_NOMEM, "model_normalize: out of memory");
    char *at = *names;
    for (int32_t c = 0; c < n; c++) {
        strcpy(at, bp_data_class_name(data, c));
        at += strlen(at) + 1;
    }
    return BP_OK;
}

size_t bpi_names_encode(const bp_model *m, char *to)
{
    static const char digit[] = "0123456789ABCDEF";
    size_t n = 0;
    const char *p = m->names;
    for (int64_t c = 0; c < m->outputs; c++, p++) {
        for (; *p; p++) {
            unsigned char u = (unsigned char)*p;
            bool plain = u >= ' ' && u < 0x7f && u != '%' && u != ',' && u != '"' && u != '\\';
            char code[3] = {plain ? *p : '%', digit[u >> 4], digit[u & 15]};
            if (to)
                memcpy(to + n, code, plain ? 1 : 3);
            n += plain ? 1 : 3;
        }
        if (to)
            to[n] = c + 1 < m->outputs ? ',' : '\0';
        n++;
    }
    return n;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int64_t bpi_names_decode(const char *text, char *to)
{
    int64_t n = 1;
    for (; *text; text++) {
        n += *text == ',';
        *to = *text == ',' ? '\0' : *text;
        if (*text == '%') {
            int high = hex(text[1]), low = high < 0 ? -1 : hex(text[2]);
            if (low < 0 || high + low == 0)
                return -1;
            *to = (char)(high << 4 | low);
            text += 2;
        }
        to++;
    }
    *to = '\0';
    return n;
}
