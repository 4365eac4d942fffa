/* What is known of programs that run: where they begin, who reaches them, what restarts them. Nothing is touched here;
 * what a process says of itself decides only about itself.
 */
#include "tools/patch/restart_way.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/proc.h"
#include "tools/patch/restart_memory.h"
#include "tools/policy_file.h"
#include "tools/process.h"

static const struct restart_row rows[] = {
#define RESTART_ROW(program, how, signal, stop, script, command, package, children, sessions, why) \
    {program, RESTART_##how, signal, stop, script, command, package, children, sessions, why},
#include "tools/patch/restart.def"
};

const struct restart_row *restart_known(const char *program) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].program, rows[i].program[0] == '/' ? program : base_name(program)) == 0)
            return &rows[i];
    return NULL;
}

/* ---- what is restarted, and how ---- */

struct process_facts *restart_process(const struct restart_work *work, pid_t process) {
    for (size_t i = 0; i < work->all_count; i++)
        if (work->all[i].process == process)
            return &work->all[i];
    return NULL;
}

bool restart_is_predecessor(const struct process_facts *process, const struct process_facts *parent) {
    const struct restart_row *row = restart_known(process->program);
    return strcmp(process->program, parent->program) == 0 && row != NULL && row->how == RESTART_UPGRADE &&
           process_serves(process->process) && !process_serves(parent->process);
}

/* "systemd --user": a person's own service manager. */
static bool is_personal_manager(const struct process_facts *process) {
    static const char user[] = "--user";
    size_t size = 0;
    cleanup_free char *text =
        process_is_manager(process) ? process_bytes(process->process, "cmdline", 4096, &size) : NULL;
    const char *first = text != NULL ? text + strlen(text) + 1 : NULL;
    return first != NULL && first < text + size && strcmp(first, user) == 0;
}

/* A service manager holds the sockets of what it starts, and is none of it; a person's is none of the system's. What it
 * is about to start still is a copy of it, which the signal that it understands would end. A helper that nobody reaches is
 * part of the server that has started it. */
static bool belongs_to(const struct process_facts *process, const struct process_facts *parent) {
    if (strcmp(process->program, parent->program) == 0)
        return (parent->inner != 1 || !is_personal_manager(process)) && !restart_is_predecessor(process, parent);
    if (process_is_manager(parent) || (parent->inner == 1 && restart_known(parent->program) == NULL))
        return false;
    return processes_share_listener(process->process, parent->process) ||
           (process_serves(parent->process) && !process_serves(process->process));
}

static struct process_facts *first_of(const struct restart_work *work, struct process_facts *process) {
    for (size_t steps = 0; steps < work->all_count; steps++) {
        struct process_facts *parent = restart_process(work, process->parent);
        if (parent == NULL || !belongs_to(process, parent))
            break;
        process = parent;
    }
    return process;
}

