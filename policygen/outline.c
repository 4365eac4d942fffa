/* Two decoders for one description. The quick one takes only what is an instruction in every form that its tables let
 * through; a test holds it against the other one, byte for byte.
 */
#include "policygen/outline.h"

#include <string.h>

#include "policygen/object.h"

/* What stands behind an opcode that the quick decoder knows. */
enum layout {
    KNOWN = 1,
    MODRM = 2,
    BYTE = 4,       /* an immediate of one byte */
    WORD = 8,       /* of 4 bytes, or of 2 with the prefix 66 and without REX.W */
    DISTANCE = 16,  /* the immediate is one */
    MEMORY = 32,    /* only with an operand in memory */
    NARROW = 64,    /* not with the prefix 66 */
    BY_GROUP = 128, /* ModR/M decides further */
};

static const uint8_t one_byte[256] = {
#define ARITHMETIC(first) \
    [first...(first) + 3] = KNOWN | MODRM, [(first) + 4] = KNOWN | BYTE, [(first) + 5] = KNOWN | WORD
    ARITHMETIC(0x00),
    ARITHMETIC(0x08),
    ARITHMETIC(0x10),
    ARITHMETIC(0x18),
    ARITHMETIC(0x20),
    ARITHMETIC(0x28),
    ARITHMETIC(0x30),
    ARITHMETIC(0x38),
#undef ARITHMETIC
    [0x50 ... 0x5f] = KNOWN,
    [0x63] = KNOWN | MODRM | NARROW,
    [0x68] = KNOWN | WORD | NARROW,
    [0x69] = KNOWN | MODRM | WORD,
    [0x6a] = KNOWN | BYTE,
    [0x6b] = KNOWN | MODRM | BYTE,
    [0x70 ... 0x7f] = KNOWN | BYTE | DISTANCE | NARROW,
    [0x80] = KNOWN | MODRM | BYTE,
    [0x81] = KNOWN | MODRM | WORD,
    [0x83] = KNOWN | MODRM | BYTE,
    [0x84 ... 0x8b] = KNOWN | MODRM,
    [0x8d] = KNOWN | MODRM | MEMORY,
    [0x90] = KNOWN | NARROW | BY_GROUP,
    [0x98 ... 0x99] = KNOWN,
    [0xa8] = KNOWN | BYTE,
    [0xa9] = KNOWN | WORD,
    [0xb0 ... 0xb7] = KNOWN | BYTE,
    [0xb8 ... 0xbf] = KNOWN | WORD,
    [0xc0 ... 0xc1] = KNOWN | MODRM | BYTE | BY_GROUP,
    [0xc3] = KNOWN | NARROW,
    [0xc6] = KNOWN | MODRM | BYTE | BY_GROUP,
    [0xc7] = KNOWN | MODRM | WORD | BY_GROUP,
    [0xc9] = KNOWN | NARROW,
    [0xcc] = KNOWN | NARROW,
    [0xd0 ... 0xd3] = KNOWN | MODRM | BY_GROUP,
    [0xe8 ... 0xe9] = KNOWN | WORD | DISTANCE | NARROW,
    [0xeb] = KNOWN | BYTE | DISTANCE | NARROW,
    [0xf6 ... 0xf7] = KNOWN | MODRM | BY_GROUP,
    [0xfe ... 0xff] = KNOWN | MODRM | BY_GROUP,
};

