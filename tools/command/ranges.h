/* What bpcuda search draws: NAME=RANGE, of options of training. A range is LOW..HIGH, or words that
 * | separates; of numbers that are positive and far apart (tenfold and more), the logarithm is drawn
 * evenly. A value follows from (seed, trial, option) alone. */
#ifndef COMMAND_RANGES_H
#define COMMAND_RANGES_H

#include "line.h"

enum { RANGE_WORDS = 64 };

typedef struct range {
    const option *option;
    char *text; /* of the words, each with its 0 */
    const char *word[RANGE_WORDS];
    int words; /* 0: */
    double low, high;
} range;

typedef struct ranges {
    range at[OPERANDS];
    int n;
} ranges;

/* Of the operands, and the lines of --ranges. COMMAND_RUN, or an exit status: what is wrong is said,
 * also an option that counts with no value of the ranges. To be freed in any case. */
int ranges_read(const settings *set, ranges *to);
void ranges_free(ranges *of);
/* Puts the values of a trial where they belong; and value i of a range: its words, or its two ends. */
void ranges_draw(const ranges *of, int64_t trial, settings *set);
void range_put(const range *r, int i, settings *set);
/* Whether two trials draw the same. */
bool ranges_equal(const ranges *of, const settings *set, int64_t a, int64_t b);

#endif
