/* Restarting what runs old code. Signals go to processes that are held by a descriptor; what the target says of itself
 * (arguments, environment) is used with no more power than the process has that says it.
 */
#include "tools/patch/restart_way.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/proc.h"
#include "tools/patch/restart_memory.h"
#include "tools/process.h"

#define POLL_MILLISECONDS 20
#define MOST_SECONDS 120      /* for all programs together: nothing that comes later makes it good */
#define START_SECONDS 3       /* until a new binary is there at all */
#define SUCCESSOR_SECONDS 20  /* until a new binary serves */
#define ABSENT_SECONDS 10     /* until a program that has ended runs again */
#define SUPERVISOR_SECONDS 30 /* likewise, where a supervisor starts it, which may wait before it does */
#define SHIM_SECONDS 5        /* until a new process has loaded libpinion.so */
#define DRAIN_SECONDS 30      /* old processes may finish what they have begun; then they are told to end */

/* ---- remembering ---- */

#define SHELL_WORDS 4

/* The shell line that the table has for it, as a command; NULL: none. */
static char *const *line_of_table(const struct restart_instance *instance, char *line[SHELL_WORDS]) {
    const char *command = instance->row != NULL ? instance->row->command : NULL;
    char *const words[SHELL_WORDS] = {"/bin/sh", "-c", (char *)(uintptr_t)command, NULL};
    memcpy(line, words, sizeof words);
    return command != NULL ? line : NULL;
}

/* How the program is started while nothing of it runs. */
static void remember(const struct restart_work *work, const struct restart_instance *instance,
                     struct restart_memory *memory) {
    char *line[SHELL_WORDS];
    char *const *start = instance->how == RESTART_COMMAND ? instance->command : instance->service.arguments;
    if (start == NULL)
        start = line_of_table(instance, line);
    struct service service = {NULL, NULL};
    struct service_hint hint = {NULL, instance->row != NULL ? instance->row->script : NULL};
    struct mistake ignored = {.line = 0};
    if (start == NULL && instance->how != RESTART_SIGNAL &&
        service_find(work->target, instance->first, &hint, &service, &ignored))
        start = service.arguments;
    const struct restart_facts facts = {.command = start,
                                        .environment = instance->environment,
                                        .stop = instance->service.stop,
                                        .has_unit = service_has_unit(work->target, instance->first),
                                        .supervised =
                                            instance->how == RESTART_SIGNAL || process_is_manager(instance->first),
                                        .protected = instance->protected};
    restart_memory_add(memory, work->target, instance->first, &facts);
    service_free(&service);
}

bool restart_possible(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                      size_t count, struct restart_memory **memory, struct mistake *mistake) {
    struct restart_work work = {.target = target, .recipe = recipe};
    restart_find(&work, processes, count);
    bool possible = restart_check(&work, mistake);
    if (memory != NULL)
        *memory = restart_memory_make();
    if (memory != NULL && possible)
        restart_memory_set_ways(*memory, restart_tell(&work));
    for (size_t i = 0; i < work.count && possible && memory != NULL; i++)
        if (!instance_is_left(&work.instances[i]))
            remember(&work, &work.instances[i], *memory);
    restart_work_free(&work);
    return possible;
}

/* ---- doing it ---- */

/* Sleeps until the process ends, or a moment has passed: what else is waited for gives no sign. */
static void wait_moment(pid_t process) {
    cleanup_fd int handle = pidfd_open(process, 0);
    struct pollfd waiting = {.fd = handle, .events = POLLIN};
    poll(&waiting, handle >= 0 ? 1 : 0, POLL_MILLISECONDS);
}

static bool wait_for_end(const struct restart_work *work, const struct restart_instance *instance) {
    while (process_is(instance->first->process, instance->first->start)) {
        if (clock_nanoseconds(CLOCK_MONOTONIC) > work->deadline)
            return false;
        wait_moment(instance->first->process);
    }
    return true;
}

enum successor {
    SUCCESSOR_NONE,
    SUCCESSOR_STARTS,
    SUCCESSOR_SERVES, /* it has children of its own that are reached, as the old one had */
};

static bool is_new(const struct restart_work *work, const struct process_facts *process) {
    const struct process_facts *known = restart_process(work, process->process);
    return known == NULL || known->start != process->start;
}

static enum successor look_for_successor(const struct restart_work *work, const struct restart_instance *instance) {
    struct process_facts *all;
    enum successor found = SUCCESSOR_NONE;
    size_t count = processes_all(work->target, &all);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].program, instance->first->program) != 0 || !is_new(work, &all[i]))
            continue;
        if (found == SUCCESSOR_NONE)
            found = SUCCESSOR_STARTS;
        for (size_t j = 0; j < count; j++)
            if (all[j].parent == all[i].process && strcmp(all[j].program, all[i].program) == 0 &&
                process_serves(all[j].process))
                found = SUCCESSOR_SERVES;
    }
    process_facts_free(all, count);
    return found;
}

