/* Plan, fetch and install of a recipe, and looking at what it changed. There is no commit here.
 */
#include "tools/patch/rehearse.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/json.h"
#include "tools/patch/processes.h"
#include "tools/patch/recipe_view.h"
#include "tools/patch/restart.h"

#define CHANGES_SHOWN 40

void rehearsal_free(struct rehearsal *rehearsal) {
    method_plan_free(&rehearsal->plan);
    changes_free(&rehearsal->changes);
    free(rehearsal->restarts);
    *rehearsal = (struct rehearsal){0};
}

/* ---- trying ---- */

/* Programs of the target that run what would be replaced, each once. */
static bool find_restarts(const struct recipe *recipe, const struct target *target, struct rehearsal *rehearsal,
                          struct mistake *mistake) {
    struct stale_process *stale = NULL;
    size_t file_count, size;
    struct file_identity *files = changes_old_files(&rehearsal->changes, &file_count);
    size_t count = processes_mapping(target, files, file_count, &stale);
    file_identities_free(files, file_count);
    FILE *out = xopen_memstream(&rehearsal->restarts, &size);
    for (size_t i = 0; i < count; i++) {
        size_t first = 0;
        while (strcmp(stale[first].program, stale[i].program) != 0)
            first++;
        cleanup_free char *line = first == i ? restart_describe(target, recipe, stale[i].program) : NULL;
        cleanup_free char *clean = line != NULL ? printable(line) : NULL;
        if (clean != NULL)
            fprintf(out, "%s\n", clean);
    }
    fclose(out);
    bool good = restart_possible(target, recipe, stale, count, NULL, mistake);
    stale_processes_free(stale, count);
    return good;
}

static enum apply_status in_stage(const struct recipe *recipe, const struct stage *stage, struct rehearsal *rehearsal,
                                  struct mistake *mistake) {
    const struct method *method = method_of(recipe->method);
    rehearsal->step = "fetch";
    if (!method->fetch(recipe, stage, &rehearsal->cost, mistake))
        return APPLY_ROLLED_BACK;
    rehearsal->step = "install";
    if (!method->install(recipe, stage, &rehearsal->cost, mistake) ||
        !changes_read(&rehearsal->changes, stage, mistake))
        return APPLY_ROLLED_BACK;
    if (rehearsal->changes.count == 0) {
        text_mistake(mistake, 0, "nothing was changed: the recipe does not do what it says");
        return APPLY_ROLLED_BACK;
    }
    rehearsal->step = "restart";
    return find_restarts(recipe, stage->target, rehearsal, mistake) ? APPLY_DONE : APPLY_ROLLED_BACK;
}

static enum apply_status plan(const struct recipe *recipe, const struct target *target, struct rehearsal *rehearsal,
                              struct mistake *mistake) {
    rehearsal->step = "plan";
    switch (method_of(recipe->method)->plan(recipe, target, &rehearsal->plan, mistake)) {
    case METHOD_READY: return APPLY_DONE;
    case METHOD_NOTHING:
        if (mistake->text[0] == '\0' && rehearsal->plan.from != NULL && recipe->fixed != NULL)
            text_mistake(mistake, 0, "%s %s is installed, and the recipe brings %s", recipe->package,
                         rehearsal->plan.from, recipe->fixed);
        return APPLY_NOTHING;
    default: return APPLY_ERROR;
    }
}

static enum apply_status stage_it(const struct recipe *recipe, const struct target *target, const char *scratch,
                                  struct rehearsal *rehearsal, struct mistake *mistake) {
    struct stage stage;
    rehearsal->step = "stage";
    cleanup_free char *problem = stage_problem(target, scratch);
    if (problem != NULL)
        text_mistake(mistake, 0, "%s", problem);
    if (problem != NULL || !stage_open(&stage, target, scratch, 0, mistake))
        return APPLY_ERROR;
    enum apply_status status = in_stage(recipe, &stage, rehearsal, mistake);
    stage_close(&stage);
    return status;
}

/* As when it is applied, nobody else installs meanwhile: what is below a stage must not change. */
static enum apply_status on_target(const struct recipe *recipe, const struct target *target, const char *scratch,
                                   struct rehearsal *rehearsal, struct mistake *mistake) {
    struct target_lock lock;
    enum apply_status status = plan(recipe, target, rehearsal, mistake);
    if (status != APPLY_DONE)
        return status;
    if (!target_lock_packages(target, &lock, mistake))
        return APPLY_ERROR;
    status = stage_it(recipe, target, scratch, rehearsal, mistake);
    target_unlock_packages(&lock);
    return status;
}

enum apply_status rehearse(const struct recipe *recipe, const char *root, const char *scratch,
                           struct rehearsal *rehearsal, struct mistake *mistake) {
    struct target target;
    *rehearsal = (struct rehearsal){.step = "plan"};
    *mistake = (struct mistake){0};
    if (!target_of_directory(&target, root, mistake))
        return APPLY_ERROR;
    enum apply_status status = on_target(recipe, &target, scratch, rehearsal, mistake);
    target_close(&target);
    return status;
}

/* ---- showing ---- */

