/* Restarting what runs old code. Signals go to processes that are held by a descriptor; what the target says of itself
 * (arguments, environment) is used with no more power than the process has that says it.
 */
#include "tools/patch/restart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/groups.h"
#include "tools/patch/proc.h"
#include "tools/patch/restart_memory.h"
#include "tools/patch/service.h"
#include "tools/process.h"

#define POLL_MILLISECONDS 20
#define MOST_SECONDS 120      /* for all programs together: nothing that comes later makes it good */
#define START_SECONDS 3       /* until a new binary is there at all */
#define SUCCESSOR_SECONDS 20  /* until a new binary serves */
#define ABSENT_SECONDS 10     /* until a program that has ended runs again */
#define SUPERVISOR_SECONDS 30 /* likewise, where a supervisor starts it, which may wait before it does */
#define SHIM_SECONDS 5        /* until a new process has loaded libpinion.so */
#define DRAIN_SECONDS 30      /* old processes may finish what they have begun; then they are told to end */

static const struct restart_row rows[] = {
#define RESTART_ROW(program, how, signal, stop, script, command, package, children, sessions, why) \
    {program, RESTART_##how, signal, stop, script, command, package, children, sessions, why},
#include "tools/patch/restart.def"
};

static const char *base_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

const struct restart_row *restart_known(const char *program) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].program, rows[i].program[0] == '/' ? program : base_of(program)) == 0)
            return &rows[i];
    return NULL;
}

/* ---- what is restarted, and how ---- */

/* One running instance of a program, from its first process down. */
struct instance {
    struct process_facts *first; /* in work.all */
    pid_t *stale;                /* numbers of its stale processes */
    size_t stale_count;
    enum restart_how how;
    const char *signal;
    const char *why;
    char *const *command;          /* of the recipe */
    const struct restart_row *row; /* or NULL */
    struct service service;
    struct groups groups; /* where the first process is, and what takes its place belongs */
    char **environment;   /* for commands that start it: as long as it runs it can be asked */
    bool named;           /* by the recipe */
    bool serves;          /* or its parent or one of its children does */
    bool protected;       /* by libpinion.so */
};

struct work {
    const struct target *target;
    const struct recipe *recipe;
    struct restart_memory *memory; /* or NULL */
    struct process_facts *all;
    size_t all_count;
    struct instance *instances;
    size_t count;
    struct file_identity *files; /* the old ones */
    size_t file_count;
    uint64_t deadline;
};

static struct process_facts *find_process(const struct work *work, pid_t process) {
    for (size_t i = 0; i < work->all_count; i++)
        if (work->all[i].process == process)
            return &work->all[i];
    return NULL;
}

/* A service manager holds the sockets of what it starts, and is none of it. A helper that nobody reaches is part of the
 * server that has started it. */
static bool belongs_to(const struct process_facts *process, const struct process_facts *parent) {
    if (strcmp(process->program, parent->program) == 0)
        return true;
    if (parent->inner == 1 && restart_known(parent->program) == NULL)
        return false;
    return processes_share_listener(process->process, parent->process) ||
           (process_serves(parent->process) && !process_serves(process->process));
}

static struct process_facts *first_of(const struct work *work, struct process_facts *process) {
    for (size_t steps = 0; steps < work->all_count; steps++) {
        struct process_facts *parent = find_process(work, process->parent);
        if (parent == NULL || !belongs_to(process, parent))
            break;
        process = parent;
    }
    return process;
}

static bool is_stale(const struct instance *instance, pid_t process) {
    for (size_t i = 0; i < instance->stale_count; i++)
        if (instance->stale[i] == process)
            return true;
    return false;
}

static const struct recipe_restart *recipe_says(const struct recipe *recipe, const char *program) {
    for (size_t i = 0; recipe != NULL && i < recipe->restart_count; i++)
        if (strcmp(recipe->restarts[i].program, program) == 0)
            return &recipe->restarts[i];
    return NULL;
}

