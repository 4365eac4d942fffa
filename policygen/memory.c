/* The walk backwards and its results. Whatever is not certain ends a walk with "not known".
 */
#include "policygen/memory.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/template.h"
#include "runtime/util.h"

#define MAX_STEPS 100000
#define MAX_SOURCES 64
#define MAX_LANE_STEPS 256

struct memory *memory_new(const struct flow *flow, struct solver *solver) {
    struct memory *memory = xcalloc(1, sizeof *memory);
    memory->flow = flow;
    memory->solver = solver;
    memory->escape = flow->escape != NULL ? flow->escape : escape_find(flow);
    /* The array holds pointers. */
    memory->touches = /* NOLINTNEXTLINE(bugprone-sizeof-expression) */
        xcalloc(flow->instruction_count + 1, sizeof *memory->touches);
    return memory;
}

void memory_free(struct memory *memory) {
    if (memory == NULL)
        return;
    for (size_t i = 0; i < memory->flow->instruction_count; i++)
        free(memory->touches[i]);
    free(memory->touches);
    if (memory->escape != memory->flow->escape)
        escape_free(memory->escape);
    arena_free(&memory->arena);
    free(memory);
}

/* ---- What one instruction writes ---- */

static void add_write(struct memory_touch *touch, int64_t offset, int64_t size, bool certain) {
    if (touch->count == MEMORY_MAX_WRITES || offset > INT32_MAX / 4 || offset < INT32_MIN / 4) {
        touch->unknown = true;
        return;
    }
    bool bounded = size > 0 && size < INT32_MAX / 4;
    touch->writes[touch->count++] =
        (struct memory_write){(int32_t)offset, bounded ? (int32_t)(offset + size) : MEMORY_NO_END, certain};
}

/* A write through a pointer that may lead into the frame. Pointers elsewhere do no harm here. */
static void add_write_through(struct memory_touch *touch, struct abstract pointer, int64_t size, bool certain) {
    if (pointer.unknown != UNKNOWN_NOTHING || value_is_nothing(pointer)) {
        touch->unknown = true;
        return;
    }
    for (unsigned i = 0; i < pointer.count; i++) {
        if (pointer.elements[i].kind == ELEMENT_STACK)
            add_write(touch, pointer.elements[i].value, size, certain && pointer.count == 1);
    }
}

/* Where in the frame the block loads a register from, which it leaves alone until then; the instruction, or UINT32_MAX. */
static uint32_t reloaded_from(struct memory *memory, uint32_t before, uint8_t number, int32_t *offset) {
    const struct flow *flow = memory->flow;
    for (uint32_t i = before; i > flow->blocks[flow->block_of[before]].first; i--) {
        const struct instruction *instruction = &flow->instructions[i - 1];
        const struct operand *source = &instruction->source;
        if ((instruction->writes & REGISTER_BIT(number)) == 0)
            continue;
        if (instruction->operation != OPERATION_MOVE || source->kind != OPERAND_MEMORY || source->size != 8 ||
            instruction->destination.base != number || !escape_may_hold(memory->escape, i - 1, source->base))
            break;
        struct abstract at = solver_address(memory->solver, i - 1, source);
        bool certain = at.unknown == UNKNOWN_NOTHING && at.count == 1 && at.elements[0].kind == ELEMENT_STACK;
        *offset = certain ? (int32_t)at.elements[0].value : 0;
        return certain ? i - 1 : UINT32_MAX;
    }
    return UINT32_MAX;
}

struct abstract memory_register(struct memory *memory, uint32_t before, uint8_t number) {
    struct abstract value = solver_register(memory->solver, before, number);
    int32_t offset;
    if (value.unknown != UNKNOWN_CLOBBERED && value.unknown != UNKNOWN_STACK)
        return value;
    uint32_t reload = reloaded_from(memory, before, number, &offset);
    if (reload == UINT32_MAX)
        return value;
    /* What was written may in turn be found only by reading registers. */
    memory->texts++;
    struct abstract read = memory_read(memory, reload, offset, 8);
    memory->texts--;
    return read.unknown == UNKNOWN_NOTHING ? read : value;
}

