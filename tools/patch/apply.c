/* The sequence of steps. Each is in the journal before it begins; whatever goes wrong, the target ends patched or as it
 * was, and the journal says which.
 */
#include "tools/patch/apply.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/claim.h"
#include "tools/patch/commit.h"
#include "tools/patch/decide.h"
#include "tools/patch/health.h"
#include "tools/patch/repolicy.h"
#include "tools/patch/restart.h"
#include "tools/policy_file.h"

#define LOCK_SECONDS 300      /* for another package manager to end */
#define ASK_SECONDS 30        /* for all addresses to answer, before anything is changed */
#define ROLL_BACK_SECONDS 600 /* whatever time the patch itself took */
#define RESTART_SECONDS 60    /* for each program to come back; longer than that and it is rolled back */

/* All that the steps share. */
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
    size_t old_file_count;
    struct stale_process *stale; /* processes that map them, and what they listen on, from before the commit */
    size_t stale_count;
    struct listener *listeners;
    size_t listener_count, answering; /* so many answered, and stand first */
    struct restart_memory *memory;    /* how to start again what the patch may end */
    char *memory_path;
    char *lost; /* why that is not known any more, after a helper was killed; or NULL */
    struct method_cost cost;
    char *note; /* what the step that just ended has to say; owned */
};

