/* The stacks that a thread may run on: its own, the alternate one for signals, and those that the program
 * registered. Nothing here reads stack memory.
 */
#ifndef PINION_PRELOAD_STACK_KNOWN_H
#define PINION_PRELOAD_STACK_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/threads.h"

/* Finds the stack that holds this stack pointer; learns the thread's own stack when it must. */
bool known_stack(struct thread_slot *slot, uint64_t stack_pointer, struct stack_range *range);

/* Whether it proves anything that known_stack found none: not while the thread's own stack is unknown, nor on an
 * alternate stack that the kernel has disarmed for the time of its handler. */
bool off_stack_is_proof(const struct thread_slot *slot, uint64_t stack_pointer);

/* Whether this is the stack that the program was started on. */
bool is_first_stack(struct stack_range range);

/* Whether a stack that the program registered begins here: the outermost frame on it has this stack pointer. */
bool registered_stack_begins(uint64_t stack_pointer);

/* Whether so many stacks were registered that some are forgotten. */
bool registered_stacks_were_lost(void);

#endif
