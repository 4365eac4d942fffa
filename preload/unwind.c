/* See unwind.h. libunwind's generic build is used, on an address space of our own: every word it reads goes through
 * read_memory below, and its functions that lock, allocate or ask the loader are not even linked.
 */
#include "preload/unwind.h"
#include "preload/calls.h"
#include "preload/copy.h"
#include "preload/libc.h"
#include "preload/modules.h"

/* After all others: it defines macros of everyday names. */
#define NDEBUG
#include <libunwind_i.h>

_Static_assert(sizeof(struct cursor) <= UNWIND_STATE_BYTES, "struct unwind holds a cursor");
_Static_assert(DWARF_NUM_PRESERVED_REGS == UNWIND_REGISTERS, "registers by their DWARF numbers");

/* The sorted table of .eh_frame_hdr in the one form that linkers write. */
#define ENCODING_COUNT 0x03 /* udata4 */
#define ENCODING_TABLE 0x3b /* sdata4, relative to the header */

struct frame_header {
    uint8_t version, frames_encoding, count_encoding, table_encoding;
    int32_t frames;
    uint32_t count;
    struct {
        int32_t function, description;
    } table[];
};

static struct cursor *cursor_of(struct unwind *unwind) {
    return (struct cursor *)unwind->cursor;
}

/* ---- what libunwind may ask of its address space ---- */

static bool in_segment(struct unwind *unwind, uint64_t address) {
    return address >= unwind->segment.low && address < unwind->segment.high && unwind->segment.high - address >= 8;
}

static bool find_segment(struct unwind *unwind, uint64_t address) {
    struct mapped_module module;
    if (!module_copy(cursor_of(unwind)->dwarf.ip - !unwind->exact, &module))
        module.readable_count = 0;
    for (unsigned i = 0; i < module.readable_count; i++) {
        unwind->segment.low = module.readable[i].low & ~(uint64_t)7;
        unwind->segment.high = (module.readable[i].high + 7) & ~(uint64_t)7;
        if (in_segment(unwind, address))
            return true;
    }
    unwind->segment = (struct stack_range){0, 0};
    return false;
}

static int read_memory(unw_addr_space_t space, unw_word_t address, unw_word_t *value, int write, void *argument) {
    struct unwind *unwind = argument;
    (void)space;
    if (write)
        return -UNW_EINVAL;
    if (!in_segment(unwind, address)) {
        bool on_stack = address >= unwind->stack.low && address < unwind->stack.high &&
                        unwind->stack.high - address >= 8 && (unwind->trusted || memory_is_readable(address));
        if (!on_stack && !find_segment(unwind, address))
            return -UNW_EINVAL;
    }
    memcpy(value, (const void *)address, sizeof *value);
    return 0;
}

static int read_register(unw_addr_space_t space, unw_regnum_t number, unw_word_t *value, int write, void *argument) {
    const struct unwind *unwind = argument;
    (void)space;
    if (write || number < 0 || number >= UNWIND_REGISTERS || !(unwind->known >> number & 1))
        return -UNW_EBADREG;
    *value = unwind->registers[number];
    return 0;
}

