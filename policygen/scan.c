/* The pass over all code. A linear sweep, begun anew at every function, decodes just enough to know lengths and the
 * few instructions that matter; behind it a search by bytes makes sure that no call of an intercepted function
 * is lost where data lies between the code. Too much is harmless here, too little is not.
 */
#include "policygen/scan.h"

#include <stdlib.h>
#include <string.h>

#include "policygen/fingerprint.h"
#include "policygen/outline.h"
#include "runtime/api.h"
#include "runtime/util.h"

#define RECENT_INSTRUCTIONS 8

struct sweep {
    const struct object *object;
    struct functions *functions;
    struct scan *scan;
    ZydisDecoder decoder;
    bool absolute; /* addresses are constants (no position-independent code) */
    struct function *current;
    struct fingerprint fingerprint; /* of the current function */
    uint32_t reached_symbol;        /* the import that the current instruction calls or jumps to, or NO_SYMBOL */
    uint32_t held_symbol;           /* held_register holds this import's address, or NO_SYMBOL */
    uint8_t held_register;
    bool pushed_slot; /* the last instruction was push slot(%rip) */
    bool only_stubs;  /* no instruction yet but those of a procedure linkage table */
    uint32_t function_start, function_end;
    /* A switch: its table's value was loaded into this register, so many instructions ago. */
    uint8_t loaded_register, added_register;
    uint32_t loaded_age, added_age;
};

/* ---- Slots and stubs ---- */

uint32_t slot_symbol(const struct object *object, uint64_t address) {
    const struct relocation *relocation = object_relocation_at(object, address);
    if (relocation == NULL)
        return NO_SYMBOL;
    switch (relocation->type) {
    case R_X86_64_JUMP_SLOT:
    case R_X86_64_GLOB_DAT:
    case R_X86_64_64: return relocation->symbol;
    default: return NO_SYMBOL;
    }
}

/* [endbr64] [bnd] jmp *slot(%rip), and for programs at fixed addresses the same in `jmp *slot`. */
uint32_t stub_symbol(const struct object *object, uint64_t address, bool *is_stub) {
    *is_stub = false;
    size_t length;
    const uint8_t *bytes = object_rest(object, address, &length);
    if (bytes == NULL || length < 6)
        return NO_SYMBOL;
    const uint8_t *start = bytes;
    if (length >= 11 && memcmp(bytes, "\xf3\x0f\x1e\xfa", 4) == 0)
        bytes += 4;
    if (bytes[0] == 0xf2)
        bytes++;
    if (bytes[0] != 0xff || bytes[1] != 0x25)
        return NO_SYMBOL;
    *is_stub = true;
    uint64_t next = address + (uint64_t)(bytes - start) + 6;
    return slot_symbol(object, next + (uint64_t)(int64_t)(int32_t)read32(bytes + 2));
}

/* ---- Recording ---- */

static void add_reference(struct scan *scan, uint64_t target, uint64_t source, bool data) {
    *array_append(scan->references, scan->reference_count) =
        (struct reference){.target = (uint32_t)target, .source = (uint32_t)source, .data = data};
}

static void add_import_call(struct sweep *sweep, uint32_t address, uint32_t return_address, uint32_t symbol) {
    sweep->reached_symbol = symbol;
    *array_append(sweep->scan->import_calls, sweep->scan->import_call_count) =
        (struct import_call){address, return_address, symbol, 0, false};
}

static void add_import_jump(struct sweep *sweep, uint32_t address, uint32_t symbol) {
    sweep->reached_symbol = symbol;
    *array_append(sweep->scan->import_jumps, sweep->scan->import_jump_count) =
        (struct import_jump){address, 0, symbol, false};
}

static void add_indirect_jump(struct sweep *sweep, uint32_t address, bool table, bool chosen) {
    *array_append(sweep->scan->indirect_jumps, sweep->scan->indirect_jump_count) =
        (struct indirect_jump){address, 0, table, chosen};
}

static void add_call(struct sweep *sweep, uint32_t address, uint32_t next, uint64_t target) {
    if (!object_is_code(sweep->object, target))
        return;
    bool is_stub;
    uint32_t symbol = stub_symbol(sweep->object, target, &is_stub);
    if (symbol != NO_SYMBOL)
        add_import_call(sweep, address, next, symbol);
    else
        *array_append(sweep->scan->calls, sweep->scan->call_count) = (struct direct_call){next, (uint32_t)target};
}

