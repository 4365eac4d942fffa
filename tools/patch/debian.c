/* Installing Debian packages in the stage by dpkg, and asking apt what belongs to them where a recipe pins nothing. apt
 * and dpkg are the target's own; what they did is read back from the stage's database.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

#define RESOLVED STAGE_WORK "/resolved"

void archives_free(struct archives *archives) {
    for (size_t i = 0; i < archives->count; i++) {
        free(archives->items[i].path);
        free(archives->items[i].name);
        free(archives->items[i].version);
        free(archives->items[i].architecture);
    }
    free(archives->items);
    *archives = (struct archives){0};
}

/* ---- installing ---- */

static const char *const dpkg_options[] = {
    "dpkg",
    "--force-confdef",
    "--force-confold",
    "--refuse-downgrade",
    "--auto-deconfigure",
    "--force-unsafe-io", /* a stage that is cut off is thrown away */
    NULL,
};

static bool is_unpacked(const struct target *view, const struct archive *archive) {
    cleanup_free char *version = package_installed(view, archive->name, archive->architecture);
    return version != NULL && package_compare(PACKAGES_DPKG, version, archive->version) == 0;
}

/* What is not unpacked yet: how many, and the first (NULL: none). */
static size_t missing_of(const struct target *view, const struct archives *archives, const struct archive **first) {
    size_t count = 0;
    *first = NULL;
    for (size_t i = archives->count; i-- > 0;) {
        if (is_unpacked(view, &archives->items[i]))
            continue;
        *first = &archives->items[i];
        count++;
    }
    return count;
}

/* What dpkg says went wrong: from the line before its first complaint on, which is that of the script that failed, to
 * the list at its end. */
static void quote_complaint(char *output, struct mistake *mistake) {
    char *complaint = strstr(output, "dpkg: "), *end = strstr(output, "Errors were encountered");
    if (complaint == NULL || end == NULL || end < complaint)
        return;
    if (complaint > output)
        complaint--;
    while (complaint > output && complaint[-1] != '\n')
        complaint--;
    *end = '\0';
    method_quote(complaint, mistake);
}

static bool run_dpkg(const struct stage *stage, const struct words *more, struct method_cost *cost,
                     struct mistake *mistake) {
    struct words words = {0};
    cleanup_free char *output = NULL;
    words_add_all(&words, dpkg_options);
    words_add_all(&words, more->items);
    bool good = method_run(stage, words.items, STAGE_OFFLINE, cost, &output, mistake);
    if (!good && output != NULL)
        quote_complaint(output, mistake);
    free(words.items);
    return good;
}

static bool configure(const struct stage *stage, struct method_cost *cost, struct mistake *mistake) {
    static const char *arguments[] = {"--configure", "--pending", NULL};
    return run_dpkg(stage, &(struct words){arguments, 2}, cost, mistake);
}

/* What was triggered is done in a run of its own: ldconfig, which reads all libraries, takes more memory than all before.
 * What cannot be configured without it, or without a package that had to be deconfigured, is tried again there. */
static bool configure_all(const struct stage *stage, const struct archives *archives, struct method_cost *cost,
                          struct mistake *mistake) {
    struct words words = {0};
    struct names names = {0};
    struct mistake ignored;
    words_add(&words, "--no-triggers");
    words_add(&words, "--configure");
    for (size_t i = 0; i < archives->count; i++) {
        const struct archive *archive = &archives->items[i];
        bool any = archive->architecture == NULL || strcmp(archive->architecture, "all") == 0;
        char *name = any ? xstrdup(archive->name) : xasprintf("%s:%s", archive->name, archive->architecture);
        words_add(&words, *array_append(names.items, names.count) = name);
    }
    run_dpkg(stage, &words, cost, &ignored);
    names_free(&names);
    free(words.items);
    return configure(stage, cost, mistake);
}

static bool unpack_missing(const struct stage *stage, const struct target *view, const struct archives *archives,
                           struct method_cost *cost, struct mistake *mistake) {
    struct words words = {0};
    words_add(&words, "--no-triggers"); /* as apt does: they wait for the end */
    words_add(&words, "--unpack");
    for (size_t i = 0; i < archives->count; i++) {
        if (!is_unpacked(view, &archives->items[i]))
            words_add(&words, archives->items[i].path);
    }
    bool good = run_dpkg(stage, &words, cost, mistake);
    free(words.items);
    return good;
}