struct abstract memory_argument(struct memory *memory, uint32_t call, unsigned argument) {
    if (argument < ARGUMENT_REGISTERS)
        return memory_register(memory, call, argument_registers[argument]);
    int32_t depth = memory->flow->frames[call].depth;
    if (depth == NO_DEPTH || argument > 64 || memory->flow->instructions[call].operation != OPERATION_CALL)
        return value_unknown(UNKNOWN_STACK);
    return memory_read(memory, call, depth + 8 * (int32_t)(argument - ARGUMENT_REGISTERS), 8);
}

/* The largest of some integers, or -1. */
static int64_t largest(struct abstract value) {
    int64_t most = -1;
    for (unsigned i = 0; i < value.count && value.unknown == UNKNOWN_NOTHING; i++) {
        if (value.elements[i].kind != ELEMENT_INTEGER || value.elements[i].value < 0)
            return -1;
        if (value.elements[i].value > most)
            most = value.elements[i].value;
    }
    return most;
}

/* Whether the call is handed a constant format that makes it write through its other arguments. */
static bool counts_bytes(struct memory *memory, uint32_t call, const struct effect *effect) {
    if (effect->format == 0)
        return false;
    struct abstract format = memory_argument(memory, call, effect->format - 1u);
    for (unsigned i = 0; i < format.count; i++) {
        const char *text = object_string(&memory->flow->analysis->object, (uint64_t)format.elements[i].value);
        if (format.elements[i].kind <= ELEMENT_ADDRESS && text != NULL && template_counts(text))
            return true;
    }
    return false;
}

static void touch_by_call(struct memory *memory, uint32_t index, struct memory_touch *touch) {
    const struct flow *flow = memory->flow;
    const struct effect *effect = memory->escape->effects[index];
    if (flow->frames[index].depth == NO_DEPTH || flow_returns_twice(flow->analysis, &flow->instructions[index])) {
        touch->unknown = true;
        return;
    }
    if (effect == NULL) {
        touch->unknown = escape_reaches_callee(memory->escape, index);
        return;
    }
    touch->unknown = ((effect->flags & EFFECT_OPEN) != 0 && memory->escape->before[index].escaped) ||
                     counts_bytes(memory, index, effect);
    for (unsigned i = 0; i < EFFECT_MAX_WRITES; i++) {
        const struct effect_write *write = &effect->writes[i];
        if (write->bound == BOUND_NOTHING ||
            !escape_may_hold(memory->escape, index, argument_registers[write->argument]))
            continue;
        int64_t size = write->bound == BOUND_BYTES ? write->amount : -1;
        if (write->bound == BOUND_ARGUMENT) {
            size = largest(memory_argument(memory, index, write->amount));
            if (size == 0)
                continue;
        }
        add_write_through(touch, memory_argument(memory, index, write->argument), size, true);
    }
}

static int64_t repeated_size(struct memory *memory, uint32_t index) {
    const struct instruction *instruction = &memory->flow->instructions[index];
    if (instruction->repeated == 0)
        return instruction->destination.size;
    struct abstract count = solver_register(memory->solver, index, REGISTER_RCX);
    int64_t times = count.count == 1 ? largest(count) : -1;
    return times > 0 && times < INT32_MAX / 16 ? times * instruction->repeated : -1;
}

static void touch_by_store(struct memory *memory, uint32_t index, struct memory_touch *touch) {
    const struct escape *escape = memory->escape;
    const struct operand *operand = &memory->flow->instructions[index].destination;
    if (operand->kind != OPERAND_MEMORY) {
        const struct escape_state *state = &escape->before[index];
        touch->unknown = state->registers != 0 || state->spilled || state->escaped;
        return;
    }
    if (operand->segment ||
        (!escape_may_hold(escape, index, operand->base) && !escape_may_hold(escape, index, operand->index)))
        return;
    int64_t size = repeated_size(memory, index);
    /* A bit offset may be negative. */
    if (size == 0)
        touch->unknown = true;
    else
        add_write_through(touch, solver_address(memory->solver, index, operand), size, true);
}

const struct memory_touch *memory_touch(struct memory *memory, uint32_t index) {
    static const struct memory_touch nothing = {0};
    const struct instruction *instruction = &memory->flow->instructions[index];
    bool pushes = instruction->operation == OPERATION_PUSH;
    if (instruction->operation != OPERATION_CALL && !pushes && !instruction->writes_memory)
        return &nothing;
    if (memory->touches[index] != NULL)
        return memory->touches[index];
    struct memory_touch *touch = xcalloc(1, sizeof *touch);
    /* Until it is known: asking for values never leads back here. */
    touch->unknown = true;
    memory->touches[index] = touch;
    struct memory_touch made = {0};
    if (instruction->operation == OPERATION_CALL)
        touch_by_call(memory, index, &made);
    else if (!pushes)
        touch_by_store(memory, index, &made);
    else if (memory->flow->frames[index].depth == NO_DEPTH)
        made.unknown = true;
    else
        add_write(&made, memory->flow->frames[index].depth - 8, 8, true);
    *touch = made;
    return touch;
}

