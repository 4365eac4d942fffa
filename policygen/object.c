/* Reads ELF objects by their program headers and dynamic section alone; section headers only narrow down what is
 * code. No byte outside the file is ever read, no count is believed before it is checked against the file's size.
 */
#include "policygen/object.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runtime/api.h"
#include "runtime/util.h"

#define MAX_FILE_BYTES (2u << 30)
#define MAX_ADDRESS UINT32_MAX
#define MAX_STRING_BYTES 4096
#define MAX_SYMBOLS (4u << 20)
#define MAX_RELOCATIONS (16u << 20)
#define GO_NOTE_NAME "Go\0\0"
#define SIZEOF_RELR 8

struct dynamic {
    uint64_t string_table, string_size, symbol_table, hash, gnu_hash;
    uint64_t rela, rela_size, plt_rela, plt_rela_size, relr, relr_size;
};

/* ---- Reading the image ---- */

static const struct segment *segment_of(const struct object *object, uint64_t address) {
    for (size_t i = 0; i < object->segment_count; i++) {
        const struct segment *segment = &object->segments[i];
        if (address >= segment->address && address - segment->address < segment->memory_size)
            return segment;
    }
    return NULL;
}

const uint8_t *object_rest(const struct object *object, uint64_t address, size_t *length) {
    const struct segment *segment = segment_of(object, address);
    if (segment == NULL || address - segment->address >= segment->file_size)
        return NULL;
    *length = segment->file_size - (size_t)(address - segment->address);
    return segment->bytes + (address - segment->address);
}

const uint8_t *object_at(const struct object *object, uint64_t address, size_t length) {
    size_t rest;
    const uint8_t *bytes = object_rest(object, address, &rest);
    return bytes != NULL && length <= rest ? bytes : NULL;
}

bool object_is_mapped(const struct object *object, uint64_t address) {
    return segment_of(object, address) != NULL;
}

bool object_is_code(const struct object *object, uint64_t address) {
    size_t low = 0, high = object->code_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (address >= object->code[middle].end)
            low = middle + 1;
        else if (address < object->code[middle].start)
            high = middle;
        else
            return true;
    }
    return false;
}

bool object_is_constant(const struct object *object, uint64_t address, size_t length) {
    const struct segment *segment = segment_of(object, address);
    return segment != NULL && (segment->flags & PF_W) == 0 && !object->text_relocations &&
           address - segment->address + length <= segment->file_size;
}

bool object_is_relocated_constant(const struct object *object, uint64_t address, size_t length) {
    if (object_is_constant(object, address, length))
        return true;
    return address >= object->relro.start && address + length <= object->relro.end &&
           object_at(object, address, length) != NULL;
}

const char *object_string(const struct object *object, uint64_t address) {
    size_t length;
    const uint8_t *bytes = object_rest(object, address, &length);
    if (bytes == NULL || !object_is_constant(object, address, 1))
        return NULL;
    if (memchr(bytes, 0, length < MAX_STRING_BYTES ? length : MAX_STRING_BYTES) == NULL)
        return NULL;
    return (const char *)bytes;
}

