/* What only a simulated device can show of convolutions: that cuDNN is opened at the first one, and
 * what is said where it cannot be; each call of it that fails. */
#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "readers.h"
#include "test_sim.h"

/* --- opening ---------------------------------------------------------------------------------- */

static bp_status convolve(bp_context *ctx, void *user)
{
    bp_tensor **t = user;
    (void)ctx;
    return bp_conv2d_unbiased(t[0], t[1], (bp_window){0}) ? BP_OK : BP_ERR_STATE;
}

/* The first convolution of a context. */
static bp_status first(char text[512])
{
    bp_context *ctx = NULL;
    bp_tensor *t[2] = {NULL, NULL};
    bp_status st = bp_open("sim:0", &ctx);
    if (st == BP_OK) {
        t[0] = bp_tensor_create(ctx, BP_F32, BP_SHAPE(1, 4, 4, 2));
        t[1] = bp_tensor_create(ctx, BP_F32, BP_SHAPE(3, 2, 2, 2));
        st = bp_run(ctx, BP_NO_GRAD, convolve, t);
        snprintf(text, 512, "%s", bp_error_text(ctx));
    }
    bp_free(t[0]);
    bp_free(t[1]);
    bp_close(ctx);
    return st;
}

static void expect(const char *what, const char *sentence)
{
    char text[512] = "";
    const bp_status st = first(text);
    const int told = st == BP_ERR_DEVICE && strstr(text, sentence);
    if (!told)
        printf("       %d \"%s\", not \"%s\"\n", (int)st, text, sentence);
    check(told && nothing_left(), what);
}

static void sentences(void)
{
    char dir[] = "/tmp/bpcuda-cudnn-XXXXXX", path[64], text[512];
    int (*const call)(const char *) = puts;
    Dl_info libc;
    check(mkdtemp(dir) != NULL, "a folder");
    setenv("BPCUDA_CUDNN_DIR", dir, 1);
    expect("no cuDNN", "libcudnn_graph.so.9: cannot open shared object file");
    snprintf(path, sizeof path, "%s/libcudnn_graph.so.9", dir);
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
    expect("a file that is none", "libcudnn_graph.so.9: file too short");
    unlink(path);
    check(dladdr(*(void *const *)&call, &libc) && symlink(libc.dli_fname, path) == 0, "a link");
    expect("a library that is another", "libcudnn_graph.so.9 has no cudnnGetVersion");
    unlink(path);
    rmdir(dir);
    unsetenv("BPCUDA_CUDNN_DIR");
    setenv("BPCUDA_SIM_CUDNN_VERSION", "8907", 1);
    expect("an old cuDNN", "is cuDNN 8.9.7; 9.0 or later is wanted");
    unsetenv("BPCUDA_SIM_CUDNN_VERSION");
    setenv("BPCUDA_SIM_CUDNN_LOOSE", "1", 1);
    expect("no plan that may be taken", "deterministic, 0 of those in strict f32; none works in the "
           "memory it may have");
    unsetenv("BPCUDA_SIM_CUDNN_LOOSE");
    sim->fail("cudnnCreate", 1, 1008); /* SUBLIBRARY_LOADING_FAILED */
    expect("a cuDNN without its parts", "(cuDNN 9.19.0, of which a part is missing or another's)");
    sim->reset();
    check(first(text) == BP_OK && nothing_left(), "and then it is opened as if nothing had been");
}

/* --- failures --------------------------------------------------------------------------------- */

/* Of every `step`th call of a name, which fails once and is tried again. */
static void failures_of(const char *call, int step, uint64_t right)
{
    static const int status[] = {2000, 4003, 5000}; /* BAD_PARAM, HOST_ALLOCATION, EXECUTION */
    int failed = 0, wrong = 0, nth = 1, ended = 0;
    for (; !ended; nth += step) {
        sim->reset();
        sim->fail(call, nth, status[nth / step % 3]);
        const tried t = tried_run("sim:0", NULL, TRIED_IMAGES);
        ended = sim->calls(call) < nth;
        failed += t.failures;
        if ((t.digest != right || t.broken || !nothing_left()) && !wrong++)
            printf("       call %d: %d failures, %lld allocations and %lld objects left\n", nth,
                   t.failures, (long long)sim->live_allocations(),
                   (long long)sim->live_objects());
    }
    printf("       %s: %d of about %d calls failed, one by one\n", call, failed, nth);
    check(failed > 0 && wrong == 0, "a call of cuDNN that failed had done nothing");
}

void cudnn(void)
{
    static const struct {
        const char *call;
        int step;
    } of[] = {{"cudnnCreate", 1}, {"cudnnSetStream", 1}, {"cudnnBackendCreateDescriptor", 61},
              {"cudnnBackendSetAttribute", 17}, {"cudnnBackendGetAttribute", 7},
              {"cudnnBackendFinalize", 5}, {"cudnnBackendExecute", 1}};
    sim->reset();
    sim->set_memory((size_t)256 << 20); /* no room for the engine that wants a gigabyte */
    (void)tried_run("sim:0", NULL, TRIED_LAYER);
    check(sim->calls("cudnnGetVersion") == 0, "without a convolution there is no cuDNN");
    const tried right = tried_run("sim:0", NULL, TRIED_IMAGES);
    check(sim->calls("cudnnGetVersion") > 0 && right.failures == 0 && nothing_left(),
          "the first one opens it");
    sentences();
    sim->expect_error(1);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        failures_of(of[i].call, of[i].step, right.digest);
    sim->expect_error(0);
    sim->reset();
}