static bool has_child(const struct work *work, const struct process_facts *first) {
    for (size_t i = 0; i < work->all_count; i++)
        if (work->all[i].parent == first->process && strcmp(work->all[i].program, first->program) == 0)
            return true;
    return false;
}

static void use_table(const struct work *work, struct instance *instance, enum restart_how wanted) {
    const struct restart_row *row = instance->row;
    instance->how = RESTART_SERVICE;
    instance->why = "by what it belongs to";
    if (row == NULL || (row->children && !has_child(work, instance->first)) || (wanted && wanted != row->how))
        return;
    instance->how = row->how;
    instance->signal = row->signal;
    instance->why = row->why;
}

static void choose(const struct work *work, struct instance *instance) {
    const struct recipe_restart *said = recipe_says(work->recipe, instance->first->program);
    instance->row = restart_known(instance->first->program);
    instance->named = said != NULL;
    use_table(work, instance, RESTART_AUTO);
    if (said == NULL || said->how == RESTART_AUTO)
        return;
    use_table(work, instance, said->how);
    instance->how = said->how;
    instance->why = "the recipe says so";
    if (said->signal != NULL)
        instance->signal = said->signal;
    instance->command = said->command;
}

/* What has lost its protection since gets it again. */
static void find_protection(const struct work *work, struct instance *instance) {
    instance->protected = process_is_protected(instance->first->process);
    instance->environment =
        instance->protected ? NULL : restart_memory_protection(work->memory, instance->first->program);
    instance->protected = instance->protected || instance->environment != NULL;
    if (instance->environment == NULL)
        instance->environment = service_environment(work->target, instance->first);
}

static struct instance *instance_of(struct work *work, struct process_facts *first) {
    for (size_t i = 0; i < work->count; i++)
        if (work->instances[i].first == first)
            return &work->instances[i];
    struct instance *instance = array_append(work->instances, work->count);
    instance->first = first;
    choose(work, instance);
    find_protection(work, instance);
    struct process_facts *parent = find_process(work, first->parent);
    instance->serves =
        process_serves(first->process) || (parent != NULL && parent->inner != 1 && process_serves(parent->process));
    return instance;
}

static void add_files(struct work *work, const struct stale_process *process) {
    for (size_t i = 0; i < process->file_count; i++)
        *array_append(work->files, work->file_count) = process->files[i];
}

static void find_instances(struct work *work, const struct stale_process *processes, size_t count) {
    work->all_count = processes_all(work->target, &work->all);
    for (size_t i = 0; i < count; i++) {
        struct process_facts *process = find_process(work, processes[i].process);
        if (process == NULL || process->start != processes[i].start)
            continue;
        struct instance *instance = instance_of(work, first_of(work, process));
        *array_append(instance->stale, instance->stale_count) = process->process;
        instance->serves = instance->serves || process_serves(process->process);
        instance->protected = instance->protected || process_is_protected(process->process);
        add_files(work, &processes[i]);
    }
}

static void work_free(struct work *work) {
    for (size_t i = 0; i < work->count; i++) {
        service_free(&work->instances[i].service);
        groups_close(&work->instances[i].groups);
        texts_free(work->instances[i].environment);
        free(work->instances[i].stale);
    }
    free(work->instances);
    free(work->files);
    process_facts_free(work->all, work->all_count);
}

static bool is_left(const struct instance *instance) {
    return instance->how == RESTART_NONE || (!instance->serves && !instance->named && instance->row == NULL);
}

/* ---- whether there is a way ---- */

/* nginx executes what it was called: a name without a path is not looked up. */
static bool has_absolute_name(pid_t process) {
    cleanup_free char *arguments = process_text(process, "cmdline");
    const char *name = arguments != NULL ? arguments : "";
    const char *title = strstr(name, "master process ");
    return (title != NULL ? title + strlen("master process ") : name)[0] == '/';
}

