/* Finding libraries: RPATH and RUNPATH, then the dynamic linker's own directories. Reads files, starts nothing: the
 * program's own dynamic linker would run the program's code.
 */
#include "tools/closure.h"

#include <glob.h>
#include <limits.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/policy_file.h"

struct search {
    struct closure *closure;
    const char *root;
    char **directories; /* of the system */
    size_t directory_count;
};

static void add_directory(struct search *search, const char *path, size_t length) {
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length)
        *array_append(search->directories, search->directory_count) = xstrndup(path, length);
}

/* A file of directories as ld.so.conf: a directory a line, "#" begins a comment, "include PATTERN". */
static void read_configuration(struct search *search, const char *path, unsigned depth) {
    size_t size;
    cleanup_free char *whole = xasprintf("%s%s", search->root, path);
    cleanup_free char *content = file_read(whole, 1 << 20, &size);
    if (!content || depth > 4)
        return;
    char *rest = content;
    for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
        line[strcspn(line, "#")] = '\0';
        line += strspn(line, " \t");
        size_t length = strcspn(line, " \t\r");
        if (strncmp(line, "include", 7) != 0 || length != 7) {
            add_directory(search, line, length);
            continue;
        }
        line += 7 + strspn(line + 7, " \t");
        line[strcspn(line, " \t\r")] = '\0';
        cleanup_free char *pattern = xasprintf("%s%s%s", search->root, *line == '/' ? "" : "/etc/", line);
        glob_t found = {0};
        if (glob(pattern, 0, NULL, &found) == 0)
            for (size_t i = 0; i < found.gl_pathc; i++)
                read_configuration(search, found.gl_pathv[i] + strlen(search->root), depth + 1);
        globfree(&found);
    }
}

static void add_list(struct search *search, const char *list) {
    while (*list) {
        size_t length = strcspn(list, ":\n");
        add_directory(search, list, length);
        list += length + (list[length] != '\0');
    }
}

static void find_system_directories(struct search *search, const char *interpreter) {
    if (interpreter && strncmp(base_name(interpreter), "ld-musl-", 8) == 0) {
        cleanup_free char *path = xasprintf("%s/etc/ld-musl-x86_64.path", search->root);
        size_t size;
        cleanup_free char *content = file_read(path, 1 << 20, &size);
        add_list(search, content ? content : "/lib:/usr/local/lib:/usr/lib");
        return;
    }
    read_configuration(search, "/etc/ld.so.conf", 0);
    add_list(search, "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:/usr/lib64:/lib:/usr/lib");
}

static bool is_library(const struct search *search, const char *path) {
    cleanup_free char *whole = xasprintf("%s%s", search->root, path);
    struct object object;
    if (!object_open(&object, whole))
        return false;
    bool usable = object.format == OBJECT_ELF && object.header.e_type == ET_DYN;
    object_close(&object);
    return usable;
}

/* `entry` with $ORIGIN replaced by the directory of the object. */
static char *expand_origin(const char *entry, size_t length, const char *origin) {
    cleanup_free char *text = xstrndup(entry, length);
    static const char *const words[] = {"$ORIGIN", "${ORIGIN}"};
    for (size_t i = 0; i < 2; i++) {
        char *at = strstr(text, words[i]);
        if (at)
            return xasprintf("%.*s%s%s", (int)(at - text), text, origin, at + strlen(words[i]));
    }
    return steal_pointer(&text);
}

/* The library in a list of directories as RUNPATH has it, or NULL. */
static char *find_in_list(const struct search *search, const char *list, const char *origin, const char *name) {
    while (list && *list) {
        size_t length = strcspn(list, ":");
        cleanup_free char *directory = expand_origin(list, length, origin);
        cleanup_free char *path = xasprintf("%s/%s", directory, name);
        if (length && is_library(search, path))
            return steal_pointer(&path);
        list += length + (list[length] != '\0');
    }
    return NULL;
}

static char *find_library(const struct search *search, const struct object *needing, const char *name) {
    if (strchr(name, '/'))
        return is_library(search, name) ? xstrdup(name) : NULL;
    const char *within = needing->path + strlen(search->root);
    cleanup_free char *origin = xstrndup(within, (size_t)(base_name(within) - within));
    const char *run_path = object_dynamic_text(needing, DT_RUNPATH, 0);
    char *found = find_in_list(search, run_path ? run_path : object_dynamic_text(needing, DT_RPATH, 0), origin, name);
    for (size_t i = 0; !found && i < search->directory_count; i++) {
        cleanup_free char *path = xasprintf("%s/%s", search->directories[i], name);
        if (is_library(search, path))
            found = steal_pointer(&path);
    }
    return found;
}

static bool is_listed(char *const *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(base_name(list[i]), base_name(name)) == 0)
            return true;
    return false;
}

static void add_needed(struct search *search, const struct object *object) {
    struct closure *closure = search->closure;
    const char *name;
    for (size_t i = 0; (name = object_dynamic_text(object, DT_NEEDED, i)); i++) {
        if (is_listed(closure->paths, closure->path_count, name) ||
            is_listed(closure->missing, closure->missing_count, name))
            continue;
        char *path = find_library(search, object, name);
        if (path)
            *array_append(closure->paths, closure->path_count) = path;
        else
            *array_append(closure->missing, closure->missing_count) = xstrdup(name);
    }
}

void closure_find(struct closure *closure, const char *root, const struct object *program) {
    *closure = (struct closure){0};
    struct search search = {.closure = closure, .root = root};
    find_system_directories(&search, object_interpreter(program));
    add_needed(&search, program);
    /* The list grows while it is walked. */
    for (size_t i = 0; i < closure->path_count; i++) {
        cleanup_free char *whole = xasprintf("%s%s", root, closure->paths[i]);
        struct object library;
        if (!object_open(&library, whole))
            continue;
        add_needed(&search, &library);
        object_close(&library);
    }
    for (size_t i = 0; i < search.directory_count; i++)
        free(search.directories[i]);
    free(search.directories);
}

void closure_free(struct closure *closure) {
    for (size_t i = 0; i < closure->path_count; i++)
        free(closure->paths[i]);
    for (size_t i = 0; i < closure->missing_count; i++)
        free(closure->missing[i]);
    free(closure->paths);
    free(closure->missing);
    *closure = (struct closure){0};
}
