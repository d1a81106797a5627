/* The products of `linear` on a CUDA device, in each of their layouts: what rides on a product
 * against the plain product with a kernel of ours behind it, in strict f32 and TF32.
 *
 *     bench_products [--device cuda:N] [--quick]
 *
 * A JSON line a row: `us` the way that the library goes, `plain_us` the product alone, `fused_us`
 * with cuBLASLt's epilogue ("fused_not_run": it has no plan), `apart_us` without. Each way is a
 * graph of several calls, so that a launch costs what it costs in a plan; medians of rounds. Linked
 * with the device's own sources, as tests/device/test_epilogues.c, which holds the values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/inside.h"
#include "timing.h"

bp_status bpi_plugin_open(const char *door, int32_t number, const bp_hooks *hooks,
                          bpi_device **device, char *why);
extern const bpi_op_kernels bpi_cuda_linear_f32, bpi_cuda_gate_f32, bpi_cuda_sum_f32;

enum { CALLS = 20, ROUNDS = 9 }; /* calls of a graph */
typedef enum layout { FORWARD, RELU, DGRAD, WGRAD, LAYOUTS } layout;
typedef enum way { LIBRARY, PLAIN, FUSED, APART, WAYS } way;

static const char *const layout_name[] = {"forward", "forward relu", "dgrad", "wgrad"};
static const char *const way_name[] = {"", "plain_", "fused_", "apart_"};

/* A layer, and what its kernels read and write. */
typedef struct problem {
    int64_t rows, in, out;
    bp_view x, w, b, y, bits; /* [rows, in], [out, in], [out], [rows, out], a bit an element of y */
    bp_view dx, dw, db;
    bpi_product product[LAYOUTS];
} problem;

static bpi_device *device;
static bp_exec ex;
static int quick;

/* --- a problem ------------------------------------------------------------------------------- */

static size_t bytes_of(const bp_view *v)
{
    return (size_t)bp_shape_count(v->shape) * sizeof(float);
}

static bp_status make(bp_view *v, int64_t rows, int64_t cols)
{
    *v = (bp_view){.dtype = BP_F32, .shape = BP_SHAPE(rows, cols), .stride = {cols, 1}};
    size_t bytes = bytes_of(v);
    float *host = malloc(bytes);
    v->data = device->calls->alloc(device, bytes);
    for (size_t i = 0; host && i < bytes / sizeof *host; i++)
        host[i] = (float)rand() / (float)RAND_MAX - 0.5f;
    bp_status st = !host || !v->data ? BP_ERR_NOMEM
                                     : device->calls->upload(device, v->data, host, bytes);
    free(host);
    return st;
}

static bp_status set_up(problem *p, int64_t rows, int64_t in, int64_t out)
{
    *p = (problem){.rows = rows, .in = in, .out = out};
    BPI_TRY(make(&p->x, rows, in));
    BPI_TRY(make(&p->w, out, in));
    BPI_TRY(make(&p->b, 1, out));
    BPI_TRY(make(&p->y, rows, out));
    BPI_TRY(make(&p->dx, rows, in));
    BPI_TRY(make(&p->dw, out, in));
    BPI_TRY(make(&p->db, 1, out));
    int64_t widest = in > out ? in : out, pitch = (widest + 127) / 128 * 128;
    BPI_TRY(make(&p->bits, rows, pitch / 32));
    p->db.shape = BP_SHAPE(out);
    p->db.stride[0] = 1;
    bpi_product plain = {.dtype = BP_F32, .alpha = 1, .aux = p->bits.data, .aux_pitch = pitch};
    bpi_product *f = &p->product[FORWARD], *d = &p->product[DGRAD], *g = &p->product[WGRAD];
    *f = *d = *g = plain;
    f->m = rows, f->n = out, f->k = in, f->epilogue = BPI_EPILOGUE_BIAS;
    f->a = p->x.data, f->a_pitch = in;
    f->b = p->w.data, f->b_pitch = in, f->b_transposed = 1;
    f->c = p->y.data, f->c_pitch = out, f->bias = p->b.data;
    d->m = rows, d->n = in, d->k = out, d->epilogue = BPI_EPILOGUE_DRELU;
    d->a = p->y.data, d->a_pitch = out;
    d->b = p->w.data, d->b_pitch = in;
    d->c = p->dx.data, d->c_pitch = in;
    g->m = out, g->n = in, g->k = rows, g->epilogue = BPI_EPILOGUE_BGRAD;
    g->a = p->y.data, g->a_pitch = out, g->a_transposed = 1;
    g->b = p->x.data, g->b_pitch = in;
    g->c = p->dw.data, g->c_pitch = in, g->bias = p->db.data;
    p->product[RELU] = *f;
    return BP_OK;
}

