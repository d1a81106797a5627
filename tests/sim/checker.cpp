/* The checker: kernels are compiled with -fsanitize=thread,alignment, and the calls which that
 * puts before each access come here. Only a build with BPI_SIM_CHECK has it.
 *
 * Each 4 bytes of device and shared memory have a Cell: who wrote them last, who read them since.
 * An access that order.h does not put after an earlier one is a race, unless both are reads or
 * both are atomic. What a cell cannot hold (more than one reader at a time) is widened or
 * forgotten so that no report is false; some races are missed. */
#ifdef BPI_SIM_CHECK
#include "order.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

namespace sim {

enum { CELL_BYTES = 4, TIME_BITS = 44, THREAD_BITS = 10 };

/* Masks: which of the bytes. `spread` is that of the readers that are not known to be ordered;
 * `visitor` is the last reader in a block before that of `reader`. */
struct Cell {
    uint64_t write_time : TIME_BITS, writer : THREAD_BITS, write_mask : 4, write_atomic : 1;
    uint64_t read_time : TIME_BITS, reader : THREAD_BITS, read_mask : 4, spread : 2;
    uint64_t visit_time : TIME_BITS, visitor : THREAD_BITS, visit_mask : 4;
};

struct Shadow {
    const char *memory;
    Cell *cells;       /* of each CELL_BYTES */
    char *initialised; /* of each byte */
};
static Shadow device_shadow, shared_shadow;

/* --- what the engine says ------------------------------------------------------------------ */

static void *map_zeros(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("simulated device: checker");
        abort();
    }
    return p;
}

static void cover(Shadow *s, const char *memory, size_t bytes)
{
    if (s->memory || !memory)
        return;
    s->memory = memory;
    s->cells = (Cell *)map_zeros((bytes / CELL_BYTES + 1) * sizeof(Cell));
    s->initialised = (char *)map_zeros(bytes);
}

void check_launch()
{
    cover(&device_shadow, arena, arena_bytes);
    cover(&shared_shadow, shared_memory, sizeof shared_memory);
    begin_launch();
}

void check_shared(size_t offset, size_t bytes)
{
    memset(shared_shadow.initialised + offset, 0, bytes);
}

void mark_init(const void *p, size_t bytes, bool initialised)
{
    cover(&device_shadow, arena, arena_bytes);
    memset(device_shadow.initialised + ((const char *)p - arena), initialised, bytes);
}

static bool is_initialised(const Shadow *s, size_t offset, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (!s->initialised[offset + i])
            return false;
    return true;
}

bool check_init(const void *p, size_t bytes)
{
    cover(&device_shadow, arena, arena_bytes);
    return is_initialised(&device_shadow, (size_t)((const char *)p - arena), bytes);
}

bool checks_accesses()
{
    return true;
}

/* --- reports ------------------------------------------------------------------------------- */

struct Access {
    const char *p;
    size_t bytes;
    enum Kind { READ, WRITE, ATOMIC } kind;
    const void *code; /* the address that accesses, or NULL and the place */
    Where where;
    const char *space;
};

/* "file:line" of an access. */
static void describe_place(const Access &a, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s:%d", base_name(a.where.file ? a.where.file : "?"), a.where.line);
    Dl_info object;
    if (!a.code || !dladdr(a.code, &object) || !object.dli_fname)
        return;
    char command[600];
    const size_t offset = (size_t)((const char *)a.code - (const char *)object.dli_fbase) - 1;
    snprintf(command, sizeof command, "addr2line -s -e '%s' %#zx 2>/dev/null", object.dli_fname,
             offset);
    FILE *answer = popen(command, "r");
    if (!answer)
        return;
    if (fgets(text, (int)bytes, answer))
        text[strcspn(text, " \n")] = 0;
    pclose(answer);
}

[[noreturn]] static void refuse(const char *kind, const Access &a, const char *more)
{
    static const char *const verb[] = {"read", "write", "atomic operation"};
    char place[400];
    describe_place(a, place, sizeof place);
    fail(kind, "%s of %zu bytes of %s memory at %p, %s%s", verb[a.kind], a.bytes, a.space,
         (const void *)a.p, place, more);
}

