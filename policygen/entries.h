/* Which exported functions of a process may be called by others than their own object: those whose name some object uses
 * by a relocation or may hand to dlsym, and all of plug-ins.
 */
#ifndef PINION_POLICYGEN_ENTRIES_H
#define PINION_POLICYGEN_ENTRIES_H

#include "policygen/map.h"
#include "policygen/program.h"

struct entries {
    const struct program *program;
    struct map names;  /* that some object hands to dlsym */
    bool unknown;      /* some object hands names to it that are not known */
    struct map wanted; /* name -> whether some object uses it */
};

void entries_find(struct entries *entries, const struct program *program);
void entries_free(struct entries *entries);

/* Whether the name is one that is certainly looked up while the program runs; with `unknown`, any other may be. */
bool entries_is_named(const struct entries *entries, const char *name);

enum entry {
    ENTRY_NONE,
    ENTRY_UNKNOWN_NAME, /* for the sole reason that names given to dlsym are not known */
    ENTRY_CERTAIN,
};
enum entry entries_kind(struct entries *entries, uint32_t module, uint32_t function);

/* Whether a call is one of dlsym or dlvsym with names that are not all known. */
bool entries_is_unknown_call(const struct summary *summary, const struct summary_call *call);

#endif
