// Functions of the host's that never return: left by an exception, or by longjmp. The context can be
// used as if the call that they were called from had failed, and closed without a leak.
#include <bpcuda/bpcuda.h>

#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

extern "C" {
#include "check.h"
}

namespace {

enum class Leaves { in_step, in_plan, in_rule, in_infer, in_kernel, in_alloc, in_log, in_fill };
const char *const place[] = {"a step", "a recorded step", "a gradient rule", "a shape rule",
                             "a kernel", "the allocator", "the log", "initial values"};

std::jmp_buf back;
bool jumps, armed; /* whether the next one that may leaves, and how */
Leaves where;
int64_t live;

void maybe_leave(Leaves here)
{
    if (!armed || here != where)
        return;
    armed = false;
    if (jumps)
        std::longjmp(back, 1);
    throw std::runtime_error("the host's own");
}

void *take(void *, size_t bytes)
{
    maybe_leave(Leaves::in_alloc);
    live++;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

void give(void *, void *p, size_t)
{
    live -= p != nullptr;
    free(p);
}

void log_line(void *, const char *)
{
    maybe_leave(Leaves::in_log);
}

bp_status infer(const bp_view *in, bp_view *out, const void *, char *)
{
    maybe_leave(Leaves::in_infer);
    out[0].dtype = in[0].dtype;
    out[0].shape = in[0].shape;
    return BP_OK;
}

bp_status forward(bp_exec *, const bp_view *in, const bp_view *out, const void *)
{
    maybe_leave(Leaves::in_kernel);
    std::memcpy(out[0].data, in[0].data, sizeof(float) * bp_shape_count(in[0].shape));
    return BP_OK;
}

bp_status gradient(bp_grad_call *c)
{
    c->dx[0] = bp_scale(c->dout[0], 1);
    maybe_leave(Leaves::in_rule);
    return BP_OK;
}

bp_status fill(void *, double *value, int64_t)
{
    value[0] = 1;
    maybe_leave(Leaves::in_fill);
    return BP_OK;
}

struct Net {
    bp_context *ctx = nullptr;
    bp_op *op = nullptr;
    bp_params *params = nullptr, *filled = nullptr;
    bp_tensor *w = nullptr;
    bp_plan *plan = nullptr;
};

bp_status step(bp_context *ctx, void *user)
{
    Net *n = static_cast<Net *>(user);
    bp_tensor *a = bp_op_apply(n->op, &n->w, nullptr, nullptr);
    if (where == Leaves::in_fill && armed) /* a store's first use */
        a = bp_mul(a, bp_param_at(n->filled, 0));
    bp_tensor *loss = bp_sum(bp_mul(a, bp_exp(n->w)));
    if (where == Leaves::in_alloc && armed) /* memory that no pool has yet */
        bp_free(bp_tensor_create(ctx, BP_F32, BP_SHAPE(1 << 20)));
    if (where == Leaves::in_log && armed)
        bp_free(bp_tensor_create(ctx, 99, BP_SCALAR));
    maybe_leave(where == Leaves::in_plan ? Leaves::in_plan : Leaves::in_step);
    return bp_backward(ctx, loss);
}

void run(Net *n)
{
    if (where == Leaves::in_plan)
        (void)!bp_plan_record(n->ctx, step, n, &n->plan);
    else
        (void)!bp_run(n->ctx, 0, step, n);
}

/* Everything there is to do, from the beginning. */
bool works(Net *n)
{
    float g[4] = {0};
    for (int i = 0; i < 3; i++)
        if (bp_grad_clear(n->params) != BP_OK || bp_run(n->ctx, 0, step, n) != BP_OK)
            return false;
    if (bp_read(bp_param_grad(n->params, 0), g, sizeof g) != BP_OK || !(g[3] > 5.4f && g[3] < 5.5f))
        return false;
    if (bp_grad_clear(n->params) != BP_OK || bp_plan_record(n->ctx, step, n, &n->plan) != BP_OK ||
        bp_grad_clear(n->params) != BP_OK || bp_plan_replay(n->plan, 1) != BP_OK)
        return false;
    bp_plan_free(n->plan);
    n->plan = nullptr;
    return bp_scope_end(n->ctx) == BP_ERR_STATE;
}

/* What the allocator was called for is half made: nothing goes on. */
bool refuses(Net *n)
{
    return bp_run(n->ctx, 0, step, n) == BP_ERR_STATE &&
           std::strstr(bp_error_text(n->ctx), where == Leaves::in_fill ? "left by longjmp" :
                                              "allocator was left") &&
           !bp_tensor_create(n->ctx, BP_F32, BP_SHAPE(1));
}

bool open_net(Net *n)
{
    bp_hooks hooks{};
    hooks.struct_bytes = sizeof hooks;
    hooks.alloc = take;
    hooks.free = give;
    hooks.log = log_line;
    bp_op_def def{};
    def.struct_bytes = sizeof def;
    def.name = "same";
    def.n_in = def.n_out = 1;
    def.infer = infer;
    def.forward = forward;
    def.gradient = gradient;
    if (bp_open_with("cpu", &hooks, &n->ctx) != BP_OK || bp_set_threads(n->ctx, 1) != BP_OK ||
        bp_op_register(n->ctx, &def, &n->op) != BP_OK ||
        bp_params_create(n->ctx, BP_F32, &n->params) != BP_OK ||
        bp_params_create(n->ctx, BP_F32, &n->filled) != BP_OK ||
        !bp_param_with(n->filled, "x", BP_SHAPE(4), fill, nullptr))
        return false;
    n->w = bp_param(n->params, "w", BP_SHAPE(4), BP_INIT_ONE);
    return n->w && bp_run(n->ctx, 0, step, n) == BP_OK;
}

void close_net(Net *n)
{
    bp_params_free(n->filled);
    bp_params_free(n->params);
    bp_close(n->ctx);
}

void by_exception(Leaves at, int times)
{
    Net n;
    char name[80];
    bool caught = false, good;
    live = 0;
    jumps = false;
    where = at;
    armed = false;
    good = open_net(&n);
    for (int i = 0; i < times; i++) {
        armed = true;
        try {
            run(&n);
        } catch (const std::exception &e) {
            caught = !std::strcmp(e.what(), "the host's own");
        }
    }
    std::snprintf(name, sizeof name, "an exception comes out of %s", place[int(at)]);
    check(good && caught && !armed, name);
    if (at == Leaves::in_alloc)
        check(refuses(&n), "... and the context can only be closed");
    else
        check(bp_scope_end(n.ctx) == BP_ERR_STATE && works(&n), "... and nothing is open, all works");
    close_net(&n);
    check(live == 0, "... and no memory is left");
}

void by_longjmp(Leaves at, bool recovers)
{
    static Net n;
    char name[80];
    n = Net();
    live = 0;
    jumps = true;
    where = at;
    armed = false;
    bool good = open_net(&n);
    armed = true;
    if (!setjmp(back)) {
        run(&n);
        good = false;
    }
    std::snprintf(name, sizeof name, "longjmp comes out of %s", place[int(at)]);
    check(good && !armed, name);
    if (recovers && (at == Leaves::in_alloc || at == Leaves::in_fill))
        check(refuses(&n), "... and the context can only be closed");
    else if (recovers) {
        while (bp_scope_end(n.ctx) != BP_ERR_STATE)
            continue;
        check(!std::strcmp(bp_error_text(n.ctx), "scope_end: there is no open scope") && works(&n),
              "... and when its scopes are ended all works");
    }
    close_net(&n);
    check(live <= 1, "... and closing gives all memory back, but for one block on its way");
}

/* An exception that is caught by a step of the host's ends only what was called in it. */
bp_status catching(bp_context *ctx, void *user)
{
    Net *n = static_cast<Net *>(user);
    bp_tensor *x = bp_exp(n->w);
    armed = true;
    try {
        (void)!bp_run(ctx, 0, step, user);
    } catch (const std::exception &) {
        return bp_dtype_of(x) == BP_F32 && bp_backward(ctx, bp_sum(x)) == BP_OK ? BP_OK
                                                                              : BP_ERR_STATE;
    }
    return BP_ERR_STATE;
}

} // namespace

int main()
{
    for (Leaves at : {Leaves::in_step, Leaves::in_plan, Leaves::in_rule, Leaves::in_infer,
                      Leaves::in_kernel, Leaves::in_alloc, Leaves::in_log, Leaves::in_fill}) {
        by_exception(at, at == Leaves::in_alloc ? 1 : 3);
        by_longjmp(at, true);
        by_longjmp(at, false);
    }
    Net n;
    jumps = armed = false;
    where = Leaves::in_step;
    check(open_net(&n) && (where = Leaves::in_infer, bp_run(n.ctx, 0, catching, &n) == BP_OK) &&
          works(&n), "a step that catches an exception goes on in its own scope");
    close_net(&n);
    return check_end();
}
