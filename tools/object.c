/* Looking at ELF files through libelf. Nothing here decides anything, and nothing here writes. */
#include "tools/object.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/util.h"

#define IDENTITY_READ_MOST (4u << 20) /* what names an object stands near its beginning */

static enum object_format format_of(const unsigned char *image, size_t size) {
    if (size >= 2 && memcmp(image, "#!", 2) == 0)
        return OBJECT_SCRIPT;
    if (size < EI_NIDENT || memcmp(image, ELFMAG, SELFMAG) != 0)
        return OBJECT_UNKNOWN;
    if (image[EI_CLASS] == ELFCLASS32)
        return OBJECT_ELF32;
    if (image[EI_CLASS] != ELFCLASS64 || image[EI_DATA] != ELFDATA2LSB || size < sizeof(Elf64_Ehdr))
        return OBJECT_UNKNOWN;
    Elf64_Ehdr header;
    memcpy(&header, image, sizeof header);
    return header.e_machine == EM_X86_64 ? OBJECT_ELF : OBJECT_OTHER_MACHINE;
}

static const void *read_for_identity(void *context, uint64_t address, size_t length) {
    return object_at(context, address, length);
}

static void read_headers(struct object *object) {
    memcpy(&object->header, object->image, sizeof object->header);
    const Elf64_Ehdr *header = &object->header;
    bool fits = header->e_phentsize == sizeof(Elf64_Phdr) && header->e_phoff % 8 == 0 &&
                header->e_phoff <= object->size &&
                header->e_phnum <= (object->size - header->e_phoff) / sizeof(Elf64_Phdr);
    if (!fits)
        return;
    object->program_headers = (const Elf64_Phdr *)(const void *)(object->image + header->e_phoff);
    object->program_header_count = header->e_phnum;
    object->identity = identity_read(object->program_headers, object->program_header_count, read_for_identity, object);
}

bool object_open(struct object *object, const char *path) {
    *object = (struct object){.descriptor = -1};
    object->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    if (object->descriptor < 0 || fstat(object->descriptor, &status) != 0) {
        object_close(object);
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        object_close(object);
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return false;
    }
    object->path = xstrdup(path);
    object->format = OBJECT_UNKNOWN;
    if (status.st_size == 0)
        return true;
    void *image = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, object->descriptor, 0);
    if (image == MAP_FAILED) {
        object_close(object);
        return false;
    }
    object->image = image;
    object->size = (size_t)status.st_size;
    object->format = format_of(object->image, object->size);
    if (object->format != OBJECT_ELF)
        return true;
    read_headers(object);
    elf_version(EV_CURRENT);
    object->elf = elf_begin(object->descriptor, ELF_C_READ_MMAP, NULL);
    return true;
}

void object_close(struct object *object) {
    int saved = errno;
    if (object->elf)
        elf_end(object->elf);
    if (object->image)
        munmap((void *)(uintptr_t)object->image, object->size);
    if (object->descriptor >= 0)
        close(object->descriptor);
    free(object->path);
    *object = (struct object){.descriptor = -1};
    errno = saved;
}

/* How many bytes of the file stand at a virtual address. */
static size_t bytes_at(const struct object *object, uint64_t address, const unsigned char **bytes) {
    for (size_t i = 0; i < object->program_header_count; i++) {
        const Elf64_Phdr *segment = &object->program_headers[i];
        if (segment->p_type != PT_LOAD || address < segment->p_vaddr || address - segment->p_vaddr >= segment->p_filesz)
            continue;
        uint64_t within = address - segment->p_vaddr;
        if (segment->p_offset > object->size || segment->p_filesz > object->size - segment->p_offset)
            return 0;
        *bytes = object->image + segment->p_offset + within;
        return segment->p_filesz - within;
    }
    return 0;
}

const void *object_at(const struct object *object, uint64_t address, size_t length) {
    const unsigned char *bytes = NULL;
    return bytes_at(object, address, &bytes) >= length ? bytes : NULL;
}

