/* Layers from a text: what the words mean, held against the ops they stand for, in a store of the
 * program's; what a wrong word says. */
#include "suite.h"

#define CLAIM(name) Test(layers, name, .init = setup, .fini = teardown)

static bp_params *store(void)
{
    bp_params *p;
    OK(bp_params_create(ctx, BP_F64, &p));
    return p;
}

/* The values of parameter i: by `seed`, with gains and biases too. */
static void fill(bp_params *p)
{
    for (int32_t i = 0; i < bp_param_count(p); i++) {
        bp_tensor *t = bp_param_at(p, i), *v = random_tensor(bp_shape_of(t), (uint64_t)i + 9);
        OK(bp_copy_into(t, v));
        bp_free(v);
    }
}

static bp_tensor *par(bp_params *p, const char *name)
{
    int32_t i = 0;
    while (i < bp_param_count(p) && strcmp(bp_param_name(p, i), name))
        i++;
    cr_assert_lt(i, bp_param_count(p), "no parameter %s", name);
    return bp_param_at(p, i);
}

CLAIM(a_chain_is_the_ops_of_its_words)
{
    bp_params *p = store();
    bp_layers *l;
    const char *text = "5 tanh residual( layernorm=1e-3 4 leaky_relu=-.25 5 ) rmsnorm 2";
    OK(bp_layers_create(p, "a.", 3, text, &l));
    cr_assert_eq(bp_layers_outputs(l), 2);
    cr_assert_eq(bp_layers_outputs(NULL), 0);
    cr_assert_eq(bp_param_count(p), 11);
    fill(p);
    bp_tensor *x = random_tensor(BP_SHAPE(7, 3), 3);
    begin();
    bp_tensor *h = bp_tanh(bp_linear(x, par(p, "a.layer1.weight"), par(p, "a.layer1.bias")));
    bp_tensor *n = bp_layer_norm(h, par(p, "a.norm1.gain"), par(p, "a.norm1.bias"), 1e-3);
    bp_tensor *r = bp_leaky_relu(bp_linear(n, par(p, "a.layer2.weight"), par(p, "a.layer2.bias")),
                                 -0.25);
    h = bp_add(h, bp_linear(r, par(p, "a.layer3.weight"), par(p, "a.layer3.bias")));
    h = bp_rms_norm(h, par(p, "a.norm2.gain"), 1e-5);
    bp_tensor *y = bp_linear(h, par(p, "a.layer4.weight"), par(p, "a.layer4.bias"));
    same(bp_layers_forward(l, x, 1), y, 0);
    end();
    bp_layers_free(l);
    bp_layers_free(NULL);
    bp_free(x);
    bp_params_free(p);
}

CLAIM(every_activation_is_the_op_of_its_name)
{
    static const struct {
        const char *text;
        bp_tensor *(*op)(bp_tensor *);
        bp_tensor *(*with)(bp_tensor *, double);
        double number;
    } of[] = {
        {"relu", bp_relu, NULL, 0}, {"gelu", bp_gelu, NULL, 0}, {"silu", bp_silu, NULL, 0},
        {"gelu_tanh", bp_gelu_tanh, NULL, 0}, {"mish", bp_mish, NULL, 0},
        {"tanh", bp_tanh, NULL, 0}, {"sigmoid", bp_sigmoid, NULL, 0}, {"sin", bp_sin, NULL, 0},
        {"hard_sigmoid", bp_hard_sigmoid, NULL, 0}, {"log_sigmoid", bp_log_sigmoid, NULL, 0},
        {"softplus", bp_softplus, NULL, 0}, {"leaky_relu", NULL, bp_leaky_relu, 0.01},
        {"leaky_relu=0.5", NULL, bp_leaky_relu, 0.5}, {"elu", NULL, bp_elu, 1},
        {"elu=2e-1", NULL, bp_elu, 0.2}, {"scaled_tanh", NULL, bp_scaled_tanh, 0},
        {"scaled_tanh=0.02", NULL, bp_scaled_tanh, 0.02}};
    bp_tensor *x = random_tensor(BP_SHAPE(4, 3), 5);
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bp_params *p = store();
        bp_layers *l;
        OK(bp_layers_create(p, "", 3, of[i].text, &l));
        begin();
        bp_tensor *y = of[i].op ? of[i].op(x) : of[i].with(x, of[i].number);
        same(bp_layers_forward(l, x, 0), y, 0);
        end();
        bp_layers_free(l);
        bp_params_free(p);
    }
    bp_free(x);
}

