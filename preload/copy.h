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

enum copy_result {
    COPY_DONE,
    COPY_UNREADABLE,
    COPY_TOO_LONG, /* longer than the limit */
    COPY_NO_ROOM,  /* the slot is full */
};

/* A copy of the string at `source`, of at most `limit` bytes; *copy and *length are set when it is done. */
enum copy_result copy_string(struct thread_slot *slot, const struct registers *registers, uint64_t source, size_t limit,
                             const char **copy, size_t *length);

/* The same into memory of the caller's own, `limit` bytes and the final NUL. */
enum copy_result read_string(const struct thread_slot *slot, const struct registers *registers, uint64_t source,
                             char *to, size_t limit, size_t *length);

/* Gives back what the last allocation does not need. */
void copy_shrink(struct thread_slot *slot, const void *copy, size_t size);

/* NULL when the memory cannot be read or no room is left. */
void *copy_bytes(struct thread_slot *slot, const struct registers *registers, uint64_t source, size_t size);

/* Reads without copying into the slot; false when the memory is not there. */
bool read_bytes(void *to, uint64_t source, size_t size);
bool read_word(uint64_t source, uint64_t *word);

#endif
