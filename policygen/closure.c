/* The loader's search for libraries, on files alone: nothing is ever loaded or executed. */
#include "policygen/closure.h"

#include <fcntl.h>
#include <glob.h>
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

static void include_configuration(struct library_paths *paths, const char *pattern, unsigned depth) {
    glob_t found;
    cleanup_free char *full = pattern[0] == '/' ? xstrdup(pattern) : xasprintf("/etc/%s", pattern);
    if (depth >= MAX_INCLUDES || glob(full, 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        read_configuration(paths, found.gl_pathv[i], depth + 1);
    globfree(&found);
}

static void read_configuration(struct library_paths *paths, const char *path, unsigned depth) {
    size_t size;
    cleanup_free char *text = file_read(path, MAX_CONFIG_BYTES, &size);
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
    size_t size;
    cleanup_free char *text = file_read("/etc/ld-musl-x86_64.path", MAX_CONFIG_BYTES, &size);
    if (text == NULL)
        return;
    char *rest;
    for (char *word = strtok_r(text, ":\n", &rest); word != NULL; word = strtok_r(NULL, ":\n", &rest))
        add_directory(paths, word, strlen(word));
}

void library_paths_read(struct library_paths *paths, bool musl) {
    *paths = (struct library_paths){0};
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

void library_paths_free(struct library_paths *paths) {
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
static bool is_usable(const char *path) {
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    Elf64_Ehdr header;
    return fd >= 0 && read(fd, &header, sizeof header) == sizeof header &&
           memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
           header.e_machine == EM_X86_64;
}

static char *find_in(const char *directory, const char *name) {
    char *path = xasprintf("%s/%s", directory, name);
    if (is_usable(path))
        return path;
    free(path);
    return NULL;
}

static char *find_in_list(const char *list, const struct object *owner, const char *name) {
    if (list == NULL)
        return NULL;
    const char *slash = strrchr(owner->path, '/');
    cleanup_free char *origin = slash == NULL ? xstrdup(".") : xstrndup(owner->path, (size_t)(slash - owner->path));
    while (true) {
        size_t length = strcspn(list, ":");
        cleanup_free char *directory = expand(list, length, origin);
        char *found = directory[0] == 0 ? NULL : find_in(directory, name);
        if (found != NULL)
            return found;
        if (list[length] == 0)
            return NULL;
        list += length + 1;
    }
}

char *closure_find(const struct library_paths *paths, const struct object *loader, const struct object *program,
                   const char *name) {
    if (strchr(name, '/') != NULL)
        return is_usable(name) ? xstrdup(name) : NULL;
    char *found = NULL;
    if (loader->runpath == NULL) {
        found = find_in_list(loader->rpath, loader, name);
        if (found == NULL && program != loader && program->runpath == NULL)
            found = find_in_list(program->rpath, program, name);
    } else {
        found = find_in_list(loader->runpath, loader, name);
    }
    for (size_t i = 0; found == NULL && i < paths->count; i++)
        found = find_in(paths->directories[i], name);
    return found;
}

void closure_variants(const struct library_paths *paths, const char *name, char ***variants, size_t *count) {
    if (strchr(name, '/') != NULL)
        return;
    for (size_t i = 0; i < paths->count; i++) {
        for (size_t j = 0; j < sizeof processor_levels / sizeof *processor_levels; j++) {
            cleanup_free char *directory = xasprintf("%s/glibc-hwcaps/%s", paths->directories[i], processor_levels[j]);
            char *found = find_in(directory, name);
            if (found != NULL)
                *array_append(*variants, *count) = found;
        }
    }
}
