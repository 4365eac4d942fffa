/* Finding the service of a process. Scripts of the target are read and asked for their status, nothing is changed.
 */
#include "tools/patch/service.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/proc.h"
#include "tools/policy_file.h"
#include "tools/process.h"

#define SCRIPT_BYTES_MOST (1u << 20)
#define SEALED_BYTES_MOST (1u << 20)
#define STATUS_SECONDS 30
#define RC_FORBIDDEN 101 /* invoke-rc.d's policy layer: the action is not allowed */

void service_free(struct service *service) {
    for (size_t i = 0; service->arguments != NULL && service->arguments[i] != NULL; i++)
        free(service->arguments[i]);
    free(service->arguments);
    *service = (struct service){0};
}

static void set_arguments(struct service *service, const char *const *arguments) {
    size_t count = 0;
    for (; *arguments != NULL; arguments++)
        *array_append(service->arguments, count) = xstrdup(*arguments);
    *array_append(service->arguments, count) = NULL;
}

static bool is_there(const struct target *target, const char *path) {
    cleanup_fd int fd = target_openat(target, path, O_PATH | O_CLOEXEC, 0);
    return fd >= 0;
}

/* Its exit status, or -1. */
static int ask(const struct target *target, const char *const *arguments) {
    struct command command = {.arguments = arguments, .timeout_seconds = STATUS_SECONDS};
    struct command_result result;
    struct mistake ignored = {.line = 0};
    bool good = target_run(target, &command, &result, &ignored);
    int status = good ? 0 : result.timed_out || !WIFEXITED(result.status) ? -1 : WEXITSTATUS(result.status);
    command_result_free(&result);
    return status;
}

/* ---- systemd ---- */

#define PERSONAL "/user@" /* the service in which a person's own service manager runs */

/* The line of the one hierarchy that systemd has, or NULL. */
static char *own_line(const char *groups) {
    const char *line = groups != NULL && strncmp(groups, "0::/", 4) != 0 ? strstr(groups, "\n0::/") : groups;
    if (line == NULL)
        return NULL;
    line += *line == '\n';
    return xasprintf("%.*s", (int)strcspn(line, "\n"), line);
}

char *service_group(const char *groups) {
    cleanup_free char *line = own_line(groups);
    if (line == NULL || strstr(line, PERSONAL) != NULL)
        return NULL;
    for (char *slash = strrchr(line, '/'); slash != NULL; slash = strrchr(line, '/')) {
        if (has_suffix(slash, ".service"))
            return xstrdup(strchr(line, '/'));
        *slash = '\0';
    }
    return NULL;
}

bool service_is_personal(pid_t process) {
    cleanup_free char *groups = process_text(process, "cgroup");
    cleanup_free char *line = own_line(groups);
    return line != NULL && strstr(line, PERSONAL) != NULL;
}

/* Ours is none: who restarts it ends us, and is waited for by us. */
static char *unit_of(pid_t process) {
    cleanup_free char *groups = process_text(process, "cgroup");
    cleanup_free char *our_groups = process_text(PROCESS_OURS, "cgroup");
    cleanup_free char *group = service_group(groups), *ours = service_group(our_groups);
    if (group == NULL || (ours != NULL && strcmp(group, ours) == 0))
        return NULL;
    return xstrdup(strrchr(group, '/') + 1);
}

static const char manager[] = "/bin/systemctl";

static bool has_manager(const struct target *target) {
    return is_there(target, "/run/systemd/system") && is_there(target, manager);
}

static char *find_name(const struct target *target, const struct process_facts *process) {
    return has_manager(target) ? unit_of(process->process) : NULL;
}

bool service_has_unit(const struct target *target, const struct process_facts *process) {
    cleanup_free char *unit = find_name(target, process);
    return unit != NULL;
}

static bool find_unit(const struct target *target, const struct process_facts *process, struct service *service) {
    cleanup_free char *unit = find_name(target, process);
    if (unit == NULL)
        return false;
    set_arguments(service, (const char *const[]){manager, "try-restart", unit, NULL});
    return true;
}

void service_read_units(const struct target *target) {
    if (has_manager(target))
        (void)ask(target, (const char *const[]){manager, "daemon-reload", NULL});
}

/* ---- scripts ---- */

static bool is_path_character(char character) {
    return character == '/' || character == '-' || character == '_' || character == '.' ||
           (character >= '0' && character <= '9') || (character >= 'a' && character <= 'z') ||
           (character >= 'A' && character <= 'Z');
}

static bool names_program(const char *script, const char *program) {
    size_t length = strlen(program);
    for (const char *at = strstr(script, program); at != NULL; at = strstr(at + 1, program))
        if ((at == script || !is_path_character(at[-1])) && !is_path_character(at[length]))
            return true;
    return false;
}

