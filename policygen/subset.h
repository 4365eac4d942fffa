/* Whether one rule allows all that another allows, judged on documents. Pure functions; where it cannot be told, the
 * answer is no, so that a widened rule is never overlooked.
 */
#ifndef PINION_POLICYGEN_SUBSET_H
#define PINION_POLICYGEN_SUBSET_H

#include "runtime/document.h"

/* Whether the constraint, which is not `any`, allows everything that this value of the other constraint allows. Of an
 * argument vector the other one says where its value stands; NULL: wherever its position allows. */
bool constraint_covers(const struct constraint *constraint, enum argument_kind kind, const struct constraint *other,
                       const struct value *value);

/* Whether argument vectors of the other constraint may end where those of the first may not. */
bool constraint_ends_elsewhere(const struct constraint *constraint, const struct constraint *other);

/* The least number of elements that an argument vector may have. */
unsigned constraint_least_elements(const struct constraint *constraint);

/* Whether every text of the pattern is one of the other pattern's. */
bool glob_covers(const char *pattern, const char *other);

/* The bytes with which every text of the pattern begins; the caller frees. */
char *glob_plain_start(const char *pattern);
/* Whether the pattern leaves anything but digits open; whether it lets a path climb by "..". */
bool glob_has_wildcard(const char *pattern);
bool glob_climbs(const char *pattern);

/* The constraint of an argument if there is one that limits it, else NULL. */
const struct constraint *site_limit(const struct site *site, unsigned argument);

/* Whether the argument means anything for some call that the site allows: the mode of an open that never creates
 * means nothing. */
bool site_argument_matters(const struct site *site, unsigned argument);

#endif