static void add_jump(struct sweep *sweep, uint32_t address, uint64_t target) {
    if (target >= sweep->function_start && target < sweep->function_end)
        return;
    if (!object_is_code(sweep->object, target))
        return;
    bool is_stub;
    uint32_t symbol = stub_symbol(sweep->object, target, &is_stub);
    if (symbol != NO_SYMBOL)
        add_import_jump(sweep, address, symbol);
    else
        *array_append(sweep->scan->jumps, sweep->scan->jump_count) = (struct direct_jump){address, 0, (uint32_t)target};
}

/* ---- Instructions ---- */

static bool has_memory(const struct outline *instruction) {
    return instruction->has_modrm && instruction->mod != 3;
}

/* The address of a memory operand that is a constant: relative to the instruction pointer, or absolute. */
static bool constant_address(const struct outline *instruction, uint64_t next, uint64_t *address) {
    if (!has_memory(instruction) || instruction->mod != 0)
        return false;
    uint64_t displacement = (uint64_t)instruction->displacement;
    if (instruction->rm == 5) {
        *address = next + displacement;
        return true;
    }
    if (instruction->rm == 4 && instruction->base == 5 && instruction->index == 4 && !instruction->rex_x) {
        *address = displacement;
        return true;
    }
    return false;
}

static unsigned modrm_register(const struct outline *instruction) {
    return instruction->reg | (unsigned)(instruction->rex_r) << 3;
}

static unsigned modrm_base(const struct outline *instruction) {
    return instruction->rm | (unsigned)(instruction->rex_b) << 3;
}

/* `jmp *table(,%index,8)`: a switch if the first entry lies in the function, else a table of functions. */
static bool is_absolute_switch(const struct sweep *sweep, const struct outline *instruction) {
    if (!has_memory(instruction) || instruction->rm != 4 || instruction->base != 5 || instruction->mod != 0)
        return false;
    const uint8_t *entry = object_at(sweep->object, (uint64_t)instruction->displacement, 8);
    if (entry == NULL || !sweep->absolute)
        return false;
    uint64_t target = read64(entry);
    return target >= sweep->function_start && target < sweep->function_end;
}

/* A slot that the loader fills with what a function of the same object chooses (IRELATIVE). */
static bool is_chosen(const struct object *object, uint64_t slot) {
    const struct relocation *relocation = object_relocation_at(object, slot);
    return relocation != NULL && relocation->type == R_X86_64_IRELATIVE;
}

/* Group 5: call and jump through registers and memory, push. */
static bool scan_group5(struct sweep *sweep, const struct outline *instruction, uint32_t address, uint32_t next) {
    unsigned operation = instruction->reg;
    uint64_t slot;
    bool constant = constant_address(instruction, next, &slot);
    uint32_t symbol = constant ? slot_symbol(sweep->object, slot) : NO_SYMBOL;
    if (operation == 2 && symbol != NO_SYMBOL)
        add_import_call(sweep, address, next, symbol);
    else if (operation == 4 && symbol != NO_SYMBOL)
        add_import_jump(sweep, address, symbol);
    else if (operation == 4) {
        if (instruction->mod == 3 && sweep->held_symbol != NO_SYMBOL &&
            sweep->held_register == modrm_base(instruction)) {
            add_import_jump(sweep, address, sweep->held_symbol);
            return true;
        }
        /* The head of a procedure linkage table goes on to the loader, and from there to the import. */
        if (sweep->only_stubs && sweep->pushed_slot)
            return true;
        bool table = is_absolute_switch(sweep, instruction) ||
                     (instruction->mod == 3 && sweep->added_age < RECENT_INSTRUCTIONS &&
                      sweep->added_register == modrm_base(instruction));
        add_indirect_jump(sweep, address, table, constant && is_chosen(sweep->object, slot));
    } else if (operation == 6 && symbol != NO_SYMBOL)
        return false;
    return true;
}

/* Where a switch is compiled to `movslq (%table,%index,4),%r; add %table,%r; jmp *%r`, a jump through r stays in the
 * function. Anything that looks otherwise counts as a tail call, which only makes the tail-call closure larger. */
static void watch_for_switch(struct sweep *sweep, const struct outline *instruction) {
    sweep->loaded_age++;
    sweep->added_age++;
    if (instruction->map != MAP_ONE_BYTE)
        return;
    if (instruction->opcode == 0x63 && has_memory(instruction) && instruction->rm == 4 && instruction->scale == 2) {
        sweep->loaded_register = (uint8_t)modrm_register(instruction);
        sweep->loaded_age = 0;
    }
    if ((instruction->opcode != 0x01 && instruction->opcode != 0x03) || instruction->mod != 3 ||
        sweep->loaded_age >= RECENT_INSTRUCTIONS)
        return;
    unsigned a = modrm_register(instruction), b = modrm_base(instruction);
    if (a != sweep->loaded_register && b != sweep->loaded_register)
        return;
    sweep->added_register = (uint8_t)(instruction->opcode == 0x01 ? b : a);
    sweep->added_age = 0;
}

