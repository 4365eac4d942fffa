/* One ELF object as the analyser sees it: mapped file, segments, symbols, relocations, executable ranges. The file
 * may be hostile: every read is bounded, nothing is trusted to be sorted, terminated or consistent.
 *
 * Addresses are virtual addresses of the file (relative to the load bias). Objects that reach beyond 4 GiB of
 * them are refused, because a policy counts offsets in 32 bits.
 */
#ifndef PINION_POLICYGEN_OBJECT_H
#define PINION_POLICYGEN_OBJECT_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/identity.h"

#define NO_SYMBOL UINT32_MAX

struct range {
    uint32_t start, end; /* end is outside */
};

struct segment {
    uint32_t address;
    uint32_t memory_size;
    uint32_t file_size;
    uint32_t flags; /* PF_* */
    const uint8_t *bytes;
};

struct symbol {
    const char *name;
    uint32_t value;
    uint32_t size;
    uint16_t spelling; /* index into spelling_table, or SPELLING_COUNT */
    uint16_t api;      /* or API_NONE */
    uint8_t type;      /* STT_* */
    bool defined;
    bool exported; /* defined and visible to other objects */
};

struct relocation {
    uint32_t address;
    uint32_t type;
    uint32_t symbol; /* NO_SYMBOL: none */
    int64_t addend;
};

struct object {
    char *path; /* owned */
    uint8_t *bytes;
    size_t size;
    bool mapped;
    uint16_t type; /* ET_EXEC or ET_DYN */
    uint32_t entry;
    struct segment *segments;
    size_t segment_count;
    struct range relro;
    struct range *code; /* executable ranges, ordered, disjoint */
    size_t code_count;
    struct symbol *symbols; /* dynamic symbols, [0] is the null symbol */
    size_t symbol_count;
    struct relocation *relocations; /* ordered by address */
    size_t relocation_count;
    uint32_t init, fini;                      /* DT_INIT, DT_FINI, or 0 */
    uint32_t frame_header, frame_header_size; /* PT_GNU_EH_FRAME */
    bool text_relocations;
    bool excessive; /* more symbols or relocations than are looked at */
    bool has_dynamic;
    bool has_flags_pie;
    bool go;                                            /* holds a Go build-id note */
    const char *interpreter, *soname, *rpath, *runpath; /* NULL when absent; into the file */
    const char **needed;
    size_t needed_count;
    struct identity identity;
};

/* Why a file is not a usable object. */
enum object_problem {
    OBJECT_FINE,
    OBJECT_UNREADABLE, /* errno says why */
    OBJECT_NOT_ELF,
    OBJECT_SCRIPT, /* begins with "#!" */
    OBJECT_OTHER_MACHINE,
    OBJECT_DAMAGED,
};

enum object_extent {
    OBJECT_WHOLE,
    OBJECT_HEADERS, /* without code ranges, symbols and relocations: the little that finding libraries takes */
};

/* Reads an open file. On a problem nothing needs to be freed. */
enum object_problem object_map(int fd, const char *path, enum object_extent extent, struct object *object);
/* Opens and reads a file whole. */
enum object_problem object_open(const char *path, struct object *object);
/* The same from memory, which must outlive the object. */
enum object_problem object_parse(const char *path, uint8_t *bytes, size_t size, struct object *object);
void object_close(struct object *object);

const char *object_problem_text(enum object_problem problem);

/* A section header; false behind the last. Headers may be missing or wrong: only precision may depend on them. */
bool object_section(const struct object *object, size_t index, Elf64_Shdr *section);

/* `length` bytes of the file's image at the address, or NULL. Bytes that the loader fills with zeros are not there. */
const uint8_t *object_at(const struct object *object, uint64_t address, size_t length);
/* The bytes from the address to the end of its segment. */
const uint8_t *object_rest(const struct object *object, uint64_t address, size_t *length);
bool object_is_code(const struct object *object, uint64_t address);
/* Whether the bytes can never change: in no writable segment and without text relocations. */
bool object_is_constant(const struct object *object, uint64_t address, size_t length);
/* As constant, or read-only once relocations are applied. */
bool object_is_relocated_constant(const struct object *object, uint64_t address, size_t length);
bool object_is_mapped(const struct object *object, uint64_t address);

/* The first relocation at or behind the address, as an index. */
size_t object_relocation_from(const struct object *object, uint64_t address);
/* The relocation that fills exactly this address with a pointer, or NULL. */
const struct relocation *object_relocation_at(const struct object *object, uint64_t address);

/* A string in constant memory, or NULL: NUL-terminated within 4096 bytes. */
const char *object_string(const struct object *object, uint64_t address);

static inline uint32_t read32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static inline uint64_t read64(const uint8_t *bytes) {
    return read32(bytes) | (uint64_t)read32(bytes + 4) << 32;
}

#endif
