/* What a call may pass: the result of the value analysis for one call, in the form in which policies state it. */
#ifndef PINION_POLICYGEN_RULES_H
#define PINION_POLICYGEN_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/policy.h"

#define RULE_MAX_VALUES 32

/* Why nothing, or not everything, is known of a value. The words stand in policies and coverage reports. */
enum unknown {
#define UNKNOWN(name, text) UNKNOWN_##name,
#include "policygen/unknown.def"
    UNKNOWN_COUNT
};

enum rule_state {
    RULE_OPAQUE,      /* the argument is never constrained */
    RULE_MEANINGLESS, /* by the other arguments, it means nothing here */
    RULE_ANY,         /* not known; values may be partly listed */
    RULE_SET,         /* exactly these values */
};

enum rule_value_kind {
    RULE_INTEGER,
    RULE_TEXT,
    RULE_NULL,
    RULE_MASK,
    RULE_GLOB,    /* text: a pattern of match.h */
    RULE_ADDRESS, /* socket; the path of a Unix socket is the text */
};

struct rule_value {
    uint8_t kind;     /* enum rule_value_kind */
    uint8_t position; /* argv */
    uint32_t address; /* text: of the constant in its object, or 0 */
    int64_t integer;
    const char *text; /* into the object's file, or kept by analysis_keep */
    struct policy_address socket;
};

/* A rule may rest on exported functions being called from inside their object alone. Where the process has other
 * callers of one of `entries`, the rule is as RULE_ANY, or, if `bits` are not all, as a mask of them. Of a name given
 * to dlsym it may rest on that alone: then it has no values. */
struct argument_rule {
    uint8_t state;   /* enum rule_state */
    uint8_t unknown; /* enum unknown, when any or with entries */
    uint16_t count;
    uint16_t entry_count;
    struct rule_value *values; /* owned */
    uint32_t *entries;         /* owned; functions */
    uint64_t bits;             /* with entries: all that the value may have */
};

struct call_rules {
    struct argument_rule arguments[API_MAX_ARGUMENTS];
};

/* The mask of an argument of which only these bits are known to be possible, and whether it forbids any bit that the
 * argument's constants use: else it says nothing. */
int64_t rules_mask(unsigned api, unsigned argument, uint64_t bits);
bool rules_mask_forbids(unsigned api, unsigned argument, uint64_t bits);

void rules_unknown(struct call_rules *rules, unsigned api, enum unknown why);
/* Adds a value unless it is there already. */
void rules_add(struct argument_rule *rule, struct rule_value value);
/* The rule knows nothing; of several reasons the last one in unknown.def stays. */
void rules_any(struct argument_rule *rule, enum unknown why);
void rules_free(struct call_rules *rules);
const char *unknown_text(enum unknown unknown);

#endif
