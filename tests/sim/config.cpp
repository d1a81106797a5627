/* The settings of the simulated device, from the environment at first; its random bits; and what is
 * done with the text of an error: kept where a test expects one, else printed, and the end. */
#include "simt_internal.h"

#include <stdio.h>
#include <stdlib.h>

namespace sim {

static uint64_t random_start(uint64_t seed)
{
    return (seed * 0x9e3779b97f4a7c15u + 0x3243f6a8885a308du) | 1;
}

static Config config_from_environment()
{
    Config c = {};
    c.devices = 1;
    c.memory_bytes = (size_t)8 << 30;
    c.guard = true;
    const char *arch = getenv("BPCUDA_SIM_ARCH");
    c.arch = arch ? atoi(arch) : 90;
    const char *undocumented = getenv("BPCUDA_SIM_UNDOCUMENTED");
    c.undocumented = undocumented && atoi(undocumented) != 0;
    const char *lazy = getenv("BPCUDA_SIM_LAZY");
    c.lazy = lazy && atoi(lazy) != 0;
    const char *order = getenv("BPCUDA_SIM_ORDER");
    if (order && strcmp(order, "reverse") == 0)
        c.order = SIM_REVERSE;
    else if (order && strncmp(order, "random", 6) == 0)
        c.order = SIM_RANDOM;
    else
        c.order = SIM_FORWARD;
    const char *seed = order ? strchr(order, ':') : NULL;
    c.random = random_start(seed ? strtoull(seed + 1, NULL, 10) : 0);
    return c;
}

Config config = config_from_environment();
std::string last_error;

void seed_random(uint64_t seed)
{
    config.random = random_start(seed);
}

/* Marsaglia's xorshift. */
uint64_t random_bits()
{
    uint64_t x = config.random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    config.random = x;
    return x;
}

void report_error(const char *text)
{
    last_error = text;
    if (config.expect_error)
        return;
    fprintf(stderr, "%s\n", text);
    abort();
}

} // namespace sim
