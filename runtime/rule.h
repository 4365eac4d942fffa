/* Evaluating one constraint of a site against one value. Pure functions over the compiled policy: the shim
 * decides with them, `pinion explain` shows why. Free of libc.
 */
#ifndef PINION_RUNTIME_RULE_H
#define PINION_RUNTIME_RULE_H

#include "runtime/policy.h"

/* The argument as its shape reads it: sign or zero extended from the width that counts. */
static inline int64_t rule_integer(unsigned shape, uint64_t value) {
    switch (shape) {
    case SHAPE_INT32: return (int32_t)value;
    case SHAPE_UINT32: return (uint32_t)value;
    default: return (int64_t)value;
    }
}

bool rule_allows_integer(const struct policy_header *policy, const struct policy_constraint *constraint,
                         uint64_t value);

/* Whether `address`, relative to the site's module, is itself one of the constants: then its text need not be
 * read. A null pointer is `value` 0 and matches MATCH_NULL. */
bool rule_allows_constant(const struct policy_header *policy, const struct policy_constraint *constraint,
                          uint64_t value, uint64_t bias);

/* `position` is that in argv, 0 for a plain string. Paths (SHAPE_PATH) must be normalised, see match.h. */
bool rule_allows_text(const struct policy_header *policy, const struct policy_constraint *constraint, unsigned position,
                      const char *text, size_t length);

/* Whether an argument vector may have `count` elements: it must have all positions that are listed, unless MATCH_NULL
 * stands at the position where it ends. */
bool rule_allows_end(const struct policy_header *policy, const struct policy_constraint *constraint, unsigned count);

/* `address` is a struct sockaddr of `length` bytes, or NULL. */
bool rule_allows_address(const struct policy_header *policy, const struct policy_constraint *constraint,
                         const void *address, size_t length);

/* The allowed value nearest to the one that was not allowed: an index into integers, strings or addresses of the
 * policy, or -1 when there is none. Of a mask, the one of its pair that tells more. */
int64_t rule_nearest_integer(const struct policy_header *policy, const struct policy_constraint *constraint,
                             uint64_t value);
int64_t rule_nearest_text(const struct policy_header *policy, const struct policy_constraint *constraint,
                          const char *text, size_t length);
int64_t rule_nearest_address(const struct policy_header *policy, const struct policy_constraint *constraint,
                             const void *address, size_t length);

#endif
