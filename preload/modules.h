/* The module map: which program or library an address belongs to, and which rules it has. Read in every check,
 * without locks; replaced as a whole, sealed, when libraries come or go.
 */
#ifndef PINION_PRELOAD_MODULES_H
#define PINION_PRELOAD_MODULES_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/policy.h"

struct link_map;
struct r_debug;

#define CONSTANT_SPANS 6
#define READABLE_SPANS 8

struct mapped_module {
    uint64_t code_low, code_high;      /* executable segments */
    uint64_t low, high;                /* all segments */
    uint64_t bias;                     /* load address minus link address */
    const struct policy_module *rules; /* NULL: the policy does not know this module */
    struct policy_site_table quick;    /* its sites; none where a hit must be confirmed first */
    const Elf64_Phdr *headers;
    const struct link_map *link;
    const void *build_id_note; /* its bytes in memory; a late module is confirmed by them at every hit */
    const char *name;          /* as the loader has it; "" for the program */
    struct {
        uint64_t low, high;     /* whole pages */
    } constant[CONSTANT_SPANS]; /* what is never written once it is loaded: read-only segments, RELRO */
    struct {
        uint64_t low, high;
    } readable[READABLE_SPANS]; /* segments: kept here, for the headers go away with a library */
    unsigned constant_count, readable_count;
    uint64_t relro_low, relro_high;
    uint64_t frame_header; /* PT_GNU_EH_FRAME in memory, or 0 */
    const Elf64_Dyn *dynamic;
    struct identity identity;
    uint16_t header_count;
    bool late;    /* loaded after start-up */
    bool changed; /* the policy knows a module of this name, but another build */
    bool shim;    /* this library itself */
};

/* More modules than this are not covered: calls from them come from "anonymous code". */
#define MODULE_MAP_MAX 1024

struct module_map {
    uint64_t sequence; /* another one after every replacement: a reader that finds it unchanged has read one map */
    uint64_t count;
    struct mapped_module modules[MODULE_MAP_MAX]; /* ordered by code_low */
};

/* The module whose code holds the address, or NULL: to compare, not to read, for its place may become another's. */
const struct mapped_module *module_of_code(uint64_t address);

/* A copy of that module, from one map; false without one. */
bool module_copy(uint64_t address, struct mapped_module *copy);

static inline const struct mapped_module *module_in_map(const struct module_map *map, uint64_t address) {
    const struct mapped_module *found = map->modules;
    /* Most calls come from the program, and that lies lowest. */
    if (address - found->code_low >= found->code_high - found->code_low) {
        uint64_t low = 0, high = map->count;
        while (low < high) {
            uint64_t middle = (low + high) / 2;
            if (map->modules[middle].code_low <= address)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == 0)
            return NULL;
        found = &map->modules[low - 1];
    }
    return address < found->code_high ? found : NULL;
}

/* Calls `visit` for every module until it returns nonzero; returns that. Reads a consistent map: where that is replaced
 * meanwhile, everything begins anew. */
int modules_visit(int (*visit)(const struct mapped_module *module, void *context), void *context);

/* Maps the first map. The loader's list is quiet at that time. Returns NULL when there is no memory or no list. */
const struct module_map *modules_start(void);

/* Gives each module of the first map its rules, once the policy is there, and seals the map. */
void modules_bind(void);

/* Makes the map anew from the loader's list: after dlclose, and when a return address is in no module. Returns
 * whether it could: not while another thread is loading. */
bool modules_refresh(void);

/* Whether the loader still has this very object here; reads nothing of it. */
bool module_is_loaded(const struct mapped_module *module);

/* A late module may have taken the place of one that was unloaded unseen: whether it still is what it was. */
bool module_is_confirmed(const struct mapped_module *module);

/* The loader's own description of what it has loaded; NULL without one. */
struct r_debug *modules_debug(void);

/* The loader's list of modules in search order, this library first or wherever it stands; NULL without one. */
const struct link_map *modules_first(void);
const struct link_map *modules_self(void);

#endif
