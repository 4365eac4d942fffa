/* A forward pass to a fixpoint over one function: which registers and places of the frame hold a node, and which lists
 * somebody else may have changed. What a place holds is a set of lists, or something else, or both; a null pointer is
 * neither. Whatever the pass does not understand exposes the list, and of exposed lists nothing is claimed.
 */
#include "policygen/address_list.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "policygen/memory.h"
#include "policygen/solve.h"
#include "runtime/util.h"

#define MAX_LISTS 8
#define MAX_SLOTS 8
#define MAX_STEPS 4000000 /* of which code takes some ten thousand */
#define ALL_LISTS 0xff
#define NO_FRAME INT32_MAX
#define HINTS_ARGUMENT 2
#define RESULT_ARGUMENT 3

enum field {
    FIELD_FAMILY,
    FIELD_TYPE,
    FIELD_PROTOCOL,
    FIELD_COUNT,
};

static const int field_offsets[FIELD_COUNT] = {
    [FIELD_FAMILY] = (int)offsetof(struct addrinfo, ai_family),
    [FIELD_TYPE] = (int)offsetof(struct addrinfo, ai_socktype),
    [FIELD_PROTOCOL] = (int)offsetof(struct addrinfo, ai_protocol),
};
#define NEXT_OFFSET ((int)offsetof(struct addrinfo, ai_next))

/* What a place may hold: nodes of these lists; something else that is no null pointer; as far as that is an address of
 * the frame, the lowest one that it was made of, of those where a structure with a pointer in it may begin. */
struct held {
    uint8_t lists;
    bool other;
    bool inside; /* an address of the frame, be it in the midst of a structure */
    int32_t frame;
};

struct slot {
    int32_t offset;
    bool result; /* getaddrinfo puts a list there */
    bool loaded; /* the function itself reads it: no outgoing argument */
};

struct state {
    struct held registers[REGISTER_COUNT];
    struct held slots[MAX_SLOTS];
    int32_t spilled; /* the lowest address of the frame that is somewhere else in the frame, or in a vector register */
    bool strays;     /* some address of it is */
    int32_t escaped; /* and that is outside it */
    uint8_t exposed; /* lists that others may change */
};

struct known_load {
    uint32_t instruction;
    uint8_t field;
    uint8_t lists;
};

struct address_lists {
    struct known_load *loads; /* ordered */
    size_t load_count;
    struct abstract fields[MAX_LISTS][FIELD_COUNT];
    struct arena arena;
};

struct finder {
    const struct flow *flow;
    struct solver *solver;
    struct memory *memory;
    uint32_t calls[MAX_LISTS]; /* of getaddrinfo, one per list */
    unsigned call_count;
    struct slot slots[MAX_SLOTS];
    unsigned slot_count;
    bool more_slots; /* the pass has met one that it did not know of */
    unsigned steps;
    struct state *starts, *ends;
};

static const struct held nothing = {.frame = NO_FRAME}, something = {.other = true, .frame = NO_FRAME};

static bool is_nothing(struct held held) {
    return held.lists == 0 && !held.other && !held.inside;
}

static struct held join_held(struct held a, struct held b) {
    return (struct held){a.lists | b.lists, a.other || b.other, a.inside || b.inside,
                         a.frame < b.frame ? a.frame : b.frame};
}

/* ---- What the C library makes of hints ---- */

static struct abstract integers(struct arena *arena, const int64_t *values, unsigned count) {
    struct abstract all = value_nothing();
    for (unsigned i = 0; i < count; i++)
        all = value_join(arena, all, value_of(arena, ELEMENT_INTEGER, values[i]));
    return all;
}

#define INTEGERS(arena, ...) \
    integers(arena, (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static bool are_integers(struct abstract value) {
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind != ELEMENT_INTEGER)
            return false;
    }
    return value.unknown == UNKNOWN_NOTHING && value.count > 0;
}

/* Nothing but these two, whatever the hints say. */
static struct abstract family_by(struct arena *arena, struct abstract hint) {
    bool only[2] = {are_integers(hint), are_integers(hint)};
    for (unsigned i = 0; i < hint.count; i++) {
        only[0] = only[0] && hint.elements[i].value == AF_INET;
        only[1] = only[1] && hint.elements[i].value == AF_INET6;
    }
    return only[0]   ? INTEGERS(arena, AF_INET)
           : only[1] ? INTEGERS(arena, AF_INET6)
                     : INTEGERS(arena, AF_INET, AF_INET6);
}

static struct abstract type_by(struct arena *arena, struct abstract hint) {
    if (!are_integers(hint))
        return value_unknown_bits(UNKNOWN_MEMORY, UINT32_MAX);
    struct abstract types = value_nothing();
    for (unsigned i = 0; i < hint.count; i++) {
        int64_t type = hint.elements[i].value;
        types = value_join(arena, types,
                           type != 0 ? INTEGERS(arena, type)
                                     : INTEGERS(arena, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_DCCP));
    }
    return types;
}