static void tear_down(problem *p)
{
    bp_view *const all[] = {&p->x, &p->w, &p->b, &p->y, &p->bits, &p->dx, &p->dw, &p->db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->data)
            device->calls->free(device, all[i]->data, bytes_of(all[i]));
}

/* --- the ways -------------------------------------------------------------------------------- */

static bp_status library(problem *p, layout l)
{
    const bpi_op_kernels *op = &bpi_cuda_linear_f32;
    const bp_view forward_in[] = {p->x, p->w, p->b, {0}};
    const bp_view forward_out[] = {p->y, l == RELU ? p->bits : (bp_view){0}};
    const bp_view backward_in[] = {p->y, p->w, p->x, p->bits};
    const bp_view params_in[] = {p->y, p->x}, params_out[] = {p->dw, p->db};
    const bpi_linear_params forward = {l == RELU, 65536, 0};
    const bpi_linear_backward_params scale = {1};
    const bpi_linear_wgrad_params write = {0, 0};
    if (l == DGRAD)
        return op->slot[BPI_BACKWARD].fn(&ex, backward_in, &p->dx, &scale);
    if (l == WGRAD)
        return op->slot[BPI_BACKWARD_PARAMS].fn(&ex, params_in, params_out, &write);
    return op->slot[BPI_FORWARD].fn(&ex, forward_in, forward_out, &forward);
}

/* What a product leaves to do; `biased` if it has taken the bias along. */
static bp_status finish(problem *p, layout l, int biased)
{
    if (l == DGRAD) {
        const bp_view in[] = {p->dx, p->x};
        return bpi_cuda_gate_f32.slot[BPI_FORWARD].fn(&ex, in, &p->dx, &(bpi_scale_params){1});
    }
    if (l == WGRAD)
        return bpi_cuda_sum_f32.slot[BPI_FORWARD].fn(&ex, &p->y, &p->db, &(bpi_sum_params){1});
    bpi_linear_finish f = {.dtype = BP_F32, .y = p->y.data, .rows = p->rows, .cols = p->out,
                           .pitch = p->out, .bias = biased ? NULL : p->b.data, .keep = 65536,
                           .relu = l == RELU, .mask = l == RELU ? p->bits.data : NULL,
                           .mask_pitch = p->product[l].aux_pitch};
    return bpi_cuda_linear_finish(&ex, &f);
}

static bp_status call(problem *p, layout l, way w)
{
    bpi_product product = p->product[l];
    if (w == LIBRARY)
        return library(p, l);
    if (w != FUSED)
        product.epilogue = BPI_EPILOGUE_NONE;
    BPI_TRY(bpi_lt_product(&ex, &product));
    return w == APART || (w == FUSED && l == RELU) ? finish(p, l, w == FUSED) : BP_OK;
}

static bp_status wait(void)
{
    char byte;
    return device->calls->download(device, &byte, ((bpi_cuda *)device)->counters, 1);
}