static uint64_t find_description(const struct mapped_module *module, uint64_t address) {
    const struct frame_header *header = (const struct frame_header *)module->frame_header;
    if (header == NULL || !module_holds(module, module->frame_header, sizeof *header) || header->version != 1 ||
        header->count_encoding != ENCODING_COUNT || header->table_encoding != ENCODING_TABLE ||
        !module_holds(module, module->frame_header, sizeof *header + 8ul * header->count))
        return 0;
    int64_t wanted = (int64_t)(address - module->frame_header);
    uint32_t low = 0, high = header->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (header->table[middle].function <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? 0 : module->frame_header + (uint64_t)header->table[low - 1].description;
}

static int find_information(unw_addr_space_t space, unw_word_t address, unw_proc_info_t *information, int in_full,
                            void *argument) {
    struct mapped_module module;
    unw_word_t description = module_copy(address, &module) ? find_description(&module, address) : 0;
    if (description == 0)
        return -UNW_ENOINFO;
    int result =
        dwarf_extract_proc_info_from_fde(space, &space->acc, &description, information, 0, in_full, 0, argument);
    if (result < 0)
        return result;
    return address >= information->start_ip && address < information->end_ip ? 0 : -UNW_ENOINFO;
}

static void put_information(unw_addr_space_t space, unw_proc_info_t *information, void *argument) {
    (void)space, (void)information, (void)argument;
}

static int no_dynamic_information(unw_addr_space_t space, unw_word_t *address, void *argument) {
    (void)space, (void)address, (void)argument;
    return -UNW_ENOINFO;
}

/* The first members of an address space; the rest, 40 KiB of caches, is never touched under this policy. */
static const struct {
    struct unw_accessors functions;
    unw_caching_policy_t caching;
    uint32_t generation;
    unw_word_t dynamic_generation, dynamic_list;
} address_space = {
    .functions = {.find_proc_info = find_information,
                  .put_unwind_info = put_information,
                  .get_dyn_info_list_addr = no_dynamic_information,
                  .access_mem = read_memory,
                  .access_reg = read_register},
    .caching = UNW_CACHE_NONE,
};
_Static_assert(offsetof(struct unw_addr_space, caching_policy) == sizeof(struct unw_accessors), "address_space");
_Static_assert(offsetof(struct unw_addr_space, global_cache) >= sizeof address_space, "address_space");

/* ---- stepping ---- */

void unwind_begin(struct unwind *unwind) {
    struct cursor *cursor = cursor_of(unwind);
    memset(cursor, 0, sizeof *cursor);
    cursor->dwarf.as = (unw_addr_space_t)(uintptr_t)&address_space;
    cursor->dwarf.as_arg = unwind;
    cursor->dwarf.ip = unwind->registers[UNWIND_RIP];
    cursor->dwarf.cfa = unwind->registers[UNWIND_RSP];
    cursor->dwarf.stash_frames = 1;
    cursor->dwarf.use_prev_instr = !unwind->exact;
    for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
        cursor->dwarf.loc[i] = DWARF_REG_LOC(&cursor->dwarf, (unw_word_t)i);
    unwind->segment = (struct stack_range){0, 0};
}

static enum frame_kind describe(const struct cursor *cursor, struct frame_rule *rule) {
    const unw_tdep_frame_t *frame = &cursor->frame_info;
    bool rbp_lost = cursor->dwarf.loc[UNWIND_RBP].val == 0 && cursor->dwarf.loc[UNWIND_RBP].type == 0;
    rule->cfa_offset = frame->cfa_reg_offset;
    rule->rbp_offset = frame->rbp_cfa_offset == -1 ? RBP_NOT_SAVED : frame->rbp_cfa_offset;
    if (frame->frame_type == UNW_X86_64_FRAME_ALIGNED && !rbp_lost)
        return FRAME_REALIGNED;
    if (frame->frame_type != UNW_X86_64_FRAME_STANDARD || frame->rsp_cfa_offset != -1 || rbp_lost)
        return FRAME_UNUSUAL;
    return frame->cfa_reg_rsp ? FRAME_FROM_RSP : FRAME_FROM_RBP;
}

enum frame_kind unwind_step(struct unwind *unwind, struct frame_rule *rule, bool *stepped) {
    struct cursor *cursor = cursor_of(unwind);
    unw_word_t before = cursor->dwarf.cfa;
    cursor->frame_info = (unw_tdep_frame_t){
        .frame_type = UNW_X86_64_FRAME_OTHER, .cfa_reg_rsp = -1, .rbp_cfa_offset = -1, .rsp_cfa_offset = -1};
    cursor->dwarf.pi.start_ip = 0;
    int result = dwarf_step(&cursor->dwarf);
    rule->function = cursor->dwarf.pi.start_ip;
    *stepped = result > 0;
    if (result > 0)
        return describe(cursor, rule);
    if (result == 0)
        return FRAME_START;
    if (result == -UNW_EBADREG || result == -UNW_ENOMEM)
        return FRAME_UNUSUAL;
    if (cursor->dwarf.cfa != before &&
        (cursor->dwarf.cfa <= unwind->stack.low || cursor->dwarf.cfa > unwind->stack.high))
        return FRAME_ASTRAY;
    return FRAME_BLIND;
}

uint64_t unwind_address(const struct unwind *unwind) {
    return ((const struct cursor *)unwind->cursor)->dwarf.ip;
}

uint64_t unwind_stack_pointer(const struct unwind *unwind) {
    return ((const struct cursor *)unwind->cursor)->dwarf.cfa;
}

bool unwind_frame_pointer(struct unwind *unwind, uint64_t *value) {
    struct cursor *cursor = cursor_of(unwind);
    return dwarf_get(&cursor->dwarf, cursor->dwarf.loc[UNWIND_RBP], value) == 0;
}

uint64_t unwind_function(uint64_t address) {
    struct unwind unwind = {.exact = true};
    unw_proc_info_t information;
    memset(&information, 0, sizeof information);
    cursor_of(&unwind)->dwarf.ip = address;
    unw_addr_space_t space = (unw_addr_space_t)(uintptr_t)&address_space;
    return find_information(space, address, &information, 0, &unwind) == 0 ? information.start_ip : 0;
}
