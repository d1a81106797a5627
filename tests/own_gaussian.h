/* An op of a program's own for tests: a Gaussian, y = e^(-a x^2), y' = -2 a x y,
 * y'' = (4 a^2 x^2 - 2 a) y. On the simulated device its launches are those of tests/sim/own.cu. */
#ifndef BPI_TEST_OWN_GAUSSIAN_H
#define BPI_TEST_OWN_GAUSSIAN_H

#include <dlfcn.h>

#include "suite.h"

typedef struct gaussian {
    double a;
    bp_op *backward; /* of its rule; NULL: the rule has none */
} gaussian;

static int calls; /* of kernels */

static inline bp_status like(const bp_view *in, bp_view *out, const void *params, char *why)
{
    (void)params, (void)why;
    *out = *in;
    return BP_OK;
}

static inline bp_status compose(bp_context *c, bp_tensor *const *in, const void *params,
                                bp_tensor **out)
{
    const gaussian *g = params;
    out[0] = bp_exp(bp_scale(bp_mul(in[0], in[0]), -g->a));
    return out[0] && bp_context_of(out[0]) == c ? BP_OK : BP_ERR_STATE;
}

/* in: x; or x, y, dy. */
static inline double at_x(double x, double y, const double *dy, double a)
{
    return dy ? -2 * a * x * y * *dy : exp(-a * x * x);
}

static inline double element(const bp_view *v, int64_t i)
{
    return v->dtype == BP_F64 ? ((const double *)v->data)[i] : ((const float *)v->data)[i];
}

static inline bp_status on_cpu(const bp_view *in, const bp_view *out, const void *params,
                               bool backward)
{
    calls++;
    for (int64_t i = 0; i < bp_shape_count(in->shape); i++) {
        double dy = backward ? element(&in[2], i) : 0;
        double r = at_x(element(in, i), backward ? element(&in[1], i) : 0, backward ? &dy : NULL,
                        ((const gaussian *)params)->a);
        if (out->dtype == BP_F64)
            ((double *)out->data)[i] = r;
        else
            ((float *)out->data)[i] = (float)r;
    }
    return BP_OK;
}

static inline bp_status forward_cpu(bp_exec *ex, const bp_view *in, const bp_view *out,
                                    const void *params)
{
    cr_assert_null(bp_cuda_stream(ex));
    return on_cpu(in, out, params, false);
}

static inline bp_status backward_cpu(bp_exec *ex, const bp_view *in, const bp_view *out,
                                     const void *params)
{
    (void)ex;
    return on_cpu(in, out, params, true);
}

/* --- the launches of a GPU ------------------------------------------------------------------- */

static void (*launch)(void *stream, int f64, int threads, int64_t n, const void *const *in,
                      void *out, double a);
static int threads = 64;

/* Whether this device has kernels of ours; where it is a GPU that we have no launches for, the
 * composition runs. */
static inline bool has_kernels(void)
{
    char path[1024];
    if (!strncmp(test_device(), "cpu", 3))
        return true;
    if (strncmp(test_device(), "sim", 3) || !getenv("BPCUDA_PLUGIN_DIR"))
        return false;
    snprintf(path, sizeof path, "%s/libbpcuda-sim.so", getenv("BPCUDA_PLUGIN_DIR"));
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* the one that bp_open finds */
    cr_assert(library, "%s", dlerror());
    *(void **)&launch = dlsym(library, "bpi_sim_own_gaussian");
    cr_assert(launch);
    threads = 64;
    return true;
}

static inline void count_block(void *arg, int64_t block)
{
    *(int64_t *)arg += block;
}

static inline bp_status launch_on(bp_exec *ex, const bp_view *in, const bp_view *out,
                                  const void *params, bool backward)
{
    const void *data[3] = {in[0].data, backward ? in[1].data : NULL, backward ? in[2].data : NULL};
    int64_t blocks = 0;
    calls++;
    bp_parallel_for(ex, 4, count_block, &blocks);
    bp_fault_range(ex, 1); /* touches no memory of the device, and notes nothing */
    if (!bp_cuda_stream(ex) || blocks != 6)
        return BP_ERR_STATE;
    launch(bp_cuda_stream(ex), in->dtype == BP_F64, threads, bp_shape_count(in->shape), data,
           out->data, ((const gaussian *)params)->a);
    return BP_OK;
}

static inline bp_status forward_gpu(bp_exec *ex, const bp_view *in, const bp_view *out,
                                    const void *params)
{
    return launch_on(ex, in, out, params, false);
}

static inline bp_status backward_gpu(bp_exec *ex, const bp_view *in, const bp_view *out,
                                     const void *params)
{
    return launch_on(ex, in, out, params, true);
}

/* --- the op ---------------------------------------------------------------------------------- */

static inline bp_op_def gaussian_def(void)
{
    return (bp_op_def){.struct_bytes = sizeof(bp_op_def), .name = "gaussian", .n_in = 1,
                       .n_out = 1, .params_bytes = sizeof(gaussian), .compose = compose};
}

static inline bp_op *registered(const bp_op_def *def)
{
    bp_op *op;
    OK(bp_op_register(ctx, def, &op));
    return op;
}

#endif