/* The protocols that go with a type where the hints name none. */
static struct abstract protocol_of_type(struct arena *arena, int64_t type) {
    switch (type) {
    case 0: return INTEGERS(arena, 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_DCCP, IPPROTO_SCTP);
    case SOCK_STREAM: return INTEGERS(arena, IPPROTO_TCP);
    case SOCK_DGRAM: return INTEGERS(arena, IPPROTO_UDP);
    case SOCK_DCCP: return INTEGERS(arena, 0, IPPROTO_DCCP);
    case SOCK_SEQPACKET: return INTEGERS(arena, 0, IPPROTO_SCTP);
    default: return INTEGERS(arena, 0);
    }
}

/* A protocol of which nothing is known still has to go with the type, except that of raw sockets. */
static struct abstract protocol_by_type(struct arena *arena, struct abstract type) {
    struct abstract protocols = value_nothing();
    for (unsigned i = 0; i < type.count; i++) {
        if (type.elements[i].value == SOCK_STREAM)
            protocols = value_join(arena, protocols, INTEGERS(arena, IPPROTO_TCP, IPPROTO_SCTP));
        else if (type.elements[i].value == SOCK_DGRAM)
            protocols = value_join(arena, protocols, INTEGERS(arena, IPPROTO_UDP, IPPROTO_UDPLITE));
        else
            return value_unknown_bits(UNKNOWN_MEMORY, UINT32_MAX);
    }
    return protocols;
}

static struct abstract protocol_by(struct arena *arena, struct abstract type, struct abstract hint) {
    if (!are_integers(type))
        type = INTEGERS(arena, 0, SOCK_DCCP, SOCK_SEQPACKET);
    if (!are_integers(hint))
        return protocol_by_type(arena, type);
    struct abstract protocols = value_nothing();
    for (unsigned i = 0; i < hint.count; i++) {
        int64_t protocol = hint.elements[i].value;
        /* musl takes no notice of a protocol that it does not know where the type is open. */
        if (protocol != 0)
            protocols = value_join(arena, protocols, INTEGERS(arena, protocol));
        for (unsigned j = 0; j < type.count; j++) {
            if (protocol == 0 || (type.elements[j].value == 0 && protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
                protocols = value_join(arena, protocols, protocol_of_type(arena, type.elements[j].value));
        }
    }
    return protocols;
}

static struct abstract read_hint(struct finder *finder, uint32_t call, struct element hints, enum field field) {
    bool fixed = finder->flow->analysis->object.type == ET_EXEC;
    if (hints.kind == ELEMENT_INTEGER && hints.value == 0)
        return value_of(&finder->memory->arena, ELEMENT_INTEGER, 0);
    if (hints.kind == ELEMENT_STACK)
        return memory_read(finder->memory, call, (int32_t)hints.value + field_offsets[field], 4);
    if (hints.kind != ELEMENT_ADDRESS && !(hints.kind == ELEMENT_INTEGER && fixed))
        return value_unknown(UNKNOWN_MEMORY);
    struct operand operand = {.kind = OPERAND_MEMORY,
                              .size = 4,
                              .base = REGISTER_RIP,
                              .index = REGISTER_NONE,
                              .value = hints.value + field_offsets[field]};
    return solver_operand(finder->solver, call, &operand);
}

static void bound_fields(struct finder *finder, struct address_lists *lists, unsigned list) {
    uint32_t call = finder->calls[list];
    struct abstract hints = memory_argument(finder->memory, call, HINTS_ARGUMENT);
    struct abstract values[FIELD_COUNT];
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        values[i] = hints.unknown == UNKNOWN_NOTHING ? value_nothing() : value_unknown(UNKNOWN_MEMORY);
        for (unsigned j = 0; j < hints.count; j++)
            values[i] = value_join(&finder->memory->arena, values[i],
                                   read_hint(finder, call, hints.elements[j], (enum field)i));
    }
    struct arena *arena = &lists->arena;
    lists->fields[list][FIELD_FAMILY] = family_by(arena, values[FIELD_FAMILY]);
    lists->fields[list][FIELD_TYPE] = type_by(arena, values[FIELD_TYPE]);
    lists->fields[list][FIELD_PROTOCOL] = protocol_by(arena, values[FIELD_TYPE], values[FIELD_PROTOCOL]);
}

/* ---- Places ---- */

static int32_t lower(int32_t a, int32_t b) {
    return a < b ? a : b;
}

static uint8_t lists_in_slots(const struct finder *finder, const struct state *state, int32_t from) {
    uint8_t lists = 0;
    for (unsigned i = 0; i < finder->slot_count; i++)
        lists |= finder->slots[i].offset + 8 > from ? state->slots[i].lists : 0;
    return lists;
}

static int32_t begins_at(int64_t offset) {
    return offset % 8 == 0 ? (int32_t)offset : NO_FRAME;
}

static struct held in_register(const struct finder *finder, const struct state *state, uint32_t index, uint8_t number) {
    const struct frame_state *frame = &finder->flow->frames[index];
    if (number >= REGISTER_COUNT)
        return something;
    if (number == REGISTER_RSP)
        return (struct held){
            .other = true, .inside = true, .frame = frame->depth == NO_DEPTH ? INT32_MIN : frame->depth};
    /* All of the frame lies above the stack pointer, and below a frame pointer that is not an object's address. */
    if (number == REGISTER_RBP && frame->pointer != NO_DEPTH)
        return (struct held){
            .other = true, .inside = true, .frame = frame->pointer >= -16 ? INT32_MIN : begins_at(frame->pointer)};
    return state->registers[number];
}

/* The lowest of the frame addresses that a value is known to be, else that of the object which it was made of: what is
 * computed from an address stays in its object. */
static int32_t lowest_of(struct abstract value, int32_t made_of) {
    int32_t lowest = NO_FRAME;
    if (value.unknown != UNKNOWN_NOTHING || value_is_nothing(value))
        return made_of;
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind == ELEMENT_STACK)
            lowest = lower(lowest, begins_at(value.elements[i].value));
    }
    return lowest;
}

