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
#include "tools/patch/form.h"
#include "tools/patch/groups.h"
#include "tools/patch/proc.h"
#include "tools/patch/service.h"
#include "tools/process.h"

#define POLL_MILLISECONDS 20

struct restart_memory *restart_memory_make(void) {
    return xcalloc(1, sizeof(struct restart_memory));
}

static void remembered_free(struct remembered *item) {
    for (size_t i = 0; i < 2; i++)
        if (item->identity.outputs[i] >= 0)
            close(item->identity.outputs[i]);
    texts_free(item->command);
    texts_free(item->environment);
    texts_free(item->given);
    free(item->identity.groups);
    free(item->identity.directory);
    free(item->stop);
    free(item->groups);
    free(item->old);
    free(item->program);
}

void restart_memory_free(struct restart_memory *memory) {
    if (memory == NULL)
        return;
    for (size_t i = 0; i < memory->count; i++)
        remembered_free(&memory->items[i]);
    for (size_t i = 0; i < memory->listener_count; i++) {
        free(memory->listeners[i].program);
        free(memory->listeners[i].address);
    }
    free(memory->items);
    free(memory->listeners);
    free(memory->path);
    free(memory->ways);
    free(memory->started);
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

const char *restart_started(const struct restart_memory *memory) {
    return memory != NULL && memory->started != NULL ? memory->started : "";
}

/* ---- taking down ---- */

static char **copy_texts(char *const *texts) {
    char **copy = NULL;
    size_t count = 0;
    for (; texts != NULL && *texts != NULL; texts++)
        *array_append(copy, count) = xstrdup(*texts);
    *array_append(copy, count) = NULL;
    return copy;
}

static void read_all_groups(const char *line, struct command_identity *identity) {
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
    read_all_groups(process_status(status, "\nGroups:"), identity);
    read_directory(target, process, identity);
    return true;
}

void restart_memory_add(struct restart_memory *memory, const struct target *target, const struct process_facts *process,
                        const struct restart_facts *facts) {
    struct remembered *item = array_append(memory->items, memory->count);
    *item = (struct remembered){.program = xstrdup(process->program),
                                .given = copy_texts(facts->environment),
                                .supervised = facts->supervised,
                                .as_itself = facts->command == NULL,
                                .protected = facts->protected,
                                .identity.outputs = {-1, -1},
                                .first = {process->process, process->start}};
    if (facts->supervised)
        return;
    item->groups = facts->has_unit ? NULL : process_text(process->process, "cgroup");
    if (facts->command != NULL) {
        item->command = copy_texts(facts->command);
        item->environment = copy_texts(facts->environment);
        item->stop = facts->stop != NULL ? xstrdup(facts->stop) : NULL;
    } else if (process->inner != 1 && read_identity(target, process->process, &item->identity)) {
        item->command = service_arguments(target, process);
        item->environment = service_own_environment(target, process->process);
    }
}

/* ---- telling ---- */

static bool is_identity(const struct process_identity *identity, const struct process_facts *process) {
    return identity->process == process->process && identity->start == process->start;
}

/* Of several that run one program, the very one, or one that has another process now. */
struct remembered *restart_memory_find(struct restart_memory *memory, const struct process_facts *process) {
    struct remembered *found = NULL;
    for (size_t i = 0; i < memory->count; i++) {
        struct remembered *item = &memory->items[i];
        if (is_identity(&item->first, process))
            return item;
        if (found == NULL && strcmp(item->program, process->program) == 0 &&
            !process_is(item->first.process, item->first.start))
            found = item;
    }
    return found;
}

/* What is there of the program before it is told to end: whatever comes later is new. */
static void note_old(struct remembered *item, const struct target *target, const struct process_facts *process) {
    struct process_facts *all;
    size_t count = processes_all(target, &all);
    item->first = (struct process_identity){process->process, process->start};
    item->old_count = 0;
    *array_append(item->old, item->old_count) = item->first;
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].program, item->program) == 0 && !is_identity(&item->first, &all[i]))
            *array_append(item->old, item->old_count) = (struct process_identity){all[i].process, all[i].start};
    process_facts_free(all, count);
}

