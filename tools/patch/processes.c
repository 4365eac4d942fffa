/* Reading /proc for what a target runs. Everything there may vanish while it is read, and names in it are the target's:
 * files are told by device and inode, processes by number and start.
 */
#include "tools/patch/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/text.h"
#include "runtime/util.h"

#define DELETED " (deleted)"

static bool cut_deleted(char *path) {
    size_t length = strlen(path);
    if (length <= strlen(DELETED) || strcmp(path + length - strlen(DELETED), DELETED) != 0)
        return false;
    path[length - strlen(DELETED)] = '\0';
    return true;
}

/* ---- the target's processes ---- */

/* What the kernel puts before paths of a target that is a directory of our own; "" for namespaces and our own root. */
static void root_prefix(const struct target *target, char prefix[PATH_MAX]) {
    cleanup_free char *link = xasprintf("/proc/self/fd/%d", target->descriptor);
    ssize_t length = readlink(link, prefix, PATH_MAX - 1);
    prefix[length > 1 ? length : 0] = '\0';
}

static const char *inside(const char *path, const char *prefix) {
    size_t length = strlen(prefix);
    return length > 0 && strncmp(path, prefix, length) == 0 && path[length] == '/' ? path + length : path;
}

char *processes_inside(const struct target *target, const char *path) {
    char prefix[PATH_MAX];
    root_prefix(target, prefix);
    return xstrdup(inside(path, prefix));
}

static char *read_program(pid_t process, const char *prefix) {
    char path[PATH_MAX];
    cleanup_free char *link = xasprintf("/proc/%d/exe", (int)process);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return NULL;
    path[length] = '\0';
    cut_deleted(path);
    return xstrdup(inside(path, prefix));
}

/* Of a program that a service manager has mounted by itself no name is left when its file is replaced: the kernel then
 * takes that mount away. It is still the one that was seen before. */
static struct {
    struct process_facts *items;
    size_t count;
} seen;

static char *seen_program(const struct process_facts *process) {
    for (size_t i = 0; i < seen.count; i++)
        if (seen.items[i].process == process->process && seen.items[i].start == process->start)
            return xstrdup(seen.items[i].program);
    return NULL;
}

static void see(const struct process_facts *processes, size_t count) {
    process_facts_free(seen.items, seen.count);
    seen.items = NULL;
    seen.count = 0;
    for (size_t i = 0; i < count; i++) {
        struct process_facts *item = array_append(seen.items, seen.count);
        *item = processes[i];
        item->program = xstrdup(processes[i].program);
    }
}

static char *name_program(const struct process_facts *process, const char *prefix) {
    char *program = read_program(process->process, prefix);
    char *known = program != NULL && strcmp(program, "/") == 0 ? seen_program(process) : NULL;
    if (known == NULL)
        return program;
    free(program);
    return known;
}

static pid_t inner_number(pid_t process) {
    cleanup_free char *status = process_text(process, "status");
    return status != NULL ? process_inner(status) : 0;
}

static int compare_age(const void *left, const void *right) {
    const struct process_facts *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return (a->process > b->process) - (a->process < b->process);
}

/* Where its parent stands, if that is behind it; else `at`. */
static size_t parent_behind(const struct process_facts *processes, size_t count, size_t at) {
    for (size_t i = at + 1; i < count && processes[i].start == processes[at].start; i++)
        if (processes[i].process == processes[at].parent)
            return i;
    return at;
}

/* A child is never older than its parent, but may be of the same tick and have the smaller number. */
static void put_parents_first(struct process_facts *processes, size_t count) {
    if (count > 0)
        qsort(processes, count, sizeof *processes, compare_age);
    size_t moves = 0; /* what was read while it changed may go in circles */
    for (size_t i = 0; i < count;) {
        size_t parent = parent_behind(processes, count, i);
        if (parent == i || moves++ > count) {
            i++;
            continue;
        }
        struct process_facts moved = processes[parent];
        memmove(&processes[i + 1], &processes[i], (parent - i) * sizeof *processes);
        processes[i] = moved;
    }
}

