/* Running the steps. Each is in the journal before it begins; whatever goes wrong, the target ends patched or as it was,
 * and the journal says which.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/apply_work.h"
#include "tools/patch/claim.h"

#define LOCK_SECONDS 300      /* for another package manager to end */
#define ROLL_BACK_SECONDS 600 /* whatever time the patch itself took */

/* ---- the steps ---- */

bool work_run(struct work *work, const struct work_step *step, struct mistake *mistake) {
    int64_t id = journal_step_begin(work->journal, work->incident->id, step->name, NULL);
    work->cost = (struct method_cost){0};
    free(steal_pointer(&work->note));
    bool good = step->make(work, mistake);
    journal_step_end(work->journal, id, good, good ? work->note : mistake->text, work->cost.downloaded,
                     work->cost.memory);
    work->incident->downloaded += work->cost.downloaded;
    if (work->incident->memory < work->cost.memory)
        work->incident->memory = work->cost.memory;
    return good;
}

void work_settle(struct work *work, enum incident_state state, const char *detail) {
    struct incident *incident = work->incident;
    char *copy = xstrdup(detail);
    free(incident->detail);
    incident->detail = copy;
    incident->state = state;
    journal_update(work->journal, incident);
    unlink(work->memory_path);
    unlink(work->recipe_path);
}

enum apply_status work_roll_back(struct work *work, const struct mistake *why) {
    struct mistake mistake = {0};
    command_limit(ROLL_BACK_SECONDS);
    for (const struct work_step *step = work_undo_steps; step->name != NULL; step++)
        if (!work_run(work, step, &mistake)) {
            cleanup_free char *text =
                xasprintf("%s; then rolling back, at \"%s\": %s", why->text, step->name, mistake.text);
            work_settle(work, INCIDENT_FAILED, text);
            return APPLY_ERROR;
        }
    work_settle(work, INCIDENT_ROLLED_BACK, why->text);
    return APPLY_ROLLED_BACK;
}

static enum apply_status fail(struct work *work, enum consequence consequence, const struct mistake *mistake) {
    stage_close(&work->stage);
    if (consequence == FAILURE_ROLL_BACK)
        return work_roll_back(work, mistake);
    bool refused = consequence == FAILURE_REFUSED;
    work_settle(work, refused ? INCIDENT_REFUSED : INCIDENT_ROLLED_BACK, mistake->text);
    return refused ? APPLY_ERROR : APPLY_ROLLED_BACK;
}

static enum apply_status run_steps(struct work *work) {
    struct mistake mistake = {0};
    for (const struct work_step *step = work_steps; step->name != NULL; step++)
        if (!work_run(work, step, &mistake))
            return fail(work, step->consequence, &mistake);
    work_settle(work, INCIDENT_DONE, "patched");
    return APPLY_DONE;
}

/* ---- one at a time ---- */

int work_lock(const struct config *config, bool *busy, struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/apply.lock", config->state);
    cleanup_fd int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    *busy = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0;
    if (lock >= 0 && !command_owner(config->state, mistake))
        return -1;
    if (lock < 0)
        text_mistake(mistake, 0, "cannot open \"%s\": %s", path, strerror(errno));
    else if (*busy)
        text_mistake(mistake, 0, "another patch is under way: wait for it (pinion incidents)");
    return *busy ? -1 : steal_fd(&lock);
}

bool work_begin(struct work *work, const struct config *config, struct journal *journal, struct incident *incident,
                const struct recipe *recipe, struct mistake *mistake) {
    *work = (struct work){.target = {.descriptor = -1},
                          .packages = {{-1, -1, -1, -1}},
                          .config = config,
                          .journal = journal,
                          .incident = incident,
                          .recipe = recipe,
                          .method = method_of(recipe->method),
                          .memory_path = configuration_memory(config, incident->id),
                          .recipe_path = configuration_recipe(config, incident->id),
                          .scratch = configuration_scratch(config, incident->id)};
    command_limit(config->time_limit);
    return claim_open_target(incident, &work->target, mistake);
}

void work_end(struct work *work) {
    command_limit(0);
    stage_close(&work->stage);
    changes_free(&work->changes);
    stale_processes_free(work->stale, work->stale_count);
    listeners_free(work->listeners, work->listener_count);
    restart_memory_free(work->memory);
    target_unlock_packages(&work->packages);
    target_close(&work->target);
    file_identities_free(work->old_files, work->old_file_count);
    file_identities_free(work->new_files, work->new_file_count);
    free(work->memory_path);
    free(work->recipe_path);
    free(work->lost);
    free(work->scratch);
    free(work->note);
}

static void take_versions(struct incident *incident, const struct method_plan *plan) {
    char *from = plan->from != NULL ? xstrdup(plan->from) : NULL, *to = plan->to != NULL ? xstrdup(plan->to) : NULL;
    free(incident->from);
    free(incident->to);
    incident->from = from;
    incident->to = to;
}

/* Nobody waits for what an alarm began: whoever is at it with the packages is given some minutes. */
static bool lock_packages(struct work *work, struct mistake *mistake) {
    const struct timespec second = {.tv_sec = 1};
    unsigned left = work->incident->claim == CLAIM_NONE ? 0 : command_seconds(LOCK_SECONDS);
    while (!target_lock_packages(&work->target, &work->packages, mistake)) {
        if (left-- == 0)
            return false;
        nanosleep(&second, NULL);
    }
    return true;
}

static enum apply_status apply_planned(struct work *work, struct mistake *mistake) {
    struct method_plan plan = {0};
    int64_t step = journal_step_begin(work->journal, work->incident->id, "plan", NULL);
    enum apply_status status = work_plan(work, &plan, mistake);
    if (status == APPLY_DONE && !lock_packages(work, mistake))
        status = APPLY_ERROR;
    journal_step_end(work->journal, step, status == APPLY_DONE, status == APPLY_DONE ? NULL : mistake->text, 0, 0);
    take_versions(work->incident, &plan);
    method_plan_free(&plan);
    if (status == APPLY_NOTHING)
        work_settle(work, INCIDENT_IGNORED,
                    mistake->text[0] != '\0' ? mistake->text : "the fixed version is installed");
    else if (status == APPLY_ERROR)
        work_settle(work, INCIDENT_REFUSED, mistake->text);
    else
        status = run_steps(work);
    return status;
}

enum apply_status apply_incident(const struct config *config, struct journal *journal, struct incident *incident,
                                 const struct recipe *recipe) {
    struct mistake mistake = {0};
    struct work work;
    enum apply_status status = APPLY_ERROR;
    bool busy;
    cleanup_fd int lock = work_lock(config, &busy, &mistake);
    bool begun = work_begin(&work, config, journal, incident, recipe, &mistake);
    if (lock < 0 || !begun)
        work_settle(&work, INCIDENT_REFUSED, mistake.text);
    else
        status = apply_planned(&work, &mistake);
    work_end(&work);
    return status;
}
