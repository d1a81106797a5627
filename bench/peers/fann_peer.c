/* The learner of bench_online by FANN (libfann-dev): fann_train, which is one step of gradient
 * descent, and fann_get_MSE. Its rate is of half the squared error, of each output. */
#include <fann.h>

#include "online.h"

void *online_fann_open(const online_net *net, const online_start *start)
{
    struct fann *f = fann_create_standard(3, (unsigned)net->in, (unsigned)net->hidden,
                                          (unsigned)net->out);
    /* Numbers of neurons: inputs, their bias, hidden ones, their bias, outputs. */
    unsigned hidden = (unsigned)net->in + 1, out = hidden + (unsigned)net->hidden + 1;
    fann_set_training_algorithm(f, FANN_TRAIN_INCREMENTAL);
    fann_set_train_error_function(f, FANN_ERRORFUNC_LINEAR);
    fann_set_activation_function_hidden(f, FANN_SIGMOID_SYMMETRIC); /* tanh(steepness x) */
    fann_set_activation_function_output(f, FANN_LINEAR);
    fann_set_activation_steepness_hidden(f, 1);
    fann_set_activation_steepness_output(f, 1);
    fann_set_learning_rate(f, (float)(2 * ONLINE_RATE));
    fann_set_learning_momentum(f, 0);
    for (unsigned j = 0; j < (unsigned)net->hidden; j++) {
        for (unsigned i = 0; i < (unsigned)net->in; i++)
            fann_set_weight(f, i, hidden + j, start->w[0][j * (unsigned)net->in + i]);
        fann_set_weight(f, hidden - 1, hidden + j, start->b[0][j]);
    }
    for (unsigned j = 0; j < (unsigned)net->out; j++) {
        for (unsigned i = 0; i < (unsigned)net->hidden; i++)
            fann_set_weight(f, hidden + i, out + j, start->w[1][j * (unsigned)net->hidden + i]);
        fann_set_weight(f, out - 1, out + j, start->b[1][j]);
    }
    return f;
}

float online_fann_step(void *self, const online_sample *s, const online_net *net)
{
    fann_reset_MSE(self);
    fann_train(self, (float *)s->numbers, (float *)s->numbers + net->in);
    return fann_get_MSE(self) * (float)net->out;
}

float online_fann_predict(void *self, const online_sample *s, const online_net *net)
{
    (void)net;
    return *fann_run(self, (float *)s->numbers);
}

void online_fann_close(void *self)
{
    fann_destroy(self);
}
