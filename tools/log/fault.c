/* Sentences of failures: see fault.h. */
#include "log/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

bool fault(char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, FAULT_BYTES, format, args);
    va_end(args);
    return false;
}

bool fault_write(char *text, const char *path)
{
    return fault(text, "%.300s: cannot be written: %s", path, strerror(errno));
}

bool flushed(FILE *file, const char *path, char *text)
{
    return (fflush(file) == 0 && !ferror(file)) || fault_write(text, path);
}