size_t object_relocation_from(const struct object *object, uint64_t address) {
    size_t low = 0, high = object->relocation_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (object->relocations[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct relocation *object_relocation_at(const struct object *object, uint64_t address) {
    size_t index = object_relocation_from(object, address);
    if (index == object->relocation_count || object->relocations[index].address != address)
        return NULL;
    return &object->relocations[index];
}

static const void *identity_bytes(void *context, uint64_t address, size_t length) {
    return object_at(context, address, length);
}

/* ---- Program headers ---- */

static bool add_segment(struct object *object, const Elf64_Phdr *header) {
    if (header->p_memsz == 0)
        return true;
    uint64_t end;
    if (header->p_filesz > header->p_memsz || __builtin_add_overflow(header->p_vaddr, header->p_memsz, &end) ||
        end > MAX_ADDRESS || header->p_offset > object->size || header->p_filesz > object->size - header->p_offset)
        return false;
    struct segment *segment = array_append(object->segments, object->segment_count);
    *segment = (struct segment){.address = (uint32_t)header->p_vaddr,
                                .memory_size = (uint32_t)header->p_memsz,
                                .file_size = (uint32_t)header->p_filesz,
                                .flags = header->p_flags,
                                .bytes = object->bytes + header->p_offset};
    return true;
}

static void find_go_note(struct object *object, const Elf64_Phdr *header) {
    if (header->p_offset > object->size || header->p_filesz > object->size - header->p_offset)
        return;
    const uint8_t *note = object->bytes + header->p_offset;
    if (header->p_filesz >= 16 && read32(note) == 4 && memcmp(note + 12, GO_NOTE_NAME, 4) == 0)
        object->go = true;
}

static const char *text_in_file(const struct object *object, uint64_t offset, uint64_t length) {
    if (offset > object->size || length > object->size - offset || length == 0)
        return NULL;
    return memchr(object->bytes + offset, 0, length) == NULL ? NULL : (const char *)object->bytes + offset;
}

static bool read_program_header(struct object *object, const Elf64_Phdr *header) {
    switch (header->p_type) {
    case PT_LOAD: return add_segment(object, header);
    case PT_INTERP: object->interpreter = text_in_file(object, header->p_offset, header->p_filesz); break;
    case PT_NOTE: find_go_note(object, header); break;
    case PT_GNU_RELRO:
        if (header->p_vaddr < MAX_ADDRESS && header->p_memsz < MAX_ADDRESS - header->p_vaddr)
            object->relro = (struct range){(uint32_t)header->p_vaddr, (uint32_t)(header->p_vaddr + header->p_memsz)};
        break;
    case PT_GNU_EH_FRAME:
        if (header->p_vaddr < MAX_ADDRESS && header->p_memsz < MAX_ADDRESS - header->p_vaddr) {
            object->frame_header = (uint32_t)header->p_vaddr;
            object->frame_header_size = (uint32_t)header->p_memsz;
        }
        break;
    default: break;
    }
    return true;
}

static bool read_program_headers(struct object *object, const Elf64_Ehdr *header, uint64_t *dynamic,
                                 uint64_t *dynamic_size) {
    size_t size = (size_t)header->e_phnum * sizeof(Elf64_Phdr);
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phoff > object->size ||
        size > object->size - header->e_phoff)
        return false;
    cleanup_free Elf64_Phdr *headers = xmalloc(size + 1);
    memcpy(headers, object->bytes + header->e_phoff, size);
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (!read_program_header(object, &headers[i]))
            return false;
        if (headers[i].p_type == PT_DYNAMIC) {
            object->has_dynamic = true;
            *dynamic = headers[i].p_vaddr;
            *dynamic_size = headers[i].p_filesz;
        }
    }
    object->identity = identity_read(headers, header->e_phnum, identity_bytes, object);
    return true;
}

/* ---- Code ranges ---- */

static int compare_ranges(const void *a, const void *b) {
    const struct range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void add_code(struct object *object, uint64_t start, uint64_t end) {
    if (start < end)
        *array_append(object->code, object->code_count) = (struct range){(uint32_t)start, (uint32_t)end};
}

bool object_section(const struct object *object, size_t index, Elf64_Shdr *section) {
    Elf64_Ehdr header;
    if (object->size < sizeof header)
        return false;
    memcpy(&header, object->bytes, sizeof header);
    size_t size = (size_t)header.e_shnum * sizeof *section;
    if (index >= header.e_shnum || header.e_shentsize != sizeof *section || header.e_shoff > object->size ||
        size > object->size - header.e_shoff)
        return false;
    memcpy(section, object->bytes + header.e_shoff + index * sizeof *section, sizeof *section);
    return true;
}

/* Sections tell code from the read-only data that older linkers put into the same segment. Where there are none, the
 * whole segment is code. */
static void add_code_sections(struct object *object, const struct segment *segment) {
    size_t before = object->code_count;
    uint64_t low = segment->address, high = (uint64_t)segment->address + segment->file_size;
    Elf64_Shdr section;
    for (size_t i = 0; object_section(object, i, &section); i++) {
        if ((section.sh_flags & (SHF_ALLOC | SHF_EXECINSTR)) != (SHF_ALLOC | SHF_EXECINSTR) ||
            section.sh_type != SHT_PROGBITS || section.sh_addr < low || section.sh_addr >= high)
            continue;
        uint64_t end = section.sh_size > high - section.sh_addr ? high : section.sh_addr + section.sh_size;
        add_code(object, section.sh_addr, end);
    }
    if (object->code_count == before)
        add_code(object, low, high);
}

static void make_disjoint(struct object *object) {
    if (object->code_count == 0)
        return;
    qsort(object->code, object->code_count, sizeof *object->code, compare_ranges);
    size_t kept = 1;
    for (size_t i = 1; i < object->code_count; i++) {
        struct range *last = &object->code[kept - 1];
        struct range next = object->code[i];
        if (next.start < last->end)
            next.start = last->end;
        if (next.start < next.end)
            object->code[kept++] = next;
    }
    object->code_count = kept;
}

static void find_code(struct object *object) {
    for (size_t i = 0; i < object->segment_count; i++) {
        if ((object->segments[i].flags & PF_X) != 0)
            add_code_sections(object, &object->segments[i]);
    }
    make_disjoint(object);
}

/* ---- The dynamic section ---- */

static const char *dynamic_string(const struct object *object, const struct dynamic *dynamic, uint64_t offset) {
    if (offset >= dynamic->string_size)
        return NULL;
    uint64_t address, length = dynamic->string_size - offset;
    size_t rest;
    if (__builtin_add_overflow(dynamic->string_table, offset, &address))
        return NULL;
    const uint8_t *text = object_rest(object, address, &rest);
    if (text == NULL || memchr(text, 0, length < rest ? length : rest) == NULL)
        return NULL;
    return (const char *)text;
}

static void read_dynamic_value(struct object *object, struct dynamic *dynamic, const Elf64_Dyn *entry) {
    uint64_t value = entry->d_un.d_val;
    switch (entry->d_tag) {
    case DT_STRTAB: dynamic->string_table = value; break;
    case DT_STRSZ: dynamic->string_size = value; break;
    case DT_SYMTAB: dynamic->symbol_table = value; break;
    case DT_HASH: dynamic->hash = value; break;
    case DT_GNU_HASH: dynamic->gnu_hash = value; break;
    case DT_RELA: dynamic->rela = value; break;
    case DT_RELASZ: dynamic->rela_size = value; break;
    case DT_JMPREL: dynamic->plt_rela = value; break;
    case DT_PLTRELSZ: dynamic->plt_rela_size = value; break;
    case DT_RELR: dynamic->relr = value; break;
    case DT_RELRSZ: dynamic->relr_size = value; break;
    case DT_TEXTREL: object->text_relocations = true; break;
    case DT_FLAGS: object->text_relocations |= (value & DF_TEXTREL) != 0; break;
    case DT_FLAGS_1: object->has_flags_pie = (value & DF_1_PIE) != 0; break;
    case DT_INIT: object->init = value <= MAX_ADDRESS ? (uint32_t)value : 0; break;
    case DT_FINI: object->fini = value <= MAX_ADDRESS ? (uint32_t)value : 0; break;
    default: break;
    }
}

static void read_dynamic_name(struct object *object, const struct dynamic *dynamic, const Elf64_Dyn *entry) {
    const char *text = dynamic_string(object, dynamic, entry->d_un.d_val);
    if (text == NULL)
        return;
    switch (entry->d_tag) {
    case DT_NEEDED: *array_append(object->needed, object->needed_count) = text; break;
    case DT_SONAME: object->soname = text; break;
    case DT_RPATH: object->rpath = text; break;
    case DT_RUNPATH: object->runpath = text; break;
    default: break;
    }
}

static void read_dynamic(struct object *object, struct dynamic *dynamic, uint64_t address, uint64_t size) {
    size_t rest;
    const uint8_t *bytes = object_rest(object, address, &rest);
    if (bytes == NULL)
        return;
    size_t count = (size < rest ? size : rest) / sizeof(Elf64_Dyn);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            Elf64_Dyn entry;
            memcpy(&entry, bytes + i * sizeof entry, sizeof entry);
            if (entry.d_tag == DT_NULL)
                break;
            if (pass == 0)
                read_dynamic_value(object, dynamic, &entry);
            else
                read_dynamic_name(object, dynamic, &entry);
        }
    }
}

