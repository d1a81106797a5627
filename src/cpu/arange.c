/* arange: y[i] = begin + step i. Forward: -> y; with step 0 of any shape, whose rows may have a
 * pitch. Computed in f64 and rounded once; of real y in the table of its type, of others in that of
 * f32. Floor: y written once. The rule: src/ops/arange.c. */
#include "cpu/elementwise.h"
#include "door/kernel_params.h"

typedef struct job {
    char *y;
    bp_dtype dtype;
    int64_t rows, size, pitch; /* elements */
    int64_t piece, pieces;     /* of a row */
    int64_t per_block;         /* pieces */
    double begin, step;
} job;

#define RUN(T)                                                                            \
    {                                                                                     \
        T *y = (T *)w->y + at;                                                            \
        const T value = (T)w->begin;                                                      \
        if (w->step == 0)                                                                 \
            BPI_EACH(n, y[i] = value)                                                     \
        else                                                                              \
            BPI_EACH(n, y[i] = (T)(w->begin + w->step * (double)(first + i)))             \
    }

static void block_fn(void *arg, int64_t block)
{
    const job *w = arg;
    int64_t end = at_most((block + 1) * w->per_block, w->rows * w->pieces);
    for (int64_t k = block * w->per_block; k < end; k++) {
        int64_t first = k % w->pieces * w->piece, n = at_most(w->size - first, w->piece);
        int64_t at = k / w->pieces * w->pitch + first;
        switch (w->dtype) {
        case BP_U8: RUN(uint8_t) break;
        case BP_I32: RUN(int32_t) break;
        default: RUN(real)
        }
    }
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)in;
    const bpi_arange_params *p = params;
    job w = {out->data, out->dtype, 1, 1, 0, 0, 0, 0, p->begin, p->step};
    for (int32_t i = 0; i < out->shape.ndim; i++)
        *(i == 0 && out->shape.ndim == 2 ? &w.rows : &w.size) *= out->shape.dim[i];
    w.pitch = out->shape.ndim == 2 ? out->stride[0] : w.size;
    if (w.pitch == w.size) {
        w.size *= w.rows;
        w.rows = 1;
    }
    if (w.size == 0)
        return BP_OK;
    w.piece = at_most(w.size, BPI_GRAIN);
    w.pieces = parts(w.size, w.piece);
    w.per_block = BPI_GRAIN / w.piece;
    return bpi_leave_work(ex, parts(w.rows * w.pieces, w.per_block), block_fn, &w, sizeof w);
}

BPI_CPU_OP(arange) = {.slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_PACKED,
                                             .job_bytes = sizeof(job)}};
