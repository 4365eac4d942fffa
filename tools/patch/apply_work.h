/* What the files that apply a recipe share: one patch under way, and its steps.
 */
#ifndef PINION_TOOLS_PATCH_APPLY_WORK_H
#define PINION_TOOLS_PATCH_APPLY_WORK_H

#include "tools/patch/apply.h"
#include "tools/patch/changes.h"
#include "tools/patch/processes.h"
#include "tools/patch/restart.h"
#include "tools/patch/stage.h"
#include "tools/patch/target.h"

struct work {
    const struct config *config;
    struct journal *journal;
    struct incident *incident;
    const struct recipe *recipe;
    const struct method *method;
    struct target target;
    struct target_lock packages; /* nobody else installs meanwhile */
    char *scratch;
    struct stage stage;
    struct changes changes;
    struct file_identity *old_files; /* what the target had in place of what the patch brings */
    struct file_identity *new_files; /* what a roll-back takes away again; NULL: not known */
    size_t old_file_count, new_file_count;
    struct stale_process *stale; /* processes that map them, and what they listen on, from before the commit */
    size_t stale_count;
    struct listener *listeners;
    size_t listener_count, answering; /* so many answered, and stand first */
    struct restart_memory *memory;    /* how to start again what the patch may end */
    char *memory_path, *recipe_path;  /* what a helper that comes after this one needs for taking it back */
    char *lost;                       /* why that is not known any more, after a helper was killed; or NULL */
    struct method_cost cost;
    char *note; /* what the step that just ended has to say; owned */
};

/* Opens the incident's target, and begins to count its time. To be ended also where it is false. */
bool work_begin(struct work *work, const struct config *config, struct journal *journal, struct incident *incident,
                const struct recipe *recipe, struct mistake *mistake);
void work_end(struct work *work);

/* One at a time: the lock of the state directory. -1: there is a mistake, or, where `busy` is set, just somebody who is at
 * work. */
int work_lock(const struct config *config, bool *busy, struct mistake *mistake);

/* ---- steps ---- */

/* What a failure of a step leads to. */
enum consequence {
    FAILURE_NOTHING_TOUCHED, /* the stage is thrown away */
    FAILURE_REFUSED,         /* likewise: something has to be done first, nothing went wrong */
    FAILURE_ROLL_BACK,
};

struct work_step {
    const char *name; /* NULL ends a list */
    bool (*make)(struct work *work, struct mistake *mistake);
    enum consequence consequence;
};
extern const struct work_step work_steps[]; /* all that come after the plan; the last one keeps what was done */
extern const struct work_step work_undo_steps[];

/* The plan: whether it can be done at all. */
enum apply_status work_plan(struct work *work, struct method_plan *plan, struct mistake *mistake);

/* In the journal before it is done, and with what came of it. */
bool work_run(struct work *work, const struct work_step *step, struct mistake *mistake);
/* Brings the target back after `why`; the old programs serve again, or a person is told. */
enum apply_status work_roll_back(struct work *work, const struct mistake *why);
/* The incident's state is what became of it. From here on nobody takes it back. */
void work_settle(struct work *work, enum incident_state state, const char *detail);

#endif
