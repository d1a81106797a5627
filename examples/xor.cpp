// XOR from C++17: handles that free themselves, errors as exceptions, a step that is a lambda.
// A net of 2-8-1 with tanh takes 500 steps of Adam on
//
//     loss = mean (net(x) - y)^2
//
// which is below 1e-12 in the end. Exits with 1 where it is more than 1e-6.
//
//     xor [device]        "auto"
#include <bpcuda/bpcuda.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

template <typename T, void (*release)(T *)> struct freed {
    void operator()(T *t) const { release(t); }
};
template <typename T, void (*release)(T *)> using owned = std::unique_ptr<T, freed<T, release>>;

using context = owned<bp_context, bp_close>;
using tensor = owned<bp_tensor, bp_free>;
using params = owned<bp_params, bp_params_free>;
using layers = owned<bp_layers, bp_layers_free>;
using optimizer = owned<bp_optimizer, bp_optimizer_free>;
using plan = owned<bp_plan, bp_plan_free>;

static void check(bp_status status, const context &ctx)
{
    if (status != BP_OK)
        throw std::runtime_error(bp_error_text(ctx.get()));
}

// A function of the library that makes a T: make<params>(ctx, bp_params_create, ctx.get(), BP_F32).
template <typename Owned, typename Function, typename... Arguments>
static Owned make(const context &ctx, Function function, Arguments... arguments)
{
    typename Owned::pointer made = nullptr;
    bp_status status = function(arguments..., &made);
    Owned handle(made);
    check(status, ctx);
    return handle;
}

// step() as the library wants it: a function and a pointer.
template <typename Step> static plan record(const context &ctx, Step &step)
{
    auto call = [](bp_context *, void *user) { return (*static_cast<Step *>(user))(); };
    return make<plan>(ctx, bp_plan_record, ctx.get(), static_cast<bp_step_fn>(call), &step);
}

static double train(const char *device)
{
    const float x[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}}, y[4] = {0, 1, 1, 0};
    bp_context *opened = nullptr;
    bp_status status = bp_open(device, &opened);
    context ctx(opened); // set on failure too: it says why
    check(status, ctx);
    check(bp_seed(ctx.get(), 1), ctx);
    tensor in(bp_tensor_create(ctx.get(), BP_F32, BP_SHAPE(4, 2)));
    tensor wanted(bp_tensor_create(ctx.get(), BP_F32, BP_SHAPE(4, 1)));
    tensor error(bp_tensor_create(ctx.get(), BP_F32, BP_SCALAR));
    check(bp_write(in.get(), x, sizeof x), ctx);
    check(bp_write(wanted.get(), y, sizeof y), ctx);
    auto store = make<params>(ctx, bp_params_create, ctx.get(), BP_F32);
    auto net = make<layers>(ctx, bp_layers_create, store.get(), "", 2, "8 tanh 1");
    auto adam = make<optimizer>(ctx, bp_adam_create, store.get(), 0.03);
    auto step = [&]() -> bp_status {
        bp_tensor *out = bp_layers_forward(net.get(), in.get(), 1);
        bp_tensor *loss = bp_mse_loss(out, wanted.get(), BP_MEAN);
        bp_status st = bp_copy_into(error.get(), loss);
        if (st == BP_OK)
            st = bp_backward(ctx.get(), loss);
        return st == BP_OK ? bp_optimizer_step(adam.get()) : st;
    };
    float last = 1;
    plan steps = record(ctx, step);
    check(bp_plan_replay(steps.get(), 499), ctx);
    check(bp_read(error.get(), &last, sizeof last), ctx);
    std::printf("%s: error %.1e\n", bp_device_text(ctx.get()), static_cast<double>(last));
    return last;
}

int main(int argc, char **argv)
{
    try {
        return train(argc > 1 ? argv[1] : "auto") < 1e-6 ? 0 : 1;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "%s\n", e.what());
        return 1;
    }
}
