/* From an event to what is to be done: which attack it is, which recipe answers it, and whether that may be applied.
 * Nothing is done here.
 */
#ifndef PINION_TOOLS_PATCH_DECIDE_H
#define PINION_TOOLS_PATCH_DECIDE_H

#include "tools/identify.h"
#include "tools/patch/config.h"
#include "tools/patch/journal.h"

struct decider {
    const struct config *config;
    struct journal *journal;
    struct signatures signatures;
    struct identifier *identifier; /* NULL without a database */
};

bool decider_open(struct decider *decider, const struct config *config, struct journal *journal,
                  struct mistake *mistake);
void decider_close(struct decider *decider);

/* Fills in answer, name, confidence, cve, package, recipe, serial, digest, to; sets state and detail. The recipes are
 * read anew each time. */
void decide(struct decider *decider, struct incident *incident);

/* The recipe of an incident, read and verified anew. Decided on, or approved, was one text: INCIDENT_APPROVED where it is
 * this one and may still be applied. Else a mistake, and nothing to free: INCIDENT_WAITING for another text, which is to
 * be approved anew, or INCIDENT_REFUSED. */
enum incident_state decide_recipe(const struct config *config, struct journal *journal, const struct incident *incident,
                                  struct recipe *recipe, struct mistake *mistake);

/* What a person approves: the recipe as it is now. Fills in serial and digest; false and why it may not be applied. */
bool decide_approve(const struct config *config, struct journal *journal, struct incident *incident,
                    struct mistake *mistake);

/* Serial and expiry of a recipe that was just read; false and why it may not be applied. */
bool decide_may_apply(struct journal *journal, const struct recipe *recipe, struct mistake *mistake);
/* From now on an older one of this name is a replay. */
void decide_note_serial(struct journal *journal, const struct recipe *recipe);

#endif