bool instance_is_stale(const struct restart_instance *instance, pid_t process) {
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

bool restart_has_child(const struct restart_work *work, const struct process_facts *first) {
    for (size_t i = 0; i < work->all_count; i++)
        if (work->all[i].parent == first->process && strcmp(work->all[i].program, first->program) == 0)
            return true;
    return false;
}

static void use_table(const struct restart_work *work, struct restart_instance *instance, enum restart_how wanted) {
    const struct restart_row *row = instance->row;
    instance->how = RESTART_SERVICE;
    instance->why = "by what it belongs to";
    if (row == NULL || (row->children && !restart_has_child(work, instance->first)) || (wanted && wanted != row->how))
        return;
    instance->how = row->how;
    instance->signal = row->signal;
    instance->why = row->why;
}

static void choose(const struct restart_work *work, struct restart_instance *instance) {
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
static void find_protection(const struct restart_work *work, struct restart_instance *instance) {
    instance->protected = process_is_protected(instance->first->process);
    instance->environment =
        instance->protected ? NULL : restart_memory_protection(work->memory, instance->first->program);
    instance->protected = instance->protected || instance->environment != NULL;
    if (instance->environment == NULL)
        instance->environment = service_environment(work->target, instance->first);
}

static struct restart_instance *instance_of(struct restart_work *work, struct process_facts *first) {
    for (size_t i = 0; i < work->count; i++)
        if (work->instances[i].first == first)
            return &work->instances[i];
    struct restart_instance *instance = array_append(work->instances, work->count);
    instance->first = first;
    choose(work, instance);
    find_protection(work, instance);
    struct process_facts *parent = restart_process(work, first->parent);
    instance->ours = process_shares(first->process, PROCESS_OURS, "exe");
    instance->personal = !process_is_manager(first) && service_is_personal(first->process);
    instance->serves =
        process_serves(first->process) ||
        (parent != NULL && parent->inner != 1 && !process_is_manager(parent) && process_serves(parent->process));
    return instance;
}

static void add_files(struct restart_work *work, const struct stale_process *process) {
    for (size_t i = 0; i < process->file_count; i++)
        *array_append(work->files, work->file_count) = process->files[i];
}

void restart_find(struct restart_work *work, const struct stale_process *processes, size_t count) {
    work->all_count = processes_all(work->target, &work->all);
    for (size_t i = 0; i < count; i++) {
        struct process_facts *process = restart_process(work, processes[i].process);
        if (process == NULL || process->start != processes[i].start)
            continue;
        struct restart_instance *instance = instance_of(work, first_of(work, process));
        *array_append(instance->stale, instance->stale_count) = process->process;
        instance->serves = instance->serves || process_serves(process->process);
        instance->protected = instance->protected || process_is_protected(process->process);
        add_files(work, &processes[i]);
    }
}

void restart_work_free(struct restart_work *work) {
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

/* Why it goes on with its old code, or NULL: it is restarted. What a person runs for himself ends with his session. */
static const char *why_left(const struct restart_instance *instance) {
    if (instance->ours)
        return "a helper starts itself anew when the patch is done";
    if (instance->how == RESTART_NONE)
        return instance->why;
    if (instance->personal && !instance->named)
        return "it is a person's own: it is left to end";
    return !instance->serves && !instance->named && instance->row == NULL ? "nobody reaches it: it is left to end"
                                                                          : NULL;
}

bool instance_is_left(const struct restart_instance *instance) {
    return why_left(instance) != NULL;
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

static bool find_service(const struct restart_work *work, struct restart_instance *instance, struct mistake *mistake) {
    struct service_hint hint = {NULL, NULL};
    if (instance->row != NULL)
        hint = (struct service_hint){instance->row->stop, instance->row->script};
    return service_find(work->target, instance->first, &hint, &instance->service, mistake);
}

/* What has been adopted since is younger than what a wrapper was started for. */
static bool is_oldest_child(const struct restart_work *work, const struct process_facts *process) {
    for (size_t i = 0; i < work->all_count; i++)
        if (work->all[i].parent == process->parent &&
            (work->all[i].start < process->start ||
             (work->all[i].start == process->start && work->all[i].inner < process->inner)))
            return false;
    return true;
}

/* Whether nothing is left of its container when it ends. */
static bool is_container(const struct restart_work *work, const struct process_facts *first) {
    const struct process_facts *parent = restart_process(work, first->parent);
    if (first->inner == 1)
        return true;
    switch (parent != NULL ? service_first(parent) : FIRST_OTHER) {
    case FIRST_WRAPPER: return is_oldest_child(work, first);
    case FIRST_SHELL: return getsid(first->process) == getsid(parent->process);
    case FIRST_MANAGER:
    case FIRST_OTHER: break;
    }
    return false;
}

/* All but what a person has written in the recipe, and signals at which programs execute themselves anew. */
static bool ends_program(const struct restart_instance *instance) {
    return instance->how == RESTART_SERVICE || (instance->how == RESTART_UPGRADE && instance->command == NULL) ||
           (instance->how == RESTART_COMMAND && instance->command == NULL);
}

static bool check_container(const struct restart_work *work, const struct restart_instance *instance,
                            struct mistake *mistake) {
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

static bool check_way(const struct restart_work *work, struct restart_instance *instance, struct mistake *mistake) {
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

bool restart_check(struct restart_work *work, struct mistake *mistake) {
    for (size_t i = 0; i < work->count; i++)
        if (!instance_is_left(&work->instances[i]) && !check_way(work, &work->instances[i], mistake))
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
static void put_way(FILE *out, const struct restart_instance *instance) {
    fprintf(out, "%s: %s", instance->first->program,
            restart_how_word(instance_is_left(instance) ? RESTART_NONE : instance->how));
    if (instance_is_left(instance)) {
        fprintf(out, ": %s", why_left(instance));
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

char *restart_tell(const struct restart_work *work) {
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
    struct restart_work work = {.target = target, .recipe = recipe};
    struct mistake mistake = {.line = 0};
    work.all_count = processes_all(target, &work.all);
    for (size_t i = 0; i < work.all_count; i++) {
        if (strcmp(work.all[i].program, program) != 0)
            continue;
        struct restart_instance *instance = instance_of(&work, first_of(&work, &work.all[i]));
        instance->serves = instance->serves || process_serves(work.all[i].process);
    }
    char *text = NULL;
    if (work.count > 0)
        text =
            restart_check(&work, &mistake) ? restart_tell(&work) : xasprintf("%s: refused: %s", program, mistake.text);
    restart_work_free(&work);
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