static const uint8_t two_bytes[256] = {
    [0x10 ... 0x11] = KNOWN | MODRM,
    [0x12 ... 0x13] = KNOWN | MODRM | MEMORY,
    [0x14 ... 0x15] = KNOWN | MODRM,
    [0x16 ... 0x17] = KNOWN | MODRM | MEMORY,
    [0x1f] = KNOWN | MODRM | BY_GROUP,
    [0x28 ... 0x29] = KNOWN | MODRM,
    [0x2a] = KNOWN | MODRM,
    [0x2c ... 0x2f] = KNOWN | MODRM,
    [0x40 ... 0x4f] = KNOWN | MODRM,
    [0x51] = KNOWN | MODRM,
    [0x54 ... 0x5f] = KNOWN | MODRM,
    [0x60 ... 0x6f] = KNOWN | MODRM,
    [0x70] = KNOWN | MODRM | BYTE,
    [0x72] = KNOWN | MODRM | BYTE | BY_GROUP,
    [0x74 ... 0x76] = KNOWN | MODRM,
    [0x7e ... 0x7f] = KNOWN | MODRM,
    [0x80 ... 0x8f] = KNOWN | WORD | DISTANCE | NARROW,
    [0x90 ... 0x9f] = KNOWN | MODRM,
    [0xa3] = KNOWN | MODRM,
    [0xa4] = KNOWN | MODRM | BYTE,
    [0xa5] = KNOWN | MODRM,
    [0xab] = KNOWN | MODRM,
    [0xac] = KNOWN | MODRM | BYTE,
    [0xad] = KNOWN | MODRM,
    [0xaf] = KNOWN | MODRM,
    [0xb3] = KNOWN | MODRM,
    [0xb6 ... 0xb7] = KNOWN | MODRM,
    [0xba] = KNOWN | MODRM | BYTE | BY_GROUP,
    [0xbb] = KNOWN | MODRM,
    [0xbe ... 0xbf] = KNOWN | MODRM,
    [0xc6] = KNOWN | MODRM | BYTE,
    [0xc8 ... 0xcf] = KNOWN | NARROW,
    [0xd1 ... 0xd6] = KNOWN | MODRM,
    [0xd8 ... 0xe5] = KNOWN | MODRM,
    [0xe8 ... 0xef] = KNOWN | MODRM,
    [0xf1 ... 0xf6] = KNOWN | MODRM,
    [0xf8 ... 0xfe] = KNOWN | MODRM,
};

/* Which prefixes make an instruction of a vector opcode: none, 66, f3, f2, a bit each. All others take none or 66. */
enum prefix {
    PREFIX_NONE = 1,
    PREFIX_66 = 2,
    PREFIX_F3 = 4,
    PREFIX_F2 = 8,
};

static const uint8_t prefixes_of_two_bytes[256] = {
    [0x10 ... 0x11] = PREFIX_NONE | PREFIX_66 | PREFIX_F3 | PREFIX_F2,
    [0x2a] = PREFIX_F3 | PREFIX_F2,
    [0x2c ... 0x2d] = PREFIX_F3 | PREFIX_F2,
    [0x51] = PREFIX_NONE | PREFIX_66 | PREFIX_F3 | PREFIX_F2,
    [0x58 ... 0x5a] = PREFIX_NONE | PREFIX_66 | PREFIX_F3 | PREFIX_F2,
    [0x5b] = PREFIX_NONE | PREFIX_66 | PREFIX_F3,
    [0x5c ... 0x5f] = PREFIX_NONE | PREFIX_66 | PREFIX_F3 | PREFIX_F2,
    [0x60 ... 0x6e] = PREFIX_66,
    [0x6f] = PREFIX_66 | PREFIX_F3,
    [0x70] = PREFIX_66 | PREFIX_F3 | PREFIX_F2,
    [0x72] = PREFIX_66,
    [0x74 ... 0x76] = PREFIX_66,
    [0x7e ... 0x7f] = PREFIX_66 | PREFIX_F3,
    [0xd1 ... 0xd6] = PREFIX_66,
    [0xd8 ... 0xe5] = PREFIX_66,
    [0xe8 ... 0xef] = PREFIX_66,
    [0xf1 ... 0xf6] = PREFIX_66,
    [0xf8 ... 0xfe] = PREFIX_66,
};

/* ---- VEX ---- */

enum vector_form {
    VECTOR = 1,    /* an instruction with ModR/M, in all forms but what the other bits say */
    UNARY = 2,     /* names no third register */
    WITH_BYTE = 4, /* an immediate */
    ONLY_128 = 8,
    ONLY_256 = 16,
    ONLY_W0 = 32,
};

