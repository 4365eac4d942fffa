/* See calls.h. The decoder knows the call instructions of 64-bit code and nothing else. Where bytes can be read
 * in two ways, the one that proves less is taken.
 */
#include "preload/calls.h"

#include <stddef.h>

#include "preload/libc.h"
#include "preload/state.h"

/* A jump through a table may lead to another one: the program's entry stands for a function's address. */
#define TABLES_MAX 3

bool module_holds(const struct mapped_module *module, uint64_t address, uint64_t size) {
    for (unsigned i = 0; i < module->readable_count; i++)
        if (address >= module->readable[i].low && address < module->readable[i].high &&
            size <= module->readable[i].high - address)
            return true;
    return false;
}

static bool code_is(const struct mapped_module *module, uint64_t address, const char *bytes, size_t size) {
    return module_holds(module, address, size) && memcmp((const void *)address, bytes, size) == 0;
}

static int32_t displacement_at(uint64_t address) {
    int32_t displacement;
    memcpy(&displacement, (const void *)address, sizeof displacement);
    return displacement;
}

static uint64_t word_at(uint64_t address) {
    return *(const uint64_t *)address;
}

/* ---- before the return address ---- */

/* The length of an instruction FF /2 from its ModRM and SIB bytes; 0 for another operation. */
static unsigned indirect_length(uint8_t modrm, uint8_t sib) {
    unsigned mode = modrm >> 6, memory = modrm & 7;
    if ((modrm >> 3 & 7) != 2)
        return 0;
    if (mode == 3)
        return 2;
    unsigned length = memory == 4 ? 3 : 2;
    if (mode == 1)
        return length + 1;
    if (mode == 2 || memory == 5 || (memory == 4 && (sib & 7) == 5))
        return length + 4;
    return length;
}

static bool follows_indirect_call(const uint8_t *end, uint64_t readable) {
    for (unsigned length = 2; length <= 7 && length <= readable; length++)
        if (end[-(int)length] == 0xff && indirect_length(end[1 - (int)length], end[2 - (int)length]) == length)
            return true;
    return false;
}

/* ---- behind the call's target ---- */

/* endbr64 and the prefix of a bounds-checked jump change nothing. */
static uint64_t skip_prefixes(const struct mapped_module *module, uint64_t address) {
    if (code_is(module, address, "\xf3\x0f\x1e\xfa", 4))
        address += 4;
    if (code_is(module, address, "\xf2", 1))
        address++;
    return address;
}

/* Whether this is the part of a linkage table entry that asks the loader to bind it: push number; jmp start. */
static bool is_unbound(const struct mapped_module *module, uint64_t address) {
    if (code_is(module, address, "\xf3\x0f\x1e\xfa", 4))
        address += 4;
    if (!code_is(module, address, "\x68", 1) || !module_holds(module, address, 11))
        return false;
    const uint8_t *jump = (const uint8_t *)address + 5;
    return jump[0] == 0xe9 || (jump[0] == 0xf2 && jump[1] == 0xe9);
}

/* A thunk that stands for an indirect jump, against speculation: call over a loop; pause. */
static bool is_speculation_thunk(const struct mapped_module *module, uint64_t address) {
    return code_is(module, address, "\xe8", 1) && code_is(module, address + 5, "\xf3\x90", 2);
}

static uint64_t resolver_of(const struct mapped_module *module) {
    for (const Elf64_Dyn *entry = module->dynamic;
         entry != NULL && module_holds(module, (uint64_t)entry, sizeof *entry); entry++) {
        if (entry->d_tag == DT_NULL)
            return 0;
        if (entry->d_tag != DT_PLTGOT)
            continue;
        uint64_t table = entry->d_un.d_ptr < module->low ? entry->d_un.d_ptr + module->bias : entry->d_un.d_ptr;
        return module_holds(module, table, 24) ? word_at(table + 16) : 0;
    }
    return 0;
}

/* Follows jumps through tables from a target. */
static struct call_instruction resolve(uint64_t target) {
    struct call_instruction call = {CALL_KNOWN, target, 0};
    for (unsigned i = 0; i < TABLES_MAX; i++) {
        struct mapped_module copy, *module = &copy;
        if (!module_copy(call.target, &copy) || is_speculation_thunk(module, call.target) ||
            is_unbound(module, call.target))
            return (struct call_instruction){CALL_ANYWHERE, 0, 0};
        uint64_t jump = skip_prefixes(module, call.target);
        if (module->shim || !code_is(module, jump, "\xff\x25", 2) || !module_holds(module, jump, 6))
            return call;
        uint64_t entry = jump + 6 + (uint64_t)displacement_at(jump + 2);
        if (!module_holds(module, entry, 8))
            return (struct call_instruction){CALL_ANYWHERE, 0, 0};
        call.resolver = resolver_of(module);
        call.target = word_at(entry);
    }
    return (struct call_instruction){CALL_ANYWHERE, 0, 0};
}

/* call *entry(%rip): known where the entry is sealed by the loader, for then it was the same at the call. */
static struct call_instruction resolve_entry(const struct mapped_module *module, uint64_t return_address) {
    uint64_t entry = return_address + (uint64_t)displacement_at(return_address - 4);
    if (entry < module->relro_low || entry + 8 > module->relro_high || !module_holds(module, entry, 8))
        return (struct call_instruction){CALL_ANYWHERE, 0, 0};
    return resolve(word_at(entry));
}

struct call_instruction call_before(const struct mapped_module *module, uint64_t return_address) {
    const uint8_t *end = (const uint8_t *)return_address;
    uint64_t readable = return_address - module->code_low;
    if (readable < 2 || !module_holds(module, return_address - 2, 2))
        return (struct call_instruction){CALL_NONE, 0, 0};
    if (readable >= 6 && end[-6] == 0xff && end[-5] == 0x15)
        return resolve_entry(module, return_address);
    if (follows_indirect_call(end, readable))
        return (struct call_instruction){CALL_ANYWHERE, 0, 0};
    if (readable >= 5 && end[-5] == 0xe8) {
        uint64_t target = return_address + (uint64_t)displacement_at(return_address - 4);
        if (module_of_code(target) != NULL)
            return resolve(target);
    }
    return (struct call_instruction){CALL_NONE, 0, 0};
}

bool is_after_indirect_call(const struct mapped_module *module, uint64_t return_address) {
    uint64_t readable = return_address - module->code_low;
    return call_before(module, return_address).kind == CALL_ANYWHERE ||
           (readable >= 2 && module_holds(module, return_address - 2, 2) &&
            follows_indirect_call((const uint8_t *)return_address, readable));
}

/* ---- special places ---- */

bool is_signal_return(const struct mapped_module *module, uint64_t address) {
    return code_is(module, address, "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9) || /* mov $15, %rax; syscall */
           code_is(module, address, "\xb8\x0f\x00\x00\x00\x0f\x05", 7);
}

bool is_context_end(const struct mapped_module *module, uint64_t address) {
    if (code_is(module, address, "\xf3\x0f\x1e\xfa", 4))
        address += 4;
    return code_is(module, address, "\x48\x89\xdc\x48\x8b\x3c\x24", 7); /* mov %rbx, %rsp; mov (%rsp), %rdi */
}
