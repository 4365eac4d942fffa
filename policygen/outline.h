/* As much of an instruction as the pass over all code looks at: its length, its operation by number, and its fields as they
 * stand there. Nothing here knows what an instruction does.
 */
#ifndef PINION_POLICYGEN_OUTLINE_H
#define PINION_POLICYGEN_OUTLINE_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum outline_map {
    MAP_ONE_BYTE,
    MAP_TWO_BYTES, /* 0f */
    MAP_OTHER,     /* longer ones */
    MAP_VECTOR,    /* VEX, EVEX and XOP: numbered otherwise */
};

/* Sizes are in bytes, 0 where there is none; offsets are in the instruction. Of two immediates only the first is here. */
struct outline {
    uint8_t length;
    uint8_t map; /* enum outline_map */
    uint8_t opcode;
    bool has_modrm;
    uint8_t mod, reg, rm;       /* of the ModR/M byte, without the bits of REX */
    uint8_t scale, index, base; /* of the SIB byte, likewise */
    bool rex_r, rex_x, rex_b;   /* set in vector instructions, which have such bits elsewhere */
    uint8_t displacement_size, displacement_offset;
    uint8_t immediate_size, immediate_offset;
    bool is_nop, is_endbr64;
    int64_t displacement;
    uint64_t immediate; /* extended from its sign; 0 unless it has at least 4 bytes or is a distance */
};

/* How many bytes outline_common may read. */
#define OUTLINE_ROOM 16

/* The most common instructions, by tables. Returns false for all others, and for what is none. */
bool outline_common(const uint8_t *bytes, struct outline *outline);

/* Any instruction, the slow way; false where there is none. */
bool outline_any(const ZydisDecoder *decoder, const uint8_t *bytes, size_t length, struct outline *outline);

#endif
