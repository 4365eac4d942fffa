/* What a distribution's security team has fixed in which version: a table of lines "source CVE version advisory date",
 * tabs between, the first line naming the columns ("fixed_bookworm" tells of which release it is).
 */
#ifndef PINION_TOOLS_PATCH_ADVISORIES_H
#define PINION_TOOLS_PATCH_ADVISORIES_H

#include "runtime/document.h"

struct advisory {
    char *source, *cve, *fixed, *name; /* `name`: "DSA-5532-1" */
};

struct advisories {
    struct advisory *items;
    size_t count;
    char *release; /* "bookworm", or "" */
};

/* False and a mistake with its line. */
bool advisories_read(const char *path, struct advisories *advisories, struct mistake *mistake);
void advisories_free(struct advisories *advisories);

#endif
