/* The compiled policy of one program: a flat, little-endian, read-only file that the shim maps. Every offset is
 * validated once, by policy_validate; the inline look-ups below trust it from then on. Free of libc.
 *
 * A site is found by the pair (return address, API) in a perfect hash per module, displaced in the manner of
 * CHD (Belazzougui, Botelho, Dietzfelbinger: Hash, displace, and compress, ESA 2009): no chain, no miss path.
 */
#ifndef PINION_RUNTIME_POLICY_H
#define PINION_RUNTIME_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/api.h"
#include "runtime/identity.h"

#define POLICY_MAGIC "PINION\r\n"
#define POLICY_VERSION 2
#define POLICY_MAX_BYTES (64u << 20)

/* No mode and no verdict is zero: zeroed memory never means "off" or "allow". */
enum mode {
    MODE_INHERIT = 0, /* only at a site */
    MODE_ENFORCE = 1,
    MODE_AUDIT = 2,
    MODE_LEARN = 3,
    MODE_OFF = 4,
};

enum verdict {
    VERDICT_INHERIT = 0, /* only at a site */
    VERDICT_KILL = 1,
    VERDICT_DENY = 2,
    VERDICT_LOG = 3, /* allowed, with a line in the log */
    VERDICT_ALLOW = 4,
};

enum reason {
#define REASON(name, text, explanation) REASON_##name,
#include "runtime/reasons.def"
    REASON_COUNT
};

struct policy_section {
    uint32_t offset; /* bytes from the start of the file, a multiple of 8 */
    uint32_t count;  /* elements */
};

struct policy_header {
    char magic[8];
    uint32_t version;
    uint32_t size; /* of the whole file, bytes */
    uint64_t table_fingerprint;
    struct identity program;
    uint32_t program_path; /* text */
    uint8_t mode;
    uint8_t on_violation;       /* arguments, unknown sites, children, self-protection */
    uint8_t on_broken_stack;    /* positive proof */
    uint8_t on_unknown_stack;   /* could not be walked */
    uint8_t on_unlisted_module; /* a module of which the policy says nothing, or of another build */
    uint8_t on_anonymous_code;  /* a caller outside all modules: just-in-time compilers */
    uint8_t on_foreign_stack;   /* a stack nobody registered: coroutines of the program's own */
    uint8_t reserved;
    struct policy_section modules;       /* struct policy_module */
    struct policy_section sites;         /* struct policy_site */
    struct policy_section displacements; /* uint16_t */
    struct policy_section loose;         /* struct policy_loose, per module ordered by API */
    struct policy_section returns;       /* uint32_t, per module ordered */
    struct policy_section constraints;   /* struct policy_constraint */
    struct policy_section integers;      /* int64_t */
    struct policy_section strings;       /* struct policy_string */
    struct policy_section addresses;     /* struct policy_address */
    struct policy_section tails;         /* struct policy_tail, per module ordered by target */
    struct policy_section members;       /* uint32_t, function starts */
    struct policy_section text;          /* bytes; every string in it ends with NUL */
};

struct policy_module {
    struct identity identity;
    uint32_t path;                   /* text: where the analyser found it; for people and for "changed-module" */
    uint32_t first_site, site_count; /* slots of the hash, some of them empty */
    uint32_t first_displacement, displacement_count;
    uint32_t first_loose, loose_count;
    uint32_t first_return, return_count;
    uint32_t first_tail, tail_count;
    uint32_t flags; /* enum policy_module_flags */
};

enum policy_module_flags {
    MODULE_HAS_TAILS = 1, /* the tail-call closure is complete: the stack check may rely on it */
};

/* An empty slot has api == API_NONE. */
struct policy_site {
    uint32_t offset; /* return address minus the module's load bias */
    uint16_t api;
    uint8_t mode;    /* enum mode, or MODE_INHERIT */
    uint8_t verdict; /* enum verdict, or VERDICT_INHERIT */
    uint32_t first_constraint;
    uint32_t constraint_count;
};

/* An API that a module may also call from places that cannot be listed: through a pointer to it, or by tail
 * calls of functions whose callers are not all known. Arguments are free there. Both kinds are also allowed at the
 * `returns` of the module: return addresses of calls that go on through a pointer, and of calls that the kernel or a new
 * context makes. */
enum looseness {
    LOOSE_AFTER_INDIRECT_CALL = 1, /* any return address that follows an indirect call */
    LOOSE_AFTER_ANY_CALL = 2,
};

struct policy_loose {
    uint16_t api;
    uint8_t how; /* enum looseness */
    uint8_t reserved;
};

enum constraint_kind {
    CONSTRAINT_INTEGERS = 1, /* one of integers[first .. first + count) */
    CONSTRAINT_RANGES,       /* pairs low, high of integers, both inclusive; count is that of integers */
    CONSTRAINT_MASK,         /* pairs free, fixed of integers: equal to fixed in every bit outside free; one suffices */
    CONSTRAINT_STRINGS,      /* one of strings[...] */
    CONSTRAINT_ARGV,         /* each element one of the strings of its position, see policy_string */
    CONSTRAINT_ADDRESSES,    /* one of addresses[...] */
    CONSTRAINT_CHILDREN,     /* the programs this site may start unprotected, strings[...]; argument is ignored */
};

