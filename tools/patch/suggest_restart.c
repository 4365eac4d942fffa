/* Which programs of a package are services, and how they are restarted: from the table of known programs, else from
 * the units and init scripts that the package brings. Files of the root are read, none is run.
 */
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/restart.h"
#include "tools/patch/suggest.h"

#define FILE_BYTES_MOST (16u << 20)
#define RESTARTS_MOST 16

static char *read_file(const struct target *target, const char *path) {
    size_t size;
    cleanup_fd int fd = target_openat(target, path, O_RDONLY | O_CLOEXEC, 0);
    return fd >= 0 ? fd_read(fd, FILE_BYTES_MOST, &size) : NULL;
}

/* dpkg's list of the files of an installed package. */
static char *read_list(const struct target *target, const char *package) {
    cleanup_free char *name = xstrndup(package, strcspn(package, ":"));
    cleanup_free char *plain = xasprintf("/var/lib/dpkg/info/%s.list", name);
    cleanup_free char *qualified = xasprintf("/var/lib/dpkg/info/%s.list", package);
    char *text = read_file(target, qualified);
    return text != NULL ? text : read_file(target, plain);
}

static bool is_program(const struct target *target, const char *path) {
    char magic[SELFMAG];
    struct stat status;
    cleanup_fd int fd = target_openat(target, path, O_RDONLY | O_CLOEXEC, 0);
    return fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 0111) != 0 &&
           read(fd, magic, sizeof magic) == (ssize_t)sizeof magic && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

/* The path as the kernel names a process of it: without links, /usr/sbin for /sbin. NULL: it is not there. */
static char *real_path(const struct target *target, const char *path) {
    char found[4096], root[4096];
    cleanup_fd int fd = target_openat(target, path, O_PATH | O_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    cleanup_free char *link = xasprintf("/proc/self/fd/%d", fd);
    cleanup_free char *root_link = xasprintf("/proc/self/fd/%d", target->descriptor);
    ssize_t length = readlink(link, found, sizeof found - 1), root_length = readlink(root_link, root, sizeof root - 1);
    if (length <= 0 || root_length <= 0)
        return NULL;
    found[length] = root[root_length] = '\0';
    if (root_length == 1)
        return xstrdup(found);
    if (strncmp(found, root, (size_t)root_length) != 0 || found[root_length] != '/')
        return NULL;
    return xstrdup(found + root_length);
}

static struct recipe_restart *find_restart(const struct recipe *recipe, const char *program) {
    for (size_t i = 0; i < recipe->restart_count; i++)
        if (strcmp(recipe->restarts[i].program, program) == 0)
            return &recipe->restarts[i];
    return NULL;
}

static void add_restart(const struct target *target, struct recipe *recipe, const char *path, enum restart_how how) {
    cleanup_free char *program = real_path(target, path);
    if (program == NULL || !form_matches(&form_absolute_path, program) || !is_program(target, program) ||
        find_restart(recipe, program) != NULL || recipe->restart_count >= RESTARTS_MOST)
        return;
    struct recipe_restart *restart = array_append(recipe->restarts, recipe->restart_count);
    *restart = (struct recipe_restart){.program = steal_pointer(&program), .how = how};
}

/* The recipe says how in words; what signal or command that is stays the table's, where one of these is needed. */
static enum restart_how known_how(const struct restart_row *row) {
    return row->how == RESTART_COMMAND || row->how == RESTART_SIGNAL ? RESTART_AUTO : row->how;
}

static bool is_in_bin(const char *path) {
    return strstr(path, "/bin/") != NULL || strstr(path, "/sbin/") != NULL || strstr(path, "/libexec/") != NULL ||
           strstr(path, "/lib/") != NULL;
}

static void add_known(const struct target *target, char *list, struct recipe *recipe) {
    for (char *path; (path = strsep(&list, "\n")) != NULL;) {
        const struct restart_row *row = is_in_bin(path) ? restart_known(path) : NULL;
        if (row != NULL)
            add_restart(target, recipe, path, known_how(row));
    }
}

/* What a line starts: "ExecStart=-/usr/sbin/x -y" of a unit, "DAEMON=/usr/sbin/x" of an init script. */
static char *started_by(const char *line) {
    static const char *const heads[] = {"ExecStart=", "DAEMON="};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (strncmp(line, heads[i], strlen(heads[i])) != 0)
            continue;
        const char *path = line + strlen(heads[i]);
        path += strspn(path, "-@:+!\"'");
        return xstrndup(path, strcspn(path, " \t\"'"));
    }
    return NULL;
}

static bool is_service_file(const char *path) {
    size_t length = strlen(path);
    bool is_unit = strstr(path, "/systemd/system/") != NULL && length > 8 && strcmp(path + length - 8, ".service") == 0;
    return is_unit || strncmp(path, "/etc/init.d/", strlen("/etc/init.d/")) == 0;
}

/* Whether one of the changing packages has this file. */
static bool is_listed(const struct target *target, char *const *packages, const char *path) {
    for (; *packages != NULL; packages++) {
        cleanup_free char *list = read_list(target, *packages);
        char *rest = list;
        for (const char *line; (line = strsep(&rest, "\n")) != NULL;)
            if (strcmp(line, path) == 0)
                return true;
    }
    return false;
}

static void add_service(const struct target *target, char *const *packages, const char *path, struct recipe *recipe) {
    cleanup_free char *text = read_file(target, path);
    char *rest = text;
    if (text != NULL && strstr(text, "\nType=oneshot") != NULL) /* no service that goes on running */
        return;
    for (const char *line; (line = strsep(&rest, "\n")) != NULL;) {
        cleanup_free char *program = started_by(line);
        if (program != NULL && is_listed(target, packages, program))
            add_restart(target, recipe, program, RESTART_SERVICE);
    }
}

void suggest_restarts(const struct target *target, char *const *packages, char *const *siblings,
                      struct recipe *recipe) {
    for (char *const *each = packages; *each != NULL; each++) {
        cleanup_free char *list = read_list(target, *each);
        add_known(target, list, recipe);
    }
    for (char *const *each = siblings; *each != NULL; each++) {
        cleanup_free char *list = read_list(target, *each);
        char *rest = list;
        for (const char *path; (path = strsep(&rest, "\n")) != NULL;)
            if (is_service_file(path))
                add_service(target, packages, path, recipe);
    }
}