/* What the address of an operand may be. An array in the frame begins at the displacement. */
static struct held in_address(const struct finder *finder, const struct state *state, uint32_t index,
                              const struct operand *operand) {
    const struct frame_state *frame = &finder->flow->frames[index];
    if (operand->kind != OPERAND_MEMORY || operand->segment)
        return something;
    struct held base = in_register(finder, state, index, operand->base);
    if (operand->base == REGISTER_RSP && frame->depth != NO_DEPTH)
        base.frame = begins_at(frame->depth + operand->value);
    if (operand->base == REGISTER_RBP && frame->pointer != NO_DEPTH)
        base.frame = begins_at(frame->pointer + operand->value);
    struct held held = join_held(base, in_register(finder, state, index, operand->index));
    if (held.inside)
        held.frame = lowest_of(solver_address(finder->solver, index, operand), held.frame);
    held.other = true;
    return held;
}

/* From where on in the frame an access of the function itself may lie, at a place that is not known exactly; NO_FRAME
 * where it lies elsewhere. The code for a loop may begin in the midst of an array, or at its end. */
static int32_t reach_of(struct held at, unsigned size) {
    bool anywhere = at.inside && (at.frame == NO_FRAME || size == 0 || size >= 8);
    return anywhere ? INT32_MIN : at.frame;
}

/* Where in the frame an operand that may lie there certainly lies. */
static bool frame_offset(const struct finder *finder, uint32_t index, const struct operand *operand, int32_t *offset) {
    const struct abstract at = solver_address(finder->solver, index, operand);
    if (at.unknown != UNKNOWN_NOTHING || at.count != 1 || at.elements[0].kind != ELEMENT_STACK)
        return false;
    *offset = (int32_t)at.elements[0].value;
    return true;
}

/* Whether the operand is a place at a known distance from the start of a node. */
static bool is_in_node(const struct state *state, const struct operand *operand) {
    return operand->base < REGISTER_COUNT && operand->index == REGISTER_NONE && !operand->segment &&
           state->registers[operand->base].lists != 0 && !state->registers[operand->base].other;
}

static struct held read_frame(const struct finder *finder, const struct state *state, int32_t offset, unsigned size) {
    struct held held = {.other = true, .inside = state->strays, .frame = state->spilled};
    for (unsigned i = 0; i < finder->slot_count; i++) {
        int32_t start = finder->slots[i].offset;
        if (start == offset && size == 8)
            return state->slots[i];
        if (offset < start + 8 && start < offset + (int32_t)size)
            held = join_held(held, state->slots[i]);
    }
    held.other = true;
    return held;
}

static struct held escaped_address(const struct state *state) {
    return (struct held){.other = true, .inside = state->escaped != NO_FRAME, .frame = state->escaped};
}

/* What is loaded from memory. Pointers to other things that a node leads to are no pointers to nodes. */
static struct held loaded(const struct finder *finder, const struct state *state, uint32_t index,
                          const struct operand *operand) {
    int32_t offset;
    if (operand->kind != OPERAND_MEMORY || operand->segment)
        return something;
    struct held at = in_address(finder, state, index, operand);
    int32_t reach = reach_of(at, operand->size);
    if (reach != NO_FRAME && operand->size != 0 && frame_offset(finder, index, operand, &offset))
        return read_frame(finder, state, offset, operand->size);
    if (reach != NO_FRAME) {
        int32_t frame = lower(state->spilled, state->escaped);
        return (struct held){at.lists | lists_in_slots(finder, state, reach), true, state->strays, frame};
    }
    /* No null pointer leads anywhere. */
    if (operand->base < REGISTER_COUNT && operand->index == REGISTER_NONE &&
        is_nothing(state->registers[operand->base]))
        return nothing;
    if (at.lists == 0)
        return operand->size >= 8 || operand->size == 0 ? escaped_address(state) : something;
    bool inside = is_in_node(state, operand);
    if (inside && operand->value == NEXT_OFFSET && operand->size == 8)
        return (struct held){.lists = at.lists, .frame = NO_FRAME};
    bool before = operand->value >= 0 && operand->size > 0 && operand->value + operand->size <= NEXT_OFFSET;
    return inside && before ? something : at;
}

