/* What was fixed, as an OpenVEX 0.2.0 document: one file for each incident, for scanners that would otherwise report what
 * is no longer so. Written from the journal alone.
 */
#ifndef PINION_TOOLS_PATCH_VEX_H
#define PINION_TOOLS_PATCH_VEX_H

#include "tools/patch/journal.h"

/* Of the target; each may be NULL. */
struct vex_system {
    const char *os_release;   /* text of its /etc/os-release: which distribution the package is of */
    const char *architecture; /* of the package, as its manager says it: "amd64" */
    const char *const *cves;  /* ends with NULL; NULL: that of the incident */
};

/* Writes DIRECTORY/pinion-ID.openvex.json, whole or not at all; the same again for the same incident. True as well where
 * there is nothing to state: no CVE, or no package and version. A mistake for an incident that is not done. */
bool vex_write(const char *directory, struct journal *journal, int64_t incident, const struct vex_system *system,
               struct mistake *mistake);

#endif
