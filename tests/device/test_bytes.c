/* How many bytes of device memory the kernels of wide rows move, against the floors that their head
 * comments state: counted by the simulated device that checks every access. A plain program:
 *
 *     test_bytes
 *
 * What lies in a cache by then counts as well: gain and bias, which each row reads, and partial
 * sums of columns; what several threads of a warp read counts once. More than 5 % above fails. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <bpcuda/bpcuda.h>

#include "check.h"
#include "sim/control.h"

static const struct sim_control *sim;

enum { EPS = 1, MOST_ROWS = 256 };

typedef struct inputs {
    bp_tensor *x, *gain, *bias, *labels, *dy;
} inputs;

static bp_tensor *softmax(const inputs *in) { return bp_softmax(in->x, 1); }
static bp_tensor *log_softmax(const inputs *in) { return bp_log_softmax(in->x, 1); }
static bp_tensor *standardize(const inputs *in) { return bp_standardize(in->x, 1, EPS); }
static bp_tensor *layer_norm(const inputs *in)
{
    return bp_layer_norm(in->x, in->gain, in->bias, EPS);
}
static bp_tensor *cross_entropy(const inputs *in) { return bp_cross_entropy(in->x, in->labels); }
static bp_tensor *logsumexp(const inputs *in) { return bp_logsumexp_axes(in->x, 2, 0); }
static bp_tensor *sum(const inputs *in) { return bp_sum_axes(in->x, 2, 0); }
static bp_tensor *max(const inputs *in) { return bp_max_axes(in->x, 2, 0); }

/* Elements an element of x, from memory and from cache; -1: not looked at. */
static const struct row {
    const char *name;
    bp_tensor *(*call)(const inputs *in);
    int forward;
    double forward_cached;
    int backward;
    double backward_cached;
    int rows, widths;
    int first, asked; /* gradients, of x, gain, bias */
} table[] = {
    {"softmax", softmax, 2, 0, 3, 0, 8, 5, 0, 1},
    {"log_softmax", log_softmax, 2, 0, 3, 0, 8, 5, 0, 1},
    {"standardize", standardize, 2, 0, 3, 0, 8, 5, 0, 1},
    {"layer_norm", layer_norm, 2, 2, 3, 1, 8, 5, 0, 1},
    {"dgain, dbias", layer_norm, -1, 0, 2, 0.25, MOST_ROWS, 2, 1, 2},
    {"cross_entropy", cross_entropy, 2, 0, 0, 0, 8, 5, 0, 1},
    {"logsumexp", logsumexp, 1, 0, -1, 0, 8, 5, 0, 0},
    {"sum", sum, 1, 0, -1, 0, 8, 5, 0, 0},
    {"max", max, 1, 0, -1, 0, 8, 5, 0, 0},
};

static double bytes_moved(void)
{
    return (double)(sim->calls("kernel:read") + sim->calls("kernel:write"));
}

static bp_tensor *filled(bp_context *ctx, int64_t rows, int64_t width)
{
    bp_shape shape = rows ? BP_SHAPE(rows, width) : BP_SHAPE(width);
    int64_t n = (rows ? rows : 1) * width;
    bp_tensor *t = bp_tensor_create(ctx, BP_F32, shape);
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((i * 7919) % 1009) / 256 - 2;
    const bp_status st = bp_write(t, x, (size_t)n * sizeof *x);
    free(x);
    return st == BP_OK ? t : NULL;
}

/* Whether `bytes` an element are what the floor is, within 5 %. */
static int tell(double bytes, int elements, double cached)
{
    if (elements < 0) {
        printf("  %22s", "");
        return 1;
    }
    const double floor = 4.0 * (elements + cached), ratio = floor > 0 ? bytes / floor : 1;
    char more[32] = "";
    if (cached > 0)
        snprintf(more, sizeof more, " + %g", 4 * cached);
    printf("  %6.2f of %d%-5s %5.3f", bytes, 4 * elements, more, ratio);
    return ratio <= 1.05 && (floor > 0 || bytes < 0.05);
}

static int measure(bp_context *ctx, const struct row *row, int64_t width)
{
    const int64_t rows = row->rows;
    int32_t label[MOST_ROWS];
    for (int64_t i = 0; i < rows; i++)
        label[i] = (int32_t)(i * (width - 1) / (rows - 1));
    inputs in = {filled(ctx, rows, width), filled(ctx, 0, width), filled(ctx, 0, width),
                 bp_tensor_create(ctx, BP_I32, BP_SHAPE(rows)), filled(ctx, rows, width)};
    bp_status st = bp_write(in.labels, label, (size_t)rows * sizeof *label);
    st = st == BP_OK ? bp_scope_begin(ctx, 0) : st;
    bp_tensor *const held[5] = {in.x, in.gain, in.bias, in.labels, in.dy};
    bp_tensor *x[3], *dx[3] = {NULL};
    x[0] = in.x = bp_require_grad(in.x);
    x[1] = in.gain = bp_require_grad(in.gain);
    x[2] = in.bias = bp_require_grad(in.bias);
    const double elements = (double)(rows * width), begin = bytes_moved();
    bp_tensor *y = row->call(&in);
    const double forward = bytes_moved() - begin;
    if (st == BP_OK && row->backward >= 0)
        st = row->call == cross_entropy
                 ? bp_grad_scalar(ctx, y, x, 1, 0, dx)
                 : bp_grad(ctx, y, in.dy, x + row->first, row->asked, 0, dx);
    const double backward = bytes_moved() - begin - forward;
    printf("%-14s %7lld", row->name, (long long)width);
    int good = tell(forward / elements, row->forward, row->forward_cached);
    good &= tell(backward / elements, row->backward, row->backward_cached);
    printf("\n");
    good &= st == BP_OK && bp_scope_end(ctx) == BP_OK;
    for (int i = 0; i < 5; i++)
        bp_free(held[i]);
    return good;
}

int main(void)
{
    static const int64_t widths[] = {1000, 4096, 16384, 50257, 131072};
    const char *dir = getenv("BPCUDA_PLUGIN_DIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/libbpcuda-sim.so", dir ? dir : ".");
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct sim_control *(*control)(void) = NULL;
    if (library)
        *(void **)&control = dlsym(library, "bpi_sim_control");
    sim = control ? control() : NULL;
    bp_context *ctx = NULL;
    if (!sim || !sim->checks_accesses() || bp_open("sim:0", &ctx) != BP_OK) {
        printf("%s: no simulated device that sees every access\n", path);
        bp_close(ctx);
        return 77;
    }
    printf("f32, rows of so many elements; bytes an element: counted, floor (+ from cache), ratio\n"
           "%-14s %7s  %-22s  %s\n", "", "width", "forward", "backward");
    int good = 1;
    for (size_t k = 0; k < sizeof table / sizeof *table; k++)
        for (int i = 0; i < table[k].widths; i++)
            good &= measure(ctx, &table[k], widths[i]);
    check(good, "no kernel moves over 5 % more than its floor");
    bp_close(ctx);
    return check_end();
}
