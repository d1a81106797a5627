/* A device from outside: transfers, graphs (device_graphs.c), faults (device_faults.c), optimisers
 * (device_optimizers.c), convolutions (device_convolutions.c), several contexts. A plain program,
 * for a machine with a GPU and no test framework, and for the simulated device:
 *
 *     test_device NAME [cases] [transfers] [graphs] [faults] [optimizers] [convolutions] [contexts]
 *
 * All of them without any. Status 77 where the device cannot be opened, 1 with
 * BPCUDA_REQUIRE_CUDA=1. `cases` is the table of bpcuda check device. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "device.h"
#include "net.h"
#include "readers.h"

const char *name;
bp_context *ctx;

/* --- transfers: whatever the size, in order, and nothing waits ------------------------------- */

static void fill_bytes(unsigned char *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(seed = seed * 1664525 + 1013904223, seed >> 24);
}

static void transfers(void)
{
    static const size_t size[] = {0, 1, 3, 4095, 4u << 20, (4u << 20) + 1, 21u << 20};
    enum { N = sizeof size / sizeof *size };
    unsigned char *host = malloc(size[N - 1]), *back = malloc(size[N - 1]);
    bp_tensor *t[N];
    int good = 1;
    for (int i = 0; i < N; i++) { /* all of them on their way before the first is read */
        t[i] = bp_tensor_create(ctx, BP_U8, BP_SHAPE((int64_t)size[i]));
        fill_bytes(host, size[i], (unsigned)i);
        good &= t[i] && bp_write(t[i], host, size[i]) == BP_OK;
        memset(host, 0, size[i]);
    }
    for (int i = 0; i < N; i++) {
        fill_bytes(host, size[i], (unsigned)i);
        good &= bp_read(t[i], back, size[i]) == BP_OK && !memcmp(host, back, size[i]);
        bp_free(t[i]);
    }
    check(good, "what is written is read, from no byte to 21 MiB");
    bp_tensor *one = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1));
    bp_tensor *many = bp_tensor_create(ctx, BP_I32, BP_SHAPE(1000));
    bp_stats before, after;
    bp_get_stats(ctx, &before);
    good = one && many;
    for (int32_t i = 0; i < 1000 && good; i++)
        good = bp_write(one, &i, sizeof i) == BP_OK;
    bp_get_stats(ctx, &after);
    check(good && after.waits == before.waits, "a thousand small writes wait for nothing");
    int32_t last = 0;
    check(bp_read(one, &last, sizeof last) == BP_OK && last == 999, "and arrive in order");
    bp_free(one);
    bp_free(many);
    free(host);
    free(back);
}

/* --- contexts -------------------------------------------------------------------------------- */

static bp_status host_kernel(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)ex, (void)in, (void)out, (void)params;
    return BP_OK;
}

static bp_status like(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    *out = *in;
    return BP_OK;
}

static void contexts(void)
{
    bp_context *other = NULL, *third = NULL;
    net a, b;
    int good = bp_open(name, &other) == BP_OK && bp_seed(ctx, 4) == BP_OK &&
               bp_seed(other, 4) == BP_OK && net_open(&a, ctx, BP_F32, 0.1) == BP_OK &&
               net_open(&b, other, BP_F32, 0.1) == BP_OK;
    for (int i = 0; i < 5 && good; i++)
        good = net_train(&a, i, 1) == BP_OK && net_train(&b, i, 1) == BP_OK;
    check(good && net_digest(&a) == net_digest(&b), "two contexts train by turns, with equal bits");
    net_close(&a);
    net_close(&b);
    bp_op_def def = {.struct_bytes = sizeof def, .name = "mine", .n_in = 1, .n_out = 1,
                     .infer = like, .forward = host_kernel};
    bp_op *op = NULL;
    check(bp_op_register(ctx, &def, &op) == BP_ERR_UNSUPPORTED &&
          strstr(bp_error_text(ctx), "mine: "), "an op with a CPU's kernel alone is refused");
    check(bp_set_precision(ctx, BP_PRECISION_TF32) == BP_OK &&
          bp_set_precision(ctx, BP_PRECISION_F32) == BP_OK &&
          bp_set_precision(ctx, 7) == BP_ERR_ARG, "precision is set, and checked");
    char far[32];
    snprintf(far, sizeof far, "%.*s:999", (int)strcspn(name, ":"), name);
    check(bp_open(far, &third) == BP_ERR_DEVICE && strstr(bp_error_text(third), "no device 999"),
          "a device that is not there is said to be");
    bp_close(third);
    bp_close(other);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } section[] = {{"transfers", transfers}, {"graphs", graphs}, {"faults", faults},
                   {"optimizers", optimizers}, {"convolutions", convolutions},
                   {"contexts", contexts}};
    name = argc > 1 ? argv[1] : "cuda:0";
    if (bp_open(name, &ctx) != BP_OK) {
        printf("%s: %s\n", name, bp_error_text(ctx));
        bp_close(ctx);
        return getenv("BPCUDA_REQUIRE_CUDA") ? 1 : 77;
    }
    printf("%s\n", bp_device_text(ctx));
    for (size_t k = 0; k < sizeof section / sizeof *section; k++)
        for (int i = 1; i < (argc > 2 ? argc : 2); i++)
            if (argc <= 2 || !strcmp(argv[i], section[k].name))
                section[k].run();
    bp_close(ctx);
    for (int i = 1; i < (argc > 2 ? argc : 2); i++)
        if (argc <= 2 || !strcmp(argv[i], "cases"))
            check(check_device(name, NULL), "the device agrees with the CPU");
    return check_end();
}
