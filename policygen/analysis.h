/* What is known of one object on its own, before it is linked with the others of a program: its calls of intercepted
 * functions with the rules for their arguments, and everything that decides which return addresses they have.
 */
#ifndef PINION_POLICYGEN_ANALYSIS_H
#define PINION_POLICYGEN_ANALYSIS_H

#include "policygen/globals.h"
#include "policygen/rules.h"
#include "policygen/scan.h"

struct api_call {
    uint32_t address;        /* of the call or jump instruction */
    uint32_t return_address; /* of a call; a jump has its callers' */
    uint32_t function;
    uint16_t api;
    bool undecoded;
    struct call_rules rules;
};

/* A place that gives a name to dlsym by way of a function that hands it on (lookups.def), or through a pointer. */
struct lookup_call {
    uint32_t address;        /* of the call or jump instruction; where a pointer is taken, of that place */
    uint32_t return_address; /* of a call */
    uint32_t function;
    unsigned argument; /* that is the name */
    bool undecoded;    /* or a pointer, so that nothing is known of the name */
    struct argument_rule name;
};

/* What a jump to an intercepted function passes for one caller of its function. */
struct passed_call {
    uint32_t jump; /* index into jumps */
    uint32_t return_address;
    struct call_rules rules;
};

/* An import whose address is taken, so that it may be called from anywhere. */
struct taken_import {
    uint32_t symbol;
    uint32_t source; /* instruction or relocation */
    bool data;
};

/* One use of a function or symbol, in an array in which the uses of one key are neighbours. */
struct use {
    uint32_t key;
    uint32_t value;
};

struct uses {
    struct use *items; /* ordered by key, then value; no doubles */
    size_t count;
};

/* Where a direct call may end up without another call: see struct policy_tail. */
struct tail_closure {
    uint32_t target;
    uint16_t flags;    /* enum tail_flags */
    uint32_t *members; /* owned; none where flags say enough */
    size_t member_count;
};

struct analysis {
    char *path; /* owned: the file, by its one real name */
    struct object object;
    struct functions functions;
    struct scan scan;
    struct globals globals;
    struct api_call *calls; /* ordered by return address */
    size_t call_count;
    struct api_call *jumps;
    size_t jump_count;
    struct lookup_call *lookups;
    size_t lookup_count;
    struct passed_call *passed; /* ordered by jump, then return address */
    size_t passed_count;
    struct taken_import *taken;
    size_t taken_count;
    struct uses callers;       /* called function -> return address */
    struct uses jumpers;       /* function -> function that jumps into it */
    struct uses jump_sites;    /* function -> index of a jump into it from another */
    struct uses exports;       /* function -> symbol */
    struct uses import_calls;  /* symbol -> return address */
    struct uses import_jumps;  /* symbol -> function that jumps to it */
    struct uses taken_symbols; /* symbol -> place */
    bool *address_taken;       /* per function: something refers to it or into it */
    bool *start_taken;         /* per function: something refers to its very start */
    bool *stored;              /* per function: nothing refers to it but variables, and to its very start */
    uint32_t *roots;           /* per function: whose flow graph it belongs to */
    struct uses parts;         /* function whose flow graph it is -> the others that belong to it */
    struct uses entries;       /* function -> address in it that has a symbol, or is called and not its start */
    bool *never_returns;       /* per function */
    bool *twice_by_pointer;    /* per function, see flow.h */
    struct uses choices;       /* function -> resolver (IFUNC) that may choose it */
    struct tail_closure *tails;
    size_t tail_count;
    bool tails_complete;
    uint32_t *symbol_order; /* dynamic symbols by name */
    char **texts;           /* that rules refer to */
    size_t text_count;
};

void analysis_make(struct analysis *analysis);
void analysis_free(struct analysis *analysis);

/* Takes over a text that rules refer to. */
const char *analysis_keep(struct analysis *analysis, char *text);

/* Dynamic symbols of one name stand together in symbol_order (versions share names); the first one's index there. */
size_t analysis_symbols_from(const struct analysis *analysis, const char *name);

/* The first use of a key; they end where the key changes. */
size_t uses_from(const struct uses *uses, uint32_t key);
bool uses_has(const struct uses *uses, uint32_t key);

#endif
