/* See copy.h. Everything here may run in a signal handler: no locks, no libc, bounded. */
#include "preload/copy.h"

#include <stddef.h>

#include "preload/libc.h"
#include "preload/raw.h"
#include "preload/stack_known.h"
#include "preload/state.h"

/* rt_sigprocmask with an impossible `how` reads the set first and changes nothing: EFAULT or EINVAL. */
bool memory_is_readable(uint64_t address) {
    return raw(__NR_rt_sigprocmask, -1, address & ~(uint64_t)7, 0, 8) == -22 /* EINVAL */;
}

static uint64_t page_end(uint64_t address) {
    return (address | (PAGE_BYTES - 1)) + 1;
}

/* The calling thread's stack from the call upwards needs no probing. */
static uint64_t readable_until(const struct thread_slot *slot, const struct registers *registers, uint64_t address) {
    uint64_t stack_pointer = (uint64_t)registers;
    uint64_t top = slot != NULL && slot->stack.high > stack_pointer ? slot->stack.high : page_end(stack_pointer);
    if (address >= stack_pointer && address < top)
        return top;
    return memory_is_readable(address) ? page_end(address) : address;
}

bool read_bytes(void *to, uint64_t source, size_t size) {
    for (size_t done = 0; done < size;) {
        uint64_t at = source + done;
        if (at < source || !memory_is_readable(at))
            return false;
        size_t part = page_end(at) - at < size - done ? page_end(at) - at : size - done;
        memcpy((char *)to + done, (const void *)at, part);
        done += part;
    }
    return true;
}

bool read_word(uint64_t source, uint64_t *word) {
    return read_bytes(word, source, sizeof *word);
}

/* ---- the stack of copies ---- */

static bool on_alternate_stack(const struct thread_slot *slot, uint64_t stack_pointer) {
    return stack_pointer >= slot->alternate.low && stack_pointer < slot->alternate.high;
}

/* Whether the call under whose stack pointer a copy was made has ended, as seen from a check at `stack_pointer`. A
 * handler on the alternate stack has ended when a check runs elsewhere; what it interrupted has not while it runs. */
static bool has_ended(const struct thread_slot *slot, unsigned record, uint64_t stack_pointer, bool alternate) {
    if (slot->copy_records[record].alternate != alternate)
        return !alternate;
    return slot->copy_records[record].stack_pointer <= stack_pointer;
}

static void release_last(struct thread_slot *slot) {
    slot->copy_count--;
    slot->copy_used = slot->copy_records[slot->copy_count].start;
}

/* In a recursion each call stands higher than the next, as one that a handler interrupted does. But a call under way
 * still has its return address where it found it; where the stack was used for something else, it has returned. */
static void release_returned(struct thread_slot *slot) {
    uint64_t word;
    while (slot->copy_count > 0) {
        unsigned last = slot->copy_count - 1;
        uint64_t place = slot->copy_records[last].stack_pointer + offsetof(struct registers, return_address);
        if (read_word(place, &word) && word == slot->copy_records[last].return_address)
            return;
        release_last(slot);
    }
}

void copy_begin(struct thread_slot *slot, const struct registers *registers) {
    uint64_t stack_pointer = (uint64_t)registers;
    bool alternate = on_alternate_stack(slot, stack_pointer);
    while (slot->copy_count > 0 && slot->copy_count <= COPY_RECORDS &&
           has_ended(slot, slot->copy_count - 1, stack_pointer, alternate))
        release_last(slot);
    if (unlikely(slot->copy_count > COPY_RECORDS / 2 || slot->copy_used > COPY_BYTES / 4))
        release_returned(slot);
}

/* Calls of other coroutines are lower or higher without order, but none is under way while this one makes a call. */
static void release_other_stacks(struct thread_slot *slot, uint64_t stack_pointer) {
    struct stack_range own;
    if (on_alternate_stack(slot, stack_pointer) || !known_stack(slot, stack_pointer, &own))
        return;
    while (slot->copy_count > 0 && (slot->copy_records[slot->copy_count - 1].stack_pointer < own.low ||
                                    slot->copy_records[slot->copy_count - 1].stack_pointer >= own.high))
        release_last(slot);
}

static bool has_room(const struct thread_slot *slot, size_t size) {
    return slot->copy_count < COPY_RECORDS && slot->copy_used <= COPY_BYTES - 16 &&
           size <= COPY_BYTES - 16 - slot->copy_used;
}

void *copy_allocate(struct thread_slot *slot, const struct registers *registers, size_t size) {
    if (!has_room(slot, size))
        release_other_stacks(slot, (uint64_t)registers);
    if (!has_room(slot, size))
        return NULL;
    uint32_t start = (slot->copy_used + 15) & ~15u, count = slot->copy_count;
    /* A handler may interrupt anywhere: what it pushes and leaves behind is finished, but may stand in this record. */
    for (unsigned twice = 0; twice < 2; twice++) {
        slot->copy_records[count].stack_pointer = (uint64_t)registers;
        slot->copy_records[count].return_address = registers->return_address;
        slot->copy_records[count].alternate = on_alternate_stack(slot, (uint64_t)registers);
        slot->copy_records[count].start = slot->copy_used < start ? slot->copy_used : start;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        slot->copy_used = start + (uint32_t)size;
        slot->copy_count = count + 1;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    return slot->copies + start;
}

void copy_shrink(struct thread_slot *slot, const void *copy, size_t size) {
    slot->copy_used = (uint32_t)((const char *)copy - slot->copies + size);
}

enum copy_result read_string(const struct thread_slot *slot, const struct registers *registers, uint64_t source,
                             char *to, size_t limit, size_t *length) {
    uint64_t readable = source;
    for (size_t i = 0; i <= limit; i++) {
        if (source + i >= readable && (readable = readable_until(slot, registers, source + i)) <= source + i)
            return COPY_UNREADABLE;
        to[i] = ((const volatile char *)source)[i];
        if (to[i] == '\0') {
            *length = i;
            return COPY_DONE;
        }
    }
    return COPY_TOO_LONG;
}

enum copy_result copy_string(struct thread_slot *slot, const struct registers *registers, uint64_t source, size_t limit,
                             const char **copy, size_t *length) {
    char *room = copy_allocate(slot, registers, limit + 1);
    if (room == NULL)
        return COPY_NO_ROOM;
    enum copy_result result = read_string(slot, registers, source, room, limit, length);
    copy_shrink(slot, room, result == COPY_DONE ? *length + 1 : 0);
    *copy = room;
    return result;
}

void *copy_bytes(struct thread_slot *slot, const struct registers *registers, uint64_t source, size_t size) {
    void *copy = copy_allocate(slot, registers, size);
    return copy != NULL && read_bytes(copy, source, size) ? copy : NULL;
}