static struct held value_of_operand(const struct finder *finder, const struct state *state, uint32_t index,
                                    const struct operand *operand) {
    struct held held = something;
    switch ((enum operand_kind)operand->kind) {
    case OPERAND_IMMEDIATE: return operand->value == 0 ? nothing : something;
    case OPERAND_MEMORY: return loaded(finder, state, index, operand);
    case OPERAND_REGISTER:
        held = in_register(finder, state, index, operand->base);
        held.other |= operand->size != 8 || operand->high;
        return held;
    default: return held;
    }
}

static bool is_zeroing(const struct instruction *instruction) {
    const struct operand *destination = &instruction->destination, *source = &instruction->source;
    return (instruction->operation == OPERATION_XOR || instruction->operation == OPERATION_SUBTRACT) &&
           destination->kind == OPERAND_REGISTER && source->kind == OPERAND_REGISTER &&
           destination->base == source->base;
}

/* What an instruction makes of what it reads. */
static struct held made_by(const struct finder *finder, const struct state *state, uint32_t index) {
    const struct instruction *instruction = &finder->flow->instructions[index];
    const struct operand *operands[] = {&instruction->source, &instruction->second, &instruction->destination};
    unsigned operation = instruction->operation;
    if (is_zeroing(instruction) || operation == OPERATION_VECTOR_ZERO)
        return nothing;
    if (operation == OPERATION_MOVE || operation == OPERATION_PUSH)
        return value_of_operand(finder, state, index, &instruction->source);
    if (operation == OPERATION_SELECT)
        return join_held(value_of_operand(finder, state, index, &instruction->source),
                         value_of_operand(finder, state, index, &instruction->destination));
    if (operation == OPERATION_BOOLEAN || operation == OPERATION_BORROW)
        return something;
    if (operation == OPERATION_ADDRESS)
        return in_address(finder, state, index, &instruction->source);
    struct held held = something;
    for (unsigned i = 0; i < REGISTER_COUNT; i++) {
        if ((instruction->reads & REGISTER_BIT(i)) != 0)
            held = join_held(held, in_register(finder, state, index, (uint8_t)i));
    }
    for (unsigned i = 0; i < 3; i++)
        held = join_held(held, loaded(finder, state, index, operands[i]));
    if (operation == OPERATION_OTHER) {
        held.frame = lower(held.frame, lower(state->spilled, state->escaped));
        held.inside |= state->strays || held.frame != NO_FRAME;
    }
    bool sum = operation == OPERATION_ADD || operation == OPERATION_SUBTRACT;
    if (held.frame != NO_FRAME && sum && instruction->destination.size == 8)
        held.frame = lowest_of(solver_result(finder->solver, index), held.frame);
    held.other = true;
    return held;
}

/* ---- Writes ---- */

/* Room in a node that holds nothing of what is claimed: the length, the address, the name. */
static bool is_harmless(const struct state *state, const struct operand *operand) {
    int64_t start = operand->value, end = start + operand->size;
    bool before = start >= 0 && end <= field_offsets[FIELD_FAMILY];
    bool between = start >= field_offsets[FIELD_PROTOCOL] + 4 && end <= NEXT_OFFSET;
    return operand->size > 0 && is_in_node(state, operand) && (before || between);
}

/* Slots from there on may hold anything, in a node too. */
static void spoil_slots(const struct finder *finder, struct state *state, int32_t from, struct held value) {
    for (unsigned i = 0; i < finder->slot_count; i++) {
        if (finder->slots[i].offset + 8 <= from)
            continue;
        state->slots[i] = join_held(state->slots[i], value);
        state->slots[i].other = true;
    }
}

static bool reads_slot(const struct finder *finder, int32_t offset) {
    for (uint32_t i = 0; i < finder->flow->instruction_count; i++) {
        const struct operand *operand = &finder->flow->instructions[i].source;
        int32_t at;
        if (operand->kind == OPERAND_MEMORY && frame_offset(finder, i, operand, &at) && at == offset)
            return true;
    }
    return false;
}

static void add_slot(struct finder *finder, int32_t offset, bool result) {
    for (unsigned i = 0; i < finder->slot_count; i++) {
        if (finder->slots[i].offset == offset) {
            finder->slots[i].result |= result;
            return;
        }
    }
    finder->more_slots = true;
    finder->slots[finder->slot_count++] = (struct slot){offset, result, reads_slot(finder, offset)};
}

static void spill(struct state *state, struct held value) {
    state->spilled = lower(state->spilled, value.frame);
    state->strays |= value.inside;
}

