/* Small services around the rules of a call. */
#include "policygen/rules.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/constants.h"
#include "runtime/rule.h"
#include "runtime/util.h"

/* The bits that the constants of the argument's set use; none where the set does not combine. */
static uint64_t defined_bits(enum constant_set set) {
    switch (set) {
#define CONSTANT_SET(name, combines)                                                 \
    case CONSTANTS_##name: {                                                         \
        uint64_t bits = 0;                                                           \
        for (unsigned bit = 0; (combines) && bit < 32; bit++) {                      \
            char text[CONSTANT_TEXT_BYTES];                                          \
            constant_format(CONSTANTS_##name, (int64_t)1 << bit, text, sizeof text); \
            if (text[0] < '0' || text[0] > '9')                                      \
                bits |= (uint64_t)1 << bit;                                          \
        }                                                                            \
        return bits;                                                                 \
    }
#include "runtime/constants.def"
#undef CONSTANT_SET
    case CONSTANTS_OCTAL: return 07777;
    default: return 0;
    }
}

static uint64_t shape_mask(enum shape shape) {
    return shape == SHAPE_INT64 ? UINT64_MAX : UINT32_MAX;
}

static enum argument_kind kind_of(unsigned api, unsigned argument) {
    return (enum argument_kind)api_table[api].arguments[argument].kind;
}

int64_t rules_mask(unsigned api, unsigned argument, uint64_t bits) {
    enum shape shape = argument_shape(kind_of(api, argument));
    return rule_integer(shape, bits & shape_mask(shape));
}

bool rules_mask_forbids(unsigned api, unsigned argument, uint64_t bits) {
    return (defined_bits(argument_constants(kind_of(api, argument))) & ~bits) != 0;
}

void rules_unknown(struct call_rules *rules, unsigned api, enum unknown why) {
    *rules = (struct call_rules){0};
    for (unsigned i = 0; i < api_table[api].argument_count; i++) {
        if (argument_shape((enum argument_kind)api_table[api].arguments[i].kind) == SHAPE_OPAQUE)
            continue;
        rules->arguments[i].state = RULE_ANY;
        rules->arguments[i].unknown = (uint8_t)why;
    }
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void rules_add(struct argument_rule *rule, struct rule_value value) {
    for (unsigned i = 0; i < rule->count; i++) {
        const struct rule_value *known = &rule->values[i];
        if (known->kind == value.kind && known->integer == value.integer && known->address == value.address &&
            known->position == value.position && same_text(known->text, value.text) &&
            memcmp(&known->socket, &value.socket, sizeof value.socket) == 0)
            return;
    }
    size_t count = rule->count;
    *array_append(rule->values, count) = value;
    rule->count = (uint16_t)count;
}

void rules_any(struct argument_rule *rule, enum unknown why) {
    rule->state = RULE_ANY;
    if (why > rule->unknown)
        rule->unknown = (uint8_t)why;
}

void rules_free(struct call_rules *rules) {
    for (unsigned i = 0; i < API_MAX_ARGUMENTS; i++) {
        free(rules->arguments[i].values);
        free(rules->arguments[i].entries);
    }
    *rules = (struct call_rules){0};
}

const char *unknown_text(enum unknown unknown) {
    static const char *const texts[] = {
#define UNKNOWN(name, text) text,
#include "policygen/unknown.def"

    };
    return unknown < UNKNOWN_COUNT ? texts[unknown] : "?";
}
