/* What a recipe takes of the values that are there: the inputs of v, and its arguments. */
#ifndef GRAPHS_CHOOSE_H
#define GRAPHS_CHOOSE_H

#include "graphs.h"

enum { MOST = 36 }; /* elements of a value */

bool has(const graph_value *v, int rank, int64_t rows, int64_t cols);
int pick(graph *g, int rank, int64_t rows, int64_t cols);
int again(graph *g, int i, int rank, int64_t rows, int64_t cols);
bool any(graph *g, graph_value *v);
bool broadcasts(const bp_shape *a, const bp_shape *b);
bool two(graph *g, graph_value *v);
bool three(graph *g, graph_value *v);
bool equal_shapes(const bp_shape *a, const bp_shape *b);
bool two_alike(graph *g, graph_value *v);
bool within(const graph *g, const graph_value *v, int k, double lo, double hi);
bool in_domain(const graph *g, const graph_value *v, double lo, double hi, double lo_b,
               double hi_b);
bool dropped(graph *g, graph_value *v);
bool some_axes(graph *g, graph_value *v);
bool apart_axes(graph *g, graph_value *v);
bool apart_axis(graph *g, graph_value *v);
bool far_axes(graph *g, graph_value *v);
bool an_axis(graph *g, graph_value *v);
bool normed(graph *g, graph_value *v);
bool normed_columns(graph *g, graph_value *v);
bool factors(graph *g, graph_value *v);
bool factors_each(graph *g, graph_value *v);
bool attended(graph *g, graph_value *v);
bool scores(graph *g, graph_value *v);
bool layer(graph *g, graph_value *v);
bool rows_of(graph *g, graph_value *v);
bool rows_normalized(graph *g, graph_value *v);
bool rows_to(graph *g, graph_value *v);
bool labelled(graph *g, graph_value *v);
bool spread(graph *g, graph_value *v);
bool matrices_alike(graph *g, graph_value *v);
bool reshaped(graph *g, graph_value *v);
bool expanded(graph *g, graph_value *v);
bool permuted(graph *g, graph_value *v);
bool matrix(graph *g, graph_value *v);
bool sliced(graph *g, graph_value *v);
bool joined(graph *g, graph_value *v);
bool stacked(graph *g, graph_value *v);
bool padded(graph *g, graph_value *v);
bool tiled(graph *g, graph_value *v);
bool taken(graph *g, graph_value *v);
bool taken_along(graph *g, graph_value *v);
bool added_along(graph *g, graph_value *v);

#endif
