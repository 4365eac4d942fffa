/* The fix is in Debian packages. Usually the recipe pins every archive by size and digest: then nothing is asked of an
 * index, the archives are brought by apt's own downloader, which knows the target's proxies, credentials and
 * certificates, and dpkg installs exactly these. A recipe without archives leaves the choice to apt.
 */
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

/* ---- plan ---- */

static bool plan_file(const struct target *target, const struct recipe_file *file, struct method_plan *plan,
                      struct mistake *mistake) {
    cleanup_free char *installed = NULL;
    enum debian_need need = debian_need_of(target, file, &installed);
    if (need == NEED_NOTHING)
        return true;
    if (need == NEED_UPGRADE && method_held(target, file->package, mistake))
        return false;
    method_plan_line(plan, need == NEED_NEW
                               ? xasprintf("%s %s (new, if another of these needs it)", file->package, file->version)
                               : xasprintf("%s %s -> %s", file->package, installed, file->version));
    plan->download += file->size;
    plan->installed += method_room(target, file->package, file->size);
    return true;
}

static enum method_readiness tools_ready(const struct recipe *recipe, const struct target *target,
                                         struct mistake *mistake) {
    const char *missing = !method_has_program(target, "/usr/bin/dpkg")                                 ? "dpkg"
                          : recipe->file_count > 0 && !method_has_program(target, APT_HELPER)          ? APT_HELPER
                          : recipe->file_count == 0 && !method_has_program(target, "/usr/bin/apt-get") ? "apt-get"
                                                                                                       : NULL;
    if (missing == NULL)
        return method_manager_ready(target, mistake);
    text_mistake(mistake, 0,
                 "the target has no %s: install the package %s there, or write a recipe with method "
                 "\"files\"",
                 missing, strcmp(missing, "dpkg") == 0 ? "dpkg" : "apt");
    return METHOD_UNMET;
}

static enum method_readiness plan_apt(const struct recipe *recipe, const struct target *target,
                                      struct method_plan *plan, struct mistake *mistake) {
    if (package_manager_of(target) != PACKAGES_DPKG) {
        text_mistake(mistake, 0, "the target has no dpkg database: this recipe is for Debian and its kin");
        return METHOD_UNMET;
    }
    enum method_readiness readiness = method_versions(recipe, target, plan, mistake);
    if (readiness == METHOD_READY)
        readiness = tools_ready(recipe, target, mistake);
    if (readiness != METHOD_READY)
        return readiness;
    for (size_t i = 0; i < recipe->file_count; i++) {
        if (!plan_file(target, &recipe->files[i], plan, mistake))
            return METHOD_UNMET;
    }
    if (recipe->file_count == 0) {
        method_plan_line(plan, xasprintf("%s %s -> %s, and what apt finds that it needs", recipe->package, plan->from,
                                         recipe->fixed));
        plan->installed = method_room(target, recipe->package, 0);
    }
    return METHOD_READY;
}

/* ---- fetch ---- */

static bool brings_fix(const struct recipe *recipe, const struct archives *archives, struct mistake *mistake) {
    for (size_t i = 0; i < archives->count; i++) {
        if (strcmp(archives->items[i].name, recipe->package) == 0 &&
            package_compare(PACKAGES_DPKG, archives->items[i].version, recipe->fixed) >= 0)
            return true;
    }
    return text_mistake(mistake, 0, "the target's package sources have no %s %s or newer", recipe->package,
                        recipe->fixed);
}

/* A fixed version that a newer one has taken the place of is no longer to be had: then that one. */
static bool fetch_resolved(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                           struct mistake *mistake) {
    cleanup_free char *exact = xasprintf("%s=%s", recipe->package, recipe->fixed);
    const char *const packages[] = {exact, NULL}, *const newest[] = {recipe->package, NULL};
    struct archives archives = {0};
    bool good = debian_update(stage, cost, mistake) &&
                (debian_download(stage, packages, true, &archives, cost, mistake) ||
                 debian_download(stage, newest, true, &archives, cost, mistake)) &&
                brings_fix(recipe, &archives, mistake);
    archives_free(&archives);
    return good;
}

static bool fetch_apt(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                      struct mistake *mistake) {
    return recipe->file_count > 0 ? debian_fetch_pinned(recipe, stage, cost, mistake)
                                  : fetch_resolved(recipe, stage, cost, mistake);
}

/* ---- install ---- */

static bool install_apt(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                        struct mistake *mistake) {
    static const char *const remove[] = {"rm", "-rf", STAGE_WORK "/archives", STAGE_WORK "/resolved", NULL};
    struct archives archives = {0};
    bool good = recipe->file_count > 0 ? debian_pinned(recipe, stage, &archives, mistake)
                                       : debian_downloaded(stage, &archives, mistake);
    good = good && debian_install(stage, &archives, cost, mistake) &&
           method_run(stage, remove, STAGE_OFFLINE, cost, NULL, mistake);
    archives_free(&archives);
    return good;
}

const struct method method_apt = {plan_apt, fetch_apt, install_apt};
