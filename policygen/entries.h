/* Which exported functions of a process may be called by others than their own object: those whose name some object uses
 * by a relocation or may hand to dlsym, and all of plug-ins.
 */
#ifndef PINION_POLICYGEN_ENTRIES_H
#define PINION_POLICYGEN_ENTRIES_H

#include "policygen/map.h"
#include "policygen/program.h"

/* A call of dlsym, or of a function that hands names on to it, whose names the code does not show. */
struct lookup {
    uint32_t module;
    const struct summary_call *call;
    bool described; /* lookups.def tells them */
};

struct entries {
    const struct program *program;
    struct map names;      /* that some object hands to dlsym */
    const char **patterns; /* of such names */
    size_t pattern_count;
    struct lookup *lookups;
    size_t lookup_count;
    bool unknown;      /* some are not described: any name may be looked up */
    struct map wanted; /* name -> whether some object uses it */
};

void entries_find(struct entries *entries, const struct program *program);
void entries_free(struct entries *entries);

/* Whether the name is one that is looked up while the program runs; with `unknown`, any other may be. */
bool entries_is_named(const struct entries *entries, const char *name);

enum entry {
    ENTRY_NONE,
    ENTRY_UNKNOWN_NAME, /* for the sole reason that names given to dlsym are not known */
    ENTRY_CERTAIN,
};
enum entry entries_kind(struct entries *entries, uint32_t module, uint32_t function);

#endif
