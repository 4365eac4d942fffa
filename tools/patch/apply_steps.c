/* The steps of a patch, and those that take it back. Each does one thing to the target or to the stage, and leaves the
 * journal to whoever runs it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/apply_work.h"
#include "tools/patch/commit.h"
#include "tools/patch/health.h"
#include "tools/patch/repolicy.h"
#include "tools/policy_file.h"

#define ASK_SECONDS 30     /* for all addresses to answer, before anything is changed */
#define RESTART_SECONDS 60 /* for each program to come back; longer than that and it is rolled back */

static void note(struct work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct work *work, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    free(work->note);
    work->note = xvasprintf(format, arguments);
    va_end(arguments);
}

/* ---- forward ---- */

static bool step_fetch(struct work *work, struct mistake *mistake) {
    if (!stage_open(&work->stage, &work->target, work->scratch, work->incident->id, mistake))
        return false;
    work->stage.timeout = work->config->step_timeout;
    work->stage.mirrors = work->config->mirrors;
    return work->method->fetch(work->recipe, &work->stage, &work->cost, mistake);
}

static bool step_install(struct work *work, struct mistake *mistake) {
    if (!work->method->install(work->recipe, &work->stage, &work->cost, mistake) ||
        !changes_read(&work->changes, &work->stage, mistake))
        return false;
    if (work->changes.count == 0)
        return text_mistake(mistake, 0, "nothing was changed: the recipe does not do what it says");
    note(work, "%zu changes", work->changes.count);
    return true;
}

static bool step_policy(struct work *work, struct mistake *mistake) {
    size_t made = 0;
    cleanup_free char *notes = NULL;
    if (!repolicy_stage(&work->stage, &work->changes, work->config->policygen, work->config->policies, &made, &notes,
                        mistake))
        return false;
    note(work, "%zu policies made anew%s%s", made, notes != NULL ? "; " : "", notes != NULL ? notes : "");
    if (made == 0)
        return true;
    changes_free(&work->changes);
    return changes_read(&work->changes, &work->stage, mistake);
}

static void find_stale(struct work *work) {
    work->old_files = changes_old_files(&work->changes, &work->old_file_count);
    work->stale_count = processes_mapping(&work->target, work->old_files, work->old_file_count, &work->stale);
    work->listener_count = processes_listeners(&work->target, work->stale, work->stale_count, &work->listeners);
    /* What does not answer before the patch need not afterwards: a socket that was given another name, a full queue. */
    work->answering =
        listeners_answering(&work->target, work->listeners, work->listener_count, command_seconds(ASK_SECONDS));
}

/* A program that is restarted too often is attacked through its restarts. */
static bool restarts_allowed(const struct work *work, struct mistake *mistake) {
    for (size_t i = 0; i < work->stale_count; i++)
        if (journal_restarts(work->journal, work->incident->root, work->stale[i].program, 3600) >=
            work->config->restarts_per_hour)
            return text_mistake(mistake, 0,
                                "\"%s\" was restarted %u times within an hour: wait, or restart it yourself",
                                work->stale[i].program, work->config->restarts_per_hour);
    return true;
}

/* The recipe may lie anywhere, and has been replaced, or has expired, when the patch is to be taken back. */
static bool keep_recipe(const struct work *work, struct mistake *mistake) {
    const char *text = work->recipe->file;
    return text == NULL ||
           (atomic_file_write(work->recipe_path, 0600, text, strlen(text)) && directory_flush(work->recipe_path)) ||
           text_mistake(mistake, 0, "cannot write \"%s\": %s", work->recipe_path, strerror(errno));
}

static bool step_ready(struct work *work, struct mistake *mistake) {
    find_stale(work);
    if (!restarts_allowed(work, mistake) ||
        !restart_possible(&work->target, work->recipe, work->stale, work->stale_count, &work->memory, mistake) ||
        !keep_recipe(work, mistake) ||
        !restart_memory_keep(work->memory, work->memory_path, work->incident->id, work->listeners, work->answering,
                             mistake))
        return false;
    const char *ways = restart_ways(work->memory);
    note(work, "%zu processes run what changes%s%s", work->stale_count, *ways != '\0' ? "; " : "", ways);
    return true;
}

static bool in_time(const struct work *work, struct mistake *mistake) {
    return command_seconds(1) > 0 ||
           text_mistake(mistake, 0, "it took all of the %u s that one patch may take (time_limit)",
                        work->config->time_limit);
}

/* Rules first: no process that starts meanwhile meets new code with old rules. */
static bool is_policy(const char *path) {
    return has_suffix(path, POLICY_COMPILED_SUFFIX);
}

static bool step_commit(struct work *work, struct mistake *mistake) {
    if (!in_time(work, mistake) || !commit_make(&work->changes, &work->stage, is_policy, mistake))
        return false;
    work->incident->disk_growth = (int64_t)(work->changes.bytes_after - work->changes.bytes_before);
    note(work, "%zu files, %+lld bytes", work->changes.count, (long long)work->incident->disk_growth);
    return true;
}