/* A store at a known place of the frame. Slots are found as the pass goes on; it then begins again. */
static void store_in_frame(struct finder *finder, struct state *state, int32_t offset, unsigned size,
                           struct held value) {
    bool kept = false;
    for (unsigned i = 0; i < finder->slot_count; i++) {
        int32_t start = finder->slots[i].offset;
        if (offset + (int32_t)size <= start || offset >= start + 8)
            continue;
        bool exact = size == 8 && start == offset;
        state->slots[i] = exact ? value : join_held(state->slots[i], value);
        state->slots[i].other |= !exact;
        kept |= exact;
    }
    if (kept)
        return;
    spill(state, value);
    state->exposed |= value.lists;
    if (value.lists != 0 && size == 8 && offset < 0 && finder->slot_count < MAX_SLOTS)
        add_slot(finder, offset, false);
}

/* A store through a pointer. */
static void store_through(const struct finder *finder, struct state *state, const struct operand *operand,
                          struct held at, struct held value) {
    int32_t reach = reach_of(at, operand->size);
    state->exposed |= value.lists;
    state->escaped = lower(state->escaped, value.frame);
    if (reach != NO_FRAME) {
        spill(state, value);
        spoil_slots(finder, state, reach, value);
    }
    if (!is_harmless(state, operand))
        state->exposed |= at.lists;
}

static void store(struct finder *finder, struct state *state, uint32_t index, struct held value) {
    const struct operand *operand = &finder->flow->instructions[index].destination;
    int32_t offset;
    if (operand->kind == OPERAND_MEMORY && operand->segment) {
        state->exposed |= value.lists;
        state->escaped = lower(state->escaped, value.frame);
        return;
    }
    if (operand->kind != OPERAND_MEMORY) {
        state->exposed = ALL_LISTS;
        spoil_slots(finder, state, INT32_MIN, value);
        return;
    }
    struct held at = in_address(finder, state, index, operand);
    bool inside = reach_of(at, operand->size) != NO_FRAME;
    if (inside && operand->size != 0 && frame_offset(finder, index, operand, &offset))
        store_in_frame(finder, state, offset, operand->size, value);
    else
        store_through(finder, state, operand, at, value);
}

static void push(struct finder *finder, struct state *state, uint32_t index, struct held value) {
    int32_t depth = finder->flow->frames[index].depth;
    if (depth != NO_DEPTH) {
        store_in_frame(finder, state, depth - 8, 8, value);
        return;
    }
    state->exposed = ALL_LISTS;
    spoil_slots(finder, state, INT32_MIN, value);
}

/* A write into the frame. Where getaddrinfo fails, the place keeps what it held. */
static void overwrite(const struct finder *finder, struct state *state, int64_t start, int64_t end, uint8_t made) {
    for (unsigned i = 0; i < finder->slot_count; i++) {
        if (start >= finder->slots[i].offset + 8 || end <= finder->slots[i].offset)
            continue;
        state->slots[i].lists |= made;
        state->slots[i].other |= made == 0;
    }
}

/* What is known to be written; a write without an end stays in the object that begins there. */
static void overwrite_all(const struct finder *finder, struct state *state, const struct memory_touch *touch,
                          uint8_t made) {
    for (unsigned i = 0; i < touch->count; i++) {
        const struct memory_write *write = &touch->writes[i];
        bool bounded = write->end != MEMORY_NO_END;
        overwrite(finder, state, bounded ? write->offset : begins_at(write->offset), write->end, made);
    }
}

/* rep movs and rep stos: a pointer to a node or to a slot may be all that they need. */
static void step_repeated(const struct finder *finder, struct state *state, uint32_t index) {
    const struct instruction *instruction = &finder->flow->instructions[index];
    bool copies = (instruction->writes & REGISTER_BIT(REGISTER_RSI)) != 0;
    struct held to = state->registers[REGISTER_RDI], from = state->registers[copies ? REGISTER_RSI : REGISTER_RAX];
    struct held value = {.other = true, .inside = from.inside, .frame = from.frame};
    if (copies && from.inside) {
        state->exposed |= lists_in_slots(finder, state, reach_of(from, 0));
        value.frame = state->spilled;
    }
    state->exposed |= from.lists | to.lists;
    spill(state, value);
    state->escaped = lower(state->escaped, value.frame);
    const struct memory_touch *touch = memory_touch(finder->memory, index);
    if (!touch->unknown)
        overwrite_all(finder, state, touch, 0);
    else if (to.inside)
        spoil_slots(finder, state, INT32_MIN, something);
}

/* ---- Calls ---- */

/* What a called function can see: arguments, the static chain, and whatever lies open. */
static struct held seen_by_callee(const struct finder *finder, const struct state *state, uint32_t call) {
    struct held held = {.other = true, .frame = lower(state->escaped, state->spilled)};
    int32_t depth = finder->flow->frames[call].depth;
    for (unsigned i = 0; i < REGISTER_COUNT; i++) {
        struct held seen = state->registers[i];
        /* No argument stands in these. */
        if (i == REGISTER_RAX || i == REGISTER_R11)
            seen.lists = 0;
        if ((CALL_CHANGES & REGISTER_BIT(i)) != 0)
            held = join_held(held, seen);
    }
    for (unsigned i = 0; i < finder->slot_count; i++) {
        const struct slot *slot = &finder->slots[i];
        if (!slot->loaded && !slot->result && (depth == NO_DEPTH || slot->offset >= depth))
            held = join_held(held, state->slots[i]);
    }
    return held;
}