CLAIM(dropout_acts_in_training_alone_and_nothing_to_do_gives_a_handle_of_its_own)
{
    bp_params *p = store();
    bp_layers *l;
    OK(bp_layers_create(p, "", 64, "dropout=0.5", &l));
    bp_tensor *x = random_tensor(BP_SHAPE(8, 64), 2);
    begin();
    bp_tensor *y = bp_layers_forward(l, x, 0);
    cr_assert_neq(y, x);
    same(y, x, 0);
    bp_free(y);
    y = bp_layers_forward(l, x, 1);
    int zeros = 0;
    for (int i = 0; i < 64; i++)
        zeros += at(y, i) == 0;
    cr_assert(zeros > 16 && zeros < 48, "%d of 64", zeros);
    end();
    cr_assert_float_eq(at(x, 0), at(x, 0), 0); /* x is still there */
    bp_layers_free(l);
    bp_free(x);
    bp_params_free(p);
}

CLAIM(weights_before_a_rectifier_are_drawn_wider)
{
    static const struct {
        const char *behind;
        double bound; /* squared, times the fan-in */
    } of[] = {{"relu", 6}, {"dropout=.1 gelu", 6}, {"elu", 6}, {"silu", 6}, {"leaky_relu", 6},
              {"tanh", 3}, {"", 3}, {"layernorm relu", 3}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        bp_params *p = store();
        bp_layers *l;
        char text[64];
        double most = 0;
        snprintf(text, sizeof text, "residual( 400 %s )", of[i].behind);
        OK(bp_layers_create(p, "", 400, text, &l));
        values v = {0};
        cr_assert(tensor_values(par(p, "layer1.weight"), &v));
        for (int64_t k = 0; k < v.n; k++)
            most = fmax(most, fabs(v.v[k]));
        cr_assert_float_eq(most * most * 400, of[i].bound, 0.01, "%s", text);
        values_free(&v, 1);
        bp_layers_free(l);
        bp_params_free(p);
    }
}

CLAIM(two_chains_share_a_store_and_gradients_reach_both_and_the_input)
{
    bp_params *p = store();
    bp_layers *a, *b;
    OK(bp_layers_create(p, "a.", 3, "4 tanh", &a));
    OK(bp_layers_create(p, "b.", 4, "residual( 4 sigmoid ) 1", &b));
    fill(p);
    bp_tensor *x = random_tensor(BP_SHAPE(5, 3), 1), *one = NUMBER(1), *dx;
    begin();
    bp_tensor *in = bp_require_grad(x);
    bp_tensor *loss = bp_sum(bp_layers_forward(b, bp_layers_forward(a, in, 1), 1));
    OK(bp_grad(ctx, loss, one, &in, 1, 0, &dx));
    cr_assert_neq(at(dx, 0), 0);
    end();
    begin();
    loss = bp_sum(bp_layers_forward(b, bp_layers_forward(a, x, 1), 1));
    OK(bp_backward(ctx, loss));
    end();
    for (int32_t i = 0; i < bp_param_count(p); i++)
        cr_assert_not_null(bp_param_grad(p, i), "%s", bp_param_name(p, i));
    bp_layers_free(b);
    bp_layers_free(a);
    bp_free(one);
    bp_free(x);
    bp_params_free(p);
}

