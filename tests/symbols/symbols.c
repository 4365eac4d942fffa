/* Reads a libc's dynamic symbols and looks for functions that belong to a listed one without being listed. Knows
 * nothing of the table itself.
 */
#include "tests/symbols/symbols.h"

#include <ctype.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runtime/util.h"

#define NAME_BYTES 128
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool map_file(struct symbol_list *list, const char *path) {
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        return false;
    list->file_size = (size_t)status.st_size;
    list->file = mmap(NULL, list->file_size, PROT_READ, MAP_PRIVATE, fd, 0);
    return list->file != MAP_FAILED;
}

static const Elf64_Shdr *find_section(const struct symbol_list *list, uint32_t type) {
    const Elf64_Ehdr *header = list->file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)((const char *)list->file + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == type)
            return &sections[i];
    return NULL;
}

static void add_functions(struct symbol_list *list, const Elf64_Shdr *section) {
    const char *file = list->file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(file + ((const Elf64_Ehdr *)list->file)->e_shoff);
    const char *texts = file + sections[section->sh_link].sh_offset;
    const Elf64_Sym *symbols = (const Elf64_Sym *)(file + section->sh_offset);
    size_t count = section->sh_size / sizeof *symbols;
    list->symbols = xcalloc(count, sizeof *list->symbols);
    for (size_t i = 0; i < count; i++) {
        unsigned type = ELF64_ST_TYPE(symbols[i].st_info);
        if (symbols[i].st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_GNU_IFUNC))
            list->symbols[list->count++] = (struct symbol){texts + symbols[i].st_name, symbols[i].st_value};
    }
}

bool symbol_list_read(struct symbol_list *list, const char *path) {
    *list = (struct symbol_list){0};
    if (!map_file(list, path)) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    const Elf64_Shdr *section = NULL;
    if (list->file_size > sizeof(Elf64_Ehdr) && memcmp(list->file, ELFMAG, SELFMAG) == 0)
        section = find_section(list, SHT_DYNSYM);
    if (section == NULL) {
        fprintf(stderr, "%s has no dynamic symbols\n", path);
        symbol_list_free(list);
        return false;
    }
    add_functions(list, section);
    return true;
}

void symbol_list_free(struct symbol_list *list) {
    free(list->symbols);
    munmap(list->file, list->file_size);
    *list = (struct symbol_list){0};
}

bool symbol_list_has(const struct symbol_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->symbols[i].name, name) == 0)
            return true;
    return false;
}

/* ---- names ---- */

static bool drop_prefix(char *name) {
    static const char *const prefixes[] = {"_",    "libc_", "io_",  "gi_",  "posix_",
                                           "xpg_", "bsd_",  "sys_", "old_", "new_"};
    for (size_t i = 0; i < LENGTH(prefixes); i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0 && name[length] != '\0') {
            memmove(name, name + length, strlen(name + length) + 1);
            return true;
        }
    }
    return false;
}

static bool drop_suffix(char *name) {
    static const char *const suffixes[] = {"64",    "v2",        "_2",      "_chk", "_nocancel", "_time64",
                                           "_mode", "_internal", "_compat", "_r",   "_np",       "_unlocked"};
    size_t length = strlen(name);
    for (size_t i = 0; i < LENGTH(suffixes); i++) {
        size_t ending = strlen(suffixes[i]);
        if (length > ending && strcmp(name + length - ending, suffixes[i]) == 0) {
            name[length - ending] = '\0';
            return true;
        }
    }
    return false;
}

/* __xstat, __fxstatat, __xmknod: the old names of functions that also take a version. */
static void drop_version_letter(char *name) {
    char *letter = strchr(name, 'x');
    if (letter != NULL && letter - name <= 1 &&
        (strncmp(letter + 1, "stat", 4) == 0 || strncmp(letter + 1, "mknod", 5) == 0))
        memmove(letter, letter + 1, strlen(letter));
}

void base_name(const char *name, char *base, size_t size) {
    snprintf(base, size, "%s", name);
    for (char *letter = base; *letter != '\0'; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    while (drop_prefix(base) || drop_suffix(base))
        continue;
    drop_version_letter(base);
}

/* ---- siblings ---- */

/* What a comparison looks up again and again, computed once. */
struct listing {
    const char *const *names;
    size_t count;
    char (*bases)[NAME_BYTES]; /* of names */
    const char **listed;       /* per exported symbol: its entry of names, or NULL */
};

static struct listing listing_begin(const struct symbol_list *libc, const char *const *names, size_t count) {
    struct listing listing = {names, count, xcalloc(count, NAME_BYTES), xcalloc(libc->count, sizeof(char *))};
    for (size_t i = 0; i < count; i++) {
        base_name(names[i], listing.bases[i], NAME_BYTES);
        for (size_t j = 0; j < libc->count; j++)
            if (strcmp(libc->symbols[j].name, names[i]) == 0)
                listing.listed[j] = names[i];
    }
    return listing;
}

static void listing_end(struct listing *listing) {
    free(listing->bases);
    free(listing->listed);
}

static const char *find_sibling(const struct listing *listing, const struct symbol_list *libc,
                                const struct symbol *symbol) {
    char base[NAME_BYTES];
    base_name(symbol->name, base, sizeof base);
    for (size_t i = 0; i < listing->count; i++)
        if (strcmp(listing->bases[i], base) == 0)
            return listing->names[i];
    for (size_t i = 0; i < libc->count; i++)
        if (listing->listed[i] != NULL && libc->symbols[i].address == symbol->address)
            return listing->listed[i];
    return NULL;
}

void find_siblings(const struct symbol_list *libc, const char *const *names, size_t count,
                   void (*report)(const char *symbol, const char *sibling, void *data), void *data) {
    struct listing listing = listing_begin(libc, names, count);
    for (size_t i = 0; i < libc->count; i++) {
        if (listing.listed[i] != NULL)
            continue;
        const char *sibling = find_sibling(&listing, libc, &libc->symbols[i]);
        if (sibling != NULL)
            report(libc->symbols[i].name, sibling, data);
    }
    listing_end(&listing);
}