/* A new binary that came and went again will not come any more. */
static bool wait_for_successor(const struct restart_work *work, const struct restart_instance *instance) {
    uint64_t begun = clock_nanoseconds(CLOCK_MONOTONIC), deadline = begun + SUCCESSOR_SECONDS * 1000000000ull;
    bool seen = false;
    while (clock_nanoseconds(CLOCK_MONOTONIC) < deadline && clock_nanoseconds(CLOCK_MONOTONIC) < work->deadline) {
        enum successor found = look_for_successor(work, instance);
        if (found == SUCCESSOR_SERVES)
            return true;
        if (found == SUCCESSOR_NONE &&
            (seen || clock_nanoseconds(CLOCK_MONOTONIC) > begun + START_SECONDS * 1000000000ull))
            return false;
        seen = found != SUCCESSOR_NONE;
        wait_moment(instance->first->process);
    }
    return false;
}

static bool run_in_target(const struct restart_work *work, const struct restart_instance *instance,
                          char *const *arguments, struct mistake *mistake) {
    uint64_t time = clock_nanoseconds(CLOCK_MONOTONIC);
    struct command command = {.arguments = (const char *const *)arguments,
                              .environment = (const char *const *)instance->environment,
                              .groups = &instance->groups,
                              .service = true,
                              .timeout_seconds =
                                  time < work->deadline ? (unsigned)((work->deadline - time) / 1000000000u) + 1 : 1};
    struct command_result result;
    bool good = target_run(work->target, &command, &result, mistake);
    command_result_free(&result);
    return good;
}

static bool run_given(const struct restart_work *work, const struct restart_instance *instance,
                      struct mistake *mistake) {
    char *line[SHELL_WORDS];
    char *const *given = instance->command != NULL ? instance->command : line_of_table(instance, line);
    return run_in_target(work, instance, given, mistake);
}

/* Old connections may take forever. The parent knows of the end when it has waited for it. */
static void wait_for_drain(const struct restart_work *work, const struct process_facts *process) {
    uint64_t start, drained = clock_nanoseconds(CLOCK_MONOTONIC) + DRAIN_SECONDS * 1000000000ull;
    struct mistake ended;
    while (process_start(process->process, &start) && start == process->start &&
           clock_nanoseconds(CLOCK_MONOTONIC) < work->deadline) {
        if (clock_nanoseconds(CLOCK_MONOTONIC) > drained)
            process_signal(process, "TERM", &ended);
        poll(NULL, 0, POLL_MILLISECONDS);
    }
}

/* As long as there are two, no third one starts. A helper was killed when it had started the new binary: before it had
 * ended the old one, which serves on, and the new one goes; or after that, and the old one goes. Whether it was the new
 * one. */
static bool leave_one_binary(const struct restart_work *work, const struct restart_instance *instance) {
    const struct process_facts *first = instance->first, *parent = restart_process(work, first->parent);
    struct mistake ended;
    bool found = false;
    if (parent != NULL && restart_is_predecessor(first, parent))
        wait_for_drain(work, parent);
    for (size_t i = 0; i < work->all_count; i++) {
        const struct process_facts *process = &work->all[i];
        if (process->parent != first->process || strcmp(process->program, first->program) != 0 ||
            !restart_has_child(work, process))
            continue;
        found = true;
        process_signal(process, "QUIT", &ended);
        wait_for_drain(work, process);
    }
    return found;
}

static bool do_upgrade(const struct restart_work *work, const struct restart_instance *instance,
                       struct mistake *mistake) {
    if (instance->command != NULL)
        return run_given(work, instance, mistake);
    if (leave_one_binary(work, instance) && !instance_is_stale(instance, instance->first->process))
        return true;
    if (!process_signal(instance->first, instance->signal, mistake))
        return false;
    if (!wait_for_successor(work, instance))
        return text_mistake(mistake, 0, "\"%s\" did not start its new binary at %s: see its log",
                            instance->first->program, instance->signal);
    return process_signal(instance->first, "QUIT", mistake);
}

static bool do_reload(const struct restart_work *work, const struct restart_instance *instance,
                      struct mistake *mistake) {
    return instance->command != NULL ? run_given(work, instance, mistake)
                                     : process_signal(instance->first, instance->signal, mistake);
}

