/* Rows of lookups.def: which functions hand names on to dlsym, and the names that well-known objects look up.
 */
#ifndef PINION_POLICYGEN_LOOKUPS_H
#define PINION_POLICYGEN_LOOKUPS_H

#include <stdbool.h>

/* A function that looks up the name that it is given. */
struct handing_on {
    const char *function;
    unsigned argument; /* counted from 0 */
};

/* Names that objects look up besides those that their code shows. */
struct known_names {
    const char *object;       /* pattern of sonames or file names */
    unsigned places;          /* that give a name which is not known, at most */
    const char *const *names; /* patterns; ends with NULL */
};

extern const struct handing_on handing_on_table[];
extern const unsigned handing_on_count;

/* Whether functions of this name hand a name on. */
bool lookups_hands_on(const char *function);

/* The row of an object, or NULL. The soname may be NULL. */
const struct known_names *lookups_names(const char *path, const char *soname);

#endif