/* ---- The walk ---- */

struct walk {
    struct memory *memory;
    int32_t offset, end; /* what is looked for; end is offset for a text */
    struct memory_sources sources;
    int64_t *limits; /* per block: the smallest limit with which its end was passed, or -1 */
    struct place {
        uint32_t block, before;
        int64_t limit;
    } * places;
    size_t place_count;
    unsigned steps;
};

static void add_source(struct walk *walk, uint32_t index, const struct memory_write *write, int64_t limit) {
    for (size_t i = 0; i < walk->sources.count; i++) {
        struct memory_source *known = &walk->sources.items[i];
        if (known->instruction == index && known->write.offset == write->offset) {
            if (limit < known->limit)
                known->limit = limit;
            return;
        }
    }
    if (walk->sources.count == MAX_SOURCES) {
        walk->sources.known = false;
        return;
    }
    *array_append(walk->sources.items, walk->sources.count) = (struct memory_source){index, *write, limit};
}

/* Returns whether the path ends here. */
static bool meet_write(struct walk *walk, uint32_t index, const struct memory_write *write, int64_t *limit) {
    bool text = walk->end == walk->offset;
    if (write->end <= walk->offset || (!text && write->offset >= walk->end))
        return false;
    if (text && write->offset > walk->offset) {
        int64_t distance = (int64_t)write->offset - walk->offset;
        if (distance < *limit)
            *limit = distance;
        return false;
    }
    bool covers = text ? write->offset == walk->offset : write->offset <= walk->offset && write->end >= walk->end;
    if (!covers) {
        walk->sources.known = false;
        return true;
    }
    add_source(walk, index, write, *limit);
    /* Where the write may go elsewhere, what was there before may be there still. */
    return write->certain;
}

static bool meet(struct walk *walk, uint32_t index, int64_t *limit) {
    const struct memory_touch *touch = memory_touch(walk->memory, index);
    const struct flow *flow = walk->memory->flow;
    bool below = flow->instructions[index].operation == OPERATION_CALL && walk->offset < flow->frames[index].depth;
    if (touch->unknown || below) {
        walk->sources.known = false;
        return true;
    }
    bool ends = false;
    for (unsigned i = 0; i < touch->count; i++)
        ends |= meet_write(walk, index, &touch->writes[i], limit);
    return ends;
}

static void enter_block(struct walk *walk, uint32_t index, int64_t limit) {
    const struct block *block = &walk->memory->flow->blocks[index];
    if (walk->limits[index] >= 0 && walk->limits[index] <= limit)
        return;
    walk->limits[index] = limit;
    *array_append(walk->places, walk->place_count) = (struct place){index, block->end, limit};
}

static void walk_block(struct walk *walk, struct place place) {
    const struct block *block = &walk->memory->flow->blocks[place.block];
    for (uint32_t i = place.before; i > block->first; i--) {
        if (++walk->steps > MAX_STEPS)
            walk->sources.known = false;
        if (meet(walk, i - 1, &place.limit) || !walk->sources.known)
            return;
    }
    if (block->entry || block->outside || block->unexplained)
        walk->sources.known = false;
    for (uint32_t i = 0; i < block->predecessor_count; i++)
        enter_block(walk, block->predecessors[i], place.limit);
}

struct memory_sources memory_sources(struct memory *memory, uint32_t before, int32_t offset, unsigned size) {
    const struct flow *flow = memory->flow;
    struct walk walk = {.memory = memory, .offset = offset, .end = offset + (int32_t)size, .sources = {.known = true}};
    if (flow->undecodable || flow->unresolved) {
        walk.sources.known = false;
        return walk.sources;
    }
    walk.limits = xmalloc((flow->block_count + 1) * sizeof *walk.limits);
    memset(walk.limits, 0xff, (flow->block_count + 1) * sizeof *walk.limits);
    walk_block(&walk, (struct place){flow->block_of[before], before, MEMORY_NO_LIMIT});
    while (walk.place_count > 0 && walk.sources.known)
        walk_block(&walk, walk.places[--walk.place_count]);
    free(walk.limits);
    free(walk.places);
    return walk.sources;
}

