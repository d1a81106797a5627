#include "bpcuda/bpcuda.h"
#include "data/data.h"
#include "nn/nn.h"
typedef struct bpi_step_loss { bp_tensor *loss, *told, *correct; } bpi_step_loss;
static inline bp_status bpi_model_step_loss(bp_model *m, bp_data *d, bp_tensor *index, bool training, bpi_step_loss *l)
{
    bp_tensor *labels = bp_gather(bp_data_labels(d), index);
    bp_tensor *logits = bp_model_logits(m, d, index, training);
    l->loss = l->told = bp_cross_entropy_correct(logits, labels, &l->correct);
    bp_free(logits);
    return BP_OK;
}
