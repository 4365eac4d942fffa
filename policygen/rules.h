/* What a call may pass: the result of the value analysis for one call, in the form in which policies state it. */
#ifndef PINION_POLICYGEN_RULES_H
#define PINION_POLICYGEN_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/api.h"

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
};

struct rule_value {
    uint8_t kind;     /* enum rule_value_kind */
    uint32_t address; /* text: of the constant in its object */
    int64_t integer;
    const char *text; /* text: into the object's file */
};

struct argument_rule {
    uint8_t state;   /* enum rule_state */
    uint8_t unknown; /* enum unknown, when any */
    uint8_t count;
    struct rule_value *values; /* owned */
};

struct call_rules {
    struct argument_rule arguments[API_MAX_ARGUMENTS];
};

void rules_unknown(struct call_rules *rules, unsigned api, enum unknown why);
void rules_free(struct call_rules *rules);
const char *unknown_text(enum unknown unknown);

#endif
