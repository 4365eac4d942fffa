/* Files are plug-ins by the looks of their names; whether they are objects is seen when they are opened. */
#include "policygen/plugins.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define MAX_FOLDER_DEPTH 12
#define MAX_FOLDER_FILES 20000

static bool is_plugin_name(const char *name) {
    static const char *const patterns[] = {"*.so", "*.so.[0-9]*", "*.node", "*.oct"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (fnmatch(patterns[i], name, 0) == 0)
            return true;
    }
    return false;
}

static void collect(const struct plugins *plugins, const char *path, unsigned depth, struct folder *folder) {
    struct root_entry *entries;
    size_t count;
    if (!root_list(plugins->root, path, &entries, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *name = xasprintf("%s/%s", path, entries[i].name);
        if (S_ISDIR(entries[i].mode) && depth < MAX_FOLDER_DEPTH)
            collect(plugins, name, depth + 1, folder);
        else if (!S_ISDIR(entries[i].mode) && folder->count < MAX_FOLDER_FILES && is_plugin_name(entries[i].name))
            /* The array holds pointers. */
            *array_append(folder->files, folder->count) = steal_pointer(&name); /* NOLINT(bugprone-sizeof-expression) */
    }
    root_list_free(entries, count);
}

const struct folder *plugins_folder(struct plugins *plugins, const char *path) {
    struct folder *folder = map_get(&plugins->folders, path);
    if (folder != NULL)
        return folder;
    folder = xcalloc(1, sizeof *folder);
    collect(plugins, path, 0, folder);
    map_put(&plugins->folders, path, folder);
    return folder;
}

void plugins_free(struct plugins *plugins) {
    for (size_t i = 0; i < plugins->folders.capacity; i++) {
        struct folder *folder = plugins->folders.items[i].value;
        for (size_t j = 0; folder != NULL && j < folder->count; j++)
            free(folder->files[j]);
        if (folder != NULL)
            free(folder->files);
        free(folder);
    }
    map_free(&plugins->folders);
    map_free(&plugins->usable);
}

/* ---- Folders of an object ---- */

struct search {
    struct plugins *plugins;
    void (*found)(void *context, const struct folder *folder);
    void *context;
};

/* Nobody keeps plug-ins there, but much else is; and a program that names one of them means something else by it. */
static bool is_elsewhere(const char *path) {
    static const char *const others[] = {"/proc",        "/sys",       "/dev",     "/run",      "/tmp",
                                         "/var/tmp",     "/usr/share", "/usr/bin", "/usr/sbin", "/usr/lib/debug",
                                         "/usr/include", "/usr/src",   "/home",    "/root"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t length = strlen(others[i]);
        if (strncmp(path, others[i], length) == 0 && (path[length] == 0 || path[length] == '/'))
            return true;
    }
    return false;
}

static bool may_hold_plugins(const struct plugins *plugins, const char *path) {
    struct stat status;
    const struct root *root = plugins->root;
    if (!root_stat(root, path, &status) || !S_ISDIR(status.st_mode))
        return false;
    cleanup_free char *real = root_real_path(root, path);
    return real != NULL && !is_elsewhere(real) && !closure_is_system_directory(&plugins->paths[0], real) &&
           !closure_is_system_directory(&plugins->paths[1], real);
}

static void search_folder(void *context, const char *path) {
    static bool yes, no;
    const struct search *search = context;
    struct plugins *plugins = search->plugins;
    const bool *usable = map_get(&plugins->usable, path);
    if (usable == NULL) {
        usable = may_hold_plugins(plugins, path) ? &yes : &no;
        map_put(&plugins->usable, path, usable == &yes ? &yes : &no);
    }
    const struct folder *folder = usable == &yes ? plugins_folder(plugins, path) : NULL;
    if (folder != NULL && folder->count > 0)
        search->found(search->context, folder);
}

/* libc's folders are not searched: its converters of character sets call nothing that is checked, and name services
 * are found by their configuration. */
static bool is_libc(const struct library *library) {
    return library->soname != NULL &&
           (strncmp(library->soname, "libc.", 5) == 0 || strncmp(library->soname, "ld-", 3) == 0);
}

void plugins_of(struct plugins *plugins, const struct library *library,
                void (*found)(void *context, const struct folder *folder), void *context) {
    struct search search = {plugins, found, context};
    const struct summary *summary = &library->summary;
    for (uint32_t i = 0; !is_libc(library) && i < summary->folders_count; i++)
        search_folder(&search, summary_text(summary, summary->folders[i]));
#define PLUGINS(object, directories)                              \
    if (library_is_named(library->path, library->soname, object)) \
        root_match(plugins->root, directories, search_folder, &search);
#include "policygen/plugins.def"
}
