/* Where data come from: the word behind --data, and the parts it is cut into. What is drawn here
 * does not follow --seed: the same words are the same rows, in training and in a test. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"

enum { WHOLE_CLASSES = 20 };

static const char *behind(const char *data, const char *kind)
{
    size_t n = strlen(kind);
    return strncmp(data, kind, n) ? NULL : data + n;
}

/* --- files ----------------------------------------------------------------------------------- */

/* A set that says to a reader which classes the model knows: one row of zeros. */
static bp_status classes_of(job *j, bp_data **like)
{
    int32_t n = bp_model_classes(j->model), zero = 0;
    int64_t inputs = bp_model_inputs(j->model);
    float *x = calloc((size_t)inputs, sizeof *x);
    const char **names = calloc((size_t)n, sizeof *names);
    char (*numbers)[12] = calloc((size_t)n, sizeof *numbers);
    bp_status st = x && names && numbers ? BP_OK : fail(j, BP_ERR_NOMEM, "out of memory");
    for (int32_t c = 0; st == BP_OK && c < n; c++) {
        snprintf(numbers[c], sizeof *numbers, "%d", (int)c);
        names[c] = bp_model_class_name(j->model, c);
        if (!names[c])
            names[c] = numbers[c];
    }
    if (st == BP_OK)
        st = bp_data_table(j->ctx, 1, like);
    if (st == BP_OK)
        st = bp_data_add(*like, "x", BP_F32, BP_SHAPE(inputs), x);
    if (st == BP_OK)
        st = bp_data_add_classes(*like, &zero, n, names);
    free(x);
    free(names);
    free(numbers);
    return st;
}

/* Where both sides know names, a column is the model's by its name too, not by its place alone. */
static bp_status has_columns_of_model(job *j, const char *path, const bp_data *d)
{
    for (int64_t i = 0; i < bp_model_inputs(j->model) && i < bp_data_cols(d); i++) {
        const char *wanted = bp_model_feature_name(j->model, i);
        const char *found = bp_data_feature_name(d, i);
        if (wanted && found && strcmp(wanted, found))
            return fail(j, BP_ERR_FORMAT, "%.200s: column \"%.80s\" stands where the model has \"%.80s\": "
                        "the columns of the training are wanted, in their order (--skip leaves some "
                        "out)", path, found, wanted);
    }
    return BP_OK;
}

static bp_status read_csv(job *j, const char *path, purpose what_for, bp_data **all)
{
    static const bp_targets wanted[] = {BP_TARGETS_NONE, BP_TARGETS_CLASSES, BP_TARGETS_REAL};
    const settings *set = j->set;
    bp_csv csv = {.struct_bytes = sizeof csv, .header = (const int[]){0, 1, -1}[(int)set->header],
                  .label = set->target, .skip = set->skip, .whole_classes = WHOLE_CLASSES};
    bp_data *like = NULL;
    if (set->task == BP_TASK_LABELS)
        return fail(j, BP_ERR_ARG, "--task labels: a CSV has one target; npy:FILE,FILE has several");
    csv.targets = wanted[(int)set->task];
    if (j->model && what_for != WHOLE)
        csv.targets = bp_model_task(j->model) == BP_TASK_CLASSES ? BP_TARGETS_CLASSES
                                                                 : BP_TARGETS_REAL;
    if ((set->target && !strcmp(set->target, "none")) || (what_for == ROWS && !set->target))
        csv.label = "";
    if (j->model && what_for == TEST && csv.targets == BP_TARGETS_CLASSES) {
        TRY(classes_of(j, &like));
        csv.like = like;
    }
    bp_status st = bp_data_csv(j->ctx, strcmp(path, "-") ? path : "/dev/stdin", &csv, all);
    bp_data_free(like);
    if (st == BP_ERR_FORMAT && what_for == ROWS && !set->target)
        return fail(j, st, "%.400s (--target names a column that holds the answers)",
                    bp_error_text(j->ctx));
    return st == BP_OK && j->model && what_for != WHOLE ? has_columns_of_model(j, path, *all) : st;
}

static bp_status read_npy(job *j, const char *files, bp_data **all)
{
    char x[4096];
    const char *comma = strchr(files, ',');
    size_t length = strlen(files);
    if (!comma && length > 4 && !strcmp(files + length - 4, ".npz"))
        return bp_data_npz(j->ctx, files, all);
    if (!comma)
        return bp_data_npy(j->ctx, files, NULL, all);
    if ((size_t)(comma - files) >= sizeof x)
        return fail(j, BP_ERR_ARG, "--data: the name of a file is too long");
    snprintf(x, sizeof x, "%.*s", (int)(comma - files), files);
    return bp_data_npy(j->ctx, x, comma + 1, all);
}

