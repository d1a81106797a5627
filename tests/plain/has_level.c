/* has_level DEVICE PROGRAM [ARGUMENT]: runs a program that is compiled for one instruction level
 * where that device can be opened; elsewhere says why not and ends with 77, "skipped". */
#include <stdio.h>
#include <unistd.h>

#include "bpcuda/bpcuda.h"

int main(int argc, char **argv)
{
    bp_context *ctx = NULL;
    bp_status st = argc >= 3 ? bp_open(argv[1], &ctx) : BP_ERR_ARG;
    if (st != BP_OK)
        printf("skipped: %s\n", bp_error_text(ctx));
    bp_close(ctx);
    if (st == BP_OK)
        execv(argv[2], argv + 2);
    return st == BP_ERR_DEVICE ? 77 : 2;
}