const char *object_text_at(const struct object *object, uint64_t address) {
    const unsigned char *bytes = NULL;
    size_t available = bytes_at(object, address, &bytes);
    return available && memchr(bytes, '\0', available) ? (const char *)bytes : NULL;
}

const char *object_interpreter(const struct object *object) {
    for (size_t i = 0; i < object->program_header_count; i++) {
        const Elf64_Phdr *segment = &object->program_headers[i];
        if (segment->p_type != PT_INTERP || segment->p_filesz == 0 || segment->p_offset > object->size ||
            segment->p_filesz > object->size - segment->p_offset)
            continue;
        const char *text = (const char *)object->image + segment->p_offset;
        return memchr(text, '\0', segment->p_filesz) ? text : NULL;
    }
    return NULL;
}

bool object_dynamic(const struct object *object, int64_t tag, size_t index, uint64_t *value) {
    for (size_t i = 0; i < object->program_header_count; i++) {
        const Elf64_Phdr *segment = &object->program_headers[i];
        if (segment->p_type != PT_DYNAMIC || segment->p_offset > object->size)
            continue;
        size_t available = object->size - segment->p_offset;
        size_t count = (segment->p_filesz < available ? segment->p_filesz : available) / sizeof(Elf64_Dyn);
        for (size_t at = 0; at < count; at++) {
            Elf64_Dyn entry;
            memcpy(&entry, object->image + segment->p_offset + at * sizeof entry, sizeof entry);
            if (entry.d_tag == DT_NULL)
                break;
            if (entry.d_tag == tag && index-- == 0) {
                *value = entry.d_un.d_val;
                return true;
            }
        }
    }
    return false;
}

const char *object_dynamic_text(const struct object *object, int64_t tag, size_t index) {
    uint64_t offset;
    uint64_t table;
    if (!object_dynamic(object, tag, index, &offset) || !object_dynamic(object, DT_STRTAB, 0, &table))
        return NULL;
    return object_text_at(object, table + offset);
}

bool object_has_section(const struct object *object, const char *name) {
    size_t names;
    if (!object->elf || elf_getshdrstrndx(object->elf, &names) != 0)
        return false;
    for (Elf_Scn *section = elf_nextscn(object->elf, NULL); section; section = elf_nextscn(object->elf, section)) {
        GElf_Shdr header;
        const char *found = gelf_getshdr(section, &header) ? elf_strptr(object->elf, names, header.sh_name) : NULL;
        if (found && strcmp(found, name) == 0)
            return true;
    }
    return false;
}

/* The next symbol table of a type after `section`. */
static Elf_Scn *next_table(const struct object *object, Elf_Scn *section, unsigned type, GElf_Shdr *header) {
    if (!object->elf)
        return NULL;
    while ((section = elf_nextscn(object->elf, section)))
        if (gelf_getshdr(section, header) && header->sh_type == type)
            return section;
    return NULL;
}

static bool has_dynamic_symbol(const struct object *object, const char *symbol, bool defined) {
    GElf_Shdr header;
    Elf_Scn *section = next_table(object, NULL, SHT_DYNSYM, &header);
    Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
    if (!data || header.sh_entsize == 0)
        return false;
    for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
        GElf_Sym row;
        if (!gelf_getsym(data, (int)i, &row) || (row.st_shndx != SHN_UNDEF) != defined)
            continue;
        const char *name = elf_strptr(object->elf, header.sh_link, row.st_name);
        if (name && strcmp(name, symbol) == 0)
            return true;
    }
    return false;
}

bool object_imports(const struct object *object, const char *symbol) {
    return has_dynamic_symbol(object, symbol, false);
}

bool object_defines(const struct object *object, const char *symbol) {
    return has_dynamic_symbol(object, symbol, true);
}

/* Whether `row` names the address better than `best` does: covering beats near, near beats far. */
static bool better_symbol(const GElf_Sym *row, const struct symbol *best, uint64_t address) {
    if (GELF_ST_TYPE(row->st_info) != STT_FUNC || row->st_shndx == SHN_UNDEF || row->st_value > address)
        return false;
    bool covers = address - row->st_value < row->st_size;
    bool best_covers = best->name && address - best->address < best->size;
    if (covers != best_covers)
        return covers;
    return !best->name || row->st_value > best->address;
}

