/* Random graphs of every op: how one is described, made, run and checked.
 *
 * A graph is a list of values. First come leaves: parameters of two stores, some of them frozen,
 * bp_require_grad() tensors, data and indices, of a few small shapes that go together. Then come
 * operations on what stands before, chosen so that one tensor is often several inputs, directly or
 * through a view. The last value is the loss: a weighted sum of some of them. Values are f64, of
 * moderate size, and not near a kink. A seed gives the same graph everywhere.
 *
 * generate.c makes a graph, recipes.c has the ops, run.c runs it on a device, derive.c
 * differentiates it; check.c holds its gradients to differences and to each other, replay.c to a
 * recorded plan, survive.c to those of a context that ran out of memory; dump.c prints it for
 * torch_graphs.py, which holds it to PyTorch. */
#ifndef BPI_TEST_GRAPHS_H
#define BPI_TEST_GRAPHS_H

#include "readers.h"

enum { PARAM, FROZEN, WANTED, DATA, INDEX, BYTES, OPERATION }; /* where a value comes from */
enum { MAX_VALUES = 64, MAX_ELEMENTS = 48, STORES = 2 };

typedef struct graph_value {
    int kind, store; /* of a parameter */
    const struct recipe *recipe; /* of an operation, and its inputs and arguments */
    int in[BP_MAX_IO];
    int32_t a, b;
    double x;
    bp_shape to, shape;
    int site;  /* random ops before it */
    bool asks; /* for a gradient */
    values v;  /* as the plain CPU computes it */
} graph_value;

typedef struct graph {
    uint64_t seed, drawn;
    int n, n_sites;
    graph_value value[MAX_VALUES]; /* the last one is the loss */
} graph;

/* --- generate.c ------------------------------------------------------------------------------ */

/* A graph whose loss asks for a gradient, computed in a context of "cpu:generic"; graph_free it. */
bool graph_generate(bp_context *plain, graph *g, uint64_t seed);
void graph_free(graph *g);
/* Uniform in [0, n), in [lo, hi), true with a probability. */
int graph_int(graph *g, int n);
double graph_real(graph *g, double lo, double hi);
bool graph_chance(graph *g, double p);
/* A new leaf of integers in [0, limit), or an old one; -1 if the graph is full. */
int graph_indices(graph *g, int kind, bp_shape shape, int limit);

/* --- recipes.c ------------------------------------------------------------------------------- */

typedef struct recipe {
    const char *name, *op; /* op: as in ops.def; "" for what is built of others */
    int n_in;
    /* Chooses inputs and arguments among what is there; false if nothing fits. */
    bool (*choose)(graph *g, graph_value *v);
    bp_tensor *(*apply)(const graph_value *v, bp_tensor *const *in);
    /* The same in primitives; NULL: it is one. */
    bp_tensor *(*composed)(const graph_value *v, bp_tensor *const *in);
    /* What must not be near 0; NULL: it has no kink. */
    bp_tensor *(*kink)(const graph_value *v, bp_tensor *const *in);
} recipe;

extern const recipe graph_recipes[];
extern const int graph_recipes_n;
const recipe *graph_recipe(const char *name);
/* The op of a program's own, y = a b, whose rule differentiates a graph of its own; bp_mul on a
 * device that runs no host code. */
bp_tensor *graph_own(bp_tensor *a, bp_tensor *b);

/* --- run.c ----------------------------------------------------------------------------------- */

typedef struct graph_run {
    const graph *g;
    bp_context *ctx;
    bp_dtype real;
    bool composed; /* fused ops in primitives, by hand */
    bp_params *store[STORES];
    bp_tensor *leaf[MAX_VALUES]; /* parameters, and tensors of the run */
    bp_tensor *t[MAX_VALUES];    /* in a scope: what graph_build made */
} graph_run;

/* Stores and tensors on a device, filled; false with the context's error. */
bool graph_open(graph_run *r, bp_context *ctx, const graph *g, bp_dtype real);
void graph_close(graph_run *r);
bool graph_draws(const char *recipe); /* whether it may draw */
/* In an outermost scope: seeds the random stream, and draws from it as often as `sites` says. */
bool graph_draw_to(bp_context *ctx, int sites);
/* In a scope: the leaves and all operations; the loss, or NULL. */
bp_tensor *graph_build(graph_run *r);
/* The gradient that the store holds of a parameter, or NULL. */
bp_tensor *graph_stored(const graph_run *r, int i);

/* The context is about to be closed. */
void graph_forget(bp_context *ctx);

/* --- derive.c -------------------------------------------------------------------------------- */

/* What derivatives are by: the leaves that ask, some results of ops, the first leaf once more. */
int graph_wanted(const graph *g, int *want, int *n_leaves);
/* Of the loss; and of sum_k (weights g + x x / 2) where g is the gradient by leaf k, and x that
 * leaf: so that it has a history where the gradients are constant. False with an error. */
bool graph_gradients(graph_run *r, const int *want, int n, uint32_t flags, values *d);
bool graph_second(graph_run *r, const int *want, int n, values *h);
double graph_weight(int k, int64_t e);

/* --- check.c, replay.c, survive.c, dump.c ---------------------------------------------------- */

/* Prints a line for each thing that is wrong with a graph's gradients; true if none is. */
bool graph_check(bp_context *ctx, const graph *g, int samples);
extern int64_t graph_compared, graph_skipped; /* numbers; differences left out near a kink */
extern double graph_worst_f32;                /* error of f32, as a part of what is allowed */
/* Training by calls and by a plan gives equal bits. */
bool graph_replays(bp_context *ctx, const graph *g);
/* A backward that fails for memory has done nothing, and gives the same bits when tried again. */
bool graph_survives(const graph *g);
/* The graph, its values, first and second derivatives as text. */
bool graph_dump(bp_context *ctx, const graph *g);

#endif