static struct held in_arguments(const struct state *state) {
    struct held held = something;
    for (size_t i = 0; i < ARGUMENT_REGISTERS; i++)
        held = join_held(held, state->registers[argument_registers[i]]);
    return held;
}

/* A function of which nothing is known may change all that it can reach. */
static void call_unknown(const struct finder *finder, struct state *state, uint32_t call) {
    struct held seen = seen_by_callee(finder, state, call);
    state->exposed |= seen.lists;
    if (finder->flow->frames[call].depth == NO_DEPTH)
        seen.frame = INT32_MIN;
    if (seen.frame == NO_FRAME)
        return;
    state->escaped = lower(state->escaped, seen.frame);
    state->spilled = lower(state->spilled, seen.frame);
    state->exposed |= lists_in_slots(finder, state, seen.frame);
    spoil_slots(finder, state, seen.frame, something);
}

static uint8_t list_made_by(const struct finder *finder, uint32_t call) {
    for (unsigned i = 0; i < finder->call_count; i++) {
        if (finder->calls[i] == call)
            return (uint8_t)(1u << i);
    }
    return 0;
}

/* Where memory is copied, or sent to where it may come back from, pointers in it are. */
static void move_pointers(const struct finder *finder, struct state *state, const struct effect *effect) {
    struct held arguments = in_arguments(state), from = state->registers[REGISTER_RSI];
    bool moves = (effect->flags & EFFECT_MOVES) != 0;
    if (!moves && (effect->flags & (EFFECT_SENDS | EFFECT_POINTS)) == 0)
        return;
    state->exposed |= arguments.lists;
    if (arguments.frame == NO_FRAME)
        return;
    if ((effect->flags & EFFECT_POINTS) != 0)
        state->spilled = lower(state->spilled, arguments.frame);
    if (!moves || from.frame != NO_FRAME) {
        state->exposed |= lists_in_slots(finder, state, moves ? from.frame : arguments.frame);
        state->escaped = lower(state->escaped, state->spilled);
    }
    state->spilled = lower(state->spilled, state->escaped);
}

static void call_known(const struct finder *finder, struct state *state, uint32_t call, const struct effect *effect) {
    const struct memory_touch *touch = memory_touch(finder->memory, call);
    move_pointers(finder, state, effect);
    if (touch->unknown && (effect->flags & EFFECT_OPEN) != 0 && state->escaped != NO_FRAME) {
        state->exposed |= lists_in_slots(finder, state, state->escaped);
        spoil_slots(finder, state, state->escaped, something);
    }
    for (unsigned i = 0; i < EFFECT_MAX_WRITES; i++) {
        struct held to = state->registers[argument_registers[effect->writes[i].argument]];
        if (effect->writes[i].bound == BOUND_NOTHING)
            continue;
        state->exposed |= to.lists;
        if (touch->unknown)
            overwrite(finder, state, to.frame, INT32_MAX, 0);
    }
    if (!touch->unknown)
        overwrite_all(finder, state, touch, list_made_by(finder, call));
}

static void step_call(const struct finder *finder, struct state *state, uint32_t call) {
    const struct effect *effect = finder->memory->escape->effects[call];
    int32_t depth = finder->flow->frames[call].depth;
    struct held arguments = in_arguments(state), returned = something;
    /* The caller may know that a function of its own object leaves some registers alone. */
    bool own = flow_import(finder->flow->analysis, &finder->flow->instructions[call]) == NO_SYMBOL;
    /* A format may count bytes into whatever the other arguments lead to. */
    bool known = effect != NULL && (effect->format == 0 || !memory_touch(finder->memory, call)->unknown ||
                                    (effect->flags & EFFECT_OPEN) != 0);
    if (known)
        call_known(finder, state, call, effect);
    else
        call_unknown(finder, state, call);
    if (!known || (effect->flags & EFFECT_RETURNS) != 0)
        returned = join_held(arguments, escaped_address(state));
    for (unsigned i = 0; i < finder->slot_count; i++)
        state->slots[i].other |= depth == NO_DEPTH || finder->slots[i].offset < depth;
    for (unsigned i = 0; i < REGISTER_COUNT; i++) {
        if ((CALL_CHANGES & REGISTER_BIT(i)) == 0)
            continue;
        state->registers[i] = own ? join_held(state->registers[i], something) : something;
    }
    state->registers[REGISTER_RAX] = returned;
}

/* ---- Instructions ---- */

