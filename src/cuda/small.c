/* Small calls of a CUDA device: gathered while they are captured, launched together. cuda.h says
 * why; the kernel: kernels/small.cu. */
#include "cuda/inside.h"

bp_status bpi_cuda_flush(bp_exec *ex)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    if (d->small.n == 0)
        return BP_OK;
    bpi_small_list list = d->small;
    d->small.n = 0;
    return bpi_cuda_run_small(ex, &list);
}

bp_status bpi_cuda_small(bp_exec *ex, const bpi_small_call *call)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    if (d->small.n == BPI_SMALL_CALLS)
        BPI_TRY(bpi_cuda_flush(ex));
    d->fault = ex->fault;
    d->small.call[d->small.n] = *call;
    d->small.call[d->small.n++].kernel = ex->kernel;
    return d->capturing ? BP_OK : bpi_cuda_flush(ex);
}

static int meets(const void *p, int64_t bytes, const bp_view *packed)
{
    const char *from = p, *other = packed->data;
    int64_t size = packed->dtype == BP_F64 ? 8 : packed->dtype == BP_U8 ? 1 : 4;
    return other && from < other + packed->shape.dim[0] * size && other < from + bytes;
}

bp_status bpi_cuda_take_small(bp_exec *ex, const bp_view *reads, const bp_view *writes,
                              bpi_small_list *list)
{
    bpi_cuda *d = bpi_cuda_of(ex);
    int32_t meet = 0;
    for (int32_t i = 0; i < d->small.n; i++) {
        const bpi_small_call *c = &d->small.call[i];
        int64_t y_bytes = (c->rows - 1) * c->y_pitch + c->row_bytes;
        int64_t a_bytes = (c->limit - 1) * c->a_pitch + c->row_bytes;
        meet |= meets(c->y, y_bytes, reads) || meets(c->y, y_bytes, writes) ||
                meets(c->a, a_bytes, writes) || (c->b && meets(c->b, a_bytes, writes));
    }
    if (meet)
        BPI_TRY(bpi_cuda_flush(ex));
    *list = d->small;
    d->small.n = 0;
    return BP_OK;
}
