/* See stack_known.h. The first thread's stack ends at the environment and grows as far as its limit; any other
 * thread's lies below its thread control block, page after readable page. No files are read: a page is probed with
 * one harmless system call, and only when a stack pointer lies lower than any before.
 */
#include "preload/stack_known.h"

#include <stddef.h>

#include "preload/copy.h"
#include "preload/imports.h"
#include "preload/raw.h"
#include "preload/stack.h"
#include "preload/state.h"

#define RLIMIT_STACK 3
#define FIRST_STACK_LEAST (8ul << 20)
#define FIRST_STACK_MOST (1ul << 30)
/* Deeper thread stacks than this are not probed: the check then says "unknown". */
#define THREAD_STACK_PROBED (64ul << 20)

#define REGISTERED_MAX 256

/* What a program's start may put on its stack before it calls its first function. */
#define START_SLACK 256

static struct { uint64_t low, high; /* atomic; low is zero while the entry changes */ } registered[REGISTERED_MAX];
static uint32_t registered_next; /* entries ever written; atomic */

static uint64_t page_of(uint64_t address) {
    return address & ~(uint64_t)(PAGE_BYTES - 1);
}

static uint64_t thread_pointer(void) {
    uint64_t pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
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
        place = __atomic_fetch_add(&registered_next, 1, __ATOMIC_RELAXED) % REGISTERED_MAX;
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

static COLD void learn_own(struct thread_slot *slot, uint64_t stack_pointer) {
    uint64_t thread = thread_pointer();
    if (thread == 0 || STATE->first_thread == 0)
        return;
    bool first = thread == STATE->first_thread;
    uint64_t high = first ? first_stack_high() : thread;
    if (slot->stack.high != high) {
        slot->stack.low = first ? STATE->first_stack_low : page_of(thread);
        slot->stack.high = high;
    }
    probe_down(slot, stack_pointer);
}

bool is_first_stack(struct stack_range range) {
    return range.high == first_stack_high();
}

bool own_stack_is_known(const struct thread_slot *slot) {
    return slot->stack.high != 0;
}

bool known_stack(struct thread_slot *slot, uint64_t stack_pointer, struct stack_range *range) {
    if (unlikely(!in_range(slot->stack, stack_pointer))) {
        if (in_range(slot->alternate, stack_pointer)) {
            *range = slot->alternate;
            return true;
        }
        if (in_registered(stack_pointer, range))
            return true;
        learn_own(slot, stack_pointer);
        if (!in_range(slot->stack, stack_pointer))
            return false;
    }
    *range = slot->stack;
    return true;
}
