/* See stack_known.h. The first thread's stack ends at the environment and grows as far as its limit; any other
 * thread's lies below its thread control block, page after readable page. No files are read: a page is probed with
 * one harmless system call, and only when a stack pointer lies lower than any before.
 */
#include "preload/stack_known.h"

#include <asm/prctl.h>
#include <stddef.h>

#include "preload/copy.h"
#include "preload/imports.h"
#include "preload/raw.h"
#include "preload/stack.h"
#include "preload/state.h"

#define RLIMIT_STACK 3
#define ALTERNATE_DISABLED 2 /* SS_DISABLE */
#define FIRST_STACK_LEAST (8ul << 20)
#define FIRST_STACK_MOST (1ul << 30)
/* Deeper thread stacks than this are not probed: the check then says "unknown". */
#define THREAD_STACK_PROBED (64ul << 20)

#define REGISTERED_MAX 256

/* What a program's start may put on its stack before it calls its first function. */
#define START_SLACK 256

static struct { uint64_t low, high; /* atomic; low is zero while the entry changes */ } registered[REGISTERED_MAX];
static uint64_t registered_next; /* entries ever written; atomic */

static uint64_t page_of(uint64_t address) {
    return address & ~(uint64_t)(PAGE_BYTES - 1);
}

/* As the thread's own block has it: cheap, but memory. */
static inline uint64_t thread_pointer(void) {
    uint64_t pointer;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

/* As the processor has it. */
static uint64_t true_thread_pointer(void) {
    uint64_t pointer = 0;
    return raw(__NR_arch_prctl, ARCH_GET_FS, &pointer) == 0 ? pointer : thread_pointer();
}

void stack_start(struct state *state) {
    struct {
        uint64_t now, most;
    } limit = {0, 0};
    raw(__NR_prlimit64, 0, RLIMIT_STACK, NULL, &limit);
    uint64_t size = limit.now < FIRST_STACK_LEAST ? FIRST_STACK_LEAST : limit.now;
    size = size > FIRST_STACK_MOST ? FIRST_STACK_MOST : size;
    uint64_t here = (uint64_t)__builtin_frame_address(0), low = page_of(state->environment_end) - size;
    if (here <= low || here >= state->environment_end)
        return; /* the environment was moved, or this is no ordinary start: the stack stays unknown */
    state->first_thread = thread_pointer();
    state->first_stack_low = low;
    /* glibc's loader notes where the kernel put the arguments: all frames lie below. Else: above this one. */
    uint64_t noted = &__libc_stack_end != NULL ? (uint64_t)__libc_stack_end : 0;
    state->first_stack_start = (noted > here && noted < state->environment_end ? noted : here) - START_SLACK;
}

void stack_register(uint64_t low, uint64_t high) {
    if (low == 0 || low >= high)
        return;
    uint32_t place = REGISTERED_MAX;
    for (uint32_t i = 0; i < REGISTERED_MAX && place == REGISTERED_MAX; i++)
        if (__atomic_load_n(&registered[i].low, __ATOMIC_RELAXED) == low)
            place = i;
    if (place == REGISTERED_MAX)
        place = (uint32_t)(__atomic_fetch_add(&registered_next, 1, __ATOMIC_RELAXED) % REGISTERED_MAX);
    __atomic_store_n(&registered[place].low, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&registered[place].high, high, __ATOMIC_RELEASE);
    __atomic_store_n(&registered[place].low, low, __ATOMIC_RELEASE);
}

static bool in_range(struct stack_range range, uint64_t address) {
    return address >= range.low && address < range.high;
}

/* An entry, or an empty range where there is none or it is just being replaced. */
static struct stack_range registered_at(uint32_t place) {
    struct stack_range entry;
    entry.low = __atomic_load_n(&registered[place].low, __ATOMIC_ACQUIRE);
    entry.high = __atomic_load_n(&registered[place].high, __ATOMIC_ACQUIRE);
    if (entry.low == 0 || entry.low != __atomic_load_n(&registered[place].low, __ATOMIC_ACQUIRE))
        return (struct stack_range){0, 0};
    return entry;
}

static bool in_registered(uint64_t address, struct stack_range *range) {
    for (uint32_t i = 0; i < REGISTERED_MAX; i++) {
        *range = registered_at(i);
        if (in_range(*range, address))
            return true;
    }
    return false;
}

bool registered_stack_begins(uint64_t stack_pointer) {
    for (uint32_t i = 0; i < REGISTERED_MAX; i++) {
        struct stack_range entry = registered_at(i);
        if (entry.low < stack_pointer && stack_pointer <= entry.high && entry.high - stack_pointer <= START_SLACK)
            return true;
    }
    return false;
}

bool registered_stacks_were_lost(void) {
    return __atomic_load_n(&registered_next, __ATOMIC_RELAXED) > REGISTERED_MAX;
}

/* Lowers the known end of the own stack to the page of the stack pointer, or as far as it reaches: the first thread's,
 * too, for its limit may have been raised. */
static void probe_down(struct thread_slot *slot, uint64_t stack_pointer) {
    uint64_t top = slot->stack.high;
    if (stack_pointer >= top || top - stack_pointer > THREAD_STACK_PROBED)
        return;
    while (slot->stack.low > stack_pointer && memory_is_readable(slot->stack.low - PAGE_BYTES))
        slot->stack.low -= PAGE_BYTES;
}

static uint64_t first_stack_high(void) {
    return page_of(STATE->environment_end + PAGE_BYTES - 1);
}

/* Of the first thread's stack the slot tells only how far it grew under a limit that was raised; nothing else is
 * mapped so close below it. Of any other's the slot tells all, for the thread that it was learned for. */
static inline struct stack_range own_stack(const struct thread_slot *slot, uint64_t thread) {
    if (thread != STATE->first_thread)
        return slot->stack.high == thread ? slot->stack : (struct stack_range){0, 0};
    struct stack_range own = {STATE->first_stack_low, first_stack_high()};
    uint64_t low = slot->stack.low;
    if (unlikely(slot->stack.high == own.high && low < own.low && own.high - low <= THREAD_STACK_PROBED))
        own.low = low;
    return own;
}

/* Returns the thread whose stack it learned, or 0. */
static uint64_t learn_own(struct thread_slot *slot, uint64_t stack_pointer) {
    uint64_t thread = true_thread_pointer();
    if (thread == 0 || STATE->first_thread == 0)
        return 0;
    bool first = thread == STATE->first_thread;
    uint64_t high = first ? first_stack_high() : thread;
    if (slot->stack.high != high) {
        slot->stack.low = first ? STATE->first_stack_low : page_of(thread);
        slot->stack.high = high;
    }
    probe_down(slot, stack_pointer);
    return thread;
}

bool is_first_stack(struct stack_range range) {
    return range.high == first_stack_high();
}

/* The kernel's alternate stack for signals; while a handler runs that disarmed it, there is none. */
static struct stack_range kernel_alternate(void) {
    uint64_t told[3] = {0}; /* address, flags, size */
    if (raw(__NR_sigaltstack, 0, told) != 0 || ((uint32_t)told[1] & ALTERNATE_DISABLED))
        return (struct stack_range){0, 0};
    return (struct stack_range){told[0], told[0] + told[2]};
}

bool off_stack_is_proof(const struct thread_slot *slot, uint64_t stack_pointer) {
    return slot->stack.high != 0 && !(in_range(slot->alternate, stack_pointer) && kernel_alternate().high == 0);
}

static COLD bool other_stack(struct thread_slot *slot, uint64_t stack_pointer, struct stack_range *range) {
    if (in_range(slot->alternate, stack_pointer)) {
        *range = kernel_alternate();
        if (in_range(*range, stack_pointer))
            return true;
    }
    if (in_registered(stack_pointer, range))
        return true;
    uint64_t thread = learn_own(slot, stack_pointer);
    *range = own_stack(slot, thread);
    return thread != 0 && in_range(*range, stack_pointer);
}

bool known_stack(struct thread_slot *slot, uint64_t stack_pointer, struct stack_range *range) {
    *range = own_stack(slot, thread_pointer());
    return likely(in_range(*range, stack_pointer) && slot->stack.high == range->high) ||
           other_stack(slot, stack_pointer, range);
}
