/* Whether a policy allows a value, judged on the document: the same rules as runtime/rule.h, before compiling. */
#ifndef PINION_TOOLS_ALLOWS_H
#define PINION_TOOLS_ALLOWS_H

#include "runtime/document.h"

/* `seen` is one concrete value: VALUE_INTEGER, VALUE_NULL, VALUE_TEXT (paths normalised) or VALUE_ADDRESS. The
 * position in argv is not looked at. */
bool value_allows(const struct value *allowed, enum argument_kind kind, const struct value *seen);

/* The position whose values decide about an element of argv: its own, or POSITION_REST. */
unsigned position_in_force(const struct constraint *constraint, unsigned position);

/* Whether a vector of `count` elements has all positions that are listed. */
bool vector_is_complete(const struct constraint *constraint, unsigned count);

/* Whether one of the values allows it; `any` is not looked at. */
bool constraint_lists(const struct constraint *constraint, enum argument_kind kind, const struct value *seen);

/* One clause that says why `allowed` does not allow `seen`: "differs from the 5th character on". The caller frees. */
char *why_not(const struct value *allowed, enum argument_kind kind, const struct value *seen);

#endif