/* `mov slot(%rip), %r; test %r, %r; je ...; jmp *%r`, with which every object ends its start-up code. */
static void watch_for_held_import(struct sweep *sweep, const struct outline *instruction, uint32_t next) {
    uint64_t slot;
    bool is_default = instruction->map == MAP_ONE_BYTE;
    if (is_default && instruction->opcode == 0x8b && constant_address(instruction, next, &slot)) {
        sweep->held_symbol = slot_symbol(sweep->object, slot);
        sweep->held_register = (uint8_t)modrm_register(instruction);
        return;
    }
    bool keeps = is_default && (instruction->opcode == 0x85 || (instruction->opcode & 0xf0) == 0x70);
    if (!keeps)
        sweep->held_symbol = NO_SYMBOL;
}

static bool is_variable(const struct object *object, uint64_t address) {
    return object_is_mapped(object, address) && !object_is_code(object, address) &&
           !object_is_relocated_constant(object, address, 1);
}

/* The start-up code of every object computes the bounds of an empty table, both of which are one address, and
 * compares them. The table is handed on, too, but what is empty leads to no variable. */
static bool is_empty_table(const struct sweep *sweep, const struct outline *instruction, uint32_t next,
                           uint64_t target) {
    const struct scan *scan = sweep->scan;
    const struct data_access *last = scan->taken_data_count == 0 ? NULL : &scan->taken_data[scan->taken_data_count - 1];
    if (last == NULL || last->target != target || next - last->source > 16)
        return false;
    if (instruction->opcode != 0x8d) /* cmp or sub $address */
        return instruction->opcode == 0x3d || instruction->opcode == 0x2d ||
               (instruction->opcode == 0x81 && (instruction->reg == 5 || instruction->reg == 7));
    const uint8_t *behind = object_at(sweep->object, next, 2);
    return behind != NULL && behind[0] == 0x48 && (behind[1] == 0x39 || behind[1] == 0x29);
}

static void take_data(struct sweep *sweep, const struct outline *instruction, uint32_t address, uint32_t next,
                      uint64_t target) {
    struct scan *scan = sweep->scan;
    if (target > UINT32_MAX || object_is_code(sweep->object, target))
        return;
    if (is_empty_table(sweep, instruction, next, target))
        scan->empty_table = (uint32_t)target;
    *array_append(scan->taken_data, scan->taken_data_count) = (struct data_access){(uint32_t)target, address};
}

/* An array at a fixed address, with an index. */
static void take_indexed_data(struct sweep *sweep, const struct outline *instruction, uint32_t address, uint32_t next) {
    uint64_t constant;
    if (!constant_address(instruction, next, &constant))
        take_data(sweep, instruction, address, next, (uint64_t)instruction->displacement & UINT32_MAX);
}

/* Addresses of code that the instruction computes, and slots of imported functions that it reads. */
static void scan_operands(struct sweep *sweep, const struct outline *instruction, uint32_t address, uint32_t next) {
    uint64_t constant;
    if (constant_address(instruction, next, &constant)) {
        bool is_default = instruction->map == MAP_ONE_BYTE;
        bool computes = is_default && instruction->opcode == 0x8d;
        bool compares = is_default && (instruction->opcode == 0x39 || instruction->opcode == 0x3b ||
                                       (instruction->opcode == 0x83 && instruction->reg == 7));
        uint32_t symbol;
        if (computes)
            take_data(sweep, instruction, address, next, constant);
        else if (is_variable(sweep->object, constant))
            *array_append(sweep->scan->data_accesses, sweep->scan->data_access_count) =
                (struct data_access){(uint32_t)constant, address};
        if (computes && object_is_code(sweep->object, constant))
            add_reference(sweep->scan, constant, address, false);
        else if (!computes && !compares && (symbol = slot_symbol(sweep->object, constant)) != NO_SYMBOL)
            *array_append(sweep->scan->slot_loads, sweep->scan->slot_load_count) =
                (struct slot_load){address, 0, symbol, false};
    }
    if (!sweep->absolute)
        return;
    if (instruction->immediate_size >= 4)
        take_data(sweep, instruction, address, next, instruction->immediate & UINT32_MAX);
    if (has_memory(instruction) && instruction->displacement_size == 4)
        take_indexed_data(sweep, instruction, address, next);
    if (instruction->immediate_size >= 4 && object_is_code(sweep->object, instruction->immediate))
        add_reference(sweep->scan, instruction->immediate, address, false);
    if (has_memory(instruction) && instruction->displacement_size == 4 && instruction->rm != 5 &&
        object_is_code(sweep->object, (uint64_t)instruction->displacement))
        add_reference(sweep->scan, (uint64_t)instruction->displacement, address, false);
}

