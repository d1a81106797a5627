/* The readers of the table of cases as one program without a framework:
 *
 *     test_cases READER...                    0 if nothing failed
 *     test_cases --only=OP READER...          of the rows of that op
 *     test_cases --must-catch=OP READER...    0 if a case of OP failed: for planted bugs */
#include <stdio.h>
#include <string.h>

#include "readers.h"

static const struct {
    const char *name;
    void (*read)(void);
} readers[] = {
    {"complete", read_complete}, {"truth", read_truth},   {"gradients", read_gradients},
    {"second", read_second},     {"fused", read_fused},   {"determinism", read_determinism},
    {"dropout", read_dropout},   {"golden", read_golden},
};

int main(int argc, char **argv)
{
    const char *must_catch = NULL;
    for (int i = 1; i < argc; i++) {
        bool known = !strncmp(argv[i], "--must-catch=", 13);
        if (known)
            must_catch = argv[i] + 13;
        if (!strncmp(argv[i], "--only=", 7))
            known = op_cases_only(argv[i] + 7);
        for (size_t k = 0; k < sizeof readers / sizeof *readers; k++)
            if (!strcmp(argv[i], readers[k].name)) {
                int before = reader_failures;
                int64_t checks = reader_checks;
                readers[k].read();
                checks = reader_checks - checks;
                printf("%s: %lld numbers compared, %d failures\n", argv[i], (long long)checks,
                       reader_failures - before);
                reader_failures += checks == 0; /* a reader that reads nothing proves nothing */
                known = true;
            }
        if (!known) {
            printf("unknown reader %s\n", argv[i]);
            return 2;
        }
    }
    if (must_catch) {
        printf("%s: the planted bug was %s\n", must_catch,
               reader_caught(must_catch) ? "caught" : "NOT CAUGHT");
        return !reader_caught(must_catch);
    }
    return argc < 2 || reader_failures != 0;
}
