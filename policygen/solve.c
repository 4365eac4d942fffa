/* Equations over flow graphs. A node is the value of a register or stack slot either just behind the instruction that
 * sets it or at the start of a block. Evaluating a node asks for others and remembers who asked; when a value
 * grows, those who asked are evaluated again. Nothing here recurses along the program.
 */
#include "policygen/solve.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/address_list.h"
#include "policygen/effects.h"
#include "policygen/escape.h"
#include "policygen/template.h"
#include "runtime/util.h"

#define MAX_NODES 200000
#define MAX_CHANGES 48
#define NO_NODE UINT32_MAX
#define MAX_LEVEL 3      /* of callers */
#define MAX_FRAMES 400   /* functions looked at for one question */
#define MAX_CALLERS 256  /* of one function */
#define MAX_ACCESSES 100 /* to one static variable */
#define MAX_STORE_BYTES 64
#define NO_FRAME UINT32_MAX
/* Up to so many known indices, the entries of a table are read one by one. */
#define MAX_KNOWN_INDICES RULE_MAX_VALUES

enum location_kind {
    LOCATION_REGISTER,
    LOCATION_SLOT,
    LOCATION_GLOBAL, /* a static variable, wherever the program is */
};

struct location {
    uint8_t kind;
    uint8_t number; /* register */
    uint8_t size;   /* slot, bytes */
    int32_t offset; /* slot, relative to the stack pointer at entry; of a variable its address */
};

struct node {
    struct location location;
    bool at_block; /* at the start of block `at`; else behind instruction `at` */
    bool queued;
    bool evaluated;
    bool narrowed; /* what flows in is not all that its predecessors hold */
    uint32_t frame;
    uint8_t changes;
    uint32_t at;
    uint32_t next; /* of the same hash */
    struct abstract value;
    uint32_t *users;
    size_t user_count;
};

/* A function that is looked at: the one that questions are about, its callers, or one that was called. */
struct frame {
    uint32_t root;
    unsigned level;          /* callers between it and the first */
    uint32_t caller;         /* the frame that called it, if it was called, or NO_FRAME */
    uint32_t call;           /* and the instruction */
    const struct flow *flow; /* NULL: not needed yet */
};

struct solver {
    const struct flow *flow; /* of the frame `here` */
    uint32_t here;
    uint32_t asked; /* the frame that questions are about */
    struct frame *frames;
    size_t frame_count;
    size_t caller_count; /* of them, the first one and its callers */
    struct flows *flows; /* NULL: only one graph is looked at */
    bool optimistic;
    bool absolute; /* addresses are integers */
    bool names;    /* see solver_names */
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
    *array_append(solver->frames, solver->frame_count) =
        (struct frame){.root = flow->root, .caller = NO_FRAME, .flow = flow};
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
    free(solver->frames);
    free(solver->buckets);
    free(solver->work);
    free(solver->grown);
    arena_free(&solver->arena);
    free(solver);
}

/* Everything below speaks of the frame that was entered last. */
static void enter(struct solver *solver, uint32_t index) {
    struct frame *frame = &solver->frames[index];
    if (frame->flow == NULL)
        frame->flow = flows_get(solver->flows, frame->root);
    solver->here = index;
    solver->flow = frame->flow;
}

static size_t hash_of(const struct solver *solver, const struct node *node) {
    const struct location *location = &node->location;
    uint64_t key = (uint64_t)node->at << 1 | node->at_block | (uint64_t)node->frame << 40;
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
        size_t bucket = hash_of(solver, node);
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
    struct node wanted = {.location = location, .at_block = at_block, .at = at, .frame = solver->here};
    size_t bucket = hash_of(solver, &wanted);
    for (uint32_t i = solver->buckets[bucket]; i != NO_NODE; i = solver->nodes[i].next) {
        const struct node *node = &solver->nodes[i];
        if (node->at == at && node->at_block == at_block && node->frame == wanted.frame &&
            same_location(&node->location, &location))
            return i;
    }
    if (solver->node_count >= MAX_NODES)
        return NO_NODE;
    uint32_t index = (uint32_t)solver->node_count;
    wanted.next = solver->buckets[bucket];
    *array_append(solver->nodes, solver->node_count) = wanted;
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

/* Whether a register may hold an address of the frame; without knowledge of where they are, any may. */
static bool may_lead_to_frame(const struct solver *solver, uint32_t instruction, uint8_t number) {
    const struct escape *escape = solver->flow->escape;
    return solver->flow->frames[instruction].taken && number < REGISTER_COUNT &&
           (escape == NULL || escape_may_hold(escape, instruction, number));
}

/* A write to a place that is not known exactly reaches the frame if it goes through a frame register, or through one that
 * may hold an address of the frame. */
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
    bool leads =
        may_lead_to_frame(solver, instruction, operand->base) || may_lead_to_frame(solver, instruction, operand->index);
    return leads ? OVERLAP_UNKNOWN : OVERLAP_NONE;
}