static bool script_names(const struct target *target, const char *path, const char *program) {
    struct stat status;
    size_t size;
    cleanup_fd int fd = target_openat(target, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & 0100) == 0 ||
        status.st_uid != 0 || (status.st_mode & 022) != 0)
        return false;
    cleanup_free char *text = fd_read(fd, SCRIPT_BYTES_MOST, &size);
    return text != NULL && names_program(text, program);
}

/* The name by which the program was started, where that is a link to it; else its own. */
static char *started_as(const struct target *target, const struct process_facts *process) {
    struct stat own, named;
    cleanup_free char *comm = process_text(process->process, "comm");
    if (comm == NULL)
        return xstrdup(process->program);
    comm[strcspn(comm, "\n")] = '\0';
    int directory = (int)(base_name(process->program) - process->program);
    cleanup_free char *name = xasprintf("%.*s%s", directory, process->program, comm);
    cleanup_fd int program = target_openat(target, process->program, O_PATH | O_CLOEXEC, 0);
    cleanup_fd int link = target_openat(target, name, O_PATH | O_CLOEXEC, 0);
    bool same = program >= 0 && link >= 0 && fstat(program, &own) == 0 && fstat(link, &named) == 0 &&
                own.st_ino == named.st_ino && own.st_dev == named.st_dev;
    return same ? steal_pointer(&name) : xstrdup(process->program);
}

/* The one script that names the program; NULL when there is none, or several. */
static char *script_of(const struct target *target, const struct process_facts *process) {
    cleanup_free char *program = started_as(target, process);
    int fd = target_openat(target, "/etc/init.d", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    char *found = NULL;
    size_t count = 0;
    for (struct dirent *entry = directory ? readdir(directory) : NULL; entry != NULL; entry = readdir(directory)) {
        cleanup_free char *path = xasprintf("/etc/init.d/%s", entry->d_name);
        if (entry->d_name[0] == '.' || !script_names(target, path, program))
            continue;
        count++;
        free(found);
        found = steal_pointer(&path);
    }
    if (directory != NULL)
        closedir(directory);
    if (count != 1)
        free(steal_pointer(&found));
    return found;
}

enum first_process service_first(const struct process_facts *process) {
    static const struct {
        const char *name;
        enum first_process what;
    } programs[] = {{"systemd", FIRST_MANAGER},     {"init", FIRST_MANAGER},
                    {"tini", FIRST_WRAPPER},        {"tini-static", FIRST_WRAPPER},
                    {"docker-init", FIRST_WRAPPER}, {"dumb-init", FIRST_WRAPPER},
                    {"catatonit", FIRST_WRAPPER},   {"sh", FIRST_SHELL},
                    {"dash", FIRST_SHELL},          {"bash", FIRST_SHELL},
                    {"ash", FIRST_SHELL},           {"busybox", FIRST_SHELL}};
    if (process->inner != 1)
        return FIRST_OTHER;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++)
        if (strcmp(base_name(process->program), programs[i].name) == 0)
            return programs[i].what;
    return FIRST_OTHER;
}

/* Whether the target is a whole system, whose first process is an init. */
static bool has_init(const struct target *target) {
    struct process_facts *all;
    size_t count = processes_all(target, &all);
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = found || service_first(&all[i]) == FIRST_MANAGER;
    process_facts_free(all, count);
    return found;
}

/* The administrator's word on what may be restarted holds for us as it does for packages. Images of containers have
 * this program, too, but there it only keeps packages from starting daemons while the image is built. */
static bool is_forbidden(const struct target *target, const char *script) {
    static const char policy[] = "/usr/sbin/policy-rc.d";
    return has_init(target) && is_there(target, policy) &&
           ask(target, (const char *const[]){policy, base_name(script), "restart", NULL}) == RC_FORBIDDEN;
}

/* Scripts sleep between stop and start: where the signal that ends the program is known, it is sent, and the script only
 * starts. */
static bool find_script(const struct target *target, const struct process_facts *process,
                        const struct service_hint *hint, struct service *service, struct mistake *mistake) {
    const char *stop = hint->stop;
    cleanup_free char *script = script_of(target, process);
    if (script == NULL && hint->script != NULL)
        script = xasprintf("/etc/init.d/%s", hint->script);
    if (script == NULL || ask(target, (const char *const[]){script, "status", NULL}) != 0)
        return false;
    if (is_forbidden(target, script))
        return text_mistake(mistake, 0,
                            "/usr/sbin/policy-rc.d of the target forbids to restart \"%s\": give `restart` for \"%s\" "
                            "in the recipe",
                            base_name(script), process->program);
    set_arguments(service, (const char *const[]){script, stop != NULL ? "start" : "restart", NULL});
    service->stop = stop;
    return true;
}