/* A daemon has the null device for input and output. In the foreground nginx ignores the signal. */
static bool is_daemon(pid_t process) {
    for (int i = 0; i < 2; i++) {
        struct stat status;
        cleanup_free char *path = xasprintf("/proc/%d/fd/%d", (int)process, i);
        if (stat(path, &status) != 0 || !S_ISCHR(status.st_mode) || status.st_rdev != makedev(1, 3))
            return false;
    }
    return true;
}

/* NULL: it can. */
static const char *why_no_upgrade(pid_t process) {
    if (!has_absolute_name(process))
        return "it was started without its path and cannot start a new binary by itself";
    return is_daemon(process) ? NULL : "it runs in the foreground and cannot start a new binary by itself";
}

static bool find_service(const struct work *work, struct instance *instance, struct mistake *mistake) {
    struct service_hint hint = {NULL, NULL};
    if (instance->row != NULL)
        hint = (struct service_hint){instance->row->stop, instance->row->script};
    return service_find(work->target, instance->first, &hint, &instance->service, mistake);
}

/* Runs one program, and ends with it. */
static bool is_wrapper(const struct process_facts *process) {
    static const char *const names[] = {"tini", "tini-static", "docker-init", "dumb-init", "catatonit"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(base_of(process->program), names[i]) == 0)
            return process->inner == 1;
    return false;
}

/* Whether nothing is left of its container when it ends. A daemon in the care of a wrapper has a session of its own. */
static bool is_container(const struct work *work, const struct process_facts *first) {
    const struct process_facts *parent = find_process(work, first->parent);
    if (first->inner == 1)
        return true;
    return parent != NULL && is_wrapper(parent) &&
           (getsid(first->process) == getsid(parent->process) || !is_daemon(first->process));
}

/* All but what a person has written in the recipe, and signals at which programs execute themselves anew. */
static bool ends_program(const struct instance *instance) {
    return instance->how == RESTART_SERVICE || (instance->how == RESTART_UPGRADE && instance->command == NULL) ||
           (instance->how == RESTART_COMMAND && instance->command == NULL);
}

static bool check_container(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    if (!ends_program(instance) || !is_container(work, instance->first))
        return true;
    return text_mistake(
        mistake, 0,
        "process %d of \"%s\" is what its container runs: stopping it ends the container; give "
        "`restart` for it in the recipe: how = \"signal\"; signal = \"QUIT\", where whatever supervises "
        "the container starts it again with the same file system, or how = \"none\", and restart the "
        "container yourself",
        (int)instance->first->process, instance->first->program);
}

static bool check_way(const struct work *work, struct instance *instance, struct mistake *mistake) {
    const char *program = instance->first->program;
    if (!check_container(work, instance, mistake))
        return false;
    const char *obstacle =
        instance->how == RESTART_UPGRADE && instance->command == NULL ? why_no_upgrade(instance->first->process) : NULL;
    if (obstacle != NULL) {
        struct mistake why = {.line = 0};
        instance->how = RESTART_SERVICE;
        instance->why = obstacle;
        return find_service(work, instance, &why) ||
               text_mistake(mistake, 0, "\"%s\": %s; %s", program, obstacle, why.text);
    }
    if (instance->how == RESTART_SERVICE)
        return find_service(work, instance, mistake);
    if ((instance->how == RESTART_UPGRADE || instance->how == RESTART_RELOAD) && instance->signal == NULL &&
        instance->command == NULL)
        return text_mistake(mistake, 0,
                            "no way to %s \"%s\" is known: give \"command\" or \"signal\" for it in the recipe",
                            restart_how_word(instance->how), program);
    return true;
}

static bool check_ways(struct work *work, struct mistake *mistake) {
    for (size_t i = 0; i < work->count; i++)
        if (!is_left(&work->instances[i]) && !check_way(work, &work->instances[i], mistake))
            return false;
    return true;
}

/* ---- telling ---- */

