/* Parameter stores: making and freeing them, declaring, looking. Their memory: flat.c. */
#include "core/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "core/view.h"

static bp_status create(bp_context *ctx, bp_dtype dtype, bp_params **out)
{
    BPI_TRY(bpi_given(ctx, out, "params_create: params"));
    if (!bpi_is_real(dtype))
        return bpi_fail(ctx, BP_ERR_DTYPE, "params_create: %s is not f32 or f64",
                        bp_dtype_name(dtype));
    bp_params *p = bpi_object_alloc(ctx, sizeof *p);
    if (!p)
        return bpi_fail(ctx, BP_ERR_NOMEM, "params_create: out of memory");
    uint32_t serial = ctx->n_stores < 0xffffff ? ++ctx->n_stores : 0;
    *p = (bp_params){.counted.refs = 1, .ctx = ctx, .serial = serial, .dtype = dtype, .window = 1,
                     .next = ctx->stores};
    ctx->stores = *out = p;
    return BP_OK;
}

bp_status bp_params_create(bp_context *ctx, bp_dtype dtype, bp_params **params)
{
    if (params)
        *params = NULL;
    BPI_INSIDE(ctx, create(ctx, dtype, params));
}

static void free_late(bpi_late *late)
{
    bp_params_free((bp_params *)((char *)late - offsetof(bp_params, late)));
}

static void destroy(bp_params **link)
{
    bp_params *p = *link;
    bp_context *ctx = p->ctx;
    *link = p->next;
    for (int64_t i = 0; i < p->n; i++)
        bpi_host_free(ctx, p->segment[i].name, strlen(p->segment[i].name) + 1);
    bpi_host_free(ctx, p->segment, (size_t)p->capacity * sizeof *p->segment);
    bpi_params_forget_initial(p);
    bpi_object_free(ctx, p, sizeof *p);
}

void bpi_params_collect(bp_context *ctx)
{
    for (bp_params **link = &ctx->stores; ctx->orphans > 0;)
        if ((*link)->counted.refs > 0) {
            link = &(*link)->next;
        } else {
            destroy(link);
            ctx->orphans--;
        }
}

void bpi_params_release(bp_params *p)
{
    bp_context *ctx = p->ctx;
    if (--p->counted.refs > 0)
        return;
    ctx->orphans++;
    if (ctx->depth == 0)
        bpi_params_collect(ctx);
}

/* Its tensors end; names and flags stay while somebody may ask for them. */
void bp_params_free(bp_params *p)
{
    if (!p || !bpi_enter_to_free(p->ctx, &p->late, free_late))
        return;
    bp_context *ctx = p->ctx;
    for (int64_t i = 0; i < p->n; i++) {
        bpi_kill(p->segment[i].value);
        bpi_kill(p->segment[i].grad);
        p->segment[i].value = p->segment[i].grad = NULL;
    }
    bpi_kill(p->values);
    bpi_kill(p->grads);
    bpi_kill(p->suspect);
    p->values = p->grads = p->suspect = NULL;
    p->counted.freed = true;
    bpi_params_release(p);
    bpi_leave(ctx);
}

static bp_status declarable(bp_params *p, const char *name, const bpi_segment *s)
{
    bp_context *ctx = p->ctx;
    BPI_TRY(bpi_given(ctx, name, "param: name"));
    if (!*name)
        return bpi_fail(ctx, BP_ERR_ARG, "param: a parameter needs a name");
    BPI_TRY(bpi_not_recording(ctx, "param"));
    if (p->values)
        return bpi_fail(ctx, BP_ERR_STATE, "param %s: the store is in use and takes no more", name);
    if (!bpi_shape_valid(&s->shape) || bp_shape_count(s->shape) == 0)
        return bpi_fail(ctx, BP_ERR_SHAPE, "param %s: bad shape %s", name,
                        bpi_shape_str(&s->shape).s);
    if (s->init < BP_INIT_ZERO || s->init > BP_INIT_ORTHOGONAL)
        return bpi_fail(ctx, BP_ERR_ARG, "param %s: unknown initialisation %d", name, (int)s->init);
    if (!isfinite(p->dtype == BP_F32 ? (double)(float)s->constant : s->constant))
        return bpi_fail(ctx, BP_ERR_ARG, "param %s: the constant %g is not finite in %s", name,
                        s->constant, bp_dtype_name(p->dtype));
    if (bp_param_index(p, name) >= 0)
        return bpi_fail(ctx, BP_ERR_ARG, "param %s: declared twice", name);
    return BP_OK;
}