/* Returns whether control may go on behind the instruction. */
static bool scan_instruction(struct sweep *sweep, const struct outline *instruction, uint32_t address) {
    uint32_t next = address + instruction->length;
    uint8_t opcode = instruction->opcode;
    if (instruction->map == MAP_VECTOR) {
        scan_operands(sweep, instruction, address, next);
        return true;
    }
    uint64_t branch = next + instruction->immediate;
    if (instruction->map == MAP_TWO_BYTES) {
        if (opcode >= 0x80 && opcode <= 0x8f) {
            add_jump(sweep, address, branch);
            return true;
        }
        scan_operands(sweep, instruction, address, next);
        return opcode != 0x0b && opcode != 0xff;
    }
    watch_for_switch(sweep, instruction);
    if (instruction->map != MAP_ONE_BYTE) {
        scan_operands(sweep, instruction, address, next);
        return true;
    }
    switch (opcode) {
    case 0xe8: add_call(sweep, address, next, branch); return true;
    case 0xe9:
    case 0xeb: add_jump(sweep, address, branch); return false;
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcf: sweep->current->returns = true; return false;
    case 0xcc:
    case 0xf4: return false;
    case 0xff:
        if (!scan_group5(sweep, instruction, address, next) || instruction->reg < 2)
            scan_operands(sweep, instruction, address, next);
        return instruction->reg != 4 && instruction->reg != 5;
    default:
        if ((opcode >= 0x70 && opcode <= 0x7f) || (opcode >= 0xe0 && opcode <= 0xe3))
            add_jump(sweep, address, branch);
        else
            scan_operands(sweep, instruction, address, next);
        return true;
    }
}

static bool is_call(const struct outline *instruction) {
    return instruction->map == MAP_ONE_BYTE &&
           (instruction->opcode == 0xe8 || (instruction->opcode == 0xff && instruction->reg == 2));
}

/* In a function that holds data, calls may hide behind bytes that were taken for something else. Whatever would call
 * or jump to the start of a function counts. */
static void search_calls(struct sweep *sweep, const struct function *function, const uint8_t *bytes, size_t length) {
    for (size_t offset = 0; offset + 5 <= length; offset++) {
        if (bytes[offset] != 0xe8 && bytes[offset] != 0xe9)
            continue;
        uint32_t address = function->start + (uint32_t)offset;
        uint64_t target = address + 5 + (uint64_t)(int64_t)(int32_t)read32(bytes + offset + 1);
        uint32_t callee = functions_at(sweep->functions, target);
        if (callee == NO_FUNCTION || sweep->functions->items[callee].start != target)
            continue;
        if (bytes[offset] == 0xe8)
            add_call(sweep, address, address + 5, target);
        else
            add_jump(sweep, address, target);
    }
}

/* endbr64, nop, push of a number or slot, jmp. */
static bool is_of_stub(const struct outline *instruction) {
    if (instruction->is_nop || instruction->is_endbr64)
        return true;
    if (instruction->map != MAP_ONE_BYTE)
        return false;
    return instruction->opcode == 0x68 || instruction->opcode == 0xe9 ||
           (instruction->opcode == 0xff && (instruction->reg == 4 || instruction->reg == 6));
}

/* A procedure linkage table makes no tail calls: whoever calls a stub is known as a caller of the import. Only a stub
 * that begins what looks like a function may be an exported wrapper and counts. */
static void drop_stubs(struct sweep *sweep, const struct function *function, size_t from) {
    struct scan *scan = sweep->scan;
    size_t kept = from;
    for (size_t i = from; i < scan->import_jump_count; i++) {
        if (scan->import_jumps[i].address - function->start <= 4 && function->kind != FUNCTION_GAP)
            scan->import_jumps[kept++] = scan->import_jumps[i];
    }
    scan->import_jump_count = kept;
}

static const char *reached_name(const struct sweep *sweep) {
    return sweep->reached_symbol == NO_SYMBOL ? NULL : sweep->object->symbols[sweep->reached_symbol].name;
}

static bool decode(const struct sweep *sweep, const uint8_t *bytes, size_t length, struct outline *instruction) {
    return (length >= OUTLINE_ROOM && outline_common(bytes, instruction)) ||
           outline_any(&sweep->decoder, bytes, length, instruction);
}

