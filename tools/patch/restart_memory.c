/* Starting again what a patch has ended. Command lines and environments are what the process said of itself before: they
 * are used as its own user, with nothing that it had not.
 */
#include "tools/patch/restart_memory.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/proc.h"
#include "tools/patch/service.h"
#include "tools/process.h"

#define POLL_MILLISECONDS 20

struct remembered {
    char *program;
    char **start; /* NULL: it is not known how */
    char **environment;
    char **given; /* for commands that restart it */
    bool supervised, as_itself, protected;
    struct command_identity identity;
};

struct restart_memory {
    struct remembered *items;
    size_t count;
    bool last;
    char *ways;
    uint64_t touched, stopped; /* when the first program was told to restart, and the first one ended; or 0 */
};

struct restart_memory *restart_memory_make(void) {
    return xcalloc(1, sizeof(struct restart_memory));
}

static void texts_free(char **texts) {
    for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
        free(texts[i]);
    free(texts);
}

void restart_memory_free(struct restart_memory *memory) {
    for (size_t i = 0; memory != NULL && i < memory->count; i++) {
        struct remembered *item = &memory->items[i];
        for (size_t j = 0; j < 2; j++)
            if (item->identity.outputs[j] >= 0)
                close(item->identity.outputs[j]);
        texts_free(item->start);
        texts_free(item->environment);
        texts_free(item->given);
        free(item->identity.groups);
        free(item->identity.directory);
        free(item->program);
    }
    if (memory != NULL) {
        free(memory->items);
        free(memory->ways);
    }
    free(memory);
}

const char *restart_ways(const struct restart_memory *memory) {
    return memory != NULL && memory->ways != NULL ? memory->ways : "";
}

void restart_memory_set_ways(struct restart_memory *memory, char *ways) {
    free(memory->ways);
    memory->ways = ways;
}

uint64_t restart_stopped(const struct restart_memory *memory) {
    return memory != NULL ? memory->stopped : 0;
}

void restart_memory_touches(struct restart_memory *memory, bool stops) {
    if (memory != NULL && memory->touched == 0)
        memory->touched = clock_nanoseconds(CLOCK_MONOTONIC);
    if (memory != NULL && memory->stopped == 0 && stops)
        memory->stopped = clock_nanoseconds(CLOCK_MONOTONIC);
}

/* ---- taking down ---- */

/* What restarts it starts it as well, but for these words, which may want it running. */
static char **copy_start(char *const *texts) {
    char **copy = NULL;
    size_t count = 0;
    for (; *texts != NULL; texts++) {
        bool verb = count == 1 && (strcmp(*texts, "restart") == 0 || strcmp(*texts, "try-restart") == 0);
        *array_append(copy, count) = xstrdup(verb ? "start" : *texts);
    }
    *array_append(copy, count) = NULL;
    return copy;
}

static char **copy_texts(char *const *texts) {
    char **copy = NULL;
    size_t count = 0;
    for (; texts != NULL && *texts != NULL; texts++)
        *array_append(copy, count) = xstrdup(*texts);
    *array_append(copy, count) = NULL;
    return copy;
}

static void read_groups(const char *line, struct command_identity *identity) {
    for (;;) {
        char *end;
        unsigned long group = strtoul(line, &end, 10);
        if (end == line || memchr(line, '\n', (size_t)(end - line)) != NULL)
            return;
        *array_append(identity->groups, identity->group_count) = (gid_t)group;
        line = end;
    }
}

/* Filters of system calls cannot be given to another process: one that has them is not started by us. */
static bool is_filtered(const char *status) {
    cleanup_free char *own = process_text(getpid(), "status");
    return strtoul(process_status(status, "\nSeccomp:"), NULL, 10) !=
           strtoul(process_status(own != NULL ? own : "", "\nSeccomp:"), NULL, 10);
}

static void read_directory(const struct target *target, pid_t process, struct command_identity *identity) {
    char path[PATH_MAX];
    cleanup_free char *link = xasprintf("/proc/%d/cwd", (int)process);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = '\0';
    identity->directory = processes_inside(target, length > 0 ? path : "/");
}

static bool read_identity(const struct target *target, pid_t process, struct command_identity *identity) {
    unsigned users[3], groups[3];
    cleanup_free char *status = process_text(process, "status");
    cleanup_fd int handle = pidfd_open(process, 0);
    for (int i = 0; i < 2; i++)
        identity->outputs[i] = handle >= 0 ? pidfd_getfd(handle, i + 1, 0) : -1;
    if (status == NULL || !process_shares(process, PROCESS_OURS, "ns/user") || is_filtered(status) ||
        sscanf(process_status(status, "\nUid:"), "%u %u %u", &users[0], &users[1], &users[2]) != 3 ||
        sscanf(process_status(status, "\nGid:"), "%u %u %u", &groups[0], &groups[1], &groups[2]) != 3)
        return false;
    /* The least of what it was. */
    identity->user = users[0] == users[1] && users[1] == users[2] ? users[1] : users[users[0] == 0];
    identity->group = groups[1];
    identity->no_new_privileges = strtoul(process_status(status, "\nNoNewPrivs:"), NULL, 10) == 1;
    read_groups(process_status(status, "\nGroups:"), identity);
    read_directory(target, process, identity);
    return true;
}