static bool stop_and_start(const struct restart_work *work, const struct restart_instance *instance,
                           struct mistake *mistake) {
    if (!process_signal(instance->first, instance->service.stop, mistake))
        return false;
    if (!wait_for_end(work, instance))
        return text_mistake(mistake, 0, "\"%s\" did not end in time at %s", instance->first->program,
                            instance->service.stop);
    return run_in_target(work, instance, instance->service.arguments, mistake);
}

static bool do_service(const struct restart_work *work, const struct restart_instance *instance,
                       struct mistake *mistake) {
    if (instance->service.stop != NULL)
        return stop_and_start(work, instance, mistake);
    return run_in_target(work, instance, instance->service.arguments, mistake);
}

/* A service stays accounted for, and limited, as it was; where its groups cannot be joined, it is among ours. systemd
 * does this by itself, and ends whoever is in the group of what it stops. */
static void find_groups(const struct restart_work *work, struct restart_instance *instance) {
    struct mistake ignored = {.line = 0};
    if (!service_has_unit(work->target, instance->first))
        groups_open(&instance->groups, instance->first->process, &ignored);
}

static bool do_restart(const struct restart_work *work, struct restart_instance *instance, struct mistake *mistake) {
    bool hands_on = (instance->how == RESTART_UPGRADE || instance->how == RESTART_RELOAD) && instance->command == NULL;
    find_groups(work, instance);
    if (work->memory != NULL && restart_memory_find(work->memory, instance->first) == NULL)
        remember(work, instance, work->memory);
    if (!restart_memory_touches(work->memory, work->target, instance->first, !hands_on, mistake))
        return false;
    switch (instance->how) {
    case RESTART_UPGRADE: return do_upgrade(work, instance, mistake);
    case RESTART_RELOAD: return do_reload(work, instance, mistake);
    case RESTART_SERVICE: return do_service(work, instance, mistake);
    case RESTART_COMMAND: return run_given(work, instance, mistake);
    case RESTART_SIGNAL: return process_signal(instance->first, instance->signal, mistake);
    case RESTART_AUTO:
    case RESTART_NONE: break;
    }
    return true;
}

/* ---- what comes of it ---- */

static bool may_stay(const struct restart_instance *instance, const struct stale_process *process) {
    return instance->row != NULL && instance->row->sessions && process->process != instance->first->process &&
           !process_serves(process->process);
}

/* Old processes of what was restarted, also those that were started since. */
static bool is_awaited(const struct restart_work *work, const struct stale_process *process) {
    bool awaited = false;
    for (size_t i = 0; i < work->count; i++) {
        const struct restart_instance *instance = &work->instances[i];
        bool stale = instance_is_stale(instance, process->process);
        bool left = instance_is_left(instance) || may_stay(instance, process);
        if (stale && left)
            return false;
        awaited = awaited || ((stale || strcmp(process->program, instance->first->program) == 0) && !left);
    }
    return awaited;
}

/* The first awaited process that still maps old files, as a text, or NULL. */
static char *still_old(const struct restart_work *work) {
    struct stale_process *stale;
    size_t count = processes_mapping(work->target, work->files, work->file_count, &stale);
    char *text = NULL;
    for (size_t i = 0; i < count && text == NULL; i++)
        if (is_awaited(work, &stale[i]))
            text = xasprintf("process %d of \"%s\" still runs \"%s\"", (int)stale[i].process, stale[i].program,
                             stale[i].mapped);
    stale_processes_free(stale, count);
    return text;
}

/* Seconds; a program that was executed anew keeps the age of its process. */
static uint64_t age_of(const struct process_facts *process) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    uint64_t started = process->start / (uint64_t)sysconf(_SC_CLK_TCK);
    return (uint64_t)time.tv_sec > started ? (uint64_t)time.tv_sec - started : 0;
}

/* What is wrong with the processes that now run in its place, or NULL. */
static char *successor_problem(const struct restart_work *work, const struct restart_instance *instance,
                               unsigned *patience) {
    struct process_facts *all;
    size_t count = processes_all(work->target, &all), found = 0;
    char *problem = NULL;
    *patience = MOST_SECONDS;
    for (size_t i = 0; i < count && problem == NULL; i++) {
        if (strcmp(all[i].program, instance->first->program) != 0)
            continue;
        found++;
        if (!instance->protected || process_is_protected(all[i].process) || !process_is(all[i].process, all[i].start))
            continue;
        *patience = age_of(&all[i]) < SHIM_SECONDS ? MOST_SECONDS : SHIM_SECONDS;
        problem = restart_unprotected_text(work->memory, &all[i]);
    }
    process_facts_free(all, count);
    if (problem != NULL || found > 0)
        return problem;
    *patience = instance->how == RESTART_SIGNAL ? SUPERVISOR_SECONDS : ABSENT_SECONDS;
    return xasprintf("\"%s\" did not start again: see its log", instance->first->program);
}

