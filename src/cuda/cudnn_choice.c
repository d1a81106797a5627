/* A choice among cuDNN's configurations in words, "67 2=4 13=0": an engine by its number and its
 * knobs by theirs, for choices.c; and the configuration that such words stand for. cuDNN's own text
 * of a plan would hold the whole graph, and a file could say another one than is wanted: here the
 * graph is ours, and the engine's notes are read again. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cudnn_describe.h"

#define BY(four) (long long)(four)[0], (long long)(four)[1], (long long)(four)[2], \
                 (long long)(four)[3]

/* All that the choice depends on. The device's name begins with the number it has here. */
void bpi_cudnn_key(const bpi_cuda *d, const bpi_convolution *key, char text[BPI_CHOICE_LINE / 2])
{
    static const char *const kind[] = {[BPI_CONV_PLAIN] = "conv2d",
                                       [BPI_CONV_BIAS] = "conv2d+bias",
                                       [BPI_CONV_BIAS_RELU] = "conv2d+bias+relu",
                                       [BPI_CONV_INPUT] = "conv2d_input",
                                       [BPI_CONV_FILTER] = "conv2d_filter"};
    const bp_window *how = &key->how;
    const char *gpu = strchr(d->base.name, ' ');
    snprintf(text, BPI_CHOICE_LINE / 2,
             "%s,%s, %s %s x %lldx%lldx%lldx%lld w %lldx%lldx%lldx%lld y %lldx%lldx%lldx%lld "
             "stride %d,%d dilation %d,%d pad %lld,%lld,%lld,%lld groups %d "
             "aligned %lld,%lld,%lld,%lld", d->cudnn->version, gpu ? gpu : "", kind[key->kind],
             key->dtype == BP_F64 ? "f64" : key->precision == BP_PRECISION_TF32 ? "tf32" : "f32",
             BY(key->x), BY(key->w), BY(key->y), how->stride[0], how->stride[1], how->dilation[0],
             how->dilation[1], BY(how->pad), how->groups, BY(key->align));
}

/* Empty: it cannot be said. */
bp_status bpi_cudnn_say(builder *b, descriptor configuration, int64_t engine,
                        char words[BPI_CHOICE_LINE / 2])
{
    descriptor knob[KNOBS];
    int64_t knobs = 0, n;
    for (int i = 0; i < KNOBS; i++)
        BPI_TRY(bpi_cudnn_create(b, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, &knob[i]));
    DNN_TRY(b->d, BackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, KNOBS, &knobs, knob));
    int at = snprintf(words, BPI_CHOICE_LINE / 2, "%" PRId64, engine);
    for (int i = 0; i < knobs && at < BPI_CHOICE_LINE / 2; i++) {
        int32_t type;
        int64_t value;
        DNN_TRY(b->d, BackendGetAttribute(knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE,
                                          CUDNN_TYPE_KNOB_TYPE, 1, &n, &type));
        DNN_TRY(b->d, BackendGetAttribute(knob[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE,
                                          CUDNN_TYPE_INT64, 1, &n, &value));
        at += snprintf(words + at, (size_t)(BPI_CHOICE_LINE / 2 - at), " %d=%" PRId64, (int)type,
                       value);
    }
    if (at >= BPI_CHOICE_LINE / 2)
        words[0] = '\0';
    return BP_OK;
}

/* --- and back -------------------------------------------------------------------------------- */

/* A descriptor, or NULL where cuDNN refuses it: what a file says may be anything. */
static bp_status ask(builder *b, cudnnBackendDescriptorType_t type, descriptor *out,
                     const attribute *a, int n)
{
    const bpi_cudnn_calls *cudnn = &b->d->cudnn->call;
    cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
    BPI_TRY(bpi_cudnn_create(b, type, out));
    for (int i = 0; i < n && status == CUDNN_STATUS_SUCCESS; i++)
        status = cudnn->BackendSetAttribute(*out, a[i].name, a[i].type, a[i].count, a[i].value);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnn->BackendFinalize(*out);
    if (!bpi_cudnn_says_no(status) && status / 1000 != CUDNN_STATUS_BAD_PARAM / 1000)
        return bpi_cudnn_check(b->d, status, "BackendFinalize");
    *out = NULL;
    return BP_OK;
}

static bp_status ask_knob(builder *b, int32_t type, int64_t value, descriptor *out)
{
    const attribute a[] = {ATTR(KNOB_CHOICE_KNOB_TYPE, KNOB_TYPE, 1, &type),
                           ATTR(KNOB_CHOICE_KNOB_VALUE, INT64, 1, &value)};
    return ask(b, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, out, a, LENGTH(a));
}

static bp_status ask_engine(builder *b, descriptor graph, int64_t number, descriptor *out)
{
    const bpi_cudnn *cudnn = b->d->cudnn;
    const attribute a[] = {ATTR(ENGINE_OPERATION_GRAPH, BACKEND_DESCRIPTOR, 1, &graph),
                           ATTR(ENGINE_GLOBAL_INDEX, INT64, 1, &number),
                           ATTR(ENGINE_DEVICEPROP, BACKEND_DESCRIPTOR, 1, &cudnn->described)};
    return ask(b, CUDNN_BACKEND_ENGINE_DESCRIPTOR, out, a,
               cudnn->described ? LENGTH(a) : LENGTH(a) - 1);
}

/* " 2=4 13=0", in knobs that cuDNN takes; false where they are not that. */
static bp_status ask_knobs(builder *b, const char *words, descriptor knob[KNOBS], int *n,
                           bool *good)
{
    int used;
    int32_t type;
    int64_t value;
    for (*n = 0, *good = true; *words != '\n'; words += used) {
        *good = *n < KNOBS && sscanf(words, " %9" SCNd32 "=%18" SCNd64 "%n", &type, &value,
                                     &used) == 2;
        if (*good)
            BPI_TRY(ask_knob(b, type, value, &knob[*n]));
        *good = *good && knob[(*n)++];
        if (!*good)
            break;
    }
    return BP_OK;
}

bp_status bpi_cudnn_mean(builder *b, descriptor graph, const char *words, descriptor *configuration)
{
    char *rest;
    const int64_t number = strtoll(words, &rest, 10);
    descriptor engine, knob[KNOBS];
    int n;
    bool good;
    *configuration = NULL;
    BPI_TRY(ask_knobs(b, rest, knob, &n, &good));
    if (rest == words || !good)
        return BP_OK;
    BPI_TRY(ask_engine(b, graph, number, &engine));
    if (!engine)
        return BP_OK;
    const attribute a[] = {ATTR(ENGINECFG_ENGINE, BACKEND_DESCRIPTOR, 1, &engine),
                           ATTR(ENGINECFG_KNOB_CHOICES, BACKEND_DESCRIPTOR, n, knob)};
    return ask(b, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, configuration, a,
               n > 0 ? LENGTH(a) : LENGTH(a) - 1);
}
