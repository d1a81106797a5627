/* How every op runs, and what it leaves on the tape. */
#ifndef BPI_AUTOGRAD_APPLY_H
#define BPI_AUTOGRAD_APPLY_H

#include "core/tape.h"

/* Checks inputs, infers outputs, runs forward, appends to the tape. Fills out[0 .. n_out) if `out`
 * is not NULL; returns out[0], or NULL with the error pending. */
bp_tensor *bpi_apply(const bp_op *op, bp_tensor *const *in, const void *params, bp_tensor **out);
bp_tensor *bpi_apply1(const bp_op *op, bp_tensor *x, const void *params);
bp_tensor *bpi_apply2(const bp_op *op, bp_tensor *a, bp_tensor *b, const void *params);

/* The composition of an op; a registered one's outputs are held to `want` unless it is NULL. */
bp_status bpi_compose(bp_context *ctx, const bp_op *op, bp_tensor *const *in, const void *params,
                      const bp_view *want, bp_tensor **out);
/* What a function of the host's gave the op is usable, and has this dtype and shape; else an error
 * about "its composition's out[1]". */
bp_status bpi_check_given(bp_context *ctx, const bp_op *op, const char *given, int i, bp_tensor *t,
                          bp_dtype dtype, const bp_shape *shape);

/* How every op begins, also one that is made of others: the context of the inputs, entered, with a
 * scope and no error pending, where all n of them can be used; else NULL, and the op must return
 * NULL. The context is the one given, else the first input's. A NULL was made by an op that failed,
 * whose error is pending, or else is an error: of that context, or, where there is none, `none` for
 * this thread. */
bp_context *bpi_begin(bp_context *ctx, const char *name, const char *none, bp_tensor *const *in,
                      int n);
#define BPI_BEGIN(name, in, n) bpi_begin(NULL, name, name ": input 0 is NULL", in, n)
/* The same of inputs that have names. */
bp_context *bpi_begin_named(bp_context *ctx, const char *name, const char *none,
                            bp_tensor *const *in, int n, const char *const *names);
bp_context *bpi_begin_in(bp_context *ctx, const char *name); /* an op without inputs */

/* The node a tensor comes from, or NULL: a parameter gets its leaf here. */
bpi_node *bpi_node_of(bp_context *ctx, bp_tensor *t);
bool bpi_asks_grad(bp_context *ctx, bp_tensor *t);
/* The same values in fresh packed memory, of the scope; recorded like an op. */
bp_tensor *bpi_fresh_copy(bp_context *ctx, bp_tensor *t);
/* t, as a value of its own in the graph: a view, of the scope. */
bp_tensor *bpi_same(bp_context *ctx, bp_tensor *t);
/* Zeros in fresh packed memory, of the scope; real. A plan can record them. */
bp_tensor *bpi_zeros(bp_context *ctx, bp_dtype dtype, bp_shape shape);
bp_status bpi_record(bp_context *ctx, const bp_op *op, bp_tensor *const *in, bp_tensor *const *out,
                     bp_tensor *aux, const void *params);

#endif
