/* The fix is in Alpine packages. apk says what it would do; what it would touch is fetched, its signatures are verified
 * with the target's own keys, and it is installed without a network. The list of what the administrator asked for
 * ("world") stays as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/method_parts.h"

#define ARCHIVES STAGE_WORK "/apk"
#define CACHE STAGE_WORK "/apk-cache"
#define WORLD "/etc/apk/world"

static enum method_readiness plan_apk(const struct recipe *recipe, const struct target *target,
                                      struct method_plan *plan, struct mistake *mistake) {
    if (package_manager_of(target) != PACKAGES_APK) {
        text_mistake(mistake, 0, "the target has no apk database: this recipe is for Alpine Linux and its kin");
        return METHOD_UNMET;
    }
    enum method_readiness readiness = method_versions(recipe, target, plan, mistake);
    if (readiness != METHOD_READY)
        return readiness;
    if (!method_has_program(target, "/sbin/apk")) {
        text_mistake(mistake, 0, "the target has no /sbin/apk: write a recipe with method \"files\"");
        return METHOD_UNMET;
    }
    method_plan_line(
        plan, xasprintf("%s %s -> %s, and what apk finds that it needs", recipe->package, plan->from, recipe->fixed));
    plan->installed = method_room(target, recipe->package, 0);
    return method_manager_ready(target, mistake);
}

static bool run_apk(const struct stage *stage, enum stage_network network, const char *const *more,
                    struct method_cost *cost, char **output, struct mistake *mistake) {
    static const char cache[] = CACHE;
    static const char *const begin[] = {"/sbin/apk", "--no-progress", "--cache-dir", cache, NULL};
    struct words words = {0};
    words_add_all(&words, begin);
    words_add_all(&words, more);
    cleanup_free char *said = NULL;
    bool good = method_run(stage, words.items, network, cost, &said, mistake);
    char *complaint = said != NULL ? strstr(said, "ERROR: ") : NULL;
    if (!good && complaint != NULL)
        method_quote(complaint, mistake);
    if (output != NULL)
        *output = steal_pointer(&said);
    free(words.items);
    return good;
}

/* ---- what apk would do ---- */

void apk_choices_free(struct apk_choices *choices) {
    for (size_t i = 0; i < choices->count; i++) {
        free(choices->items[i].name);
        free(choices->items[i].version);
    }
}

/* "( 1/12) Upgrading name (old -> new)", "( 2/12) Installing name (version)": anything else touches more than it may. */
static bool read_action(char *line, struct apk_choices *choices, struct mistake *mistake) {
    char *rest = line + strcspn(line, ")");
    rest += strcspn(rest, " ");
    rest += strspn(rest, " ");
    const char *verb = strsep(&rest, " "), *name = strsep(&rest, " ");
    if (verb == NULL || name == NULL || rest == NULL || *rest != '(' || choices->count == APK_CHOICES_MOST)
        return text_mistake(mistake, 0, "apk's answer is not understood: %s", line);
    if (strcmp(verb, "Upgrading") != 0 && strcmp(verb, "Installing") != 0)
        return text_mistake(mistake, 0, "apk would do more than upgrade (%s %s): do this by hand", verb, name);
    char *versions = rest + 1;
    versions[strcspn(versions, ")")] = '\0';
    const char *arrow = strstr(versions, "-> "), *version = arrow != NULL ? arrow + 3 : versions;
    if (!form_matches(&form_apk_package, name) || !form_matches(&form_apk_version, version))
        return text_mistake(mistake, 0, "apk names a strange package: %s %s", name, version);
    choices->items[choices->count++] = (struct apk_choice){xstrdup(name), xstrdup(version)};
    return true;
}

bool apk_choices_read(char *output, struct apk_choices *choices, struct mistake *mistake) {
    for (char *line; (line = strsep(&output, "\n")) != NULL;) {
        if (*line == '(' && !read_action(line, choices, mistake))
            return false;
    }
    return choices->count > 0 || text_mistake(mistake, 0, "apk finds nothing to do");
}

