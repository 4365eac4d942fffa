/* The module map. It is built in fresh pages, sealed, and moved over the old one by a single mremap: a reader sees
 * the old map or the new one. The loader's list is read without locks; what a racing dlopen made unreliable is
 * discarded.
 */
#include "preload/modules.h"

#include <link.h>
#include <linux/mman.h>
#include <sys/auxv.h>

#include "preload/copy.h"
#include "preload/imports.h"
#include "preload/libc.h"
#include "preload/raw.h"
#include "preload/state.h"

#define LIST_MAX (4 * MODULE_MAP_MAX) /* of the loader's list: it may be a ring when memory is corrupt */

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/* DT_DEBUG of the program, which the loader fills in. The symbols would do, but for programs that have a copy of them. */
static struct r_debug *debug_of_program(void) {
    const Elf64_Phdr *headers = getauxval != NULL ? (const Elf64_Phdr *)getauxval(AT_PHDR) : NULL;
    uint64_t count = headers != NULL ? getauxval(AT_PHNUM) : 0, bias = 0;
    const Elf64_Dyn *dynamic = NULL;
    for (uint64_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_PHDR)
            bias = (uint64_t)headers - headers[i].p_vaddr;
    for (uint64_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_DYNAMIC)
            dynamic = (const Elf64_Dyn *)(bias + headers[i].p_vaddr);
    for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++)
        if (dynamic->d_tag == DT_DEBUG)
            return (struct r_debug *)dynamic->d_un.d_ptr;
    return NULL;
}

struct r_debug *modules_debug(void) {
    struct r_debug *debug = debug_of_program();
    if (debug != NULL && debug->r_map != NULL)
        return debug;
    if (&_r_debug != NULL)
        return &_r_debug;
    return &_dl_debug_addr != NULL ? _dl_debug_addr : NULL;
}

const struct link_map *modules_first(void) {
    return STATE->debug != NULL ? STATE->debug->r_map : NULL;
}

static bool list_is_quiet(void) {
    return __atomic_load_n((const int *)&STATE->debug->r_state, __ATOMIC_ACQUIRE) == RT_CONSISTENT;
}

const struct link_map *modules_self(void) {
    const struct link_map *link = modules_first();
    for (unsigned i = 0; link != NULL && i < LIST_MAX; i++, link = link->l_next)
        if (link->l_addr == (uint64_t)&__ehdr_start)
            return link;
    return NULL;
}

/* ---- one module ---- */

static const void *read_mapped(void *context, uint64_t address, size_t length) {
    const struct mapped_module *module = context;
    uint64_t at = module->bias + address;
    return at >= module->low && at + length <= module->high && at + length >= at ? (const void *)at : NULL;
}

/* The address of the ELF header as it is mapped, or 0. */
static uint64_t header_address(const struct link_map *link) {
    struct dl_find_object found;
    if (_dl_find_object != NULL && _dl_find_object(link->l_ld, &found) == 0)
        return (uint64_t)found.dlfo_map_start;
    return link->l_addr;
}

/* At start-up nobody can change the list behind our back; later a racing dlclose may. */
static bool can_read(uint64_t address) {
    return STATE->ready != READY || memory_is_readable(address);
}

static bool find_headers(const struct link_map *link, bool first, struct mapped_module *module) {
    uint64_t at = header_address(link);
    if (at != 0 && can_read(at)) {
        const Elf64_Ehdr *header = (const Elf64_Ehdr *)at;
        if (memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_phentsize == sizeof(Elf64_Phdr)) {
            module->headers = (const Elf64_Phdr *)(at + header->e_phoff);
            module->header_count = header->e_phnum;
            return true;
        }
    }
    if (first && getauxval != NULL) {
        module->headers = (const Elf64_Phdr *)getauxval(AT_PHDR);
        module->header_count = (uint16_t)getauxval(AT_PHNUM);
    }
    return module->headers != NULL;
}

