/* Rehearsing a recipe: everything that comes before the commit, for real, in a stage that is then thrown away. The
 * target stays as it is, nothing is restarted.
 */
#ifndef PINION_TOOLS_PATCH_REHEARSE_H
#define PINION_TOOLS_PATCH_REHEARSE_H

#include <jansson.h>

#include "tools/patch/apply.h"
#include "tools/patch/changes.h"

/* What came of it. Texts are owned. */
struct rehearsal {
    struct method_plan plan;
    struct method_cost cost;
    struct changes changes;
    char *restarts;      /* a line for each program that runs what would be replaced */
    const char *refusal; /* why the recipe would be refused whatever it does, set by who knows; or NULL */
    const char *step;    /* "plan", "stage", "fetch", "install", "restart": the last that was begun */
};

/* APPLY_ROLLED_BACK: the stage is good, and the recipe fails in it. `scratch` is made and removed. */
enum apply_status rehearse(const struct recipe *recipe, const char *root, const char *scratch,
                           struct rehearsal *rehearsal, struct mistake *mistake);
void rehearsal_free(struct rehearsal *rehearsal);

void rehearsal_print(const struct rehearsal *rehearsal, enum apply_status status, const struct mistake *mistake);
json_t *rehearsal_json(const struct rehearsal *rehearsal, enum apply_status status, const struct mistake *mistake);

#endif
