/* Models that are written for other programs: drawn parameters, samples that f32 hardly holds, both
 * normalisers, strange names. Users: test_export.c, test_export_files.c. */
#ifndef BPI_TEST_EXPORT_MODEL_H
#define BPI_TEST_EXPORT_MODEL_H

#include "folder.h"

enum { ROWS = 7, INPUTS = 5 };

/* A model whose parameters are all drawn, gains and biases too. */
static inline bp_model *model_in(bp_context *c, const char *layers, bp_task task, int64_t outputs)
{
    bp_model *m;
    cr_assert_eq(bp_model_create_as(c, INPUTS, layers, task, outputs, &m), BP_OK, "%s",
                 bp_error_text(c));
    for (int32_t i = 0; i < bp_param_count(bp_model_params(m)); i++) {
        bp_tensor *t = bp_param_at(bp_model_params(m), i);
        bp_tensor *drawn = tensor_in(c, BP_F32, bp_shape_of(t), NULL, (uint64_t)i);
        cr_assert_eq(bp_copy_into(t, drawn), BP_OK);
        bp_free(drawn);
    }
    return m;
}

/* Columns that are ordinary, far from 0, constant, and in units that f32 hardly has. */
static inline void samples(float *x)
{
    static const double shift[INPUTS] = {0, 1e6, 7, 0, -1e36};
    static const double scale[INPUTS] = {1, 1, 0, 1e-41, 1e36};
    for (int i = 0; i < ROWS * INPUTS; i++)
        x[i] = (float)(shift[i % INPUTS] + scale[i % INPUTS] * (2 * op_random(9, i) - 1));
}

/* Sets both normalisers, from such samples and from targets far from 0, and strange names. */
static inline void normalize(bp_model *m, const float *x, bp_normalize how)
{
    static const char *const names[] = {"a \"b\"\\?\?/", "", "\xc3\xa9, 50 %\n"};
    int64_t outputs = bp_model_outputs(m);
    bp_task task = bp_model_task(m);
    bp_data *data;
    float y[ROWS * 3];
    unsigned char flags[ROWS * 3];
    for (int64_t i = 0; i < ROWS * outputs; i++) {
        flags[i] = i % 2;
        y[i] = (float)(1000 + 10 * op_random(8, i));
    }
    OK(bp_data_table(ctx, ROWS, &data));
    OK(bp_data_add(data, "x", BP_F32, BP_SHAPE(INPUTS), x));
    if (task == BP_TASK_CLASSES)
        OK(bp_data_add_classes(data, (const int32_t[ROWS]){0, 1, 2, 0, 1, 2, 0}, 3, names));
    else
        OK(bp_data_add(data, "y", task == BP_TASK_LABELS ? BP_U8 : BP_F32, BP_SHAPE(outputs),
                       task == BP_TASK_LABELS ? (void *)flags : y));
    OK(bp_model_normalize_as(m, data, how));
    bp_data_free(data);
}

#endif