/* ---- the same command line ---- */

static bool is_root(pid_t process) {
    unsigned users[4] = {1, 1, 1, 1};
    cleanup_free char *status = process_text(process, "status");
    const char *line = status != NULL ? strstr(status, "\nUid:") : NULL;
    return line != NULL && sscanf(line, "\nUid: %u %u %u %u", &users[0], &users[1], &users[2], &users[3]) == 4 &&
           users[0] == 0 && users[1] == 0 && users[2] == 0;
}

/* A daemon has left whoever started it, and has a session of its own: its parent is the first process, or outside of the
 * target. What a supervisor in the target has started, that one starts again. */
static bool is_daemon(const struct target *target, const struct process_facts *process) {
    if (process->inner == 1 || process->parent == 0)
        return false;
    if (!target_has(target, process->parent))
        return process->parent == 1;
    struct process_facts *all;
    enum first_process parent = FIRST_OTHER;
    size_t count = processes_all(target, &all);
    for (size_t i = 0; i < count; i++)
        if (all[i].process == process->parent)
            parent = service_first(&all[i]);
    process_facts_free(all, count);
    return parent == FIRST_MANAGER || (parent != FIRST_OTHER && getsid(process->process) != getsid(process->parent));
}

#define ARGUMENTS_MOST 65536

/* Arguments that a program has replaced by a title cannot be used: then the first is not what it was started as. */
char **service_arguments(const struct target *target, const struct process_facts *process) {
    size_t size, count = 0;
    struct stat started, running;
    cleanup_free char *text = process_bytes(process->process, "cmdline", ARGUMENTS_MOST, &size);
    if (text == NULL || size == 0 || size == ARGUMENTS_MOST || text[0] != '/')
        return NULL;
    cleanup_fd int program = target_openat(target, text, O_PATH | O_CLOEXEC, 0);
    cleanup_fd int other = target_openat(target, process->program, O_PATH | O_CLOEXEC, 0);
    if (program < 0 || other < 0 || fstat(program, &started) != 0 || fstat(other, &running) != 0 ||
        started.st_ino != running.st_ino || started.st_dev != running.st_dev)
        return NULL;
    char **arguments = NULL;
    for (size_t at = 0; at < size; at += strlen(text + at) + 1)
        *array_append(arguments, count) = xstrdup(text + at);
    *array_append(arguments, count) = NULL;
    return arguments;
}

static bool find_command_line(const struct target *target, const struct process_facts *process, const char *stop,
                              struct service *service) {
    if (stop == NULL || !is_root(process->process) || !is_daemon(target, process))
        return false;
    service->arguments = service_arguments(target, process);
    service->stop = stop;
    return service->arguments != NULL;
}

bool service_find(const struct target *target, const struct process_facts *process, const struct service_hint *hint,
                  struct service *service, struct mistake *mistake) {
    mistake->text[0] = '\0';
    *service = (struct service){0};
    if (find_unit(target, process, service) || find_script(target, process, hint, service, mistake))
        return true;
    if (mistake->text[0] != '\0')
        return false;
    if (find_command_line(target, process, hint->stop, service))
        return true;
    service_free(service);
    return text_mistake(mistake, 0,
                        "nothing in the target says how \"%s\" (process %d) is restarted: give `restart` for it in the "
                        "recipe, how = \"command\", or \"signal\" where its supervisor or container starts it again",
                        process->program, (int)process->process);
}

/* ---- environment ---- */

static bool is_trusted_file(const struct target *target, const char *path) {
    struct stat status;
    cleanup_fd int fd = target_openat(target, path, O_PATH | O_CLOEXEC, 0);
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == 0 &&
           (status.st_mode & 022) == 0;
}

