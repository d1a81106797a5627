/* Schedules: the factors against those of PyTorch (tests/golden/schedules.txt), how words compose,
 * what is refused. */
#include "suite.h"

#define CLAIM(name) Test(schedules, name, .init = setup, .fini = teardown)

static bp_schedule *schedule(const char *text)
{
    bp_schedule *s;
    OK(bp_schedule_create(ctx, text, &s));
    return s;
}

/* The factor of one step. */
static double factor_of(bp_schedule *s, int64_t step, int64_t epoch_steps, int64_t all)
{
    double f = -1;
    OK(bp_schedule_fill(s, step, 1, epoch_steps, all, &f));
    return f;
}

static double factor(const char *text, int64_t step, int64_t epoch_steps, int64_t all)
{
    bp_schedule *s = schedule(text);
    double f = factor_of(s, step, epoch_steps, all);
    bp_schedule_free(s);
    return f;
}

enum { STEPS_MAX = 100 };

static void read_numbers(FILE *file, double *x, int n)
{
    for (int i = 0; i < n; i++) {
        char word[40];
        cr_assert_eq(fscanf(file, "%39s", word), 1);
        x[i] = strtod(word, NULL);
    }
}

/* PyTorch multiplies one rate by factor after factor, so its roundings add up. */
static void check_factors(const char *text, int epoch, int all, const double *tell, int tells,
                          const double *wanted)
{
    double got[STEPS_MAX];
    bp_schedule *s = schedule(text);
    for (int at = 0; at < all; at += epoch) {
        int n = all - at < epoch ? all - at : epoch;
        OK(bp_schedule_fill(s, at, n, epoch, all, got + at));
        if (at / epoch < tells)
            OK(bp_schedule_tell(s, tell[at / epoch]));
    }
    for (int i = 0; i < all; i++)
        cr_assert(fabs(got[i] - wanted[i]) <= 1e-13, "%s: step %d is %.17g, not %.17g", text, i,
                  got[i], wanted[i]);
    bp_schedule_free(s);
}

CLAIM(every_word_gives_the_rates_of_pytorch)
{
    FILE *file = fopen(BPI_GOLDEN_DIR "/schedules.txt", "r");
    int epoch, all, tells, cases = 0;
    char text[80];
    double tell[STEPS_MAX], wanted[STEPS_MAX];
    cr_assert(file);
    while (fscanf(file, "schedule %d %d %d %79[^\n] ", &epoch, &all, &tells, text) == 4) {
        cr_assert(all <= STEPS_MAX && tells <= STEPS_MAX);
        read_numbers(file, tell, tells);
        read_numbers(file, wanted, all);
        (void)!fscanf(file, " ");
        check_factors(text, epoch, all, tell, tells, wanted);
        cases++;
    }
    cr_assert(feof(file) && cases >= 19, "%d cases", cases);
    fclose(file);
}

CLAIM(cuts_do_not_change_a_factor)
{
    static const char text[] = "warmup=0.7 after=0.7 cosine=0.1 step=1.5,0.9 after=2 "
                               "exponential=0.99 inverse=3";
    double whole[60], part[60];
    bp_schedule *s = schedule(text);
    OK(bp_schedule_fill(s, 0, 60, 13, 60, whole));
    for (int first = 0, n; first < 60; first += n) {
        n = 1 + first % 7 < 60 - first ? 1 + first % 7 : 60 - first;
        OK(bp_schedule_fill(s, first, n, 13, 60, part + first));
    }
    cr_assert(memcmp(whole, part, sizeof whole) == 0);
    bp_schedule_free(s);
}

CLAIM(behind_its_end_a_run_keeps_its_last_factor)
{
    cr_assert_eq(factor("cosine=0.25", 9, 5, 10), 0.25);
    cr_assert_eq(factor("cosine=0.25", 25, 5, 10), 0.25);
    cr_assert_eq(factor("polynomial=3,0.5", 1000, 5, 10), 0.5);
    cr_assert_eq(factor("onecycle=0.1,0.125", 1000, 5, 10), 0.125);
    cr_assert_eq(factor("cosine=0.25", 0, 1, 1), 1, "of one step alone");
    cr_assert_eq(factor("onecycle=0.1,0.125", 0, 1, 1), 1);
}

CLAIM(a_clock_stands_until_it_starts)
{
    cr_assert_eq(factor("after=3 step=1,0.5", 2, 1, 10), 1);
    cr_assert_eq(factor("after=3 step=1,0.5", 3, 1, 10), 1);
    cr_assert_eq(factor("after=3 step=1,0.5", 4, 1, 10), 0.5);
    cr_assert_eq(factor("after=3 step=1,0.5 after=1 step=1,0.5", 4, 1, 10), 0.0625);
    cr_assert_eq(factor("after=30 cosine=0", 9, 1, 10), 1, "it starts behind the end");
    cr_assert_eq(factor("", 9, 1, 10), 1);
    cr_assert_eq(factor("warmup=0", 0, 1, 10), 1);
}

