/* What the plain test programs share: one line a check, and a count at the end.
 *
 * They use no test framework, so that they run on a bare machine and under the thread and leak
 * sanitizers, which a framework's own processes hide from. */
#ifndef BPI_TEST_CHECK_H
#define BPI_TEST_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* Weak: one count of a program, however many files it has. */
__attribute__((weak)) int check_passed, check_failed;

/* Prints "ok name" or "FAILED name" and counts it. */
static inline void check(int holds, const char *name)
{
    printf("%s %s\n", holds ? "ok    " : "FAILED", name);
    fflush(stdout);
    *(holds ? &check_passed : &check_failed) += 1;
}

/* The exit status of main. */
static inline int check_end(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed != 0;
}

/* An allocator as the library's hooks want one: 64-byte aligned. */
static inline void *check_alloc(void *user, size_t bytes)
{
    (void)user;
    return aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static inline void check_free(void *user, void *p, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(p);
}

#endif