/* ---- Symbols ---- */

static size_t count_by_gnu_hash(const struct object *object, uint64_t address) {
    const uint8_t *header = object_at(object, address, 16);
    if (header == NULL)
        return 0;
    uint64_t buckets = read32(header), first = read32(header + 4), words = read32(header + 8);
    uint64_t bucket_table = address + 16 + words * 8, chain_table = bucket_table + buckets * 4;
    uint64_t last = 0;
    const uint8_t *table = object_at(object, bucket_table, buckets * 4);
    if (table == NULL)
        return 0;
    for (uint64_t i = 0; i < buckets; i++) {
        if (read32(table + i * 4) > last)
            last = read32(table + i * 4);
    }
    if (last < first)
        return first;
    for (;; last++) {
        const uint8_t *chain = object_at(object, chain_table + (last - first) * 4, 4);
        if (chain == NULL)
            return 0;
        if ((chain[0] & 1) != 0 || last > MAX_SYMBOLS)
            return last + 1;
    }
}

static size_t count_symbols(const struct object *object, const struct dynamic *dynamic, size_t least) {
    size_t count = 0;
    const uint8_t *hash = dynamic->hash != 0 ? object_at(object, dynamic->hash, 8) : NULL;
    if (hash != NULL)
        count = read32(hash + 4);
    else if (dynamic->gnu_hash != 0)
        count = count_by_gnu_hash(object, dynamic->gnu_hash);
    if (count < least)
        count = least;
    size_t rest;
    if (object_rest(object, dynamic->symbol_table, &rest) == NULL)
        return 0;
    if (count > rest / sizeof(Elf64_Sym))
        count = rest / sizeof(Elf64_Sym);
    return count;
}

