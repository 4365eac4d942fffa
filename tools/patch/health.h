/* Whether the target is well: what the recipe asks for, or else that every address is served that was before.
 */
#ifndef PINION_TOOLS_PATCH_HEALTH_H
#define PINION_TOOLS_PATCH_HEALTH_H

#include "tools/patch/processes.h"
#include "tools/patch/recipe.h"

/* Tries until all checks pass and still do a moment later, or the recipe's timeout is over. `outage` (may be NULL):
 * nanoseconds until they passed, from `since` (CLOCK_MONOTONIC), when something was stopped; with 0, from the call, and
 * none where they pass at once. A recipe without checks has "still serving". */
bool health_check(const struct recipe *recipe, const struct target *target, const struct listener *listeners,
                  size_t listener_count, uint64_t since, uint64_t *outage, struct mistake *mistake);

#endif
