/* The loader's search for libraries, on files alone: nothing is ever loaded or executed. */
#include "policygen/closure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"

#define MAX_INCLUDES 8
#define MAX_CONFIG_BYTES (1u << 20)

static const char *const glibc_directories[] = {
    "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib",
};
static const char *const musl_directories[] = {"/lib", "/usr/local/lib", "/usr/lib"};
static const char *const processor_levels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2"};

/* What the system's directories hold of one name. */
struct found_library {
    char *path; /* NULL: nothing */
    char **variants;
    size_t variant_count;
};

bool is_musl(const char *interpreter) {
    return interpreter != NULL && strstr(interpreter, "/ld-musl-") != NULL;
}

static void add_directory(struct library_paths *paths, const char *directory, size_t length) {
    while (length > 1 && directory[length - 1] == '/')
        length--;
    for (size_t i = 0; i < paths->count; i++) {
        if (strlen(paths->directories[i]) == length && memcmp(paths->directories[i], directory, length) == 0)
            return;
    }
    if (length > 0 && directory[0] == '/')
        *array_append(paths->directories, paths->count) = xstrndup(directory, length);
}

static void read_configuration(struct library_paths *paths, const char *path, unsigned depth);

struct inclusion {
    struct library_paths *paths;
    unsigned depth;
};

static void include_one(void *context, const char *path) {
    const struct inclusion *inclusion = context;
    read_configuration(inclusion->paths, path, inclusion->depth);
}

static void include_configuration(struct library_paths *paths, const char *pattern, unsigned depth) {
    cleanup_free char *full = pattern[0] == '/' ? xstrdup(pattern) : xasprintf("/etc/%s", pattern);
    struct inclusion inclusion = {paths, depth + 1};
    if (depth < MAX_INCLUDES)
        root_match(paths->root, full, include_one, &inclusion);
}

static void read_configuration(struct library_paths *paths, const char *path, unsigned depth) {
    cleanup_free char *text = root_read(paths->root, path, MAX_CONFIG_BYTES);
    if (text == NULL)
        return;
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        line[strcspn(line, "#")] = 0;
        line += strspn(line, " \t");
        line[strcspn(line, " \t\r=")] = 0;
        if (strcmp(line, "include") == 0) {
            char *pattern = line + strlen("include") + 1;
            pattern += strspn(pattern, " \t");
            pattern[strcspn(pattern, " \t\r")] = 0;
            include_configuration(paths, pattern, depth);
        } else {
            add_directory(paths, line, strlen(line));
        }
    }
}

static void read_musl_path(struct library_paths *paths) {
    cleanup_free char *text = root_read(paths->root, "/etc/ld-musl-x86_64.path", MAX_CONFIG_BYTES);
    if (text == NULL)
        return;
    char *rest;
    for (char *word = strtok_r(text, ":\n", &rest); word != NULL; word = strtok_r(NULL, ":\n", &rest))
        add_directory(paths, word, strlen(word));
}

void library_paths_read(struct library_paths *paths, const struct root *root, bool musl) {
    *paths = (struct library_paths){.root = root};
    if (musl)
        read_musl_path(paths);
    else
        read_configuration(paths, "/etc/ld.so.conf", 0);
    if (musl && paths->count > 0)
        return;
    const char *const *defaults = musl ? musl_directories : glibc_directories;
    size_t count = musl ? sizeof musl_directories / sizeof *musl_directories
                        : sizeof glibc_directories / sizeof *glibc_directories;
    for (size_t i = 0; i < count; i++)
        add_directory(paths, defaults[i], strlen(defaults[i]));
}

static void free_found(struct found_library *found) {
    for (size_t i = 0; i < found->variant_count; i++)
        free(found->variants[i]);
    free(found->variants);
    free(found->path);
    free(found);
}

void library_paths_free(struct library_paths *paths) {
    for (size_t i = 0; i < paths->found.capacity; i++) {
        if (paths->found.items[i].name != NULL)
            free_found(paths->found.items[i].value);
    }
    map_free(&paths->found);
    for (size_t i = 0; i < paths->count; i++)
        free(paths->directories[i]);
    free(paths->directories);
    *paths = (struct library_paths){0};
}

/* ---- One library ---- */

