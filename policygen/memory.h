/* What places of a function's own frame hold before an instruction: the writes that may have put it there, found by
 * walking the flow graph backwards. Unlike the solver's slots these are objects whose addresses the program takes; what
 * is assumed of such memory stands in escape.h. For finished flow graphs only: a query never changes an earlier answer.
 */
#ifndef PINION_POLICYGEN_MEMORY_H
#define PINION_POLICYGEN_MEMORY_H

#include "policygen/escape.h"
#include "policygen/solve.h"

#define MEMORY_NO_END INT32_MAX
#define MEMORY_NO_LIMIT INT64_MAX
#define MEMORY_MAX_WRITES 8

/* One write into the frame: [offset, end), relative to the stack pointer at entry. */
struct memory_write {
    int32_t offset;
    int32_t end;  /* at most; MEMORY_NO_END: not known */
    bool certain; /* goes there whenever the instruction runs */
};

/* What an instruction does to the frame. */
struct memory_touch {
    bool unknown; /* may write anywhere */
    unsigned count;
    struct memory_write writes[MEMORY_MAX_WRITES];
};

/* A write that may have made what is there now. */
struct memory_source {
    uint32_t instruction;
    struct memory_write write;
    int64_t limit; /* of texts: from their first byte to the nearest byte that was written afterwards */
};

/* `known`: the sources are all there are. */
struct memory_sources {
    struct memory_source *items; /* owned */
    size_t count;
    bool known;
};

struct memory {
    const struct flow *flow;
    struct solver *solver;
    struct escape *escape;
    struct arena arena;
    struct memory_touch **touches; /* per instruction, made when asked for */
    unsigned texts;                /* buffers that are being read, one inside the other */
};

struct memory *memory_new(const struct flow *flow, struct solver *solver);
void memory_free(struct memory *memory);

/* Valid as long as the memory is. */
const struct memory_touch *memory_touch(struct memory *memory, uint32_t index);

/* Writes that made the bytes [offset, offset + size), or the text that begins at `offset` (size 0). */
struct memory_sources memory_sources(struct memory *memory, uint32_t before, int32_t offset, unsigned size);

/* `size` bytes of what a source wrote, from `skipped` on. */
struct abstract memory_source_value(struct memory *memory, const struct memory_source *source, unsigned skipped,
                                    unsigned size);

/* The value of up to 8 bytes. */
struct abstract memory_read(struct memory *memory, uint32_t before, int32_t offset, unsigned size);

/* A register before an instruction, also where it was kept in the frame in the meantime. */
struct abstract memory_register(struct memory *memory, uint32_t before, uint8_t number);

/* An argument of a call before it: in a register, or on the stack. */
struct abstract memory_argument(struct memory *memory, uint32_t call, unsigned argument);

#endif
