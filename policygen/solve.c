/* Equations over one flow graph. A node is the value of a register or stack slot either just behind the instruction that
 * sets it or at the start of a block. Evaluating a node asks for others and remembers who asked; when a value
 * grows, those who asked are evaluated again. Nothing here recurses along the program.
 */
#include "policygen/solve.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define MAX_NODES 200000
#define MAX_CHANGES 48
#define NO_NODE UINT32_MAX
/* Up to so many known indices, the entries of a table are read one by one. */
#define MAX_KNOWN_INDICES 8

enum location_kind {
    LOCATION_REGISTER,
    LOCATION_SLOT,
};

struct location {
    uint8_t kind;
    uint8_t number; /* register */
    uint8_t size;   /* slot, bytes */
    int32_t offset; /* slot, relative to the stack pointer at entry */
};

struct node {
    struct location location;
    bool at_block; /* at the start of block `at`; else behind instruction `at` */
    bool queued;
    bool evaluated;
    uint8_t changes;
    uint32_t at;
    uint32_t next; /* of the same hash */
    struct abstract value;
    uint32_t *users;
    size_t user_count;
};

struct solver {
    const struct flow *flow;
    bool optimistic;
    bool absolute; /* addresses are integers */
    struct arena arena;
    struct node *nodes;
    size_t node_count;
    uint32_t *buckets;
    size_t bucket_count;
    uint32_t *work;
    size_t work_count;
    uint32_t *grown; /* nodes whose users do not know their new value yet */
    size_t grown_count;
    uint32_t current; /* the node being evaluated, or NO_NODE */
};

/* ---- Nodes ---- */

struct solver *solver_new(const struct flow *flow, bool optimistic) {
    struct solver *solver = xcalloc(1, sizeof *solver);
    solver->flow = flow;
    solver->optimistic = optimistic;
    solver->absolute = flow->analysis->object.type == ET_EXEC;
    solver->bucket_count = 1024;
    solver->buckets = xmalloc(solver->bucket_count * sizeof *solver->buckets);
    memset(solver->buckets, 0xff, solver->bucket_count * sizeof *solver->buckets);
    solver->current = NO_NODE;
    return solver;
}

void solver_free(struct solver *solver) {
    if (solver == NULL)
        return;
    for (size_t i = 0; i < solver->node_count; i++)
        free(solver->nodes[i].users);
    free(solver->nodes);
    free(solver->buckets);
    free(solver->work);
    free(solver->grown);
    arena_free(&solver->arena);
    free(solver);
}

static size_t hash_of(const struct solver *solver, const struct location *location, bool at_block, uint32_t at) {
    uint64_t key = (uint64_t)at << 1 | at_block;
    key = key * 0x9e3779b97f4a7c15u ^ ((uint64_t)(uint32_t)location->offset << 24 | (uint64_t)location->size << 8 |
                                       (uint64_t)location->number << 1 | location->kind);
    key *= 0xbf58476d1ce4e5b9u;
    return (size_t)(key >> 32) & (solver->bucket_count - 1);
}

static bool same_location(const struct location *a, const struct location *b) {
    return a->kind == b->kind && a->number == b->number && a->size == b->size && a->offset == b->offset;
}

static void grow_buckets(struct solver *solver) {
    solver->bucket_count *= 4;
    solver->buckets = xrealloc(solver->buckets, solver->bucket_count, sizeof *solver->buckets);
    memset(solver->buckets, 0xff, solver->bucket_count * sizeof *solver->buckets);
    for (uint32_t i = 0; i < solver->node_count; i++) {
        struct node *node = &solver->nodes[i];
        size_t bucket = hash_of(solver, &node->location, node->at_block, node->at);
        node->next = solver->buckets[bucket];
        solver->buckets[bucket] = i;
    }
}

static void enqueue(struct solver *solver, uint32_t index) {
    if (solver->nodes[index].queued)
        return;
    solver->nodes[index].queued = true;
    *array_append(solver->work, solver->work_count) = index;
}

