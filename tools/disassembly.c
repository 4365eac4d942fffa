/* Decoding with Zydis. The bytes come from a file that nobody vouches for: decoding stops where it makes no sense. */
#include "tools/disassembly.h"

#include <Zydis/Zydis.h>
#include <ctype.h>
#include <string.h>

#include "runtime/util.h"

enum {
    MAX_INSTRUCTION = 15,
    LOOK_BACK = 64,
    MAX_STRING = 60,
    MAX_FUNCTION = 1 << 20
};

struct decoded {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool decode(const struct object *object, uint64_t address, struct decoded *decoded) {
    static ZydisDecoder decoder;
    static bool ready;
    if (!ready)
        ready = ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
    for (size_t length = MAX_INSTRUCTION; ready && length > 0; length--) {
        const void *bytes = object_at(object, address, length);
        if (!bytes)
            continue; /* near the end of the segment */
        return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, length, &decoded->instruction, decoded->operands));
    }
    return false;
}

/* Whether decoding from `start` arrives exactly at `end`. */
static bool arrives(const struct object *object, uint64_t start, uint64_t end) {
    struct decoded decoded;
    while (start < end && decode(object, start, &decoded))
        start += decoded.instruction.length;
    return start == end;
}

/* An address before `end` from which decoding meets it: the function's start, or as far back as it works. */
static uint64_t find_start(const struct object *object, uint64_t end) {
    uint64_t first;
    uint64_t last;
    if (object_function(object, end - 1, &first, &last) && first < end && end - first <= MAX_FUNCTION &&
        arrives(object, first, end))
        return first;
    for (uint64_t back = LOOK_BACK; back > 0; back--)
        if (back <= end && object_at(object, end - back, back) && arrives(object, end - back, end))
            return end - back;
    return end;
}

/* The slot that `jmp [slot]` in a stub of the procedure linkage table goes through. */
static const char *name_of_stub(const struct object *object, uint64_t address) {
    struct decoded decoded;
    for (int i = 0; i < 3 && decode(object, address, &decoded); i++) {
        uint64_t slot;
        if (decoded.instruction.mnemonic == ZYDIS_MNEMONIC_JMP &&
            decoded.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
            ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&decoded.instruction, &decoded.operands[0], address, &slot)))
            return object_import_of_slot(object, slot);
        if (decoded.instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
            return NULL;
        address += decoded.instruction.length;
    }
    return NULL;
}

static char *quote_string(const char *text) {
    size_t length = 0;
    while (length < MAX_STRING && text[length]) {
        if (!isprint((unsigned char)text[length]))
            return NULL;
        length++;
    }
    if (length < 2)
        return NULL;
    return xasprintf("\"%.*s\"%s", (int)length, text, text[length] ? "..." : "");
}

static char *comment_on(const struct object *object, uint64_t target, bool is_branch, bool is_memory) {
    const char *import = object_import_of_slot(object, target);
    if (import && *import && is_memory)
        return xstrdup(import);
    if (is_branch && !is_memory) {
        const char *stub = name_of_stub(object, target);
        struct symbol symbol;
        if (stub && *stub)
            return xstrdup(stub);
        if (object_symbol(object, target, &symbol) && symbol.address == target)
            return xstrdup(symbol.name);
        return NULL;
    }
    const char *text = is_memory ? NULL : object_text_at(object, target);
    return text ? quote_string(text) : NULL;
}

/* What the first operand with an absolute address refers to. */
static char *comment_of(const struct object *object, const struct decoded *decoded, uint64_t address) {
    bool is_branch = decoded->instruction.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    bool is_lea = decoded->instruction.mnemonic == ZYDIS_MNEMONIC_LEA;
    for (size_t i = 0; i < decoded->instruction.operand_count_visible; i++) {
        const ZydisDecodedOperand *operand = &decoded->operands[i];
        uint64_t target;
        bool is_memory = operand->type == ZYDIS_OPERAND_TYPE_MEMORY;
        bool is_relative = is_memory ? operand->mem.base == ZYDIS_REGISTER_RIP
                                     : operand->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && operand->imm.value.u > 4096;
        if (is_relative && ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(&decoded->instruction, operand, address, &target)))
            return comment_on(object, target, is_branch, is_memory && !is_lea);
        if (is_relative && !is_memory && !is_branch)
            return comment_on(object, operand->imm.value.u, false, false);
    }
    return NULL;
}

static const ZydisFormatter *formatter(void) {
    static ZydisFormatter formatter;
    static bool ready;
    if (!ready) {
        ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
        ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_PADDING_DISABLED);
        ZydisFormatterSetProperty(&formatter, ZYDIS_FORMATTER_PROP_HEX_UPPERCASE, ZYAN_FALSE);
        ready = true;
    }
    return &formatter;
}

static void add_line(struct listing *listing, const struct object *object, const struct decoded *decoded,
                     uint64_t address) {
    struct instruction_line *line = array_append(listing->lines, listing->count);
    line->address = address;
    ZydisFormatterFormatInstruction(formatter(), &decoded->instruction, decoded->operands,
                                    decoded->instruction.operand_count_visible, line->text, sizeof line->text, address,
                                    NULL);
    line->comment = comment_of(object, decoded, address);
}

static void drop_first_lines(struct listing *listing, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(listing->lines[i].comment);
    memmove(listing->lines, listing->lines + count, (listing->count - count) * sizeof *listing->lines);
    listing->count -= count;
}

struct listing disassemble_call(const struct object *object, uint64_t return_address, size_t before, size_t after) {
    struct listing listing = {0};
    struct decoded decoded;
    uint64_t address = find_start(object, return_address);
    while (address < return_address && decode(object, address, &decoded)) {
        if (listing.count > before)
            drop_first_lines(&listing, 1);
        add_line(&listing, object, &decoded, address);
        address += decoded.instruction.length;
        listing.found_call = address == return_address && decoded.instruction.meta.category == ZYDIS_CATEGORY_CALL;
    }
    if (listing.count && listing.found_call)
        listing.lines[listing.count - 1].is_call = true;
    for (size_t i = 0; i < after && decode(object, address, &decoded); i++) {
        add_line(&listing, object, &decoded, address);
        address += decoded.instruction.length;
    }
    return listing;
}

void listing_free(struct listing *listing) {
    if (listing->lines)
        drop_first_lines(listing, listing->count);
    free(listing->lines);
    *listing = (struct listing){0};
}
