/* Incidents as people and machines read them. Their texts may be a sender's: nothing in them reaches a terminal as it is. */
#ifndef PINION_TOOLS_PATCH_INCIDENT_VIEW_H
#define PINION_TOOLS_PATCH_INCIDENT_VIEW_H

#include <jansson.h>

#include "tools/patch/journal.h"

/* Every field; "event" as in `pinion events`, or null; times as texts, or null; with "steps" where `with_steps`. */
json_t *incident_json(struct journal *journal, const struct incident *incident, bool with_steps);

/* One line, without a newline; the caller frees. */
char *incident_line(const struct incident *incident);
/* All of it with its steps, in lines; the caller frees. */
char *incident_text(struct journal *journal, const struct incident *incident);

#endif