/* The instruction of the block that made what a register holds before another one, or NULL. */
static const struct instruction *made_by(const struct solver *solver, uint32_t before, uint8_t number,
                                         uint32_t *index) {
    const struct flow *flow = solver->flow;
    for (*index = before; *index > flow->blocks[flow->block_of[before]].first;) {
        const struct instruction *instruction = &flow->instructions[--*index];
        if ((instruction->writes & REGISTER_BIT(number)) == 0)
            continue;
        const struct operand *destination = &instruction->destination, *source = &instruction->source;
        bool whole = destination->kind == OPERAND_REGISTER && destination->base == number && destination->size >= 4;
        if (instruction->operation == OPERATION_CALL || !whole)
            return NULL;
        if (instruction->operation != OPERATION_MOVE || source->kind != OPERAND_REGISTER || source->size != 8)
            return instruction;
        number = source->base;
    }
    return NULL;
}

/* How much a function of the C library writes at most, or -1. */
static int64_t most_written(const struct solver *solver, uint32_t call, const struct effect_write *write) {
    uint32_t at;
    if (write->bound == BOUND_BYTES)
        return write->amount;
    if (write->bound != BOUND_ARGUMENT || write->amount >= ARGUMENT_REGISTERS)
        return -1;
    const struct instruction *size = made_by(solver, call, argument_registers[write->amount], &at);
    bool constant = size != NULL && size->operation == OPERATION_MOVE && size->source.kind == OPERAND_IMMEDIATE &&
                    size->source.value > 0 && size->source.value < INT32_MAX / 4;
    return constant ? size->source.value : -1;
}

/* What a write of a known function through an argument does to a slot: it goes upwards from where the argument leads. */
static enum overlap overlap_of_write(const struct solver *solver, uint32_t call, const struct effect_write *write,
                                     const struct location *slot) {
    uint8_t number = argument_registers[write->argument];
    uint32_t at;
    int32_t offset;
    if (write->bound == BOUND_NOTHING || !may_lead_to_frame(solver, call, number))
        return OVERLAP_NONE;
    const struct instruction *made = made_by(solver, call, number, &at);
    if (made == NULL || made->operation != OPERATION_ADDRESS || !frame_place(solver, at, &made->source, &offset))
        return OVERLAP_UNKNOWN;
    int64_t size = most_written(solver, call, write);
    bool behind = size >= 0 && (int64_t)offset + size <= slot->offset;
    return behind || slot->offset + slot->size <= offset ? OVERLAP_NONE : OVERLAP_UNKNOWN;
}

/* Whether a constant format makes a function write through its other arguments. */
static bool counts_bytes(const struct solver *solver, uint32_t call, const struct effect *effect) {
    uint32_t at;
    if (effect->format == 0 || effect->format > ARGUMENT_REGISTERS)
        return effect->format != 0;
    const struct instruction *made = made_by(solver, call, argument_registers[effect->format - 1], &at);
    bool constant = made != NULL && made->source.index == REGISTER_NONE &&
                    ((made->operation == OPERATION_ADDRESS && made->source.base == REGISTER_RIP) ||
                     (made->operation == OPERATION_MOVE && made->source.kind == OPERAND_IMMEDIATE));
    const char *text = constant ? object_string(&solver->flow->analysis->object, (uint64_t)made->source.value) : NULL;
    return text == NULL || template_counts(text);
}

