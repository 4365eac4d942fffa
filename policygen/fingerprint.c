/* What a rebuild changes in a function that nobody touched: every distance to something outside (calls, data relative
 * to the instruction pointer, thread-local variables), addresses of programs that are linked to a fixed place, the
 * length of jumps, and the padding that the assembler puts between. All of that is left out; operations, registers,
 * stack slots, structure offsets, constants and the names of imports are kept.
 */
#include "policygen/fingerprint.h"

#include <string.h>

/* The addresses of a program at a fixed place, and some more so that its growth changes nothing. */
#define ADDRESS_ROOM (64u << 20)

#define MAX_INSTRUCTION 16

static void mix(struct fingerprint *fingerprint, uint64_t word) {
    uint64_t state = (fingerprint->state ^ word) * 0x9e3779b97f4a7c15u;
    fingerprint->state = state ^ state >> 29;
}

void fingerprint_begin(struct fingerprint *fingerprint, const struct object *object, uint32_t start, uint32_t end) {
    *fingerprint = (struct fingerprint){.state = 0x50696e696f6eu, .start = start, .end = end, .first = UINT32_MAX};
    if (object->type != ET_EXEC)
        return;
    for (size_t i = 0; i < object->segment_count; i++) {
        const struct segment *segment = &object->segments[i];
        uint32_t last = segment->address + segment->memory_size;
        if (segment->address < fingerprint->first)
            fingerprint->first = segment->address;
        if (last > fingerprint->last)
            fingerprint->last = last;
    }
    if (fingerprint->first < UINT32_MAX - ADDRESS_ROOM && fingerprint->last < fingerprint->first + ADDRESS_ROOM)
        fingerprint->last = fingerprint->first + ADDRESS_ROOM;
}

/* No-operations, breakpoints and zero bytes stand between functions and before the targets of jumps. */
static bool is_padding(const struct outline *instruction) {
    if (instruction->is_nop)
        return true;
    return instruction->map == MAP_ONE_BYTE &&
           (instruction->opcode == 0xcc ||
            (instruction->opcode == 0 && instruction->reg == 0 && instruction->rm == 0 && instruction->mod == 0));
}

/* Jumps and calls by distance, in one form for short and long ones: the operation. 0 for all others. */
static uint64_t transfer(const struct outline *instruction) {
    uint8_t opcode = instruction->opcode;
    if (instruction->map == MAP_VECTOR)
        return 0;
    if (instruction->map == MAP_TWO_BYTES)
        return (opcode & 0xf0) == 0x80 ? opcode : 0;
    if (instruction->map != MAP_ONE_BYTE)
        return 0;
    if ((opcode & 0xf0) == 0x70)
        return opcode + 0x10u;
    if (opcode == 0xeb)
        return 0xe9;
    return opcode == 0xe8 || opcode == 0xe9 || (opcode >= 0xe0 && opcode <= 0xe3) ? opcode : 0;
}

/* Within the function only the direction counts: how far it is depends on the length of what lies between. */
static uint64_t transfer_direction(const struct fingerprint *fingerprint, const struct outline *instruction,
                                   uint32_t address) {
    uint64_t target = address + instruction->length + instruction->immediate;
    if (target < fingerprint->start || target >= fingerprint->end)
        return 0;
    return target <= address ? 1 : 2;
}

static bool is_address(const struct fingerprint *fingerprint, uint64_t value) {
    return value >= fingerprint->first && value <= fingerprint->last;
}

/* Whether the displacement tells where something lies: relative to the instruction pointer, absolute, or below the
 * thread pointer. */
static bool is_place(const struct fingerprint *fingerprint, const struct outline *instruction) {
    if (instruction->displacement_size < 4)
        return false;
    bool no_base = instruction->has_modrm && instruction->mod == 0;
    if (no_base && instruction->rm == 5)
        return true;
    if (no_base && instruction->rm == 4 && instruction->index == 4 && instruction->displacement < 0)
        return true;
    return is_address(fingerprint, (uint64_t)instruction->displacement);
}

static void leave_out(uint8_t *bytes, uint8_t offset, uint8_t size) {
    for (unsigned i = offset; i < offset + size && i < MAX_INSTRUCTION; i++)
        bytes[i] = 0;
}

/* The first bytes of a word. */
static uint64_t head(uint64_t word, unsigned count) {
    return count < sizeof word ? word & ((1ull << 8 * count) - 1) : word;
}

static void add_bytes(struct fingerprint *fingerprint, const struct outline *instruction, const uint8_t *bytes,
                      size_t readable) {
    uint8_t kept[MAX_INSTRUCTION] = {0};
    unsigned length = instruction->length;
    if (readable >= MAX_INSTRUCTION)
        memcpy(kept, bytes, MAX_INSTRUCTION);
    else
        memcpy(kept, bytes, length);
    if (is_place(fingerprint, instruction))
        leave_out(kept, instruction->displacement_offset, instruction->displacement_size);
    if (instruction->immediate_size >= 4 && is_address(fingerprint, instruction->immediate))
        leave_out(kept, instruction->immediate_offset, instruction->immediate_size);
    uint64_t words[2];
    memcpy(words, kept, sizeof words);
    mix(fingerprint, head(words[0], length));
    if (length > sizeof words[0])
        mix(fingerprint, head(words[1], length - sizeof words[0]));
}

void fingerprint_add(struct fingerprint *fingerprint, const struct outline *instruction, const uint8_t *bytes,
                     size_t readable, uint32_t address, const char *import) {
    if (is_padding(instruction))
        return;
    uint64_t operation = transfer(instruction);
    if (operation != 0)
        mix(fingerprint, operation << 8 | transfer_direction(fingerprint, instruction, address));
    else
        add_bytes(fingerprint, instruction, bytes, readable);
    for (const char *at = import; at != NULL && *at != '\0'; at++)
        mix(fingerprint, (uint8_t)*at);
}

uint64_t fingerprint_end(const struct fingerprint *fingerprint) {
    uint64_t state = fingerprint->state * 0xbf58476d1ce4e5b9u;
    state ^= state >> 32;
    return state != 0 ? state : 1;
}
