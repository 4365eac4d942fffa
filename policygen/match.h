/* Which call site of one build is which of another. */
#ifndef PINION_POLICYGEN_MATCH_H
#define PINION_POLICYGEN_MATCH_H

#include "runtime/document.h"

#define NO_SITE SIZE_MAX

/* A place that may be the caller only because some pointer leads to the function: no call of the program's own. */
bool site_through_pointer(const struct module *module, const struct site *site);

/* Fills, for every site of `new`, the index of the same site of `old`, or NO_SITE. Sites through pointers stay
 * without. Either module may be NULL, then nothing is matched. */
size_t *match_sites(const struct module *old, const struct module *new);

/* Likewise for the modules of two programs: by path, then by ever less of the file's name, each at most once. */
size_t *match_modules(const struct document *old, const struct document *new);

#endif