/* The mark of our commands, and what programs tell themselves of sockets that they hand to their next binary. */
static bool is_passing(const char *entry) {
    static const char mark[] = COMMAND_MARK "=";
    static const char *const names[] = {
        mark, "NGINX=", "FPM_SOCKETS=", "LISTEN_FDS=", "LISTEN_PID=", "HAPROXY_MWORKER_REEXEC="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static bool is_variable(const char *entry) {
    size_t length = strspn(entry, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return length > 0 && entry[length] == '=' && !is_passing(entry);
}

struct environment {
    char **entries;
    size_t count;
};

/* The one of the same name, or NULL. */
static char **find_variable(const struct environment *environment, const char *entry) {
    size_t name = strcspn(entry, "=") + 1;
    for (size_t i = 0; environment->entries != NULL && i < environment->count; i++)
        if (strncmp(environment->entries[i], entry, name) == 0)
            return &environment->entries[i];
    return NULL;
}

/* What is there stays as it is. */
static void add_variable(struct environment *environment, const char *entry) {
    if (is_variable(entry) && find_variable(environment, entry) == NULL)
        *array_append(environment->entries, environment->count) = xstrdup(entry);
}

static void add_plain(struct environment *environment) {
    static const char *const plain[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                        "HOME=/root", "LC_ALL=C.UTF-8"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        add_variable(environment, plain[i]);
}

/* Programs that show a title write it over their environment: then there is nothing to read. */
static void add_own(struct environment *environment, pid_t process) {
    cleanup_free char *path = xasprintf("/proc/%d/environ", (int)process);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t size = 0;
    cleanup_free char *text = xcalloc(1, 131072 + 1);
    for (ssize_t got = 1; fd >= 0 && got > 0 && size < 131072; size += (size_t)(got > 0 ? got : 0))
        got = read(fd, text + size, 131072 - size);
    for (size_t at = 0; at < size; at += strlen(text + at) + 1)
        add_variable(environment, text + at);
}

/* ---- protection ---- */

/* The library keeps what it hands on to the children of its process in memory of its own, which is sealed, right behind
 * its file. */
static char *read_sealed(pid_t process, size_t *size) {
    cleanup_free char *maps = process_text(process, "maps"), *path = xasprintf("/proc/%d/mem", (int)process);
    cleanup_fd int memory = open(path, O_RDONLY | O_CLOEXEC);
    char *rest = maps, *text = NULL;
    unsigned long begin, end, behind = 0;
    for (char *line = rest ? strsep(&rest, "\n") : NULL; line != NULL; line = strsep(&rest, "\n")) {
        char permissions[5];
        if (sscanf(line, "%lx-%lx %4s", &begin, &end, permissions) != 3)
            continue;
        bool has_path = strchr(line, '/') != NULL || strchr(line, '[') != NULL;
        bool of_shim = strstr(line, "/libpinion.so") != NULL || (!has_path && begin == behind);
        behind = of_shim ? end : 0;
        if (!of_shim || has_path || permissions[1] == 'w' || end - begin > SEALED_BYTES_MOST || text != NULL)
            continue;
        text = xcalloc(1, end - begin + 1);
        ssize_t got = memory >= 0 ? pread(memory, text, end - begin, (off_t)begin) : -1;
        *size = got > 0 ? (size_t)got : 0;
    }
    return text;
}

static void add_sealed(struct environment *environment, pid_t process) {
    static const char name[] = "PINION_";
    size_t size = 0;
    cleanup_free char *text = read_sealed(process, &size);
    const char *at = text;
    while (at != NULL && (at = memmem(at, size - (size_t)(at - text), name, strlen(name))) != NULL) {
        add_variable(environment, at);
        at += strlen(at);
    }
}

static void add_preload(struct environment *environment, const char *shim) {
    cleanup_free char *entry = xasprintf("LD_PRELOAD=%s", shim);
    char **found = find_variable(environment, entry);
    if (found == NULL) {
        add_variable(environment, entry);
    } else if (strstr(*found, base_name(shim)) == NULL) {
        char *both = xasprintf("%s:%s", entry, *found + strlen("LD_PRELOAD="));
        free(*found);
        *found = both;
    }
}

/* As the kernel tells what it maps. */
static void add_protection(struct environment *environment, const struct target *target, pid_t process) {
    struct process facts;
    bool known = process_read(&facts, process);
    cleanup_free char *shim = known && facts.shim != NULL ? processes_inside(target, facts.shim) : NULL;
    cleanup_free char *policy = known && facts.policy != NULL ? processes_inside(target, facts.policy) : NULL;
    process_free(&facts);
    if (shim == NULL || !is_trusted_file(target, shim))
        return;
    add_preload(environment, shim);
    if (policy == NULL || strrchr(policy, '/') == NULL || !is_trusted_file(target, policy))
        return;
    cleanup_free char *entry = xasprintf("PINION_POLICY_DIR=%.*s", (int)(strrchr(policy, '/') - policy), policy);
    add_variable(environment, entry);
}

static char **finish(struct environment *environment) {
    *array_append(environment->entries, environment->count) = NULL;
    return environment->entries;
}

char **service_own_environment(const struct target *target, pid_t process) {
    struct environment environment = {NULL, 0};
    add_own(&environment, process);
    if (environment.count == 0)
        add_plain(&environment);
    add_sealed(&environment, process);
    add_protection(&environment, target, process);
    return finish(&environment);
}

char **service_environment(const struct target *target, const struct process_facts *process) {
    struct environment environment = {NULL, 0};
    if (is_root(process->process))
        return service_own_environment(target, process->process);
    add_plain(&environment);
    add_protection(&environment, target, process->process);
    return finish(&environment);
}
