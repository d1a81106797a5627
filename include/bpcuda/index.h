/* Ops that choose by an index. Common to all ops: ops.h. */
#ifndef BPCUDA_INDEX_H
#define BPCUDA_INDEX_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y[i, ...] = table[index[i], ...]: table [R, ...] of any dtype, index i32 [B] -> [B, ...].
 * dtable = scatter_rows(dy, index, R). An index outside [0, R) gives a row of zeros and
 * BP_ERR_RANGE at the next waiting call. */
BP_API bp_tensor *bp_gather(bp_tensor *table, bp_tensor *index);

/* y[i, j] = (table[index[i], j] - shift[j]) scale[j], in f64 and rounded once: table u8 or `dtype`
 * [R, C], index i32 [B], shift and scale f64 [C] -> [B, C] of `dtype`, f32 or f64. Gradients as of
 * the composed form. */
BP_API bp_tensor *bp_gather_normalized(bp_tensor *table, bp_tensor *index, bp_tensor *shift,
                                       bp_tensor *scale, bp_dtype dtype);

/* y[r, ...] = sum of x[i, ...] over the i with index[i] = r, in order of i: x real [B, ...], index
 * i32 [B] -> [rows, ...]. dx = gather(dy, index). Bad indices as in bp_gather. */
BP_API bp_tensor *bp_scatter_rows(bp_tensor *x, bp_tensor *index, int64_t rows);

#ifdef __cplusplus
}
#endif
#endif