static int compare_spellings(const void *a, const void *b) {
    return strcmp(spelling_table[*(const uint16_t *)a].name, spelling_table[*(const uint16_t *)b].name);
}

static uint16_t ordered[SPELLING_COUNT];

static void order_spellings(void) {
    for (unsigned i = 0; i < SPELLING_COUNT; i++)
        ordered[i] = (uint16_t)i;
    qsort(ordered, SPELLING_COUNT, sizeof *ordered, compare_spellings);
}

static unsigned spelling_of(const char *name) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, order_spellings);
    size_t low = 0, high = SPELLING_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, spelling_table[ordered[middle]].name);
        if (order == 0)
            return ordered[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SPELLING_COUNT;
}

static void read_symbol(const struct object *object, const struct dynamic *dynamic, const Elf64_Sym *entry,
                        struct symbol *symbol) {
    const char *name = dynamic_string(object, dynamic, entry->st_name);
    unsigned bind = ELF64_ST_BIND(entry->st_info), visibility = ELF64_ST_VISIBILITY(entry->st_other);
    symbol->name = name == NULL ? "" : name;
    symbol->type = ELF64_ST_TYPE(entry->st_info);
    symbol->value = entry->st_value <= MAX_ADDRESS ? (uint32_t)entry->st_value : 0;
    symbol->size = entry->st_size <= MAX_ADDRESS ? (uint32_t)entry->st_size : 0;
    symbol->defined = entry->st_shndx != SHN_UNDEF && symbol->type != STT_TLS;
    symbol->exported =
        symbol->defined && bind != STB_LOCAL && (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
    symbol->spelling = (uint16_t)spelling_of(symbol->name);
    symbol->api = symbol->spelling < SPELLING_COUNT ? spelling_table[symbol->spelling].api : API_NONE;
}

static void read_symbols(struct object *object, const struct dynamic *dynamic, size_t least) {
    size_t count = dynamic->symbol_table == 0 ? 0 : count_symbols(object, dynamic, least);
    object->excessive |= count > MAX_SYMBOLS;
    if (object->excessive)
        count = 0;
    object->symbols = xcalloc(count + 1, sizeof *object->symbols);
    object->symbol_count = count;
    const uint8_t *bytes = count == 0 ? NULL : object_at(object, dynamic->symbol_table, count * sizeof(Elf64_Sym));
    if (bytes == NULL) {
        object->symbol_count = 0;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        Elf64_Sym entry;
        memcpy(&entry, bytes + i * sizeof entry, sizeof entry);
        read_symbol(object, dynamic, &entry, &object->symbols[i]);
    }
}

/* ---- Relocations ---- */

static void add_relocation(struct object *object, uint64_t address, uint32_t type, uint32_t symbol, int64_t addend) {
    if (address > MAX_ADDRESS - 8)
        return;
    if (object->relocation_count >= MAX_RELOCATIONS) {
        object->excessive = true;
        return;
    }
    struct relocation *relocation = array_append(object->relocations, object->relocation_count);
    *relocation = (struct relocation){(uint32_t)address, type, symbol == 0 ? NO_SYMBOL : symbol, addend};
}

static void read_rela(struct object *object, uint64_t address, uint64_t size) {
    size_t rest;
    const uint8_t *bytes = object_rest(object, address, &rest);
    if (bytes == NULL)
        return;
    size_t count = (size < rest ? size : rest) / sizeof(Elf64_Rela);
    for (size_t i = 0; i < count; i++) {
        Elf64_Rela entry;
        memcpy(&entry, bytes + i * sizeof entry, sizeof entry);
        add_relocation(object, entry.r_offset, (uint32_t)ELF64_R_TYPE(entry.r_info),
                       (uint32_t)ELF64_R_SYM(entry.r_info), entry.r_addend);
    }
}

static void add_relative(struct object *object, uint64_t address) {
    const uint8_t *word = object_at(object, address, 8);
    if (word != NULL)
        add_relocation(object, address, R_X86_64_RELATIVE, 0, (int64_t)read64(word));
}

/* DT_RELR: an even word is an address, an odd one a bitmap of the 63 words behind the last address. */
static void read_relr(struct object *object, uint64_t address, uint64_t size) {
    size_t rest;
    const uint8_t *bytes = object_rest(object, address, &rest);
    if (bytes == NULL)
        return;
    size_t count = (size < rest ? size : rest) / SIZEOF_RELR;
    uint64_t next = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t entry = read64(bytes + i * SIZEOF_RELR);
        if ((entry & 1) == 0) {
            add_relative(object, entry);
            next = entry + 8;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++) {
            if ((entry >> bit & 1) != 0)
                add_relative(object, next + (bit - 1) * 8);
        }
        next += (uint64_t)63 * 8;
    }
}

