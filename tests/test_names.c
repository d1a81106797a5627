/* A text names the call that the program made, also where that is made of others: each is given
 * what it may not like, and where it gives nothing the error begins with its name. */
#include "suite.h"

#define CLAIM(name) Test(names, name, .init = setup, .fini = teardown)

enum { KINDS = 9, FEW = 5 };
static bp_tensor *kind[KINDS]; /* of what the calls are given */
static bp_tensor *x, *y, *z;
static bp_tensor *out[3]; /* where some of them write */

static void make_kinds(void)
{
    bp_tensor *all[KINDS] = {
        random_tensor(BP_SHAPE(2, 3), 0),
        NULL,
        INTS(BP_SHAPE(2, 3), 0, 1, 0, 1, 0, 1),
        tensor_in(ctx, BP_F32, BP_SHAPE(3), NULL, 1),
        random_tensor(BP_SCALAR, 2), /* freed below */
        random_tensor(BP_SHAPE(0, 3), 3),
        NUMBER(1),
        tensor_in(ctx, BP_U8, BP_SHAPE(2), (double[]){0, 1}, 0),
        random_tensor(BP_SHAPE(1, 1, 1, 1, 1, 1, 2, 3), 4),
    };
    memcpy(kind, all, sizeof kind);
    bp_free(kind[4]);
}

static void judge(const char *name, bp_tensor *made)
{
    bp_status st = bp_scope_end(ctx);
    const char *text = bp_error_text(st == BP_OK ? NULL : ctx); /* of NULL alone: the thread's */
    size_t n = strlen(name);
    cr_expect(made || (!strncmp(text, name, n) && (text[n] == ':' || text[n] == ' ')),
              "%s says \"%s\"", name, text);
}
#define C(name, ...) (begin(), judge(#name, (__VA_ARGS__)))

static void moves_and_reductions(void)
{
    C(neg, bp_neg(x)); C(dot, bp_dot(x, y)); C(outer, bp_outer(x, y)); C(matmul, bp_matmul(x, y));
    C(mean, bp_mean(x)); C(mean, bp_mean_axes(x, 5, 1)); C(norm_max, bp_norm_max(x));
    C(norm_max, bp_norm_max_axes(x, 2, 0)); C(norm_l1, bp_norm_l1(x)); C(norm_l2, bp_norm_l2(x));
    C(sum, bp_sum_axes(x, 2, 1)); C(max, bp_max(x)); C(min, bp_min_axes(x, 1, 0));
    C(sum_squares, bp_sum_squares(x)); C(count_nonzero, bp_count_nonzero(x)); C(any, bp_any(x));
    C(all, bp_all_axes(x, 2, 1)); C(variance, bp_variance(x, 1)); C(std, bp_std_axes(x, 1, 0, 1));
    C(logsumexp, bp_logsumexp(x)); C(argmax, bp_argmax(x, 1)); C(argmin, bp_argmin(x, 0));
    C(cumsum, bp_cumsum(x, 1, 0)); C(sort, bp_sort(x, 0, 1, out));
    C(top_k, bp_top_k(x, 2, 0, 0, out)); C(transpose, bp_transpose(x, 0, 1));
    C(permute, bp_permute(x, BP_SHAPE(1, 0))); C(reshape, bp_reshape(x, BP_SHAPE(6)));
    C(unsqueeze, bp_unsqueeze(x, 1)); C(unsqueeze, bp_unsqueeze(x, 5));
    C(squeeze, bp_squeeze(x, 2)); C(expand, bp_expand(x, BP_SHAPE(4, 3)));
    C(slice, bp_slice(x, 1, 0, 2, 1)); C(flip, bp_flip(x, 2));
    C(split, bp_split(x, 1, 3, NULL, out)); C(concat, bp_concat((bp_tensor *[]){x, y}, 2, 0));
    C(stack, bp_stack((bp_tensor *[]){x, y}, 2, 3)); C(pad, bp_pad(x, 1, 1, 1, 0.5));
    C(pad_edge, bp_pad_edge(x, 0, 1, 1)); C(pad_reflect, bp_pad_reflect(x, 1, 2, 0));
    C(tile, bp_tile(x, BP_SHAPE(2, 2))); C(tile, bp_tile(x, BP_SHAPE(INT64_MAX, INT64_MAX)));
    C(repeat, bp_repeat(x, 0, 2)); C(repeat, bp_repeat(x, 1, INT64_MAX)); C(roll, bp_roll(x, 0, 2));
    C(full_like, bp_full_like(x, 0.5)); C(tril, bp_tril(x, 0)); C(triu, bp_triu(x, INT64_MAX));
    C(gather, bp_gather(x, y)); C(scatter_rows, bp_scatter_rows(x, y, 2));
    C(take, bp_take(x, 1, y)); C(gather_normalized, bp_gather_normalized(x, y, z, z, BP_F64));
    C(take_along, bp_take_along(x, 1, y)); C(add_along, bp_add_along(x, 1, y, INT64_MAX));
    C(pick, bp_pick(x, y)); C(one_hot, bp_one_hot(x, 3, BP_F64));
    C(one_hot, bp_one_hot(x, INT64_MAX, BP_F64));
}