void restart_memory_add(struct restart_memory *memory, const struct target *target, const struct process_facts *process,
                        const struct restart_facts *facts) {
    struct remembered *item = array_append(memory->items, memory->count);
    *item = (struct remembered){.program = xstrdup(process->program),
                                .given = copy_texts(facts->environment),
                                .supervised = facts->supervised,
                                .protected = facts->protected,
                                .as_itself = facts->start == NULL,
                                .identity.outputs = {-1, -1}};
    if (facts->supervised)
        return;
    if (facts->start != NULL) {
        item->start = copy_start(facts->start);
        item->environment = copy_texts(facts->environment);
    } else if (process->inner != 1 && read_identity(target, process->process, &item->identity)) {
        item->start = service_arguments(target, process);
        item->environment = service_own_environment(target, process->process);
    }
}

/* ---- protection ---- */

bool restart_memory_is_last(const struct restart_memory *memory) {
    return memory != NULL && memory->last;
}

static const struct remembered *find_protected(const struct restart_memory *memory, const char *program) {
    for (size_t i = 0; memory != NULL && i < memory->count; i++)
        if (memory->items[i].protected && strcmp(memory->items[i].program, program) == 0)
            return &memory->items[i];
    return NULL;
}

char **restart_memory_protection(const struct restart_memory *memory, const char *program) {
    const struct remembered *item = find_protected(memory, program);
    return item != NULL ? copy_texts(item->given) : NULL;
}

char *restart_unprotected_text(const struct restart_memory *memory, const struct process_facts *process) {
    if (restart_memory_is_last(memory))
        return xasprintf(
            "\"%s\" now runs UNPROTECTED: process %d has no libpinion.so: set LD_PRELOAD in what starts it, "
            "and restart it",
            process->program, (int)process->process);
    return xasprintf("process %d of \"%s\" came back without libpinion.so: its service must set LD_PRELOAD",
                     (int)process->process, process->program);
}

char *restart_memory_unprotected(const struct restart_memory *memory, const struct target *target) {
    struct process_facts *all;
    char *text = NULL;
    size_t count = memory != NULL && memory->count > 0 ? processes_all(target, &all) : 0;
    for (size_t i = 0; i < count && text == NULL; i++)
        if (find_protected(memory, all[i].program) != NULL && !process_is_protected(all[i].process) &&
            process_is(all[i].process, all[i].start))
            text = restart_unprotected_text(memory, &all[i]);
    if (memory != NULL && memory->count > 0)
        process_facts_free(all, count);
    return text;
}

/* ---- starting ---- */

static bool runs(const struct target *target, const char *program) {
    struct process_facts *all;
    bool found = false;
    size_t count = processes_all(target, &all);
    for (size_t i = 0; i < count; i++)
        found = found || strcmp(all[i].program, program) == 0;
    process_facts_free(all, count);
    return found;
}

static bool start_again(const struct remembered *item, const struct target *target, unsigned timeout_seconds,
                        struct mistake *mistake) {
    uint64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + timeout_seconds * 1000000000ull;
    if (item->start == NULL)
        return text_mistake(mistake, 0, "\"%s\" does not run any more, and nothing tells how it was started: start it",
                            item->program);
    struct command command = {.arguments = (const char *const *)item->start,
                              .environment = (const char *const *)item->environment,
                              .timeout_seconds = timeout_seconds,
                              .service = true,
                              .runs_on = item->as_itself ? &item->identity : NULL};
    struct command_result result;
    bool good = target_run(target, &command, &result, mistake);
    command_result_free(&result);
    while (good && !runs(target, item->program)) {
        if (clock_nanoseconds(CLOCK_MONOTONIC) > deadline)
            return text_mistake(mistake, 0, "\"%s\" did not start again: see its log", item->program);
        poll(NULL, 0, POLL_MILLISECONDS);
    }
    return good;
}

bool restart_missing(struct restart_memory *memory, const struct target *target, unsigned timeout_seconds,
                     struct mistake *mistake) {
    bool good = true;
    if (memory != NULL)
        memory->last = true;
    for (size_t i = 0; memory != NULL && i < memory->count && good; i++)
        if (!memory->items[i].supervised && !runs(target, memory->items[i].program)) {
            memory->stopped = memory->stopped != 0 ? memory->stopped : memory->touched;
            good = start_again(&memory->items[i], target, timeout_seconds, mistake);
        }
    return good;
}