/* By map (0f, 0f38, 0f3a), by the prefix that VEX stands for (none, 66, f3, f2), by opcode. */
static const uint8_t vector_forms[3][4][256] = {
    {
        {
            [0x10 ... 0x11] = VECTOR | UNARY,
            [0x14 ... 0x15] = VECTOR,
            [0x28 ... 0x29] = VECTOR | UNARY,
            [0x51] = VECTOR | UNARY,
            [0x54 ... 0x59] = VECTOR,
            [0x5b] = VECTOR | UNARY,
            [0x5c ... 0x5f] = VECTOR,
            [0xc6] = VECTOR | WITH_BYTE,
        },
        {
            [0x10 ... 0x11] = VECTOR | UNARY, [0x14 ... 0x15] = VECTOR,
            [0x28 ... 0x29] = VECTOR | UNARY, [0x51] = VECTOR | UNARY,
            [0x54 ... 0x59] = VECTOR,         [0x5b] = VECTOR | UNARY,
            [0x5c ... 0x6d] = VECTOR,         [0x6e] = VECTOR | UNARY | ONLY_128,
            [0x6f] = VECTOR | UNARY,          [0x70] = VECTOR | UNARY | WITH_BYTE,
            [0x74 ... 0x76] = VECTOR,         [0x7e] = VECTOR | UNARY | ONLY_128,
            [0x7f] = VECTOR | UNARY,          [0xc6] = VECTOR | WITH_BYTE,
            [0xd1 ... 0xd5] = VECTOR,         [0xd6] = VECTOR | UNARY | ONLY_128,
            [0xd8 ... 0xe5] = VECTOR,         [0xe8 ... 0xef] = VECTOR,
            [0xf1 ... 0xf6] = VECTOR,         [0xf8 ... 0xfe] = VECTOR,
        },
        {
            [0x51] = VECTOR,
            [0x58 ... 0x5a] = VECTOR,
            [0x5b] = VECTOR | UNARY,
            [0x5c ... 0x5f] = VECTOR,
            [0x6f] = VECTOR | UNARY,
            [0x70] = VECTOR | UNARY | WITH_BYTE,
            [0x7e] = VECTOR | UNARY | ONLY_128,
            [0x7f] = VECTOR | UNARY,
        },
        {
            [0x51] = VECTOR,
            [0x58 ... 0x5a] = VECTOR,
            [0x5c ... 0x5f] = VECTOR,
            [0x70] = VECTOR | UNARY | WITH_BYTE,
        },
    },
    {
        [1] =
            {
                [0x00 ... 0x0b] = VECTOR,
                [0x17] = VECTOR | UNARY,
                [0x1c ... 0x1e] = VECTOR | UNARY,
                [0x20 ... 0x25] = VECTOR | UNARY,
                [0x28 ... 0x29] = VECTOR,
                [0x2b] = VECTOR,
                [0x30 ... 0x35] = VECTOR | UNARY,
                [0x37 ... 0x40] = VECTOR,
                [0x58 ... 0x59] = VECTOR | UNARY | ONLY_W0,
                [0x78 ... 0x79] = VECTOR | UNARY | ONLY_W0,
            },
    },
    {
        [1] =
            {
                [0x02] = VECTOR | WITH_BYTE | ONLY_W0,
                [0x06] = VECTOR | WITH_BYTE | ONLY_256 | ONLY_W0,
                [0x0e ... 0x0f] = VECTOR | WITH_BYTE,
                [0x20] = VECTOR | WITH_BYTE | ONLY_128,
                [0x22] = VECTOR | WITH_BYTE | ONLY_128,
                [0x38] = VECTOR | WITH_BYTE | ONLY_256 | ONLY_W0,
                [0x39] = VECTOR | UNARY | WITH_BYTE | ONLY_256 | ONLY_W0,
                [0x46] = VECTOR | WITH_BYTE | ONLY_256 | ONLY_W0,
            },
    },
};

struct prefixes {
    uint8_t kind; /* enum prefix: PREFIX_NONE, or one */
    bool wide;    /* REX.W */
    bool rex;
};

/* At most one of 66, f2 and f3, one of fs and gs, and REX. Returns how many bytes they have. */
static unsigned read_prefixes(const uint8_t *bytes, struct outline *outline, struct prefixes *prefixes) {
    unsigned at = 0;
    if (bytes[at] == 0x64 || bytes[at] == 0x65)
        at++;
    prefixes->kind = PREFIX_NONE;
    if (bytes[at] == 0x66)
        prefixes->kind = PREFIX_66;
    else if (bytes[at] == 0xf3)
        prefixes->kind = PREFIX_F3;
    else if (bytes[at] == 0xf2)
        prefixes->kind = PREFIX_F2;
    at += prefixes->kind != PREFIX_NONE;
    prefixes->rex = (bytes[at] & 0xf0) == 0x40;
    if (prefixes->rex) {
        prefixes->wide = (bytes[at] & 8) != 0;
        outline->rex_r = (bytes[at] & 4) != 0;
        outline->rex_x = (bytes[at] & 2) != 0;
        outline->rex_b = (bytes[at] & 1) != 0;
        at++;
    }
    return at;
}