/* Servers lock their workers into directories of the target: a child belongs to it like its parent. */
static bool is_child_of_any(const struct process_facts *processes, size_t count, const struct process_facts *child) {
    for (size_t i = 0; i < count; i++)
        if (processes[i].process == child->parent)
            return process_shares(processes[i].process, child->process, "ns/mnt");
    return false;
}

/* Of all processes, parents first; returns how many are left. */
static size_t keep_those_of_target(const struct target *target, struct process_facts *processes, size_t count) {
    size_t kept = 0;
    char prefix[PATH_MAX];
    root_prefix(target, prefix);
    for (size_t i = 0; i < count; i++) {
        struct process_facts facts = processes[i];
        if ((!target_has(target, facts.process) && !is_child_of_any(processes, kept, &facts)) ||
            (facts.program = name_program(&facts, prefix)) == NULL)
            continue;
        facts.inner = inner_number(facts.process);
        processes[kept++] = facts;
    }
    return kept;
}

size_t processes_all(const struct target *target, struct process_facts **processes) {
    size_t count = 0;
    *processes = NULL;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry = directory != NULL ? readdir(directory) : NULL; entry; entry = readdir(directory)) {
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10);
        struct process_stat stat;
        if (process > 0 && process_stat(process, &stat) && !process_has_ended(&stat))
            *array_append(*processes, count) =
                (struct process_facts){.process = process, .parent = stat.parent, .start = stat.start};
    }
    if (directory != NULL)
        closedir(directory);
    put_parents_first(*processes, count);
    count = keep_those_of_target(target, *processes, count);
    see(*processes, count);
    return count;
}

void process_facts_free(struct process_facts *processes, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(processes[i].program);
    free(processes);
}

bool process_is_manager(const struct process_facts *process) {
    const char *slash = strrchr(process->program, '/');
    return slash != NULL && strcmp(slash, "/systemd") == 0;
}

/* ---- telling them ---- */

#define REEXECUTE 59 /* SIGRTMIN+25 as the C library counts that systemd is built with; another's begins elsewhere */

static const struct {
    const char *name;
    int number;
} signals[] = {{"HUP", SIGHUP},   {"INT", SIGINT},     {"QUIT", SIGQUIT},      {"USR1", SIGUSR1},
               {"USR2", SIGUSR2}, {"TERM", SIGTERM},   {"KILL", SIGKILL},      {"CONT", SIGCONT},
               {"ALRM", SIGALRM}, {"WINCH", SIGWINCH}, {"RTMIN+25", REEXECUTE}};

bool process_signal(const struct process_facts *process, const char *name, struct mistake *mistake) {
    int number = 0;
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (strcmp(signals[i].name, name) == 0)
            number = signals[i].number;
    if (number == 0)
        return text_mistake(mistake, 0, "the signal \"%s\" is not known", name);
    cleanup_fd int handle = pidfd_open(process->process, 0);
    if (handle < 0 || !process_is(process->process, process->start) || pidfd_send_signal(handle, number, NULL, 0) != 0)
        return text_mistake(mistake, 0, "cannot send %s to process %d of \"%s\": it has ended", name,
                            (int)process->process, process->program);
    return true;
}

/* ---- what they map ---- */

struct mapping {
    struct file_identity file;
    struct file_identity told; /* as the line says, of this or the line before */
    char *path;                /* in the line */
    bool deleted, code;
};

/* What stat says of the very file that is mapped: on overlays and btrfs the line of maps names another device. */
static void ask_mapped_file(pid_t process, const char *line, struct file_identity *file) {
    struct stat status;
    cleanup_free char *link = xasprintf("/proc/%d/map_files/%.*s", (int)process, (int)strcspn(line, " "), line);
    if (stat(link, &status) != 0)
        return;
    file->device = status.st_dev;
    file->inode = status.st_ino;
}

