/* See packages.h. Asks dpkg-query; where there is none, no file is in a package. */
#include "tests/precision/packages.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define FILES_AT_ONCE 200

/* A file's one real name, which dpkg may know with or without "/usr" before it. */
struct file {
    char *path, *package;
};

static const char *without_usr(const char *path) {
    return strncmp(path, "/usr/", 5) == 0 ? path + 4 : path;
}

/* "PACKAGE:ARCHITECTURE, ...: PATH" */
static void read_owner(char *line, struct file *files, size_t count) {
    char *colon = strstr(line, ": /");
    line[strcspn(line, "\n")] = 0;
    if (colon == NULL || strncmp(line, "diversion ", 10) == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (files[i].package == NULL && strcmp(without_usr(files[i].path), without_usr(colon + 2)) == 0)
            files[i].package = xstrndup(line, strcspn(line, ":,"));
    }
}

static void ask(struct file *files, size_t count) {
    char *command = NULL;
    size_t length = 0;
    FILE *text = xopen_memstream(&command, &length);
    fprintf(text, "dpkg-query --search");
    for (size_t i = 0; i < count; i++)
        fprintf(text, " '%s' '%s'", files[i].path, without_usr(files[i].path));
    fprintf(text, " 2>/dev/null </dev/null");
    fclose(text);
    FILE *output = popen(command, "re");
    free(command);
    if (output == NULL)
        return;
    char line[4096];
    while (fgets(line, sizeof line, output) != NULL)
        read_owner(line, files, count);
    pclose(output);
}

char **packages_of(const char *const *paths, size_t count) {
    struct file *files = xcalloc(count + 1, sizeof *files);
    char **packages = xcalloc(count + 1, sizeof *packages);
    for (size_t i = 0; i < count; i++) {
        files[i].path = realpath(paths[i], NULL);
        if (files[i].path == NULL || strchr(files[i].path, '\'') != NULL)
            die("cannot ask for the package of \"%s\"", paths[i]);
    }
    for (size_t i = 0; i < count; i += FILES_AT_ONCE)
        ask(files + i, count - i < FILES_AT_ONCE ? count - i : FILES_AT_ONCE);
    for (size_t i = 0; i < count; i++) {
        packages[i] = files[i].package;
        free(files[i].path);
    }
    free(files);
    return packages;
}

void package_version(const char *name, char *version, size_t size) {
    cleanup_free char *command =
        xasprintf("dpkg-query --show --showformat='${Version}' '%s' 2>/dev/null </dev/null", name);
    FILE *output = popen(command, "re");
    version[0] = 0;
    if (output == NULL)
        return;
    if (fgets(version, (int)size, output) == NULL)
        version[0] = 0;
    pclose(output);
    version[strcspn(version, "\n")] = 0;
}