struct policy_constraint {
    uint8_t argument;  /* 0 .. API_MAX_ARGUMENTS - 1 */
    uint8_t kind;      /* enum constraint_kind */
    uint8_t shape;     /* enum shape of the argument */
    uint8_t condition; /* enum condition of the argument */
    uint32_t first;
    uint32_t count;
};

enum string_match {
    MATCH_EXACT = 1,
    MATCH_PREFIX,
    MATCH_GLOB, /* '*' and '?' stop at '/', "**" does not; see match.h */
    MATCH_NULL, /* a null pointer */
};

#define POSITION_REST 255 /* argv: every element beyond those that have a position */

struct policy_string {
    uint32_t text;
    uint32_t length;
    uint32_t address; /* of the constant itself, relative to the site's module; 0 when it has none */
    uint8_t match;
    uint8_t position; /* argv only */
    uint8_t reserved[2];
};

enum address_flags {
    ADDRESS_ANY_PORT = 1,
    ADDRESS_ANY_HOST = 2,
};

struct policy_address {
    uint16_t family;
    uint16_t port; /* host order */
    uint8_t flags; /* enum address_flags */
    uint8_t match; /* enum string_match of a unix path */
    uint8_t reserved[2];
    uint8_t host[16]; /* IPv4 in the first four bytes */
    uint32_t path;    /* text, AF_UNIX: an abstract name begins with '@' */
    uint32_t path_length;
};

/* The functions that a call of `target` may end up in by tail calls and fragments ("cold" parts). */
struct policy_tail {
    uint32_t target; /* function start */
    uint32_t first_member;
    uint16_t member_count;
    uint16_t flags; /* enum tail_flags */
};

enum tail_flags {
    TAIL_LEAVES_MODULE = 1, /* a tail call through the PLT: the callee may lie in another module */
    TAIL_ANYWHERE = 2,      /* an indirect tail call */
};

/* Checks header, sections and every index. Returns NULL, or why the file cannot be used. */
const char *policy_validate(const void *data, size_t size);

static inline const void *policy_section(const struct policy_header *policy, struct policy_section section) {
    return (const char *)policy + section.offset;
}

static inline const char *policy_text(const struct policy_header *policy, uint32_t text) {
    return (const char *)policy + policy->text.offset + text;
}

/* The hash of a site; shared with the writer of the table. */
static inline uint64_t policy_site_hash(uint32_t offset, unsigned api) {
    uint64_t hash = ((uint64_t)api << 32 | offset) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static inline uint32_t policy_bucket(uint64_t hash, uint32_t buckets) {
    return (uint32_t)((hash & 0xffffffffu) * buckets >> 32);
}

static inline uint32_t policy_slot(uint64_t hash, uint16_t displacement, uint32_t slots) {
    uint64_t moved = (hash ^ (uint64_t)displacement << 16) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)((moved >> 32) * slots >> 32);
}

/* The sites of one module, ready for look-ups. */
struct policy_site_table {
    const struct policy_site *sites;
    const uint16_t *displacements;
    uint32_t site_count, displacement_count;
};

static inline struct policy_site_table policy_site_table(const struct policy_header *policy,
                                                         const struct policy_module *module) {
    return (struct policy_site_table){
        .sites = (const struct policy_site *)policy_section(policy, policy->sites) + module->first_site,
        .displacements = (const uint16_t *)policy_section(policy, policy->displacements) + module->first_displacement,
        .site_count = module->site_count,
        .displacement_count = module->displacement_count,
    };
}

/* The site, or NULL. `offset` is the return address minus the module's load bias. The table is not empty. */
static inline const struct policy_site *policy_table_find(const struct policy_site_table *table, uint32_t offset,
                                                          unsigned api) {
    uint64_t hash = policy_site_hash(offset, api);
    uint16_t displacement = table->displacements[policy_bucket(hash, table->displacement_count)];
    const struct policy_site *site = &table->sites[policy_slot(hash, displacement, table->site_count)];
    return site->offset == offset && site->api == api ? site : NULL;
}

static inline const struct policy_site *policy_find_site(const struct policy_header *policy,
                                                         const struct policy_module *module, uint32_t offset,
                                                         unsigned api) {
    struct policy_site_table table = policy_site_table(policy, module);
    return table.site_count == 0 ? NULL : policy_table_find(&table, offset, api);
}

/* How loosely the module may call the API, or 0. */
unsigned policy_looseness(const struct policy_header *policy, const struct policy_module *module, unsigned api);

/* Whether the offset is one of the module's `returns`. */
bool policy_is_return(const struct policy_header *policy, const struct policy_module *module, uint32_t offset);

/* The closure of a call target, or NULL. */
const struct policy_tail *policy_find_tail(const struct policy_header *policy, const struct policy_module *module,
                                           uint32_t target);

const char *reason_text(enum reason reason);
const char *reason_explanation(enum reason reason);
const char *mode_name(enum mode mode);
const char *verdict_name(enum verdict verdict);

#endif