static void sweep_function(struct sweep *sweep, struct function *function) {
    size_t rest;
    const uint8_t *bytes = object_rest(sweep->object, function->start, &rest);
    if (bytes == NULL)
        return;
    sweep->current = function;
    fingerprint_begin(&sweep->fingerprint, sweep->object, function->start, function->end);
    sweep->function_start = function->start;
    sweep->function_end = function->end;
    sweep->loaded_age = sweep->added_age = RECENT_INSTRUCTIONS;
    size_t length = function->end - function->start, offset = 0;
    if (length > rest)
        length = rest;
    bool goes_on = false, falls_out = false;
    size_t jumps = sweep->scan->import_jump_count;
    sweep->only_stubs = true;
    sweep->pushed_slot = false;
    sweep->held_symbol = NO_SYMBOL;
    struct outline instruction;
    while (offset < length) {
        if (!decode(sweep, bytes + offset, length - offset, &instruction)) {
            function->undecodable = true;
            sweep->scan->undecoded_bytes++;
            offset++;
            goes_on = false;
            falls_out = true;
            sweep->only_stubs = false;
            continue;
        }
        uint32_t address = function->start + (uint32_t)offset;
        sweep->reached_symbol = NO_SYMBOL;
        goes_on = scan_instruction(sweep, &instruction, address);
        fingerprint_add(&sweep->fingerprint, &instruction, bytes + offset, length - offset, address,
                        reached_name(sweep));
        watch_for_held_import(sweep, &instruction, address + instruction.length);
        sweep->only_stubs = sweep->only_stubs && is_of_stub(&instruction);
        /* Two steps, for gcc reads the fields of one condition as one word, and waits for what was written as bytes. */
        sweep->pushed_slot = false;
        if (instruction.opcode == 0xff)
            sweep->pushed_slot = instruction.reg == 6;
        if (!instruction.is_nop)
            falls_out = goes_on;
        goes_on = goes_on && !is_call(&instruction);
        offset += instruction.length;
        sweep->scan->instruction_count++;
    }
    if (sweep->only_stubs)
        drop_stubs(sweep, function, jumps);
    if (function->undecodable || function->kind == FUNCTION_GAP)
        search_calls(sweep, function, bytes, length);
    function->fingerprint = fingerprint_end(&sweep->fingerprint);
    function->falls_out = goes_on;
    /* Where a function was only found, its end is a guess: it may lie in the middle of one, behind a call too. */
    if (function->kind == FUNCTION_FRAME ? goes_on : falls_out)
        add_jump(sweep, function->end - 1, function->end);
}

static void sweep_functions(struct sweep *sweep, bool framed) {
    for (size_t i = 0; i < sweep->functions->count; i++) {
        if ((sweep->functions->items[i].kind == FUNCTION_FRAME) == framed)
            sweep_function(sweep, &sweep->functions->items[i]);
    }
}

/* ---- Pointers in data ---- */

static void scan_relocations(const struct object *object, struct scan *scan) {
    for (size_t i = 0; i < object->relocation_count; i++) {
        const struct relocation *relocation = &object->relocations[i];
        uint64_t target = (uint64_t)relocation->addend;
        if (relocation->type != R_X86_64_RELATIVE && relocation->type != R_X86_64_IRELATIVE) {
            if (relocation->type != R_X86_64_64 || relocation->symbol == NO_SYMBOL ||
                !object->symbols[relocation->symbol].defined)
                continue;
            target += object->symbols[relocation->symbol].value;
        }
        if (object_is_code(object, target))
            add_reference(scan, target, relocation->address, true);
    }
}

/* Programs at fixed addresses have no relocations for pointers: any word that looks like one is taken for one. */
static void scan_words(const struct object *object, const struct functions *functions, struct scan *scan) {
    for (size_t i = 0; i < object->segment_count; i++) {
        const struct segment *segment = &object->segments[i];
        for (uint32_t offset = 0; offset + 8 <= segment->file_size; offset++) {
            uint64_t value = read64(segment->bytes + offset), address = (uint64_t)segment->address + offset;
            if (value > UINT32_MAX || value == 0 || !object_is_code(object, value) || object_is_code(object, address))
                continue;
            uint32_t function = functions_at(functions, value);
            if (address % 8 == 0 || functions->items[function].start == value)
                add_reference(scan, value, address, true);
        }
    }
}

static void scan_symbols(const struct object *object, struct scan *scan) {
    uint32_t others[] = {object->init, object->fini};
    for (size_t i = 0; i < 2; i++) {
        if (others[i] != 0 && object_is_code(object, others[i]))
            add_reference(scan, others[i], 0, true);
    }
}