CLAIM(a_wrong_word_is_named_with_its_place_and_what_is_wanted)
{
    static const char *const wrong[][2] = {
        {"8 dropout=1", "layers: word 2 is \"dropout=1\"; dropout=P with 0 <= P < 1 is wanted"},
        {"dropout", "layers: word 1 is \"dropout\"; dropout=P with 0 <= P < 1 is wanted"},
        {"tanh=2", "layers: word 1 is \"tanh=2\"; tanh without a number is wanted"},
        {"tanh=", "layers: word 1 is \"tanh=\"; tanh without a number is wanted"},
        {"elu=0", "layers: word 1 is \"elu=0\"; elu=NUMBER above 0 is wanted"},
        {"elu=1e-60", "layers: word 1 is \"elu=1e-60\"; elu=NUMBER above 0 is wanted"},
        {"leaky_relu=x", "layers: word 1 is \"leaky_relu=x\"; leaky_relu=NUMBER is wanted"},
        {"leaky_relu=1e39", "layers: word 1 is \"leaky_relu=1e39\"; leaky_relu=NUMBER is wanted"},
        {"rmsnorm=-1", ("layers: word 1 is \"rmsnorm=-1\"; an eps of 0 or more, as in "
                        "layernorm=1e-5, is wanted")},
        {"3 residual( 4 )", ("layers: the residual( of word 2 has 3 columns before it and 4 at its "
                             "end, word 4: they are added, and must be as many")},
        {"residual( 3 residual(tanh)", "layers: the residual( of word 1 has no \")\""},
        {"8 )", "layers: word 2 is \")\"; a residual( before it is wanted"}};
    bp_params *p = store();
    bp_layers *l;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(bp_layers_create(p, "", 3, wrong[i][0], &l), BP_ERR_FORMAT);
        cr_assert_null(l);
        TEXT(wrong[i][1]);
    }
    static const char *const unknown[] = {"8 relux", "8 residual", "(8)", "8 ( 8 )", "0", "-3",
                                          "8y", "16777217", "dropouts=.1", "=", "residual 8 (",
                                          "a_word_that_is_longer_than_any_word_of_a_layer"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_assert_eq(bp_layers_create(p, "", 3, unknown[i], &l), BP_ERR_FORMAT, "%s", unknown[i]);
        const char *says = bp_error_text(ctx);
        cr_assert(strstr(says, "a width from 1 to 16777216, relu, ") &&
                  strstr(says, "residual( ... ) is wanted"), "%s", says);
    }
    char deep[512] = "";
    for (int i = 0; i < 17; i++)
        strcat(deep, "residual(");
    cr_assert_eq(bp_layers_create(p, "", 3, deep, &l), BP_ERR_FORMAT);
    TEXT("layers: word 17: residual groups more than 16 deep");
    cr_assert_eq(bp_param_count(p), 0);
    bp_params_free(p);
}

CLAIM(a_call_that_fails_has_declared_nothing)
{
    bp_params *p = store();
    bp_layers *l;
    cr_assert(bp_param(p, "layer2.bias", BP_SHAPE(3), BP_INIT_ZERO));
    cr_assert_eq(bp_layers_create(p, "", 3, "4 relu 5", &l), BP_ERR_ARG);
    TEXT("param layer2.bias: declared twice");
    cr_assert_eq(bp_param_count(p), 1);
    OK(bp_layers_create(p, "b.", 3, "4 relu 5", &l));
    cr_assert_eq(bp_param_count(p), 5);
    bp_layers_free(l);
    cr_assert_eq(bp_layers_create(p, "", 0, "4", &l), BP_ERR_ARG);
    TEXT("layers_create: 0 inputs; 1 to 16777216 are wanted");
    fill(p); /* the store is in use now */
    cr_assert_eq(bp_layers_create(p, "c.", 3, "4", &l), BP_ERR_STATE);
    cr_assert_eq(bp_param_count(p), 5);
    bp_params_free(p);
}
