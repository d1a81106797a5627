/* The list of kernel calls that passed the door while a plan was recorded, and what else they
 * follow from. */
#ifndef BPI_CORE_RECORDER_H
#define BPI_CORE_RECORDER_H

#include "core/handle.h"

typedef struct bpi_call {
    bpi_kernel kernel;
    int32_t number;
    int16_t n_in, n_out;
    int64_t view, params, job; /* where its views, its parameters and its job begin */
} bpi_call;

typedef struct bpi_outside { /* a storage that is not of the arena of plans; held */
    bpi_storage *storage;
    bool written;
} bpi_outside;

/* What the program can free while something still names it. First in it. */
typedef struct bpi_counted {
    int32_t refs; /* the program's own, until it frees it, and those of what names it */
    bool freed;   /* by the program: whoever meets it says so */
} bpi_counted;

/* An object with numbers that are copied into calls. First in it. */
typedef struct bpi_watched {
    bpi_counted counted;
    const char *what; /* "optimiser" */
    const void *numbers;
    size_t bytes;
    void (*changed)(const struct bpi_watched *w, const void *then, char *why); /* says how */
    void (*destroy)(struct bpi_watched *w);
} bpi_watched;

typedef struct bpi_watch { /* refers to the object */
    bpi_watched *object;
    int64_t then; /* where its numbers as they were begin, in `params` */
} bpi_watch;

typedef struct bpi_recording {
    bp_context *ctx;
    uint64_t serial;
    void (*give_up)(struct bpi_recording *); /* frees the plan that it is for */
    bpi_call *call;
    bpi_work *work; /* of each call; the jobs are in `jobs` */
    bp_view *view;
    unsigned char *params, *jobs;
    bpi_outside *outside;
    bpi_watch *watch;
    int64_t n_calls, n_views, n_params, n_jobs, n_outside, n_watch;
    int64_t n_written; /* of `outside`, which come first when the recording is over */
    int64_t call_capacity, work_capacity, view_capacity, params_capacity, jobs_capacity;
    int64_t outside_capacity, watch_capacity;
} bpi_recording;

/* Appends a kernel call to the plan being recorded. */
bp_status bpi_recorder_note(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                            bp_tensor *const *in, const bp_view *in_view, int n_in,
                            bp_tensor *const *out, const bp_view *out_view, int n_out,
                            const void *params, size_t params_bytes);
/* While a plan is recorded: its calls read, or write, this storage too, by way of another; and they
 * follow from the numbers of this object. */
bp_status bpi_recorder_uses(bp_context *ctx, bpi_storage *s, bool written);
bp_status bpi_recorder_watch(bp_context *ctx, bpi_watched *w);
/* Whether what was watched is as it was; else `why` (room for 160 bytes) says what is not. */
bp_status bpi_recording_holds(const bpi_recording *r, char *why);
void bpi_watched_release(bpi_watched *w);
/* BP_ERR_STATE, naming the call, while a plan is recorded. */
bp_status bpi_not_recording(bp_context *ctx, const char *who);
void bpi_recording_free(bpi_recording *r);

#endif
