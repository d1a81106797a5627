// The umbrella header from C++17: shapes, a scope with a lambda, an error.
#include <bpcuda/bpcuda.h>

#include <cstdio>
#include <cstring>
#include <vector>

// Sizes come as whatever counts things: int, size_t, int64_t, an enumerator.
static bool shapes()
{
    enum { CLASSES = 10 };
    std::vector<float> v(6);
    const unsigned short small = 3;
    const int rows = 2;
    bp_shape s = BP_SHAPE(v.size(), rows, sizeof(float), CLASSES, small, 2ull, int64_t{7});
    static_assert(BP_SHAPE(4u).dim[0] == 4, "a shape is a constant where its sizes are");
    return s.ndim == 7 && bp_shape_count(s) == 6 * 2 * 4 * 10 * 3 * 2 * 7 && s.dim[0] == 6;
}

int main()
{
    bp_context *ctx = nullptr;
    if (bp_open("cpu", &ctx) != BP_OK)
        return 1;
    const float v[] = {1, 2, 3, 4, 5, 6};
    bp_tensor *x = bp_tensor_create(ctx, BP_F32, BP_SHAPE(2, 3));
    bool good = shapes() && bp_write(x, v, sizeof v) == BP_OK && bp_shape_of(x).dim[1] == 3 &&
                bp_shape_count(BP_SCALAR) == 1;
    bp_tensor *args[] = {x, nullptr};
    bp_status st = bp_run(
        ctx, BP_NO_GRAD,
        [](bp_context *, void *user) -> bp_status {
            auto **t = static_cast<bp_tensor **>(user);
            t[1] = bp_keep(bp_sum_axes(bp_relu(t[0]), BP_AXIS(0), 0));
            return t[1] ? BP_OK : BP_ERR_STATE;
        },
        args);
    float sums[3] = {};
    good = good && st == BP_OK && bp_read(args[1], sums, sizeof sums) == BP_OK && sums[2] == 9;
    good = good && bp_relu(x) == nullptr && std::strstr(bp_error_text(ctx), "bp_run") != nullptr;
    bp_free(x);
    bp_free(args[1]);
    bp_close(ctx);
    std::printf("%s\n", good ? "ok" : "FAILED");
    return good ? 0 : 1;
}