/* Beyond the number that modules have, the last span grows: too much is protected rather than too little. */
static void add_constant(struct mapped_module *module, uint64_t low, uint64_t high) {
    unsigned last = module->constant_count < CONSTANT_SPANS ? module->constant_count++ : CONSTANT_SPANS - 1;
    low = low / PAGE_BYTES * PAGE_BYTES;
    high = (high + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (module->constant[last].high != 0) {
        low = low < module->constant[last].low ? low : module->constant[last].low;
        high = high > module->constant[last].high ? high : module->constant[last].high;
    }
    module->constant[last].low = low;
    module->constant[last].high = high;
}

static void find_segments(struct mapped_module *module) {
    module->low = module->code_low = UINT64_MAX;
    for (unsigned i = 0; i < module->header_count; i++) {
        const Elf64_Phdr *segment = &module->headers[i];
        uint64_t low = module->bias + segment->p_vaddr, high = low + segment->p_memsz;
        if (segment->p_type == PT_LOAD) {
            module->low = low < module->low ? low : module->low;
            module->high = high > module->high ? high : module->high;
            if ((segment->p_flags & PF_R) && module->readable_count < READABLE_SPANS) {
                module->readable[module->readable_count].low = low;
                module->readable[module->readable_count++].high = high;
            }
            if (!(segment->p_flags & PF_W))
                add_constant(module, low, high);
            if (segment->p_flags & PF_X) {
                module->code_low = low < module->code_low ? low : module->code_low;
                module->code_high = high > module->code_high ? high : module->code_high;
            }
        } else if (segment->p_type == PT_GNU_RELRO) {
            module->relro_low = low / PAGE_BYTES * PAGE_BYTES;
            module->relro_high = high / PAGE_BYTES * PAGE_BYTES;
            if (module->relro_low < module->relro_high)
                add_constant(module, module->relro_low, module->relro_high);
        } else if (segment->p_type == PT_GNU_EH_FRAME) {
            module->frame_header = low;
        }
    }
}

static const void *find_build_id(const struct mapped_module *module) {
    for (unsigned i = 0; i < module->header_count; i++) {
        if (module->headers[i].p_type != PT_NOTE)
            continue;
        uint64_t at = module->bias + module->headers[i].p_vaddr, end = at + module->headers[i].p_memsz;
        while (at + sizeof(Elf64_Nhdr) <= end) {
            const Elf64_Nhdr *note = (const Elf64_Nhdr *)at;
            uint64_t name = at + sizeof *note, bytes = name + ((note->n_namesz + 3u) & ~3u);
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp((void *)name, "GNU", 4) == 0)
                return (const void *)bytes;
            at = bytes + ((note->n_descsz + 3u) & ~3u);
        }
    }
    return NULL;
}

static bool ends_with(const char *path, const char *name) {
    size_t path_length = strlen(path), name_length = strlen(name);
    return path_length >= name_length && strcmp(path + path_length - name_length, name) == 0;
}

static const char *base_name(const char *path) {
    const char *base = path;
    for (; *path != '\0'; path++)
        if (*path == '/')
            base = path + 1;
    return base;
}

static void bind_rules(struct mapped_module *module) {
    const struct policy_header *policy = STATE->policy;
    if (policy == NULL)
        return;
    const struct policy_module *rules = policy_section(policy, policy->modules);
    for (unsigned i = 0; i < policy->modules.count; i++) {
        if (identity_equal(&rules[i].identity, &module->identity)) {
            module->rules = &rules[i];
            if (!module->late)
                module->quick = policy_site_table(policy, &rules[i]);
            return;
        }
        if (module->name[0] != '\0' && ends_with(policy_text(policy, rules[i].path), base_name(module->name)))
            module->changed = true;
    }
}

static bool read_module(const struct link_map *link, bool first, bool late, struct mapped_module *module) {
    memset(module, 0, sizeof *module);
    module->link = link;
    module->bias = link->l_addr;
    module->name = link->l_name != NULL && can_read((uint64_t)link->l_name) ? link->l_name : "";
    module->dynamic = link->l_ld;
    module->late = late;
    module->shim = link->l_addr == (uint64_t)&__ehdr_start;
    if (!find_headers(link, first, module))
        return false;
    find_segments(module);
    if (module->code_high == 0)
        return false;
    module->identity = identity_read(module->headers, module->header_count, read_mapped, module);
    module->build_id_note = module->identity.kind == IDENTITY_BUILD_ID ? find_build_id(module) : NULL;
    bind_rules(module);
    return true;
}

bool module_is_loaded(const struct mapped_module *module) {
    struct dl_find_object found;
    if (_dl_find_object == NULL)
        return memory_is_readable(module->code_low);
    return _dl_find_object((void *)module->code_low, &found) == 0 && found.dlfo_link_map == module->link &&
           (uint64_t)found.dlfo_map_start <= module->low && (uint64_t)found.dlfo_map_end >= module->high;
}

bool module_is_confirmed(const struct mapped_module *module) {
    if (module->build_id_note == NULL)
        return module->identity.kind != IDENTITY_BUILD_ID;
    return module_is_loaded(module) &&
           memcmp(module->build_id_note, module->identity.bytes, module->identity.length) == 0;
}