/* "55d0c8a00000-55d0c8a2c000 r-xp 00000000 fe:01 1234    /usr/bin/x (deleted)" */
static bool parse_mapping(pid_t process, char *line, struct mapping *mapping) {
    char permissions[5];
    unsigned major_number, minor_number;
    struct file_identity told = {0};
    int path = 0;
    if (sscanf(line, "%*s %4s %*s %x:%x %" SCNu64 " %n", permissions, &major_number, &minor_number, &told.inode,
               &path) != 4 ||
        path == 0 || told.inode == 0 || line[path] != '/')
        return false;
    told.device = makedev(major_number, minor_number);
    mapping->code = permissions[2] == 'x';
    mapping->path = line + path;
    mapping->deleted = cut_deleted(mapping->path);
    if (told.device == mapping->told.device && told.inode == mapping->told.inode)
        return true; /* one more part of the same file */
    mapping->told = mapping->file = told;
    ask_mapped_file(process, line, &mapping->file);
    return true;
}

void file_identities_free(struct file_identity *files, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(files[i].path);
    free(files);
}

static bool has_file(const struct file_identity *files, size_t count, const struct file_identity *file) {
    for (size_t i = 0; i < count; i++)
        if (files[i].device == file->device && files[i].inode == file->inode)
            return true;
    return false;
}

struct wanted {
    const struct target *target;
    const struct file_identity *files; /* NULL: whatever was deleted */
    size_t count;
    char prefix[PATH_MAX];
};

/* A file that was removed and came back under its name, as a roll-back does it, keeps the mark; it is no other file. */
static bool is_back(const struct wanted *wanted, const struct mapping *mapping) {
    struct stat status;
    cleanup_fd int fd = target_openat(wanted->target, inside(mapping->path, wanted->prefix), O_PATH, 0);
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_ino == mapping->file.inode &&
           status.st_dev == mapping->file.device;
}

/* Of an earlier version than that which is there now, too. */
static bool has_name(const struct wanted *wanted, const struct mapping *mapping) {
    const char *path = inside(mapping->path, wanted->prefix);
    if (wanted->files == NULL)
        return true;
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->files[i].path != NULL && strcmp(wanted->files[i].path, path) == 0)
            return true;
    return false;
}

static bool is_wanted(const struct wanted *wanted, const struct mapping *mapping) {
    /* On an overlay stat tells a device of the file's layer, and the line that of the overlay. */
    bool of_root = mapping->file.device == wanted->target->device || mapping->told.device == wanted->target->device;
    if (wanted->files != NULL && has_file(wanted->files, wanted->count, &mapping->file))
        return true;
    return mapping->deleted && mapping->code && of_root && has_name(wanted, mapping) && !is_back(wanted, mapping);
}

static bool find_stale(const struct wanted *wanted, const struct process_facts *facts, struct stale_process *stale) {
    cleanup_free char *maps = process_text(facts->process, "maps");
    *stale = (struct stale_process){.process = facts->process, .parent = facts->parent, .start = facts->start};
    char *rest = maps;
    struct mapping mapping = {0};
    for (char *line = rest != NULL ? strsep(&rest, "\n") : NULL; line != NULL; line = strsep(&rest, "\n")) {
        if (!parse_mapping(facts->process, line, &mapping) || !is_wanted(wanted, &mapping) ||
            has_file(stale->files, stale->file_count, &mapping.file))
            continue;
        if (stale->mapped == NULL)
            stale->mapped = xstrdup(inside(mapping.path, wanted->prefix));
        *array_append(stale->files, stale->file_count) = mapping.file;
    }
    if (stale->mapped == NULL)
        return false;
    stale->program = xstrdup(facts->program);
    return true;
}

size_t processes_mapping(const struct target *target, const struct file_identity *files, size_t file_count,
                         struct stale_process **processes) {
    struct process_facts *all;
    size_t all_count = processes_all(target, &all), count = 0;
    struct wanted wanted = {.target = target, .files = files, .count = file_count};
    root_prefix(target, wanted.prefix);
    *processes = NULL;
    for (size_t i = 0; i < all_count; i++) {
        struct stale_process stale;
        if (find_stale(&wanted, &all[i], &stale))
            *array_append(*processes, count) = stale;
    }
    process_facts_free(all, all_count);
    return count;
}

void stale_processes_free(struct stale_process *processes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(processes[i].program);
        free(processes[i].mapped);
        free(processes[i].files);
    }
    free(processes);
}