/* `patience`: seconds after which this problem will not mend itself. */
static char *problem_now(const struct restart_work *work, unsigned *patience) {
    *patience = MOST_SECONDS;
    char *problem = still_old(work);
    for (size_t i = 0; i < work->count && problem == NULL; i++)
        if (!instance_is_left(&work->instances[i]))
            problem = successor_problem(work, &work->instances[i], patience);
    if (problem != NULL)
        return problem;
    *patience = SHIM_SECONDS;
    return restart_memory_unprotected(work->memory, work->target);
}

static pid_t oldest_awaited(const struct restart_work *work) {
    for (size_t i = 0; i < work->count; i++)
        for (size_t j = 0; j < work->instances[i].stale_count; j++) {
            const struct process_facts *process = restart_process(work, work->instances[i].stale[j]);
            if (!instance_is_left(&work->instances[i]) && process_is(process->process, process->start))
                return process->process;
        }
    return 0;
}

/* Workers of a program that has been replaced are busy with what may take forever. */
static void end_draining(const struct restart_work *work) {
    struct stale_process *stale;
    size_t count = processes_mapping(work->target, work->files, work->file_count, &stale);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < work->count; j++) {
            const struct restart_instance *instance = &work->instances[j];
            struct process_facts process = {.process = stale[i].process, .start = stale[i].start};
            struct mistake ignored;
            process.program = stale[i].program;
            if ((instance->how == RESTART_UPGRADE || instance->how == RESTART_RELOAD) &&
                instance_is_stale(instance, stale[i].process) && !may_stay(instance, &stale[i]))
                process_signal(&process, "TERM", &ignored);
        }
    stale_processes_free(stale, count);
}

static bool wait_for_new(const struct restart_work *work, struct mistake *mistake) {
    uint64_t begun = clock_nanoseconds(CLOCK_MONOTONIC), drained = begun + DRAIN_SECONDS * 1000000000ull;
    for (;;) {
        unsigned patience;
        cleanup_free char *problem = problem_now(work, &patience);
        if (problem == NULL)
            return true;
        if (clock_nanoseconds(CLOCK_MONOTONIC) > drained) {
            end_draining(work);
            drained = UINT64_MAX;
        }
        if (clock_nanoseconds(CLOCK_MONOTONIC) > work->deadline ||
            clock_nanoseconds(CLOCK_MONOTONIC) > begun + patience * 1000000000ull)
            return text_mistake(mistake, 0, "%s", problem);
        wait_moment(oldest_awaited(work));
    }
}

static void name_left(const struct restart_work *work, const struct stale_process *processes, size_t count,
                      char **left) {
    size_t length;
    *left = NULL;
    FILE *out = xopen_memstream(left, &length);
    const char *separator = "";
    for (size_t i = 0; i < count; i++) {
        if (is_awaited(work, &processes[i]) || !process_is(processes[i].process, processes[i].start))
            continue;
        fprintf(out, "%s%s (%d)", separator, processes[i].program, (int)processes[i].process);
        separator = ", ";
    }
    fclose(out);
    if (length == 0)
        free(steal_pointer(left));
}

/* Service managers come last: while they execute themselves anew they answer nobody who wants a service restarted. */
static bool restart_all(struct restart_work *work, bool managers, struct mistake *mistake) {
    bool good = true;
    for (size_t i = 0; i < work->count && good; i++) {
        struct restart_instance *instance = &work->instances[i];
        bool later = process_is_manager(instance->first) != managers;
        good = later || instance_is_left(instance) || do_restart(work, instance, mistake);
    }
    return good;
}

bool restart_stale(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                   size_t count, struct restart_memory *memory, unsigned timeout_seconds, char **left,
                   struct mistake *mistake) {
    unsigned seconds = timeout_seconds < MOST_SECONDS ? timeout_seconds : MOST_SECONDS;
    struct restart_work work = {.target = target,
                                .recipe = recipe,
                                .memory = memory,
                                .deadline = clock_nanoseconds(CLOCK_MONOTONIC) + seconds * 1000000000ull};
    *left = NULL;
    restart_find(&work, processes, count);
    bool good = restart_check(&work, mistake);
    if (good && memory != NULL)
        restart_memory_set_ways(memory, restart_tell(&work));
    if (good && work.count > 0)
        service_read_units(target);
    good = good && restart_all(&work, false, mistake) && restart_all(&work, true, mistake);
    good = good && wait_for_new(&work, mistake);
    if (good)
        name_left(&work, processes, count, left);
    restart_work_free(&work);
    return good;
}
