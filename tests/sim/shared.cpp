/* Shared memory of the blocks that run, SHARED_BYTES each: what the launch asked for, then the
 * kernel's variables, in the order in which threads come to them. */
#include "engine.h"

#include <vector>

namespace sim {

struct Variable {
    const void *key;
    size_t offset, bytes;
};

alignas(256) char shared_memory[MOST_CLUSTER * SHARED_BYTES];
static std::vector<Variable> &variables = *new std::vector<Variable>;
static size_t shared_end; /* of the last variable */

static inline char *shared_of(unsigned rank)
{
    return shared_memory + rank * (size_t)SHARED_BYTES;
}

/* Of one block. ASan sees what lies between variables. */
static void clear_shared_of(unsigned rank, size_t offset, size_t bytes)
{
    char *p = shared_of(rank) + offset;
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(p, bytes);
#endif
    memset(p, unwritten(), bytes);
    check_shared((size_t)(p - shared_memory), bytes);
}

static void clear_shared(size_t offset, size_t bytes)
{
    for (unsigned rank = 0; rank < cluster.size(); rank++)
        clear_shared_of(rank, offset, bytes);
}

void open_shared()
{
    variables.clear();
    shared_end = running->shared_bytes;
}

void start_shared()
{
#ifdef SIM_ASAN
    __asan_poison_memory_region(shared_memory, sizeof shared_memory);
#endif
    clear_shared(0, running->shared_bytes);
    for (const Variable &v : variables)
        clear_shared(v.offset, v.bytes);
}

/* What others of the cluster may no longer read. */
void end_shared(unsigned rank)
{
    if (cluster.size() == 1)
        return;
    clear_shared_of(rank, 0, running->shared_bytes);
    for (const Variable &v : variables)
        clear_shared_of(rank, v.offset, v.bytes);
}

void close_shared()
{
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(shared_memory, sizeof shared_memory);
#endif
}

bool shared_holds(size_t offset, size_t bytes)
{
    if (offset / SHARED_BYTES >= cluster.size())
        return false;
    offset %= SHARED_BYTES;
    if (offset + bytes <= running->shared_bytes)
        return true;
    for (const Variable &v : variables)
        if (offset >= v.offset && offset + bytes <= v.offset + v.bytes)
            return true;
    return false;
}

void *shared_variable(const void *key, const char *name, size_t bytes, size_t alignment)
{
    enum { GAP = 32 }; /* at least so many bytes between two variables belong to none */
    size_t total = bytes;
    for (const Variable &v : variables) {
        if (v.key == key)
            return shared_of(block->rank) + v.offset;
        total += v.bytes;
    }
    const size_t offset = (shared_end + GAP + alignment - 1) / alignment * alignment;
    if (total > SHARED_STATIC || offset + bytes > SHARED_BYTES)
        fail("shared memory", "%zu bytes of variables, with %s", total, name);
    variables.push_back(Variable{key, offset, bytes});
    shared_end = offset + bytes;
    clear_shared(offset, bytes);
    return shared_of(block->rank) + offset;
}

void *shared_of_rank(const void *p, unsigned rank)
{
    const size_t offset = (size_t)((const char *)p - shared_of(block->rank));
    if (offset >= SHARED_BYTES || rank >= cluster.size())
        fail("cluster", "%p is no shared memory, or there is no block %u in the cluster", p, rank);
    return shared_of(rank) + offset;
}

void *shared_dynamic(size_t alignment)
{
    if (alignment > 16)
        fail("shared memory", "dynamic shared memory is aligned to 16 bytes, not %zu", alignment);
    return shared_of(block->rank);
}

} // namespace sim