/* $ORIGIN, $LIB and $PLATFORM, with and without braces. */
static char *expand(const char *directory, size_t length, const char *origin) {
    static const char *const names[] = {"ORIGIN", "LIB", "PLATFORM"};
    const char *values[] = {origin, "lib/x86_64-linux-gnu", "x86_64"};
    cleanup_free char *rest = xstrndup(directory, length);
    char *result = xstrdup("");
    const char *at = rest;
    while (*at != 0) {
        size_t plain = strcspn(at, "$"), skip = plain;
        const char *value = "";
        if (at[plain] == '$') {
            const char *name = at + plain + 1;
            bool brace = *name == '{';
            name += brace;
            skip = plain + 1;
            value = "$";
            for (size_t i = 0; i < 3; i++) {
                size_t size = strlen(names[i]);
                if (strncmp(name, names[i], size) == 0 && (!brace || name[size] == '}')) {
                    value = values[i];
                    skip = (size_t)(name - at) + size + brace;
                    break;
                }
            }
        }
        char *longer = xasprintf("%s%.*s%s", result, (int)plain, at, value);
        free(result);
        result = longer;
        at += skip;
    }
    return result;
}

/* The loader passes over files of another machine. */
static bool is_usable(const struct root *root, const char *path) {
    cleanup_fd int fd = root_open_file(root, path);
    Elf64_Ehdr header;
    return fd >= 0 && read(fd, &header, sizeof header) == sizeof header &&
           memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
           header.e_machine == EM_X86_64;
}

static char *find_in(const struct root *root, const char *directory, const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    if (is_usable(root, path))
        return path;
    free(path);
    return NULL;
}

static char *find_in_list(const struct root *root, const char *list, const char *owner, const char *name) {
    if (list == NULL)
        return NULL;
    const char *slash = strrchr(owner, '/');
    cleanup_free char *origin = slash == NULL ? xstrdup(".") : xstrndup(owner, (size_t)(slash - owner));
    while (true) {
        size_t length = strcspn(list, ":");
        cleanup_free char *directory = expand(list, length, origin);
        char *found = directory[0] == 0 ? NULL : find_in(root, directory, name);
        if (found != NULL)
            return found;
        if (list[length] == 0)
            return NULL;
        list += length + 1;
    }
}

static void find_variants(const struct library_paths *paths, const char *name, struct found_library *found) {
    for (size_t i = 0; i < paths->count; i++) {
        for (size_t j = 0; j < sizeof processor_levels / sizeof *processor_levels; j++) {
            cleanup_free char *directory = xasprintf("%s/glibc-hwcaps/%s", paths->directories[i], processor_levels[j]);
            char *variant = find_in(paths->root, directory, name);
            /* The array holds pointers. */
            if (variant != NULL)
                *array_append(found->variants, found->variant_count) = variant; /* NOLINT(bugprone-sizeof-expression) */
        }
    }
}

/* The search in the system's directories, done once for each name. */
static const struct found_library *find_in_system(struct library_paths *paths, const char *name) {
    struct found_library *found = map_get(&paths->found, name);
    if (found != NULL)
        return found;
    found = xcalloc(1, sizeof *found);
    for (size_t i = 0; found->path == NULL && i < paths->count; i++)
        found->path = find_in(paths->root, paths->directories[i], name);
    find_variants(paths, name, found);
    map_put(&paths->found, name, found);
    return found;
}

char *closure_find(struct library_paths *paths, const struct loaded *needing, const struct loaded *program,
                   const char *name) {
    const struct library *library = needing->file;
    if (strchr(name, '/') != NULL)
        return is_usable(paths->root, name) ? xstrdup(name) : NULL;
    char *found = NULL;
    if (library->runpath == NULL) {
        found = find_in_list(paths->root, library->rpath, needing->path, name);
        if (found == NULL && program != needing && program->file->runpath == NULL)
            found = find_in_list(paths->root, program->file->rpath, program->path, name);
    } else {
        found = find_in_list(paths->root, library->runpath, needing->path, name);
    }
    if (found != NULL)
        return found;
    const char *path = find_in_system(paths, name)->path;
    return path == NULL ? NULL : xstrdup(path);
}

void closure_variants(struct library_paths *paths, const char *name, char *const **variants, size_t *count) {
    *count = 0;
    if (strchr(name, '/') != NULL)
        return;
    const struct found_library *found = find_in_system(paths, name);
    *variants = found->variants;
    *count = found->variant_count;
}

bool closure_is_system_directory(const struct library_paths *paths, const char *real_path) {
    size_t length = strlen(real_path);
    for (size_t i = 0; i < paths->count; i++) {
        cleanup_free char *directory = root_real_path(paths->root, paths->directories[i]);
        if (directory != NULL && strncmp(directory, real_path, length) == 0 &&
            (directory[length] == 0 || directory[length] == '/' || length == 1))
            return true;
    }
    return false;
}
