/* The stacks of the simulated device, and changing from one to another: by the registers that a
 * call preserves on x86-64, by ucontext elsewhere. ASan is told of every change. */
#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#if !defined(__x86_64__) && !defined(SIM_UCONTEXT)
#define SIM_UCONTEXT 1
#endif
#ifdef SIM_UCONTEXT
#include <ucontext.h>
#endif

extern "C" void bpi_sim_fiber();

namespace sim {

struct Fiber {
    void *saved; /* stack pointer, while another runs */
    char *stack; /* [STACK_BYTES]; NULL for the caller of enter_fibers */
    size_t stagger;
#ifdef SIM_UCONTEXT
    ucontext_t context;
#endif
#ifdef SIM_ASAN
    void *fake_stack;
    const void *bottom;
    size_t bytes;
#endif
};

static Fiber caller;
static Fiber *fiber = &caller; /* the one that runs */
/* Never destroyed: leak checkers find the fibers through them. */
static std::vector<Fiber *> &fibers = *new std::vector<Fiber *>;
static std::vector<Fiber *> &idle_fibers = *new std::vector<Fiber *>;
const char *running_stack;

#ifndef SIM_UCONTEXT
extern "C" {
void bpi_sim_switch(void **saved, void *to);
void bpi_sim_first();
}
/* Saves the registers that a call preserves on the stack, and the stack pointer in *saved; then the
 * same in reverse from `to`. A new fiber returns into bpi_sim_first, where backtraces end. */
__asm__(".text\n"
        ".hidden bpi_sim_switch\n.globl bpi_sim_switch\n"
        ".type bpi_sim_switch,@function\n"
        "bpi_sim_switch:\n"
        ".cfi_startproc\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp,(%rdi)\n"
        "mov %rsi,%rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size bpi_sim_switch,.-bpi_sim_switch\n"
        ".hidden bpi_sim_first\n.globl bpi_sim_first\n"
        ".type bpi_sim_first,@function\n"
        "bpi_sim_first:\n"
        ".cfi_startproc\n.cfi_undefined rip\n"
        "xor %ebp,%ebp\n"
        "call bpi_sim_fiber\n"
        "ud2\n"
        ".cfi_endproc\n"
        ".size bpi_sim_first,.-bpi_sim_first\n");
#endif

static Fiber *new_fiber()
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page + STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("simulated device: stack");
        abort();
    }
    mprotect(memory, page, PROT_NONE);
    Fiber *f = new Fiber();
    f->stack = (char *)memory + page;
    /* Stack tops at equal offsets in a page would share a few lines of the cache. */
    f->stagger = fibers.size() * 320 % 4096;
    fibers.push_back(f);
    return f;
}

Fiber *ready_fiber()
{
    Fiber *f;
    if (idle_fibers.empty()) {
        f = new_fiber();
    } else {
        f = idle_fibers.back();
        idle_fibers.pop_back();
    }
#ifdef SIM_ASAN
    enum { OUTER_FRAMES = 8 << 10 }; /* that its last life has never left */
    __asan_unpoison_memory_region(f->stack + STACK_BYTES - OUTER_FRAMES, OUTER_FRAMES);
    f->fake_stack = NULL;
    f->bottom = f->stack;
    f->bytes = STACK_BYTES;
#endif
#ifdef SIM_UCONTEXT
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES - f->stagger;
    makecontext(&f->context, bpi_sim_fiber, 0);
#else
    enum { SAVED_REGISTERS = 6, WORDS = 9 };
    void **top = (void **)(f->stack + STACK_BYTES - f->stagger) - WORDS;
    memset(top, 0, WORDS * sizeof *top);
    top[SAVED_REGISTERS] = (void *)bpi_sim_first;
    f->saved = top;
#endif
    return f;
}

/* for_good: nobody will switch back. */
static void change(Fiber *to, bool for_good)
{
    Fiber *from = fiber;
    fiber = to;
    running_stack = to->stack;
#ifdef SIM_ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : &from->fake_stack, to->bottom, to->bytes);
#else
    (void)for_good;
#endif
#ifdef SIM_UCONTEXT
    swapcontext(&from->context, &to->context);
#else
    bpi_sim_switch(&from->saved, to->saved);
#endif
#ifdef SIM_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

Fiber *this_fiber()
{
    return fiber;
}

void switch_to(Fiber *to)
{
    change(to, false);
}

void enter_fibers(Fiber *first)
{
#ifdef SIM_ASAN
    caller.bottom = NULL; /* told anew: it may be another thread of the system each time */
#endif
    change(first, false);
}

void leave_fiber(Fiber *next)
{
    idle_fibers.push_back(fiber);
    change(next ? next : &caller, true);
    abort();
}

void leave_fibers()
{
    change(&caller, true);
    abort();
}

void drop_fibers()
{
    idle_fibers = fibers;
#ifdef SIM_ASAN
    for (Fiber *f : fibers)
        __asan_unpoison_memory_region(f->stack, STACK_BYTES);
#endif
}

static void begin_fiber()
{
#ifdef SIM_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &bytes);
    if (!caller.bottom) {
        caller.bottom = bottom;
        caller.bytes = bytes;
    }
#endif
    run_threads();
}

} // namespace sim

void bpi_sim_fiber()
{
    sim::begin_fiber();
}