bool restart_memory_touches(struct restart_memory *memory, const struct target *target,
                            const struct process_facts *process, bool stops, struct mistake *mistake) {
    if (memory == NULL)
        return true;
    if (memory->touched == 0)
        memory->touched = clock_nanoseconds(CLOCK_MONOTONIC);
    struct remembered *item = stops ? restart_memory_find(memory, process) : NULL;
    if (item != NULL)
        note_old(item, target, process);
    if (stops && memory->stopped == 0)
        memory->stopped = clock_nanoseconds(CLOCK_MONOTONIC);
    return restart_memory_save(memory, mistake);
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

static bool is_old(const struct remembered *item, const struct process_facts *process) {
    for (size_t i = 0; i < item->old_count; i++)
        if (is_identity(&item->old[i], process))
            return true;
    return false;
}

static bool still_runs(const struct remembered *item) {
    return process_is(item->first.process, item->first.start);
}

/* Of what was told to end workers may go on for a while: that is not it. */
static bool is_missing(const struct remembered *item, const struct target *target) {
    struct process_facts *all;
    if (item->old_count > 0 && still_runs(item))
        return false;
    size_t count = processes_all(target, &all);
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = found || (strcmp(all[i].program, item->program) == 0 && !is_old(item, &all[i]));
    process_facts_free(all, count);
    return !found;
}

/* Where its groups cannot be joined any more, it is among ours. */
static bool run(const struct remembered *item, const struct target *target, char *const *arguments,
                unsigned timeout_seconds, struct mistake *mistake) {
    struct groups groups = {.count = 0};
    struct mistake ignored;
    if (item->groups != NULL)
        groups_open_told(&groups, item->groups, &ignored);
    struct command command = {.arguments = (const char *const *)arguments,
                              .environment = (const char *const *)item->environment,
                              .timeout_seconds = timeout_seconds,
                              .groups = &groups,
                              .service = true,
                              .runs_on = item->as_itself ? &item->identity : NULL};
    struct command_result result;
    bool good = target_run(target, &command, &result, mistake);
    command_result_free(&result);
    groups_close(&groups);
    return good;
}

/* What restarts it starts it as well, but for these words, which may want it running. */
static char **start_of(const struct remembered *item) {
    char **start = copy_texts(item->command);
    if (item->as_itself || start[0] == NULL || start[1] == NULL ||
        (strcmp(start[1], "restart") != 0 && strcmp(start[1], "try-restart") != 0))
        return start;
    free(start[1]);
    start[1] = xstrdup("start");
    return start;
}

static void note_started(struct restart_memory *memory, const struct remembered *item) {
    char *text = xasprintf("%s%s%s%s", restart_started(memory), memory->started != NULL ? ", " : "", item->program,
                           memory->found && item->as_itself ? " (what it writes to standard output goes nowhere)" : "");
    free(memory->started);
    memory->started = text;
}

/* Two may be at it, where what a helper that was killed had begun goes on: what counts is that it runs. */
static bool start_again(struct restart_memory *memory, const struct remembered *item, const struct target *target,
                        unsigned timeout_seconds, struct mistake *mistake) {
    uint64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + timeout_seconds * 1000000000ull;
    if (item->command == NULL)
        return text_mistake(mistake, 0, "\"%s\" does not run any more, and nothing tells how it was started: start it",
                            item->program);
    char **start = start_of(item);
    bool good = run(item, target, start, timeout_seconds, mistake);
    texts_free(start);
    while (good && is_missing(item, target)) {
        if (clock_nanoseconds(CLOCK_MONOTONIC) > deadline)
            return text_mistake(mistake, 0, "\"%s\" did not start again: see its log", item->program);
        poll(NULL, 0, POLL_MILLISECONDS);
    }
    if (!good && is_missing(item, target))
        return false;
    note_started(memory, item);
    return true;
}

/* A helper was killed when it had told the program to end, or was about to: it is told once more. What does not end in
 * time serves on. */
static bool end_again(struct restart_memory *memory, const struct remembered *item, const struct target *target,
                      unsigned timeout_seconds, struct mistake *mistake) {
    uint64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + timeout_seconds * 1000000000ull;
    const struct process_facts first = {
        .process = item->first.process, .start = item->first.start, .program = item->program};
    struct mistake ended;
    if (item->stop == NULL && (item->as_itself || item->command == NULL))
        return true;
    if (item->stop == NULL) {
        note_started(memory, item);
        return run(item, target, item->command, timeout_seconds, mistake);
    }
    process_signal(&first, item->stop, &ended);
    while (still_runs(item) && clock_nanoseconds(CLOCK_MONOTONIC) < deadline)
        poll(NULL, 0, POLL_MILLISECONDS);
    return true;
}

static bool bring_back(struct restart_memory *memory, const struct remembered *item, const struct target *target,
                       unsigned timeout_seconds, struct mistake *mistake) {
    if (item->supervised)
        return true;
    if (memory->found && item->old_count > 0 && still_runs(item) &&
        !end_again(memory, item, target, timeout_seconds, mistake))
        return false;
    if (!is_missing(item, target))
        return true;
    memory->stopped = memory->stopped != 0 ? memory->stopped : memory->touched;
    service_read_units(target);
    return start_again(memory, item, target, timeout_seconds, mistake);
}

/* One that does not come back keeps no other from it. */
bool restart_missing(struct restart_memory *memory, const struct target *target, unsigned timeout_seconds,
                     struct mistake *mistake) {
    struct mistake first = {.line = 0};
    bool good = true;
    if (memory != NULL)
        memory->last = true;
    for (size_t i = 0; memory != NULL && i < memory->count; i++)
        if (!bring_back(memory, &memory->items[i], target, command_seconds(timeout_seconds),
                        good ? &first : &(struct mistake){.line = 0}))
            good = false;
    return good || text_mistake(mistake, 0, "%s", first.text);
}