/* A package may have to be configured before another that pre-depends on it can be unpacked: what dpkg refused is tried
 * again, as long as there is progress. What cannot be configured yet is, or fails, at the end. */
static bool unpack(const struct stage *stage, const struct target *view, const struct archives *archives,
                   struct method_cost *cost, struct mistake *mistake) {
    const struct archive *first;
    for (size_t missing = missing_of(view, archives, &first), before = SIZE_MAX; missing > 0;) {
        struct mistake ignored;
        if (before != SIZE_MAX)
            configure(stage, cost, &ignored);
        bool good = unpack_missing(stage, view, archives, cost, mistake);
        before = missing;
        missing = missing_of(view, archives, &first);
        if (missing == before)
            return good ? text_mistake(mistake, 0,
                                       "the archive of %s holds another version than the recipe says, or an older one "
                                       "than is installed",
                                       first->name)
                        : false;
    }
    return true;
}

static bool check_installed(const struct target *view, const struct archives *archives, struct mistake *mistake) {
    for (size_t i = 0; i < archives->count; i++) {
        if (!is_unpacked(view, &archives->items[i]))
            return text_mistake(mistake, 0, "dpkg left %s at another version than %s", archives->items[i].name,
                                archives->items[i].version);
    }
    return method_manager_ready(view, mistake) == METHOD_READY;
}

struct presence {
    struct names *names; /* sorted */
    char *missing;
};

static bool add_name(const struct package *package, void *context) {
    struct names *names = context;
    *array_append(names->items, names->count) = xstrdup(package->name);
    return true;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool find_name(const struct package *package, void *context) {
    struct presence *presence = context;
    const struct names *names = presence->names;
    if (bsearch(&package->name, names->items, names->count, sizeof(names->items[0]), by_text) == NULL)
        presence->missing = xstrdup(package->name);
    return presence->missing == NULL;
}

/* dpkg removes a package by itself where another replaces and conflicts with it. */
static bool check_removed(const struct target *target, const struct target *view, struct mistake *mistake) {
    struct names names = {0};
    struct presence presence = {.names = &names};
    package_each(view, add_name, &names);
    if (names.count > 0)
        qsort(names.items, names.count, sizeof(names.items[0]), by_text);
    package_each(target, find_name, &presence);
    if (presence.missing != NULL)
        text_mistake(mistake, 0, "%s would be removed: do this by hand", presence.missing);
    bool good = presence.missing == NULL;
    free(presence.missing);
    names_free(&names);
    return good;
}

bool debian_install(const struct stage *stage, const struct archives *archives, struct method_cost *cost,
                    struct mistake *mistake) {
    struct target view;
    if (!method_view(stage, &view, mistake))
        return false;
    bool good = unpack(stage, &view, archives, cost, mistake) && configure_all(stage, archives, cost, mistake) &&
                check_installed(&view, archives, mistake) && check_removed(stage->target, &view, mistake);
    target_close(&view);
    return good;
}

/* ---- asking apt ---- */

static const char lists_option[] = "-oDir::State::lists=" RESOLVED "/lists";
static const char archives_option[] = "-oDir::Cache::archives=" RESOLVED "/archives";

static const char *const apt_options[] = {
    "apt-get",
    "--quiet=2",
    "--yes",
    "--no-install-recommends",
    "--no-remove",
    lists_option,
    archives_option,
    "-oDir::Cache::pkgcache=",
    "-oDir::Cache::srcpkgcache=",
    "-oAcquire::Languages=none",
    "-oAcquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
    "-oAcquire::IndexTargets::deb-src::Sources::DefaultEnabled=false",
    "-oAPT::Get::Upgrade-By-Source-Package=false", /* by default, all of the same source are upgraded */
    "-oDPkg::Use-Pty=0",
    NULL,
};

static bool run_apt(const struct stage *stage, const char *const *more, const char *const *packages,
                    struct method_cost *cost, char **output, struct mistake *mistake) {
    struct words words = {0};
    words_add_all(&words, apt_options);
    words_add_all(&words, more);
    if (packages != NULL) {
        words_add(&words, "--");
        words_add_all(&words, packages);
    }
    bool good = method_run(stage, words.items, STAGE_ONLINE, cost, output, mistake);
    free(words.items);
    return good;
}

bool debian_update(const struct stage *stage, struct method_cost *cost, struct mistake *mistake) {
    static const char *const update[] = {"update", NULL};
    static const char *const directories[] = {"resolved", "resolved/lists", "resolved/lists/partial",
                                              "resolved/archives", "resolved/archives/partial"};
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        if (!method_directory(stage, directories[i], 0755, mistake))
            return false;
    }
    return run_apt(stage, update, NULL, cost, NULL, mistake);
}