static void put_words(FILE *out, char *const *words) {
    for (size_t i = 0; words != NULL && words[i] != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", words[i]);
}

static void put_service(FILE *out, const struct service *service) {
    if (service->stop != NULL)
        fprintf(out, "SIG%s, then ", service->stop);
    put_words(out, service->arguments);
}

static void put_signal(FILE *out, const char *name) {
    fprintf(out, "%s%s", strncmp(name, "SIG", 3) == 0 ? "" : "SIG", name);
}

/* After check_way. */
static void put_way(FILE *out, const struct instance *instance) {
    fprintf(out, "%s: %s", instance->first->program,
            restart_how_word(is_left(instance) ? RESTART_NONE : instance->how));
    if (is_left(instance)) {
        fprintf(out, ": %s", instance->how == RESTART_NONE ? instance->why : "nobody reaches it: it is left to end");
        return;
    }
    fputs(", ", out);
    if (instance->how == RESTART_SERVICE)
        put_service(out, &instance->service);
    else if (instance->command != NULL)
        put_words(out, instance->command);
    else if (instance->signal != NULL)
        put_signal(out, instance->signal);
    else if (instance->row != NULL && instance->row->command != NULL)
        fputs(instance->row->command, out);
    fprintf(out, ": %s", instance->why);
}

static char *tell_ways(const struct work *work) {
    char *text = NULL;
    size_t size;
    FILE *out = xopen_memstream(&text, &size);
    for (size_t i = 0; i < work->count; i++) {
        fputs(i > 0 ? "; " : "", out);
        put_way(out, &work->instances[i]);
    }
    fclose(out);
    return text;
}

/* How the program's processes in the target would be restarted, or NULL: none runs. */
static char *describe_running(const struct target *target, const struct recipe *recipe, const char *program) {
    struct work work = {.target = target, .recipe = recipe};
    struct mistake mistake = {.line = 0};
    work.all_count = processes_all(target, &work.all);
    for (size_t i = 0; i < work.all_count; i++) {
        if (strcmp(work.all[i].program, program) != 0)
            continue;
        struct instance *instance = instance_of(&work, first_of(&work, &work.all[i]));
        instance->serves = instance->serves || process_serves(work.all[i].process);
    }
    char *text = NULL;
    if (work.count > 0)
        text = check_ways(&work, &mistake) ? tell_ways(&work) : xasprintf("%s: refused: %s", program, mistake.text);
    work_free(&work);
    return text;
}

static char *describe_known(const struct recipe *recipe, const char *program) {
    const struct recipe_restart *said = recipe_says(recipe, program);
    const struct restart_row *row = restart_known(program);
    enum restart_how how = said != NULL && said->how != RESTART_AUTO ? said->how
                           : row != NULL                             ? row->how
                                                                     : RESTART_SERVICE;
    const char *signal = said != NULL && said->signal != NULL ? said->signal
                         : row != NULL && row->how == how     ? row->signal
                                                              : NULL;
    const char *why = said != NULL && said->how != RESTART_AUTO ? "the recipe says so"
                      : row != NULL                             ? row->why
                                                                : "by the service that it belongs to";
    return xasprintf("%s: %s%s%s: %s", program, restart_how_word(how), signal != NULL ? ", SIG" : "",
                     signal != NULL ? signal : "", why);
}

char *restart_describe(const struct target *target, const struct recipe *recipe, const char *program) {
    char *text = target != NULL ? describe_running(target, recipe, program) : NULL;
    return text != NULL ? text : describe_known(recipe, program);
}

/* ---- remembering ---- */

/* How the program is started while nothing of it runs. */
static void remember(const struct work *work, const struct instance *instance, struct restart_memory *memory) {
    char *const *start = instance->how == RESTART_COMMAND ? instance->command : instance->service.arguments;
    char *const line[] = {"/bin/sh", "-c", instance->row != NULL ? (char *)(uintptr_t)instance->row->command : NULL,
                          NULL};
    if (start == NULL && line[2] != NULL)
        start = line;
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
                                        .supervised = instance->how == RESTART_SIGNAL,
                                        .protected = instance->protected};
    restart_memory_add(memory, work->target, instance->first, &facts);
    service_free(&service);
}