static void scan_landing_pads(const struct object *object, struct functions *functions, struct scan *scan) {
    for (size_t i = 0; i < functions->count; i++) {
        uint32_t *pads = NULL;
        size_t count = 0;
        if (!function_landing_pads(object, &functions->items[i], &pads, &count))
            functions->items[i].undecodable = true;
        for (size_t j = 0; j < count; j++) {
            if (!object_is_code(object, pads[j]))
                continue;
            add_reference(scan, pads[j], 0, true);
            scan->references[scan->reference_count - 1].landing = true;
            if (pads[j] < functions->items[i].start || pads[j] >= functions->items[i].end)
                *array_append(scan->landings, scan->landing_count) =
                    (struct direct_jump){functions->items[i].start, 0, pads[j]};
        }
        free(pads);
    }
}

/* ---- Where signal handlers return to: mov $15 (rt_sigreturn), %rax; syscall ---- */

static void find_restorers(const struct object *object, struct scan *scan) {
    static const char wide[] = "\x48\xc7\xc0\x0f\0\0\0\x0f\x05", narrow[] = "\xb8\x0f\0\0\0\x0f\x05";
    for (size_t i = 0; i < object->code_count; i++) {
        size_t length;
        const uint8_t *bytes = object_rest(object, object->code[i].start, &length);
        if (bytes == NULL)
            continue;
        if (length > object->code[i].end - object->code[i].start)
            length = object->code[i].end - object->code[i].start;
        for (int form = 0; form < 2; form++) {
            const char *pattern = form == 0 ? wide : narrow;
            size_t size = form == 0 ? sizeof wide - 1 : sizeof narrow - 1, from = 0;
            const uint8_t *hit;
            while (from < length && (hit = memmem(bytes + from, length - from, pattern, size)) != NULL) {
                from = (size_t)(hit - bytes) + 1;
                *array_append(scan->restorers, scan->restorer_count) = object->code[i].start + (uint32_t)(from - 1);
            }
        }
    }
}

/* makecontext puts the address of a piece of code of its own where a call would have put the return address. */
static void find_context_starts(const struct object *object, const struct functions *functions, struct scan *scan) {
    for (size_t i = 0; i < object->symbol_count; i++) {
        if (!object->symbols[i].defined || strcmp(object->symbols[i].name, "makecontext") != 0)
            continue;
        uint32_t maker = functions_at(functions, object->symbols[i].value);
        for (size_t j = 0; maker != NO_FUNCTION && j < scan->reference_count; j++) {
            const struct reference *reference = &scan->references[j];
            if (!reference->data && functions_at(functions, reference->source) == maker)
                *array_append(scan->restorers, scan->restorer_count) = reference->target;
        }
    }
}

/* ---- The search by bytes ---- */

struct stubs {
    struct stub *items; /* ordered by address */
    size_t count;
};

static bool is_api(const struct object *object, uint32_t symbol) {
    return symbol != NO_SYMBOL && object->symbols[symbol].api != API_NONE;
}

/* Every place that jumps through the slot of an intercepted function: all that a call of one may target. */
static void find_stubs(const struct object *object, struct stubs *stubs) {
    for (size_t i = 0; i < object->code_count; i++) {
        uint32_t start = object->code[i].start;
        size_t length;
        const uint8_t *bytes = object_rest(object, start, &length);
        if (bytes == NULL)
            continue;
        if (length > object->code[i].end - start)
            length = object->code[i].end - start;
        const uint8_t *at = bytes;
        while (length >= 6 && (at = memchr(at, 0xff, length - 5 - (size_t)(at - bytes))) != NULL) {
            size_t offset = (size_t)(at - bytes);
            static const uint8_t before[] = {0, 1, 4, 5};
            for (size_t j = 0; at[1] == 0x25 && j < sizeof before; j++) {
                if (before[j] > offset)
                    continue;
                bool is_stub;
                uint32_t address = start + (uint32_t)offset - before[j];
                uint32_t symbol = stub_symbol(object, address, &is_stub);
                if (is_stub && is_api(object, symbol))
                    *array_append(stubs->items, stubs->count) = (struct stub){address, symbol};
            }
            if (++at >= bytes + length - 5)
                break;
        }
    }
}

