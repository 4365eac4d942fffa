/* The stack check: whether the frames above an intercepted call are those of a program that called its way here.
 *
 * Method: the list of EMET and Windows Defender Exploit Guard (CallerCheck, SimExec, StackPivot) for Linux, with
 * unwinding by libunwind. "Broken" is positive proof; what cannot be walked is "unknown".
 */
#ifndef PINION_PRELOAD_STACK_H
#define PINION_PRELOAD_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/registers.h"
#include "preload/threads.h"
#include "runtime/policy.h"

enum stack_state {
    STACK_SOUND,
    STACK_BROKEN,
    STACK_UNKNOWN,
};

struct stack_result {
    enum stack_state state;
    enum reason reason; /* unless sound; ANONYMOUS_CODE: unknown, a frame of a just-in-time compiler */
    uint64_t address;   /* the return address or stack pointer that shows it */
    unsigned frame;     /* 0 is the call itself */
    bool foreign;       /* the walk began on a stack that nobody registered */
};

/* Walks from the intercepted call. Async-signal-safe, bounded, no locks, no allocation but the slot's cache. */
struct stack_result stack_check(const struct registers *registers, struct thread_slot *slot);

struct state;

/* Once, at start-up in the first thread, before the state is sealed and after environment_end is known. */
void stack_start(struct state *state);

/* Stacks that a program sets up itself: known from then on. The table of them is bounded; the oldest goes. */
void stack_register(uint64_t low, uint64_t high);

#endif
