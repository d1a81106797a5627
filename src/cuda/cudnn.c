/* The convolutions of a CUDA device by cuDNN: its handle, the list of plans, and running them. How
 * a plan is made: cudnn_plan.c.
 *
 * A workspace beyond the device's own grows when a plan is made, never in a step. A graph that has
 * been captured goes on using the one it has seen, so that is kept as long as there are graphs. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cudnn.h"

struct bpi_conv_space {
    bpi_conv_space *next;
    void *memory;
    size_t bytes;
};

/* --- opening and closing --------------------------------------------------------------------- */

static bp_status set_up(bpi_cuda *d)
{
    BPI_TRY(bpi_cudnn_load(d->cudnn, d->base.why));
    DNN_TRY(d, Create(&d->cudnn->handle));
    DNN_TRY(d, SetStream(d->cudnn->handle, d->stream));
    return BP_OK;
}

static bp_status open_library(bpi_cuda *d)
{
    if (d->cudnn)
        return BP_OK;
    d->cudnn = calloc(1, sizeof *d->cudnn);
    if (!d->cudnn)
        return BP_ERR_NOMEM;
    bp_status st = set_up(d);
    if (st != BP_OK)
        bpi_cudnn_close(d);
    return st;
}

static void free_plan(bpi_cudnn *cudnn, bpi_conv_plan *p)
{
    if (p->plan)
        (void)cudnn->call.BackendDestroyDescriptor(p->plan);
    free(p);
}

static void free_spaces(bpi_cuda *d, bpi_conv_space **first)
{
    for (bpi_conv_space *s; (s = *first);) {
        *first = s->next;
        bpi_cuda_free(&d->base, s->memory, s->bytes);
        free(s);
    }
}

void bpi_cudnn_trim(bpi_cuda *d)
{
    if (d->graphs == 0 && d->cudnn && d->cudnn->spaces)
        free_spaces(d, &d->cudnn->spaces->next);
}

void bpi_cudnn_close(bpi_cuda *d)
{
    bpi_cudnn *cudnn = d->cudnn;
    if (!cudnn)
        return;
    for (bpi_conv_plan *p; (p = cudnn->plans);) {
        cudnn->plans = p->next;
        free_plan(cudnn, p);
    }
    if (cudnn->handle)
        (void)cudnn->call.Destroy(cudnn->handle);
    free_spaces(d, &cudnn->spaces);
    free(cudnn);
    d->cudnn = NULL;
}

/* --- plans ----------------------------------------------------------------------------------- */

static bp_status make_room(bpi_cuda *d, size_t bytes)
{
    bpi_cudnn *cudnn = d->cudnn;
    if (bytes <= BPI_CUDA_WORKSPACE || (cudnn->spaces && bytes <= cudnn->spaces->bytes))
        return BP_OK;
    bpi_conv_space *s = calloc(1, sizeof *s);
    if (!s)
        return BP_ERR_NOMEM;
    *s = (bpi_conv_space){cudnn->spaces, bpi_cuda_alloc(&d->base, bytes), bytes};
    if (!s->memory) {
        free(s);
        return d->base.why[0] ? BP_ERR_DEVICE : BP_ERR_NOMEM;
    }
    cudnn->spaces = s;
    bpi_cudnn_trim(d);
    return BP_OK;
}

static bp_status no_plan(bpi_cuda *d, const bpi_conv_plan *p)
{
    if (p->key.kind == BPI_CONV_BIAS || p->key.kind == BPI_CONV_BIAS_RELU)
        return BP_ERR_UNSUPPORTED;
    snprintf(d->base.why, sizeof d->base.why,
             "%s offers %d plans, %d of them deterministic, %d of those in %s; none works in the "
             "memory it may have", d->cudnn->version, (int)p->offered, (int)p->deterministic,
             (int)p->strict, p->key.dtype == BP_F64 ? "f64"
                             : p->key.precision == BP_PRECISION_TF32 ? "TF32" : "strict f32");
    return BP_ERR_DEVICE;
}

/* A plan that is new, at the head of the list. */
static bp_status add_plan(bpi_cuda *d, const bpi_convolution *key)
{
    bpi_conv_plan *p = calloc(1, sizeof *p);
    if (!p)
        return BP_ERR_NOMEM;
    p->key = *key;
    bp_status st = bpi_cudnn_make(d, p);
    if (st == BP_OK && p->plan)
        st = make_room(d, (size_t)p->workspace_bytes);
    if (st != BP_OK) {
        free_plan(d->cudnn, p);
        return st;
    }
    p->next = d->cudnn->plans;
    d->cudnn->plans = p;
    return BP_OK;
}

static bool is_known(bpi_cudnn *cudnn, const bpi_convolution *key)
{
    for (bpi_conv_plan **link = &cudnn->plans, *p; (p = *link); link = &p->next)
        if (!memcmp(&p->key, key, sizeof *key)) {
            *link = p->next; /* to the front: a step asks for the same few */
            p->next = cudnn->plans;
            cudnn->plans = p;
            return true;
        }
    return false;
}

bp_status bpi_cudnn_plan(bpi_cuda *d, const bpi_convolution *key, const bpi_conv_plan **out)
{
    if (!d->cudnn || !is_known(d->cudnn, key)) {
        if (!d->capturing) /* then it is ours already */
            bpi_cuda_lock();
        bp_status st = open_library(d);
        if (st == BP_OK)
            st = add_plan(d, key);
        if (!d->capturing)
            bpi_cuda_unlock();
        BPI_TRY(st);
    }
    *out = d->cudnn->plans;
    return (*out)->plan ? BP_OK : no_plan(d, *out);
}

/* --- running --------------------------------------------------------------------------------- */

static bp_status give_operands(bpi_cuda *d, const bpi_conv_plan *plan, void *const *operand,
                               cudnnBackendDescriptor_t pack)
{
    static const int64_t ids[] = {BPI_CONV_X, BPI_CONV_W, BPI_CONV_Y, BPI_CONV_B};
    const bool adds = plan->key.kind == BPI_CONV_BIAS || plan->key.kind == BPI_CONV_BIAS_RELU;
    const int64_t n = adds ? BPI_CONV_OPERANDS : BPI_CONV_B;
    void *workspace = plan->workspace_bytes <= BPI_CUDA_WORKSPACE ? d->workspace
                                                                  : d->cudnn->spaces->memory;
    DNN_TRY(d, BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, n,
                                   ids));
    DNN_TRY(d, BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                   CUDNN_TYPE_VOID_PTR, n, operand));
    DNN_TRY(d, BackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                                   &workspace));
    DNN_TRY(d, BackendFinalize(pack));
    DNN_TRY(d, BackendExecute(d->cudnn->handle, plan->plan, pack));
    return BP_OK;
}

bp_status bpi_cudnn_run(bp_exec *ex, const bpi_conv_plan *plan,
                        void *const operand[BPI_CONV_OPERANDS])
{
    bpi_cuda *d = bpi_cuda_of(ex);
    cudnnBackendDescriptor_t pack;
    BPI_TRY(bpi_cuda_flush(ex));
    DNN_TRY(d, BackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack));
    bp_status st = give_operands(d, plan, operand, pack);
    (void)d->cudnn->call.BackendDestroyDescriptor(pack);
    return st == BP_OK ? bpi_cuda_launched(ex, cudaSuccess, "cudnnBackendExecute") : st;
}
