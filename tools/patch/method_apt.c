/* The fix is in Debian packages. Usually the recipe pins every archive by size and digest: then nothing is asked of an
 * index, the archives are brought by apt's own downloader, which knows the target's proxies, credentials and
 * certificates, and dpkg installs exactly these. A recipe without archives leaves the choice to apt.
 */
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

#define APT_HELPER "/usr/lib/apt/apt-helper"
#define ARCHIVES STAGE_WORK "/archives"

/* ---- which of the recipe's archives are needed ---- */

enum need {
    NEED_NEW,
    NEED_UPGRADE,
    NEED_NOTHING, /* it is there already, or a newer one is */
};

static enum need need_of(const struct target *target, const struct recipe_file *file, char **installed) {
    *installed = package_installed(target, file->package, file->architecture);
    if (*installed == NULL)
        return NEED_NEW;
    return package_compare(PACKAGES_DPKG, *installed, file->version) < 0 ? NEED_UPGRADE : NEED_NOTHING;
}

static bool is_needed(const struct target *target, const struct recipe_file *file) {
    cleanup_free char *installed = NULL;
    return need_of(target, file, &installed) != NEED_NOTHING;
}

/* The archive of the n-th file of the recipe, where it is downloaded to. */
static char *archive_path(size_t number) {
    return xasprintf(ARCHIVES "/%zu.deb", number);
}

/* ---- plan ---- */

static void plan_file(const struct target *target, const struct recipe_file *file, struct method_plan *plan) {
    cleanup_free char *installed = NULL;
    switch (need_of(target, file, &installed)) {
    case NEED_NOTHING: return;
    case NEED_NEW: method_plan_line(plan, xasprintf("%s %s (new)", file->package, file->version)); break;
    case NEED_UPGRADE: method_plan_line(plan, xasprintf("%s %s -> %s", file->package, installed, file->version)); break;
    }
    plan->download += file->size;
    plan->installed += method_room(target, file->package, file->size);
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
    for (size_t i = 0; i < recipe->file_count; i++)
        plan_file(target, &recipe->files[i], plan);
    if (recipe->file_count == 0) {
        method_plan_line(plan, xasprintf("%s %s -> %s, and what apt finds that it needs", recipe->package, plan->from,
                                         recipe->fixed));
        plan->installed = method_room(target, recipe->package, 0);
    }
    return METHOD_READY;
}

/* ---- fetch ---- */

/* The words for one archive; they live until the run is over. */
struct request {
    char *uri, *path, *digest;
};

static struct request request_of(const struct recipe_file *file, const char *address, size_t number) {
    struct request request = {.path = archive_path(number)};
    cleanup_free char *encoded = xmalloc(strlen(file->source) * 3 + 1);
    char *out = encoded;
    for (const char *c = file->source; *c != '\0'; c++)
        out += *c == '%' ? sprintf(out, "%%25") : sprintf(out, "%c", *c);
    *out = '\0';
    request.uri = xasprintf("%s%s", address, encoded);
    char hex[65];
    for (size_t i = 0; i < sizeof(file->sha256); i++)
        snprintf(hex + 2 * i, 3, "%02x", file->sha256[i]);
    request.digest = xasprintf("SHA256:%s", hex);
    return request;
}

static bool is_there(const struct stage *stage, const struct recipe_file *file, size_t number,
                     struct mistake *mistake) {
    cleanup_free char *path = archive_path(number);
    cleanup_fd int fd = method_open_verified(stage, path, file, mistake);
    return fd >= 0;
}

/* What a source that has the archive answers counts more than that another has none. */
static void keep_reason(const char *output, struct mistake *why) {
    const char *reason = strstr(output, "E: Failed to fetch ");
    if (reason == NULL || strstr(why->text, "ismatch") != NULL || strstr(why->text, "unexpected size") != NULL)
        return;
    text_mistake(why, 0, "%.*s", (int)strcspn(reason, "\n"), reason);
}

