/* Finds, section by section, how far its variables are out of reach for pointers. Sections that are not told apart, as
 * where section headers are missing, have no variables that count.
 */
#include "policygen/globals.h"

#include <stdlib.h>

#include "policygen/scan.h"
#include "runtime/util.h"

/* How far before an object its address may be computed. */
#define MARGIN 16

/* ---- Sections ---- */

static void add_regions(const struct object *object, struct globals *globals) {
    Elf64_Shdr section;
    for (size_t i = 0; object_section(object, i, &section); i++) {
        bool is_data = (section.sh_flags & (SHF_ALLOC | SHF_WRITE | SHF_TLS)) == (SHF_ALLOC | SHF_WRITE) &&
                       (section.sh_type == SHT_PROGBITS || section.sh_type == SHT_NOBITS);
        if (is_data && section.sh_addr < UINT32_MAX && section.sh_size < UINT32_MAX - section.sh_addr) {
            uint32_t start = (uint32_t)section.sh_addr, end = (uint32_t)(section.sh_addr + section.sh_size);
            *array_append(globals->regions, globals->region_count) = (struct data_region){start, end, end};
        }
    }
}

/* ---- Addresses that pointers may hold ---- */

/* The end of the object that begins at or holds the address, if a symbol tells it. */
static bool sized_end(const struct object *object, const struct globals *globals, uint32_t address, uint64_t *end) {
    for (size_t i = 0; i < globals->sized_count; i++) {
        const struct symbol *symbol = &object->symbols[globals->sized[i]];
        *end = (uint64_t)symbol->value + symbol->size;
        if (address >= symbol->value && address < *end)
            return true;
    }
    return false;
}

static void open_from(const struct object *object, struct globals *globals, uint64_t address) {
    uint64_t end;
    if (address > UINT32_MAX || sized_end(object, globals, (uint32_t)address, &end))
        return;
    for (size_t i = 0; i < globals->region_count; i++) {
        struct data_region *region = &globals->regions[i];
        if (address + MARGIN >= region->start && address < region->open_from)
            region->open_from = address < region->start ? region->start : (uint32_t)address;
    }
}

/* Every object has __dso_handle, which points to itself, next to the start of its data. */
static bool is_own_handle(const struct globals *globals, const struct relocation *relocation) {
    for (size_t i = 0; i < globals->region_count; i++) {
        uint32_t start = globals->regions[i].start;
        if ((uint64_t)relocation->addend == relocation->address &&
            (relocation->address == start || relocation->address == start + 8))
            return true;
    }
    return false;
}

static void open_relocated(const struct object *object, struct globals *globals) {
    for (size_t i = 0; i < object->relocation_count; i++) {
        const struct relocation *relocation = &object->relocations[i];
        uint64_t target = (uint64_t)relocation->addend;
        if (relocation->type == R_X86_64_64 && relocation->symbol != NO_SYMBOL)
            target += object->symbols[relocation->symbol].value;
        else if (relocation->type != R_X86_64_RELATIVE)
            continue;
        if (!is_own_handle(globals, relocation))
            open_from(object, globals, target);
    }
}

/* Objects at fixed addresses need no relocations for pointers. */
static void open_words(const struct object *object, struct globals *globals) {
    for (size_t i = 0; i < object->segment_count; i++) {
        const struct segment *segment = &object->segments[i];
        for (uint32_t offset = 0; offset + 8 <= segment->file_size; offset += 4) {
            uint64_t value = read64(segment->bytes + offset), at = (uint64_t)segment->address + offset;
            struct relocation word = {.address = (uint32_t)at, .addend = (int64_t)value};
            if (value != 0 && value <= UINT32_MAX && !is_own_handle(globals, &word))
                open_from(object, globals, value);
        }
    }
}

static void find_sized(const struct object *object, struct globals *globals) {
    for (size_t i = 0; i < object->symbol_count; i++) {
        const struct symbol *symbol = &object->symbols[i];
        if (symbol->defined && symbol->type == STT_OBJECT && symbol->size > 0)
            *array_append(globals->sized, globals->sized_count) = (uint32_t)i;
    }
}

void globals_find(const struct object *object, const struct scan *scan, bool complete, struct globals *globals) {
    *globals = (struct globals){0};
    if (!complete || object->text_relocations)
        return;
    add_regions(object, globals);
    find_sized(object, globals);
    for (size_t i = 0; i < object->symbol_count; i++) {
        const struct symbol *symbol = &object->symbols[i];
        if (symbol->defined && (symbol->type != STT_OBJECT || symbol->size == 0))
            open_from(object, globals, symbol->value);
    }
    open_relocated(object, globals);
    for (size_t i = 0; i < scan->taken_data_count; i++) {
        if (scan->taken_data[i].target != scan->empty_table)
            open_from(object, globals, scan->taken_data[i].target);
    }
    if (object->type == ET_EXEC)
        open_words(object, globals);
}

void globals_free(struct globals *globals) {
    free(globals->regions);
    free(globals->sized);
    *globals = (struct globals){0};
}

bool globals_is_simple(const struct object *object, const struct globals *globals, uint64_t address, unsigned size) {
    uint64_t end;
    for (size_t i = 0; i < globals->region_count; i++) {
        const struct data_region *region = &globals->regions[i];
        if (address >= region->start && address + size <= region->open_from)
            return !sized_end(object, globals, (uint32_t)address, &end) &&
                   !sized_end(object, globals, (uint32_t)(address + size - 1), &end);
    }
    return false;
}