/* ---- the whole map ---- */

static const struct mapped_module *same_module(const struct module_map *map, const struct link_map *link) {
    for (uint64_t i = 0; map != NULL && i < map->count; i++)
        if (map->modules[i].link == link && map->modules[i].bias == link->l_addr)
            return &map->modules[i];
    return NULL;
}

static void insert_in_order(struct module_map *map, const struct mapped_module *module) {
    uint64_t place = map->count++;
    for (; place > 0 && map->modules[place - 1].code_low > module->code_low; place--)
        map->modules[place] = map->modules[place - 1];
    map->modules[place] = *module;
}

/* Returns a map in pages of its own, not yet sealed, or NULL. `old` tells which modules are not new. */
static struct module_map *build(const struct module_map *old) {
    long pages = raw(__NR_mmap, 0, sizeof(struct module_map), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw_failed(pages))
        return NULL;
    struct module_map *map = (struct module_map *)pages;
    const struct link_map *first = modules_first();
    unsigned steps = 0;
    /* What was there at start-up stays: the loader's list can be written, and must not make the map forget. */
    for (uint64_t i = 0; old != NULL && i < old->count; i++)
        if (!old->modules[i].late)
            insert_in_order(map, &old->modules[i]);
    for (const struct link_map *link = first; link != NULL && steps < LIST_MAX; link = link->l_next, steps++) {
        if (!can_read((uint64_t)link))
            break;
        struct mapped_module module;
        const struct mapped_module *known = same_module(old, link);
        if (known != NULL && !known->late)
            continue;
        if (map->count < MODULE_MAP_MAX && read_module(link, link == first, old != NULL, &module))
            insert_in_order(map, &module);
    }
    map->sequence = old == NULL ? 1 : old->sequence + 1;
    return map;
}

static void seal(struct module_map *map) {
    raw(__NR_mprotect, map, sizeof *map, PROT_READ);
}

const struct module_map *modules_start(void) {
    return modules_first() == NULL ? NULL : build(NULL);
}

void modules_bind(void) {
    struct module_map *map = (struct module_map *)STATE->modules;
    for (uint64_t i = 0; map != NULL && i < map->count; i++)
        bind_rules(&map->modules[i]);
    if (map != NULL)
        seal(map);
}

bool modules_refresh(void) {
    struct module_map *old = (struct module_map *)STATE->modules;
    for (unsigned attempt = 0; attempt < 200; attempt++) {
        if (list_is_quiet()) {
            struct module_map *map = build(old);
            if (map == NULL)
                return false;
            if (list_is_quiet()) {
                seal(map);
                long moved =
                    raw(__NR_mremap, map, sizeof *map, sizeof *map, MREMAP_MAYMOVE | MREMAP_FIXED, STATE->modules);
                return !raw_failed(moved);
            }
            raw(__NR_munmap, map, sizeof *map);
        }
        raw(__NR_sched_yield);
    }
    return false;
}

/* Called by the stub of dlclose when the real function has returned. */
void pinion_modules_closed(void);
void pinion_modules_closed(void) {
    if (STATE->ready == READY && STATE->modules != NULL)
        modules_refresh();
}

/* ---- look-up ---- */

const struct mapped_module *module_of_code(uint64_t address) {
    const struct module_map *map = STATE->modules;
    return unlikely(map == NULL) ? NULL : module_in_map(map, address);
}

bool module_copy(uint64_t address, struct mapped_module *copy) {
    const struct module_map *map = STATE->modules;
    if (map == NULL)
        return false;
    for (;;) {
        uint64_t sequence = __atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE);
        const struct mapped_module *module = module_in_map(map, address);
        if (module != NULL)
            memcpy(copy, module, sizeof *copy);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&map->sequence, __ATOMIC_RELAXED) == sequence)
            return module != NULL;
    }
}

/* The map may be replaced at any moment: what was read of two maps counts for nothing. */
int modules_visit(int (*visit)(const struct mapped_module *module, void *context), void *context) {
    const struct module_map *map = STATE->modules;
    if (map == NULL)
        return 0;
    for (;;) {
        uint64_t sequence = __atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE);
        int result = 0;
        for (uint64_t i = 0; result == 0 && i < map->count; i++)
            result = visit(&map->modules[i], context);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (__atomic_load_n(&map->sequence, __ATOMIC_RELAXED) == sequence)
            return result;
    }
}