static const char *change_word(enum change_kind kind) {
    static const char *const words[] = {
        [CHANGE_CREATE] = "created",
        [CHANGE_REPLACE] = "replaced",
        [CHANGE_REMOVE] = "removed",
        [CHANGE_METADATA] = "metadata",
    };
    return words[kind];
}

static const char *status_word(enum apply_status status) {
    static const char *const words[] = {
        [APPLY_DONE] = "would be done",
        [APPLY_ROLLED_BACK] = "would fail",
        [APPLY_ERROR] = "would be refused",
        [APPLY_NOTHING] = "nothing to do",
    };
    return words[status];
}

static int64_t growth(const struct changes *changes) {
    return (int64_t)(changes->bytes_after - changes->bytes_before);
}

static void print_plan(const struct method_plan *plan) {
    for (size_t i = 0; i < plan->package_count; i++) {
        cleanup_free char *clean = printable(plan->packages[i]);
        printf("  %-10s%s\n", i == 0 ? "packages" : "", clean);
    }
}

static void print_changes(const struct changes *changes) {
    char size[SIZE_TEXT_BYTES];
    int64_t bytes = growth(changes);
    size_format((uint64_t)(bytes < 0 ? -bytes : bytes), size);
    printf("  disk      %s %s\n  changes   %zu\n", bytes < 0 ? "less by" : "more by", size, changes->count);
    size_t shown = 0, metadata = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        metadata += change->kind == CHANGE_METADATA;
        if (change->kind == CHANGE_METADATA || shown++ >= CHANGES_SHOWN)
            continue;
        cleanup_free char *clean = printable(change->path);
        printf("            %-9s %s\n", change_word(change->kind), clean);
    }
    if (shown > CHANGES_SHOWN)
        printf("            and %zu more: --json has them all\n", shown - CHANGES_SHOWN);
    if (metadata > 0)
        printf("            %zu of the same content, with another time, mode or owner\n", metadata);
}

static void print_restarts(const char *restarts) {
    if (restarts == NULL || *restarts == '\0')
        puts("  restart   nothing: no process runs what would be replaced");
    for (bool first = true; restarts != NULL && *restarts != '\0'; first = false) {
        size_t length = strcspn(restarts, "\n");
        printf("  %-10s%.*s\n", first ? "restart" : "", (int)length, restarts);
        restarts += length + 1;
    }
}

static json_t *restarts_json(const char *restarts) {
    json_t *list = json_array();
    while (restarts != NULL && *restarts != '\0') {
        size_t length = strcspn(restarts, "\n");
        cleanup_free char *line = xstrndup(restarts, length);
        json_array_append_new(list, json_text(line));
        restarts += length + 1;
    }
    return list;
}

void rehearsal_print(const struct rehearsal *rehearsal, enum apply_status status, const struct mistake *mistake) {
    char fetched[SIZE_TEXT_BYTES], memory[SIZE_TEXT_BYTES];
    size_format(rehearsal->cost.downloaded, fetched);
    size_format(rehearsal->cost.memory, memory);
    cleanup_free char *clean = printable(mistake->text);
    if (rehearsal->refusal != NULL)
        printf("  result    %s: %s\n", status_word(APPLY_ERROR), rehearsal->refusal);
    printf("  %-10s%s%s%s%s%s\n", rehearsal->refusal != NULL ? "otherwise" : "result", status_word(status),
           status != APPLY_DONE ? ", at " : "", status != APPLY_DONE ? rehearsal->step : "",
           *clean != '\0' && status != APPLY_DONE ? ": " : "", status != APPLY_DONE ? clean : "");
    print_plan(&rehearsal->plan);
    if (rehearsal->cost.downloaded > 0 || rehearsal->cost.memory > 0)
        printf("  fetched   %s\n  memory    %s at most, of one process\n", fetched, memory);
    if (status != APPLY_DONE)
        return;
    print_changes(&rehearsal->changes);
    print_restarts(rehearsal->restarts);
}

static json_t *changes_json(const struct changes *changes) {
    json_t *list = json_array();
    for (size_t i = 0; i < changes->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:o}", "change", change_word(changes->items[i].kind), "path",
                                              json_text(changes->items[i].path)));
    return list;
}

json_t *rehearsal_json(const struct rehearsal *rehearsal, enum apply_status status, const struct mistake *mistake) {
    bool refused = rehearsal->refusal != NULL;
    json_t *packages = json_array();
    for (size_t i = 0; i < rehearsal->plan.package_count; i++)
        json_array_append_new(packages, json_text(rehearsal->plan.packages[i]));
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:o}", "result",
                     status_word(refused ? APPLY_ERROR : status), "refusal", json_text(rehearsal->refusal), "otherwise",
                     json_text(refused ? status_word(status) : NULL), "step", rehearsal->step, "problem",
                     json_text(status != APPLY_DONE ? mistake->text : NULL), "from", json_text(rehearsal->plan.from),
                     "to", json_text(rehearsal->plan.to), "packages", packages, "downloaded",
                     (json_int_t)rehearsal->cost.downloaded, "memory", (json_int_t)rehearsal->cost.memory,
                     "disk_growth", (json_int_t)growth(&rehearsal->changes), "changes",
                     changes_json(&rehearsal->changes), "restart", restarts_json(rehearsal->restarts));
}