/* Median, least and most seconds of a call. A call before the capture chooses the plans. */
static bp_status measure(problem *p, layout l, way w, double out[3])
{
    double round[ROUNDS];
    bpi_graph *graph = NULL;
    int64_t nodes;
    BPI_TRY(call(p, l, w));
    BPI_TRY(device->calls->capture(device));
    bp_status st = BP_OK;
    for (int i = 0; i < CALLS && st == BP_OK; i++)
        st = call(p, l, w);
    bp_status end = device->calls->captured(device, &graph, &nodes);
    st = st != BP_OK ? st : end;
    for (int r = -1; r < ROUNDS && st == BP_OK; r++) { /* one to warm up */
        double t = seconds();
        st = device->calls->launch(device, graph);
        if (st == BP_OK)
            st = wait();
        round[r < 0 ? 0 : r] = (seconds() - t) / CALLS;
    }
    if (graph)
        device->calls->drop(device, graph);
    qsort(round, ROUNDS, sizeof *round, ascending);
    out[0] = round[ROUNDS / 2];
    out[1] = round[0];
    out[2] = round[ROUNDS - 1];
    return st;
}

/* 1 if the row failed. */
static int row(problem *p, layout l, bp_precision precision)
{
    printf("{\"row\": \"linear %lld %lld-%lld %s%s\"", (long long)p->rows, (long long)p->in,
           (long long)p->out, layout_name[l], precision == BP_PRECISION_TF32 ? " TF32" : "");
    bp_status st = device->calls->set_precision(device, precision);
    for (int w = LIBRARY; w < WAYS && st == BP_OK; w++) {
        double t[3];
        st = measure(p, l, (way)w, t);
        if (st == BP_OK)
            printf(", \"%sus\": %.3f, \"%sleast_us\": %.3f, \"%smost_us\": %.3f", way_name[w],
                   t[0] * 1e6, way_name[w], t[1] * 1e6, way_name[w], t[2] * 1e6);
        else if (st == BP_ERR_UNSUPPORTED && w == FUSED) {
            printf(", \"fused_not_run\": \"no plan\"");
            st = BP_OK;
        }
    }
    if (st != BP_OK)
        printf(", \"failed\": \"status %d %.100s\"", (int)st, device->why);
    printf("}\n");
    fflush(stdout);
    return st != BP_OK;
}

static int rows(int64_t batch, int64_t in, int64_t out)
{
    problem p;
    int failed = 0;
    bp_status st = set_up(&p, batch, in, out);
    if (st != BP_OK)
        printf("{\"row\": \"linear %lld %lld-%lld\", \"%s\": \"status %d\"}\n", (long long)batch,
               (long long)in, (long long)out, st == BP_ERR_NOMEM ? "not_run" : "failed", (int)st);
    for (int l = FORWARD; l < LAYOUTS && st == BP_OK; l++) {
        failed |= row(&p, (layout)l, BP_PRECISION_F32);
        failed |= row(&p, (layout)l, BP_PRECISION_TF32);
    }
    tear_down(&p);
    return failed || (st != BP_OK && st != BP_ERR_NOMEM);
}

int main(int argc, char **argv)
{
    static const int64_t shapes[][3] = {{128, 784, 512}, {128, 512, 10}, {32, 784, 512},
                                        {8, 2, 16}, {512, 2048, 2048}, {8192, 4096, 4096}};
    static const int64_t small[][3] = {{8, 24, 16}, {16, 16, 10}};
    int number = 0;
    for (int i = 1; i < argc; i++) {
        const char *colon = strchr(argv[i], ':');
        quick |= !strcmp(argv[i], "--quick");
        number = colon ? atoi(colon + 1) : number;
    }
    char why[160];
    if (bpi_plugin_open(BPI_DOOR, number, NULL, &device, why) != BP_OK) {
        printf("%s\n", why);
        return getenv("BPCUDA_REQUIRE_CUDA") ? 1 : 77;
    }
    printf("%s\n", device->name);
    ex.device = device;
    device->calls->turn(device, BPI_COMES);
    int failed = 0, count = (int)(quick ? sizeof small / sizeof *small
                                        : sizeof shapes / sizeof *shapes);
    for (int i = 0; i < count; i++) {
        const int64_t *s = quick ? small[i] : shapes[i];
        failed |= rows(s[0], s[1], s[2]);
    }
    device->calls->turn(device, BPI_LEAVES);
    device->calls->close(device);
    return failed;
}
