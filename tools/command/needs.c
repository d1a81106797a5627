/* What an option is of: one that was given, and that nothing in this run reads, is a fault. A group
 * is options that count where a condition holds; one of several groups wants all of them. */
#include <string.h>

#include "line.h"

/* --- conditions ------------------------------------------------------------------------------- */

static bool is_way(const settings *set, unsigned ways)
{
    return ways >> (int)set->train[BP_TRAIN_ROWS] & 1;
}

static bool draws_rows(const settings *set)
{
    return is_way(set, 1 << BP_ROWS_WEIGHTED | 1 << BP_ROWS_BALANCED | 1 << BP_ROWS_BY_ERROR);
}

static bool composes(const settings *set)
{
    return is_way(set, 1 << BP_ROWS_SHUFFLED | 1 << BP_ROWS_STRATIFIED | 1 << BP_ROWS_BALANCED);
}

static bool draws_by_error(const settings *set)
{
    return is_way(set, 1 << BP_ROWS_BY_ERROR);
}

static bool takes_diagonal(const settings *set)
{
    return set->train[BP_TRAIN_OPTIMIZER] == BP_DIAGONAL_LM;
}

static bool takes_steps(const settings *set)
{
    return set->train[BP_TRAIN_OPTIMIZER] <= BP_DIAGONAL_LM;
}

static bool takes_mean(const settings *set)
{
    return set->train[BP_TRAIN_AVERAGE] > 0;
}

static bool decays(const settings *set)
{
    return set->train[BP_TRAIN_L1] > 0 || set->train[BP_TRAIN_L2] > 0;
}

static bool looks_at_strips(const settings *set)
{
    return set->train[BP_TRAIN_STOP_PQ] > 0 || set->train[BP_TRAIN_STOP_UP] > 0;
}

static bool validates(const settings *set)
{
    return set->train[BP_TRAIN_HOLD_OUT] > 0;
}

static bool has_checkpoint(const settings *set)
{
    return set->checkpoint;
}

static bool has_log(const settings *set)
{
    return set->ensemble == 1;
}

static bool reads_csv(const settings *set)
{
    return set->data && (!strncmp(set->data, "csv:", 4) || !strcmp(set->data, "-"));
}

static bool cuts_test(const settings *set)
{
    return set->data && strncmp(set->data, "mnist:", 6);
}

/* The command looks at this, by its first operand. */
static bool is_about(const settings *set, unsigned bit, const char *what)
{
    return set->command != bit || (set->operands && !strcmp(set->operand[0], what));
}

static bool ranges_rates(const settings *set)
{
    return set->operands == 0 || is_about(set, RATE, "range");
}

static bool inspects_batches(const settings *set)
{
    return is_about(set, INSPECT, "batches");
}

static bool checks_model(const settings *set)
{
    return is_about(set, CHECK, "model");
}

static bool checks_data(const settings *set)
{
    return checks_model(set) || is_about(set, CHECK, "data");
}

static bool makes_model(const settings *set)
{
    return set->command != CHECK || set->operands < 2;
}

static bool draws_model(const settings *set)
{
    return set->command != PLOT || set->kind != PLOT_RUNS;
}

static bool draws_data(const settings *set)
{
    return draws_model(set) && (set->command != PLOT || set->kind != PLOT_FILTERS);
}

