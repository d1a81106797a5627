/* What orders the accesses of a kernel (order.h): launches, barriers, and what is released through
 * an atomic operation and acquired. */
#ifdef BPI_SIM_CHECK
#include "order.h"

#include <map>
#include <vector>

namespace sim {

/* --- time ---------------------------------------------------------------------------------- */

uint64_t now = 1;
uint64_t launch_time, barrier_time, cluster_time, meeting_time, block_time;
uint64_t warp_time[BLOCK_THREADS / WARP_LANES];

struct Turn {
    uint64_t time;
    unsigned block;
};
static std::vector<Turn> &starts = *new std::vector<Turn>; /* of this launch */

unsigned block_at(uint64_t time)
{
    size_t low = 0;
    size_t high = starts.size();
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (starts[middle].time <= time)
            low = middle;
        else
            high = middle;
    }
    return starts[low].block;
}

/* --- release and acquire ------------------------------------------------------------------- */

struct Release {
    uint64_t time, fence, barrier; /* of the operation; what lies before these is released */
    unsigned thread;
};
/* A word that atomic operations were made on. */
struct Word {
    std::map<unsigned, std::vector<Release>> releases; /* by block */
    std::map<const void *, uint64_t> carried;          /* what those who released had acquired */
};
static std::map<const void *, Word> &words = *new std::map<const void *, Word>;

/* This block's: the releases through a word up to a time. */
struct Acquired {
    const void *word;
    uint64_t time;
    unsigned thread;
    enum { UNFENCED, BY_THREAD, BY_BLOCK } state;
};
static std::vector<Acquired> &acquired = *new std::vector<Acquired>;

struct Fence {
    uint64_t time, barrier; /* of the last fence of a thread, and of the barrier before it */
};
static Fence fences[BLOCK_THREADS];

static bool has_acquired(const Acquired &a)
{
    return a.state == Acquired::BY_BLOCK ||
           (a.state == Acquired::BY_THREAD && a.thread == position.thread.x);
}

bool is_acquired(uint64_t time, unsigned thread, Spread spread)
{
    const unsigned block = block_at(time);
    for (const Acquired &a : acquired) {
        if (!has_acquired(a))
            continue;
        const Word &word = words[a.word];
        const auto found = word.releases.find(block);
        if (found == word.releases.end())
            continue;
        for (const Release &r : found->second) {
            const bool own = time < r.fence && (thread == r.thread || spread != ALONE);
            if (r.time < a.time && (own || time < r.barrier))
                return true;
        }
    }
    return false;
}

static void acquire_up_to(const void *word, uint64_t time)
{
    const unsigned me = position.thread.x;
    for (Acquired &a : acquired) {
        if (a.word == word && a.thread == me && a.state == Acquired::UNFENCED) {
            a.time = time;
            return;
        }
    }
    acquired.push_back(Acquired{word, time, me, Acquired::UNFENCED});
}

static void acquire(Word &word, const void *address)
{
    if (word.releases.empty())
        return;
    acquire_up_to(address, now);
    for (const auto &c : word.carried)
        acquire_up_to(c.first, c.second);
}

static void release(Word &word, const void *address)
{
    const unsigned me = position.thread.x;
    const Fence fence = fences[me];
    if (fence.time < block_time)
        return;
    for (const Acquired &a : acquired)
        if (has_acquired(a) && a.word != address && word.carried[a.word] < a.time)
            word.carried[a.word] = a.time;
    std::vector<Release> &ours = word.releases[position.block.x];
    if (ours.empty() || ours.back().thread != me)
        ours.push_back(Release());
    ours.back() = Release{now, fence.time, fence.barrier, me};
}

void order_atomic(const void *address)
{
    Word &word = words[address];
    acquire(word, address);
    release(word, address);
    now++;
}

void note_fence()
{
    const unsigned me = position.thread.x;
    now++;
    fences[me] = Fence{now, barrier_time};
    for (Acquired &a : acquired)
        if (a.thread == me && a.state == Acquired::UNFENCED)
            a.state = Acquired::BY_THREAD;
}

/* --- what the engine says ------------------------------------------------------------------ */

void begin_launch()
{
    launch_time = ++now;
    starts.clear();
    words.clear();
}

void check_cluster()
{
    cluster_time = meeting_time = ++now;
}

/* The last to come goes on, in a new turn of its block. */
void check_cluster_barrier()
{
    meeting_time = ++now;
    check_turn();
}

void check_turn()
{
    block_time = ++now;
    barrier_time = now;
    for (uint64_t &time : warp_time)
        time = now;
    starts.push_back(Turn{now, position.block.x});
    acquired.clear();
}

void check_barrier()
{
    barrier_time = ++now;
    for (Acquired &a : acquired)
        if (a.state == Acquired::BY_THREAD)
            a.state = Acquired::BY_BLOCK;
}

void check_warp(int warp)
{
    warp_time[warp] = ++now;
}

} // namespace sim
#endif
