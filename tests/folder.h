/* A folder of a test's own: `path` is a file in it. */
#ifndef BPI_TEST_FOLDER_H
#define BPI_TEST_FOLDER_H

#include <unistd.h>

#include "suite.h"

static char folder[64], path[96];

static inline void enter(void)
{
    setup();
    strcpy(folder, "/tmp/bpcuda_test_XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
}

static inline void leave(void)
{
    char command[96];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
    teardown();
}

#endif
