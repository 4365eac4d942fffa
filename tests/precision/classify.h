/* What a constraint of a policy is worth, for the precision figures. It judges the written rule alone and knows nothing of the
 * analyser.
 */
#ifndef PINION_PRECISION_CLASSIFY_H
#define PINION_PRECISION_CLASSIFY_H

#include "runtime/document.h"

/* From the strongest to the weakest. */
enum form {
    FORM_CONSTANT, /* a set of values, each known entirely */
    FORM_PATTERN,  /* a string of which a part is known: with a literal first component, and no unbounded wildcard
                      before the last '/' */
    FORM_MASK,     /* an integer of which at least one bit that the API defines is known to be zero */
    FORM_PARTLY,   /* an address or a vector of which some part is known */
    FORM_WEAK,     /* a pattern or mask that says less than that: counted as unknown */
    FORM_ANY,
    FORM_COUNT
};

enum form constraint_form(const struct constraint *constraint, enum argument_kind kind);

/* The parts of which constraint_form is made. */
bool pattern_counts(const char *pattern, enum argument_kind kind);
bool mask_counts(uint64_t mask, enum argument_kind kind);

/* The bits that the API defines for an argument of this kind. */
uint64_t defined_bits(enum argument_kind kind);

/* Flags, commands, protocols: arguments whose values have names, descriptors and file modes aside. */
bool is_flag_like(enum argument_kind kind);
bool is_string(enum argument_kind kind);
/* A path or a shell command, not a mode string, a name of a module, symbol, attribute or character set. */
bool is_path_or_command(enum argument_kind kind);

#endif
