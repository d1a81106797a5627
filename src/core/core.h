/* The inside of a context: storage, handles, scopes, the tape and the recorder of plans.
 *
 * A tensor is a handle: a view, a counted reference to a storage, and a place on the tape. Handles
 * live in slots that are never returned to the system before bp_close, so that a stale one can be
 * told from a live one; a slot is reused first in, first out, and not before one more outermost
 * scope has ended. The tape is a stack, cut back where a scope ends. */
#ifndef BPI_CORE_H
#define BPI_CORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend.h"
#include "bpcuda/bpcuda.h"
#include "kernel_params.h"

enum { BPI_PARAMS_MAX = 256, BPI_KERNEL_IO = 8 }; /* bytes of op params; views of one kernel */

/* --- storage (memory.c) ------------------------------------------------------------------ */

typedef struct bpi_storage {
    int32_t refs;
    uint32_t version;   /* counts the writes after creation */
    const char *writer; /* who wrote last, for messages */
    void *data;         /* device memory; NULL for 0 bytes */
    size_t bytes;       /* of its size class */
    int32_t size_class;
    bool in_plan;       /* from the arena of plans */
    struct bpi_storage *next; /* in the free list of its class */
} bpi_storage;

bpi_storage *bpi_storage_create(bp_context *ctx, size_t bytes); /* pending error on failure */
void bpi_storage_release(bp_context *ctx, bpi_storage *s);
void bpi_storage_written(bpi_storage *s, const char *writer);
void bpi_memory_free(bp_context *ctx); /* at bp_close */
void *bpi_host_alloc(bp_context *ctx, size_t bytes); /* zeroed; no error is set */
void bpi_host_free(bp_context *ctx, void *p, size_t bytes);
/* Room for one more in a host array; false when out of memory, with the error set. */
bool bpi_grow(bp_context *ctx, void **items, int64_t *capacity, int64_t need, size_t item_bytes);

/* --- handles (tensor.c) ------------------------------------------------------------------ */

typedef struct bpi_place { /* where on the tape a value was made; valid while the serials match */
    int32_t node, out;
    uint64_t serial; /* 0: nowhere */
} bpi_place;

enum { BPI_OWNER_NONE, BPI_OWNER_SCOPE, BPI_OWNER_USER, BPI_OWNER_LIBRARY };

struct bp_tensor {
    bp_context *ctx;
    bpi_storage *storage; /* NULL: stale, or a parameter before its store's first use */
    bpi_place place;
    bp_params *store; /* of a parameter, else NULL */
    int32_t segment;  /* in the store */
    int8_t owner;
    bp_view view;
    bp_tensor *prev, *next; /* in the list of its scope, or in the queue of free slots */
    int64_t died;           /* outermost scopes ended before it did */
};

/* A handle over a storage, which it then refers to once more. Pending error on failure. */
bp_tensor *bpi_handle(bp_context *ctx, bpi_storage *s, const bp_view *view, int owner);
bp_tensor *bpi_clone(bp_tensor *t); /* owner LIBRARY: whoever clones kills */
void bpi_kill(bp_tensor *t);        /* NULL is fine */
void bpi_give_to_scope(bp_tensor *t);
/* Fresh memory for a view whose dtype, shape and strides are set; for a packed one; for a packed
 * one filled from the host (NULL: zeros), which is NULL on failure. */
bp_tensor *bpi_fresh(bp_context *ctx, bp_view *view, int owner);
bp_tensor *bpi_fresh_packed(bp_context *ctx, bp_dtype dtype, bp_shape shape, int owner);
bp_status bpi_uploaded(bp_context *ctx, bp_dtype dtype, bp_shape shape, const void *src, int owner,
                       bp_tensor **t);
/* A packed window on the memory of another tensor, `offset` elements of its own dtype into it. */
bp_tensor *bpi_window(bp_tensor *t, int64_t offset, bp_dtype dtype, bp_shape shape, int owner);
/* BP_OK for a usable handle of ctx; else an error that names `who` and `what`. Gives a parameter
 * its memory at its first use. */
bp_status bpi_usable(bp_context *ctx, bp_tensor *t, const char *who, const char *what);

/* --- views (view.c) ---------------------------------------------------------------------- */

