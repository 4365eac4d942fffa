/* Policies that know a changed file are made anew inside the stage, so that they come into the target with it.
 */
#ifndef PINION_TOOLS_PATCH_REPOLICY_H
#define PINION_TOOLS_PATCH_REPOLICY_H

#include "tools/patch/changes.h"

/* `directory`: where the target keeps its policies. For each policy there with a module that `changes` replaces:
 * policygen analyses the program inside the stage; learned and manual values of call sites that are known again are
 * carried over. Returns how many were made in `made`, and what could not be carried over in `notes` (owned, or NULL).
 * A policy that cannot be made is a mistake: the patch is not applied, for the program would be refused its own calls. */
bool repolicy_stage(const struct stage *stage, const struct changes *changes, const char *policygen,
                    const char *directory, size_t *made, char **notes, struct mistake *mistake);

#endif