static void note(struct work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(struct work *work, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    free(work->note);
    work->note = xvasprintf(format, arguments);
    va_end(arguments);
}

/* ---- the steps ---- */

static bool has_room(const char *what, const struct statvfs *status, uint64_t needed, struct mistake *mistake) {
    uint64_t room = status->f_bavail * status->f_frsize;
    if (room >= needed)
        return true;
    return text_mistake(mistake, 0, "%s has %llu MiB free and %llu MiB are needed: make room", what,
                        (unsigned long long)(room >> 20), (unsigned long long)(needed >> 20) + 1);
}

/* The state directory is made when it is first needed: until then its file system is that of what is above it. */
static bool nearest_system(const char *path, struct statvfs *status) {
    cleanup_free char *above = xstrdup(path);
    while (statvfs(above, status) != 0) {
        char *slash = strrchr(above, '/');
        if (errno != ENOENT || slash == NULL || slash == above)
            return errno == ENOENT && statvfs("/", status) == 0;
        *slash = '\0';
    }
    return true;
}

/* What is staged is there twice for a while: as archives, and old and new files. */
static bool writable_with_room(const struct work *work, const struct method_plan *plan, struct mistake *mistake) {
    struct statvfs target, state;
    if (fstatvfs(work->target.descriptor, &target) != 0 || !nearest_system(work->config->state, &state))
        return text_mistake(mistake, 0, "cannot look at the file system of the target or of \"%s\": %s",
                            work->config->state, strerror(errno));
    if (target.f_flag & ST_RDONLY)
        return text_mistake(mistake, 0, "the target's root is read-only: mount it writable, or patch the image");
    return has_room("the target", &target, work->recipe->free_disk + plan->installed, mistake) &&
           has_room(work->config->state, &state, plan->download + 2 * plan->installed, mistake);
}

static enum apply_status make_plan(struct work *work, struct method_plan *plan, struct mistake *mistake) {
    switch (work->method->plan(work->recipe, &work->target, plan, mistake)) {
    case METHOD_NOTHING: return APPLY_NOTHING;
    case METHOD_UNMET: return APPLY_ERROR;
    case METHOD_READY: break;
    }
    cleanup_free char *problem = stage_problem(&work->target, work->scratch);
    if (problem != NULL) {
        text_mistake(mistake, 0, "%s", problem);
        return APPLY_ERROR;
    }
    return writable_with_room(work, plan, mistake) ? APPLY_DONE : APPLY_ERROR;
}

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
    work->old_files = xcalloc(work->changes.count + 1, sizeof *work->old_files);
    for (size_t i = 0; i < work->changes.count; i++) {
        const struct change *change = &work->changes.items[i];
        if (change->kind == CHANGE_REPLACE || change->kind == CHANGE_REMOVE)
            work->old_files[work->old_file_count++] =
                (struct file_identity){change->before.st_dev, change->before.st_ino};
    }
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

static bool step_ready(struct work *work, struct mistake *mistake) {
    find_stale(work);
    if (!restarts_allowed(work, mistake) ||
        !restart_possible(&work->target, work->recipe, work->stale, work->stale_count, &work->memory, mistake) ||
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

/* What a failure of a step leads to. */
enum consequence {
    FAILURE_NOTHING_TOUCHED, /* the stage is thrown away */
    FAILURE_REFUSED,         /* likewise: something has to be done first, nothing went wrong */
    FAILURE_ROLL_BACK,
};

static const struct {
    const char *name;
    bool (*make)(struct work *work, struct mistake *mistake);
    enum consequence consequence;
} steps[] = {
    {"fetch", step_fetch, FAILURE_NOTHING_TOUCHED},   {"install", step_install, FAILURE_NOTHING_TOUCHED},
    {"policy", step_policy, FAILURE_NOTHING_TOUCHED}, {"ready", step_ready, FAILURE_REFUSED},
    {"commit", step_commit, FAILURE_ROLL_BACK},       {"restart", step_restart, FAILURE_ROLL_BACK},
    {"health", step_health, FAILURE_ROLL_BACK},       {"keep", step_keep, FAILURE_ROLL_BACK},
};

/* ---- roll-back ---- */

static bool undo_files(struct work *work, struct mistake *mistake) {
    return commit_undo(&work->target, work->incident->id, mistake);
}

/* What maps the files that the patch had brought, and now are gone. */
static bool undo_restart(struct work *work, struct mistake *mistake) {
    stale_processes_free(work->stale, work->stale_count);
    work->stale = NULL;
    work->stale_count = 0;
    if (!restart_missing(work->memory, &work->target, RESTART_SECONDS, mistake))
        return false;
    work->stale_count = processes_mapping(&work->target, NULL, 0, &work->stale);
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

static const struct {
    const char *name;
    bool (*make)(struct work *work, struct mistake *mistake);
} undo_steps[] = {
    {"undo", undo_files},
    {"restart", undo_restart},
    {"health", undo_health},
};

/* ---- running them ---- */

static bool run_step(struct work *work, const char *name, bool (*make)(struct work *, struct mistake *),
                     struct mistake *mistake) {
    int64_t id = journal_step_begin(work->journal, work->incident->id, name, NULL);
    work->cost = (struct method_cost){0};
    free(steal_pointer(&work->note));
    bool good = make(work, mistake);
    journal_step_end(work->journal, id, good, good ? work->note : mistake->text, work->cost.downloaded,
                     work->cost.memory);
    work->incident->downloaded += work->cost.downloaded;
    if (work->incident->memory < work->cost.memory)
        work->incident->memory = work->cost.memory;
    return good;
}

/* From here on nobody needs to know how programs are started again. */
static void settle(struct work *work, enum incident_state state, const char *detail) {
    struct incident *incident = work->incident;
    char *copy = xstrdup(detail);
    free(incident->detail);
    incident->detail = copy;
    incident->state = state;
    journal_update(work->journal, incident);
    unlink(work->memory_path);
}

/* Brings the target back after `why`; the old programs serve again, or a person is told. */
static enum apply_status roll_back(struct work *work, const struct mistake *why) {
    struct mistake mistake = {0};
    command_limit(ROLL_BACK_SECONDS);
    for (size_t i = 0; i < sizeof undo_steps / sizeof undo_steps[0]; i++)
        if (!run_step(work, undo_steps[i].name, undo_steps[i].make, &mistake)) {
            cleanup_free char *text =
                xasprintf("%s; then rolling back, at \"%s\": %s", why->text, undo_steps[i].name, mistake.text);
            settle(work, INCIDENT_FAILED, text);
            return APPLY_ERROR;
        }
    settle(work, INCIDENT_ROLLED_BACK, why->text);
    return APPLY_ROLLED_BACK;
}

static enum apply_status fail(struct work *work, enum consequence consequence, const struct mistake *mistake) {
    stage_close(&work->stage);
    if (consequence == FAILURE_ROLL_BACK)
        return roll_back(work, mistake);
    bool refused = consequence == FAILURE_REFUSED;
    settle(work, refused ? INCIDENT_REFUSED : INCIDENT_ROLLED_BACK, mistake->text);
    return refused ? APPLY_ERROR : APPLY_ROLLED_BACK;
}

static enum apply_status run_steps(struct work *work) {
    struct mistake mistake = {0};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (!run_step(work, steps[i].name, steps[i].make, &mistake))
            return fail(work, steps[i].consequence, &mistake);
    settle(work, INCIDENT_DONE, "patched");
    return APPLY_DONE;
}

/* ---- one at a time ---- */

/* -1: there is a mistake, or, where `busy` is set, just somebody who is at work. */
static int lock_state(const struct config *config, bool *busy, struct mistake *mistake) {
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

static bool work_begin(struct work *work, const struct config *config, struct journal *journal,
                       struct incident *incident, const struct recipe *recipe, struct mistake *mistake) {
    *work = (struct work){.target = {.descriptor = -1},
                          .packages = {{-1, -1, -1, -1}},
                          .config = config,
                          .journal = journal,
                          .incident = incident,
                          .recipe = recipe,
                          .method = method_of(recipe->method),
                          .memory_path = configuration_memory(config, incident->id),
                          .scratch = configuration_scratch(config, incident->id)};
    command_limit(config->time_limit);
    return claim_open_target(incident, &work->target, mistake);
}

static void work_end(struct work *work) {
    command_limit(0);
    stage_close(&work->stage);
    changes_free(&work->changes);
    stale_processes_free(work->stale, work->stale_count);
    listeners_free(work->listeners, work->listener_count);
    restart_memory_free(work->memory);
    target_unlock_packages(&work->packages);
    target_close(&work->target);
    free(work->old_files);
    free(work->memory_path);
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
    enum apply_status status = make_plan(work, &plan, mistake);
    if (status == APPLY_DONE && !lock_packages(work, mistake))
        status = APPLY_ERROR;
    journal_step_end(work->journal, step, status == APPLY_DONE, status == APPLY_DONE ? NULL : mistake->text, 0, 0);
    take_versions(work->incident, &plan);
    method_plan_free(&plan);
    if (status == APPLY_NOTHING)
        settle(work, INCIDENT_IGNORED, mistake->text[0] != '\0' ? mistake->text : "the fixed version is installed");
    else if (status == APPLY_ERROR)
        settle(work, INCIDENT_REFUSED, mistake->text);
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
    cleanup_fd int lock = lock_state(config, &busy, &mistake);
    bool begun = work_begin(&work, config, journal, incident, recipe, &mistake);
    if (lock < 0 || !begun)
        settle(&work, INCIDENT_REFUSED, mistake.text);
    else
        status = apply_planned(&work, &mistake);
    work_end(&work);
    return status;
}

/* ---- the plan, for people ---- */

static void print_restarts(FILE *out, const struct target *target, const struct recipe *recipe) {
    for (size_t i = 0; i < recipe->restart_count; i++) {
        cleanup_free char *line = restart_describe(target, recipe, recipe->restarts[i].program);
        fprintf(out, "  restart:   %s\n", line);
    }
    if (recipe->restart_count == 0)
        fputs("  restart:   what maps replaced files, as is known of each program\n", out);
}

static void print_plan(FILE *out, struct work *work, const struct method_plan *plan) {
    const struct recipe *recipe = work->recipe;
    fprintf(out, "recipe %s, serial %lld: %s\n", recipe->name, (long long)recipe->serial,
            recipe->summary != NULL ? recipe->summary : "");
    fprintf(out, "  target:    %s\n", *work->target.root != '\0' ? work->target.root : "/");
    fprintf(out, "  method:    %s\n", recipe_method_word(recipe->method));
    for (size_t i = 0; i < plan->package_count; i++)
        fprintf(out, "  package:   %s\n", plan->packages[i]);
    fprintf(out, "  download:  %.1f MiB\n", (double)plan->download / (1 << 20));
    fprintf(out, "  disk:      up to %.1f MiB in the target\n", (double)plan->installed / (1 << 20));
    print_restarts(out, &work->target, recipe);
    fprintf(out, "  health:    %s, within %u s\n",
            recipe->health_count > 0 ? "what the recipe asks for" : "every address is served that was before",
            recipe->timeout);
    fputs("  roll-back: to identical files when anything fails\n", out);
}

enum apply_status apply_plan(const struct config *config, const struct recipe *recipe, const struct target *target,
                             char **text, struct method_plan *plan, struct mistake *mistake) {
    size_t length;
    struct work work = {.config = config,
                        .recipe = recipe,
                        .method = method_of(recipe->method),
                        .target = *target,
                        .scratch = configuration_scratch(config, 0)};
    enum apply_status status = make_plan(&work, plan, mistake);
    free(work.scratch);
    *text = NULL;
    if (status != APPLY_DONE)
        return status;
    FILE *out = xopen_memstream(text, &length);
    print_plan(out, &work, plan);
    fclose(out);
    return status;
}

/* ---- after a helper was killed ---- */

#define RESUMED_MOST 2 /* times that a patch is begun anew which was interrupted before anything was touched */

/* How far it got: the last step that was begun, whether the target was touched since the last plan, and how many plans
 * there were. */
struct progress {
    char last[16];
    bool touched;
    unsigned plans;
};

static struct progress look_at_steps(struct journal *journal, int64_t incident) {
    struct progress progress = {0};
    struct step *list;
    size_t count = journal_steps(journal, incident, &list);
    for (size_t i = 0; i < count; i++) {
        bool plan = strcmp(list[i].name, "plan") == 0;
        progress.plans += plan;
        progress.touched = !plan && (progress.touched || strcmp(list[i].name, "commit") == 0);
        snprintf(progress.last, sizeof progress.last, "%s", list[i].name);
    }
    steps_free(list, count);
    return progress;
}

static bool finish(struct work *work) {
    struct mistake mistake = {0};
    if (!run_step(work, "keep", step_keep, &mistake)) {
        settle(work, INCIDENT_FAILED, mistake.text);
        return false;
    }
    settle(work, INCIDENT_DONE, "patched; the helper was ended when all was done, and finished when it came back");
    return true;
}

/* Before the first program was stopped all that is needed was written down. */
static void remember(struct work *work) {
    struct mistake mistake = {0};
    work->memory = restart_memory_read(work->memory_path, work->incident->id, &mistake);
    if (work->memory == NULL)
        work->lost = xstrdup(mistake.text);
    else
        work->listener_count = work->answering =
            restart_memory_listeners(work->memory, &work->target, &work->listeners);
}

/* A patch that was being kept is complete; one that had begun to touch the target is taken back, which does nothing
 * twice; any other is begun anew. */
static bool recover_work(struct work *work) {
    const struct mistake why = {.text = "the helper was ended while it was under way"};
    struct progress progress = look_at_steps(work->journal, work->incident->id);
    if (strcmp(progress.last, "keep") == 0)
        return finish(work);
    if (progress.touched || commit_is_under_way(&work->target, work->incident->id)) {
        remember(work);
        return roll_back(work, &why) == APPLY_ROLLED_BACK;
    }
    if (progress.plans <= RESUMED_MOST)
        settle(work, INCIDENT_APPROVED, "the helper was ended before anything was touched: it is begun anew");
    else
        settle(work, INCIDENT_ROLLED_BACK, "the helper was ended each time before anything was touched");
    return true;
}

/* What is left of the stage is in nobody's way but a new one's: the target is brought back whatever comes of this, or
 * somebody who keeps starting processes with our mark would keep us from it. */
static void clean_up(const struct work *work) {
    struct mistake mistake = {0};
    if (!command_kill_marked(work->incident->id, &mistake) || !stage_remove_left(work->scratch, &mistake))
        warn("incident %lld: %s", (long long)work->incident->id, mistake.text);
}

/* Without its recipe a roll-back goes by what is known of the programs. */
static bool recover_incident(const struct config *config, struct journal *journal, struct incident *incident,
                             struct mistake *mistake) {
    struct recipe recipe;
    struct mistake unreadable = {0};
    struct work work;
    if (decide_recipe(config, journal, incident, &recipe, &unreadable) != INCIDENT_APPROVED)
        recipe = (struct recipe){.timeout = 30};
    bool good = work_begin(&work, config, journal, incident, &recipe, mistake);
    clean_up(&work);
    bool locked = good && target_lock_packages(&work.target, &work.packages, mistake);
    if (locked)
        good = recover_work(&work);
    else if (!good)
        settle(&work, INCIDENT_FAILED, mistake->text);
    work_end(&work);
    recipe_free(&recipe);
    return good && locked; /* whoever is at it with the packages ends, and then it goes on */
}

/* A helper that was killed just then has left what it knew of an incident that has ended, or a part of it. */
static void remove_memories(const struct config *config, struct journal *journal) {
    DIR *directory = opendir(config->state);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        struct incident incident = {0};
        char *end;
        if (strncmp(entry->d_name, CONFIG_MEMORY, strlen(CONFIG_MEMORY)) != 0)
            continue;
        int64_t id = strtoll(entry->d_name + strlen(CONFIG_MEMORY), &end, 10);
        bool known = *end == '\0' && id > 0 && journal_read(journal, id, &incident);
        if (!known || incident.state != INCIDENT_APPLYING)
            unlinkat(dirfd(directory), entry->d_name, 0);
        incident_free(&incident);
    }
    if (directory != NULL)
        closedir(directory);
}

bool apply_recover(const struct config *config, struct journal *journal, struct mistake *mistake) {
    struct incident incident;
    bool good = true, busy;
    cleanup_fd int lock = lock_state(config, &busy, mistake);
    if (lock < 0)
        return busy;
    while (good && journal_first(journal, INCIDENT_APPLYING, &incident)) {
        good = recover_incident(config, journal, &incident, mistake);
        incident_free(&incident);
    }
    remove_memories(config, journal);
    return good;
}
