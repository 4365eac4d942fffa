/* Where control groups are, and what is written there.
 */
#include "tools/patch/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/proc.h"

#define PLACE "/sys/fs/cgroup"

/* ---- which ones ---- */

static bool has_controller(const char *line, const char *name) {
    cleanup_free char *first = xasprintf(":%s:", name);
    return strstr(line, first) != NULL;
}

/* The directory that "4:memory,x:/path" or "0::/path" names; NULL: it cannot be seen from here. */
static char *directory_of(const char *line) {
    const char *controllers = strchr(line, ':'), *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL || strstr(path, "/..") != NULL)
        return NULL;
    if (strncmp(++controllers, "name=", 5) == 0)
        controllers += 5;
    if (controllers != path)
        return xasprintf(PLACE "/%.*s%s", (int)(path - controllers), controllers, path + 1);
    return xasprintf(PLACE "%s%s", access(PLACE "/unified", F_OK) == 0 ? "/unified" : "", path + 1);
}

static int open_in(const char *line, const char *name, int flags) {
    cleanup_free char *directory = directory_of(line);
    cleanup_free char *file = directory != NULL ? xasprintf("%s/%s", directory, name) : NULL;
    return file != NULL ? open(file, flags | O_CLOEXEC) : -1;
}

/* ---- another's ---- */

static bool is_line_of(const char *line, const char *text) {
    size_t length = strlen(line);
    for (const char *at = text; at != NULL && (at = strstr(at, line)) != NULL; at++)
        if ((at == text || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0'))
            return true;
    return false;
}

bool groups_open_told(struct groups *groups, const char *told, struct mistake *mistake) {
    *groups = (struct groups){.count = 0};
    cleanup_free char *ours = process_text(PROCESS_OURS, "cgroup");
    cleanup_free char *text = xstrdup(told);
    char *rest = text;
    for (const char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0' && groups->count < GROUPS_MOST;) {
        if (is_line_of(line, ours))
            continue;
        int fd = open_in(line, "cgroup.procs", O_WRONLY);
        if (fd >= 0)
            groups->files[groups->count++] = fd;
        else if (strncmp(line, "0::", 3) == 0 || has_controller(line, "devices"))
            return text_mistake(mistake, 0, "the control group \"%s\" cannot be joined from here", line);
    }
    return true;
}

bool groups_open(struct groups *groups, pid_t process, struct mistake *mistake) {
    cleanup_free char *text = process_text(process, "cgroup");
    *groups = (struct groups){.count = 0};
    if (text == NULL)
        return text_mistake(mistake, 0, "process %d has ended", (int)process);
    return groups_open_told(groups, text, mistake) ||
           text_mistake(mistake, 0,
                        "no command can be run in the container of process %d, whose control group cannot be joined "
                        "from here: run the helper on the host, or have it restarted by a signal",
                        (int)process);
}

void groups_close(struct groups *groups) {
    while (groups->count > 0)
        close(groups->files[--groups->count]);
}

bool groups_join(const struct groups *groups) {
    for (size_t i = 0; i < groups->count; i++)
        if (write(groups->files[i], "0", 1) != 1)
            return false;
    return true;
}

/* ---- our own memory ---- */

/* How a group is told to give up what it can. */
static const struct {
    const char *file;
    const char *used; /* the file with what is to be written: how much; NULL: all there is */
} ways[] = {{"memory.reclaim", "memory.current"}, {"memory.force_empty", NULL}};

/* All of it: there is no NUL in it. */
static char *read_in(const char *line, const char *name) {
    int fd = open_in(line, name, O_RDONLY);
    cleanup_file FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    cleanup_free char *text = NULL;
    size_t room = 0;
    return file != NULL && getdelim(&text, &room, '\0', file) > 0 ? steal_pointer(&text) : NULL;
}

/* A member that cannot be seen from here is called 0. */
static bool is_ours_alone(const char *line) {
    cleanup_free char *text = read_in(line, "cgroup.procs");
    char *rest = text;
    bool alone = text != NULL;
    for (const char *member; alone && (member = strsep(&rest, "\n")) != NULL && *member != '\0';)
        alone = strcmp(member, "0") != 0 && process_shares((pid_t)strtol(member, NULL, 10), PROCESS_OURS, "exe");
    return alone;
}

static void give_back(const char *line) {
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        cleanup_fd int fd = open_in(line, ways[i].file, O_WRONLY);
        cleanup_free char *amount = fd >= 0 && ways[i].used != NULL ? read_in(line, ways[i].used) : xstrdup("0");
        ssize_t ignored = fd >= 0 && amount != NULL ? write(fd, amount, strlen(amount)) : 0;
        (void)ignored; /* less than all was given up */
    }
}

void groups_give_back(void) {
    malloc_trim(0);
    cleanup_free char *text = process_text(PROCESS_OURS, "cgroup");
    char *rest = text;
    for (const char *line; (line = strsep(&rest, "\n")) != NULL && *line != '\0';)
        if ((strncmp(line, "0::", 3) == 0 || has_controller(line, "memory")) && is_ours_alone(line))
            give_back(line);
}