static int compare_relocations(const void *a, const void *b) {
    const struct relocation *x = a, *y = b;
    return x->address < y->address ? -1 : x->address > y->address;
}

static size_t symbols_used(const struct object *object) {
    size_t used = 0;
    for (size_t i = 0; i < object->relocation_count; i++) {
        if (object->relocations[i].symbol != NO_SYMBOL && object->relocations[i].symbol >= used)
            used = (size_t)object->relocations[i].symbol + 1;
    }
    return used;
}

static void read_relocations(struct object *object, const struct dynamic *dynamic) {
    if (dynamic->rela != 0)
        read_rela(object, dynamic->rela, dynamic->rela_size);
    if (dynamic->plt_rela != 0)
        read_rela(object, dynamic->plt_rela, dynamic->plt_rela_size);
    if (dynamic->relr != 0)
        read_relr(object, dynamic->relr, dynamic->relr_size);
    if (object->relocation_count > 0)
        qsort(object->relocations, object->relocation_count, sizeof *object->relocations, compare_relocations);
}

static void drop_bad_symbols(struct object *object) {
    for (size_t i = 0; i < object->relocation_count; i++) {
        if (object->relocations[i].symbol != NO_SYMBOL && object->relocations[i].symbol >= object->symbol_count)
            object->relocations[i].symbol = NO_SYMBOL;
    }
}

/* ---- Opening ---- */

