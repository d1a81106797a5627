/* Looking at a data set: what it has, and what its targets are. */
#include <string.h>

#include "data/set.h"

int64_t bp_data_rows(const bp_data *d)
{
    return d ? atomic_load_explicit(&d->rows, memory_order_relaxed) : 0;
}

int64_t bp_data_cols(const bp_data *d)
{
    const bpi_column *x = d ? bpi_data_find(d, "x") : NULL;
    return x ? x->count : 0;
}

int32_t bp_data_classes(const bp_data *d)
{
    return d ? d->classes : 0;
}

const char *bpi_text_at(const bpi_texts *texts, int64_t i, int64_t n)
{
    const char *text = texts->text;
    if (!text || i < 0 || i >= n)
        return NULL;
    while (i-- > 0)
        text += strlen(text) + 1;
    return text;
}

const char *bp_data_class_name(const bp_data *d, int32_t c)
{
    return d ? bpi_text_at(&d->names[BPI_CLASS_NAMES], c, d->classes) : NULL;
}

const char *bp_data_feature_name(const bp_data *d, int64_t i)
{
    return d ? bpi_text_at(&d->names[BPI_FEATURE_NAMES], i, bp_data_cols(d)) : NULL;
}

bp_targets bp_data_targets(const bp_data *d)
{
    const bpi_column *y = d ? bpi_data_find(d, "y") : NULL;
    if (!y)
        return BP_TARGETS_NONE;
    return y->rule == BPI_CLASSES ? BP_TARGETS_CLASSES
           : y->rule == BPI_FLAGS ? BP_TARGETS_LABELS : BP_TARGETS_REAL;
}

int64_t bp_data_outputs(const bp_data *d)
{
    const bpi_column *y = d ? bpi_data_find(d, "y") : NULL;
    return !y ? 0 : y->rule == BPI_CLASSES ? d->classes : y->count;
}

int32_t bp_data_columns(const bp_data *d)
{
    return d ? (int32_t)d->n_columns : 0;
}

const char *bp_data_column_name(const bp_data *d, int32_t i)
{
    return d && i >= 0 && i < d->n_columns ? d->column[i].name : NULL;
}

bp_tensor *bp_data_column(bp_data *d, const char *name)
{
    if (!d)
        bpi_tell_thread(BP_ERR_ARG, "data_column: data is NULL");
    const bpi_column *c = d && name ? bpi_data_find(d, name) : NULL;
    if (c || !d || bpi_enter(d->ctx) != BP_OK)
        return c ? c->values : NULL;
    if (bpi_given(d->ctx, name, "data_column: name") == BP_OK)
        bpi_fail(d->ctx, BP_ERR_ARG, "data_column: there is no column \"%s\"", name);
    bpi_leave(d->ctx);
    return NULL;
}

static bp_tensor *values_of(const bp_data *d, const char *name)
{
    const bpi_column *c = d ? bpi_data_find(d, name) : NULL;
    return c ? c->values : NULL;
}

bp_tensor *bp_data_samples(bp_data *d)
{
    return values_of(d, "x");
}

bp_tensor *bp_data_labels(bp_data *d)
{
    return values_of(d, "y");
}

const bpi_texts *bpi_data_names(const bp_data *d, int which)
{
    return &d->names[which];
}

bp_context *bpi_data_context(const bp_data *d)
{
    return d->ctx;
}

bool bpi_data_images(const bp_data *d)
{
    return d->images;
}

void bpi_data_set_images(bp_data *d)
{
    if (d)
        d->images = true;
}