static bool draws_images(const settings *set)
{
    return set->kind == PLOT_AUTO || set->kind == PLOT_FILTERS || set->kind == PLOT_MISREAD;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* What a step is taken with, in a training and in a range test. */
#define OF_STEPS                                                                                 \
    BP_TRAIN_BATCH, BP_TRAIN_L1, BP_TRAIN_DECAY_FROM, BP_TRAIN_ROWS, BP_TRAIN_EPOCH_STEPS,       \
        BP_TRAIN_PARTS, BP_TRAIN_EAGER, BP_TRAIN_CLIP_NORM, BP_TRAIN_WEIGHT_DECAY,               \
        BP_TRAIN_BATCH_CLASSES, BP_TRAIN_BATCH_PER_CLASS, BP_TRAIN_EMPHASIS, BP_TRAIN_MAX_NORM,  \
        BP_TRAIN_MU, BP_TRAIN_FAN_IN, BP_TRAIN_SYMMETRIC

static const struct group {
    bool (*counts)(const settings *);
    const char *where;
    unsigned char option[32]; /* up to a 0, which is none */
} groups[] = {
    {takes_steps, "steps: --optimizer lbfgs, lm and gauss-newton take all rows at once",
     {OF_STEPS, BP_TRAIN_LR, BP_TRAIN_AVERAGE, BP_TRAIN_AVERAGE_FROM, BP_TRAIN_STOP_GL,
      BP_TRAIN_STOP_PQ, BP_TRAIN_STOP_UP, BP_TRAIN_STOP_STRIP, OPTION_ensemble, OPTION_schedule,
      OPTION_augment, OPTION_checkpoint, OPTION_estimate_decay}},
    {ranges_rates, "rate range",
     {OF_STEPS, BP_TRAIN_OPTIMIZER, OPTION_from, OPTION_to, OPTION_steps}},
    {takes_diagonal, "--optimizer diagonal-lm", {BP_TRAIN_MU}},
    {draws_by_error, "--rows by-error", {BP_TRAIN_EMPHASIS}},
    {draws_rows, "--rows weighted, balanced or by-error", {BP_TRAIN_EPOCH_STEPS}},
    {composes, "--rows shuffled, stratified or balanced",
     {BP_TRAIN_BATCH_CLASSES, BP_TRAIN_BATCH_PER_CLASS}},
    {takes_mean, "--average", {BP_TRAIN_AVERAGE_FROM}},
    {decays, "--l1 and --l2", {BP_TRAIN_DECAY_FROM}},
    {looks_at_strips, "--stop-pq and --stop-up", {BP_TRAIN_STOP_STRIP}},
    {validates, "--val SHARE, the rows that validate",
     {BP_TRAIN_PATIENCE, BP_TRAIN_STOP_GL, BP_TRAIN_STOP_PQ, BP_TRAIN_STOP_UP,
      OPTION_estimate_decay}},
    {has_checkpoint, "--checkpoint FILE",
     {OPTION_resume, OPTION_checkpoint_every, OPTION_checkpoint_keep}},
    {has_log, "one run: --ensemble has several",
     {OPTION_checkpoint, OPTION_log, OPTION_tensorboard, OPTION_estimate_decay}},
    {inspects_batches, "inspect batches",
     {OPTION_split, BP_TRAIN_EPOCHS, BP_TRAIN_BATCH, BP_TRAIN_SEED, BP_TRAIN_ROWS,
      BP_TRAIN_EPOCH_STEPS, BP_TRAIN_BATCH_CLASSES, BP_TRAIN_BATCH_PER_CLASS}},
    {checks_data, "check data and check model",
     {OPTION_target, OPTION_skip, OPTION_header, OPTION_task, OPTION_split, OPTION_normalize,
      OPTION_threads, OPTION_json, BP_TRAIN_SEED, BP_TRAIN_ROWS, BP_TRAIN_HOLD_OUT}},
    {checks_model, "check model", {OPTION_layers, BP_TRAIN_LR, BP_TRAIN_OPTIMIZER}},
    {makes_model, "a new model: one of a file has its own", {OPTION_layers, OPTION_task}},
    {draws_model, "a model, not of a log", {OPTION_device, OPTION_threads}},
    {draws_data, "--kind regions, confusion and misread",
     {OPTION_data, OPTION_target, OPTION_skip, OPTION_header, OPTION_split}},
    {draws_images, "--kind filters and misread", {OPTION_size}},
    {reads_csv, "a CSV", {OPTION_target, OPTION_skip, OPTION_header}},
    {cuts_test, "--data without a test set of its own", {OPTION_split}},
};
enum { N_GROUPS = sizeof groups / sizeof *groups };
_Static_assert(N_OPTIONS <= 255, "a group holds numbers of options in bytes");

bool idle_option(const settings *set, const bool *counted, char *text, size_t room)
{
    for (int i = 0; i < N_GROUPS; i++) {
        const struct group *g = &groups[i];
        for (const unsigned char *o = g->option; *o && !g->counts(set); o++) {
            if (!set->given[*o] || (counted && counted[*o]))
                continue;
            snprintf(text, room, "%s is of %s", option_shown(&options[*o]), g->where);
            return true;
        }
    }
    return false;
}

void count_options(const settings *set, bool *counted)
{
    bool idle[N_OPTIONS] = {false};
    for (int i = 0; i < N_GROUPS; i++)
        for (const unsigned char *o = groups[i].option; *o && !groups[i].counts(set); o++)
            idle[*o] = true;
    for (int i = 0; i < N_OPTIONS; i++)
        counted[i] |= !idle[i];
}