/* The elements of a segment in the flat buffers: whole rows of its pitch, up to a multiple of 64
 * bytes. False where the store would be larger than a storage can be. */
static bool padded(const bp_params *p, const bp_view *v, int64_t *count)
{
    int64_t rows = v->shape.ndim == 2 ? v->shape.dim[0] : bp_shape_count(v->shape);
    int64_t row = v->shape.ndim == 2 ? v->stride[0] : 1, most, all = 0;
    int64_t line = 64 / (int64_t)bp_dtype_bytes(p->dtype);
    for (int64_t i = 0; i < p->n; i++)
        all += p->segment[i].count;
    most = (int64_t)(BPI_BYTES_MAX / bp_dtype_bytes(p->dtype)) - line - all;
    if (__builtin_mul_overflow(rows, row, count) || *count > most)
        return false;
    *count = (*count + line - 1) / line * line;
    return true;
}

/* `new` has a shape, and how it starts. */
static bp_tensor *declare(bp_params *p, const char *name, bpi_segment new)
{
    bp_context *ctx = p->ctx;
    if (declarable(p, name, &new) != BP_OK ||
        !bpi_grow(ctx, (void **)&p->segment, &p->capacity, p->n + 1, sizeof *p->segment))
        return NULL;
    bp_view v = {0};
    bpi_view_rows(&v, p->dtype, new.shape);
    if (!padded(p, &v, &new.count)) {
        bpi_fail(ctx, BP_ERR_SHAPE,
                 "param %s: with %s %s the store would hold more than %zu bytes", name,
                 bp_dtype_name(p->dtype), bpi_shape_str(&new.shape).s, BPI_BYTES_MAX);
        return NULL;
    }
    new.name = bpi_host_alloc(ctx, strlen(name) + 1);
    new.value = new.name ? bpi_handle(ctx, NULL, &v, BPI_OWNER_OBJECT) : NULL;
    if (!new.value) {
        bpi_host_free(ctx, new.name, strlen(name) + 1);
        bpi_fail(ctx, BP_ERR_NOMEM, "param %s: out of memory", name);
        return NULL;
    }
    strcpy(new.name, name);
    bpi_at(new.value)->store = p;
    bpi_at(new.value)->segment = (int32_t)p->n;
    p->segment[p->n++] = new;
    return new.value;
}

static bp_tensor *param(bp_params *p, const char *none, const char *name, bpi_segment new)
{
    if (!p)
        bpi_tell_thread(BP_ERR_ARG, none);
    if (!p || bpi_enter(p->ctx) != BP_OK)
        return NULL;
    bp_tensor *t = declare(p, name, new);
    bpi_leave(p->ctx);
    return t;
}

bp_tensor *bp_param(bp_params *p, const char *name, bp_shape shape, bp_init init)
{
    return param(p, "param: params is NULL", name,
                 (bpi_segment){.shape = shape, .init = init, .constant = init == BP_INIT_ONE});
}

bp_tensor *bp_param_constant(bp_params *p, const char *name, bp_shape shape, double value)
{
    return param(p, "param_constant: params is NULL", name,
                 (bpi_segment){.shape = shape, .constant = value});
}

bp_tensor *bp_param_with(bp_params *p, const char *name, bp_shape shape, bp_init_fn fill,
                         void *user)
{
    if (!p || fill)
        return param(p, "param_with: params is NULL", name,
                     (bpi_segment){.shape = shape, .fill = fill, .user = user});
    if (bpi_enter(p->ctx) == BP_OK) {
        (void)!bpi_given(p->ctx, NULL, "param_with: fill");
        bpi_leave(p->ctx);
    }
    return NULL;
}

void bpi_params_undeclare(bp_params *p, int32_t n)
{
    for (; p->n > n && !p->values; p->n--) {
        bpi_segment *s = &p->segment[p->n - 1];
        bpi_kill(s->value);
        bpi_host_free(p->ctx, s->name, strlen(s->name) + 1);
    }
}

/* --- looking at a store ------------------------------------------------------------------ */