/* "%3a" stands for ":" in the names of archives. */
static char *decode(const char *text, size_t length) {
    char *decoded = xmalloc(length + 1), *out = decoded;
    for (size_t i = 0; i < length; i++) {
        bool colon = length - i >= 3 && strncasecmp(text + i, "%3a", 3) == 0;
        *out++ = colon ? ':' : text[i];
        i += colon ? 2 : 0;
    }
    *out = '\0';
    return decoded;
}

/* name_version_architecture.deb */
static void add_archive(struct archives *archives, const char *path) {
    const char *file = strrchr(path, '/') + 1, *end = file + strlen(file) - strlen(".deb");
    const char *version = strchr(file, '_'), *architecture = strrchr(file, '_');
    if (version == architecture)
        return;
    *array_append(archives->items, archives->count) = (struct archive){
        .path = xstrdup(path),
        .name = xstrndup(file, (size_t)(version - file)),
        .version = decode(version + 1, (size_t)(architecture - version - 1)),
        .architecture = xstrndup(architecture + 1, (size_t)(end - architecture - 1)),
    };
}

bool debian_downloaded(const struct stage *stage, struct archives *archives, struct mistake *mistake) {
    struct names files = {0};
    int directory = stage_openat(stage, RESOLVED "/archives", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (!method_list(directory, RESOLVED "/archives", ".deb", &files))
        return text_mistake(mistake, 0, "nothing was downloaded");
    for (size_t i = 0; i < files.count; i++)
        add_archive(archives, files.items[i]);
    names_free(&files);
    return true;
}

static void add_sizes(const struct stage *stage, const struct archives *archives, struct method_cost *cost) {
    for (size_t i = 0; i < archives->count; i++) {
        struct stat status;
        cleanup_fd int fd = stage_openat(stage, archives->items[i].path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
        if (fd >= 0 && fstat(fd, &status) == 0)
            cost->downloaded += (uint64_t)status.st_size;
    }
}

/* "%7e" -> "~" */
static void decode_uri(char *text) {
    char *out = text;
    for (unsigned code; *text != '\0'; text++) {
        bool encoded = *text == '%' && isxdigit((unsigned char)text[1]) && sscanf(text + 1, "%2x", &code) == 1;
        *out++ = encoded ? (char)code : *text;
        text += encoded && text[2] != '\0' ? 2 : 0;
    }
    *out = '\0';
}

/* 'file:/path' name size digest: apt leaves such an archive where it is. */
static bool bring_local(const struct stage *stage, char *line, struct mistake *mistake) {
    char *uri = strsep(&line, " "), *name = strsep(&line, " "), *end = strrchr(uri, '\'');
    if (strncmp(uri, "'file:", 6) != 0 || name == NULL || strchr(name, '/') != NULL || end < uri + 6)
        return true;
    *end = '\0';
    decode_uri(uri);
    cleanup_free char *copy = xasprintf(RESOLVED "/archives/%s", name);
    cleanup_fd int fd = stage_openat(stage, uri + 6, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0)
        return text_mistake(mistake, 0, "%s in the target: %s", uri + 6, strerror(errno));
    return method_put(stage, fd, copy, 0644, mistake);
}

static bool bring_all_local(const struct stage *stage, char *uris, struct mistake *mistake) {
    for (char *line; (line = strsep(&uris, "\n")) != NULL;) {
        if (!bring_local(stage, line, mistake))
            return false;
    }
    return true;
}

bool debian_download(const struct stage *stage, const char *const *packages, bool upgrade_only,
                     struct archives *archives, struct method_cost *cost, struct mistake *mistake) {
    const char *print[] = {"--print-uris", upgrade_only ? "--only-upgrade" : "--no-upgrade", "install", NULL};
    const char *download[] = {"--download-only", print[1], "install", NULL};
    cleanup_free char *uris = NULL;
    if (!run_apt(stage, print, packages, cost, &uris, mistake) ||
        !run_apt(stage, download, packages, cost, NULL, mistake) || !bring_all_local(stage, uris, mistake) ||
        !debian_downloaded(stage, archives, mistake))
        return false;
    add_sizes(stage, archives, cost);
    return true;
}
