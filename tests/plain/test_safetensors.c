/* test_safetensors FILE: headers of safetensors files are accepted and refused as the format's own
 * library does; FILE says how (golden/make_safetensors.py). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "io/safetensors.h"

/* The bytes of a text in which \xNN is a byte; their number. */
static size_t unescape(const char *text, char *to)
{
    char *start = to;
    for (; *text && *text != '\n'; text++) {
        char digits[3] = "";
        if (*text != '\\') {
            *to++ = *text;
            continue;
        }
        memcpy(digits, text + 2, 2);
        *to++ = (char)strtol(digits, NULL, 16);
        text += 3;
    }
    return (size_t)(to - start);
}

static bool accepted(bp_context *ctx, int fd, const char *header, size_t n, size_t data)
{
    char path[32], length[8];
    static const char zeros[64];
    bpi_safetensors file;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int i = 0; i < 8; i++)
        length[i] = (char)((uint64_t)n >> 8 * i);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, length, 8, 0) != 8 ||
        pwrite(fd, header, n, 8) != (ssize_t)n ||
        pwrite(fd, zeros, data, 8 + (off_t)n) != (ssize_t)data)
        exit(2);
    bp_status st = bpi_safetensors_read(ctx, path, &file);
    bpi_safetensors_free(ctx, &file);
    return st == BP_OK;
}

int main(int argc, char **argv)
{
    static char line[1 << 16], header[1 << 16];
    bp_context *ctx;
    FILE *f = argc == 2 ? fopen(argv[1], "r") : NULL;
    int fd = memfd_create("safetensors", MFD_CLOEXEC), lines = 0, wrong = 0, yes = 0;
    if (!f || fd < 0 || bp_open("cpu:generic", &ctx) != BP_OK)
        return 2;
    while (fgets(line, sizeof line, f)) {
        char *text;
        size_t data = strtoul(line + 1, &text, 10), n = unescape(text + 1, header);
        bool wanted = *line == '+' || *line == '~', got = accepted(ctx, fd, header, n, data);
        lines++;
        yes += got;
        if (got != wanted && wrong++ < 20)
            printf("%s: %s    %s\n", got ? "accepted" : "refused", line, bp_error_text(ctx));
    }
    printf("%d headers, %d accepted, %d wrong\n", lines, yes, wrong);
    check(wrong == 0 && yes > 50 && lines - yes > 50,
          "headers are accepted and refused as the library does");
    bp_close(ctx);
    fclose(f);
    return check_end();
}