static void set_registers(const struct finder *finder, struct state *state, uint32_t index, struct held made) {
    const struct instruction *instruction = &finder->flow->instructions[index];
    const struct operand *destination = &instruction->destination;
    bool wide = destination->size == 8 || (destination->size == 4 && made.lists == 0);
    bool whole = destination->kind == OPERAND_REGISTER && !destination->high && wide;
    for (unsigned i = 0; i < REGISTER_COUNT; i++) {
        if ((instruction->writes & REGISTER_BIT(i)) == 0)
            continue;
        bool target = whole && destination->base == i;
        state->registers[i] = target ? made : join_held(made, state->registers[i]);
        state->registers[i].other |= !target;
    }
}

static struct held popped(const struct finder *finder, const struct state *state, int32_t depth) {
    struct held unknown = {lists_in_slots(finder, state, INT32_MIN), true, state->strays, state->spilled};
    return depth == NO_DEPTH ? unknown : read_frame(finder, state, depth, 8);
}

static void step(struct finder *finder, struct state *state, uint32_t index) {
    const struct instruction *instruction = &finder->flow->instructions[index];
    const struct frame_state *frame = &finder->flow->frames[index];
    switch ((enum operation)instruction->operation) {
    case OPERATION_CALL: step_call(finder, state, index); return;
    case OPERATION_COMPARE:
    case OPERATION_TEST:
    case OPERATION_PADDING:
    case OPERATION_JUMP:
    case OPERATION_BRANCH:
    case OPERATION_JUMP_INDIRECT:
    case OPERATION_RETURN:
    case OPERATION_STOP: return;
    case OPERATION_POP: set_registers(finder, state, index, popped(finder, state, frame->depth)); return;
    case OPERATION_LEAVE: state->registers[REGISTER_RBP] = popped(finder, state, frame->pointer); return;
    case OPERATION_PUSH: push(finder, state, index, made_by(finder, state, index)); return;
    default: break;
    }
    if (instruction->repeated != 0) {
        step_repeated(finder, state, index);
        return;
    }
    struct held made = made_by(finder, state, index);
    if (instruction->vector_writes != 0) {
        state->exposed |= made.lists;
        spill(state, made);
    }
    if (instruction->vector_reads != 0) {
        made.frame = lower(made.frame, state->spilled);
        made.inside |= state->strays;
    }
    if (instruction->writes_memory)
        store(finder, state, index, made);
    set_registers(finder, state, index, made);
}

/* ---- Blocks ---- */

/* Places that were never written to hold nothing yet. */
static struct state empty(void) {
    struct state state = {.spilled = NO_FRAME, .escaped = NO_FRAME};
    for (unsigned i = 0; i < REGISTER_COUNT; i++)
        state.registers[i] = nothing;
    for (unsigned i = 0; i < MAX_SLOTS; i++)
        state.slots[i] = nothing;
    return state;
}

static struct state at_start(bool known) {
    const struct held anything = {ALL_LISTS, true, true, INT32_MIN};
    struct state state = empty();
    for (unsigned i = 0; i < REGISTER_COUNT; i++)
        state.registers[i] = known ? something : anything;
    if (known)
        return state;
    for (unsigned i = 0; i < MAX_SLOTS; i++)
        state.slots[i] = anything;
    state.spilled = state.escaped = INT32_MIN;
    state.exposed = ALL_LISTS;
    state.strays = true;
    return state;
}

static bool join_into(struct held *into, struct held from) {
    struct held before = *into;
    *into = join_held(before, from);
    return before.lists != into->lists || before.other != into->other || before.inside != into->inside ||
           before.frame != into->frame;
}

static bool join(struct state *into, const struct state *from) {
    bool grown = (from->exposed & ~into->exposed) != 0 || from->spilled < into->spilled ||
                 from->escaped < into->escaped || (from->strays && !into->strays);
    for (unsigned i = 0; i < REGISTER_COUNT; i++)
        grown |= join_into(&into->registers[i], from->registers[i]);
    for (unsigned i = 0; i < MAX_SLOTS; i++)
        grown |= join_into(&into->slots[i], from->slots[i]);
    into->exposed |= from->exposed;
    into->strays |= from->strays;
    into->spilled = lower(into->spilled, from->spilled);
    into->escaped = lower(into->escaped, from->escaped);
    return grown;
}

/* False where the code goes round too often. */
static bool follow(struct finder *finder) {
    const struct flow *flow = finder->flow;
    cleanup_free bool *done = xcalloc(flow->block_count + 1, sizeof *done);
    for (uint32_t i = 0; i < flow->block_count; i++) {
        const struct block *block = &flow->blocks[i];
        finder->starts[i] = finder->ends[i] = empty();
        if (block->entry || block->outside || block->unexplained)
            finder->starts[i] = at_start(block->entry && !block->outside);
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < flow->block_count; i++) {
            const struct block *block = &flow->blocks[i];
            bool first = block->entry || block->outside || block->unexplained, grown = first && !done[i];
            for (uint32_t j = 0; j < block->predecessor_count; j++) {
                uint32_t from = block->predecessors[j];
                grown |= done[from] && (join(&finder->starts[i], &finder->ends[from]) || !done[i]);
            }
            if (!grown)
                continue;
            finder->steps += block->end - block->first;
            if (finder->steps > MAX_STEPS)
                return false;
            struct state state = finder->starts[i];
            for (uint32_t j = block->first; j < block->end; j++)
                step(finder, &state, j);
            changed |= join(&finder->ends[i], &state) || !done[i];
            done[i] = true;
        }
    }
    return true;
}

