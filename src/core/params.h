/* Parameter stores, as the optimisers and the walk back see them. */
#ifndef BPI_CORE_PARAMS_H
#define BPI_CORE_PARAMS_H

#include "core/handle.h"
#include "core/recorder.h"

typedef struct bpi_segment {
    char *name;
    bp_tensor *value, *grad;
    bp_shape shape;
    bp_init init;
    double constant; /* of one that is not drawn */
    bp_init_fn fill; /* NULL: none */
    void *user;
    int64_t offset, count; /* elements in the flat buffers, padding included */
    int32_t next;          /* the segment that follows in the flat buffers; -1 after the last */
    uint64_t window;       /* the gradient window that last wrote it */
    uint64_t walk;         /* the last walk that was the first of a window to write it */
    /* All of the gradient was written by kernels that note, at this version of it, in the recording
     * with this serial (0: none); and whether what is being added to was so. */
    uint32_t noted_version;
    uint64_t noted_in;
    bool frozen, adds_to_noted;
    bool buffer;  /* a running mean, that is: what a pass saw waits in its gradient's place, */
    int32_t told; /* so many times in this window */
} bpi_segment;

struct bp_params {
    bpi_counted counted; /* named by optimisers and plans; by the tape, which is not counted */
    bp_context *ctx;
    uint32_t serial; /* among the stores of the context, from 1; 0: there were too many to tell */
    bpi_late late;
    bp_dtype dtype;
    bpi_segment *segment;
    int64_t n, capacity;
    bp_tensor *values, *grads; /* flat, NULL before the first use */
    bp_tensor *suspect;        /* i32: a kernel that notes has met a gradient that may not do */
    unsigned char *initial;    /* while the first use makes it, on the host */
    size_t initial_bytes;
    int64_t count;   /* of elements, padding included */
    int32_t first;   /* segment in the flat buffers */
    uint64_t window; /* from 1, grows with each optimiser step or bp_grad_clear */
    uint64_t adding; /* the last walk that added to gradients of an earlier one */
    bool grads_seen; /* bp_param_grad has handed one out: a graph may read it */
    bool invalid;    /* a backward that added to its gradients failed */
    bool checked;    /* values were finite at this version of their storage */
    uint32_t checked_version;
    bp_params *next; /* stores of the context */
};

bp_status bpi_params_materialize(bp_params *p);
/* All values of a store at once, p->count of them with the padding, which stores with the same
 * parameters have in the same places. The store is in use then. */
bp_status bpi_params_read_all(bp_params *p, void *host, const char *who);
bp_status bpi_params_write_all(bp_params *p, const void *host, const char *who);
/* The same on the device, in tensors like the store's own, which are the caller's: a new one; the
 * values into it, and back; flat += rate (values - flat), rate f64 [], where the step that the `state` of
 * an optimiser tells of was taken. Kernel calls, parts of a plan. */
bp_tensor *bpi_params_flat(bp_params *p);
bp_status bpi_params_take(bp_params *p, bp_tensor *flat);
bp_status bpi_params_give(bp_params *p, bp_tensor *flat, const char *who);
bp_status bpi_params_average_flat(bp_params *p, bp_tensor *flat, bp_tensor *state,
                                  bp_tensor *rate);
/* Takes back all declarations but the first n, of a store that is not in use yet. */
void bpi_params_undeclare(bp_params *p, int32_t n);
void bpi_params_forget_initial(bp_params *p);
/* Initial values: whether they are drawn; how many numbers of room they want; and segment i's, into
 * a flat buffer on the host that is zero. */
bool bpi_segment_draws(const bpi_segment *s);
int64_t bpi_segment_room(const bpi_segment *s);
bp_status bpi_segment_initialise(const bp_params *p, int64_t i, void *flat, double *room);
/* Element e, in row-major order, of a flat buffer on the host. */
void bpi_segment_put(const bpi_segment *s, void *flat, int64_t e, double x);
/* After a walk that failed, or that nobody will finish: gradients that it began are forgotten, and
 * a store where it added to what was there is invalid. */
void bpi_params_take_back(bp_context *ctx, uint64_t walk);
/* "layer2.weight [3,5]", the element at a place in a store; "a parameter" of one that is gone. */
typedef struct bpi_element_text { char s[160]; } bpi_element_text;
bpi_element_text bpi_element_str(const bp_context *ctx, uint32_t store, int64_t place);
/* BP_ERR_NONFINITE, naming the first parameter that holds a NaN or an infinity; looks, and waits,
 * only where the values were written since it looked. */
bp_status bpi_params_finite(bp_params *p, const char *who);
void bpi_params_release(bp_params *p);
/* At the end of an outermost scope: what the tape named is nobody's now. */
void bpi_params_collect(bp_context *ctx);
/* '*' in a pattern stands for any bytes, '?' for any one. Whether it matches a name; BP_ERR_ARG, in
 * the name of `who`, where it matches none of a store. */
bool bpi_name_matches(const char *pattern, const char *name);
bp_status bpi_params_matched(bp_params *p, const char *pattern, const char *who);
/* The values of all segments that a gradient reached were written. */
bp_status bpi_params_written(bp_params *p, const char *writer);
/* The segment that a storage is a part of, of its values or its gradients; NULL for another's. */
bpi_segment *bpi_params_segment(const bp_params *p, const bpi_storage *s);
/* Before the store's first use: a parameter is a buffer, which no gradient reaches. A step of an
 * optimiser brings it a tenth of the way to the mean of what it was told since the step before, if
 * it was told something and is not frozen. Passes without gradients tell nothing. */
void bpi_param_as_buffer(bp_tensor *param);
bp_status bpi_buffer_tell(bp_tensor *buffer, bp_tensor *x);
bool bpi_buffer_waits(const bp_params *p, const bpi_segment *s);
bool bpi_param_is_frozen(const bp_tensor *param);
/* Whether it asks for a gradient; whether one reached it in this window; whether it is a weight,
 * which takes decay. */
bool bpi_segment_trains(const bpi_segment *s);
bool bpi_segment_reached(const bp_params *p, const bpi_segment *s);
bool bpi_segment_decays(const bpi_segment *s);
/* Whether kernels that note wrote all of a segment's gradient, and nobody since. */
bool bpi_segment_noted(const bp_context *ctx, const bpi_segment *s);

#endif
