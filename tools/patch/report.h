/* Telling the world what became of an incident: the hook, the metrics, and a statement of what was fixed. */
#ifndef PINION_TOOLS_PATCH_REPORT_H
#define PINION_TOOLS_PATCH_REPORT_H

#include "tools/patch/config.h"
#include "tools/patch/journal.h"
#include "tools/patch/recipe.h"

#define REPORT_HOOK_SECONDS 30

/* Waits for the hook. What cannot be told is warned of, and changes nothing. `recipe`: that was applied, or NULL. */
void report_incident(const struct config *config, struct journal *journal, const struct incident *incident,
                     const struct recipe *recipe);

/* The metrics alone, where the configuration names a file for them. */
void report_metrics(const struct config *config, struct journal *journal);

#endif
