/* What a helper that was killed had under way is finished, taken back, or begun anew.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/patch/apply_work.h"
#include "tools/patch/commit.h"
#include "tools/patch/decide.h"

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
    const struct work_step *keep = work_steps;
    while (strcmp(keep->name, "keep") != 0)
        keep++;
    if (!work_run(work, keep, &mistake)) {
        work_settle(work, INCIDENT_FAILED, mistake.text);
        return false;
    }
    work_settle(work, INCIDENT_DONE, "patched; the helper was ended when all was done, and finished when it came back");
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
        return work_roll_back(work, &why) == APPLY_ROLLED_BACK;
    }
    if (progress.plans <= RESUMED_MOST)
        work_settle(work, INCIDENT_APPROVED, "the helper was ended before anything was touched: it is begun anew");
    else
        work_settle(work, INCIDENT_ROLLED_BACK, "the helper was ended each time before anything was touched");
    return true;
}

/* What is left of the stage is in nobody's way but a new one's: the target is brought back whatever comes of this, or
 * somebody who keeps starting processes with our mark would keep us from it. */
static void clean_up(const struct work *work) {
    struct mistake mistake = {0};
    if (!command_kill_marked(work->incident->id, &mistake) || !stage_remove_left(work->scratch, &mistake))
        warn("incident %lld: %s", (long long)work->incident->id, mistake.text);
}

/* The one that was applied, whatever the time is now. Without it a roll-back goes by what is known of the programs. */
static void find_recipe(const struct config *config, struct journal *journal, const struct incident *incident,
                        struct recipe *recipe) {
    struct mistake ignored = {0};
    cleanup_free char *copy = configuration_recipe(config, incident->id);
    if (!recipe_read_copy(copy, config->keys, config->key_count, recipe, &ignored) &&
        decide_recipe(config, journal, incident, recipe, &ignored) != INCIDENT_APPROVED)
        *recipe = (struct recipe){.timeout = 30};
}

static bool recover_incident(const struct config *config, struct journal *journal, struct incident *incident,
                             struct mistake *mistake) {
    struct recipe recipe;
    struct work work;
    find_recipe(config, journal, incident, &recipe);
    bool good = work_begin(&work, config, journal, incident, &recipe, mistake);
    clean_up(&work);
    bool locked = good && target_lock_packages(&work.target, &work.packages, mistake);
    if (locked)
        good = recover_work(&work);
    else if (!good)
        work_settle(&work, INCIDENT_FAILED, mistake->text);
    work_end(&work);
    recipe_free(&recipe);
    return good && locked; /* whoever is at it with the packages ends, and then it goes on */
}

/* The incident whose file this is in the state directory; 0: it is none such, -1: a part of one. */
static int64_t incident_of(const char *name) {
    static const char *const kinds[] = {CONFIG_MEMORY, CONFIG_RECIPE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i]);
        if (strncmp(name, kinds[i], length) == 0) {
            char *end;
            int64_t id = strtoll(name + length, &end, 10);
            return *end == '\0' && id > 0 ? id : -1;
        }
    }
    return 0;
}

/* A helper that was killed just then has left what it knew of an incident that has ended, or a part of it. */
static void remove_memories(const struct config *config, struct journal *journal) {
    DIR *directory = opendir(config->state);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        struct incident incident = {0};
        int64_t id = incident_of(entry->d_name);
        if (id == 0)
            continue;
        if (id < 0 || !journal_read(journal, id, &incident) || incident.state != INCIDENT_APPLYING)
            unlinkat(dirfd(directory), entry->d_name, 0);
        incident_free(&incident);
    }
    if (directory != NULL)
        closedir(directory);
}

bool apply_recover(const struct config *config, struct journal *journal, struct mistake *mistake) {
    struct incident incident;
    bool good = true, busy;
    cleanup_fd int lock = work_lock(config, &busy, mistake);
    if (lock < 0)
        return busy;
    while (good && journal_first(journal, INCIDENT_APPLYING, &incident)) {
        good = recover_incident(config, journal, &incident, mistake);
        incident_free(&incident);
    }
    remove_memories(config, journal);
    return good;
}