static void layers_and_losses(void)
{
    C(linear, bp_linear(x, y, z)); C(linear_relu, bp_linear_relu(x, y, z, 0.5));
    C(attention, bp_attention(x, y, z, 0, 0));
    C(attention_masked, bp_attention_masked(x, x, x, y, 0, 0));
    C(attention_weights, bp_attention_weights(x, 0)); C(softmax, bp_softmax(x, 1));
    C(log_softmax, bp_log_softmax(x, 0)); C(layer_norm, bp_layer_norm(x, y, z, 0.1));
    C(rms_norm, bp_rms_norm(x, y, 0.1)); C(standardize, bp_standardize(x, 1, 0.1));
    C(group_norm, bp_group_norm(x, 1, y, z, 0.1));
    C(batch_norm, bp_batch_norm(x, y, z, 0.1, out, out + 1));
    C(batch_norm_with, bp_batch_norm_with(x, y, z, y, z, 0.1)); C(nll_loss, bp_nll_loss(x, y));
    C(nll_spread, bp_nll_spread(x, y, 3)); C(cross_entropy, bp_cross_entropy(x, y));
    C(nll_loss_with, bp_nll_loss_with(x, y, -1, BP_MEAN));
    C(nll_loss_weighted, bp_nll_loss_weighted(x, y, z, -1, BP_SUM));
    C(cross_entropy_with, bp_cross_entropy_with(x, y, 0.1, -1, BP_MEAN));
    C(cross_entropy_weighted, bp_cross_entropy_weighted(x, y, z, 0.1, -1, BP_EACH));
    C(cross_entropy_soft, bp_cross_entropy_soft(x, y, BP_MEAN));
    C(weighted_loss, bp_weighted_loss(x, y, BP_MEAN)); C(mse_loss, bp_mse_loss(x, y, BP_SUM));
    C(l1_loss, bp_l1_loss(x, y, BP_MEAN)); C(huber_loss, bp_huber_loss(x, y, 1, BP_MEAN));
    C(smooth_l1_loss, bp_smooth_l1_loss(x, y, 1, BP_MEAN));
    C(hinge_loss, bp_hinge_loss(x, y, 1, BP_MEAN));
    C(binary_cross_entropy, bp_binary_cross_entropy(x, y, BP_MEAN));
    C(binary_cross_entropy_weighted, bp_binary_cross_entropy_weighted(x, y, z, BP_MEAN));
    C(kl_div_loss, bp_kl_div_loss(x, y, BP_MEAN));
    C(kl_div_log_loss, bp_kl_div_log_loss(x, y, BP_MEAN));
    C(poisson_nll_loss, bp_poisson_nll_loss(x, y, BP_MEAN));
    C(poisson_rate_nll_loss, bp_poisson_rate_nll_loss(x, y, 0.1, BP_MEAN));
    C(gaussian_nll_loss, bp_gaussian_nll_loss(x, y, z, 0.1, BP_MEAN));
    C(cosine_embedding_loss, bp_cosine_embedding_loss(x, y, z, 0, BP_MEAN));
    C(triplet_margin_loss, bp_triplet_margin_loss(x, y, z, 1, BP_MEAN));
    C(dropout, bp_dropout(x, 0.5)); C(bernoulli_of, bp_bernoulli_of(x)); C(cast, bp_cast(x, 9));
    C(where, bp_where(x, y, z)); C(lstm_cell, bp_lstm_cell(x, y, z, x, y, z, z, out));
    C(gru_cell, bp_gru_cell(x, y, x, y, z, z));
    C(full, bp_full(ctx, BP_U8, BP_SHAPE(INT64_MAX), 0)); C(eye, bp_eye(ctx, BP_I32, INT64_MAX));
    C(arange, bp_arange(ctx, BP_U8, 0, 0.5, 3));
    C(uniform, bp_uniform(ctx, BP_U8, BP_SHAPE(2), 0, 1));
    C(normal, bp_normal(ctx, BP_F64, BP_SHAPE(-1), 0, 1));
    C(bernoulli, bp_bernoulli(ctx, BP_F64, BP_SHAPE(2), 2));
    C(permutation, bp_permutation(ctx, -1));
    C(augment, bp_augment(x, "flop"));
}

CLAIM(an_error_begins_with_the_name_of_the_call)
{
    make_kinds();
    for (int i = 0; i < KINDS * KINDS * FEW; i++) {
        x = kind[i % KINDS];
        y = kind[i / KINDS % KINDS];
        z = kind[i / KINDS / KINDS];
        moves_and_reductions();
        layers_and_losses();
    }
}
