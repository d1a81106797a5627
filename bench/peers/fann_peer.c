/* FANN (libfann-dev) as a contender of compare.py: fann_train, which is one step of gradient
 * descent, and fann_get_MSE; fann_run. Its rate is of half the squared error, of each output; its
 * slope of tanh is that at 0.98 for outputs beyond it. */
#include <fann.h>
#include <string.h>

#include "online.h"

static void *open_net(const online_start *start)
{
    const unsigned in = (unsigned)start->in, hidden = (unsigned)start->hidden;
    const unsigned out = (unsigned)start->out;
    struct fann *f = fann_create_standard(3, in, hidden, out);
    /* Numbers of neurons: inputs, their bias, hidden ones, their bias, outputs. */
    const unsigned first_hidden = in + 1, first_out = first_hidden + hidden + 1;
    if (!f)
        return NULL;
    fann_set_training_algorithm(f, FANN_TRAIN_INCREMENTAL);
    fann_set_train_error_function(f, FANN_ERRORFUNC_LINEAR);
    fann_set_activation_function_hidden(f, FANN_SIGMOID_SYMMETRIC); /* tanh(steepness x) */
    fann_set_activation_function_output(f, FANN_LINEAR);
    fann_set_activation_steepness_hidden(f, 1);
    fann_set_activation_steepness_output(f, 1);
    fann_set_learning_rate(f, (float)(2 * ONLINE_RATE));
    fann_set_learning_momentum(f, 0);
    for (unsigned j = 0; j < hidden; j++) {
        for (unsigned i = 0; i < in; i++)
            fann_set_weight(f, i, first_hidden + j, start->w[0][j * in + i]);
        fann_set_weight(f, in, first_hidden + j, start->b[0][j]);
    }
    for (unsigned j = 0; j < out; j++) {
        for (unsigned i = 0; i < hidden; i++)
            fann_set_weight(f, first_hidden + i, first_out + j, start->w[1][j * hidden + i]);
        fann_set_weight(f, first_out - 1, first_out + j, start->b[1][j]);
    }
    return f;
}

static float step(void *self, const online_start *start, const float *sample)
{
    fann_reset_MSE(self);
    fann_train(self, (float *)sample, (float *)sample + start->in);
    return fann_get_MSE(self) * (float)start->out;
}

static float predict(void *self, const online_start *start, const float *sample)
{
    (void)start;
    return *fann_run(self, (float *)sample);
}

static void close_net(void *self)
{
    fann_destroy(self);
}

static const char *open_any(const work *w, void **self)
{
    static const online_learner learns = {open_net, step, close_net};
    static const online_learner predicts = {open_net, predict, close_net};
    return online_open(w, strcmp(w->kind, "online") ? &predicts : &learns, false, self);
}

static const contender fann = {open_any, online_loss, online_run, online_close};

static const contender *find(const char *kind)
{
    return !strcmp(kind, "online") || !strcmp(kind, "predict") ? &fann : NULL;
}

int main(int argc, char **argv)
{
    return contender_serve(argc, argv, find);
}