/* ---- Loads ---- */

static bool known_field(const struct state *state, const struct operand *operand, struct known_load *load) {
    if (operand->kind != OPERAND_MEMORY || operand->size > 4 || !is_in_node(state, operand))
        return false;
    load->lists = state->registers[operand->base].lists;
    for (load->field = 0; load->field < FIELD_COUNT; load->field++) {
        if (operand->value == field_offsets[load->field])
            return (load->lists & state->exposed) == 0;
    }
    return false;
}

static void collect_loads(struct finder *finder, struct address_lists *lists) {
    for (uint32_t i = 0; i < finder->flow->block_count; i++) {
        struct state state = finder->starts[i];
        for (uint32_t j = finder->flow->blocks[i].first; j < finder->flow->blocks[i].end; j++) {
            struct known_load load = {.instruction = j};
            const struct instruction *instruction = &finder->flow->instructions[j];
            if (instruction->operation != OPERATION_CALL && known_field(&state, &instruction->source, &load))
                *array_append(lists->loads, lists->load_count) = load;
            step(finder, &state, j);
        }
    }
}

/* ---- Lists ---- */

/* A function that something enters twice, or that is not understood, is not looked at. */
static bool find_calls(const struct flow *flow, struct finder *finder) {
    bool twice = false;
    for (uint32_t i = 0; i < flow->instruction_count; i++) {
        const struct instruction *instruction = &flow->instructions[i];
        if (instruction->operation != OPERATION_CALL)
            continue;
        uint32_t symbol = flow_import(flow->analysis, instruction);
        const struct symbol *symbols = flow->analysis->object.symbols;
        twice |= flow_returns_twice(flow->analysis, instruction);
        if (symbol != NO_SYMBOL && !symbols[symbol].defined && strcmp(symbols[symbol].name, "getaddrinfo") == 0 &&
            finder->call_count < MAX_LISTS)
            finder->calls[finder->call_count++] = i;
    }
    return finder->call_count > 0 && !twice && !flow->unresolved && !flow->undecodable;
}

/* Lists that do not begin in a place of the frame are no lists here. */
static void find_results(struct finder *finder) {
    unsigned kept = 0;
    for (unsigned i = 0; i < finder->call_count; i++) {
        struct abstract result = memory_argument(finder->memory, finder->calls[i], RESULT_ARGUMENT);
        bool local = result.unknown == UNKNOWN_NOTHING && result.count == 1 &&
                     result.elements[0].kind == ELEMENT_STACK && result.elements[0].value <= -8;
        if (!local || finder->slot_count == MAX_SLOTS)
            continue;
        add_slot(finder, (int32_t)result.elements[0].value, true);
        finder->calls[kept++] = finder->calls[i];
    }
    finder->call_count = kept;
}

static struct address_lists *make_lists(struct finder *finder) {
    struct address_lists *lists = xcalloc(1, sizeof *lists);
    finder->starts = xcalloc(finder->flow->block_count + 1, sizeof *finder->starts);
    finder->ends = xcalloc(finder->flow->block_count + 1, sizeof *finder->ends);
    bool followed = true;
    do {
        finder->more_slots = false;
        followed = follow(finder);
    } while (followed && finder->more_slots);
    if (followed)
        collect_loads(finder, lists);
    for (unsigned i = 0; i < finder->call_count && lists->load_count > 0; i++)
        bound_fields(finder, lists, i);
    free(finder->starts);
    free(finder->ends);
    return lists;
}

struct address_lists *address_lists_find(const struct flow *flow) {
    struct finder finder = {.flow = flow};
    if (!find_calls(flow, &finder))
        return NULL;
    finder.solver = solver_new(flow, false);
    finder.memory = memory_new(flow, finder.solver);
    find_results(&finder);
    struct address_lists *lists = finder.call_count > 0 ? make_lists(&finder) : NULL;
    memory_free(finder.memory);
    solver_free(finder.solver);
    return lists;
}

void address_lists_free(struct address_lists *lists) {
    if (lists == NULL)
        return;
    arena_free(&lists->arena);
    free(lists->loads);
    free(lists);
}

bool address_lists_load(const struct address_lists *lists, struct arena *arena, uint32_t instruction, unsigned size,
                        struct abstract *value) {
    for (size_t i = 0; lists != NULL && i < lists->load_count; i++) {
        const struct known_load *load = &lists->loads[i];
        if (load->instruction != instruction)
            continue;
        *value = value_nothing();
        for (unsigned j = 0; j < MAX_LISTS; j++) {
            if ((load->lists >> j & 1) != 0)
                *value = value_join(arena, *value, lists->fields[j][load->field]);
        }
        *value = value_truncate(arena, *value, size);
        return true;
    }
    return false;
}