static enum object_problem check_header(const uint8_t *bytes, size_t size, Elf64_Ehdr *header) {
    if (size >= 2 && memcmp(bytes, "#!", 2) == 0)
        return OBJECT_SCRIPT;
    if (size < sizeof *header || memcmp(bytes, ELFMAG, SELFMAG) != 0)
        return OBJECT_NOT_ELF;
    memcpy(header, bytes, sizeof *header);
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
        header->e_machine != EM_X86_64)
        return OBJECT_OTHER_MACHINE;
    return header->e_type == ET_EXEC || header->e_type == ET_DYN ? OBJECT_FINE : OBJECT_NOT_ELF;
}

static enum object_problem parse(const char *path, uint8_t *bytes, size_t size, enum object_extent extent,
                                 struct object *object) {
    *object = (struct object){.bytes = bytes, .size = size};
    Elf64_Ehdr header;
    enum object_problem problem = check_header(bytes, size, &header);
    if (problem != OBJECT_FINE)
        return problem;
    object->path = xstrdup(path);
    object->type = header.e_type;
    object->entry = header.e_entry <= MAX_ADDRESS ? (uint32_t)header.e_entry : 0;
    uint64_t dynamic_address = 0, dynamic_size = 0;
    if (!read_program_headers(object, &header, &dynamic_address, &dynamic_size)) {
        object_close(object);
        return OBJECT_DAMAGED;
    }
    struct dynamic dynamic = {0};
    read_dynamic(object, &dynamic, dynamic_address, dynamic_size);
    if (extent == OBJECT_HEADERS)
        return OBJECT_FINE;
    find_code(object);
    read_relocations(object, &dynamic);
    read_symbols(object, &dynamic, symbols_used(object));
    drop_bad_symbols(object);
    if (object->excessive) {
        object_close(object);
        return OBJECT_DAMAGED;
    }
    return OBJECT_FINE;
}

enum object_problem object_parse(const char *path, uint8_t *bytes, size_t size, struct object *object) {
    return parse(path, bytes, size, OBJECT_WHOLE, object);
}

enum object_problem object_map(int fd, const char *path, enum object_extent extent, struct object *object) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        return OBJECT_UNREADABLE;
    if (!S_ISREG(status.st_mode) || status.st_size > MAX_FILE_BYTES) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return OBJECT_UNREADABLE;
    }
    size_t size = (size_t)status.st_size;
    if (size < sizeof(Elf64_Ehdr)) {
        char start[2] = "";
        return pread(fd, start, 2, 0) == 2 && memcmp(start, "#!", 2) == 0 ? OBJECT_SCRIPT : OBJECT_NOT_ELF;
    }
    uint8_t *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return OBJECT_UNREADABLE;
    if (extent == OBJECT_HEADERS)
        madvise(bytes, size, MADV_RANDOM); /* some pages are looked at, not what lies around them */
    enum object_problem problem = parse(path, bytes, size, extent, object);
    if (problem != OBJECT_FINE)
        munmap(bytes, size);
    else
        object->mapped = true;
    return problem;
}

enum object_problem object_open(const char *path, struct object *object) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return OBJECT_UNREADABLE;
    enum object_problem problem = object_map(fd, path, OBJECT_WHOLE, object);
    int error = errno;
    close(fd);
    errno = error;
    return problem;
}

void object_close(struct object *object) {
    free(object->path);
    free(object->segments);
    free(object->code);
    free(object->symbols);
    free(object->relocations);
    free(object->needed);
    if (object->mapped)
        munmap(object->bytes, object->size);
    *object = (struct object){0};
}

const char *object_problem_text(enum object_problem problem) {
    switch (problem) {
    case OBJECT_FINE: return "nothing is wrong";
    case OBJECT_UNREADABLE: return "it cannot be read";
    case OBJECT_NOT_ELF: return "it is no program or library (no ELF file)";
    case OBJECT_SCRIPT: return "it is a script: name its interpreter, that is the program Pinion protects";
    case OBJECT_OTHER_MACHINE: return "it was built for another machine than 64-bit x86";
    case OBJECT_DAMAGED: return "its headers are damaged, or its tables larger than any linker makes them";
    }
    return "unknown problem";
}