static int compare_stubs(const void *a, const void *b) {
    const struct stub *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

static uint32_t find_stub(const struct stubs *stubs, uint64_t address) {
    if (stubs->count == 0 || address < stubs->items[0].address || address > stubs->items[stubs->count - 1].address)
        return NO_SYMBOL;
    struct stub key = {(uint32_t)address, 0};
    const struct stub *stub = bsearch(&key, stubs->items, stubs->count, sizeof key, compare_stubs);
    return stub == NULL ? NO_SYMBOL : stub->symbol;
}

static int compare_import_calls(const void *a, const void *b) {
    const struct import_call *x = a, *y = b;
    if (x->return_address != y->return_address)
        return x->return_address < y->return_address ? -1 : 1;
    return x->undecoded - y->undecoded;
}

static int compare_import_jumps(const void *a, const void *b) {
    const struct import_jump *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->undecoded - y->undecoded;
}

/* A hit at `address` whose operand ends at `next`: only added, the decoded ones are told apart afterwards. Prefixes
 * make the instruction begin earlier, but what counts of a call is where it ends. */
static void add_hit(struct scan *scan, uint32_t address, uint32_t next, uint32_t symbol, bool jump) {
    if (jump)
        *array_append(scan->import_jumps, scan->import_jump_count) = (struct import_jump){address, 0, symbol, true};
    else
        *array_append(scan->import_calls, scan->import_call_count) =
            (struct import_call){address, next, symbol, 0, true};
}

static void search_bytes(const struct object *object, const struct stubs *stubs, struct scan *scan) {
    for (size_t i = 0; i < object->code_count; i++) {
        uint32_t start = object->code[i].start;
        size_t length;
        const uint8_t *bytes = object_rest(object, start, &length);
        if (bytes == NULL)
            continue;
        if (length > object->code[i].end - start)
            length = object->code[i].end - start;
        for (size_t offset = 0; offset + 5 <= length; offset++) {
            uint8_t byte = bytes[offset];
            uint32_t address = start + (uint32_t)offset, symbol;
            if (byte == 0xe8 || byte == 0xe9) {
                symbol = find_stub(stubs, address + 5 + (uint64_t)(int64_t)(int32_t)read32(bytes + offset + 1));
                if (symbol != NO_SYMBOL)
                    add_hit(scan, address, address + 5, symbol, byte == 0xe9);
            } else if (byte == 0x0f && offset + 6 <= length && (bytes[offset + 1] & 0xf0) == 0x80) {
                symbol = find_stub(stubs, address + 6 + (uint64_t)(int64_t)(int32_t)read32(bytes + offset + 2));
                if (symbol != NO_SYMBOL)
                    add_hit(scan, address, address + 6, symbol, true);
            } else if (byte == 0xff && offset + 6 <= length && bytes[offset + 1] == 0x15) {
                symbol = slot_symbol(object, address + 6 + (uint64_t)(int64_t)(int32_t)read32(bytes + offset + 2));
                if (is_api(object, symbol))
                    add_hit(scan, address, address + 6, symbol, false);
            }
        }
    }
}

/* Whether a jump by bytes is the tail of one that was decoded: the same but for prefixes in front. */
static bool same_jump(const struct import_jump *a, const struct import_jump *b) {
    return a->symbol == b->symbol && b->address - a->address <= 3;
}

static void drop_decoded(struct scan *scan) {
    size_t kept = 0;
    if (scan->import_call_count > 0)
        qsort(scan->import_calls, scan->import_call_count, sizeof *scan->import_calls, compare_import_calls);
    for (size_t i = 0; i < scan->import_call_count; i++) {
        const struct import_call *call = &scan->import_calls[i];
        if (kept == 0 || call->return_address != scan->import_calls[kept - 1].return_address)
            scan->import_calls[kept++] = *call;
    }
    scan->import_call_count = kept;
    kept = 0;
    if (scan->import_jump_count > 0)
        qsort(scan->import_jumps, scan->import_jump_count, sizeof *scan->import_jumps, compare_import_jumps);
    for (size_t i = 0; i < scan->import_jump_count; i++) {
        const struct import_jump *jump = &scan->import_jumps[i];
        if (kept == 0 || !jump->undecoded || !same_jump(&scan->import_jumps[kept - 1], jump))
            scan->import_jumps[kept++] = *jump;
    }
    scan->import_jump_count = kept;
}

/* ---- Code without frame descriptions ---- */

static int compare_addresses(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void add_starts(const struct scan *scan, uint32_t **starts, size_t *count) {
    for (size_t i = 0; i < scan->call_count; i++)
        *array_append(*starts, *count) = scan->calls[i].target;
    for (size_t i = 0; i < scan->jump_count; i++)
        *array_append(*starts, *count) = scan->jumps[i].target;
    for (size_t i = 0; i < scan->reference_count; i++)
        *array_append(*starts, *count) = scan->references[i].target;
}

/* Functions in gaps begin where something calls, points or exports. */
static void split_gaps(const struct object *object, struct functions *functions, const struct scan *framed,
                       const struct scan *gaps) {
    uint32_t *starts = NULL;
    size_t count = 0;
    add_starts(framed, &starts, &count);
    add_starts(gaps, &starts, &count);
    for (size_t i = 0; i < object->symbol_count; i++) {
        if (object->symbols[i].defined)
            *array_append(starts, count) = object->symbols[i].value;
    }
    *array_append(starts, count) = object->entry;
    qsort(starts, count, sizeof *starts, compare_addresses);
    functions_split_gaps(functions, starts, count);
    free(starts);
}

static int compare_calls(const void *a, const void *b) {
    const struct direct_call *x = a, *y = b;
    return x->return_address < y->return_address ? -1 : x->return_address > y->return_address;
}

static int compare_references(const void *a, const void *b) {
    const struct reference *x = a, *y = b;
    if (x->target != y->target)
        return x->target < y->target ? -1 : 1;
    return x->source < y->source ? -1 : x->source > y->source;
}

const struct direct_call *scan_call(const struct scan *scan, uint32_t return_address) {
    struct direct_call key = {.return_address = return_address};
    return scan->call_count == 0 ? NULL : bsearch(&key, scan->calls, scan->call_count, sizeof key, compare_calls);
}

static int compare_accesses(const void *a, const void *b) {
    const struct data_access *x = a, *y = b;
    if (x->target != y->target)
        return x->target < y->target ? -1 : 1;
    return x->source < y->source ? -1 : x->source > y->source;
}

size_t data_accesses_from(const struct scan *scan, uint32_t start) {
    size_t low = 0, high = scan->data_access_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (scan->data_accesses[middle].target < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t references_from(const struct scan *scan, uint32_t start) {
    size_t low = 0, high = scan->reference_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (scan->references[middle].target < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Only now, with all gaps split, do functions have their final numbers. */
static void number_functions(const struct functions *functions, struct scan *scan) {
    for (size_t i = 0; i < scan->import_call_count; i++)
        scan->import_calls[i].function = functions_at(functions, scan->import_calls[i].address);
    for (size_t i = 0; i < scan->jump_count; i++)
        scan->jumps[i].function = functions_at(functions, scan->jumps[i].address);
    for (size_t i = 0; i < scan->landing_count; i++)
        scan->landings[i].function = functions_at(functions, scan->landings[i].address);
    for (size_t i = 0; i < scan->import_jump_count; i++)
        scan->import_jumps[i].function = functions_at(functions, scan->import_jumps[i].address);
    for (size_t i = 0; i < scan->indirect_jump_count; i++)
        scan->indirect_jumps[i].function = functions_at(functions, scan->indirect_jumps[i].address);
    for (size_t i = 0; i < scan->slot_load_count; i++)
        scan->slot_loads[i].function = functions_at(functions, scan->slot_loads[i].address);
}

/* Code in gaps is swept twice: first only to learn where its functions begin. */
static void sweep_gaps(struct sweep *sweep) {
    struct scan first = {0}, *scan = sweep->scan;
    sweep->scan = &first;
    sweep_functions(sweep, false);
    split_gaps(sweep->object, sweep->functions, scan, &first);
    scan_free(&first);
    sweep->scan = scan;
    sweep_functions(sweep, false);
}

static void order(struct scan *scan) {
    if (scan->call_count > 0)
        qsort(scan->calls, scan->call_count, sizeof *scan->calls, compare_calls);
    if (scan->reference_count > 0)
        qsort(scan->references, scan->reference_count, sizeof *scan->references, compare_references);
    if (scan->data_access_count > 0)
        qsort(scan->data_accesses, scan->data_access_count, sizeof *scan->data_accesses, compare_accesses);
}

void scan_object(const struct object *object, struct functions *functions, struct scan *scan) {
    *scan = (struct scan){0};
    struct sweep sweep = {.object = object, .functions = functions, .scan = scan, .absolute = object->type == ET_EXEC};
    ZydisDecoderInit(&sweep.decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisDecoderEnableMode(&sweep.decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
    scan_relocations(object, scan);
    scan_symbols(object, scan);
    scan_landing_pads(object, functions, scan);
    sweep_functions(&sweep, true);
    sweep_gaps(&sweep);
    if (sweep.absolute)
        scan_words(object, functions, scan);
    struct stubs stubs = {0};
    find_stubs(object, &stubs);
    if (stubs.count > 0)
        qsort(stubs.items, stubs.count, sizeof *stubs.items, compare_stubs);
    search_bytes(object, &stubs, scan);
    free(stubs.items);
    drop_decoded(scan);
    find_restorers(object, scan);
    find_context_starts(object, functions, scan);
    order(scan);
    number_functions(functions, scan);
}

void scan_free(struct scan *scan) {
    free(scan->calls);
    free(scan->import_calls);
    free(scan->jumps);
    free(scan->import_jumps);
    free(scan->landings);
    free(scan->indirect_jumps);
    free(scan->slot_loads);
    free(scan->references);
    free(scan->data_accesses);
    free(scan->taken_data);
    free(scan->restorers);
    *scan = (struct scan){0};
}