static uint32_t node_at(struct solver *solver, struct location location, bool at_block, uint32_t at) {
    size_t bucket = hash_of(solver, &location, at_block, at);
    for (uint32_t i = solver->buckets[bucket]; i != NO_NODE; i = solver->nodes[i].next) {
        const struct node *node = &solver->nodes[i];
        if (node->at == at && node->at_block == at_block && same_location(&node->location, &location))
            return i;
    }
    if (solver->node_count >= MAX_NODES)
        return NO_NODE;
    uint32_t index = (uint32_t)solver->node_count;
    struct node *node = array_append(solver->nodes, solver->node_count);
    *node = (struct node){.location = location, .at_block = at_block, .at = at, .next = solver->buckets[bucket]};
    solver->buckets[bucket] = index;
    enqueue(solver, index);
    if (solver->node_count > solver->bucket_count)
        grow_buckets(solver);
    return index;
}

static void add_user(struct solver *solver, uint32_t index, uint32_t user) {
    struct node *node = &solver->nodes[index];
    for (size_t i = node->user_count; i > 0; i--) {
        if (node->users[i - 1] == user)
            return;
    }
    *array_append(node->users, node->user_count) = user;
}

/* ---- Where a location was set ---- */

enum overlap {
    OVERLAP_NONE,
    OVERLAP_EXACT,   /* holds the whole slot, from its first byte */
    OVERLAP_UNKNOWN, /* holds some of it, or nobody knows */
};

static enum overlap overlap_with(const struct location *slot, int32_t offset, unsigned size) {
    if (size == 0)
        return OVERLAP_UNKNOWN;
    if (offset >= slot->offset + slot->size || offset + (int32_t)size <= slot->offset)
        return OVERLAP_NONE;
    return offset == slot->offset && size >= slot->size ? OVERLAP_EXACT : OVERLAP_UNKNOWN;
}

/* Whether the operand is a place in the frame, and which. */
static bool frame_place(const struct solver *solver, uint32_t instruction, const struct operand *operand,
                        int32_t *offset) {
    const struct frame_state *frame = &solver->flow->frames[instruction];
    if (operand->kind != OPERAND_MEMORY || operand->segment || operand->index != REGISTER_NONE ||
        solver->flow->instructions[instruction].index_width != 8)
        return false;
    int32_t base = NO_DEPTH;
    if (operand->base == REGISTER_RSP)
        base = frame->depth;
    else if (operand->base == REGISTER_RBP)
        base = frame->pointer;
    if (base == NO_DEPTH || operand->value > INT32_MAX / 4 || operand->value < INT32_MIN / 4)
        return false;
    *offset = base + (int32_t)operand->value;
    return true;
}

/* A write to a place that is not known exactly reaches the frame if it goes through a frame register, or if some
 * address of the frame has got about. */
static enum overlap overlap_of_operand(const struct solver *solver, uint32_t instruction, const struct operand *operand,
                                       const struct location *slot) {
    int32_t offset;
    if (operand->kind != OPERAND_MEMORY)
        return solver->flow->frames[instruction].taken ? OVERLAP_UNKNOWN : OVERLAP_NONE;
    if (operand->segment)
        return OVERLAP_NONE;
    if (operand->index == REGISTER_NONE && (operand->base == REGISTER_RIP || operand->base == REGISTER_NONE))
        return OVERLAP_NONE;
    if (frame_place(solver, instruction, operand, &offset))
        return overlap_with(slot, offset, operand->size);
    if (operand->base == REGISTER_RSP || (operand->base == REGISTER_RBP && solver->flow->frame_pointer) ||
        (operand->index == REGISTER_RBP && solver->flow->frame_pointer))
        return OVERLAP_UNKNOWN;
    return solver->flow->frames[instruction].taken ? OVERLAP_UNKNOWN : OVERLAP_NONE;
}

static enum overlap overlap_of_call(const struct solver *solver, uint32_t index, const struct location *slot) {
    const struct frame_state *frame = &solver->flow->frames[index];
    if (frame->taken || frame->depth == NO_DEPTH || slot->offset < frame->depth ||
        flow_returns_twice(solver->flow->analysis, &solver->flow->instructions[index]))
        return OVERLAP_UNKNOWN;
    return OVERLAP_NONE;
}

