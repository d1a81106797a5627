/* The plans that a real cuDNN makes for the convolutions of this library: on the GPU that is here,
 *
 *     test_cudnn_plans cuda:0
 *
 * or on ones that are not, which cards/ describes to it, with the cuDNN of the first of the
 * folders:
 *
 *     test_cudnn_plans CARDS FOLDER...
 *
 * Says which plan each convolution of common layers gets: the configurations offered, those of them
 * that are deterministic, of those that are strict too (or TF32), the engine chosen, its workspace.
 * Every convolution of the table of cases, its two gradients among them, finds one, aligned to 16
 * bytes and as little as can be; what is fused may have none. Each plan is made a second time, of
 * the choice that was kept. Of the GPU that is here it prints what cuDNN knows of it, as a row for
 * cards/. Status 77: there is no GPU, no cuDNN, or an old one. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/cudnn.h"
#include "op_cases.h"
#include "ops/window.h"

bp_status bpi_plugin_open(const char *door, int32_t number, const bp_hooks *hooks,
                          bpi_device **device, char *why);

static bpi_cuda *device;
static int missing, found_again, not_found;

static const char *const kind_name[] = {[BPI_CONV_PLAIN] = "conv2d_unbiased",
                                        [BPI_CONV_BIAS] = "conv2d",
                                        [BPI_CONV_BIAS_RELU] = "conv2d_relu",
                                        [BPI_CONV_INPUT] = "conv2d_input",
                                        [BPI_CONV_FILTER] = "conv2d_filter"};

/* Layers that people train, in images of 16 or 64. */
static const struct layer {
    const char *name;
    int64_t x[4], w[4];
    bp_window how;
} layers[] = {
    {"LeNet 28x28x1 5x5 6", {64, 28, 28, 1}, {6, 5, 5, 1}, {.pad = {2, 2, 2, 2}}},
    {"LeNet 14x14x6 5x5 16", {64, 14, 14, 6}, {16, 5, 5, 6}, {.groups = 1}},
    {"28x28x1 3x3 32", {64, 28, 28, 1}, {32, 3, 3, 1}, {.pad = {1, 1, 1, 1}}},
    {"14x14x32 3x3 64", {64, 14, 14, 32}, {64, 3, 3, 32}, {.pad = {1, 1, 1, 1}}},
    {"32x32x3 3x3 32", {64, 32, 32, 3}, {32, 3, 3, 3}, {.pad = {1, 1, 1, 1}}},
    {"56x56x64 3x3 64", {16, 56, 56, 64}, {64, 3, 3, 64}, {.pad = {1, 1, 1, 1}}},
    {"56x56x64 3x3 128, stride 2", {16, 56, 56, 64}, {128, 3, 3, 64},
     {.pad = {1, 1, 1, 1}, .stride = {2, 2}}},
    {"56x56x64 3x3 64, dilation 2", {16, 56, 56, 64}, {64, 3, 3, 64},
     {.pad = {2, 2, 2, 2}, .dilation = {2, 2}}},
    {"56x56x64 3x3 64, 4 groups", {16, 56, 56, 64}, {64, 3, 3, 16},
     {.pad = {1, 1, 1, 1}, .groups = 4}},
    {"56x56x64 3x3, depthwise", {16, 56, 56, 64}, {64, 3, 3, 1},
     {.pad = {1, 1, 1, 1}, .groups = 64}},
    {"signal 512x8 9 16", {32, 1, 512, 8}, {16, 1, 9, 8}, {.pad = {0, 4, 0, 4}}}};

static bpi_convolution key_of(const int64_t *x, const int64_t *w, bp_window how)
{
    bpi_convolution key = {.how = bpi_window_of(how, 1, 1), .align = {16, 16, 16, 16}};
    memcpy(key.x, x, sizeof key.x);
    memcpy(key.w, w, sizeof key.w);
    key.y[0] = x[0];
    key.y[3] = w[0];
    for (int i = 0; i < 2; i++) {
        const int64_t window = key.how.dilation[i] * (w[1 + i] - 1) + 1;
        key.y[1 + i] = (x[1 + i] + key.how.pad[i] + key.how.pad[2 + i] - window) /
                       key.how.stride[i] + 1;
    }
    return key;
}

static void make_plan(bpi_conv_plan *p)
{
    if (bpi_cudnn_make(device, p) != BP_OK)
        printf("  %s: %s\n", kind_name[p->key.kind], device->base.why);
    if (p->plan)
        (void)device->cudnn->call.BackendDestroyDescriptor(p->plan);
}

