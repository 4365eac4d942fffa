/* See model_view.h. The same questions in the same order as in preload/anomaly.c. */
#include "tools/model_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/api.h"
#include "runtime/model.h"
#include "runtime/util.h"
#include "tools/counts_view.h"

#define MODEL_NAME "pinion.model"

static const char *refuse_file(const char *path, uid_t user) {
    struct stat status;
    if (stat(path, &status) != 0)
        return strerror(errno);
    if (!S_ISREG(status.st_mode))
        return "it is not a file";
    if (status.st_mode & (S_IWGRP | S_IWOTH))
        return "it is writable by group or others: chmod go-w";
    if (status.st_uid != 0 && status.st_uid != user)
        return "it belongs to another user";
    return NULL;
}

/* To be freed; NULL with the reason in *problem. */
static struct model_header *read_model(const char *path, uid_t user, const char **problem) {
    *problem = refuse_file(path, user);
    if (*problem)
        return NULL;
    size_t size = 0;
    char *file = file_read(path, MODEL_MAX_BYTES, &size);
    if (!file) {
        *problem = strerror(errno);
        return NULL;
    }
    struct model_header *model = (struct model_header *)(void *)file;
    *problem = model_validate(model, size);
    if (!*problem && model->table_fingerprint != api_table_fingerprint())
        *problem = "it is for another build of Pinion: renew it with pinion train --merge";
    if (!*problem)
        return model;
    free(file);
    return NULL;
}

/* The shim maps the model at a process's first call. */
static bool is_mapped(pid_t pid, const char *path) {
    cleanup_free char *name = xasprintf("/proc/%d/maps", (int)pid);
    cleanup_file FILE *maps = fopen(name, "re");
    cleanup_free char *line = NULL;
    size_t room = 0;
    bool found = false;
    while (maps && !found && getline(&line, &room, maps) > 0) {
        const char *mapped = strchr(line, '/');
        found = mapped && strlen(path) == strcspn(mapped, "\n") && strncmp(mapped, path, strlen(path)) == 0;
    }
    return found;
}

/* The interval of a page, in milliseconds; 0 where it cannot be told. */
static uint64_t page_interval(const char *root, const char *path) {
    const char *problem;
    cleanup_free char *file = path && *path ? xasprintf("%s%s", root, path) : NULL;
    const struct counts_page *page = file ? counts_view_open(file, &problem) : NULL;
    uint64_t interval = page ? page->interval / 1000000 : 0;
    if (page)
        counts_view_close(page);
    return interval;
}

static void examine_use(struct findings *findings, const struct process *process, const char *path) {
    if (process->pid != 0 && process->shim && !is_mapped(process->pid, path))
        findings_add(findings, WEIGHT_WARNING, "not-scored",
                     "process %d does not score with the model \"%s\": it was started with another, with none, or with "
                     "a page of counts that has other intervals",
                     (int)process->pid, path);
}

static uid_t user_of(const struct process *process) {
    struct stat status;
    cleanup_free char *name = xasprintf("/proc/%d", (int)process->pid);
    return process->pid != 0 && stat(name, &status) == 0 ? status.st_uid : geteuid();
}

char *examine_model(struct findings *findings, const struct model_place *place, const struct process *process,
                    const char *page) {
    cleanup_free char *path =
        place->given ? xstrdup(place->given) : xasprintf("%s/" MODEL_NAME, place->directory ? place->directory : "");
    cleanup_free char *file = xasprintf("%s%s", place->root, path);
    if (*path == '\0' || (!place->given && access(file, F_OK) != 0 && errno == ENOENT))
        return NULL;
    const char *problem;
    cleanup_free struct model_header *model = read_model(file, user_of(process), &problem);
    if (!model) {
        findings_add(findings, WEIGHT_WARNING, "bad-model",
                     "intervals are not scored: the model \"%s\" cannot be used: %s", path, problem);
        return NULL;
    }
    uint64_t interval = page_interval(place->root, page);
    if (interval != 0 && interval != model->interval_ms)
        findings_add(findings, WEIGHT_WARNING, "other-interval",
                     "intervals are not scored: those of the page \"%s\" are of %" PRIu64 " ms, the model's of %" PRIu32
                     " ms",
                     page, interval, model->interval_ms);
    else
        examine_use(findings, process, path);
    return xasprintf("%s: %" PRIu32 " calls, intervals of %" PRIu32 " ms, trained on %" PRIu64, path,
                     model->calls.count, model->interval_ms, model->trained);
}
