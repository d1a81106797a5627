/* bpcuda inspect batches: the rows that training would take, batch by batch. A trainer runs over
 * the data with a loss that notes the rows of its batch and is 0: what is shown is what is done. */
#include <stdio.h>
#include <stdlib.h>

#include "batches.h"
#include "json.h"

typedef struct notes {
    job *j;
    bp_data *data;
    bp_trainer *trainer;
    bp_tensor *zero; /* the only parameter */
    int32_t *row, *label; /* of the batch; of each row, or NULL */
    int64_t *count, room; /* of each class; rows that a batch may have */
} notes;

static const char place[] = "place_in_data"; /* a column: the rows' numbers before a part was cut */

static void print_batch(const notes *n, int64_t epoch, int64_t rows, const int32_t *number)
{
    json to = {stdout, false};
    json_open(&to, NULL, '{');
    json_number(&to, "epoch", (double)epoch);
    json_open(&to, "samples", '[');
    for (int64_t i = 0; i < rows; i++)
        json_number(&to, NULL, number[i]);
    json_close(&to, ']');
    json_open(&to, "class_counts", '[');
    for (int32_t k = 0; k < bp_data_classes(n->data); k++)
        json_number(&to, NULL, (double)n->count[k]);
    json_close(&to, ']');
    json_close(&to, '}');
    printf("\n");
}

static void print_line(const notes *n, int64_t epoch, int64_t rows)
{
    printf("epoch %lld: %lld rows", (long long)epoch, (long long)rows);
    for (int32_t k = 0; k < bp_data_classes(n->data); k++)
        printf("%s%lld", k ? " " : ", of the classes ", (long long)n->count[k]);
    printf("\n");
}

static bp_status note(notes *n, bp_batch *batch)
{
    int64_t rows = bp_batch_rows(batch);
    bp_progress p;
    bp_trainer_progress(n->trainer, &p);
    if (rows > n->room)
        return fail(n->j, BP_ERR_STATE, "inspect: a batch of %lld rows", (long long)rows);
    TRY(bp_read(bp_batch_index(batch), n->row, (size_t)rows * sizeof *n->row));
    for (int32_t k = 0; k < bp_data_classes(n->data); k++)
        n->count[k] = 0;
    for (int64_t i = 0; i < rows && n->label; i++)
        n->count[n->label[n->row[i]]]++;
    TRY(bp_read(bp_batch_column(batch, place), n->row, (size_t)rows * sizeof *n->row));
    if (n->j->set->json)
        print_batch(n, p.epoch + 1, rows, n->row);
    else
        print_line(n, p.epoch + 1, rows);
    return BP_OK;
}

static bp_tensor *nothing(bp_context *ctx, bp_batch *batch, void *user)
{
    notes *n = user;
    (void)ctx;
    return note(n, batch) == BP_OK ? bp_scale(n->zero, 0) : NULL;
}

/* The part that would be trained on, with its place in the whole. */
static bp_status take_rows(job *j)
{
    double share = j->set->given[OPTION_split] ? j->set->split : 0;
    bp_data *whole = j->train;
    int64_t rows = bp_data_rows(whole);
    int32_t *number = malloc((size_t)rows * sizeof *number);
    for (int64_t i = 0; number && i < rows; i++)
        number[i] = (int32_t)i;
    bp_status st = number ? bp_data_add(whole, place, BP_I32, BP_SCALAR, number)
                          : fail(j, BP_ERR_NOMEM, "inspect: out of memory");
    free(number);
    if (st != BP_OK || share == 0)
        return st;
    TRY(bp_data_split(whole, share, 0, &j->train, &j->test));
    bp_data_free(whole);
    return BP_OK;
}

static bp_status create_trainer(notes *n, bp_params *store)
{
    job *j = n->j;
    const double *asked = j->set->train;
    static const bp_train_option of_rows[] = {BP_TRAIN_BATCH, BP_TRAIN_SEED, BP_TRAIN_ROWS,
                                              BP_TRAIN_EPOCH_STEPS, BP_TRAIN_BATCH_CLASSES,
                                              BP_TRAIN_BATCH_PER_CLASS};
    n->zero = bp_param(store, "zero", BP_SCALAR, BP_INIT_ZERO);
    TRY(bp_trainer_create_with(store, j->train, nothing, n, &j->trainer));
    n->trainer = j->trainer;
    for (size_t i = 0; i < sizeof of_rows / sizeof *of_rows; i++)
        TRY(bp_trainer_set(j->trainer, of_rows[i], asked[of_rows[i]]));
    TRY(bp_trainer_set(j->trainer, BP_TRAIN_EAGER, 1));
    return bp_trainer_set(j->trainer, BP_TRAIN_EPOCHS,
                          j->set->given[BP_TRAIN_EPOCHS] ? asked[BP_TRAIN_EPOCHS] : 1);
}

static bp_status run(notes *n)
{
    job *j = n->j;
    int64_t rows = bp_data_rows(j->train);
    int32_t classes = bp_data_classes(j->train), done;
    n->data = j->train;
    n->room = 2 * (int64_t)j->set->train[BP_TRAIN_BATCH]; /* a short last batch may join another */
    n->row = malloc((size_t)n->room * sizeof *n->row);
    n->count = malloc((size_t)(classes + 1) * sizeof *n->count);
    n->label = classes ? malloc((size_t)rows * sizeof *n->label) : NULL;
    if (!n->row || !n->count || (classes && !n->label))
        return fail(j, BP_ERR_NOMEM, "inspect: out of memory");
    if (classes)
        TRY(bp_read(bp_data_labels(j->train), n->label, (size_t)rows * sizeof *n->label));
    return bp_trainer_run(j->trainer, -1, -1, &done);
}

bp_status inspect_batches(job *j)
{
    notes n = {.j = j};
    bp_params *store;
    if (!j->set->data)
        return fail(j, BP_ERR_ARG, "inspect batches wants --data");
    if (j->set->train[BP_TRAIN_ROWS] == BP_ROWS_BY_ERROR)
        return fail(j, BP_ERR_ARG, "inspect batches: --rows by-error follows the losses of a model that is "
                    "trained, and here is none");
    TRY(open_context(j));
    TRY(load_data(j, LEARN_ALL));
    TRY(take_rows(j));
    TRY(bp_params_create(j->ctx, BP_F32, &store));
    bp_status st = create_trainer(&n, store);
    if (st == BP_OK)
        st = run(&n);
    bp_trainer_free(j->trainer);
    j->trainer = NULL;
    bp_params_free(store);
    free(n.row);
    free(n.label);
    free(n.count);
    return st;
}
