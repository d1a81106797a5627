/* matmul: c = a b. Forward: a [.., M, K], b [.., K, N] -> c [.., M, N]; the matrices of a and b may
 * be transposed views, and the axes before them broadcast. Backward is two of the same. The product
 * itself: lt.c, which takes the innermost axis of a batch at once where neither a nor b repeats
 * along it. The rule: src/ops/matmul.c. */
#include "cuda/inside.h"

/* The pitch of the matrices of a view in BPI_MATRICES, and whether their memory is that of the
 * transposed matrix; an axis of size 1 may have any stride. */
static int32_t pitch_of(const bp_view *v, int64_t *pitch)
{
    const int64_t *dim = v->shape.dim + v->shape.ndim - 2;
    const int64_t *stride = v->stride + v->shape.ndim - 2;
    int32_t transposed = stride[1] != 1 && dim[1] > 1;
    int64_t width = dim[transposed ? 0 : 1];
    *pitch = stride[transposed ? 1 : 0];
    if (*pitch < width) /* of the only row */
        *pitch = width;
    return transposed;
}

enum { A, B, C, MATRICES, AT_ONCE = 65535 /* what the third side of a grid can hold */ };

/* The axes that count the products, innermost first; of those that lie behind each other, one. */
typedef struct batch {
    int32_t axes;
    int64_t size[BP_MAX_DIMS], stride[MATRICES][BP_MAX_DIMS];
} batch;

static void add_axis(batch *all, int64_t size, const int64_t *stride)
{
    int32_t top = all->axes - 1;
    int behind = top >= 0;
    for (int x = 0; x < MATRICES && behind; x++)
        behind = stride[x] == all->stride[x][top] * all->size[top];
    if (behind) {
        all->size[top] *= size;
        return;
    }
    for (int x = 0; x < MATRICES; x++)
        all->stride[x][all->axes] = stride[x];
    all->size[all->axes++] = size;
}

static batch batch_of(const bp_view *const *v)
{
    batch all = {0};
    for (int32_t i = v[C]->shape.ndim - 3, back = 3; i >= 0; i--, back++) {
        int64_t stride[MATRICES];
        for (int x = 0; x < MATRICES; x++) {
            int32_t axis = v[x]->shape.ndim - back;
            stride[x] = axis < 0 || v[x]->shape.dim[axis] == 1 ? 0 : v[x]->stride[axis];
        }
        if (v[C]->shape.dim[i] != 1)
            add_axis(&all, v[C]->shape.dim[i], stride);
    }
    return all;
}

/* p for the products of axes `from` on. */
static bp_status each(bp_exec *ex, bpi_product p, const batch *all, int32_t axis)
{
    const int64_t bytes = p.dtype == BP_F64 ? 8 : 4;
    if (axis < 0)
        return bpi_lt_product(ex, &p);
    int64_t a = all->stride[A][axis], b = all->stride[B][axis], c = all->stride[C][axis], step = 1;
    if (axis == 0 && a > 0 && b > 0) {
        p.a_next = a;
        p.b_next = b;
        p.c_next = c;
        step = AT_ONCE;
    }
    const char *from_a = p.a, *from_b = p.b;
    char *to = p.c;
    for (int64_t i = 0; i < all->size[axis]; i += step) {
        p.a = from_a + i * a * bytes;
        p.b = from_b + i * b * bytes;
        p.c = to + i * c * bytes;
        p.count = all->size[axis] - i < step ? all->size[axis] - i : step;
        BPI_TRY(each(ex, p, all, axis - 1));
    }
    return BP_OK;
}

static bp_status forward(bp_exec *ex, const bp_view *in, const bp_view *out, const void *params)
{
    (void)params;
    const int32_t n = out->shape.ndim;
    bpi_product p = {.dtype = out->dtype, .m = out->shape.dim[n - 2], .n = out->shape.dim[n - 1],
                     .k = in[0].shape.dim[in[0].shape.ndim - 1], .a = in[0].data,
                     .b = in[1].data, .c = out->data, .c_pitch = out->stride[n - 2], .alpha = 1};
    p.a_transposed = pitch_of(&in[0], &p.a_pitch);
    p.b_transposed = pitch_of(&in[1], &p.b_pitch);
    batch all = batch_of((const bp_view *[]){&in[0], &in[1], out});
    /* one B, and matrices of A whose rows follow on each other: they are the rows of one */
    if (all.axes > 0 && !p.a_transposed && all.stride[B][0] == 0 &&
        all.stride[A][0] == p.m * p.a_pitch && all.stride[C][0] == p.m * p.c_pitch) {
        p.m *= all.size[0];
        all.size[0] = 1;
    }
    return each(ex, p, &all, all.axes - 1);
}

const bpi_op_kernels bpi_cuda_matmul_f32 = {
    .slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRICES}};
const bpi_op_kernels bpi_cuda_matmul_f64 = {
    .slot[BPI_FORWARD] = {.fn = forward, .layout = BPI_MATRICES}};