int32_t bp_param_count(const bp_params *p)
{
    return p ? (int32_t)p->n : 0;
}

bp_tensor *bp_param_at(bp_params *p, int32_t i)
{
    return p && i >= 0 && i < p->n ? p->segment[i].value : NULL;
}

int32_t bp_param_index(const bp_params *p, const char *name)
{
    for (int32_t i = 0; name && i < bp_param_count(p); i++)
        if (!strcmp(p->segment[i].name, name))
            return i;
    return -1;
}

bpi_element_text bpi_element_str(const bp_context *ctx, uint32_t store, int64_t place)
{
    bpi_element_text t = {"a parameter"};
    const bp_params *p = store ? ctx->stores : NULL;
    while (p && p->serial != store)
        p = p->next;
    for (int64_t i = 0; p && i < p->n; i++) {
        const bpi_segment *s = &p->segment[i];
        int64_t e = place - s->offset;
        if (e < 0 || e >= s->count)
            continue;
        const bp_view *v = bpi_view_of(s->value);
        int n = snprintf(t.s, sizeof t.s, "%.80s", s->name);
        for (int32_t k = 0; k < v->shape.ndim; k++) {
            n += snprintf(t.s + n, sizeof t.s - (size_t)n, "%s%lld", k ? "," : " [",
                          (long long)(e / v->stride[k]));
            e %= v->stride[k];
        }
        if (v->shape.ndim)
            snprintf(t.s + n, sizeof t.s - (size_t)n, "]");
    }
    return t;
}

const char *bp_param_name(const bp_params *p, int32_t i)
{
    return p && i >= 0 && i < p->n ? p->segment[i].name : NULL;
}

bp_tensor *bp_param_grad(bp_params *p, int32_t i)
{
    bool valid = p && i >= 0 && i < p->n && !p->invalid && p->segment[i].window == p->window &&
                 !p->segment[i].buffer;
    if (!valid)
        return NULL;
    p->grads_seen = true;
    return p->segment[i].grad;
}

bp_status bp_param_freeze(bp_params *p, int32_t i, int32_t frozen)
{
    BPI_LEADS(p, "param_freeze: params");
    BPI_TRY(bpi_enter(p->ctx));
    bp_status st = BP_OK;
    if (i < 0 || i >= p->n)
        st = bpi_fail(p->ctx, BP_ERR_ARG, "param_freeze: no parameter %d among %lld", i,
                      (long long)p->n);
    else if ((st = bpi_not_recording(p->ctx, "param_freeze")) == BP_OK)
        p->segment[i].frozen = frozen != 0;
    bpi_leave(p->ctx);
    return st;
}

/* A star takes as little as will do; where that was too little, the last one takes one more. */
bool bpi_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *taken = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            taken = name;
        } else if (*pattern == '?' || *pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++taken;
        } else {
            return false;
        }
    }
    return pattern[strspn(pattern, "*")] == '\0';
}

bp_status bpi_params_matched(bp_params *p, const char *pattern, const char *who)
{
    for (int64_t i = 0; i < p->n; i++)
        if (bpi_name_matches(pattern, p->segment[i].name))
            return BP_OK;
    if (p->n == 0)
        return bpi_fail(p->ctx, BP_ERR_ARG, "%s: no parameter is named %s: the store has none", who,
                        pattern);
    return bpi_fail(p->ctx, BP_ERR_ARG, "%s: no parameter is named %s: of %lld the first is %s",
                    who, pattern, (long long)p->n, p->segment[0].name);
}

static bp_status freeze(bp_params *p, const char *pattern, bool frozen)
{
    BPI_TRY(bpi_given(p->ctx, pattern, "params_freeze: pattern"));
    BPI_TRY(bpi_not_recording(p->ctx, "params_freeze"));
    BPI_TRY(bpi_params_matched(p, pattern, "params_freeze"));
    for (int64_t i = 0; i < p->n; i++)
        if (bpi_name_matches(pattern, p->segment[i].name))
            p->segment[i].frozen = frozen;
    return BP_OK;
}

bp_status bp_params_freeze(bp_params *p, const char *pattern, int32_t frozen)
{
    BPI_LEADS(p, "params_freeze: params");
    BPI_INSIDE(p->ctx, freeze(p, pattern, frozen != 0));
}
