/* Whether one rule allows all that another allows, judged on documents. Pure functions; where it cannot be told, the
 * answer is no, so that a widened rule is never overlooked.
 */
#ifndef PINION_POLICYGEN_SUBSET_H
#define PINION_POLICYGEN_SUBSET_H

#include "runtime/document.h"

/* Whether the constraint, which is not `any`, allows everything that this value of another constraint allows. */
bool constraint_covers(const struct constraint *constraint, enum argument_kind kind, const struct value *value);

/* Whether an argument vector may have fewer elements than the constraint demands. */
bool constraint_ends_sooner(const struct constraint *constraint, const struct constraint *than);

/* Whether every text of the pattern is one of the other pattern's. */
bool glob_covers(const char *pattern, const char *other);

/* The constraint of an argument if there is one that limits it, else NULL. */
const struct constraint *site_limit(const struct site *site, unsigned argument);

/* Whether the argument means anything for some call that the site allows: the mode of an open that never creates
 * means nothing. */
bool site_argument_matters(const struct site *site, unsigned argument);

#endif
