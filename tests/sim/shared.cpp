/* Shared memory of the block that runs: what the launch asked for, then the kernel's variables, in
 * the order in which threads come to them. */
#include "engine.h"

#include <vector>

namespace sim {

struct Variable {
    const void *key;
    size_t offset, bytes;
};

alignas(256) char shared_memory[SHARED_BYTES];
static std::vector<Variable> &variables = *new std::vector<Variable>;
static size_t shared_end; /* of the last variable */

/* ASan sees what lies between variables. */
static void clear_shared(size_t offset, size_t bytes)
{
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(shared_memory + offset, bytes);
#endif
    memset(shared_memory + offset, unwritten(), bytes);
    check_shared(offset, bytes);
}

void open_shared()
{
    variables.clear();
    shared_end = running->shared_bytes;
}

void start_shared()
{
#ifdef SIM_ASAN
    __asan_poison_memory_region(shared_memory, SHARED_BYTES);
#endif
    clear_shared(0, running->shared_bytes);
    for (const Variable &v : variables)
        clear_shared(v.offset, v.bytes);
}

void close_shared()
{
#ifdef SIM_ASAN
    __asan_unpoison_memory_region(shared_memory, SHARED_BYTES);
#endif
}

bool shared_holds(size_t offset, size_t bytes)
{
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
            return shared_memory + v.offset;
        total += v.bytes;
    }
    const size_t offset = (shared_end + GAP + alignment - 1) / alignment * alignment;
    if (total > SHARED_STATIC || offset + bytes > SHARED_BYTES)
        fail("shared memory", "%zu bytes of variables, with %s", total, name);
    variables.push_back(Variable{key, offset, bytes});
    shared_end = offset + bytes;
    clear_shared(offset, bytes);
    return shared_memory + offset;
}

void *shared_dynamic(size_t alignment)
{
    if (alignment > 16)
        fail("shared memory", "dynamic shared memory is aligned to 16 bytes, not %zu", alignment);
    return shared_memory;
}

} // namespace sim
