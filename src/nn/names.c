/* The names of a model's classes and inputs: one block of bytes, each name with its 0. In a file
 * they are one text: separated by commas, with %XX (two digits of base 16) for each byte that is no
 * plain ASCII, a quote, a backslash, '%' or ','. What a model is beside its parameters, as numbers. */
#include <string.h>

#include "nn/nn.h"

int64_t bpi_names_count(const bp_model *m, int which)
{
    return which == BPI_CLASS_NAMES ? m->outputs : m->inputs;
}

void bpi_model_take_names(bp_model *m, int which, bpi_texts *names)
{
    bpi_texts_free(m->ctx, &m->names[which]);
    m->names[which] = *names;
    *names = (bpi_texts){0};
}

static const char *name_of(const bp_model *m, int which, int64_t i)
{
    const char *name = m ? bpi_text_at(&m->names[which], i, bpi_names_count(m, which)) : NULL;
    return name && *name ? name : NULL;
}

const char *bp_model_class_name(const bp_model *m, int32_t c)
{
    return name_of(m, BPI_CLASS_NAMES, c);
}

const char *bp_model_feature_name(const bp_model *m, int64_t i)
{
    return name_of(m, BPI_FEATURE_NAMES, i);
}

bp_status bpi_names_of_data(const bp_model *m, const bp_data *data, int which, bpi_texts *names)
{
    const bpi_texts *from = bpi_data_names(data, which);
    size_t unknown = which == BPI_CLASS_NAMES ? (size_t)(m->outputs - bp_data_outputs(data)) : 0;
    *names = (bpi_texts){0};
    if (!from->text)
        return BP_OK;
    BPI_TRY(bpi_texts_take(m->ctx, "model_normalize", from->bytes + unknown, names));
    memcpy(names->text, from->text, from->bytes);
    memset(names->text + from->bytes, 0, unknown);
    return BP_OK;
}

size_t bpi_names_encode(const bp_model *m, int which, char *to)
{
    static const char digit[] = "0123456789ABCDEF";
    size_t n = 0;
    const char *p = m->names[which].text;
    int64_t all = bpi_names_count(m, which);
    for (int64_t c = 0; c < all; c++, p++) {
        for (; *p; p++) {
            unsigned char u = (unsigned char)*p;
            bool plain = u >= ' ' && u < 0x7f && u != '%' && u != ',' && u != '"' && u != '\\';
            char code[3] = {plain ? *p : '%', digit[u >> 4], digit[u & 15]};
            if (to)
                memcpy(to + n, code, plain ? 1 : 3);
            n += plain ? 1 : 3;
        }
        if (to)
            to[n] = c + 1 < all ? ',' : '\0';
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

uint64_t bpi_hashed(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * 0x100000001B3u;
    return hash;
}

void bpi_model_digest(const bp_model *m, uint64_t digest[BPI_DIGESTS])
{
    const uint64_t begin = BPI_HASH_BEGIN;
    const char *layers = m->layers ? m->layers->text : NULL;
    digest[BPI_DIGEST_LAYERS] = (uint64_t)m->tanh + 2 * (uint64_t)m->members - 2;
    digest[BPI_DIGEST_LAYERS] += layers ? bpi_hashed(begin, layers, strlen(layers)) : 0;
    digest[BPI_DIGEST_NORMALIZERS] = bpi_hashed(m->in.digest, &m->out.digest, sizeof m->out.digest);
    digest[BPI_DIGEST_NAMES] = 0;
    for (int i = 0; i < BPI_NAMES; i++)
        if (m->names[i].text)
            digest[BPI_DIGEST_NAMES] = bpi_hashed(digest[BPI_DIGEST_NAMES] ^ begin, m->names[i].text,
                                              m->names[i].bytes);
}
