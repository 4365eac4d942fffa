/* A line of the shim's log. */
#ifndef PINION_TOOLS_DENIAL_H
#define PINION_TOOLS_DENIAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/document.h"

/* All texts belong to `line` and are "" where the line does not say. */
struct denial {
    json_t *line;
    const char *time, *program, *build_id, *mode, *verdict, *class, *api_name, *rule, *reason_word, *detail;
    const char *module, *module_build_id, *symbol;
    unsigned api; /* or API_NONE */
    int reason;   /* enum reason, or -1 */
    bool has_offset;
    uint32_t offset;
    const char *argument_name;
    int argument; /* index, or -1 */
};

/* Returns false and fills `mistake` when the text is no line of the log. */
bool denial_parse(const char *text, struct denial *denial, struct mistake *mistake);
void denial_free(struct denial *denial);

/* Whether a policy has a say in it; false where the line is about counting and scoring. */
bool denial_is_of_call(const struct denial *denial);

/* The call as one would write it: system("id"). The caller frees. */
char *denial_call(const struct denial *denial);

/* The value that was not allowed, as far as the line tells it. Returns false when it does not. value->text is the
 * caller's. */
bool denial_value(const struct denial *denial, struct value *value);

/* Whether two lines tell of the same thing: the same place, reason and arguments. */
bool denial_same(const struct denial *a, const struct denial *b);

#endif
