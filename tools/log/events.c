/* Event files of TensorBoard: see events.h. */
#include "log/events.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- bytes ------------------------------------------------------------------------------------ */

typedef struct buffer {
    unsigned char bytes[512]; /* an event has at most 320 */
    size_t n;
} buffer;

static void put(buffer *b, const void *bytes, size_t n)
{
    memcpy(b->bytes + b->n, bytes, n);
    b->n += n;
}

static void put_fixed(buffer *b, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        b->bytes[b->n++] = (unsigned char)(x >> 8 * i);
}

static void put_varint(buffer *b, uint64_t x)
{
    for (; x >= 0x80; x >>= 7)
        b->bytes[b->n++] = (unsigned char)(x | 0x80);
    b->bytes[b->n++] = (unsigned char)x;
}

/* A field of a message: its number and kind of coding, then what it holds. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static void put_tag(buffer *b, int field, int coding)
{
    put_varint(b, (uint64_t)(field << 3 | coding));
}

static void put_double(buffer *b, int field, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_tag(b, field, FIXED64);
    put_fixed(b, bits, 8);
}

static void put_float(buffer *b, int field, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_tag(b, field, FIXED32);
    put_fixed(b, bits, 4);
}

static void put_bytes(buffer *b, int field, const void *bytes, size_t n)
{
    put_tag(b, field, BYTES);
    put_varint(b, n);
    put(b, bytes, n);
}

/* CRC-32C (Castagnoli), bit by bit: a record a second needs no table. Masked, so that a checksum of
 * bytes that hold checksums stays one. */
static uint32_t masked_crc(const unsigned char *bytes, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82F63B78u & -(crc & 1));
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* --- events ----------------------------------------------------------------------------------- */

static bool record(events *e, const buffer *event, char *text)
{
    buffer head = {.n = 0}, tail = {.n = 0};
    put_fixed(&head, event->n, 8);
    put_fixed(&head, masked_crc(head.bytes, 8), 4);
    put_fixed(&tail, masked_crc(event->bytes, event->n), 4);
    fwrite(head.bytes, 1, head.n, e->file);
    fwrite(event->bytes, 1, event->n, e->file);
    fwrite(tail.bytes, 1, tail.n, e->file);
    return flushed(e->file, e->path, text);
}

/* The folder, and those above it. */
static bool make_folder(char *path)
{
    for (char *end = path + 1; (end = strchr(end, '/')) != NULL; end++) {
        *end = '\0';
        bool made = mkdir(path, 0777) == 0 || errno == EEXIST || errno == EROFS;
        *end = '/';
        if (!made)
            return false;
    }
    return true;
}

/* A file of a name that is not there: two runs in a second of a process do not share one. */
static int open_new(events *e, const char *folder, double now)
{
    char host[256];
    int fd = -1;
    if (gethostname(host, sizeof host) != 0 || !*host)
        strcpy(host, "localhost");
    host[sizeof host - 1] = '\0';
    errno = EEXIST;
    for (int i = 0; i < 1000 && fd < 0 && errno == EEXIST; i++) {
        int n = snprintf(e->path, sizeof e->path, "%s/events.out.tfevents.%.0f.%s.%ld.%d", folder,
                         now, host, (long)getpid(), i);
        if (n < 0 || (size_t)n >= sizeof e->path) {
            errno = ENAMETOOLONG;
            return -1;
        }
        if (i == 0 && !make_folder(e->path))
            return -1;
        fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    return fd;
}

bool events_open(events *e, const char *folder, char *text)
{
    static const char version[] = "brain.Event:2";
    buffer event = {.n = 0};
    double now = run_clock();
    e->file = NULL;
    int fd = open_new(e, folder, now);
    if (fd < 0)
        return fault_write(text, folder);
    e->file = fdopen(fd, "w");
    if (!e->file) {
        close(fd);
        unlink(e->path);
        return fault_write(text, e->path);
    }
    put_double(&event, 1, now);
    put_bytes(&event, 3, version, sizeof version - 1);
    return record(e, &event, text);
}

static void put_scalar(buffer *summary, const char *tag, double x)
{
    buffer value = {.n = 0};
    put_bytes(&value, 1, tag, strlen(tag));
    put_float(&value, 2, (float)x);
    put_bytes(summary, 1, value.bytes, value.n);
}

bool events_point(events *e, const run_point *p, char *text)
{
    buffer event = {.n = 0}, summary = {.n = 0};
    put_scalar(&summary, "loss/train", p->loss);
    if (p->has_valid)
        put_scalar(&summary, "loss/valid", p->valid_loss);
    if (p->has_accuracy)
        put_scalar(&summary, "accuracy/train", p->accuracy);
    if (p->has_accuracy && p->has_valid)
        put_scalar(&summary, "accuracy/valid", p->valid_accuracy);
    put_scalar(&summary, "rate", p->lr);
    put_scalar(&summary, "samples_per_second", p->samples_per_second);
    put_double(&event, 1, p->time);
    put_tag(&event, 2, VARINT);
    put_varint(&event, (uint64_t)p->step);
    put_bytes(&event, 5, summary.bytes, summary.n);
    return record(e, &event, text);
}

bool events_close(events *e, char *text)
{
    if (!e->file)
        return true;
    bool closed = fclose(e->file) == 0 || fault_write(text, e->path);
    e->file = NULL;
    return closed;
}
