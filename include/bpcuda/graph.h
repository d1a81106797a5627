/* The graph of a value as a picture, in the language of Graphviz. */
#ifndef BPCUDA_GRAPH_H
#define BPCUDA_GRAPH_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What y was computed from, as far as it is recorded, in dot: a box for each op, with its name;
 * parameters with their names (green), what asked for a gradient (blue) and what asks for none
 * (grey); y at the end (bold). Edges say shape and dtype of what flows. Also after a walk back has
 * released the graph; in the scope that y is of. Errors: BP_ERR_STATE where y has no history.
 *
 *     dot -Tsvg graph.dot > graph.svg
 *
 * Into a file, as bp_model_save writes one; or to a function, which gets the whole text, at once,
 * as n bytes with a 0 behind them, and may keep none of it. user may be NULL. */
typedef void (*bp_text_fn)(void *user, const char *text, size_t n);
BP_API bp_status bp_graph_write_dot(bp_context *ctx, bp_tensor *y, const char *path) BP_USE;
BP_API bp_status bp_graph_dot(bp_context *ctx, bp_tensor *y, bp_text_fn take, void *user) BP_USE;

#ifdef __cplusplus
}
#endif
#endif
