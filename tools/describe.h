/* A policy in words and as JSON, for `show`, `explain` and `merge`. */
#ifndef PINION_TOOLS_DESCRIBE_H
#define PINION_TOOLS_DESCRIBE_H

#include <jansson.h>

#include "runtime/document.h"

/* The text with bytes a terminal would obey, and bytes that are no UTF-8, as "\xNN"; the caller frees. */
char *printable(const char *text);

/* A value as it stands in a policy's text, printable; the caller frees. */
char *describe_value(const struct value *value, enum argument_kind kind);
const char *origin_name(enum origin origin);
const char *looseness_sentence(enum looseness how);

/* The argument of the constraint in its API's table. */
const struct argument *constraint_argument(const struct site *site, const struct constraint *constraint);
const struct constraint *find_constraint(const struct site *site, unsigned argument);
/* Whether the policy says nothing that binds about an argument that could be bound. */
bool argument_is_free(const struct site *site, unsigned argument);
/* Whether a policy can constrain this kind of argument at all. */
bool argument_can_be_bound(const struct argument *argument);
/* Why it is free: "heap", or "no rule". */
const char *why_free(const struct site *site, unsigned argument);

/* Several lines: where the site is and what each argument may be. Origins are left out when they are not known. */
void describe_site(const struct site *site, bool with_origins);
json_t *site_json(const struct module *module, const struct site *site, bool with_origins);

#endif