static bool choose(const struct recipe *recipe, const struct stage *stage, struct apk_choices *choices,
                   struct method_cost *cost, struct mistake *mistake) {
    cleanup_free char *wanted = xasprintf("%s=%s", recipe->package, recipe->fixed);
    const char *const update[] = {"update", NULL}, *const add[] = {"add", "--simulate", wanted, NULL};
    cleanup_free char *output = NULL;
    return run_apk(stage, STAGE_ONLINE, update, cost, NULL, mistake) &&
           run_apk(stage, STAGE_ONLINE, add, cost, &output, mistake) && apk_choices_read(output, choices, mistake);
}

/* ---- fetching ---- */

static char *archive_path(const struct apk_choice *choice) {
    return xasprintf(ARCHIVES "/%s-%s.apk", choice->name, choice->version);
}

static bool count_archive(const struct stage *stage, const struct apk_choice *choice, struct method_cost *cost,
                          struct mistake *mistake) {
    struct stat status;
    cleanup_free char *path = archive_path(choice);
    cleanup_fd int fd = stage_openat(stage, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return text_mistake(mistake, 0, "apk did not bring %s %s", choice->name, choice->version);
    cost->downloaded += (uint64_t)status.st_size;
    return true;
}

static bool bring(const struct stage *stage, const struct apk_choices *choices, struct method_cost *cost,
                  struct mistake *mistake) {
    static const char *const fetch[] = {"fetch", "--output", ARCHIVES, NULL}, *const verify[] = {"verify", NULL};
    struct words fetching = {0}, verifying = {0};
    struct names paths = {0};
    words_add_all(&fetching, fetch);
    words_add_all(&verifying, verify);
    for (size_t i = 0; i < choices->count; i++) {
        words_add(&fetching, choices->items[i].name);
        *array_append(paths.items, paths.count) = archive_path(&choices->items[i]);
        words_add(&verifying, paths.items[i]);
    }
    bool good = run_apk(stage, STAGE_ONLINE, fetching.items, cost, NULL, mistake);
    for (size_t i = 0; good && i < choices->count; i++)
        good = count_archive(stage, &choices->items[i], cost, mistake);
    good = good && run_apk(stage, STAGE_OFFLINE, verifying.items, cost, NULL, mistake);
    free(fetching.items);
    free(verifying.items);
    names_free(&paths);
    return good;
}

static bool fetch_apk(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                      struct mistake *mistake) {
    struct apk_choices choices = {.count = 0};
    bool good = method_directory(stage, "apk", 0755, mistake) && method_directory(stage, "apk-cache", 0755, mistake) &&
                choose(recipe, stage, &choices, cost, mistake) && bring(stage, &choices, cost, mistake);
    apk_choices_free(&choices);
    return good;
}

/* ---- installing ---- */

static bool add_archives(const struct stage *stage, struct method_cost *cost, struct mistake *mistake) {
    static const char *const begin[] = {"add", "--no-network", "--repositories-file", "/dev/null", NULL};
    struct words words = {0};
    struct names paths = {0};
    words_add_all(&words, begin);
    bool good =
        method_list(stage_openat(stage, ARCHIVES, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0), ARCHIVES, ".apk", &paths) ||
        text_mistake(mistake, 0, "nothing was downloaded");
    for (size_t i = 0; i < paths.count; i++)
        words_add(&words, paths.items[i]);
    good = good && run_apk(stage, STAGE_OFFLINE, words.items, cost, NULL, mistake);
    free(words.items);
    names_free(&paths);
    return good;
}

static bool install_apk(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                        struct mistake *mistake) {
    cleanup_fd int world = target_openat(stage->target, WORLD, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    struct target view;
    if (world < 0)
        return text_mistake(mistake, 0, "the target's " WORLD " cannot be read: %s", strerror(errno));
    if (!add_archives(stage, cost, mistake) || !method_put(stage, world, WORLD, 0, mistake) ||
        !method_view(stage, &view, mistake))
        return false;
    cleanup_free char *version = package_installed(&view, recipe->package, NULL);
    bool good = method_manager_ready(&view, mistake) == METHOD_READY;
    target_close(&view);
    if (good && (version == NULL || package_compare(PACKAGES_APK, version, recipe->fixed) < 0))
        good = text_mistake(mistake, 0, "apk left %s at %s", recipe->package, version != NULL ? version : "nothing");
    return good;
}

const struct method method_apk = {plan_apk, fetch_apk, install_apk};
