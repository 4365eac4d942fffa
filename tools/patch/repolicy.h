/* Policies that know a changed file are made anew inside the stage, so that they come into the target with it.
 *
 * Two policies are made of each. The one that is staged allows what the old one and the new one do: modules are known by
 * their build, so both builds of a file stand in it side by side, and a program may have either. Whatever starts
 * between the first rename of the commit and the last restart, or after a roll-back that was cut short, finds a
 * policy that knows it. The other is final: what the new analysis says, with learned and manual values. It lies in the
 * stage's scratch directory and takes the first one's place when the patch is kept; where it does not come to that (a
 * helper was killed), nothing is refused that should be allowed, and the next patch begins with the same learned and
 * manual values.
 */
#ifndef PINION_TOOLS_PATCH_REPOLICY_H
#define PINION_TOOLS_PATCH_REPOLICY_H

#include "runtime/document.h"
#include "tools/patch/changes.h"

/* `directory`: where the target keeps its policies. For each policy there with a module that `changes` replaces:
 * policygen analyses the program inside the stage; learned and manual values of call sites that are known again are
 * carried over. Returns how many were made in `made`, and what could not be carried over in `notes` (owned, or NULL).
 * A policy that cannot be made is a mistake: the patch is not applied, for the program would be refused its own calls. */
bool repolicy_stage(const struct stage *stage, const struct changes *changes, const char *policygen,
                    const char *directory, size_t *made, char **notes, struct mistake *mistake);

/* The patch is kept: the final policies take the place of those that were committed, each by a rename. Before
 * stage_close; may be run again. */
bool repolicy_settle(const struct stage *stage, const char *directory, struct mistake *mistake);

/* ---- documents, for tests ---- */

/* Brings what was learned and what a person wrote from the old policy into the new one: for builds that are in both, and
 * for call sites of another build whose function is the same by its instructions and makes the same calls. Writes what
 * could not be carried over to `notes`, one a line. */
void repolicy_carry(struct document *fresh, const struct document *old, FILE *notes);
/* Allows in addition whatever `old` allows. */
void repolicy_unite(struct document *document, const struct document *old);

#endif
