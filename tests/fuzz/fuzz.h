/* What the fuzzers share. Each is one LLVMFuzzerTestOneInput, which libFuzzer calls, or driver.c
 * where there is no libFuzzer. What must hold and does not ends the process. */
#ifndef BPI_FUZZ_H
#define BPI_FUZZ_H

#include <bpcuda/bpcuda.h>
#include <stdbool.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char *const fuzz_words[]; /* what driver.c puts in; the last is NULL */

#define FUZZ_MUST(holds) ((holds) ? (void)0 : __builtin_trap())

/* A context of "cpu:generic" with one thread, and its end, when all its memory must be free again.
 * No input may make the library ask for more than some MiB: more is refused. */
bp_context *fuzz_open(void);
void fuzz_close(bp_context *ctx);

/* A path of a file without name number n, 0 to 3, which holds these bytes. */
const char *fuzz_file(int n, const void *bytes, size_t size);
/* The path of a safetensors file, number 0, of an input: a byte of flags and, with flag 1, a
 * header, a zero byte and data: the length of the header is put before it, so that it is read; with
 * flag 2 too, the data are repeated or cut to what the header asks for. Without flag 1 the rest is
 * the file. Other flags are the caller's. */
const char *fuzz_safetensors(const uint8_t *input, size_t size);
bool fuzz_equal(int a, int b); /* do two of them hold the same? */

/* A model that saves must load, and save to the same bytes. */
void fuzz_round_trip(bp_context *ctx, bp_model *model);

#endif
