/* Whether the target is well: what the recipe asks for, or else that every address is served that was before.
 */
#ifndef PINION_TOOLS_PATCH_HEALTH_H
#define PINION_TOOLS_PATCH_HEALTH_H

#include "tools/patch/processes.h"
#include "tools/patch/recipe.h"

/* Tries until all checks pass and still do a moment later, or the recipe's timeout is over. `outage` (may be NULL): nanoseconds from the call until
 * they passed. A recipe without checks has "still serving". */
bool health_check(const struct recipe *recipe, const struct target *target, const struct listener *listeners,
                  size_t listener_count, int64_t incident, uint64_t *outage, struct mistake *mistake);

#endif
