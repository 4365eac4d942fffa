/* Stepping from a frame to its caller: libunwind reads the call-frame information once, the frame cache remembers
 * what it said. Neither reads memory outside the stack it was given and the readable segments of modules.
 *
 * The cache is a thread's own, found through its slot, but a signal handler or a thread that shares the slot may
 * write an entry in the middle of another's reading or writing. Each entry so carries a digest of itself and of
 * the module map it was made from: one that was torn, or that belongs to modules no longer mapped, is not found.
 */
#ifndef PINION_PRELOAD_UNWIND_H
#define PINION_PRELOAD_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/threads.h"

enum frame_kind {
    FRAME_FROM_RSP = 1, /* CFA = rsp + cfa_offset */
    FRAME_FROM_RBP,     /* CFA = rbp + cfa_offset */
    FRAME_REALIGNED,    /* CFA = *(rbp + cfa_offset), caller's rbp = *rbp */
    FRAME_SIGNAL,       /* the kernel's frame of a signal handler: ucontext at rsp */
    FRAME_START,        /* a program or thread starts here */
    FRAME_CONTEXT_END,  /* a makecontext function returns to here */
    FRAME_UNUSUAL,      /* libunwind must step it each time, with all preserved registers */
    FRAME_BLIND,        /* no call-frame information */
    FRAME_BLIND_START,  /* none, and none is needed: a program's entry, or a libc that never has any */
    FRAME_ANONYMOUS,    /* code of no module */
    FRAME_ASTRAY,       /* the CFA lies outside the stack; not cached */
};

#define RBP_NOT_SAVED INT16_MIN

struct frame_rule {
    uint64_t function; /* the start of the function that the return address lies in, or 0 */
    uint64_t callee;   /* the function last found to be one that the call leads to, or 0 */
    int32_t cfa_offset;
    int16_t rbp_offset; /* where the caller's rbp is saved, relative to the CFA */
    uint8_t kind;       /* enum frame_kind */
    uint8_t call;       /* enum call_kind of the instruction before the return address */
};

/* ---- the frame cache ---- */

#define FRAME_CACHE_ENTRIES 512u
#define UNWIND_OBJECTS 16u
#define UNWIND_OBJECT_BYTES 256u

struct frame_entry {
    uint64_t words[4];
};

struct stack_cache {
    uint64_t walker;       /* where the registers of the walk under way lie, or 0 */
    uint32_t objects_used; /* what libunwind holds, of those below */
    uint64_t start_thread; /* thread pointer of the thread whose start comes next */
    uint64_t start;        /* stack pointer of its outermost function, as the first sound walk found it */
    _Alignas(64) struct frame_entry entries[FRAME_CACHE_ENTRIES];
    _Alignas(16) char objects[UNWIND_OBJECTS][UNWIND_OBJECT_BYTES];
};

static inline uint64_t frame_digest(uint64_t address, uint64_t first, uint64_t second, uint32_t offset,
                                    uint64_t sequence) {
    uint64_t mixed = address ^ (first << 23 | first >> 41) ^ (second << 47 | second >> 17);
    return ((mixed ^ sequence << 52 ^ sequence >> 12) + offset) * 0x9e3779b97f4a7c15u;
}

/* An address may stand in any entry of its set: addresses are random, and a set of one would now and then hold two
 * frames of the same stack, each throwing out the other. */
#define FRAME_CACHE_WAYS 4u

static inline unsigned frame_set(uint64_t address) {
    return (unsigned)(address * 0x9e3779b97f4a7c15u >> 57) * FRAME_CACHE_WAYS;
}
_Static_assert(FRAME_CACHE_ENTRIES == FRAME_CACHE_WAYS << (64 - 57), "frame_set");

static inline bool frame_entry_read(const struct frame_entry *entry, uint64_t sequence, uint64_t address,
                                    struct frame_rule *rule) {
    const volatile uint64_t *words = entry->words;
    uint64_t key = words[0], first = words[1], second = words[2], last = words[3];
    if (key != address || last >> 32 != frame_digest(key, first, second, (uint32_t)last, sequence) >> 32)
        return false;
    rule->function = first >> 16;
    rule->rbp_offset = (int16_t)first;
    rule->callee = second >> 16;
    rule->kind = (uint8_t)second;
    rule->call = (uint8_t)(second >> 8);
    rule->cfa_offset = (int32_t)last;
    return true;
}

static inline bool frame_cache_find(const struct stack_cache *cache, uint64_t sequence, uint64_t address,
                                    struct frame_rule *rule) {
    const struct frame_entry *set = &cache->entries[frame_set(address)];
    for (unsigned i = 0; i < FRAME_CACHE_WAYS; i++)
        if (frame_entry_read(&set[i], sequence, address, rule))
            return true;
    return false;
}

/* The newest entry stands first; the oldest of a full set goes. */
static inline void frame_cache_store(struct stack_cache *cache, uint64_t sequence, uint64_t address,
                                     const struct frame_rule *rule) {
    struct frame_entry *set = &cache->entries[frame_set(address)];
    uint64_t first = rule->function << 16 | (uint16_t)rule->rbp_offset;
    uint64_t second = rule->callee << 16 | (uint64_t)rule->call << 8 | rule->kind;
    uint32_t offset = (uint32_t)rule->cfa_offset;
    unsigned last = 0;
    while (last < FRAME_CACHE_WAYS - 1 && set[last].words[0] != address)
        last++;
    for (; last > 0; last--)
        set[last] = set[last - 1];
    volatile uint64_t *words = set[0].words;
    words[0] = address;
    words[1] = first;
    words[2] = second;
    words[3] = frame_digest(address, first, second, offset, sequence) >> 32 << 32 | offset;
}

/* ---- libunwind ---- */

/* Registers by their DWARF numbers. */
enum {
    UNWIND_RBX = 3,
    UNWIND_RBP = 6,
    UNWIND_RSP = 7,
    UNWIND_R12 = 12,
    UNWIND_RIP = 16,
    UNWIND_REGISTERS = 17
};

#define UNWIND_STATE_BYTES 512

struct unwind {
    uint64_t registers[UNWIND_REGISTERS];
    uint32_t known;             /* bit n: registers[n] has a value */
    bool exact;                 /* the address was interrupted, nothing was called there */
    bool trusted;               /* the whole stack is mapped */
    struct stack_range stack;   /* what may be read of it */
    struct stack_range segment; /* of a module, read last */
    _Alignas(16) char cursor[UNWIND_STATE_BYTES];
};

/* Begins at the frame that registers, known, exact, trusted and stack tell of. */
void unwind_begin(struct unwind *unwind);

/* Describes the frame and goes to its caller. FRAME_UNUSUAL with *stepped false: a register was needed that is not
 * known, or an object that a walk under way holds. Of the rule, callee and call are left alone. */
enum frame_kind unwind_step(struct unwind *unwind, struct frame_rule *rule, bool *stepped);

/* Where it is now. */
uint64_t unwind_address(const struct unwind *unwind);
uint64_t unwind_stack_pointer(const struct unwind *unwind);
bool unwind_frame_pointer(struct unwind *unwind, uint64_t *value);

/* The start of the function at this address, as call-frame information has it; 0 where there is none. */
uint64_t unwind_function(uint64_t address);

#endif
