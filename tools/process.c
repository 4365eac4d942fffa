/* Reading /proc. Everything there may change or vanish while it is read. */
#include "tools/process.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/policy_file.h"

static const char deleted_mark[] = " (deleted)";

/* Cuts the mark that the kernel puts behind the path of a file that is gone. */
static bool cut_deleted(char *path) {
    if (!has_suffix(path, deleted_mark))
        return false;
    path[strlen(path) - strlen(deleted_mark)] = '\0';
    return true;
}

static char *read_all(pid_t pid, const char *name, size_t *size) {
    cleanup_free char *path = xasprintf("/proc/%d/%s", (int)pid, name);
    cleanup_file FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    char *content = NULL;
    size_t length = 0;
    size_t got;
    do {
        content = xrealloc(content, length + 65536, 1);
        got = fread(content + length, 1, 65535, file);
        length += got;
    } while (got > 0);
    content[length] = '\0';
    *size = length;
    return content;
}

static bool same_file(const char *a, const char *b) {
    struct stat first;
    struct stat second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

static void read_maps(struct process *process) {
    size_t size;
    cleanup_free char *maps = read_all(process->pid, "maps", &size);
    char *rest = maps;
    for (char *line = rest ? strsep(&rest, "\n") : NULL; line; line = strsep(&rest, "\n")) {
        char *path = strchr(line, '/');
        if (!path)
            continue;
        bool gone = cut_deleted(path);
        if (!process->shim && strcmp(base_name(path), "libpinion.so") == 0) {
            process->shim = xstrdup(path);
            process->shim_deleted = gone;
        } else if (!process->policy && has_suffix(path, POLICY_COMPILED_SUFFIX)) {
            process->policy = xstrdup(path);
        }
    }
}

static void read_environment(struct process *process) {
    static const char file_name[] = "PINION_POLICY=";
    static const char directory_name[] = "PINION_POLICY_DIR=";
    static const char model_name[] = "PINION_MODEL=";
    size_t size = 0;
    cleanup_free char *environment = read_all(process->pid, "environ", &size);
    for (size_t at = 0; at < size; at += strlen(environment + at) + 1) {
        const char *entry = environment + at;
        if (!process->policy && strncmp(entry, file_name, sizeof file_name - 1) == 0)
            process->policy = xstrdup(entry + sizeof file_name - 1);
        if (!process->policy_directory && strncmp(entry, directory_name, sizeof directory_name - 1) == 0)
            process->policy_directory = xstrdup(entry + sizeof directory_name - 1);
        if (!process->model && strncmp(entry, model_name, sizeof model_name - 1) == 0)
            process->model = xstrdup(entry + sizeof model_name - 1);
    }
}

bool process_read(struct process *process, pid_t pid) {
    *process = (struct process){.pid = pid};
    char program[PATH_MAX];
    cleanup_free char *link = xasprintf("/proc/%d/exe", (int)pid);
    ssize_t length = readlink(link, program, sizeof program - 1);
    if (length < 0)
        return false;
    program[length] = '\0';
    process->program = xstrdup(program);
    process->program_deleted = cut_deleted(process->program);
    cleanup_free char *root = xasprintf("/proc/%d/root", (int)pid);
    process->root = same_file(root, "/") ? xstrdup("") : steal_pointer(&root);
    read_maps(process);
    read_environment(process);
    return true;
}

void process_free(struct process *process) {
    free(process->root);
    free(process->program);
    free(process->shim);
    free(process->policy);
    free(process->policy_directory);
    free(process->model);
    *process = (struct process){0};
}

bool process_is_protected(pid_t pid) {
    struct process process;
    bool has_shim = process_read(&process, pid) && process.shim != NULL;
    process_free(&process);
    return has_shim;
}
