/* Snapshots: what a model is and holds, in one block of host memory that never changes. Nothing in
 * it belongs to a context, so it is the only thing that crosses contexts and threads: a count of
 * references is all that is shared. */
#include <stdatomic.h>
#include <string.h>

#include "core/params.h"
#include "core/view.h"
#include "nn/nn.h"

struct bp_snapshot {
    _Atomic int64_t refs;
    bpi_freer freer;
    size_t bytes; /* of the block, which begins here; what follows lies in it */
    bpi_description is;
    char *text;       /* of the layers; NULL: the model has none */
    size_t text_bytes;
    bpi_texts told[BPI_NAMES]; /* of classes, of inputs */
    int32_t n; /* parameters: */
    bp_shape *shape;
    char *names; /* each with its 0 */
    size_t names_bytes;
    double *in, *out; /* the normalisers, shifts and then scales; */
    size_t matrix_bytes;
    float *matrix;    /* what follows those of the inputs, or NULL */
    void *values;     /* all of the store */
};

/* Room for `bytes` in the block, or with NULL only its size. */
static void *room(bp_snapshot *s, size_t *at, size_t bytes)
{
    void *p = s ? (char *)s + *at : NULL;
    *at += (bytes + 63) / 64 * 64;
    return p;
}

/* The places of all parts in a block s, or with NULL only what it takes, from `like`'s sizes. */
static size_t lay_out(bp_snapshot *s, const bp_model *m, const bp_snapshot *like)
{
    size_t at = (sizeof *s + 63) / 64 * 64;
    bp_snapshot parts = *like;
    parts.text = like->text_bytes ? room(s, &at, like->text_bytes) : NULL;
    for (int i = 0; i < BPI_NAMES; i++)
        parts.told[i].text = like->told[i].bytes ? room(s, &at, like->told[i].bytes) : NULL;
    parts.names = room(s, &at, like->names_bytes);
    parts.shape = room(s, &at, (size_t)like->n * sizeof(bp_shape));
    parts.in = room(s, &at, 2 * (size_t)m->inputs * sizeof(double));
    parts.out = room(s, &at, 2 * (size_t)m->outputs * sizeof(double));
    parts.matrix = like->matrix_bytes ? room(s, &at, like->matrix_bytes) : NULL;
    parts.values = room(s, &at, (size_t)m->params->count * sizeof(float));
    parts.bytes = at;
    if (s)
        *s = parts;
    return at;
}

static bp_status fill(bp_snapshot *s, bp_model *m)
{
    char *name = s->names;
    if (s->text)
        s->is.layers = memcpy(s->text, m->layers->text, s->text_bytes);
    for (int i = 0; i < BPI_NAMES; i++)
        if (s->told[i].text)
            memcpy(s->told[i].text, m->names[i].text, s->told[i].bytes);
    for (int32_t i = 0; i < s->n; i++) {
        size_t bytes = strlen(bp_param_name(m->params, i)) + 1;
        memcpy(name, bp_param_name(m->params, i), bytes);
        name += bytes;
        s->shape[i] = bp_shape_of(bp_param_at(m->params, i));
    }
    memcpy(s->in, m->in.host, 2 * (size_t)m->inputs * sizeof(double));
    memcpy(s->out, m->out.host, 2 * (size_t)m->outputs * sizeof(double));
    if (s->matrix)
        BPI_TRY(bp_read(m->in.matrix, s->matrix, s->matrix_bytes));
    return bpi_params_read_all(m->params, s->values, "snapshot_take");
}

static bp_status take(bp_model *m, bp_snapshot **out)
{
    bp_context *ctx = m->ctx;
    BPI_TRY(bpi_given(ctx, out, "snapshot_take: snapshot"));
    BPI_TRY(bpi_params_materialize(m->params));
    bp_snapshot like = {.refs = 1, .freer = bpi_host_freer(ctx), .n = bp_param_count(m->params),
                        .text_bytes = m->layers ? strlen(m->layers->text) + 1 : 0,
                        .is = {m->inputs, m->outputs, m->task, NULL, {NULL}, m->how, m->tanh,
                               m->members}};
    if (m->in.matrix)
        like.matrix_bytes = (size_t)(m->inputs * m->inputs) * sizeof *like.matrix;
    for (int i = 0; i < BPI_NAMES; i++)
        like.told[i].bytes = m->names[i].bytes;
    for (int32_t i = 0; i < like.n; i++)
        like.names_bytes += strlen(bp_param_name(m->params, i)) + 1;
    size_t bytes = lay_out(NULL, m, &like);
    bp_snapshot *s = bpi_host_alloc(ctx, bytes);
    if (!s)
        return bpi_fail(ctx, BP_ERR_NOMEM, "snapshot_take: no memory for %zu bytes", bytes);
    lay_out(s, m, &like);
    bp_status st = fill(s, m);
    if (st == BP_OK)
        *out = s;
    else
        bp_snapshot_free(s);
    return st;
}