CLAIM(a_plateau_may_start_late_and_takes_any_measure)
{
    bp_schedule *s = schedule("after=2 plateau=0.5,0");
    static const double measure[] = {1, 2, -1, -2, -2.0001, NAN, INFINITY, -INFINITY, -INFINITY};
    static const double wanted[] = {1, 1, 1, 1, 0.5, 0.25, 0.125, 0.125, 0.0625};
    for (int i = 0; i < 9; i++) {
        OK(bp_schedule_tell(s, measure[i]));
        cr_assert_eq(factor_of(s, i, 1, 9), wanted[i], "after %d", i);
    }
    bp_schedule_free(s);
    s = schedule("cosine=0");
    OK(bp_schedule_tell(s, 1)); /* nothing looks */
    bp_schedule_free(s);
    bp_schedule_free(NULL);
}

static double half_way(void *user, double epoch, double epochs)
{
    ++*(int *)user;
    return epoch > 3 ? NAN : epoch / epochs;
}

CLAIM(a_function_of_ones_own_is_asked_for_each_step)
{
    bp_schedule *s;
    int calls = 0;
    double f[8];
    OK(bp_schedule_own(ctx, half_way, &calls, &s));
    OK(bp_schedule_fill(s, 2, 5, 2, 8, f));
    cr_assert(calls == 5 && f[0] == 0.25 && f[1] == 0.375 && f[4] == 0.75);
    cr_assert_eq(bp_schedule_fill(s, 6, 2, 2, 8, f), BP_ERR_NONFINITE);
    TEXT("schedule_fill: the factor of step 7 is nan; a number from 0 is wanted");
    bp_schedule_free(s);
}

static void refused(const char *text, const char *says)
{
    bp_schedule *s = (bp_schedule *)&s;
    cr_assert_eq(bp_schedule_create(ctx, text, &s), BP_ERR_FORMAT, "%s", text);
    cr_assert_null(s);
    TEXT(says);
}

#define POLYNOMIAL "polynomial=POWER,END with POWER above 0 and END from 0 is wanted"

CLAIM(a_wrong_text_is_told_with_the_word_and_what_is_wanted)
{
    refused("warmup=1 cosin=0",
            "schedule: word 2 is \"cosin=0\"; constant, step=, exponential=, inverse=, "
            "polynomial=, cosine=, warmup=, onecycle=, plateau= or after= is wanted");
    refused("polynomial", "schedule: word 1 is \"polynomial\"; " POLYNOMIAL);
    refused("polynomial=1", "schedule: word 1 is \"polynomial=1\"; " POLYNOMIAL);
    refused("polynomial=0,1", "schedule: word 1 is \"polynomial=0,1\"; " POLYNOMIAL);
    refused("polynomial=1,1,1", "schedule: word 1 is \"polynomial=1,1,1\"; " POLYNOMIAL);
    refused("polynomial=1,", "schedule: word 1 is \"polynomial=1,\"; " POLYNOMIAL);
    refused("polynomial=1;1", "schedule: word 1 is \"polynomial=1;1\"; " POLYNOMIAL);
    refused("polynomial=1,2e9", "schedule: word 1 is \"polynomial=1,2e9\"; " POLYNOMIAL);
    refused("polynomial=nan,1", "schedule: word 1 is \"polynomial=nan,1\"; " POLYNOMIAL);
    refused("warmup=-1", "schedule: word 1 is \"warmup=-1\"; warmup=T with T from 0 is wanted");
    refused("constant=1", "schedule: word 1 is \"constant=1\"; constant is wanted");
    refused("plateau=0.5,1\n\tplateau=0.5,1",
            "schedule: word 2 is \"plateau=0.5,1\"; plateau=FACTOR,PATIENCE, once, with FACTOR "
            "above 0 and PATIENCE from 0 is wanted");
    char many[400] = "";
    for (int i = 0; i < 33; i++)
        strcat(many, " constant");
    refused(many, "schedule: more than 32 words");
    memset(many, 'a', 300);
    bp_schedule *s;
    cr_assert_eq(bp_schedule_create(ctx, many, &s), BP_ERR_FORMAT);
    cr_assert(strstr(bp_error_text(ctx), "a shorter one is wanted"), "%s", bp_error_text(ctx));
}

CLAIM(counts_and_factors_out_of_range_are_refused)
{
    bp_schedule *s = schedule("exponential=1e9");
    static const int64_t bad[][4] = {{-1, 1, 1, 1}, {0, -1, 1, 1}, {0, 1, 0, 1}, {0, 1, 1, 0},
                                     {INT64_MAX, 1, 1, 1}};
    double f;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(bp_schedule_fill(s, bad[i][0], bad[i][1], bad[i][2], bad[i][3], &f),
                     BP_ERR_ARG);
    OK(bp_schedule_fill(s, 0, 0, 1, 1, &f));
    cr_assert_eq(bp_schedule_fill(s, 40, 1, 1, 99, &f), BP_ERR_NONFINITE);
    TEXT("schedule_fill: the factor of step 40 is inf; a number from 0 is wanted");
    bp_schedule_free(s);
}
