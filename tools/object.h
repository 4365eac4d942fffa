/* ELF files as `doctor`, `check` and `explain` look at them: identity, dynamic section, symbols, imports. Read-only;
 * a damaged file is reported or looks empty, it never crashes a tool.
 */
#ifndef PINION_TOOLS_OBJECT_H
#define PINION_TOOLS_OBJECT_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/identity.h"

enum object_format {
    OBJECT_ELF,           /* 64-bit ELF for x86-64 */
    OBJECT_ELF32,         /* 32-bit ELF */
    OBJECT_OTHER_MACHINE, /* ELF for another processor */
    OBJECT_SCRIPT,        /* begins with #! */
    OBJECT_UNKNOWN,
};

struct object {
    char *path;
    int descriptor;
    enum object_format format;
    const unsigned char *image; /* the file */
    size_t size;
    Elf *elf; /* NULL unless the format is OBJECT_ELF */
    Elf64_Ehdr header;
    const Elf64_Phdr *program_headers;
    size_t program_header_count;
    struct identity identity;
};

/* Opens a regular file. Returns false with errno set; the object is then closed already. */
bool object_open(struct object *object, const char *path);
void object_close(struct object *object);

/* The file's bytes at a virtual address, or NULL where the file does not hold all of them. */
const void *object_at(const struct object *object, uint64_t address, size_t length);
/* A string that ends within the file, or NULL. */
const char *object_text_at(const struct object *object, uint64_t address);

const char *object_interpreter(const struct object *object); /* NULL: none */
/* The index-th entry of the dynamic section with this tag. */
bool object_dynamic(const struct object *object, int64_t tag, size_t index, uint64_t *value);
const char *object_dynamic_text(const struct object *object, int64_t tag, size_t index);
bool object_has_section(const struct object *object, const char *name);
/* Whether the dynamic symbol table has the name, undefined or defined. */
bool object_imports(const struct object *object, const char *symbol);
bool object_defines(const struct object *object, const char *symbol);

struct symbol {
    const char *name; /* belongs to the object */
    uint64_t address, size;
};

/* The function symbol that covers the address, or else the nearest one before it. */
bool object_symbol(const struct object *object, uint64_t address, struct symbol *symbol);
/* The symbol whose address the dynamic linker stores at this slot of the global offset table, or NULL. */
const char *object_import_of_slot(const struct object *object, uint64_t slot);
/* Where the function around the address begins and ends, from symbols or call-frame information. */
bool object_function(const struct object *object, uint64_t address, uint64_t *start, uint64_t *end);

/* The identity of the file at `path`; false when it cannot be read or is no ELF file for this machine. */
bool identity_of_file(const char *path, struct identity *identity);
/* The same of an open file that may be changed, or cut short, by somebody hostile meanwhile: it is read, not mapped. */
bool identity_of_descriptor(int descriptor, struct identity *identity);

#endif