bool object_symbol(const struct object *object, uint64_t address, struct symbol *symbol) {
    *symbol = (struct symbol){0};
    static const unsigned types[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (size_t type = 0; type < 2; type++) {
        GElf_Shdr header;
        Elf_Scn *section = next_table(object, NULL, types[type], &header);
        Elf_Data *data = section ? elf_getdata(section, NULL) : NULL;
        if (!data || header.sh_entsize == 0)
            continue;
        for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
            GElf_Sym row;
            if (!gelf_getsym(data, (int)i, &row) || !better_symbol(&row, symbol, address))
                continue;
            const char *name = elf_strptr(object->elf, header.sh_link, row.st_name);
            if (name && *name)
                *symbol = (struct symbol){.name = name, .address = row.st_value, .size = row.st_size};
        }
    }
    return symbol->name != NULL;
}

static const char *symbol_name(const struct object *object, size_t table, size_t index) {
    GElf_Shdr header;
    GElf_Sym row;
    Elf_Scn *section = elf_getscn(object->elf, table);
    Elf_Data *data = section && gelf_getshdr(section, &header) ? elf_getdata(section, NULL) : NULL;
    if (!data || !gelf_getsym(data, (int)index, &row))
        return NULL;
    return elf_strptr(object->elf, header.sh_link, row.st_name);
}

const char *object_import_of_slot(const struct object *object, uint64_t slot) {
    GElf_Shdr header;
    for (Elf_Scn *section = next_table(object, NULL, SHT_RELA, &header); section;
         section = next_table(object, section, SHT_RELA, &header)) {
        Elf_Data *data = elf_getdata(section, NULL);
        if (!data || header.sh_entsize == 0)
            continue;
        for (size_t i = 0; i < header.sh_size / header.sh_entsize; i++) {
            GElf_Rela relocation;
            if (gelf_getrela(data, (int)i, &relocation) && relocation.r_offset == slot)
                return symbol_name(object, header.sh_link, GELF_R_SYM(relocation.r_info));
        }
    }
    return NULL;
}

static bool function_from_frames(const struct object *object, uint64_t address, uint64_t *start, uint64_t *end) {
    if (!object->elf)
        return false;
    Dwarf_CFI *information = dwarf_getcfi_elf(object->elf);
    Dwarf_Frame *frame = NULL;
    bool found = information && dwarf_cfi_addrframe(information, address, &frame) == 0;
    if (found) {
        Dwarf_Addr first;
        Dwarf_Addr last;
        found = dwarf_frame_info(frame, &first, &last, NULL) >= 0;
        if (found) {
            *start = first;
            *end = last;
        }
        free(frame);
    }
    if (information)
        dwarf_cfi_end(information);
    return found;
}

bool object_function(const struct object *object, uint64_t address, uint64_t *start, uint64_t *end) {
    struct symbol symbol;
    if (object_symbol(object, address, &symbol) && address - symbol.address < symbol.size) {
        *start = symbol.address;
        *end = symbol.address + symbol.size;
        return true;
    }
    return function_from_frames(object, address, start, end);
}

bool identity_of_descriptor(int descriptor, struct identity *identity) {
    cleanup_free unsigned char *image = xmalloc(IDENTITY_READ_MOST);
    struct object object = {.descriptor = -1, .image = image};
    ssize_t got;
    while (object.size < IDENTITY_READ_MOST &&
           (got = pread(descriptor, image + object.size, IDENTITY_READ_MOST - object.size, (off_t)object.size)) > 0)
        object.size += (size_t)got;
    if (format_of(object.image, object.size) != OBJECT_ELF)
        return false;
    read_headers(&object);
    *identity = object.identity;
    return identity->kind != IDENTITY_NONE;
}

bool identity_of_file(const char *path, struct identity *identity) {
    struct object object;
    if (!object_open(&object, path))
        return false;
    bool known = object.format == OBJECT_ELF && object.identity.kind != IDENTITY_NONE;
    *identity = object.identity;
    object_close(&object);
    return known;
}
