/* What all methods begin with and are made of. Only the stage is written, and only through its descriptors; commands
 * get words that were checked, never a shell line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

static const struct method *const methods[METHOD_COUNT] = {
    [METHOD_APT] = &method_apt,     [METHOD_APK] = &method_apk,       [METHOD_FILES] = &method_files,
    [METHOD_BUILD] = &method_build, [METHOD_SCRIPT] = &method_script,
};

const struct method *method_of(enum recipe_method method) {
    return methods[method];
}

void method_plan_free(struct method_plan *plan) {
    for (size_t i = 0; i < plan->package_count; i++)
        free(plan->packages[i]);
    free(plan->packages);
    free(plan->from);
    free(plan->to);
    *plan = (struct method_plan){0};
}

void method_plan_line(struct method_plan *plan, char *line) {
    *array_append(plan->packages, plan->package_count) = line;
}

/* ---- commands ---- */

void words_add(struct words *words, const char *word) {
    *array_append(words->items, words->count) = word;
    *array_append(words->items, words->count) = NULL;
    words->count--;
}

void words_add_all(struct words *words, const char *const *more) {
    for (; *more != NULL; more++)
        words_add(words, *more);
}

bool method_run(const struct stage *stage, const char *const *arguments, enum stage_network network,
                struct method_cost *cost, char **output, struct mistake *mistake) {
    static const char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        "LC_ALL=C.UTF-8",
        "DEBIAN_FRONTEND=noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN=true",
        "APT_LISTCHANGES_FRONTEND=none",
        "NEEDRESTART_SUSPEND=1",
        "UCF_FORCE_CONFFOLD=1",
        "MAKEFLAGS=-j2",
        NULL,
    };
    struct command command = {
        .arguments = arguments,
        .environment = environment,
        .timeout_seconds = method_seconds(stage),
        .incident = stage->incident,
    };
    struct command_result result = {0};
    bool good = stage_run(stage, &command, network, &result, mistake);
    if (result.memory > cost->memory)
        cost->memory = result.memory;
    if (output != NULL)
        *output = steal_pointer(&result.output);
    command_result_free(&result);
    return good;
}

void method_quote(char *output, struct mistake *mistake) {
    for (char *c = output; (c = strpbrk(c, "\n\t")) != NULL;)
        *c = ' ';
    text_mistake(mistake, 0, "%.400s", output);
}

/* ---- the stage ---- */

static bool make_directory(const struct stage *stage, const char *parent, const char *name, mode_t mode,
                           struct mistake *mistake) {
    cleanup_fd int fd = stage_openat(stage, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0 || (mkdirat(fd, name, 0700) != 0 && errno != EEXIST) || fchmodat(fd, name, mode, 0) != 0)
        return text_mistake(mistake, 0, "cannot make %s/%s in the stage: %s", parent, name, strerror(errno));
    return true;
}

bool method_directory(const struct stage *stage, const char *name, mode_t mode, struct mistake *mistake) {
    return make_directory(stage, STAGE_WORK, name, mode, mistake);
}

bool method_view(const struct stage *stage, struct target *view, struct mistake *mistake) {
    return target_of_directory(view, stage->merged, mistake);
}

bool method_is(int fd, const struct recipe_file *file) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    char buffer[16384];
    uint64_t left = file->size;
    sha256_begin(&hash);
    for (ssize_t got; left > 0 && (got = read(fd, buffer, sizeof(buffer))) > 0 && (uint64_t)got <= left;) {
        sha256_add(&hash, buffer, (size_t)got);
        left -= (uint64_t)got;
    }
    sha256_end(&hash, digest);
    return left == 0 && memcmp(digest, file->sha256, sizeof(digest)) == 0 && lseek(fd, 0, SEEK_SET) == 0;
}

int method_open_verified(const struct stage *stage, const char *path, const struct recipe_file *file,
                         struct mistake *mistake) {
    cleanup_fd int fd = stage_openat(stage, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0)
        text_mistake(mistake, 0, "%s: %s", file->source,
                     fd < 0 && errno == ENOENT ? "it could not be downloaded" : strerror(errno));
    else if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != file->size)
        text_mistake(mistake, 0, "%s: %lld bytes came, the recipe says %llu", file->source, (long long)status.st_size,
                     (unsigned long long)file->size);
    else if (!method_is(fd, file))
        text_mistake(mistake, 0, "%s: the digest of what came is not the one in the recipe", file->source);
    else
        return steal_fd(&fd);
    return -1;
}

