/* Where the allocations of the simulated devices lie; the calls that make them are in memory.cpp.
 *
 * All lie in one range of addresses, with red zones between them. Host code may not touch the range
 * (the guard): it is open only while work of a stream runs. New memory holds unwritten(). Under
 * ASan allocations come from malloc instead, because then it sees their bounds. */
#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>

namespace sim {

char *arena;
size_t arena_bytes;

namespace {

const size_t ALIGNMENT = 256;

struct Allocation {
    size_t bytes;
    int device;
};
typedef std::map<char *, Allocation> Allocations;
Allocations &allocations = *new Allocations;
int open_depth;

#ifdef SIM_ASAN

/* Poisoning costs time in proportion; who touches an allocation by mistake begins at its front. */
size_t guarded(size_t bytes)
{
    const size_t most = 64 << 10;
    return bytes < most ? bytes : most;
}

void set_access(bool allowed)
{
    for (const auto &a : allocations)
        if (allowed)
            __asan_unpoison_memory_region(a.first, guarded(a.second.bytes));
        else
            __asan_poison_memory_region(a.first, guarded(a.second.bytes));
}

char *place(size_t bytes)
{
    void *p = nullptr;
    if (posix_memalign(&p, ALIGNMENT, bytes))
        return nullptr;
    memset(p, unwritten(), bytes);
    if (config.guard && open_depth == 0)
        __asan_poison_memory_region(p, guarded(bytes));
    return static_cast<char *>(p);
}

void displace(char *p, size_t)
{
    free(p);
}

#else

const size_t ARENA_BYTES = (size_t)16 << 30; /* of addresses: nothing is there until written */
const size_t HUGE_PAGE = (size_t)2 << 20;    /* with these the guard is cheap */
const size_t RED_ZONE = 256;
size_t arena_used; /* the guard ends here */
std::map<size_t, size_t> &holes = *new std::map<size_t, size_t>; /* offset -> bytes */

void set_access(bool allowed)
{
    mprotect(arena, arena_used, allowed ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void make_arena()
{
    void *p = mmap(nullptr, ARENA_BYTES + HUGE_PAGE, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        perror("simulated device: no addresses for its memory");
        abort();
    }
    arena = static_cast<char *>(p);
    arena += HUGE_PAGE - reinterpret_cast<uintptr_t>(arena) % HUGE_PAGE;
    arena_bytes = ARENA_BYTES;
    madvise(arena, arena_bytes, MADV_HUGEPAGE);
    holes[RED_ZONE] = arena_bytes - RED_ZONE;
}

size_t span_of(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + RED_ZONE;
}

/* Makes the first bytes of the arena memory. */
void use_arena(size_t bytes)
{
    bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (bytes <= arena_used)
        return;
    mprotect(arena + arena_used, bytes - arena_used, PROT_READ | PROT_WRITE);
    arena_used = bytes;
}

char *place(size_t bytes)
{
    if (!arena)
        make_arena();
    const size_t span = span_of(bytes);
    auto hole = holes.begin();
    while (hole != holes.end() && hole->second < span)
        ++hole;
    if (hole == holes.end())
        return nullptr;
    const size_t offset = hole->first, rest = hole->second - span;
    holes.erase(hole);
    if (rest)
        holes[offset + span] = rest;
    use_arena(offset + span);
    dev_open();
    memset(arena + offset, unwritten(), span);
    dev_close();
    mark_init(arena + offset, span, false);
    return arena + offset;
}

void add_hole(size_t offset, size_t bytes)
{
    auto next = holes.lower_bound(offset);
    if (next != holes.end() && next->first == offset + bytes) {
        bytes += next->second;
        next = holes.erase(next);
    }
    if (next != holes.begin() && std::prev(next)->first + std::prev(next)->second == offset)
        std::prev(next)->second += bytes;
    else
        holes[offset] = bytes;
}

void displace(char *p, size_t bytes)
{
    const size_t span = span_of(bytes);
    size_t clean = bytes;
    dev_open();
    while (clean < span && static_cast<unsigned char>(p[clean]) == unwritten())
        clean++;
    memset(p, unwritten(), span);
    dev_close();
    add_hole(p - arena, span);
    if (clean < span)
        complain("%zu bytes at %p: byte %zu, past the end, was written", bytes,
                 static_cast<void *>(p), clean);
}

#endif

Allocations::iterator holder_of(const void *p)
{
    auto it = allocations.upper_bound(static_cast<char *>(const_cast<void *>(p)));
    if (it == allocations.begin())
        return allocations.end();
    --it;
    return static_cast<const char *>(p) < it->first + it->second.bytes ? it : allocations.end();
}

} // namespace

void dev_open()
{
    if (open_depth++ == 0 && config.guard)
        set_access(true);
}

void dev_close()
{
    if (--open_depth == 0 && config.guard)
        set_access(false);
}

void set_guard(bool on)
{
    config.guard = on;
    if (open_depth == 0)
        set_access(!on);
}

void *dev_alloc(size_t bytes)
{
    Device &device = devices[current_device];
    if (bytes > config.memory_bytes || device.used_bytes > config.memory_bytes - bytes)
        return nullptr;
    char *p = place(bytes);
    if (!p)
        return nullptr;
    allocations[p] = Allocation{bytes, current_device};
    device.used_bytes += bytes;
    return p;
}

bool dev_free(void *p)
{
    auto it = allocations.find(static_cast<char *>(p));
    if (it == allocations.end())
        return false;
    const Allocation allocation = it->second;
    devices[allocation.device].used_bytes -= allocation.bytes;
    allocations.erase(it);
    displace(static_cast<char *>(p), allocation.bytes);
    return true;
}

size_t dev_size(const void *p, size_t *room)
{
    auto it = holder_of(p);
    *room = 0;
    if (it == allocations.end())
        return 0;
    *room = it->first + it->second.bytes - static_cast<const char *>(p);
    return it->second.bytes;
}

bool is_dev(const void *p)
{
    return holder_of(p) != allocations.end();
}

bool in_device(const void *p, size_t bytes, int device, const char *name)
{
    auto it = holder_of(p);
    if (it == allocations.end())
        return complain("%s: %p is not device memory", name, p);
    if (it->second.device != device)
        return complain("%s: %p is memory of device %d, not %d", name, p, it->second.device,
                        device);
    const size_t room = it->first + it->second.bytes - static_cast<const char *>(p);
    if (bytes > room)
        return complain("%s: %p has %zu bytes to its end, not %zu", name, p, room, bytes);
    return true;
}

bool is_readable(const void *p, size_t bytes, int device, const char *name)
{
    if (!in_device(p, bytes, device, name))
        return false;
    if (!check_init(p, bytes))
        return complain("%s: uninitialised read in %zu bytes at %p", name, bytes, p);
    return true;
}

void free_device_memory()
{
    while (!allocations.empty())
        dev_free(allocations.begin()->first);
}

size_t count_device_memory()
{
    return allocations.size();
}

} // namespace sim