static int64_t extend_byte(uint8_t byte) {
    return byte < 0x80 ? byte : (int64_t)byte - 0x100;
}

/* Returns where the next field begins. */
static unsigned read_modrm(const uint8_t *bytes, unsigned at, struct outline *outline) {
    outline->has_modrm = true;
    outline->mod = bytes[at] >> 6;
    outline->reg = bytes[at] >> 3 & 7;
    outline->rm = bytes[at] & 7;
    at++;
    bool far = outline->mod == 2 || (outline->mod == 0 && outline->rm == 5);
    if (outline->mod != 3 && outline->rm == 4) {
        outline->scale = bytes[at] >> 6;
        outline->index = bytes[at] >> 3 & 7;
        outline->base = bytes[at] & 7;
        far |= outline->mod == 0 && outline->base == 5;
        at++;
    }
    if (far) {
        outline->displacement = (int32_t)read32(bytes + at);
        outline->displacement_size = 4;
    } else if (outline->mod == 1) {
        outline->displacement = extend_byte(bytes[at]);
        outline->displacement_size = 1;
    }
    if (outline->displacement_size > 0)
        outline->displacement_offset = (uint8_t)at;
    return at + outline->displacement_size;
}

/* Forms of an opcode that are none, another instruction, or have no immediate: those are left to the slow way. */
static bool is_common_form(const struct outline *outline, const struct prefixes *prefixes) {
    if (outline->map == MAP_TWO_BYTES && outline->opcode == 0x72)
        return outline->mod == 3 && (outline->reg == 2 || outline->reg == 4 || outline->reg == 6);
    if (outline->map == MAP_TWO_BYTES)
        return outline->opcode == 0xba ? outline->reg >= 4 : outline->reg == 0;
    switch (outline->opcode) {
    case 0x90: return !prefixes->rex;
    case 0xc0:
    case 0xc1:
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return outline->reg != 6;
    case 0xc6:
    case 0xc7: return outline->reg == 0;
    case 0xf6:
    case 0xf7: return outline->reg != 1;
    case 0xfe: return outline->reg < 2;
    default: return outline->reg != 3 && outline->reg != 5 && outline->reg != 7;
    }
}

static unsigned immediate_size(const struct outline *outline, const struct prefixes *prefixes, uint8_t layout) {
    bool one = outline->map == MAP_ONE_BYTE;
    if (one && outline->opcode == 0xf6)
        return outline->reg == 0 ? 1 : 0;
    if ((layout & BYTE) != 0)
        return 1;
    if ((layout & WORD) == 0 && !(one && outline->opcode == 0xf7 && outline->reg == 0))
        return 0;
    if (prefixes->wide)
        return one && outline->opcode >= 0xb8 && outline->opcode <= 0xbf ? 8 : 4;
    return prefixes->kind == PREFIX_66 ? 2 : 4;
}

static void read_immediate(const uint8_t *bytes, unsigned at, uint8_t layout, struct outline *outline) {
    outline->immediate_offset = (uint8_t)at;
    if (outline->immediate_size == 8)
        outline->immediate = read64(bytes + at);
    else if (outline->immediate_size == 4)
        outline->immediate = (uint64_t)(int64_t)(int32_t)read32(bytes + at);
    else if ((layout & DISTANCE) != 0)
        outline->immediate = (uint64_t)extend_byte(bytes[at]);
}

/* c5, or c4 with a byte more: R X B map, then W, the third register inverted, L and the prefix. */
static bool outline_vector(const uint8_t *bytes, struct outline *outline) {
    bool is_long = bytes[0] == 0xc4;
    uint8_t map = is_long ? bytes[1] & 31 : 1, last = bytes[is_long ? 2 : 1];
    unsigned at = is_long ? 3 : 2;
    if (map == 0 || map > 3)
        return false;
    uint8_t form = vector_forms[map - 1][last & 3][bytes[at]];
    bool has_third = (last & 0x78) != 0x78, is_256 = (last & 4) != 0, wide = is_long && (last & 0x80) != 0;
    if (form == 0 || ((form & UNARY) != 0 && has_third) || ((form & ONLY_128) != 0 && is_256) ||
        ((form & ONLY_256) != 0 && !is_256) || ((form & ONLY_W0) != 0 && wide))
        return false;
    *outline = (struct outline){.map = MAP_VECTOR, .opcode = bytes[at], .rex_r = true, .rex_x = true, .rex_b = true};
    at = read_modrm(bytes, at + 1, outline);
    if ((form & WITH_BYTE) != 0) {
        outline->immediate_size = 1;
        outline->immediate_offset = (uint8_t)at;
    }
    outline->length = (uint8_t)(at + outline->immediate_size);
    return true;
}

