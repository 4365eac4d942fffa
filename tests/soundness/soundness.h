/* The proof that policies made from programs' files alone miss nothing that the programs do. What was observed is judged
 * by the compiled policy and by runtime/rule.h, as the shim would judge it; nothing here knows a rule of its own.
 */
#ifndef PINION_TESTS_SOUNDNESS_H
#define PINION_TESTS_SOUNDNESS_H

#include "tools/observed.h"
#include "tools/policy_file.h"

enum outcome {
    OUTCOME_FREE,           /* the site is known, the argument may be anything */
    OUTCOME_ALLOWED,        /* the argument is constrained, and allows the value */
    OUTCOME_LOOSE,          /* the place is allowed only because a pointer or a tail call may lead there */
    OUTCOME_UNKNOWN_MODULE, /* the policy lacks the module */
    OUTCOME_UNKNOWN_SITE,   /* the policy lacks the site */
    OUTCOME_REFUSED,        /* the argument is constrained, and the value is not among those allowed */
    OUTCOME_COUNT,
};

static inline bool is_miss(enum outcome outcome) {
    return outcome >= OUTCOME_UNKNOWN_MODULE;
}

/* What the policy says of one fact. */
enum outcome judge(const struct policy_header *policy, const struct fact *fact);

/* The module's rules, or NULL. */
const struct policy_module *module_of(const struct policy_header *policy, const struct identity *identity);

/* Whether the module at `path` calls its return address `offset` so that the loose rule `how` covers it. */
bool is_loosely_called(const char *path, uint32_t offset, enum looseness how);

/* Robs a tenth of the program's constrained sets that were observed of one observed value each and judges again.
 * `facts` are those of this program, sorted. */
struct mutations {
    size_t made, caught;
};
struct mutations mutate(const char *policy_path, const struct fact *facts, size_t count);

#endif
