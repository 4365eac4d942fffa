/* What would be done, and whether it can be: nothing of the target is changed here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/apply_work.h"

/* ---- whether it can be done ---- */

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

enum apply_status work_plan(struct work *work, struct method_plan *plan, struct mistake *mistake) {
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

/* ---- for people ---- */

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
    enum apply_status status = work_plan(&work, plan, mistake);
    free(work.scratch);
    *text = NULL;
    if (status != APPLY_DONE)
        return status;
    FILE *out = xopen_memstream(text, &length);
    print_plan(out, &work, plan);
    fclose(out);
    return status;
}