[[noreturn]] static void refuse_race(const char *kind, const Access &a, const char *did,
                                     uint64_t time, unsigned thread, Spread spread)
{
    char more[160];
    snprintf(more, sizeof more, "; thread %u%s of block %u %s it, and nothing orders the two",
             thread, spread == ALONE ? "" : " and others", block_at(time), did);
    refuse(kind, a, more);
}

/* --- accesses ------------------------------------------------------------------------------ */

static void read_cell(Cell *c, unsigned mask, uint64_t floor)
{
    const unsigned me = position.thread.x;
    const Spread before = (Spread)c->spread;
    const unsigned both = c->read_mask & mask;
    Spread spread = ALONE;
    if (both && !is_ordered(c->read_time, c->reader, before, floor)) {
        if (c->read_time < block_time) {
            c->visit_time = c->read_time;
            c->visitor = c->reader;
            c->visit_mask = c->read_mask;
        } else {
            const bool one_warp = before != OF_BLOCK && c->reader / WARP_LANES == me / WARP_LANES;
            spread = one_warp ? OF_WARP : OF_BLOCK;
            mask = both;
        }
    }
    c->read_time = now;
    c->reader = me;
    c->read_mask = mask;
    c->spread = spread;
}

static void write_cell(Cell *c, unsigned mask, uint64_t floor, const Access &a)
{
    const Spread spread = (Spread)c->spread;
    if ((c->read_mask & mask) && !is_ordered(c->read_time, c->reader, spread, floor))
        refuse_race("race (write after read)", a, "read", c->read_time, c->reader, spread);
    if ((c->visit_mask & mask) && !is_ordered(c->visit_time, c->visitor, OF_BLOCK, floor))
        refuse_race("race (write after read)", a, "read", c->visit_time, c->visitor, ALONE);
    c->write_time = now;
    c->writer = position.thread.x;
    c->write_mask = mask;
    c->write_atomic = a.kind == Access::ATOMIC;
    c->read_mask &= ~mask;
    c->visit_mask &= ~mask;
}

static void access_cell(Cell *c, unsigned mask, uint64_t floor, const Access &a)
{
    const bool both_atomic = a.kind == Access::ATOMIC && c->write_atomic;
    if ((c->write_mask & mask) && !both_atomic &&
        !is_ordered(c->write_time, c->writer, ALONE, floor))
        refuse_race(a.kind == Access::READ ? "race (read after write)" : "race (write after write)",
                    a, "wrote", c->write_time, c->writer, ALONE);
    if (a.kind == Access::READ)
        read_cell(c, mask, floor);
    else
        write_cell(c, mask, floor, a);
}

/* Of device memory: what several threads of a warp read counts once. */
static void count_bytes(const Cell *c, unsigned mask, Access::Kind kind)
{
    const unsigned me = position.thread.x;
    const bool by_warp = (c->read_mask & mask) == mask && c->read_time >= block_time &&
                         c->reader != me && c->reader / WARP_LANES == me / WARP_LANES;
    if (kind != Access::READ)
        bytes_written += __builtin_popcount(mask);
    else if (!by_warp)
        bytes_read += __builtin_popcount(mask);
}

static void access_memory(Shadow *s, uint64_t floor, const Access &a)
{
    const size_t offset = (size_t)(a.p - s->memory);
    if (a.kind != Access::WRITE && !is_initialised(s, offset, a.bytes))
        refuse("uninitialised read", a, "");
    for (size_t at = offset; at < offset + a.bytes;) {
        const size_t cell_end = (at / CELL_BYTES + 1) * CELL_BYTES;
        const size_t end = cell_end < offset + a.bytes ? cell_end : offset + a.bytes;
        const unsigned mask = ((1u << (end - at)) - 1) << at % CELL_BYTES;
        Cell *cell = &s->cells[at / CELL_BYTES];
        if (s == &device_shadow)
            count_bytes(cell, mask, a.kind);
        access_cell(cell, mask, floor, a);
        at = end;
    }
    if (a.kind != Access::READ)
        memset(s->initialised + offset, 1, a.bytes);
}

