/* The one table of cases: for every op of src/door/ops.def, rows of input shapes, dtypes, layouts and
 * value ranges, with the tolerance that holds and why.
 *
 * Readers: golden values, f32 against f64, finite differences, thread counts, planted bugs; later
 * devices and benchmarks. Plain C on the public API, no framework: it also runs where nothing but
 * a compiler is. Values come from a generator of its own and are the same everywhere. */
#ifndef BPI_OP_CASES_H
#define BPI_OP_CASES_H

#include <stdbool.h>

#include "bpcuda/bpcuda.h"

/* How the op sees the tensor of `shape` that holds the values. */
enum { AS_IS, SWAPPED /* its last two axes */, REPEATED /* axis 0, of size 1, five times */ };

typedef struct op_input {
    bp_dtype dtype; /* 0: the reader's real type */
    int layout;
    double lo, hi; /* reals are uniform in [lo, hi], not near 0; integers in [lo, hi) */
    bp_shape shape;
} op_input;

typedef struct op_tolerance {
    double relative, absolute; /* in units of the epsilon of the type that is checked */
    const char *why;
} op_tolerance;

enum {
    CASE_BIG = 1,      /* above the grain: several threads must take part */
    CASE_SPECIALS = 2, /* right with NaN, infinities and zeros among the inputs */
    CASE_TINY = 4,     /* and with a subnormal f32 */
    CASE_ZERO = 8,     /* an output may be all zeros, or empty */
    CASE_KINK = 16     /* no finite difference tells: at a kink, or among too many terms */
};

typedef struct op_case op_case;
struct op_case {
    const char *op, *name, *builder; /* op as in ops.def; name is "op what-is-special" */
    op_input in[BP_MAX_IO];
    int n_in;
    double x, y; /* arguments of the op, as its builder wants them */
    int64_t a, b;
    bp_shape shape;
    op_tolerance tol;
    uint32_t flags, constant; /* bit i of constant: real input i has no gradient */
};

extern const op_case *op_cases;
extern int op_cases_n;
/* From here on the table is the rows of one op, which stand together; false if there are none. */
bool op_cases_only(const char *op);

/* The names of ops.def that need a case, NULL at the end. */
extern const char *const op_names[];

/* A builder by name, for values that come from a file; NULL if there is none. A builder fills out[]
 * and returns their number, 0 on failure; out[0] is what gradients are taken of. */
typedef int (*op_build)(const op_case *c, bp_dtype real, bp_tensor *const *in, bp_tensor **out);
op_build op_builder(const char *name);

/* How the row's window walks; groups: those of a convolution. */
bp_window op_window(const op_case *c);

/* Number `i` of the stream of values `seed`: uniform in [0, 1). */
double op_random(uint64_t seed, int64_t i);
/* Value i of input `input` of a case; exact in f32. */
double op_value(const op_case *c, int input, int64_t i, bool specials);
/* In a scope: what the op sees of `t`, the tensor of c->in[input]. */
bp_tensor *op_seen(const op_case *c, int input, bp_tensor *t);

#endif