static enum overlap overlap_of_call(const struct solver *solver, uint32_t index, const struct location *slot) {
    const struct frame_state *frame = &solver->flow->frames[index];
    const struct escape *escape = solver->flow->escape;
    if (frame->depth == NO_DEPTH || slot->offset < frame->depth ||
        flow_returns_twice(solver->flow->analysis, &solver->flow->instructions[index]))
        return OVERLAP_UNKNOWN;
    if (!frame->taken)
        return OVERLAP_NONE;
    if (escape == NULL)
        return OVERLAP_UNKNOWN;
    const struct effect *effect = escape->effects[index];
    if (effect == NULL)
        return escape_reaches_callee(escape, index) ? OVERLAP_UNKNOWN : OVERLAP_NONE;
    if (((effect->flags & EFFECT_OPEN) != 0 && escape->before[index].escaped) || counts_bytes(solver, index, effect))
        return OVERLAP_UNKNOWN;
    for (unsigned i = 0; i < EFFECT_MAX_WRITES; i++) {
        if (overlap_of_write(solver, index, &effect->writes[i], slot) != OVERLAP_NONE)
            return OVERLAP_UNKNOWN;
    }
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

/* A slot whose very address is known elsewhere may change at any time: in a signal handler, say. Of a pointer it is told
 * where it comes from: for the texts that it leads to, memory is looked at as a whole. */
static struct abstract read_slot(struct solver *solver, uint32_t before, int32_t offset, unsigned size) {
    if (size == 0 || size > 8)
        return value_unknown(UNKNOWN_STACK);
    if (is_taken(solver->flow, offset, size) && size == 8)
        return value_unknown_from(&solver->arena, UNKNOWN_STACK, (struct pointer_origin){before, offset});
    if (is_taken(solver->flow, offset, size))
        return value_unknown_bits(UNKNOWN_STACK, width_mask(size));
    return read_location(solver, before,
                         (struct location){.kind = LOCATION_SLOT, .size = (uint8_t)size, .offset = offset});
}

/* What memory at a known address holds when the program starts. */
static struct abstract read_initial(struct solver *solver, uint64_t at, unsigned size) {
    const struct object *object = &solver->flow->analysis->object;
    struct abstract unknown = value_unknown_bits(UNKNOWN_GLOBAL, width_mask(size));
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
    size_t rest;
    bool zeros = object_rest(object, at, &rest) == NULL && object_is_mapped(object, at) &&
                 object_is_mapped(object, at + size - 1);
    if (bytes == NULL && !zeros)
        return unknown;
    uint64_t value = 0;
    for (unsigned i = 0; bytes != NULL && i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return integer(solver, value);
}

static struct abstract read_global(struct solver *solver, uint64_t at, unsigned size) {
    const struct analysis *analysis = solver->flow->analysis;
    if (solver->flows == NULL || at > INT32_MAX || !globals_is_simple(&analysis->object, &analysis->globals, at, size))
        return value_unknown_bits(UNKNOWN_GLOBAL, width_mask(size));
    uint32_t here = solver->here;
    enter(solver, 0);
    uint32_t node = node_at(
        solver, (struct location){.kind = LOCATION_GLOBAL, .size = (uint8_t)size, .offset = (int32_t)at}, false, 0);
    enter(solver, here);
    return read_node(solver, node);
}

static struct abstract read_static(struct solver *solver, uint64_t at, unsigned size) {
    if (at > UINT32_MAX)
        return value_unknown_bits(UNKNOWN_GLOBAL, width_mask(size));
    return object_is_relocated_constant(&solver->flow->analysis->object, at, size) ? read_initial(solver, at, size)
                                                                                   : read_global(solver, at, size);
}

static struct abstract read_element(struct solver *solver, uint32_t before, struct element element, unsigned size) {
    if (element.kind == ELEMENT_STACK)
        return element.value > INT32_MIN / 2 && element.value < INT32_MAX / 2
                   ? read_slot(solver, before, (int32_t)element.value, size)
                   : value_unknown(UNKNOWN_STACK);
    if (element.kind == ELEMENT_ADDRESS || (element.kind == ELEMENT_INTEGER && solver->absolute))
        return read_static(solver, (uint64_t)element.value, size);
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
    /* A jump table is read as a whole: its entries are labels then, and need no other explanation. */
    bool few = offset.unknown == UNKNOWN_NOTHING && offset.count <= MAX_KNOWN_INDICES && !solver->optimistic;
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
    struct abstract value;
    if (address_lists_load(solver->flow->lists, &solver->arena, before, size, &value))
        return value;
    if (frame_place(solver, before, operand, &offset))
        return read_slot(solver, before, offset, size);
    if (operand->segment || size == 0 || size > 8)
        return value_unknown_bits(UNKNOWN_MEMORY, width_mask(size == 0 ? 8 : size));
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
        if (operand->high) {
            struct abstract whole = read_register(solver, before, operand->base);
            whole = value_operate(&solver->arena, VALUE_SHIFT_RIGHT, whole, integer(solver, 8), 8);
            return value_truncate(&solver->arena, whole, 1);
        }
        return value_truncate(&solver->arena, read_register(solver, before, operand->base), operand->size);
    case OPERAND_IMMEDIATE: return integer(solver, (uint64_t)operand->value);
    case OPERAND_MEMORY: return read_memory(solver, before, operand);
    case OPERAND_VECTOR:
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

/* Of functions whose result follows from their arguments alone. */
static bool computed_by_import(struct solver *solver, uint32_t call, const struct effect *effect,
                               struct abstract *value) {
    if ((effect->flags & EFFECT_FIRST) != 0) {
        *value = read_register(solver, call, REGISTER_RDI);
        return true;
    }
    if (effect->model != EFFECT_SWAP16 && effect->model != EFFECT_SWAP32)
        return false;
    unsigned size = effect->model == EFFECT_SWAP16 ? 2 : 4;
    struct abstract argument = value_truncate(&solver->arena, read_register(solver, call, REGISTER_RDI), size);
    *value = argument.unknown != UNKNOWN_NOTHING ? value_unknown_bits(UNKNOWN_IMPORT_RETURN, width_mask(size))
                                                 : value_nothing();
    for (unsigned i = 0; i < argument.count; i++) {
        uint64_t swapped = __builtin_bswap64((uint64_t)argument.elements[i].value) >> (64 - 8 * size);
        bool known = argument.elements[i].kind == ELEMENT_INTEGER;
        *value = value_join(&solver->arena, *value,
                            known ? integer(solver, swapped) : value_unknown_bits(UNKNOWN_COMPUTED, width_mask(size)));
    }
    return true;
}

static struct abstract returned_by_import(struct solver *solver, uint32_t call, uint32_t symbol) {
    static const char *const allocators[] = {"malloc",  "calloc",   "realloc",   "reallocarray", "strdup",
                                             "strndup", "__strdup", "__strndup", "memalign",     "aligned_alloc",
                                             "_Znwm",   "_Znam",    NULL};
    const struct symbol *called = &solver->flow->analysis->object.symbols[symbol];
    const struct effect *effect = called->defined ? NULL : effect_of(called->name);
    struct abstract value;
    if (effect != NULL && computed_by_import(solver, call, effect, &value))
        return value;
    if (effect != NULL && (effect->model == EFFECT_NEW_TEXT || effect->model == EFFECT_NEW_PRINT))
        return value_unknown_from(&solver->arena, UNKNOWN_HEAP, (struct pointer_origin){call, POINTER_RESULT});
    for (size_t i = 0; allocators[i] != NULL; i++) {
        if (strcmp(called->name, allocators[i]) == 0)
            return value_unknown(UNKNOWN_HEAP);
    }
    return value_unknown(UNKNOWN_IMPORT_RETURN);
}

static struct abstract returned_by(struct solver *solver, uint32_t call);

static struct abstract popped(struct solver *solver, uint32_t at, int32_t depth) {
    return depth == NO_DEPTH ? value_unknown(UNKNOWN_STACK) : read_slot(solver, at, depth, 8);
}

/* A register behind the instruction that sets it. */
static struct abstract register_behind(struct solver *solver, uint32_t at, uint8_t number) {
    const struct instruction *instruction = &solver->flow->instructions[at];
    const struct operand *destination = &instruction->destination;
    const struct frame_state *frame = &solver->flow->frames[at];
    switch ((enum operation)instruction->operation) {
    case OPERATION_CALL: return number == REGISTER_RAX ? returned_by(solver, at) : value_unknown(UNKNOWN_CLOBBERED);
    case OPERATION_LEAVE:
        return number == REGISTER_RBP ? popped(solver, at, frame->pointer) : value_unknown(UNKNOWN_STACK);
    case OPERATION_POP:
        return destination->base == number && number != REGISTER_RSP ? popped(solver, at, frame->depth)
                                                                     : value_unknown(UNKNOWN_STACK);
    default: break;
    }
    if (destination->kind != OPERAND_REGISTER || destination->base != number ||
        instruction->operation == OPERATION_OTHER)
        return value_unknown(UNKNOWN_COMPUTED);
    struct abstract result = result_of(solver, at);
    if (destination->size >= 4)
        return result;
    uint64_t changed = width_mask(destination->size);
    if (destination->high) {
        changed <<= 8;
        result = value_operate(&solver->arena, VALUE_SHIFT_LEFT, result, integer(solver, 8), 8);
    }
    struct abstract rest =
        value_operate(&solver->arena, VALUE_AND, read_register(solver, at, number), integer(solver, ~changed), 8);
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

/* ---- Between functions ---- */

static struct abstract refuse(const struct flow *flow) {
    if (flow->undecodable)
        return value_unknown(UNKNOWN_UNDECODED);
    return flow->unresolved ? value_unknown(UNKNOWN_JUMP) : value_nothing();
}

/* The value in another function's frame, as this one sees it. */
static struct abstract read_in_frame(struct solver *solver, uint32_t frame, uint32_t instruction, uint8_t number) {
    uint32_t here = solver->here;
    enter(solver, frame);
    struct abstract value = refuse(solver->flow);
    if (value_is_nothing(value))
        value = value_without_stack(&solver->arena, read_register(solver, instruction, number));
    enter(solver, here);
    return value;
}

/* Why nothing can be said of what a function is called with, whoever its callers in the object are. */
static enum unknown why_open(const struct analysis *analysis, uint32_t function) {
    const struct function *item = &analysis->functions.items[function];
    if (analysis->start_taken[function])
        return UNKNOWN_POINTED_PARAMETER;
    if (item->kind == FUNCTION_GAP || (analysis->object.entry >= item->start && analysis->object.entry < item->end))
        return UNKNOWN_ENTRY;
    if (!uses_has(&analysis->callers, function) && !uses_has(&analysis->jump_sites, function))
        return uses_has(&analysis->exports, function) ? UNKNOWN_EXPORTED_PARAMETER : UNKNOWN_PARAMETER;
    return UNKNOWN_NOTHING;
}

static uint32_t root_at(const struct analysis *analysis, uint32_t address) {
    uint32_t function = functions_at(&analysis->functions, address);
    if (function == NO_FUNCTION || analysis->functions.items[function].kind == FUNCTION_GAP)
        return NO_FUNCTION;
    return analysis->roots[function];
}

static uint32_t caller_frame(const struct solver *solver, uint32_t root) {
    for (uint32_t i = 0; i < solver->caller_count; i++) {
        if (solver->frames[i].root == root)
            return i;
    }
    return NO_FRAME;
}

/* Breadth first, so that a function's level does not depend on the order of the work. */
static void add_caller_frames(struct solver *solver, const struct uses *uses, uint32_t index, bool jumps) {
    const struct analysis *analysis = flows_analysis(solver->flows);
    uint32_t function = solver->frames[index].root;
    for (size_t i = uses_from(uses, function); i < uses->count && uses->items[i].key == function; i++) {
        uint32_t value = uses->items[i].value;
        uint32_t root = root_at(analysis, jumps ? analysis->scan.jumps[value].address : value - 1);
        if (root == NO_FUNCTION || caller_frame(solver, root) != NO_FRAME || solver->frame_count >= MAX_FRAMES)
            continue;
        *array_append(solver->frames, solver->frame_count) =
            (struct frame){.root = root, .level = solver->frames[index].level + 1, .caller = NO_FRAME};
        solver->caller_count = solver->frame_count;
    }
}

struct solver *solver_across(struct flows *flows, uint32_t root) {
    struct solver *solver = solver_new(flows_get(flows, root), false);
    const struct analysis *analysis = flows_analysis(flows);
    solver->flows = flows;
    solver->caller_count = 1;
    for (uint32_t i = 0; i < solver->caller_count; i++) {
        if (solver->frames[i].level == MAX_LEVEL || why_open(analysis, solver->frames[i].root) != UNKNOWN_NOTHING)
            continue;
        add_caller_frames(solver, &analysis->callers, i, false);
        add_caller_frames(solver, &analysis->jump_sites, i, true);
    }
    return solver;
}

struct solver *solver_names(struct flows *flows, uint32_t root) {
    struct solver *solver = solver_across(flows, root);
    solver->names = true;
    return solver;
}

struct solver *solver_called(struct flows *flows, uint32_t root, uint32_t return_address) {
    uint32_t caller = root_at(flows_analysis(flows), return_address - 1);
    if (caller == NO_FUNCTION)
        return NULL;
    struct solver *solver = solver_across(flows, caller);
    uint32_t call = flow_instruction_before(solver->flow, return_address);
    if (call == UINT32_MAX || solver->flow->instructions[call].operation != OPERATION_CALL) {
        solver_free(solver);
        return NULL;
    }
    solver->asked = (uint32_t)solver->frame_count;
    *array_append(solver->frames, solver->frame_count) = (struct frame){.root = root, .caller = 0, .call = call};
    return solver;
}

/* What a caller holds in a register at its call or jump. */
static struct abstract passed_at(struct solver *solver, uint32_t address, bool is_call, uint8_t number) {
    uint32_t root = root_at(flows_analysis(solver->flows), is_call ? address - 1 : address);
    if (root == NO_FUNCTION)
        return value_unknown(UNKNOWN_ENTRY);
    uint32_t frame = caller_frame(solver, root), here = solver->here;
    if (frame == NO_FRAME)
        return value_unknown(UNKNOWN_DEPTH);
    enter(solver, frame);
    uint32_t instruction =
        is_call ? flow_instruction_before(solver->flow, address) : flow_instruction_at(solver->flow, address);
    enum operation operation = OPERATION_OTHER;
    if (instruction != UINT32_MAX)
        operation = solver->flow->instructions[instruction].operation;
    enter(solver, here);
    bool fits = is_call ? operation == OPERATION_CALL : operation == OPERATION_JUMP || operation == OPERATION_BRANCH;
    return fits ? read_in_frame(solver, frame, instruction, number) : value_unknown(UNKNOWN_UNDECODED);
}

static struct abstract passed_by_callers(struct solver *solver, uint32_t function, uint8_t number) {
    const struct analysis *analysis = flows_analysis(solver->flows);
    const struct uses *calls = &analysis->callers, *jumps = &analysis->jump_sites;
    struct abstract value = value_nothing();
    size_t count = 0;
    for (size_t i = uses_from(calls, function); i < calls->count && calls->items[i].key == function; i++) {
        if (++count > MAX_CALLERS)
            return value_unknown(UNKNOWN_MANY);
        value = value_join(&solver->arena, value, passed_at(solver, calls->items[i].value, true, number));
    }
    for (size_t i = uses_from(jumps, function); i < jumps->count && jumps->items[i].key == function; i++) {
        uint32_t address = analysis->scan.jumps[jumps->items[i].value].address;
        if (++count > MAX_CALLERS)
            return value_unknown(UNKNOWN_MANY);
        /* Jumps within the own graph are edges of it. */
        if (root_at(analysis, address) != function || flow_instruction_at(solver->flow, address) == UINT32_MAX)
            value = value_join(&solver->arena, value, passed_at(solver, address, false, number));
    }
    return value;
}

static struct abstract parameter(struct solver *solver, uint8_t number) {
    const struct frame *frame = &solver->frames[solver->here];
    const struct analysis *analysis = solver->flow->analysis;
    uint32_t root = frame->root;
    if (frame->caller != NO_FRAME)
        return read_in_frame(solver, frame->caller, frame->call, number);
    enum unknown why = why_open(analysis, root);
    if (why == UNKNOWN_NOTHING && frame->level == MAX_LEVEL)
        why = UNKNOWN_DEPTH;
    if (why == UNKNOWN_EXPORTED_PARAMETER && solver->names)
        return value_unknown_through(&solver->arena, why, root);
    if (why != UNKNOWN_NOTHING)
        return value_unknown(why);
    struct abstract value = passed_by_callers(solver, root, number);
    if (uses_has(&analysis->exports, root))
        value =
            value_join(&solver->arena, value, value_unknown_through(&solver->arena, UNKNOWN_EXPORTED_PARAMETER, root));
    return value;
}

/* The frame of the function that is called here, or NO_FRAME when nothing can be said of it. */
static uint32_t called_frame(struct solver *solver, uint32_t call) {
    const struct analysis *analysis = solver->flow->analysis;
    uint32_t target = solver->flow->instructions[call].target;
    uint32_t function = functions_at(&analysis->functions, target);
    bool known = solver->flows != NULL && solver->frames[solver->here].caller == NO_FRAME && function != NO_FUNCTION &&
                 analysis->functions.items[function].start == target && analysis->roots[function] == function &&
                 analysis->functions.items[function].kind != FUNCTION_GAP;
    if (!known)
        return NO_FRAME;
    for (uint32_t i = (uint32_t)solver->caller_count; i < solver->frame_count; i++) {
        if (solver->frames[i].caller == solver->here && solver->frames[i].call == call)
            return i;
    }
    if (solver->frame_count >= MAX_FRAMES)
        return NO_FRAME;
    *array_append(solver->frames, solver->frame_count) =
        (struct frame){.root = function, .caller = solver->here, .call = call};
    return (uint32_t)solver->frame_count - 1;
}

/* The value at every return; a function that leaves in any other way may return anything. */
static struct abstract returned_in_frame(struct solver *solver, uint32_t frame) {
    uint32_t here = solver->here;
    enter(solver, frame);
    const struct flow *flow = solver->flow;
    struct abstract value = refuse(flow);
    if (value_is_nothing(value) && flow_leaves(flow))
        value = value_unknown(UNKNOWN_RETURN);
    bool refused = !value_is_nothing(value);
    for (uint32_t i = 0; !refused && i < flow->instruction_count; i++) {
        if (flow->instructions[i].operation == OPERATION_RETURN)
            value = value_join(&solver->arena, value, read_register(solver, i, REGISTER_RAX));
    }
    enter(solver, here);
    return value_without_stack(&solver->arena, value);
}

static struct abstract returned_by(struct solver *solver, uint32_t call) {
    uint32_t symbol = flow_import(solver->flow->analysis, &solver->flow->instructions[call]);
    if (symbol != NO_SYMBOL)
        return returned_by_import(solver, call, symbol);
    uint32_t frame = called_frame(solver, call);
    return frame == NO_FRAME ? value_unknown(UNKNOWN_RETURN) : returned_in_frame(solver, frame);
}

/* ---- Static variables ---- */

/* The frame in which an instruction is looked at that may run at any time. */
static uint32_t frame_of_writer(struct solver *solver, uint32_t root) {
    uint32_t frame = caller_frame(solver, root);
    for (uint32_t i = (uint32_t)solver->caller_count; frame == NO_FRAME && i < solver->frame_count; i++) {
        if (solver->frames[i].root == root && solver->frames[i].caller == NO_FRAME)
            frame = i;
    }
    if (frame != NO_FRAME || solver->frame_count >= MAX_FRAMES)
        return frame;
    *array_append(solver->frames, solver->frame_count) =
        (struct frame){.root = root, .level = MAX_LEVEL, .caller = NO_FRAME};
    return (uint32_t)solver->frame_count - 1;
}

/* What the instruction at `source` may put into the variable; nothing if it only reads it. */
static struct abstract written_by(struct solver *solver, uint32_t source, const struct location *variable) {
    struct abstract unknown = value_unknown_bits(UNKNOWN_GLOBAL, width_mask(variable->size));
    uint32_t index = flow_instruction_at(solver->flow, source);
    if (index == UINT32_MAX || !value_is_nothing(refuse(solver->flow)))
        return unknown;
    const struct instruction *instruction = &solver->flow->instructions[index];
    const struct operand *to = &instruction->destination;
    bool here = to->kind == OPERAND_MEMORY && to->index == REGISTER_NONE &&
                (to->base == REGISTER_RIP || to->base == REGISTER_NONE);
    if (!instruction->writes_memory || (to->kind == OPERAND_MEMORY && !here))
        return value_nothing();
    enum overlap overlap = overlap_with(variable, (int32_t)to->value, to->size);
    if (here && overlap == OVERLAP_NONE)
        return value_nothing();
    if (!here || overlap != OVERLAP_EXACT || instruction->operation == OPERATION_OTHER)
        return unknown;
    struct abstract value = value_truncate(&solver->arena, result_of(solver, index), variable->size);
    return value_without_stack(&solver->arena, value);
}

/* What it holds at the start, and what anything stores there. */
static struct abstract held_by_global(struct solver *solver, struct location variable) {
    const struct scan *scan = &flows_analysis(solver->flows)->scan;
    uint32_t at = (uint32_t)variable.offset, here = solver->here;
    struct abstract value = read_initial(solver, at, variable.size);
    size_t first = data_accesses_from(scan, at < MAX_STORE_BYTES ? 0 : at - MAX_STORE_BYTES), count = 0;
    for (size_t i = first; i < scan->data_access_count && scan->data_accesses[i].target < at + variable.size; i++) {
        uint32_t root = root_at(flows_analysis(solver->flows), scan->data_accesses[i].source);
        uint32_t frame = root == NO_FUNCTION ? NO_FRAME : frame_of_writer(solver, root);
        if (frame == NO_FRAME || ++count > MAX_ACCESSES)
            return value_unknown_bits(UNKNOWN_GLOBAL, width_mask(variable.size));
        enter(solver, frame);
        value = value_join(&solver->arena, value, written_by(solver, scan->data_accesses[i].source, &variable));
        enter(solver, here);
    }
    return value;
}

/* ---- Branches ---- */

/* The place that a comparison looks at, if it is one that is followed. */
static bool compared_place(const struct solver *solver, uint32_t at, struct location *location) {
    const struct operand *operand = &solver->flow->instructions[at].destination;
    if (operand->kind == OPERAND_REGISTER && !operand->high) {
        *location = (struct location){.kind = LOCATION_REGISTER, .number = operand->base};
        return true;
    }
    *location = (struct location){.kind = LOCATION_SLOT, .size = (uint8_t)operand->size};
    return frame_place(solver, at, operand, &location->offset);
}

/* The comparison that decides the branch at the end of a block, if the location is what it compares. */
static uint32_t deciding_comparison(const struct solver *solver, const struct block *block,
                                    const struct location *location) {
    for (uint32_t i = block->end - 1; i > block->first; i--) {
        const struct instruction *instruction = &solver->flow->instructions[i - 1];
        struct location compared;
        switch ((enum operation)instruction->operation) {
        case OPERATION_COMPARE:
        case OPERATION_TEST:
            return compared_place(solver, i - 1, &compared) && same_location(&compared, location) ? i - 1 : UINT32_MAX;
        case OPERATION_MOVE: /* leaves the flags as they are */
        case OPERATION_ZERO_EXTEND:
        case OPERATION_SIGN_EXTEND:
        case OPERATION_ADDRESS:
        case OPERATION_PADDING:
            if (sets(solver, i - 1, location))
                return UINT32_MAX;
            break;
        default: return UINT32_MAX;
        }
    }
    return UINT32_MAX;
}

static enum condition_code opposite(enum condition_code condition) {
    static const uint8_t opposites[] = {
        [CONDITION_OTHER] = CONDITION_OTHER,        [CONDITION_EQUAL] = CONDITION_NOT_EQUAL,
        [CONDITION_NOT_EQUAL] = CONDITION_EQUAL,    [CONDITION_BELOW] = CONDITION_ABOVE_EQUAL,
        [CONDITION_BELOW_EQUAL] = CONDITION_ABOVE,  [CONDITION_ABOVE] = CONDITION_BELOW_EQUAL,
        [CONDITION_ABOVE_EQUAL] = CONDITION_BELOW,  [CONDITION_LESS] = CONDITION_GREATER_EQUAL,
        [CONDITION_LESS_EQUAL] = CONDITION_GREATER, [CONDITION_GREATER] = CONDITION_LESS_EQUAL,
        [CONDITION_GREATER_EQUAL] = CONDITION_LESS,
    };
    return (enum condition_code)opposites[condition];
}

/* The condition under which a block leads to another; CONDITION_OTHER where nothing is known of it. */
static enum condition_code condition_between(const struct flow *flow, uint32_t from, uint32_t to) {
    const struct instruction *last = &flow->instructions[flow->blocks[from].end - 1];
    const struct block *block = &flow->blocks[to];
    if (last->operation != OPERATION_BRANCH || block->first == block->end)
        return CONDITION_OTHER;
    uint32_t start = flow->instructions[block->first].address;
    bool taken = last->target == start, falls = instruction_end(last) == start;
    if (taken == falls)
        return CONDITION_OTHER;
    return taken ? (enum condition_code)last->condition : opposite((enum condition_code)last->condition);
}

/* What is left of a location's value on the way from a block to the next. */
static struct abstract narrow(struct solver *solver, uint32_t node, uint32_t from, uint32_t to,
                              const struct location *location, struct abstract value) {
    const struct flow *flow = solver->flow;
    const struct block *block = &flow->blocks[from];
    enum condition_code condition = block->first == block->end ? CONDITION_OTHER : condition_between(flow, from, to);
    if (condition == CONDITION_OTHER)
        return value;
    uint32_t at = deciding_comparison(solver, block, location);
    if (at == UINT32_MAX)
        return value;
    const struct instruction *comparison = &flow->instructions[at];
    const struct operand *source = &comparison->source;
    unsigned size = comparison->destination.size;
    bool equal = condition == CONDITION_EQUAL || condition == CONDITION_NOT_EQUAL;
    solver->nodes[node].narrowed = true;
    if (comparison->operation == OPERATION_COMPARE)
        return source->kind == OPERAND_IMMEDIATE
                   ? value_where(&solver->arena, value, condition, (uint64_t)source->value, size)
                   : value;
    if (same_register(&comparison->destination, source))
        return equal ? value_where(&solver->arena, value, condition, 0, size) : value;
    return equal && source->kind == OPERAND_IMMEDIATE
               ? value_where_bits(&solver->arena, value, (uint64_t)source->value, condition == CONDITION_EQUAL, size)
               : value;
}

/* ---- Blocks ---- */

static struct abstract at_entry(struct solver *solver, const struct location *location) {
    if (location->kind == LOCATION_REGISTER && solver->flows != NULL)
        return parameter(solver, location->number);
    const struct analysis *analysis = solver->flow->analysis;
    uint32_t root = solver->flow->root;
    enum unknown why = UNKNOWN_PARAMETER;
    if (location->kind == LOCATION_SLOT && location->offset < 8)
        why = UNKNOWN_STACK;
    else if (uses_has(&analysis->exports, root))
        why = UNKNOWN_EXPORTED_PARAMETER;
    else if (analysis->address_taken[root])
        why = UNKNOWN_POINTED_PARAMETER;
    return value_unknown_bits(why, location->kind == LOCATION_SLOT ? width_mask(location->size) : UINT64_MAX);
}

static struct abstract at_block(struct solver *solver, uint32_t self, uint32_t index, struct location location) {
    const struct block *block = &solver->flow->blocks[index];
    struct abstract value = value_nothing();
    if (block->entry) {
        value = at_entry(solver, &location);
        solver->nodes[self].narrowed = true; /* places in a caller's frame do not flow in */
    }
    if ((block->outside || block->unexplained) && !solver->optimistic)
        value = value_join(&solver->arena, value, value_unknown(UNKNOWN_ENTRY));
    for (uint32_t i = 0; i < block->predecessor_count; i++) {
        uint32_t predecessor = block->predecessors[i];
        uint32_t node = find_node(solver, predecessor, solver->flow->blocks[predecessor].end, location);
        struct abstract by = narrow(solver, self, predecessor, index, &location, read_node(solver, node));
        value = value_join(&solver->arena, value, by);
    }
    return value;
}

/* ---- Solving ---- */

static struct abstract evaluate(struct solver *solver, uint32_t index) {
    struct location location = solver->nodes[index].location;
    uint32_t at = solver->nodes[index].at;
    enter(solver, solver->nodes[index].frame);
    if (solver->nodes[index].at_block)
        return at_block(solver, index, at, location);
    if (location.kind == LOCATION_GLOBAL)
        return held_by_global(solver, location);
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
            const struct node *node = &solver->nodes[user];
            bool joins =
                node->at_block && node->evaluated && !node->narrowed && node->frame == solver->nodes[index].frame;
            if (joins)
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

struct abstract solver_operand(struct solver *solver, uint32_t instruction, const struct operand *operand) {
    enter(solver, solver->asked);
    struct abstract value = refuse(solver->flow);
    if (!value_is_nothing(value))
        return value;
    do {
        run(solver);
        enter(solver, solver->asked);
        value = read_operand(solver, instruction, operand);
    } while (solver->work_count > 0);
    return value;
}

struct abstract solver_register(struct solver *solver, uint32_t instruction, uint8_t number) {
    struct operand operand = {.kind = OPERAND_REGISTER, .size = 8, .base = number, .index = REGISTER_NONE};
    return solver_operand(solver, instruction, &operand);
}

struct abstract solver_result(struct solver *solver, uint32_t instruction) {
    enter(solver, solver->asked);
    struct abstract value = refuse(solver->flow);
    if (!value_is_nothing(value))
        return value;
    const struct instruction *made = &solver->flow->instructions[instruction];
    if (made->operation == OPERATION_PUSH)
        return solver_operand(solver, instruction, &made->source);
    do {
        run(solver);
        enter(solver, solver->asked);
        value = result_of(solver, instruction);
    } while (solver->work_count > 0);
    return value;
}

struct abstract solver_address(struct solver *solver, uint32_t instruction, const struct operand *operand) {
    enter(solver, solver->asked);
    struct abstract value = refuse(solver->flow);
    if (!value_is_nothing(value))
        return value;
    do {
        run(solver);
        enter(solver, solver->asked);
        value = address_of(solver, instruction, operand);
    } while (solver->work_count > 0);
    return value;
}