/* The processes of one program are one restart. */
static bool is_counted(const struct work *work, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (strcmp(work->stale[i].program, work->stale[index].program) == 0)
            return true;
    return false;
}

static void count_restarts(struct work *work) {
    for (size_t i = 0; work->stale != NULL && i < work->stale_count; i++)
        if (!is_counted(work, i))
            journal_restarted(work->journal, work->incident->id, work->incident->root, work->stale[i].program);
}

/* Until health says more, or never comes. */
static void count_outage(struct work *work) {
    uint64_t stopped = restart_stopped(work->memory);
    if (stopped != 0)
        work->incident->outage = clock_nanoseconds(CLOCK_MONOTONIC) - stopped;
}

static void note_restart(struct work *work, const char *left) {
    const char *ways = restart_ways(work->memory), *started = restart_started(work->memory);
    note(work, "%zu processes%s%s%s%s%s%s", work->stale_count, *ways != '\0' ? "; " : "", ways,
         left != NULL ? "; left to end by themselves: " : "", left != NULL ? left : "",
         *started != '\0' ? "; started again: " : "", started);
}

static bool step_restart(struct work *work, struct mistake *mistake) {
    cleanup_free char *left = NULL;
    if (!in_time(work, mistake))
        return false;
    count_restarts(work);
    bool good = restart_stale(&work->target, work->recipe, work->stale, work->stale_count, work->memory,
                              command_seconds(RESTART_SECONDS), &left, mistake);
    count_outage(work);
    if (good)
        note_restart(work, left);
    return good;
}

static bool step_health(struct work *work, struct mistake *mistake) {
    struct recipe limited = *work->recipe;
    limited.timeout = command_seconds(work->recipe->timeout);
    if (!in_time(work, mistake))
        return false;
    return health_check(&limited, &work->target, work->listeners, work->answering, restart_stopped(work->memory),
                        &work->incident->outage, mistake);
}

static bool step_keep(struct work *work, struct mistake *mistake) {
    struct mistake why = {0};
    if (!commit_keep(&work->target, work->incident->id, mistake))
        return false;
    if (work->stage.scratch != NULL && !repolicy_settle(&work->stage, work->config->policies, &why))
        note(work, "policies stay as they are for both builds: %s", why.text);
    stage_close(&work->stage); /* whoever reads "done" finds nothing left over */
    return true;
}

const struct work_step work_steps[] = {
    {"fetch", step_fetch, FAILURE_NOTHING_TOUCHED},
    {"install", step_install, FAILURE_NOTHING_TOUCHED},
    {"policy", step_policy, FAILURE_NOTHING_TOUCHED},
    {"ready", step_ready, FAILURE_REFUSED},
    {"commit", step_commit, FAILURE_ROLL_BACK},
    {"restart", step_restart, FAILURE_ROLL_BACK},
    {"health", step_health, FAILURE_ROLL_BACK},
    {"keep", step_keep, FAILURE_ROLL_BACK},
    {NULL, NULL, FAILURE_ROLL_BACK},
};

/* ---- back ---- */

static bool undo_files(struct work *work, struct mistake *mistake) {
    if (work->new_files == NULL)
        work->new_files = commit_new_files(&work->target, work->incident->id, &work->new_file_count);
    return commit_undo(&work->target, work->incident->id, mistake);
}

/* What maps the files that the patch had brought, and now are gone; of which none is known any more where a helper was
 * killed after it had brought the old ones back: then whatever maps what is gone. */
static bool undo_restart(struct work *work, struct mistake *mistake) {
    stale_processes_free(work->stale, work->stale_count);
    work->stale = NULL;
    work->stale_count = 0;
    if (!restart_missing(work->memory, &work->target, RESTART_SECONDS, mistake))
        return false;
    work->stale_count = processes_mapping(&work->target, work->new_files, work->new_file_count, &work->stale);
    if (!step_restart(work, mistake))
        return false;
    return work->lost == NULL ||
           text_mistake(mistake, 0, "which programs ran is not known any more (%s): start those that do not run",
                        work->lost);
}

/* A check of the recipe may hold for the fixed version alone: here it is asked whether all is as it was. */
static bool undo_health(struct work *work, struct mistake *mistake) {
    const struct recipe as_before = {.timeout = command_seconds(work->recipe->timeout)};
    return health_check(&as_before, &work->target, work->listeners, work->answering, restart_stopped(work->memory),
                        &work->incident->outage, mistake);
}

const struct work_step work_undo_steps[] = {
    {"undo", undo_files, FAILURE_ROLL_BACK},
    {"restart", undo_restart, FAILURE_ROLL_BACK},
    {"health", undo_health, FAILURE_ROLL_BACK},
    {NULL, NULL, FAILURE_ROLL_BACK},
};