static enum overlap overlap_of(const struct solver *solver, uint32_t index, const struct location *slot) {
    const struct instruction *instruction = &solver->flow->instructions[index];
    const struct frame_state *frame = &solver->flow->frames[index];
    switch (instruction->operation) {
    case OPERATION_CALL: return overlap_of_call(solver, index, slot);
    case OPERATION_PUSH: return frame->depth == NO_DEPTH ? OVERLAP_UNKNOWN : overlap_with(slot, frame->depth - 8, 8);
    default: break;
    }
    return instruction->writes_memory ? overlap_of_operand(solver, index, &instruction->destination, slot)
                                      : OVERLAP_NONE;
}

static bool sets(const struct solver *solver, uint32_t index, const struct location *location) {
    if (location->kind == LOCATION_REGISTER)
        return (solver->flow->instructions[index].writes & REGISTER_BIT(location->number)) != 0;
    return overlap_of(solver, index, location) != OVERLAP_NONE;
}

/* The node that holds the location's value before instruction `before`, which lies in the block or is its end. */
static uint32_t find_node(struct solver *solver, uint32_t block, uint32_t before, struct location location) {
    uint32_t first = solver->flow->blocks[block].first;
    for (uint32_t i = before; i > first; i--) {
        if (sets(solver, i - 1, &location))
            return node_at(solver, location, false, i - 1);
    }
    return node_at(solver, location, true, block);
}

static struct abstract read_node(struct solver *solver, uint32_t index) {
    if (index == NO_NODE)
        return value_unknown(UNKNOWN_BUDGET);
    if (solver->current != NO_NODE)
        add_user(solver, index, solver->current);
    return solver->nodes[index].value;
}

static struct abstract read_location(struct solver *solver, uint32_t before, struct location location) {
    return read_node(solver, find_node(solver, solver->flow->block_of[before], before, location));
}

/* ---- Operands ---- */

static struct abstract integer(struct solver *solver, uint64_t value) {
    return value_of(&solver->arena, ELEMENT_INTEGER, (int64_t)value);
}

static struct abstract address(struct solver *solver, uint64_t value) {
    return value_of(&solver->arena, solver->absolute ? ELEMENT_INTEGER : ELEMENT_ADDRESS, (int64_t)value);
}