/* --- spirals --------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood, 2014), and a normal number by Box and Muller (1958). */
static double uniform(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return ((double)((z ^ z >> 31) >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t *state)
{
    double radius = sqrt(-2 * log(uniform(state)));
    return radius * cos(2 * acos(-1) * uniform(state));
}

static bp_status make_spiral(job *j, const char *text, bp_data **all)
{
    int arms, n, end = 0;
    double noise;
    if (sscanf(text, "%d,%d,%lf%n", &arms, &n, &noise, &end) != 3 || text[end] || arms < 2 ||
        arms > 1000 || n < 2 || n > 1000000 || !(noise >= 0 && noise <= 1e6))
        return fail(j, BP_ERR_ARG, "--data: \"spiral:%.200s\": spiral:C,N,NOISE with 2 to 1000 arms "
                    "C, 2 to 1000000 points N each, and NOISE from 0 is wanted", text);
    int64_t rows = (int64_t)arms * n;
    float *x = malloc((size_t)rows * 2 * sizeof *x);
    int32_t *label = malloc((size_t)rows * sizeof *label);
    bp_status st = x && label ? BP_OK : fail(j, BP_ERR_NOMEM, "%s: out of memory", j->set->data);
    uint64_t state = 0;
    for (int64_t i = 0; st == BP_OK && i < rows; i++) {
        double t = 0.1 + 0.9 * (double)(i % n) / (n - 1);
        double angle = 2 * acos(-1) / arms * ((double)(i / n) + 2 * t) + noise * normal(&state);
        x[2 * i] = (float)(t * sin(angle));
        x[2 * i + 1] = (float)(t * cos(angle));
        label[i] = (int32_t)(i / n);
    }
    if (st == BP_OK)
        st = bp_data_create(j->ctx, BP_F32, x, label, rows, 2, arms, all);
    free(x);
    free(label);
    return st;
}

/* --- one set, and its parts ------------------------------------------------------------------ */

static bp_status read_all(job *j, purpose what_for, bp_data **all)
{
    const char *data = j->set->data, *of;
    if ((of = behind(data, "csv:")) || !strcmp(of = data, "-"))
        return read_csv(j, of, what_for, all);
    if (!strcmp(data, "digits"))
        return bp_data_digits(j->ctx, all);
    if ((of = behind(data, "spiral:")))
        return make_spiral(j, of, all);
    if ((of = behind(data, "npy:")))
        return read_npy(j, of, all);
    return fail(j, BP_ERR_ARG, "--data: \"%.300s\" is none of digits, mnist:DIR, csv:FILE, "
                "npy:FILE[,FILE], spiral:C,N,NOISE, - (a CSV on standard input)", data);
}

/* The share that an option names becomes *part, drawn by a seed; the rest is *all. */
static bp_status cut(job *j, const char *option_name, double share, uint64_t seed, bp_data **all,
                     bp_data **part)
{
    bp_data *rest;
    if (share == 0)
        return BP_OK;
    bp_status st = bp_data_split(*all, share, seed, &rest, part);
    if (st != BP_OK && j->set->command == CHECK)
        return BP_OK; /* what cannot be cut can be looked at */
    if (st != BP_OK)
        return fail(j, st, "--%s: %s", option_name, bp_error_text(j->ctx));
    bp_data_free(*all);
    *all = rest;
    return BP_OK;
}

static bp_status wants_targets(job *j, const bp_data *d)
{
    static const char *const name[] = {"none", "classes", "numbers", "labels"};
    static const bp_targets of_task[] = {0, BP_TARGETS_CLASSES, BP_TARGETS_REAL, BP_TARGETS_LABELS};
    bp_targets found = bp_data_targets(d);
    int task = j->model ? bp_model_task(j->model) : (int)j->set->task;
    if (found == BP_TARGETS_NONE)
        return fail(j, BP_ERR_ARG, "--data: %.200s has no targets", j->set->data);
    if (task && found != of_task[task])
        return fail(j, BP_ERR_ARG, "%s %s wants %s for targets; those of %.200s are %s",
                    j->model ? "the model's task" : "--task", bp_task_name(task),
                    name[of_task[task]], j->set->data, name[found]);
    return BP_OK;
}

bp_status load_data(job *j, purpose what_for)
{
    const char *data = j->set->data;
    const char *folder = behind(data, "mnist:");
    bool learn = what_for == LEARN || what_for == LEARN_ALL;
    bp_data **all = learn ? &j->train : &j->test;
    if (folder && learn)
        TRY(bp_data_idx_folder(j->ctx, folder, 0, &j->train));
    if (folder && what_for != LEARN_ALL)
        TRY(bp_data_idx_folder(j->ctx, folder, 1, &j->test));
    else if (!folder)
        TRY(read_all(j, what_for, all));
    if (what_for == ROWS || what_for == WHOLE || what_for == LEARN_ALL)
        return BP_OK;
    TRY(wants_targets(j, *all));
    double val = j->set->train[BP_TRAIN_HOLD_OUT];
    if (what_for == LEARN && !folder)
        TRY(cut(j, "split", j->set->split, 0, all, &j->test));
    if (what_for == LEARN)
        return cut(j, "val", val, (uint64_t)j->set->train[BP_TRAIN_SEED], all, &j->valid);
    /* Of files, all rows are the test unless it is said which were: the digits have theirs. */
    bool held_out = !folder && (j->set->given[OPTION_split] || !strcmp(data, "digits"));
    if (!held_out || j->set->split == 0)
        return BP_OK;
    bp_data *whole = j->test;
    j->test = NULL;
    bp_status st = cut(j, "split", j->set->split, 0, &whole, &j->test);
    bp_data_free(whole);
    return st;
}

/* --- a look at rows -------------------------------------------------------------------------- */

typedef struct part {
    bp_tensor *column;
    int64_t first, n;
    float *to;
} part;

static bp_status read_part(bp_context *ctx, void *user)
{
    const part *p = user;
    (void)ctx;
    bp_tensor *rows = bp_slice(p->column, 0, p->first, p->first + p->n, 1);
    return bp_read_f32(rows, p->to, bp_shape_count(bp_shape_of(rows)));
}

bp_status read_rows(job *j, bp_tensor *column, int64_t first, int64_t n, float *to)
{
    part p = {column, first, n, to};
    return bp_run(j->ctx, BP_NO_GRAD, read_part, &p);
}