/* Asks one source for all that is still missing. Whether it had them is for the caller to see. */
static void ask_source(const struct recipe *recipe, const struct stage *stage, const char *address,
                       struct method_cost *cost, struct mistake *why) {
    struct words words = {0};
    struct request *requests = xcalloc(recipe->file_count, sizeof(*requests));
    struct mistake ignored;
    words_add(&words, APT_HELPER);
    words_add(&words, "download-file");
    for (size_t i = 0; i < recipe->file_count; i++) {
        if (!is_needed(stage->target, &recipe->files[i]) || is_there(stage, &recipe->files[i], i, &ignored))
            continue;
        requests[i] = request_of(&recipe->files[i], address, i);
        words_add(&words, requests[i].uri);
        words_add(&words, requests[i].path);
        words_add(&words, requests[i].digest);
    }
    cleanup_free char *output = NULL;
    struct mistake failure = {0};
    if (words.count > 2 && !method_run(stage, words.items, STAGE_ONLINE, cost, &output, &failure)) {
        if (*why->text == '\0')
            *why = failure;
        keep_reason(output != NULL ? output : "", why);
    }
    for (size_t i = 0; i < recipe->file_count; i++) {
        free(requests[i].uri);
        free(requests[i].path);
        free(requests[i].digest);
    }
    free(requests);
    free(words.items);
}

static bool all_there(const struct recipe *recipe, const struct stage *stage, uint64_t *bytes,
                      struct mistake *mistake) {
    *bytes = 0;
    for (size_t i = 0; i < recipe->file_count; i++) {
        if (!is_needed(stage->target, &recipe->files[i]))
            continue;
        if (!is_there(stage, &recipe->files[i], i, mistake))
            return false;
        *bytes += recipe->files[i].size;
    }
    return true;
}

static bool fetch_pinned(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                         struct mistake *mistake) {
    struct names addresses = {0};
    debian_addresses(stage->target, &addresses);
    if (addresses.count == 0)
        return text_mistake(mistake, 0,
                            "the target has no package sources that are enabled: see /etc/apt/sources.list");
    /* apt's downloader runs as a user of its own; what it brings is verified when it has ended. */
    bool good = method_directory(stage, "archives", 0777, mistake);
    struct mistake why = {0}, missing = {0};
    uint64_t bytes = 0;
    bool complete = false;
    for (size_t i = 0; good && !complete && i < addresses.count; i++) {
        ask_source(recipe, stage, addresses.items[i], cost, &why);
        complete = all_there(recipe, stage, &bytes, &missing);
    }
    cost->downloaded += bytes;
    if (good && !complete)
        good = text_mistake(mistake, 0, "none of the target's %zu package sources has it: %s%s%s", addresses.count,
                            missing.text, *why.text != '\0' ? "; " : "", why.text);
    names_free(&addresses);
    return good;
}

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
    return recipe->file_count > 0 ? fetch_pinned(recipe, stage, cost, mistake)
                                  : fetch_resolved(recipe, stage, cost, mistake);
}

/* ---- install ---- */

static void pinned_archives(const struct recipe *recipe, const struct stage *stage, struct archives *archives) {
    for (size_t i = 0; i < recipe->file_count; i++) {
        const struct recipe_file *file = &recipe->files[i];
        if (is_needed(stage->target, file))
            *array_append(archives->items, archives->count) = (struct archive){
                archive_path(i), xstrdup(file->package), xstrdup(file->version), xstrdup(file->architecture)};
    }
}

static bool install_apt(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                        struct mistake *mistake) {
    static const char *const remove[] = {"rm", "-rf", ARCHIVES, STAGE_WORK "/resolved", NULL};
    struct archives archives = {0};
    uint64_t bytes;
    bool good = true;
    if (recipe->file_count == 0) {
        good = debian_downloaded(stage, &archives, mistake);
    } else {
        good = all_there(recipe, stage, &bytes, mistake);
        pinned_archives(recipe, stage, &archives);
    }
    good = good && debian_install(stage, &archives, cost, mistake) &&
           method_run(stage, remove, STAGE_OFFLINE, cost, NULL, mistake);
    archives_free(&archives);
    return good;
}

const struct method method_apt = {plan_apt, fetch_apt, install_apt};