static uint64_t width_mask(unsigned size) {
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

static struct abstract read_register(struct solver *solver, uint32_t before, uint8_t number) {
    const struct frame_state *frame = &solver->flow->frames[before];
    int32_t offset = number == REGISTER_RSP ? frame->depth : number == REGISTER_RBP ? frame->pointer : NO_DEPTH;
    if (offset != NO_DEPTH)
        return value_of(&solver->arena, ELEMENT_STACK, offset);
    if (number == REGISTER_RSP)
        return value_unknown(UNKNOWN_STACK);
    return read_location(solver, before, (struct location){.kind = LOCATION_REGISTER, .number = number});
}

static bool is_taken(const struct flow *flow, int32_t offset, unsigned size) {
    for (size_t i = 0; i < flow->taken_count; i++) {
        if (flow->taken[i] >= offset && flow->taken[i] < offset + (int32_t)size)
            return true;
    }
    return false;
}

/* A slot whose very address is known elsewhere may change at any time: in a signal handler, say. */
static struct abstract read_slot(struct solver *solver, uint32_t before, int32_t offset, unsigned size) {
    if (size == 0 || size > 8)
        return value_unknown(UNKNOWN_STACK);
    if (is_taken(solver->flow, offset, size))
        return value_unknown_bits(UNKNOWN_STACK, width_mask(size));
    return read_location(solver, before,
                         (struct location){.kind = LOCATION_SLOT, .size = (uint8_t)size, .offset = offset});
}

/* Memory that cannot change, at a known address. */
static struct abstract read_constant(struct solver *solver, uint64_t at, unsigned size) {
    const struct object *object = &solver->flow->analysis->object;
    struct abstract unknown = value_unknown_bits(UNKNOWN_GLOBAL, width_mask(size));
    if (at > UINT32_MAX || !object_is_relocated_constant(object, at, size))
        return unknown;
    size_t index = object_relocation_from(object, at < 7 ? 0 : at - 7);
    if (index < object->relocation_count && object->relocations[index].address < at + size) {
        const struct relocation *relocation = &object->relocations[index];
        if (relocation->address != at || size != 8)
            return unknown;
        if (relocation->type == R_X86_64_RELATIVE)
            return address(solver, (uint64_t)relocation->addend);
        uint32_t symbol = slot_symbol(object, at);
        return symbol == NO_SYMBOL || relocation->addend != 0 ? unknown
                                                              : value_of(&solver->arena, ELEMENT_IMPORT, symbol);
    }
    const uint8_t *bytes = object_at(object, at, size);
    if (bytes == NULL)
        return unknown;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return integer(solver, value);
}

static struct abstract read_element(struct solver *solver, uint32_t before, struct element element, unsigned size) {
    if (element.kind == ELEMENT_STACK)
        return element.value > INT32_MIN / 2 && element.value < INT32_MAX / 2
                   ? read_slot(solver, before, (int32_t)element.value, size)
                   : value_unknown(UNKNOWN_STACK);
    if (element.kind == ELEMENT_ADDRESS || (element.kind == ELEMENT_INTEGER && solver->absolute))
        return read_constant(solver, (uint64_t)element.value, size);
    return value_unknown_bits(UNKNOWN_MEMORY, width_mask(size));
}

static struct abstract scaled_index(struct solver *solver, uint32_t before, const struct operand *operand) {
    struct abstract index = read_register(solver, before, operand->index);
    return operand->scale <= 1
               ? index
               : value_operate(&solver->arena, VALUE_MULTIPLY, index, integer(solver, operand->scale), 8);
}

static struct abstract address_of(struct solver *solver, uint32_t before, const struct operand *operand) {
    const struct instruction *instruction = &solver->flow->instructions[before];
    if (operand->segment || instruction->index_width != 8)
        return value_unknown(UNKNOWN_MEMORY);
    if (operand->base == REGISTER_RIP)
        return address(solver, (uint64_t)operand->value);
    struct abstract sum = integer(solver, (uint64_t)operand->value);
    if (operand->base != REGISTER_NONE) {
        struct abstract base = read_register(solver, before, operand->base);
        sum = operand->value == 0 ? base : value_operate(&solver->arena, VALUE_ADD, base, sum, 8);
    }
    if (operand->index != REGISTER_NONE)
        sum = value_operate(&solver->arena, VALUE_ADD, sum, scaled_index(solver, before, operand), 8);
    return sum;
}

/* A known table with an index that is not known: an entry of it. Returns false where it is something else. */
static bool read_table_entry(struct solver *solver, uint32_t before, const struct operand *operand, unsigned size,
                             struct abstract *value) {
    if (operand->index == REGISTER_NONE || (size != 4 && size != 8) || operand->segment)
        return false;
    struct abstract base = integer(solver, 0), index = scaled_index(solver, before, operand);
    if (operand->base != REGISTER_NONE)
        base = read_register(solver, before, operand->base);
    struct abstract table = base, offset = index;
    if (operand->scale == 1 && base.unknown != UNKNOWN_NOTHING && index.unknown == UNKNOWN_NOTHING) {
        table = index;
        offset = base;
    }
    bool few = offset.unknown == UNKNOWN_NOTHING && offset.count <= MAX_KNOWN_INDICES;
    if (table.count == 0 || table.unknown != UNKNOWN_NOTHING || few)
        return false;
    *value = value_nothing();
    for (unsigned i = 0; i < table.count; i++) {
        uint64_t at = (uint64_t)table.elements[i].value + (uint64_t)operand->value;
        bool is_address = table.elements[i].kind == ELEMENT_ADDRESS ||
                          (table.elements[i].kind == ELEMENT_INTEGER && solver->absolute);
        if (!is_address || at > UINT32_MAX || !object_is_relocated_constant(&solver->flow->analysis->object, at, size))
            return false;
        *value = value_join(&solver->arena, *value,
                            value_of(&solver->arena, size == 4 ? ELEMENT_TABLE4 : ELEMENT_TABLE8, (int64_t)at));
    }
    return true;
}

static struct abstract read_memory(struct solver *solver, uint32_t before, const struct operand *operand) {
    int32_t offset;
    unsigned size = operand->size;
    if (frame_place(solver, before, operand, &offset))
        return read_slot(solver, before, offset, size);
    if (operand->segment || size == 0 || size > 8)
        return value_unknown_bits(UNKNOWN_MEMORY, width_mask(size == 0 ? 8 : size));
    struct abstract value;
    if (read_table_entry(solver, before, operand, size, &value))
        return value;
    struct abstract at = address_of(solver, before, operand);
    value = at.unknown != UNKNOWN_NOTHING ? value_unknown_bits(UNKNOWN_MEMORY, width_mask(size)) : value_nothing();
    for (unsigned i = 0; i < at.count; i++)
        value = value_join(&solver->arena, value, read_element(solver, before, at.elements[i], size));
    return value;
}

static struct abstract read_operand(struct solver *solver, uint32_t before, const struct operand *operand) {
    switch ((enum operand_kind)operand->kind) {
    case OPERAND_REGISTER:
        if (operand->high)
            return value_unknown_bits(UNKNOWN_COMPUTED, 0xff);
        return value_truncate(&solver->arena, read_register(solver, before, operand->base), operand->size);
    case OPERAND_IMMEDIATE: return integer(solver, (uint64_t)operand->value);
    case OPERAND_MEMORY: return read_memory(solver, before, operand);
    case OPERAND_NONE: break;
    }
    return value_unknown(UNKNOWN_COMPUTED);
}

/* ---- Instructions ---- */

static bool same_register(const struct operand *a, const struct operand *b) {
    return a->kind == OPERAND_REGISTER && b->kind == OPERAND_REGISTER && a->base == b->base && a->size == b->size &&
           !a->high && !b->high;
}

static struct abstract arithmetic(struct solver *solver, uint32_t at, enum value_operation operation) {
    const struct instruction *instruction = &solver->flow->instructions[at];
    unsigned size = instruction->destination.size;
    if ((operation == VALUE_XOR || operation == VALUE_SUBTRACT) &&
        same_register(&instruction->destination, &instruction->source))
        return integer(solver, 0);
    struct abstract a = read_operand(solver, at, &instruction->destination);
    struct abstract b = read_operand(solver, at, &instruction->source);
    return value_operate(&solver->arena, operation, a, b, size);
}

static struct abstract both(struct solver *solver, uint64_t a, uint64_t b) {
    return value_join(&solver->arena, integer(solver, a), integer(solver, b));
}

/* What the instruction puts into its destination, as far as the destination is wide. */
static struct abstract result_of(struct solver *solver, uint32_t at) {
    const struct instruction *instruction = &solver->flow->instructions[at];
    const struct operand *destination = &instruction->destination, *source = &instruction->source;
    unsigned size = destination->size;
    switch ((enum operation)instruction->operation) {
    case OPERATION_MOVE:
    case OPERATION_ZERO_EXTEND: return value_truncate(&solver->arena, read_operand(solver, at, source), size);
    case OPERATION_SIGN_EXTEND:
        return value_sign_extend(&solver->arena, read_operand(solver, at, source), source->size, size);
    case OPERATION_ADDRESS: return value_truncate(&solver->arena, address_of(solver, at, source), size);
    case OPERATION_ADD: return arithmetic(solver, at, VALUE_ADD);
    case OPERATION_SUBTRACT: return arithmetic(solver, at, VALUE_SUBTRACT);
    case OPERATION_AND: return arithmetic(solver, at, VALUE_AND);
    case OPERATION_OR: return arithmetic(solver, at, VALUE_OR);
    case OPERATION_XOR: return arithmetic(solver, at, VALUE_XOR);
    case OPERATION_SHIFT_LEFT: return arithmetic(solver, at, VALUE_SHIFT_LEFT);
    case OPERATION_SHIFT_RIGHT: return arithmetic(solver, at, VALUE_SHIFT_RIGHT);
    case OPERATION_SHIFT_ARITHMETIC: return arithmetic(solver, at, VALUE_SHIFT_ARITHMETIC);
    case OPERATION_NOT: return value_not(&solver->arena, read_operand(solver, at, destination), size);
    case OPERATION_NEGATE:
        return value_operate(&solver->arena, VALUE_SUBTRACT, integer(solver, 0), read_operand(solver, at, destination),
                             size);
    case OPERATION_MULTIPLY:
        return value_operate(&solver->arena, VALUE_MULTIPLY, read_operand(solver, at, source),
                             read_operand(solver, at, &instruction->second), size);
    case OPERATION_SELECT:
        return value_join(&solver->arena, read_operand(solver, at, destination), read_operand(solver, at, source));
    case OPERATION_BOOLEAN: return both(solver, 0, 1);
    case OPERATION_BORROW: return both(solver, 0, width_mask(size));
    default: return value_unknown_bits(UNKNOWN_COMPUTED, width_mask(size));
    }
}

static struct abstract returned_by(const struct solver *solver, const struct instruction *call) {
    static const char *const allocators[] = {"malloc",  "calloc",   "realloc",   "reallocarray", "strdup",
                                             "strndup", "__strdup", "__strndup", "memalign",     "aligned_alloc",
                                             "_Znwm",   "_Znam",    NULL};
    uint32_t symbol = flow_import(solver->flow->analysis, call);
    if (symbol == NO_SYMBOL)
        return value_unknown(UNKNOWN_RETURN);
    for (size_t i = 0; allocators[i] != NULL; i++) {
        if (strcmp(solver->flow->analysis->object.symbols[symbol].name, allocators[i]) == 0)
            return value_unknown(UNKNOWN_HEAP);
    }
    return value_unknown(UNKNOWN_IMPORT_RETURN);
}

static struct abstract popped(struct solver *solver, uint32_t at, int32_t depth) {
    return depth == NO_DEPTH ? value_unknown(UNKNOWN_STACK) : read_slot(solver, at, depth, 8);
}

/* A register behind the instruction that sets it. */
static struct abstract register_behind(struct solver *solver, uint32_t at, uint8_t number) {
    const struct instruction *instruction = &solver->flow->instructions[at];
    const struct operand *destination = &instruction->destination;
    const struct frame_state *frame = &solver->flow->frames[at];
    switch ((enum operation)instruction->operation) {
    case OPERATION_CALL:
        return number == REGISTER_RAX ? returned_by(solver, instruction) : value_unknown(UNKNOWN_CLOBBERED);
    case OPERATION_LEAVE:
        return number == REGISTER_RBP ? popped(solver, at, frame->pointer) : value_unknown(UNKNOWN_STACK);
    case OPERATION_POP:
        return destination->base == number && number != REGISTER_RSP ? popped(solver, at, frame->depth)
                                                                     : value_unknown(UNKNOWN_STACK);
    default: break;
    }
    if (destination->kind != OPERAND_REGISTER || destination->base != number || destination->high ||
        instruction->operation == OPERATION_OTHER)
        return value_unknown(UNKNOWN_COMPUTED);
    struct abstract result = result_of(solver, at);
    if (destination->size >= 4)
        return result;
    struct abstract rest = value_operate(&solver->arena, VALUE_AND, read_register(solver, at, number),
                                         integer(solver, ~width_mask(destination->size)), 8);
    return value_operate(&solver->arena, VALUE_OR, rest, result, 8);
}

static struct abstract slot_behind(struct solver *solver, uint32_t at, const struct location *slot) {
    const struct instruction *instruction = &solver->flow->instructions[at];
    if (instruction->operation == OPERATION_CALL)
        return value_unknown_bits(flow_returns_twice(solver->flow->analysis, instruction) ? UNKNOWN_TWICE
                                                                                          : UNKNOWN_CLOBBERED,
                                  width_mask(slot->size));
    if (overlap_of(solver, at, slot) != OVERLAP_EXACT || instruction->operation == OPERATION_OTHER)
        return value_unknown_bits(UNKNOWN_STACK, width_mask(slot->size));
    if (instruction->operation == OPERATION_PUSH)
        return value_truncate(&solver->arena, read_operand(solver, at, &instruction->source), slot->size);
    return value_truncate(&solver->arena, result_of(solver, at), slot->size);
}

/* ---- Blocks ---- */

static struct abstract at_entry(const struct solver *solver, const struct location *location) {
    const struct analysis *analysis = solver->flow->analysis;
    uint32_t root = solver->flow->root;
    size_t export = uses_from(&analysis->exports, root);
    enum unknown why = UNKNOWN_PARAMETER;
    if (location->kind == LOCATION_SLOT && location->offset < 8)
        why = UNKNOWN_STACK;
    else if (export < analysis->exports.count && analysis->exports.items[export].key == root)
        why = UNKNOWN_EXPORTED_PARAMETER;
    else if (analysis->address_taken[root])
        why = UNKNOWN_POINTED_PARAMETER;
    return value_unknown_bits(why, location->kind == LOCATION_SLOT ? width_mask(location->size) : UINT64_MAX);
}

static struct abstract at_block(struct solver *solver, uint32_t index, struct location location) {
    const struct block *block = &solver->flow->blocks[index];
    struct abstract value = value_nothing();
    if (block->entry)
        value = at_entry(solver, &location);
    if ((block->outside || block->unexplained) && !solver->optimistic)
        value = value_join(&solver->arena, value, value_unknown(UNKNOWN_ENTRY));
    for (uint32_t i = 0; i < block->predecessor_count; i++) {
        uint32_t predecessor = block->predecessors[i];
        uint32_t node = find_node(solver, predecessor, solver->flow->blocks[predecessor].end, location);
        value = value_join(&solver->arena, value, read_node(solver, node));
    }
    return value;
}

/* ---- Solving ---- */

static struct abstract evaluate(struct solver *solver, uint32_t index) {
    struct location location = solver->nodes[index].location;
    uint32_t at = solver->nodes[index].at;
    if (solver->nodes[index].at_block)
        return at_block(solver, at, location);
    if (location.kind == LOCATION_REGISTER)
        return register_behind(solver, at, location.number);
    return slot_behind(solver, at, &location);
}

/* Joins a value to a node's; notes if it has grown. Too much growth ends at "anything". */
static void grow(struct solver *solver, uint32_t index, struct abstract by) {
    struct node *node = &solver->nodes[index];
    struct abstract value = value_join(&solver->arena, node->value, by);
    if (value_equal(value, node->value))
        return;
    if (++node->changes > MAX_CHANGES) {
        value = value_unknown(UNKNOWN_MANY);
        value.derived = true;
        node->changes = MAX_CHANGES;
        if (value_equal(value, node->value))
            return;
    }
    node->value = value;
    *array_append(solver->grown, solver->grown_count) = index;
}

/* Where paths meet, the new value is just joined; all other users are evaluated anew. */
static void tell_users(struct solver *solver) {
    while (solver->grown_count > 0) {
        uint32_t index = solver->grown[--solver->grown_count];
        struct abstract value = solver->nodes[index].value;
        for (size_t i = 0; i < solver->nodes[index].user_count; i++) {
            uint32_t user = solver->nodes[index].users[i];
            if (solver->nodes[user].at_block && solver->nodes[user].evaluated)
                grow(solver, user, value);
            else
                enqueue(solver, user);
        }
    }
}

static void run(struct solver *solver) {
    while (solver->work_count > 0) {
        uint32_t index = solver->work[--solver->work_count];
        solver->nodes[index].queued = false;
        solver->current = index;
        struct abstract value = evaluate(solver, index);
        solver->current = NO_NODE;
        solver->nodes[index].evaluated = true;
        grow(solver, index, value);
        tell_users(solver);
    }
}

static struct abstract refuse(const struct solver *solver) {
    if (solver->flow->undecodable)
        return value_unknown(UNKNOWN_UNDECODED);
    return solver->flow->unresolved ? value_unknown(UNKNOWN_JUMP) : value_nothing();
}

struct abstract solver_operand(struct solver *solver, uint32_t instruction, const struct operand *operand) {
    struct abstract value = refuse(solver);
    if (!value_is_nothing(value))
        return value;
    do {
        run(solver);
        value = read_operand(solver, instruction, operand);
    } while (solver->work_count > 0);
    return value;
}

struct abstract solver_register(struct solver *solver, uint32_t instruction, uint8_t number) {
    struct operand operand = {.kind = OPERAND_REGISTER, .size = 8, .base = number, .index = REGISTER_NONE};
    return solver_operand(solver, instruction, &operand);
}
