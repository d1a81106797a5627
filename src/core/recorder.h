/* The list of kernel calls that passed the door while a plan was recorded. */
#ifndef BPI_CORE_RECORDER_H
#define BPI_CORE_RECORDER_H

#include "core/handle.h"

typedef struct bpi_call {
    bpi_kernel kernel;
    int32_t number;
    int16_t n_in, n_out;
    int64_t view, params; /* where its views and its parameters begin */
} bpi_call;

typedef struct bpi_outside { /* a storage that is not of the arena of plans; held */
    bpi_storage *storage;
    bool written;
} bpi_outside;

typedef struct bpi_recording {
    bp_context *ctx;
    bpi_call *call;
    bp_view *view;
    unsigned char *params;
    bpi_outside *outside;
    int64_t n_calls, n_views, n_params, n_outside;
    int64_t call_capacity, view_capacity, params_capacity, outside_capacity;
} bpi_recording;

/* Appends a kernel call to the plan being recorded. */
bp_status bpi_recorder_note(bp_context *ctx, int32_t number, const bpi_kernel *kernel,
                            bp_tensor *const *in, const bp_view *in_view, int n_in,
                            bp_tensor *const *out, const bp_view *out_view, int n_out,
                            const void *params, size_t params_bytes);
/* BP_ERR_STATE, naming the call, while a plan is recorded. */
bp_status bpi_not_recording(bp_context *ctx, const char *who);
void bpi_recording_free(bpi_recording *r);

#endif