/* ---- Values ---- */

static uint64_t width_mask(unsigned size) {
    return size >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;
}

static struct abstract unknown_bytes(unsigned size) {
    return value_unknown_bits(UNKNOWN_LOCAL_BUFFER, width_mask(size));
}

static struct abstract integer(struct memory *memory, uint64_t value) {
    return value_of(&memory->arena, ELEMENT_INTEGER, (int64_t)value);
}

/* The instruction of the block that last set a vector register, or UINT32_MAX. */
static uint32_t vector_source(const struct flow *flow, uint32_t before, uint8_t number) {
    uint32_t first = flow->blocks[flow->block_of[before]].first;
    for (uint32_t i = before; i > first; i--) {
        if ((flow->instructions[i - 1].vector_writes >> (number & 31) & 1) != 0)
            return i - 1;
        if (flow->instructions[i - 1].operation == OPERATION_CALL)
            return UINT32_MAX;
    }
    return UINT32_MAX;
}

static struct abstract read_half(struct memory *memory, uint32_t index, const struct operand *operand, unsigned half) {
    struct operand part = *operand;
    part.size = 8;
    part.value += 8 * (int)half;
    return solver_operand(memory->solver, index, &part);
}

/* A half of a vector register before an instruction, in a loop along its block. */
static struct abstract read_vector(struct memory *memory, uint32_t before, uint8_t number, unsigned half) {
    const struct flow *flow = memory->flow;
    for (unsigned steps = 0; steps < MAX_LANE_STEPS; steps++) {
        uint32_t index = vector_source(flow, before, number);
        if (index == UINT32_MAX)
            break;
        const struct instruction *instruction = &flow->instructions[index];
        const struct operand *source = &instruction->source;
        unsigned operation = instruction->operation;
        if (operation == OPERATION_VECTOR_ZERO || (operation == OPERATION_VECTOR_LOW && half == 1))
            return integer(memory, 0);
        before = index;
        if ((operation == OPERATION_VECTOR_JOIN && half == 0) || (operation == OPERATION_VECTOR_HIGH && half == 0))
            continue;
        if (operation == OPERATION_VECTOR_JOIN || operation == OPERATION_VECTOR_HIGH)
            half = 0;
        else if (operation != OPERATION_VECTOR_MOVE && operation != OPERATION_VECTOR_LOW)
            break;
        if (source->kind == OPERAND_MEMORY && source->size > 8)
            return read_half(memory, index, source, half);
        if (source->kind == OPERAND_MEMORY || source->kind == OPERAND_REGISTER)
            return solver_operand(memory->solver, index, source);
        if (source->kind != OPERAND_VECTOR)
            break;
        number = source->base;
    }
    return unknown_bytes(8);
}

/* Bytes of a value from `skipped` on. */
static struct abstract part_of(struct memory *memory, struct abstract value, unsigned skipped, unsigned size) {
    if (skipped != 0)
        value = value_operate(&memory->arena, VALUE_SHIFT_RIGHT, value, integer(memory, 8 * (uint64_t)skipped), 8);
    return value_truncate(&memory->arena, value, size);
}