static bool is_within(const void *p, const void *begin, size_t bytes)
{
    return (size_t)((const char *)p - (const char *)begin) < bytes;
}

/* Launchers are compiled like kernels, and another thread of the system may be in one. */
static inline bool is_in_kernel()
{
    return running_stack && is_within(__builtin_frame_address(0), running_stack, STACK_BYTES);
}

/* Whether p is memory of the kernel's: not a local variable, an index or an argument. */
static inline bool is_watched(const void *p)
{
    return is_in_kernel() && !is_within(p, running_stack, STACK_BYTES) &&
           !is_within(p, &position, sizeof position) &&
           !is_within(p, running->args, running->args_bytes);
}

/* Ends with a report if the access is not to be made. */
static void check_access(Access a)
{
    if (is_within(a.p, shared_memory, sizeof shared_memory)) {
        a.space = "shared";
        if (!shared_holds((size_t)(a.p - shared_memory), a.bytes))
            refuse("out of bounds", a, "");
        access_memory(&shared_shadow, cluster_time, a);
    } else if (is_within(a.p, arena, arena_bytes)) {
        a.space = "device";
        size_t room;
        if (dev_size(a.p, &room) == 0 || a.bytes > room)
            refuse("out of bounds", a, "");
        access_memory(&device_shadow, launch_time, a);
    } else {
        a.space = "host";
        refuse("host memory", a, "");
    }
}

void check_copy(void *to, const void *from, size_t bytes, Where where)
{
    if (!is_within(to, shared_memory, sizeof shared_memory))
        fail("asynchronous copy", "to %p, which is no shared memory, at %s:%d", to,
             base_name(where.file), where.line);
    check_access(Access{(const char *)from, bytes, Access::READ, NULL, where, NULL});
    check_access(Access{(const char *)to, bytes, Access::WRITE, NULL, where, NULL});
}

void note_atomic(const void *p, size_t bytes, Where where)
{
    if (is_watched(p))
        check_access(Access{(const char *)p, bytes, Access::ATOMIC, NULL, where, NULL});
    order_atomic(p);
}

} // namespace sim

/* --- what the compiler calls --------------------------------------------------------------- */

using sim::Access;

static inline void check(const void *p, size_t bytes, Access::Kind kind, const void *code)
{
    if (sim::is_watched(p))
        sim::check_access(Access{(const char *)p, bytes, kind, code, {}, NULL});
}

#define ACCESSES_OF(bytes)                                                   \
    void __tsan_read##bytes(void *p)                                         \
    {                                                                        \
        check(p, bytes, Access::READ, __builtin_return_address(0));          \
    }                                                                        \
    void __tsan_write##bytes(void *p)                                        \
    {                                                                        \
        check(p, bytes, Access::WRITE, __builtin_return_address(0));         \
    }

/* How -fsanitize=alignment describes a place. */
struct AlignedAccess {
    const char *file;
    uint32_t line, column;
    const void *type;
    unsigned char log_alignment, kind;
};

extern "C" {
ACCESSES_OF(1)
ACCESSES_OF(2)
ACCESSES_OF(4)
ACCESSES_OF(8)
ACCESSES_OF(16)
void __tsan_read_range(void *p, size_t bytes)
{
    check(p, bytes, Access::READ, __builtin_return_address(0));
}
void __tsan_write_range(void *p, size_t bytes)
{
    check(p, bytes, Access::WRITE, __builtin_return_address(0));
}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_init() {}
void __ubsan_handle_type_mismatch_v1(const AlignedAccess *a, void *p)
{
    if (sim::is_in_kernel())
        sim::fail("misaligned", "access at %p, aligned to %d bytes by its type, %s:%u", p,
                  1 << a->log_alignment, sim::base_name(a->file), a->line);
}
}
#else
#include "simt_internal.h"

namespace sim {

void note_atomic(const void *, size_t, Where) {}
void note_fence() {}
bool checks_accesses()
{
    return false;
}

} // namespace sim
#endif
