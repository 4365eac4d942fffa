/* Small services around the rules of a call. */
#include "policygen/rules.h"

#include <stdlib.h>

void rules_unknown(struct call_rules *rules, unsigned api, enum unknown why) {
    *rules = (struct call_rules){0};
    for (unsigned i = 0; i < api_table[api].argument_count; i++) {
        if (argument_shape((enum argument_kind)api_table[api].arguments[i].kind) == SHAPE_OPAQUE)
            continue;
        rules->arguments[i].state = RULE_ANY;
        rules->arguments[i].unknown = (uint8_t)why;
    }
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