static struct abstract constant_bytes(struct memory *memory, uint64_t address, unsigned size) {
    const struct object *object = &memory->flow->analysis->object;
    const uint8_t *bytes = object_at(object, address, size);
    uint64_t value = 0;
    if (bytes == NULL || address > UINT32_MAX || !object_is_constant(object, address, size))
        return unknown_bytes(size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return integer(memory, value);
}

/* What a copy leaves behind where its source is constant. */
static struct abstract copied_value(struct memory *memory, uint32_t before, struct abstract from, unsigned skipped,
                                    unsigned size) {
    if (from.unknown != UNKNOWN_NOTHING || from.count != 1)
        return unknown_bytes(size);
    struct element element = from.elements[0];
    bool fixed = memory->flow->analysis->object.type == ET_EXEC && element.kind == ELEMENT_INTEGER;
    if (element.kind == ELEMENT_STACK)
        return memory_read(memory, before, (int32_t)element.value + (int32_t)skipped, size);
    return element.kind == ELEMENT_ADDRESS || fixed ? constant_bytes(memory, (uint64_t)element.value + skipped, size)
                                                    : unknown_bytes(size);
}

/* rep stos and rep movs. */
static struct abstract repeated_value(struct memory *memory, uint32_t index, unsigned skipped, unsigned size) {
    if ((memory->flow->instructions[index].writes & REGISTER_BIT(REGISTER_RSI)) != 0)
        return copied_value(memory, index, solver_register(memory->solver, index, REGISTER_RSI), skipped, size);
    struct abstract fill = solver_register(memory->solver, index, REGISTER_RAX);
    bool zero = fill.unknown == UNKNOWN_NOTHING && fill.count == 1 && fill.elements[0].kind == ELEMENT_INTEGER &&
                fill.elements[0].value == 0;
    return zero ? integer(memory, 0) : unknown_bytes(size);
}

static struct abstract stored_value(struct memory *memory, uint32_t index, unsigned skipped, unsigned size) {
    const struct instruction *instruction = &memory->flow->instructions[index];
    const struct operand *source = &instruction->source;
    if (instruction->repeated != 0)
        return repeated_value(memory, index, skipped, size);
    if (source->kind == OPERAND_VECTOR) {
        unsigned half = instruction->operation == OPERATION_VECTOR_HIGH ? 1 : skipped / 8;
        skipped %= 8;
        if (skipped + size > 8 || half > 1 ||
            (instruction->operation != OPERATION_VECTOR_MOVE && instruction->operation != OPERATION_VECTOR_LOW &&
             instruction->operation != OPERATION_VECTOR_HIGH))
            return unknown_bytes(size);
        return part_of(memory, read_vector(memory, index, source->base, half), skipped, size);
    }
    if (instruction->operation == OPERATION_OTHER ||
        (instruction->destination.size > 8 && instruction->operation != OPERATION_PUSH))
        return unknown_bytes(size);
    return part_of(memory, solver_result(memory->solver, index), skipped, size);
}

/* What memset and memcpy leave behind. */
static struct abstract called_value(struct memory *memory, const struct memory_source *source, unsigned skipped,
                                    unsigned size) {
    const struct effect *effect = memory->escape->effects[source->instruction];
    if (effect == NULL || (effect->model != EFFECT_FILL && effect->model != EFFECT_COPY))
        return unknown_bytes(size);
    struct abstract from = memory_argument(memory, source->instruction, 1);
    /* The bound must be the size, not one of several. */
    struct abstract bytes = memory_argument(memory, source->instruction, 2);
    if (bytes.count != 1 || bytes.unknown != UNKNOWN_NOTHING || from.unknown != UNKNOWN_NOTHING || from.count != 1)
        return unknown_bytes(size);
    if (effect->model == EFFECT_COPY)
        return copied_value(memory, source->instruction, from, skipped, size);
    struct element byte = from.elements[0];
    return byte.kind == ELEMENT_INTEGER
               ? integer(memory, ((uint64_t)byte.value & 0xff) * 0x0101010101010101u & width_mask(size))
               : unknown_bytes(size);
}

struct abstract memory_source_value(struct memory *memory, const struct memory_source *source, unsigned skipped,
                                    unsigned size) {
    struct abstract value = source->write.end == MEMORY_NO_END ? unknown_bytes(size)
                            : memory->flow->instructions[source->instruction].operation == OPERATION_CALL
                                ? called_value(memory, source, skipped, size)
                                : stored_value(memory, source->instruction, skipped, size);
    return value_is_nothing(value) ? unknown_bytes(size) : value;
}

struct abstract memory_read(struct memory *memory, uint32_t before, int32_t offset, unsigned size) {
    if (size == 0 || size > 8 || memory->texts > 8)
        return unknown_bytes(size);
    struct memory_sources sources = memory_sources(memory, before, offset, size);
    struct abstract value = sources.known ? value_nothing() : unknown_bytes(size);
    memory->texts++;
    for (size_t i = 0; i < sources.count; i++) {
        const struct memory_source *source = &sources.items[i];
        unsigned skipped = (unsigned)(offset - source->write.offset);
        value = value_join(&memory->arena, value, memory_source_value(memory, source, skipped, size));
    }
    memory->texts--;
    free(sources.items);
    return value_is_nothing(value) ? unknown_bytes(size) : value;
}