/* The plan; its `plan` is only a sign. The choice that was kept of it is the same plan, unasked. */
static bpi_conv_plan make(bpi_convolution key, bpi_conv_kind kind, bp_dtype dtype,
                          bp_precision precision, uint32_t align)
{
    bpi_conv_plan p = {.key = key};
    p.key.kind = (int32_t)kind;
    p.key.dtype = (int32_t)dtype;
    p.key.precision = (int32_t)precision;
    for (int i = 0; i < BPI_CONV_OPERANDS; i++)
        p.key.align[i] = align;
    make_plan(&p);
    if (p.plan) {
        bpi_conv_plan again = {.key = p.key};
        make_plan(&again);
        const bool found = again.plan && again.offered == 1 && again.engine == p.engine &&
                           again.workspace_bytes == p.workspace_bytes;
        found_again += found;
        not_found += !found;
    }
    return p;
}

static void show(const char *card, const char *name, const char *type, const bpi_conv_plan *p)
{
    printf("%-5s %-28s %-16s %-5s %7d %13d %6d ", card, name, kind_name[p->key.kind], type,
           p->offered, p->deterministic, p->strict);
    if (p->plan)
        printf("%6lld %10lld\n", (long long)p->engine, (long long)p->workspace_bytes);
    else
        printf("  none\n");
}

static void show_layers(const char *card)
{
    static const struct {
        const char *name;
        bp_dtype dtype;
        bp_precision precision;
    } types[] = {{"f32", BP_F32, BP_PRECISION_F32},
                 {"tf32", BP_F32, BP_PRECISION_TF32},
                 {"f64", BP_F64, BP_PRECISION_F32}};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int t = 0; t < 3; t++)
            for (int kind = BPI_CONV_PLAIN; kind <= BPI_CONV_FILTER; kind++) {
                const bool fused = kind == BPI_CONV_BIAS || kind == BPI_CONV_BIAS_RELU;
                if (fused && types[t].dtype == BP_F64)
                    continue; /* is never asked for */
                const bpi_conv_plan p = make(key_of(layers[i].x, layers[i].w, layers[i].how), kind,
                                             types[t].dtype, types[t].precision, 16);
                show(card, layers[i].name, types[t].name, &p);
                missing += !p.plan && !fused;
            }
}

/* The convolution of a row of the table, whichever of its operands the row makes; 0: it is none, or
 * of no images. */
static int key_of_case(const op_case *c, bpi_convolution *key)
{
    int64_t x[4], w[4];
    const bp_window how = op_window(c);
    const int64_t groups = how.groups ? how.groups : 1;
    bp_shape in[2] = {c->in[0].shape, c->in[1].shape};
    for (int i = 0; i < 2; i++)
        if (c->in[i].layout == SWAPPED) {
            const int64_t last = in[i].dim[3];
            in[i].dim[3] = in[i].dim[2];
            in[i].dim[2] = last;
        }
    memcpy(x, in[0].dim, sizeof x);
    memcpy(w, in[1].dim, sizeof w);
    if (!strcmp(c->op, "conv2d_input")) {
        memcpy(x, (int64_t[]){in[0].dim[0], (int64_t)c->x, (int64_t)c->y, w[3] * groups}, sizeof x);
    } else if (!strcmp(c->op, "conv2d_filter")) {
        memcpy(x, in[1].dim, sizeof x);
        memcpy(w, (int64_t[]){in[0].dim[3], (int64_t)c->x, (int64_t)c->y, x[3] / groups}, sizeof w);
    } else if (strcmp(c->op, "conv2d")) {
        return 0;
    }
    *key = key_of(x, w, how);
    return x[0] > 0;
}

static void check_cases(const char *card)
{
    int asked = 0, fused = 0, none_fused = 0;
    bpi_convolution key;
    for (int i = 0; i < op_cases_n; i++)
        for (int which = 0; which < 4 && key_of_case(&op_cases[i], &key); which++)
            for (int kind = BPI_CONV_PLAIN; kind <= BPI_CONV_FILTER; kind++) {
                const bp_dtype dtype = which & 1 ? BP_F64 : BP_F32;
                const bool is_fused = kind == BPI_CONV_BIAS || kind == BPI_CONV_BIAS_RELU;
                if (is_fused && dtype == BP_F64)
                    continue;
                const uint32_t align = !(which & 2) ? 16 : dtype == BP_F64 ? 8 : 4;
                const bpi_conv_plan p = make(key, kind, dtype, BP_PRECISION_F32, align);
                asked += !is_fused;
                fused += is_fused;
                none_fused += is_fused && !p.plan;
                if (!p.plan && !is_fused) {
                    show(card, op_cases[i].name, bp_dtype_name(dtype), &p);
                    missing++;
                }
            }
    printf("%-5s table of cases: %d convolutions and gradients, each with a plan but those above; "
           "%d of %d fused have none\n", card, asked, none_fused, fused);
    printf("%-5s of the plans so far %d were found again by what was kept of their choice, %d were "
           "not\n", card, found_again, not_found);
}

