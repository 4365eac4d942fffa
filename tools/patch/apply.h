/* Applying one recipe, from the plan to the end: the sequence of steps, each in the journal before it is done.
 *
 *   plan - fetch - install - policy - ready - commit - restart - health - keep
 *
 * Up to `commit` the target is untouched: whatever fails or is killed, the stage is thrown away. From there on it is
 * rolled back: old files, then a restart of what runs the new ones, then the health check again.
 */
#ifndef PINION_TOOLS_PATCH_APPLY_H
#define PINION_TOOLS_PATCH_APPLY_H

#include "tools/patch/config.h"
#include "tools/patch/journal.h"
#include "tools/patch/method.h"

/* Exit statuses of whoever applies. */
enum apply_status {
    APPLY_DONE = 0,
    APPLY_ROLLED_BACK = 1,
    APPLY_ERROR = 2, /* refused, or a person has to look */
    APPLY_NOTHING = 3,
};

/* What would be done, as lines for people; the caller frees. The status is APPLY_DONE, APPLY_NOTHING or APPLY_ERROR. */
enum apply_status apply_plan(const struct config *config, const struct recipe *recipe, const struct target *target,
                             char **text, struct method_plan *plan, struct mistake *mistake);

/* Applies the recipe to the incident's target. The incident is INCIDENT_APPLYING, and ends as done, rolled back, ignored
 * (nothing to do), refused or failed. One at a time: takes the lock of the state directory. */
enum apply_status apply_incident(const struct config *config, struct journal *journal, struct incident *incident,
                                 const struct recipe *recipe);

/* Finishes or rolls back what was under way when a helper was killed; false when something is left for a person. Does
 * nothing while another process is at work. */
bool apply_recover(const struct config *config, struct journal *journal, struct mistake *mistake);

#endif
