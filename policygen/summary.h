/* What linking needs of one object, as one flat piece of memory without pointers, so that it can be kept in a file:
 * nothing in it depends on the path under which the object was found, nor on the other objects of a program. Where a
 * rule does, it states the functions on whose callers it depends.
 *
 * Functions and symbols are named by their index in their section. summary_open validates everything once; all else
 * trusts it.
 */
#ifndef PINION_POLICYGEN_SUMMARY_H
#define PINION_POLICYGEN_SUMMARY_H

#include "policygen/analysis.h"

#define SUMMARY_MAGIC "PINSUM\r\n"
#define SUMMARY_VERSION 1
#define SUMMARY_MAX_BYTES (256u << 20)

enum summary_flags {
    SUMMARY_TAILS_COMPLETE = 1,
    SUMMARY_USES_NAME_SERVICES = 2, /* asks libc for users, groups, hosts or the like */
};

enum summary_function_flags {
    SUMMARY_FUNCTION_TAKEN = 1,  /* something refers to it or into it */
    SUMMARY_FUNCTION_GAP = 2,    /* nothing is known to call it */
    SUMMARY_FUNCTION_STORED = 4, /* nothing refers to it but variables that hold its address */
};

/* All functions of the object, ordered. */
struct summary_function {
    uint32_t start, end;
    uint32_t name; /* text: the first name under which it is exported; 0 where it has none, or none is needed */
    uint32_t flags;
    uint64_t fingerprint; /* see struct site; 0: not known */
};

/* A symbol by whose name objects may be joined; ordered by name, versions of one name stand together. */
struct summary_symbol {
    uint32_t name;       /* text */
    uint32_t referenced; /* the object itself uses the name: it imports it, or a relocation refers to it */
};

struct summary_call {
    uint32_t return_address; /* of a call; a jump has its callers' */
    uint32_t function;
    uint32_t first_rule; /* one rule for each argument of the API */
    uint16_t api;
    uint16_t undecoded;
};

/* What a jump passes for one caller of its function; ordered by jump, then return address. */
struct summary_passed {
    uint32_t jump;
    uint32_t return_address;
    uint32_t first_rule;
};

/* As struct argument_rule. */
struct summary_rule {
    uint8_t state;
    uint8_t unknown;
    uint16_t value_count;
    uint32_t first_value;
    uint32_t first_entry, entry_count;
    uint64_t bits;
};

/* As struct rule_value. */
struct summary_value {
    uint8_t kind;
    uint8_t position;
    uint16_t reserved;
    uint32_t address;
    int64_t integer;
    uint32_t text;   /* 0: none */
    uint32_t socket; /* index into sockets */
};

struct summary_tail {
    uint32_t target;
    uint32_t flags;
    uint32_t first_member, member_count;
};

/* SECTION(name, type). Uses are ordered by key; of callers, jumpers, exports and choices those of functions that walks
 * from tail calls may come to are there, and of exports also those that rules depend on. */
#define SUMMARY_SECTIONS(SECTION)                                                               \
    SECTION(functions, struct summary_function)                                                 \
    SECTION(symbols, struct summary_symbol)                                                     \
    SECTION(callers, struct use)        /* called function -> return address */                 \
    SECTION(jumpers, struct use)        /* function -> function that jumps into it */           \
    SECTION(exports, struct use)        /* function -> symbol */                                \
    SECTION(choices, struct use)        /* function -> resolver that may choose it */           \
    SECTION(import_calls, struct use)   /* symbol -> return address */                          \
    SECTION(import_jumps, struct use)   /* symbol -> function that jumps to it */               \
    SECTION(taken_symbols, struct use)  /* symbol -> place */                                   \
    SECTION(calls, struct summary_call) /* of checked functions */                              \
    SECTION(jumps, struct summary_call) /* to checked functions */                              \
    SECTION(passed, struct summary_passed)                                                      \
    SECTION(lookups, struct summary_call) /* as if of dlsym, see struct lookup_call */          \
    SECTION(rules, struct summary_rule)                                                         \
    SECTION(values, struct summary_value)                                                       \
    SECTION(sockets, struct policy_address)                                                     \
    SECTION(entries, uint32_t)        /* functions */                                           \
    SECTION(taken_apis, uint32_t)     /* checked functions whose address is taken */            \
    SECTION(indirect_jumps, uint32_t) /* functions that end in a jump through a pointer */      \
    SECTION(chosen_jumps, uint32_t)   /* functions that jump to what the object itself chose */ \
    SECTION(restorers, uint32_t)      /* see struct scan */                                     \
    SECTION(tails, struct summary_tail)                                                         \
    SECTION(members, uint32_t)                                                                  \
    SECTION(folders, uint32_t) /* text: constants that may name directories */                  \
    SECTION(text, char)

struct summary_section {
    uint32_t offset; /* bytes from the start, a multiple of 8 */
    uint32_t count;  /* elements */
};

struct summary_header {
    char magic[8];
    uint32_t version;
    uint32_t size; /* of the whole */
    struct identity identity;
    uint32_t flags; /* enum summary_flags */
    uint32_t reserved;
#define SECTION(name, type) struct summary_section name;
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
};

/* The sections, ready for use. */
struct summary {
    const struct summary_header *header;
#define SECTION(name, type) \
    const type *name;       \
    uint32_t name##_count;
    SUMMARY_SECTIONS(SECTION)
#undef SECTION
};

/* The uses of one key. */
struct use_range {
    const struct use *first, *end;
};

/* Makes the summary of an analysed object; the caller frees. The analysis is not needed any longer. */
void *summary_make(const struct analysis *analysis, size_t *size);

/* Checks all that a reader relies on. Returns NULL, or why the memory, aligned to 8 bytes, holds no summary. */
const char *summary_open(const void *data, size_t size, struct summary *summary);

static inline const char *summary_text(const struct summary *summary, uint32_t text) {
    return summary->text + text;
}

struct use_range summary_uses(const struct use *uses, uint32_t count, uint32_t key);

/* The function that holds the address, or NO_FUNCTION. */
uint32_t summary_function_at(const struct summary *summary, uint32_t address);

/* The symbols of one name. */
void summary_symbols(const struct summary *summary, const char *name, uint32_t *first, uint32_t *end);

/* What the jump passes when its function was called from here: the first of its rules. */
uint32_t summary_passed_rules(const struct summary *summary, const struct summary_call *jump, uint32_t return_address);

/* Goes through the calls and jumps alike. */
static inline const struct summary_call *summary_call_at(const struct summary *summary, uint32_t index) {
    return index < summary->calls_count ? &summary->calls[index] : &summary->jumps[index - summary->calls_count];
}

static inline uint32_t summary_call_count(const struct summary *summary) {
    return summary->calls_count + summary->jumps_count;
}

static inline const struct summary_rule *summary_rule(const struct summary *summary, const struct summary_call *call,
                                                      unsigned argument) {
    return &summary->rules[call->first_rule + argument];
}

#endif
