/* Answers of a look-up, as people and machines read them. */
#ifndef PINION_TOOLS_ANSWER_H
#define PINION_TOOLS_ANSWER_H

#include <jansson.h>

#include "tools/identify.h"

/* "shellshock, CVE-2014-6271, package bash", without a newline. */
void entry_print(const struct signature_entry *entry);
json_t *entry_json(const struct signature_entry *entry);

/* Indented lines. */
void answer_print(const struct answer *answer);
/* Adds the keys answer, name, confidence, candidates. */
void answer_add_json(const struct answer *answer, json_t *object);

#endif
