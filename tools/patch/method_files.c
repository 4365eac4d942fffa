/* The fix is a set of files in the place of others, each with its digest. For targets without a package manager, and
 * for programs that no package owns.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

/* Whether the target has this very file already. */
static bool is_in_place(const struct target *target, const struct recipe_file *file) {
    cleanup_fd int fd = target_openat(target, file->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || (uint64_t)status.st_size != file->size)
        return false;
    return method_is(fd, file);
}

static enum method_readiness plan_file(const struct target *target, const struct recipe_file *file,
                                       struct method_plan *plan, struct mistake *mistake) {
    struct stat status;
    if (is_in_place(target, file))
        return METHOD_NOTHING;
    cleanup_fd int fd = target_openat(target, file->path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode)) {
        text_mistake(mistake, 0, "%s is no regular file in the target: the recipe has to name the file itself",
                     file->path);
        return METHOD_UNMET;
    }
    method_plan_line(plan, xasprintf("%s (%s, %llu bytes)", file->path, fd >= 0 ? "replaced" : "new",
                                     (unsigned long long)file->size));
    plan->download += file->size;
    plan->installed += file->size + 4096;
    return METHOD_READY;
}

static enum method_readiness plan_files(const struct recipe *recipe, const struct target *target,
                                        struct method_plan *plan, struct mistake *mistake) {
    enum method_readiness readiness = method_versions(recipe, target, plan, mistake);
    if (readiness != METHOD_READY)
        return readiness;
    for (size_t i = 0; i < recipe->file_count; i++) {
        if (plan_file(target, &recipe->files[i], plan, mistake) == METHOD_UNMET)
            return METHOD_UNMET;
    }
    return plan->package_count > 0 ? METHOD_READY : METHOD_NOTHING;
}

static bool fetch_files(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                        struct mistake *mistake) {
    for (size_t i = 0; i < recipe->file_count; i++) {
        cleanup_free char *name = xasprintf("file-%zu", i);
        if (!method_download(stage, &recipe->files[i], recipe->files[i].source, name, cost, mistake))
            return false;
    }
    return true;
}

static bool install_files(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                          struct mistake *mistake) {
    (void)cost;
    for (size_t i = 0; i < recipe->file_count; i++) {
        const struct recipe_file *file = &recipe->files[i];
        cleanup_free char *path = xasprintf(STAGE_WORK "/file-%zu", i);
        cleanup_fd int fd = method_open_verified(stage, path, file, mistake);
        if (fd < 0 || !method_put(stage, fd, file->path, file->mode, mistake))
            return false;
    }
    return true;
}

const struct method method_files = {plan_files, fetch_files, install_files};