bp_status bp_snapshot_take(bp_model *m, bp_snapshot **snapshot)
{
    if (snapshot)
        *snapshot = NULL;
    BPI_LEADS(m, "snapshot_take: model");
    BPI_INSIDE(m->ctx, take(m, snapshot));
}

bp_snapshot *bp_snapshot_share(bp_snapshot *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void bp_snapshot_free(bp_snapshot *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        bpi_host_free_by(s->freer, s, s->bytes);
}

/* --- back into a model ----------------------------------------------------------------------- */

static bp_status same_params(bp_model *m, const bp_snapshot *s)
{
    const char *name = s->names;
    if (bp_param_count(m->params) != s->n)
        return bpi_fail(m->ctx, BP_ERR_FORMAT, "model_restore: %d parameters; the model has %d",
                        (int)s->n, (int)bp_param_count(m->params));
    for (int32_t i = 0; i < s->n; i++, name += strlen(name) + 1) {
        bp_shape shape = bp_shape_of(bp_param_at(m->params, i));
        if (strcmp(name, bp_param_name(m->params, i)) || !bpi_same_shape(&shape, &s->shape[i]))
            return bpi_fail(m->ctx, BP_ERR_FORMAT,
                            "model_restore: parameter %d is %s %s; the model's is %s %s", (int)i,
                            name, bpi_shape_str(&s->shape[i]).s, bp_param_name(m->params, i),
                            bpi_shape_str(&shape).s);
    }
    return BP_OK;
}

/* What needs memory comes before anything has changed. */
static bp_status restore(bp_model *m, const bp_snapshot *s)
{
    BPI_TRY(bpi_given(m->ctx, s, "model_restore: snapshot"));
    BPI_TRY(bpi_model_is(m, &s->is, "model_restore"));
    BPI_TRY(same_params(m, s));
    BPI_TRY(bpi_params_materialize(m->params));
    bpi_texts names[BPI_NAMES] = {0};
    bp_status st = BP_OK;
    for (int i = 0; i < BPI_NAMES && st == BP_OK; i++)
        if (s->told[i].text)
            st = bpi_texts_take(m->ctx, "model_restore", s->told[i].bytes, &names[i]);
    if (st == BP_OK)
        st = bpi_model_set_targets(m, s->out);
    if (st == BP_OK)
        st = bpi_normalizer_set(&m->in, s->in, s->matrix);
    if (st == BP_OK)
        st = bpi_params_write_all(m->params, s->values, "model_restore");
    for (int i = 0; i < BPI_NAMES; i++) {
        if (names[i].text)
            memcpy(names[i].text, s->told[i].text, s->told[i].bytes);
        if (st == BP_OK)
            bpi_model_take_names(m, i, &names[i]);
        else
            bpi_texts_free(m->ctx, &names[i]);
    }
    if (st == BP_OK) {
        m->how = s->is.how;
        m->tanh = s->is.tanh;
    }
    return st;
}

bp_status bp_model_restore(bp_model *m, const bp_snapshot *snapshot)
{
    BPI_LEADS(m, "model_restore: model");
    BPI_INSIDE(m->ctx, restore(m, snapshot));
}

static bp_status from(bp_context *ctx, const bp_snapshot *s, bp_model **out)
{
    BPI_TRY(bpi_given(ctx, s, "model_from: snapshot"));
    BPI_TRY(bpi_given(ctx, out, "model_from: model"));
    bp_model *m;
    if (!s->text)
        return bpi_fail(ctx, BP_ERR_FORMAT, "model_from: its forward pass is a program's own: make "
                        "the model with bp_model_own, then bp_model_restore");
    BPI_TRY(bpi_model_create(ctx, &s->is, "model_from", &m));
    bp_status st = restore(m, s);
    if (st == BP_OK)
        *out = m;
    else
        bp_model_free(m);
    return st;
}

bp_status bp_model_from(bp_context *ctx, const bp_snapshot *snapshot, bp_model **model)
{
    if (model)
        *model = NULL;
    BPI_INSIDE(ctx, from(ctx, snapshot, model));
}