bool restart_possible(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                      size_t count, struct restart_memory **memory, struct mistake *mistake) {
    struct work work = {.target = target, .recipe = recipe};
    find_instances(&work, processes, count);
    bool possible = check_ways(&work, mistake);
    if (memory != NULL)
        *memory = restart_memory_make();
    if (memory != NULL && possible)
        restart_memory_set_ways(*memory, tell_ways(&work));
    for (size_t i = 0; i < work.count && possible && memory != NULL; i++)
        if (!is_left(&work.instances[i]))
            remember(&work, &work.instances[i], *memory);
    work_free(&work);
    return possible;
}

/* ---- doing it ---- */

/* Sleeps until the process ends, or a moment has passed: what else is waited for gives no sign. */
static void wait_moment(pid_t process) {
    cleanup_fd int handle = pidfd_open(process, 0);
    struct pollfd waiting = {.fd = handle, .events = POLLIN};
    poll(&waiting, handle >= 0 ? 1 : 0, POLL_MILLISECONDS);
}

static bool wait_for_end(const struct work *work, const struct instance *instance) {
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

static bool is_new(const struct work *work, const struct process_facts *process) {
    const struct process_facts *known = find_process(work, process->process);
    return known == NULL || known->start != process->start;
}

static enum successor look_for_successor(const struct work *work, const struct instance *instance) {
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
static bool wait_for_successor(const struct work *work, const struct instance *instance) {
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

static bool run_in_target(const struct work *work, const struct instance *instance, char *const *arguments,
                          struct mistake *mistake) {
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

static bool run_given(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    char *const line[] = {"/bin/sh", "-c", instance->row != NULL ? (char *)(uintptr_t)instance->row->command : NULL,
                          NULL};
    if (instance->command == NULL && line[2] != NULL)
        return run_in_target(work, instance, line, mistake);
    return run_in_target(work, instance, instance->command, mistake);
}

static bool do_upgrade(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    if (instance->command != NULL)
        return run_given(work, instance, mistake);
    if (!process_signal(instance->first, instance->signal, mistake))
        return false;
    if (!wait_for_successor(work, instance))
        return text_mistake(mistake, 0, "\"%s\" did not start its new binary at %s: see its log",
                            instance->first->program, instance->signal);
    return process_signal(instance->first, "QUIT", mistake);
}

static bool do_reload(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    return instance->command != NULL ? run_given(work, instance, mistake)
                                     : process_signal(instance->first, instance->signal, mistake);
}

static bool stop_and_start(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    if (!process_signal(instance->first, instance->service.stop, mistake))
        return false;
    if (!wait_for_end(work, instance))
        return text_mistake(mistake, 0, "\"%s\" did not end in time at %s", instance->first->program,
                            instance->service.stop);
    return run_in_target(work, instance, instance->service.arguments, mistake);
}

static bool do_service(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    if (instance->service.stop != NULL)
        return stop_and_start(work, instance, mistake);
    return run_in_target(work, instance, instance->service.arguments, mistake);
}

static bool do_signal(const struct work *work, const struct instance *instance, struct mistake *mistake) {
    (void)work;
    return process_signal(instance->first, instance->signal, mistake);
}

/* A service stays accounted for, and limited, as it was; where its groups cannot be joined, it is among ours. systemd
 * does this by itself, and ends whoever is in the group of what it stops. */
static void find_groups(const struct work *work, struct instance *instance) {
    struct mistake ignored = {.line = 0};
    if (!service_has_unit(work->target, instance->first))
        groups_open(&instance->groups, instance->first->process, &ignored);
}

static bool do_restart(const struct work *work, struct instance *instance, struct mistake *mistake) {
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
    case RESTART_SIGNAL: return do_signal(work, instance, mistake);
    case RESTART_AUTO:
    case RESTART_NONE: break;
    }
    return true;
}

/* ---- what comes of it ---- */

static bool may_stay(const struct instance *instance, const struct stale_process *process) {
    return instance->row != NULL && instance->row->sessions && process->process != instance->first->process &&
           !process_serves(process->process);
}

/* Old processes of what was restarted, also those that were started since. */
static bool is_awaited(const struct work *work, const struct stale_process *process) {
    for (size_t i = 0; i < work->count; i++) {
        const struct instance *instance = &work->instances[i];
        bool of_instance =
            is_stale(instance, process->process) || strcmp(process->program, instance->first->program) == 0;
        if (of_instance && !is_left(instance) && !may_stay(instance, process))
            return true;
    }
    return false;
}

/* The first awaited process that still maps old files, as a text, or NULL. */
static char *still_old(const struct work *work) {
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
static char *successor_problem(const struct work *work, const struct instance *instance, unsigned *patience) {
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
static char *problem_now(const struct work *work, unsigned *patience) {
    *patience = MOST_SECONDS;
    char *problem = still_old(work);
    for (size_t i = 0; i < work->count && problem == NULL; i++)
        if (!is_left(&work->instances[i]))
            problem = successor_problem(work, &work->instances[i], patience);
    if (problem != NULL)
        return problem;
    *patience = SHIM_SECONDS;
    return restart_memory_unprotected(work->memory, work->target);
}

static pid_t oldest_awaited(const struct work *work) {
    for (size_t i = 0; i < work->count; i++)
        for (size_t j = 0; j < work->instances[i].stale_count; j++) {
            const struct process_facts *process = find_process(work, work->instances[i].stale[j]);
            if (!is_left(&work->instances[i]) && process_is(process->process, process->start))
                return process->process;
        }
    return 0;
}

/* Workers of a program that has been replaced are busy with what may take forever. */
static void end_draining(const struct work *work) {
    struct stale_process *stale;
    size_t count = processes_mapping(work->target, work->files, work->file_count, &stale);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < work->count; j++) {
            const struct instance *instance = &work->instances[j];
            struct process_facts process = {.process = stale[i].process, .start = stale[i].start};
            struct mistake ignored;
            process.program = stale[i].program;
            if ((instance->how == RESTART_UPGRADE || instance->how == RESTART_RELOAD) &&
                is_stale(instance, stale[i].process) && !may_stay(instance, &stale[i]))
                process_signal(&process, "TERM", &ignored);
        }
    stale_processes_free(stale, count);
}

static bool wait_for_new(const struct work *work, struct mistake *mistake) {
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

static void name_left(const struct work *work, const struct stale_process *processes, size_t count, char **left) {
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

bool restart_stale(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                   size_t count, struct restart_memory *memory, unsigned timeout_seconds, char **left,
                   struct mistake *mistake) {
    unsigned seconds = timeout_seconds < MOST_SECONDS ? timeout_seconds : MOST_SECONDS;
    struct work work = {.target = target,
                        .recipe = recipe,
                        .memory = memory,
                        .deadline = clock_nanoseconds(CLOCK_MONOTONIC) + seconds * 1000000000ull};
    *left = NULL;
    find_instances(&work, processes, count);
    bool good = check_ways(&work, mistake);
    if (good && memory != NULL)
        restart_memory_set_ways(memory, tell_ways(&work));
    if (good && work.count > 0)
        service_read_units(target);
    for (size_t i = 0; i < work.count && good; i++)
        good = is_left(&work.instances[i]) || do_restart(&work, &work.instances[i], mistake);
    good = good && wait_for_new(&work, mistake);
    if (good)
        name_left(&work, processes, count, left);
    work_free(&work);
    return good;
}