bool outline_common(const uint8_t *bytes, struct outline *outline) {
    if (bytes[0] == 0xc4 || bytes[0] == 0xc5)
        return outline_vector(bytes, outline);
    struct prefixes prefixes = {0};
    *outline = (struct outline){.map = MAP_ONE_BYTE};
    unsigned at = read_prefixes(bytes, outline, &prefixes);
    uint8_t layout, allowed = PREFIX_NONE | PREFIX_66;
    if (bytes[at] == 0x0f) {
        outline->map = MAP_TWO_BYTES;
        outline->opcode = bytes[at + 1];
        layout = two_bytes[outline->opcode];
        if (prefixes_of_two_bytes[outline->opcode] != 0)
            allowed = prefixes_of_two_bytes[outline->opcode];
        at += 2;
    } else {
        outline->opcode = bytes[at++];
        layout = one_byte[outline->opcode];
    }
    if ((layout & NARROW) != 0)
        allowed = PREFIX_NONE;
    if (layout == 0 || (allowed & prefixes.kind) == 0)
        return false;
    if ((layout & MODRM) != 0)
        at = read_modrm(bytes, at, outline);
    if (((layout & BY_GROUP) != 0 && !is_common_form(outline, &prefixes)) ||
        ((layout & MEMORY) != 0 && outline->mod == 3))
        return false;
    outline->immediate_size = (uint8_t)immediate_size(outline, &prefixes, layout);
    if (outline->immediate_size > 0)
        read_immediate(bytes, at, layout, outline);
    outline->length = (uint8_t)(at + outline->immediate_size);
    outline->is_nop = outline->map == MAP_ONE_BYTE ? outline->opcode == 0x90 : outline->opcode == 0x1f;
    return true;
}

/* ---- The slow way ---- */

static enum outline_map map_of(const ZydisDecodedInstruction *instruction) {
    if (instruction->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return MAP_VECTOR;
    switch (instruction->opcode_map) {
    case ZYDIS_OPCODE_MAP_DEFAULT: return MAP_ONE_BYTE;
    case ZYDIS_OPCODE_MAP_0F: return MAP_TWO_BYTES;
    default: return MAP_OTHER;
    }
}

bool outline_any(const ZydisDecoder *decoder, const uint8_t *bytes, size_t length, struct outline *outline) {
    ZydisDecodedInstruction from;
    if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(decoder, NULL, bytes, length, &from)))
        return false;
    bool vector = map_of(&from) == MAP_VECTOR;
    *outline = (struct outline){.length = from.length,
                                .map = (uint8_t)map_of(&from),
                                .opcode = from.opcode,
                                .has_modrm = (from.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0,
                                .mod = from.raw.modrm.mod,
                                .reg = from.raw.modrm.reg,
                                .rm = from.raw.modrm.rm,
                                .scale = from.raw.sib.scale,
                                .index = from.raw.sib.index,
                                .base = from.raw.sib.base,
                                .rex_r = vector || from.raw.rex.R != 0,
                                .rex_x = vector || from.raw.rex.X != 0,
                                .rex_b = vector || from.raw.rex.B != 0,
                                .displacement_size = from.raw.disp.size / 8,
                                .displacement_offset = from.raw.disp.offset,
                                .displacement = from.raw.disp.value,
                                .immediate_size = from.raw.imm[0].size / 8,
                                .immediate_offset = from.raw.imm[0].offset,
                                .is_nop = from.mnemonic == ZYDIS_MNEMONIC_NOP,
                                .is_endbr64 = from.mnemonic == ZYDIS_MNEMONIC_ENDBR64};
    if (from.raw.imm[0].size >= 32 || from.raw.imm[0].is_relative)
        outline->immediate = from.raw.imm[0].value.u;
    return true;
}
