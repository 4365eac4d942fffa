/* See resolve.h. Set-up only, but for resolve_in, which dlsym's check uses: nothing is written here then. */
#include <asm/errno.h>

#include "preload/resolve.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>

#include "preload/libc.h"
#include "preload/state.h"

#define VERSION_HIDDEN 0x8000

/* The GNU hash of every spelling's name, computed by the compiler: one step of the hash for each place of the name,
 * that does nothing behind its end. */
#define IN(name, i) ((i) < sizeof #name - 1)
#define STEP(name, i, hash) \
    ((hash) * (IN(name, i) ? 33u : 1u) + (IN(name, i) ? (unsigned char)#name[IN(name, i) ? (i) : 0] : 0u))
#define STEP4(name, i, hash) STEP(name, (i) + 3, STEP(name, (i) + 2, STEP(name, (i) + 1, STEP(name, i, hash))))
#define STEP12(name, i, hash) STEP4(name, (i) + 8, STEP4(name, (i) + 4, STEP4(name, i, hash)))
#define HASH(name) STEP12(name, 24, STEP12(name, 12, STEP12(name, 0, 5381u)))

static const uint32_t name_hashes[SPELLING_COUNT] = {
#define API(name, class, level, failure, ...) HASH_##level(name)
#define ALIAS(canonical, name) HASH(name),
#define HASH_COUNTED(name) HASH(name),
#define HASH_CHECKED(name) HASH(name),
#define HASH_RAW(name)
#include "runtime/apis.def"
};

_Static_assert(sizeof spelling_table[0].name <= 36, "HASH looks at so many bytes of a name");

struct object {
    uint64_t bias;
    const uint32_t *hash;
    const Elf64_Sym *symbols;
    const char *names;
    const uint16_t *versions;
    uint64_t bucket_inverse; /* 2^64 / buckets, rounded up: a division per spelling would be felt at start-up */
};

static bool read_object(const struct link_map *link, struct object *object) {
    *object = (struct object){.bias = link->l_addr};
    for (const Elf64_Dyn *entry = link->l_ld; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        /* glibc adds the load bias to these addresses, musl does not. */
        uint64_t address = entry->d_un.d_ptr < link->l_addr ? link->l_addr + entry->d_un.d_ptr : entry->d_un.d_ptr;
        switch (entry->d_tag) {
        case DT_GNU_HASH: object->hash = (const uint32_t *)address; break;
        case DT_SYMTAB: object->symbols = (const Elf64_Sym *)address; break;
        case DT_STRTAB: object->names = (const char *)address; break;
        case DT_VERSYM: object->versions = (const uint16_t *)address; break;
        default: break;
        }
    }
    if (object->hash == NULL || object->symbols == NULL || object->names == NULL || object->hash[0] == 0)
        return false;
    object->bucket_inverse = UINT64_MAX / object->hash[0] + 1;
    return true;
}

static uint32_t gnu_hash(const char *name) {
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash;
}

/* Names of the table are padded with zeros, so whole words can be compared; but no word is read across a page's end. */
static bool same_name(const char *padded, const char *name) {
    for (;; padded += 8, name += 8) {
        uint64_t a, b;
        if (((uint64_t)name & (PAGE_BYTES - 1)) > PAGE_BYTES - 8)
            return strcmp(padded, name) == 0;
        __builtin_memcpy(&a, padded, 8);
        __builtin_memcpy(&b, name, 8);
        uint64_t zeros = (a - 0x0101010101010101u) & ~a & 0x8080808080808080u;
        if (zeros != 0) /* compare up to and with the first zero byte */
            return ((a ^ b) & (zeros ^ (zeros - 1))) == 0;
        if (a != b)
            return false;
    }
}

static bool is_function(const Elf64_Sym *symbol) {
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    return symbol->st_shndx != SHN_UNDEF && symbol->st_value != 0 &&
           (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

static uint64_t address_of(const struct object *object, const Elf64_Sym *symbol) {
    uint64_t address = object->bias + symbol->st_value;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
        address = ((uint64_t(*)(void))address)();
    return address;
}

/* Whether the filter of the object lets the hash pass, and then the first symbol of its chain, or 0. */
static uint32_t first_in_chain(const struct object *object, uint32_t hash) {
    const uint32_t *table = object->hash;
    uint32_t buckets = table[0], words = table[2], shift = table[3];
    const uint64_t *bloom = (const uint64_t *)(table + 4);
    uint64_t word = bloom[hash / 64 & (words - 1)];
    if (!(word >> (hash & 63) & word >> (hash >> shift & 63) & 1))
        return 0;
    /* hash % buckets, as in Lemire, Kaser, Kurz: Faster remainder by direct computation (2019). */
    uint64_t fraction = object->bucket_inverse * hash;
    uint32_t bucket = (uint32_t)((unsigned __int128)fraction * buckets >> 64);
    return ((const uint32_t *)(bloom + words))[bucket];
}

static const uint32_t *chain_of(const struct object *object) {
    const uint32_t *table = object->hash;
    return table + 4 + 2 * (size_t)table[2] + table[0] - table[1];
}

/* The address of the default version of a symbol in the chain that begins at symbol `i`, or 0. */
static uint64_t find_in_chain(const struct object *object, uint32_t i, const char *name, uint32_t hash) {
    const uint32_t *chain = chain_of(object);
    for (; i >= object->hash[1]; i++) {
        const Elf64_Sym *symbol = &object->symbols[i];
        bool is_default = object->versions == NULL || !(object->versions[i] & VERSION_HIDDEN);
        if ((chain[i] | 1) == (hash | 1) && is_default && is_function(symbol) &&
            same_name(name, object->names + symbol->st_name))
            return address_of(object, symbol);
        if (chain[i] & 1)
            break;
    }
    return 0;
}

static uint64_t find(const struct object *object, const char *name, uint32_t hash) {
    uint32_t first = first_in_chain(object, hash);
    return first == 0 ? 0 : find_in_chain(object, first, name, hash);
}

uint64_t resolve_in(const struct link_map *link, const char *name) {
    struct object object;
    return read_object(link, &object) ? find(&object, name, gnu_hash(name)) : 0;
}

/* What programs get that call a function their libc lacks; they could not have been linked, so only dlsym could
 * lead here, and it hands out stubs only for functions that exist. */
static long missing(void) {
    if (STATE->errno_location != NULL)
        *STATE->errno_location() = ENOSYS;
    return -1;
}

bool resolve_found(unsigned spelling) {
    return pinion_real[spelling] != (void *)missing;
}

/* All spellings in one object. In passes, so that the caches' misses overlap: this is half of the start-up. */
static void resolve_from(const struct object *object) {
    uint32_t first[SPELLING_COUNT];
    const uint32_t *chain = chain_of(object);
    for (unsigned i = 0; i < SPELLING_COUNT; i++) {
        first[i] = pinion_real[i] != (void *)missing ? 0 : first_in_chain(object, name_hashes[i]);
        __builtin_prefetch(&chain[first[i]]);
        __builtin_prefetch(&object->symbols[first[i]]);
    }
    for (unsigned i = 0; i < SPELLING_COUNT; i++)
        if (first[i] != 0)
            __builtin_prefetch(object->names + object->symbols[first[i]].st_name);
    for (unsigned i = 0; i < SPELLING_COUNT; i++) {
        uint64_t found = first[i] == 0 ? 0 : find_in_chain(object, first[i], spelling_table[i].name, name_hashes[i]);
        if (found != 0)
            pinion_real[i] = (void *)found;
    }
}

void resolve_all(const struct link_map *self) {
    for (unsigned i = 0; i < SPELLING_COUNT; i++)
        pinion_real[i] = (void *)missing;
    for (const struct link_map *link = self->l_next; link != NULL; link = link->l_next) {
        struct object object;
        if (read_object(link, &object))
            resolve_from(&object);
    }
}