bool method_has_program(const struct target *target, const char *path) {
    struct stat status;
    cleanup_fd int fd = target_openat(target, path, O_PATH | O_CLOEXEC, 0);
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0111) != 0;
}

/* ---- plans ---- */

static enum method_readiness unmet(struct mistake *mistake, const char *text) {
    text_mistake(mistake, 0, "%s", text);
    return METHOD_UNMET;
}

/* Whether somebody holds a lock that apt or dpkg take while they work. */
static bool is_locked(const struct target *target, const char *path) {
    cleanup_fd int fd = target_openat(target, path, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

struct interruption {
    char *package;
};

static bool find_interruption(const struct package *package, void *context) {
    struct interruption *found = context;
    if (!package->interrupted)
        return true;
    found->package = xstrdup(package->name);
    return false;
}

/* dpkg notes what it does in numbered files before it writes its database anew. */
static bool has_updates(const struct target *target) {
    cleanup_fd int fd = target_openat(target, "/var/lib/dpkg/updates/0000", O_PATH | O_CLOEXEC, 0);
    return fd >= 0;
}

enum method_readiness method_manager_ready(const struct target *target, struct mistake *mistake) {
    bool apk = package_manager_of(target) == PACKAGES_APK;
    static const char *const locks[] = {"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"};
    for (size_t i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
        if (is_locked(target, locks[i]))
            return unmet(mistake, "another package manager is at work in the target: try again when it has ended");
    }
    struct interruption found = {0};
    package_each(target, find_interruption, &found);
    cleanup_free char *package = found.package;
    if (package == NULL && !has_updates(target))
        return METHOD_READY;
    text_mistake(mistake, 0, "the target's package manager was stopped in the middle of %s: finish it with \"%s\"",
                 package != NULL ? package : "its work", apk ? "apk fix" : "dpkg --configure -a");
    return METHOD_UNMET;
}

struct hold_search {
    const char *name;
    bool held;
};

static bool find_hold(const struct package *package, void *context) {
    struct hold_search *search = context;
    search->held = strcmp(package->name, search->name) == 0 && package->held;
    return !search->held;
}

bool method_held(const struct target *target, const char *package, struct mistake *mistake) {
    struct hold_search search = {.name = package};
    package_each(target, find_hold, &search);
    if (search.held)
        text_mistake(mistake, 0, "%s is on hold: allow another version with \"apt-mark unhold %s\"", package, package);
    return search.held;
}

enum method_readiness method_versions(const struct recipe *recipe, const struct target *target,
                                      struct method_plan *plan, struct mistake *mistake) {
    if (recipe->package == NULL)
        return METHOD_READY;
    plan->from = package_installed(target, recipe->package, NULL);
    if (plan->from == NULL)
        return METHOD_NOTHING;
    if (recipe->fixed == NULL)
        return METHOD_READY;
    plan->to = xstrdup(recipe->fixed);
    if (package_compare(package_manager_of(target), plan->from, recipe->fixed) >= 0)
        return METHOD_NOTHING;
    return method_held(target, recipe->package, mistake) ? METHOD_UNMET : METHOD_READY;
}

struct size_search {
    const char *name;
    uint64_t bytes;
};

static bool find_size(const struct package *package, void *context) {
    struct size_search *search = context;
    if (strcmp(package->name, search->name) == 0)
        search->bytes = package->occupies;
    return search->bytes == 0;
}

uint64_t method_room(const struct target *target, const char *package, uint64_t archive) {
    struct size_search search = {.name = package};
    package_each(target, find_size, &search);
    uint64_t grown = search.bytes + search.bytes / 4;
    return grown > archive * 6 ? grown : archive * 6;
}

/* ---- lists of files ---- */

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), end_length = strlen(end);
    return length > end_length && strcmp(name + length - end_length, end) == 0;
}

bool method_list(int directory, const char *path, const char *ending, struct names *names) {
    DIR *entries = directory >= 0 ? fdopendir(directory) : NULL;
    if (entries == NULL) {
        cleanup_fd_function(&directory);
        return false;
    }
    for (struct dirent *entry; names->count < NAMES_MOST && (entry = readdir(entries)) != NULL;) {
        if (ends_with(entry->d_name, ending))
            *array_append(names->items, names->count) = xasprintf("%s/%s", path, entry->d_name);
    }
    closedir(entries);
    if (names->count > 1)
        qsort(names->items, names->count, sizeof(names->items[0]), by_name);
    return true;
}

void names_free(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    *names = (struct names){0};
}
