/* The rows of the ops of unary.def and binary.def, made of what an entry says in `tested`. They are
 * used in cases/elementwise.inc; the words they are made of are op_cases.c's. */
#ifndef BPI_FAMILY_ROWS_H
#define BPI_FAMILY_ROWS_H

/* The rows of an op of unary.def, of what it says in `tested`. Far out and near 0 only the value is
 * held, and to the relative error alone: there a formula that cancels shows. */
#define ZERO_IF(relative, absolute) ((relative) + (absolute) == 0 ? CASE_ZERO : 0) /* a choice */
#define UNPACK(...) __VA_ARGS__
#define UNARY_ROWS(...) UNARY_ROWS_(__VA_ARGS__)
#define UNARY_ROWS_(name, p, q, lo, hi, far_lo, far_hi, relative, absolute, why)                  \
    {ROW(name, name, "1"), IN(REAL(AS_IS, lo, hi, 1)), TOL(relative, absolute, why), .x = p,      \
     .y = q, .flags = CASE_ZERO},                                                                 \
    {ROW(name, name, "1025"), IN(REAL(AS_IS, lo, hi, 1025)), TOL(relative, absolute, why),        \
     .x = p, .y = q, .flags = CASE_SPECIALS | CASE_TINY | ZERO_IF(relative, absolute)},           \
    {ROW(name, name, "31 x 33 transposed"), IN(REAL(SWAPPED, lo, hi, 31, 33)),                    \
     TOL(relative, absolute, why), .x = p, .y = q, .flags = ZERO_IF(relative, absolute)},         \
    {ROW(name, name, "repeated rows"), IN(REAL(REPEATED, lo, hi, 1, 131)),                        \
     TOL((relative) + 2, 4 * (absolute) + 4, why), .x = p, .y = q,                                \
     .flags = ZERO_IF(relative, absolute)},                                                       \
    {ROW(name, name, "empty"), IN(REAL(AS_IS, lo, hi, 0, 3)), TOL(relative, absolute, why),       \
     .x = p, .y = q, .flags = CASE_ZERO},                                                         \
    {ROW(name, name, "several threads"), IN(REAL(AS_IS, lo, hi, 40009)),                          \
     TOL(relative, absolute, why), .x = p, .y = q,                                                \
     .flags = CASE_BIG | ZERO_IF(relative, absolute)},                                            \
    {ROW(name, name, "far out"), IN(REAL(AS_IS, far_lo, far_hi, 1023)), TOL(relative, 0, why),    \
     .x = p, .y = q, .constant = 1, .flags = ZERO_IF(relative, absolute)},                        \
    {ROW(name, name, "near 0"), IN(REAL(AS_IS, (lo) < 0 ? -1e-3 : 1e-7, 1e-3, 1023)),             \
     TOL(relative, 0, why), .x = p, .y = q, .constant = 1,                                        \
     .flags = ZERO_IF(relative, absolute)},

/* Likewise of binary.def; bits of `none` are the operands without a gradient, f is CASE_ZERO where an
 * output may be 0 everywhere. */
#define BINARY_ROWS(...) BINARY_ROWS_(__VA_ARGS__)
#define BINARY_ROWS_(name, none, f, lo, hi, lo_b, hi_b, relative, absolute, why)                  \
    {ROW(name, name, "1023, 1023"),                                                               \
     IN(REAL(AS_IS, lo, hi, 1023), REAL(AS_IS, lo_b, hi_b, 1023)),                                \
     TOL(relative, absolute, why), .flags = (f) | CASE_SPECIALS, .constant = none},               \
    {ROW(name, name, "scalars"), IN(NUMBER(lo, hi), NUMBER(lo_b, hi_b)),                          \
     TOL(relative, absolute, why), .flags = f, .constant = none},                                 \
    {ROW(name, name, "empty"), IN(REAL(AS_IS, lo, hi, 0, 3), REAL(AS_IS, lo_b, hi_b, 3)),         \
     TOL(relative, absolute, why), .flags = CASE_ZERO, .constant = none},                         \
    {ROW(name, name, "rows and a row"),                                                           \
     IN(REAL(AS_IS, lo, hi, 31, 7), REAL(AS_IS, lo_b, hi_b, 7)), ROUND_SUM((relative) + 8),       \
     .flags = f, .constant = none},                                                               \
    {ROW(name, name, "rows and a column"),                                                        \
     IN(REAL(AS_IS, lo, hi, 31, 7), REAL(AS_IS, lo_b, hi_b, 31, 1)), ROUND_SUM((relative) + 8),   \
     .flags = f, .constant = none},                                                               \
    {ROW(name, name, "a number and a row"), IN(NUMBER(lo, hi), REAL(AS_IS, lo_b, hi_b, 67)),      \
     ROUND_SUM((relative) + 24), .flags = f, .constant = none},                                   \
    {ROW(name, name, "both broadcast"),                                                           \
     IN(REAL(AS_IS, lo, hi, 7, 1, 5), REAL(AS_IS, lo_b, hi_b, 5, 1)), ROUND_SUM((relative) + 8),  \
     .flags = f, .constant = none},                                                               \
    {ROW(name, name, "repeated and transposed"),                                                  \
     IN(REAL(REPEATED, lo, hi, 1, 37), REAL(SWAPPED, lo_b, hi_b, 37, 5)),                         \
     ROUND_SUM((relative) + 4), .flags = f, .constant = none},                                    \
    {ROW(name, name, "several threads"),                                                          \
     IN(REAL(AS_IS, lo, hi, 311, 1025), REAL(AS_IS, lo_b, hi_b, 1025)),                           \
     ROUND_SUM((relative) + 96), .flags = (f) | CASE_BIG, .constant = none},

#define ROWS_OF_reals(name)
#define ROWS_OF_ints(name)                                                                        \
    {ROW(name, name, "i32 rows and a row"), IN(INDEX(5, 7, 9), INDEX(5, 9)), EXACT},              \
    {ROW(name, name, "i32"), IN(INDEX(100000, 1023), INDEX(3, 1023)), EXACT, .flags = CASE_ZERO},

#endif
