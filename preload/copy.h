/* Copies of checked arguments, and reading memory that may not be there.
 *
 * A tail jump leaves no frame to hold a copy, so copies stack up in the thread's slot, each under the stack pointer
 * of its call: a check that runs at the same height or above releases what lies below. Signal handlers and nested calls so
 * never overwrite the copy of a call that is still under way.
 */
#ifndef PINION_PRELOAD_COPY_H
#define PINION_PRELOAD_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/registers.h"
#include "preload/threads.h"

/* Whether the page of this address can be read. One system call. */
bool memory_is_readable(uint64_t address);

/* Releases what earlier calls left. Once per check, before the first copy_*. */
void copy_begin(struct thread_slot *slot, const struct registers *registers);

/* Room for `size` bytes, aligned to 16, that lives as long as the call; NULL when the slot is full. */
void *copy_allocate(struct thread_slot *slot, const struct registers *registers, size_t size);

/* Copies of what an argument points to; NULL when it cannot be read, is longer than `limit`, or no room is left. */
char *copy_string(struct thread_slot *slot, const struct registers *registers, uint64_t source, size_t limit,
                  size_t *length);
void *copy_bytes(struct thread_slot *slot, const struct registers *registers, uint64_t source, size_t size);

/* Reads without copying into the slot; false when the memory is not there. */
bool read_bytes(void *to, uint64_t source, size_t size);
bool read_word(uint64_t source, uint64_t *word);

#endif
