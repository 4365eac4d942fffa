/* No pointer is followed: whatever may write outside the frame, or calls something of which nothing is known, ends the
 * certainty.
 */
#include "policygen/heap.h"

#include <stdlib.h>

#include "runtime/util.h"

/* A set of blocks that grows along edges. */
struct reach {
    bool *marks; /* per block */
    uint32_t *queue;
    size_t count;
};

static void reach_block(struct reach *reach, uint32_t block) {
    if (!reach->marks[block])
        *array_append(reach->queue, reach->count) = block;
    reach->marks[block] = true;
}

/* Blocks that may run before the start of this one. */
static void mark_before(const struct flow *flow, uint32_t to, bool *marks) {
    struct reach reach = {.marks = marks};
    *array_append(reach.queue, reach.count) = to;
    while (reach.count > 0) {
        const struct block *block = &flow->blocks[reach.queue[--reach.count]];
        for (uint32_t i = 0; i < block->predecessor_count; i++)
            reach_block(&reach, block->predecessors[i]);
    }
    free(reach.queue);
}

/* Where the successors of each block begin in the list of all, which is filled with them. */
static uint32_t *list_successors(const struct flow *flow, uint32_t **list) {
    uint32_t *starts = xcalloc(flow->block_count + 2, sizeof *starts);
    for (size_t i = 0; i < flow->block_count; i++) {
        for (uint32_t j = 0; j < flow->blocks[i].predecessor_count; j++)
            starts[flow->blocks[i].predecessors[j] + 2]++;
    }
    for (size_t i = 2; i < flow->block_count + 2; i++)
        starts[i] += starts[i - 1];
    *list = xcalloc(starts[flow->block_count + 1] + 1, sizeof **list);
    for (uint32_t i = 0; i < flow->block_count; i++) {
        for (uint32_t j = 0; j < flow->blocks[i].predecessor_count; j++)
            (*list)[starts[flow->blocks[i].predecessors[j] + 1]++] = i;
    }
    return starts; /* of block i from starts[i] to starts[i + 1] */
}

/* Blocks that may run after the end of this one. */
static void mark_behind(const struct flow *flow, uint32_t from, bool *marks) {
    struct reach reach = {.marks = marks};
    uint32_t *list, *starts = list_successors(flow, &list);
    *array_append(reach.queue, reach.count) = from;
    while (reach.count > 0) {
        uint32_t block = reach.queue[--reach.count];
        for (uint32_t i = starts[block]; i < starts[block + 1]; i++)
            reach_block(&reach, list[i]);
    }
    free(reach.queue);
    free(list);
    free(starts);
}

/* Known, and not in new memory; for what may copy addresses, in the frame alone. */
static bool is_harmless_place(struct abstract to, bool copies_addresses) {
    for (unsigned i = 0; i < to.count; i++) {
        bool null = to.elements[i].kind == ELEMENT_INTEGER && to.elements[i].value == 0;
        if (copies_addresses && !null && to.elements[i].kind != ELEMENT_STACK)
            return false;
    }
    return to.unknown == UNKNOWN_NOTHING && to.count > 0;
}

/* It keeps nothing, and writes to places that are known. */
static bool is_harmless_call(struct memory *memory, uint32_t call) {
    const struct effect *effect = memory->escape->effects[call];
    if (effect == NULL || (effect->flags & EFFECT_SENDS) != 0 ||
        ((effect->flags & EFFECT_OPEN) != 0 && memory->escape->before[call].escaped))
        return false;
    bool copies_addresses = (effect->flags & (EFFECT_MOVES | EFFECT_POINTS)) != 0;
    for (unsigned i = 0; i < EFFECT_MAX_WRITES; i++) {
        const struct effect_write *write = &effect->writes[i];
        if (write->bound != BOUND_NOTHING &&
            !is_harmless_place(memory_argument(memory, call, write->argument), copies_addresses))
            return false;
    }
    return true;
}

/* A store into the frame, by its own register. */
static bool is_frame_store(const struct flow *flow, uint32_t index) {
    const struct instruction *instruction = &flow->instructions[index];
    const struct operand *to = &instruction->destination;
    bool frame = to->base == REGISTER_RSP || (to->base == REGISTER_RBP && flow->frames[index].pointer != NO_DEPTH);
    return to->kind == OPERAND_MEMORY && !to->segment && frame && instruction->repeated == 0;
}

static bool is_harmless(struct memory *memory, uint32_t index) {
    const struct instruction *instruction = &memory->flow->instructions[index];
    switch ((enum operation)instruction->operation) {
    case OPERATION_CALL: return is_harmless_call(memory, index);
    case OPERATION_PUSH: return true;
    default: return !instruction->writes_memory || is_frame_store(memory->flow, index);
    }
}

bool heap_is_untouched(struct memory *memory, uint32_t made, uint32_t use) {
    const struct flow *flow = memory->flow;
    uint32_t from = flow->block_of[made], to = flow->block_of[use];
    cleanup_free bool *behind = xcalloc(flow->block_count + 1, sizeof *behind);
    cleanup_free bool *before = xcalloc(flow->block_count + 1, sizeof *before);
    mark_behind(flow, from, behind);
    mark_before(flow, to, before);
    for (uint32_t i = 0; i < flow->block_count; i++) {
        for (uint32_t j = flow->blocks[i].first; j < flow->blocks[i].end; j++) {
            bool between = (behind[i] || (i == from && j > made)) && (before[i] || (i == to && j < use));
            if (between && !is_harmless(memory, j))
                return false;
        }
    }
    return true;
}
