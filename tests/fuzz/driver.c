/* fuzz_X CORPUS RUNS [FIRST]: a fuzzer without libFuzzer. Runs each file of the folder CORPUS, then
 * inputs that are made of them by changes which follow from the number of the run alone. Should one
 * end the process, its number is in the file fuzz_X.last; FIRST begins there. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

enum { ROOM = 1 << 13, FILES = 100 };

typedef struct input {
    size_t size;
    uint8_t bytes[ROOM];
} input;

static input seed[FILES];
static int n_seeds;

static uint64_t state;

static uint32_t below(size_t n) /* splitmix64 (Steele, Lea, Flood, 2014) */
{
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return n ? (uint32_t)((z ^ z >> 31) >> 32) % (uint32_t)n : 0;
}

/* Puts `size` bytes in the place of `out` bytes. */
static void splice(input *x, size_t at, size_t out, const void *bytes, size_t size)
{
    static uint8_t copy[ROOM];
    if (x->size - out + size > ROOM)
        return;
    memcpy(copy, bytes, size);
    memmove(x->bytes + at + size, x->bytes + at + out, x->size - at - out);
    memcpy(x->bytes + at, copy, size);
    x->size += size - out;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void change(input *x)
{
    size_t at = below(x->size + 1), left = x->size - at, some = below(left < 16 ? left + 1 : 17);
    const input *other = &seed[below((size_t)n_seeds)];
    size_t from = below(other->size + 1), n = below(other->size - from + 1), words = 0;
    uint8_t byte = (uint8_t)below(256);
    char number[24];
    while (fuzz_words[words])
        words++;
    const char *word = fuzz_words[below(words)];
    switch (below(7)) {
    case 0:
        splice(x, at, left > 0, &byte, 1);
        break;
    case 1:
        if (left)
            x->bytes[at] ^= (uint8_t)(1 << below(8));
        break;
    case 2:
        splice(x, at, some, "", 0);
        break;
    case 3:
        splice(x, at, below(2) ? some : 0, word, strlen(word));
        break;
    case 4:
        splice(x, at, below(2) ? some : 0, other->bytes + from, n);
        break;
    case 5:
        splice(x, at, 0, x->bytes + at, some);
        break;
    default: /* another number */
        while (at < x->size && !is_digit(x->bytes[at]))
            at++;
        for (some = 0; at + some < x->size && is_digit(x->bytes[at + some]);)
            some++;
        snprintf(number, sizeof number, "%llu", 1ull << below(64) >> below(64));
        splice(x, at, some, number, strlen(number));
    }
}

/* The first runs are the files of the corpus as they are. */
static void run(int64_t number)
{
    static input x;
    state = (uint64_t)number;
    x = seed[number < n_seeds ? (size_t)number : below((size_t)n_seeds)];
    for (uint32_t changes = number < n_seeds ? 0 : 1 + below(6); changes > 0; changes--)
        change(&x);
    uint8_t *exact = malloc(x.size ? x.size : 1); /* so that a sanitizer sees its end */
    memcpy(exact, x.bytes, x.size);
    LLVMFuzzerTestOneInput(exact, x.size);
    free(exact);
}

static bool read_seed(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = n_seeds < FILES ? fopen(path, "rb") : NULL;
    if (!f)
        return false;
    seed[n_seeds].size = fread(seed[n_seeds].bytes, 1, ROOM, f);
    fclose(f);
    n_seeds++;
    return true;
}

int main(int argc, char **argv)
{
    struct dirent **file;
    int n = argc == 3 || argc == 4 ? scandir(argv[1], &file, NULL, alphasort) : -1;
    for (int i = 0; i < n; i++) {
        if (file[i]->d_name[0] != '.' && !read_seed(argv[1], file[i]->d_name))
            return 2;
        free(file[i]);
    }
    char path[1024];
    snprintf(path, sizeof path, "%s.last", argv[0]);
    int note = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (n_seeds == 0 || note < 0 || ftruncate(note, 32) != 0)
        return 2;
    char *text = mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, note, 0);
    int64_t first = argc == 4 ? atoll(argv[3]) : 0, runs = atoll(argv[2]);
    for (int64_t i = first; i < first + runs; i++) {
        snprintf(text, 32, "%lld\n", (long long)i); /* a shared page outlives the process */
        run(i);
    }
    free(file);
    printf("%d files, %lld runs\n", n_seeds, (long long)runs);
    return 0;
}
