/* What the tests of the doctor share: a table whose rows are drawn from clouds around a centre for
 * each class, with options, in which they plant a mistake; and the findings that it must have, and
 * no others. */
#ifndef BPI_TEST_DOCTOR_TABLE_H
#define BPI_TEST_DOCTOR_TABLE_H

#include "doctor/inside.h"
#include "folder.h"

enum { ROWS = 400, COLS = 6, CLASSES = 3 };

/* A table as a program has it, and what becomes of it. */
typedef struct table {
    float x[ROWS][COLS], y[ROWS];
    int32_t label[ROWS];
    int32_t classes;
    int64_t rows, cols;
    bool real, whole; /* targets are y; nothing is held out */
    doctor_case c;    /* its options */
    findings found;
} table;

static inline table in_order(void)
{
    static const double centre[CLASSES][2] = {{-1, 0}, {1, 1}, {0, -2}};
    table t = {.rows = ROWS, .cols = COLS, .classes = CLASSES,
               .c = {.ctx = ctx, .layers = "16 relu", .lr = 0.005, .optimizer = BP_ADAM,
                     .how = BP_NORMALIZE_COLUMN}};
    for (int i = 0; i < ROWS; i++) {
        t.label[i] = (int32_t)(op_random(1, i) * CLASSES);
        for (int j = 0; j < COLS; j++)
            t.x[i][j] = (float)(op_random(2 + (uint64_t)j, i) + centre[t.label[i]][j % 2]);
        t.y[i] = 100 + 3 * t.x[i][0] * t.x[i][1] + t.x[i][2];
    }
    return t;
}

static inline void make_data(table *t, bp_data **data)
{
    float packed[ROWS * COLS];
    for (int64_t i = 0; i < t->rows; i++)
        for (int64_t j = 0; j < t->cols; j++)
            packed[i * t->cols + j] = t->x[i][j];
    OK(bp_data_table(ctx, t->rows, data));
    OK(bp_data_add(*data, "x", BP_F32, BP_SHAPE(t->cols), packed));
    if (t->real)
        OK(bp_data_add(*data, "y", BP_F32, BP_SCALAR, t->y));
    else
        OK(bp_data_add_classes(*data, t->label, t->classes, NULL));
}

/* Both looks, at a model of one's own or at a new one. */
static inline void look_at(table *t, bp_model *model)
{
    bp_data *all;
    make_data(t, &all);
    t->c.task = t->real ? BP_TASK_REGRESSION : BP_TASK_CLASSES;
    t->c.train = all;
    if (!t->whole)
        OK(bp_data_split(all, 0.2, 0, &t->c.train, &t->c.test));
    OK(doctor_data(&t->c, &t->found));
    OK(doctor_model(&t->c, model, &t->found));
    if (!t->whole)
        bp_data_free(t->c.train);
    bp_data_free(t->c.test);
    bp_data_free(all);
}

/* Exactly these findings, in this order: "error one-class --target, ...". */
static inline void says(const findings *f, const char *wanted)
{
    static const char *const severity[] = {"error", "warning", "note"};
    char all[1024] = "";
    for (int i = 0; i < f->n; i++) {
        size_t used = strlen(all);
        snprintf(all + used, sizeof all - used, "%s%s %s %s", i ? ", " : "",
                 severity[f->list[i].severity], f->list[i].code, f->list[i].option);
    }
    if (strcmp(all, wanted))
        doctor_print(f, stderr, false);
    cr_assert_str_eq(all, wanted);
}

static inline void finds(table *t, const char *wanted)
{
    look_at(t, NULL);
    says(&t->found, wanted);
}

static inline void mentions(const table *t, const char *part)
{
    cr_assert(strstr(t->found.list[0].text, part), "%s: %s", part, t->found.list[0].text);
}

#endif