static void show_head(void)
{
    printf("%s\n%-5s %-28s %-16s %-5s %7s %13s %6s %6s %10s\n", device->cudnn->version, "card",
           "layer", "op", "type", "offered", "deterministic", "strict", "engine", "workspace");
}

/* --- GPUs that are not here ------------------------------------------------------------------- */

static int describe_card(const char *folder, const char *card, cudnnBackendDescriptor_t *described)
{
    const bpi_cudnn_calls *cudnn = &device->cudnn->call;
    char path[4096], text[4096];
    snprintf(path, sizeof path, "%s/%s.json", folder, card);
    FILE *f = fopen(path, "r");
    const size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        fclose(f);
    return n > 0 &&
           !cudnn->BackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, described) &&
           !cudnn->BackendSetAttribute(*described, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                       CUDNN_TYPE_CHAR, (int64_t)n, text) &&
           !cudnn->BackendFinalize(*described);
}

static int elsewhere(const char *folder, char **libraries)
{
    static const char *const cards[] = {"t4", "a100", "h100", "b200"};
    static bpi_cuda none;
    static bpi_cudnn cudnn;
    bp_status st = BP_ERR_DEVICE;
    device = &none;
    device->cudnn = &cudnn;
    snprintf(device->base.why, sizeof device->base.why, "no folder is named");
    for (; *libraries && st != BP_OK; libraries++)
        if (setenv("BPCUDA_CUDNN_DIR", *libraries, 1) == 0)
            st = bpi_cudnn_load(&cudnn, device->base.why);
    if (st != BP_OK || cudnn.call.GetVersion() < 90800) {
        printf("skipped: cuDNN 9.8 or later is wanted: %s\n",
               st != BP_OK ? device->base.why : cudnn.version);
        return 77;
    }
    char engines[4096]; /* from 9.28 on this part is linked to the driver */
    snprintf(engines, sizeof engines, "%s/libcudnn_engines_runtime_compiled.so.9", libraries[-1]);
    if (!dlopen(engines, RTLD_LAZY)) {
        printf("skipped: %s\n", dlerror());
        return 77;
    }
    show_head();
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        if (!describe_card(folder, cards[i], &cudnn.described)) {
            printf("%s: %s does not take its description\n", cards[i], cudnn.version);
            return 1;
        }
        snprintf(device->base.name, sizeof device->base.name, "here: %s", cards[i]);
        show_layers(cards[i]);
        check_cases(cards[i]);
        bpi_choices_free(device);
        (void)cudnn.call.BackendDestroyDescriptor(cudnn.described);
    }
    return missing > 0 || not_found > 0;
}

/* --- the GPU that is here --------------------------------------------------------------------- */

static void show_description(void)
{
    const bpi_cudnn *cudnn = device->cudnn;
    cudnnBackendDescriptor_t d = NULL;
    char text[4096] = "null";
    int64_t n = 0;
    if (cudnn->call.BackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &d) ||
        cudnn->call.BackendSetAttribute(d, CUDNN_ATTR_DEVICEPROP_HANDLE, CUDNN_TYPE_HANDLE, 1,
                                        &cudnn->handle) ||
        cudnn->call.BackendFinalize(d) ||
        cudnn->call.BackendGetAttribute(d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                        CUDNN_TYPE_CHAR, sizeof text - 1, &n, text))
        n = 4;
    printf("{\"row\": \"cudnn device\", \"cudnn\": \"%s\", \"device\": %.*s}\n", cudnn->version,
           (int)n, text);
    if (d)
        (void)cudnn->call.BackendDestroyDescriptor(d);
}

static int here(const char *name)
{
    char why[160];
    bpi_device *opened;
    const bpi_conv_plan *plan;
    const char *colon = strchr(name, ':');
    if (bpi_plugin_open(BPI_DOOR, colon ? atoi(colon + 1) : 0, NULL, &opened, why) != BP_OK) {
        printf("skipped: %s\n", why);
        return getenv("BPCUDA_REQUIRE_CUDA") ? 1 : 77;
    }
    device = (bpi_cuda *)opened;
    opened->calls->turn(opened, BPI_COMES);
    bpi_convolution key = key_of(layers[0].x, layers[0].w, layers[0].how);
    key.dtype = BP_F32;
    key.precision = BP_PRECISION_F32;
    int failed = bpi_cudnn_plan(device, &key, &plan) != BP_OK; /* which opens cuDNN */
    if (failed) {
        printf("FAILED %s\n", opened->why);
    } else {
        show_description();
        show_head();
        show_layers("here");
        check_cases("here");
        failed = missing > 0 || not_found > 0;
    }
    opened->calls->turn(opened, BPI_LEAVES);
    opened->calls->close(opened);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    return strchr(argv[1], '/') ? elsewhere(argv[1], argv + 2) : here(argv[1]);
}