void bpi_view_packed(bp_view *v, bp_dtype dtype, bp_shape shape);
/* The one choice of a row pitch, in elements, for store matrices and rank-2 results of linear,
 * matmul and gather. */
int64_t bpi_row_pitch(int64_t cols, bp_dtype dtype);
void bpi_view_rows(bp_view *v, bp_dtype dtype, bp_shape shape); /* pitched if rank 2 */
bool bpi_is_packed(const bp_view *v);
bool bpi_repeats(const bp_view *v); /* two indices name one element, by a stride of 0 */
bool bpi_is_real(bp_dtype dtype);
bool bpi_layout_fits(const bp_view *v, int layout);
bool bpi_same_shape(const bp_shape *a, const bp_shape *b);
size_t bpi_view_span(const bp_view *v); /* bytes from the first element to the last */
bool bpi_shape_valid(const bp_shape *s);
/* "[64,784]". */
typedef struct bpi_shape_text { char s[176]; } bpi_shape_text;
bpi_shape_text bpi_shape_str(const bp_shape *shape);
/* The shape both broadcast to; false if there is none. */
bool bpi_broadcast(const bp_shape *a, const bp_shape *b, bp_shape *out);

/* --- errors (error.c) -------------------------------------------------------------------- */

/* Sets the context's error, unless one is pending; returns `status`, or the one pending. */
bp_status bpi_fail(bp_context *ctx, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For shape rules: the reason, without the op's name. Returns `status`. */
bp_status bpi_why(char *why, bp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Every public call on a context begins and ends with these. */
bp_status bpi_enter(bp_context *ctx);
void bpi_leave(bp_context *ctx);
/* The body of a public call that is one inner call. */
#define BPI_INSIDE(ctx, call)                \
    do {                                     \
        bp_context *inside_ = (ctx);         \
        BPI_TRY(bpi_enter(inside_));         \
        bp_status status_ = (call);          \
        bpi_leave(inside_);                  \
        return status_;                      \
    } while (0)

/* --- operations (apply.c) and the door (dispatch.c) --------------------------------------- */

enum {
    BPI_OP_IS_VIEW = 1,    /* outputs look at the first input's memory; no kernel */
    BPI_OP_DRAWS = 2       /* kernels get the random state as one more input */
};

struct bp_op {
    bp_op_def def;
    int32_t id; /* bpi_op_id, or -1 for a registered op */
    uint32_t flags;
    int32_t n_hidden; /* trailing outputs that the public call does not hand out */
    /* A fused op as primitives: where the device has no kernel, and for second derivatives. */
    bp_status (*compose)(bp_context *ctx, bp_tensor *const *in, const void *params,
                         bp_tensor **out);
    bpi_op_kernels kernels; /* of a registered op */
    struct bp_op *next;     /* registered ops of a context */
};

/* Checks inputs, infers outputs, runs forward, appends to the tape. Fills out[0 .. n_out) if `out`
 * is not NULL; returns out[0], or NULL with the error pending. */
bp_tensor *bpi_apply(const bp_op *op, bp_tensor *const *in, const void *params, bp_tensor **out);
bp_tensor *bpi_apply1(const bp_op *op, bp_tensor *x, const void *params);
bp_tensor *bpi_apply2(const bp_op *op, bp_tensor *a, bp_tensor *b, const void *params);

/* Runs kernel `slot` of built-in op `id`: copies inputs whose layout it cannot read, records. NULL
 * operands are absent views. */
bp_status bpi_dispatch(bp_context *ctx, bpi_op_id id, int slot, bp_tensor *const *in, int n_in,
                       bp_tensor *const *out, int n_out, const void *params, size_t params_bytes);
bp_status bpi_dispatch_kernel(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                              bp_tensor *const *in, int n_in, bp_tensor *const *out, int n_out,
                              const void *params, size_t params_bytes);
const bpi_kernel *bpi_find_kernel(bp_context *ctx, const bp_op *op, int slot, bp_dtype compute);
bp_dtype bpi_compute_dtype(bp_tensor *const *a, int n_a, bp_tensor *const *b, int n_b);
const char *bpi_kernel_name(const bp_context *ctx, int32_t number);
/* Between the host and the device's memory: the calls of backend.h, with the error set. */
bp_status bpi_upload(bp_context *ctx, void *dst, const void *src, size_t bytes); /* NULL: zeros */
bp_status bpi_download(bp_context *ctx, void *dst, const void *src, size_t bytes);
/* The error of a device call that returned `st`, with the device's own words; returns `st`. */
bp_status bpi_device_failed(bp_context *ctx, bp_status st, const char *what);
/* A device of another library (plugin.c): "cuda" or "sim", by number. */
bp_status bpi_plugin_device(const char *kind, int32_t number, const bp_hooks *hooks,
                            bpi_device **device, char *why);

#define BPI_OP(name) extern const bp_op bpi_op_##name;
#define BPI_VIEW(name) extern const bp_op bpi_op_##name;
#define BPI_PLAIN(name)
#include "ops.def"
extern const bp_op bpi_op_linear_relu; /* linear's kernels, another gradient rule */

/* For gradient rules and training code inside the library. */
bp_tensor *bpi_dropout_at(bp_tensor *x, bpi_dropout_params params);
bp_tensor *bpi_sum_to(bp_tensor *x, const bp_shape *shape); /* undoes a broadcast */
/* keep for a probability p of being dropped, and the next site unless nothing is drawn. */
bp_status bpi_dropout_draw(bp_context *ctx, const char *who, double p, bpi_dropout_params *out);
double bpi_dropout_scale(uint32_t keep);

bp_status bpi_infer_nll(const bp_view *in, char *why);

/* --- autograd (autograd/) ---------------------------------------------------------------- */

typedef struct bpi_saved { /* what the gradient rule will read, and its version at that time */
    bp_tensor *t;
    uint32_t version;
} bpi_saved;

typedef struct bpi_node {
    uint64_t serial;
    const bp_op *op; /* NULL: a leaf */
    bp_params *store; /* of a leaf that is a parameter */
    int32_t segment;
    int32_t consumers; /* ops that read an output */
    bool used, handed; /* its saved tensors are gone; dout is already before its activation */
    uint64_t needed;   /* the last walk that needs this node */
    bpi_place in[BP_MAX_IO];
    bp_shape in_shape[BP_MAX_IO];
    bp_dtype in_dtype[BP_MAX_IO];
    bpi_saved saved_in[BP_MAX_IO], saved_out[BP_MAX_IO], aux;
    bp_tensor *pending[BP_MAX_IO]; /* gradients of the outputs that have arrived */
    unsigned char params[BPI_PARAMS_MAX];
} bpi_node;

bpi_node *bpi_node_at(bp_context *ctx, int32_t i);
/* The node a tensor comes from, or NULL: a parameter gets its leaf here. */
bpi_node *bpi_node_of(bp_context *ctx, bp_tensor *t);
bool bpi_asks_grad(bp_context *ctx, bp_tensor *t);
bp_status bpi_record(bp_context *ctx, const bp_op *op, bp_tensor *const *in, bp_tensor *const *out,
                     bp_tensor *aux, const void *params);
void bpi_tape_cut(bp_context *ctx, int32_t length);
void bpi_node_release(bpi_node *node);
void bpi_tape_free(bp_context *ctx);

/* A walk back. Gradient rules inside the library find it behind their bp_grad_call. */
typedef struct bpi_walk {
    uint64_t id;
    bool to_store; /* bp_backward: parameters' gradients go to their store */
    uint32_t flags;
    bp_tensor *const *target; /* bp_grad: wanted values and their results */
    bp_tensor **result;
    bpi_place place[BP_MAX_IO * 16];
    int32_t n_targets;
    int32_t first; /* nodes before this one are not walked */
} bpi_walk;

typedef struct bpi_grad_call {
    bp_grad_call call; /* first, so that one pointer serves both */
    bpi_walk *walk;
    bpi_node *node;
    bp_tensor *aux;
} bpi_grad_call;

/* The store's gradient of input i, to be written, or added to if *add; NULL where the gradient
 * does not go to a store. A rule that filled it sets dx[i] to it. */
bp_tensor *bpi_grad_sink(bpi_grad_call *g, int i, int32_t *add);
/* The node of input i, if its gradient may be handed over before its activation. */
bpi_node *bpi_sole_producer(bpi_grad_call *g, int i);
/* The rule of an op that has only a composition. */
bp_status bpi_compose_gradient(bpi_grad_call *g);

/* --- parameter stores (params.c) --------------------------------------------------------- */

typedef struct bpi_segment {
    char *name;
    bp_tensor *value, *grad;
    bp_shape shape;
    bp_init init;
    int64_t offset, count; /* elements in the flat buffers, padding included */
    int32_t next;          /* the segment that follows in the flat buffers; -1 after the last */
    uint64_t window;       /* the gradient window that last wrote it */
    bool frozen;
} bpi_segment;

struct bp_params {
    bp_context *ctx;
    bp_dtype dtype;
    bpi_segment *segment;
    int64_t n, capacity;
    bp_tensor *values, *grads; /* flat, NULL before the first use */
    int64_t count;
    int32_t first;   /* segment in the flat buffers */
    uint64_t window; /* from 1, grows with each optimiser step or bp_grad_clear */
    bool invalid;    /* the last backward failed */
    bp_params *next; /* stores of the context */
};

bp_status bpi_params_materialize(bp_params *p);
/* A run of neighbouring segments that a gradient reached. */
typedef struct bpi_run {
    int64_t begin, end; /* elements of the flat buffers */
    bool decays;        /* all of them weights; else all of them not, unless merged */
    int32_t next;       /* the segment after it, for the next call; -1 at the end */
} bpi_run;
/* The next run at or after segment `from` (start with store->first); false when there is none.
 * `merge`: a run may span weights and others. */
bool bpi_params_run(const bp_params *p, int32_t from, bool merge, bpi_run *run);

/* --- plans (plan.c) ---------------------------------------------------------------------- */

/* Appends a kernel call to the plan being recorded. */
bp_status bpi_plan_note(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                        bp_tensor *const *in, const bp_view *in_view, int n_in,
                        bp_tensor *const *out, const bp_view *out_view, int n_out,
                        const void *params, size_t params_bytes);
/* BP_ERR_STATE, naming the call, while a plan is recorded. */
bp_status bpi_not_recording(bp_context *ctx, const char *who);

/* --- the context (context.c) -------------------------------------------------------------- */

/* The device's random state is brought up to date before the first draw of a step, outside any
 * plan: steps that draw nothing cost nothing. */
bp_status bpi_rng_catch_up(bp_context *ctx);

typedef struct bpi_scope {
    bp_tensor *tensors; /* newest first */
    int32_t tape_length;
    bool no_grad;
} bpi_scope;

enum { BPI_TAPE_CHUNK = 128, BPI_SLOT_CHUNK = 128, BPI_SIZE_CLASSES = 192 };
#define BPI_BYTES_MAX ((size_t)64 << 44) /* of one storage */

struct bp_context {
    _Atomic(uintptr_t) owner; /* the thread inside, 0 when none */
    int32_t entries;          /* its nesting of public calls and scopes */
    bp_status pending;
    char text[512];
    bp_hooks hooks;
    bpi_device *device;
    bp_exec exec;
    bpi_storage *fault_storage;
    bp_tensor *rng;
    bp_tensor *one[2]; /* the scalar 1 in f32 and f64: the seed of a walk */
    uint64_t seed;
    uint32_t site;     /* random ops so far in the outermost scope */
    uint64_t rng_lag;  /* steps that the stream has made and the device does not know of yet */

    bpi_scope *scope; /* scope[0 .. depth) */
    int64_t scope_capacity;
    int32_t depth;
    bool no_grad;
    int64_t outer_ended; /* outermost scopes ended */

    bpi_storage *free_storage[2][BPI_SIZE_CLASSES]; /* eager, plans */
    void **slot_chunk;
    int64_t n_slot_chunks, slot_chunk_capacity;
    bp_tensor *free_first, *free_last;

    bpi_node **tape_chunk;
    int64_t tape_capacity; /* chunks */
    int64_t n_tape_chunks;
    int32_t tape_length;
    uint64_t serial; /* of nodes and walks */
    int32_t walking;

    bp_params *stores;
    bp_op *registered;
    int64_t n_registered;
    bp_plan *recording;
    bp_stats stats;
};

#endif
