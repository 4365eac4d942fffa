/* Reading /proc/PID. Nothing is believed of what the process itself has put there. */
#include "tools/patch/proc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/util.h"

#define TEXT_BYTES_MOST (64u << 20)
#define CHUNK 65536u
#define PATH_BYTES 64

static void path_of(pid_t process, const char *name, char path[PATH_BYTES]) {
    if (process == PROCESS_OURS)
        snprintf(path, PATH_BYTES, "/proc/self/%s", name);
    else
        snprintf(path, PATH_BYTES, "/proc/%d/%s", (int)process, name);
}

/* Files of /proc say no size. `whole`: no error ended it. */
static char *read_file(pid_t process, const char *name, size_t limit, size_t *size, bool *whole) {
    char path[PATH_BYTES];
    path_of(process, name, path);
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *bytes = NULL;
    ssize_t got = fd >= 0 ? 1 : -1;
    for (*size = 0; got > 0 && *size<limit; *size += got> 0 ? (size_t)got : 0) {
        size_t room = limit - *size < CHUNK ? limit - *size : CHUNK;
        bytes = xrealloc(bytes, *size + room + 1, 1);
        got = read(fd, bytes + *size, room);
    }
    if (bytes != NULL)
        bytes[*size] = '\0';
    *whole = got >= 0;
    return bytes;
}

char *process_bytes(pid_t process, const char *name, size_t limit, size_t *size) {
    bool whole;
    return read_file(process, name, limit, size, &whole);
}

char *process_text(pid_t process, const char *name) {
    size_t size;
    bool whole;
    cleanup_free char *text = read_file(process, name, TEXT_BYTES_MOST, &size, &whole);
    return whole ? steal_pointer(&text) : NULL;
}

#define STAT_START 22

/* "12 (name) S 1 ...": the name may hold anything, the last parenthesis ends it. */
bool process_stat(pid_t process, struct process_stat *stat) {
    cleanup_free char *text = process_text(process, "stat");
    const char *field = text != NULL ? strrchr(text, ')') : NULL;
    int parent;
    if (field == NULL || sscanf(field, ") %c %d", &stat->state, &parent) != 2)
        return false;
    for (unsigned i = 2; i < STAT_START && field != NULL; i++)
        field = strchr(field + 1, ' ');
    if (field == NULL)
        return false;
    stat->parent = parent;
    stat->start = strtoull(field, NULL, 10);
    return true;
}

bool process_has_ended(const struct process_stat *stat) {
    return strchr("ZXx", stat->state) != NULL;
}

bool process_start(pid_t process, uint64_t *start) {
    struct process_stat stat;
    if (!process_stat(process, &stat))
        return false;
    *start = stat.start;
    return true;
}

bool process_is(pid_t process, uint64_t start) {
    struct process_stat stat;
    return process_stat(process, &stat) && stat.start == start && !process_has_ended(&stat);
}

const char *process_status(const char *status, const char *key) {
    const char *line = strstr(status, key);
    return line != NULL ? line + strlen(key) : "";
}

/* A process has a number in each namespace around it, the innermost last. */
pid_t process_inner(const char *status) {
    const char *numbers = process_status(status, "\nNSpid:");
    cleanup_free char *line = xstrndup(numbers, strcspn(numbers, "\n"));
    const char *last = strrchr(line, '\t');
    return last != NULL ? (pid_t)strtol(last, NULL, 10) : 0;
}

bool process_shares(pid_t a, pid_t b, const char *what) {
    char path[PATH_BYTES];
    struct stat first, second;
    path_of(a, what, path);
    if (stat(path, &first) != 0)
        return false;
    path_of(b, what, path);
    return stat(path, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

char *machine_boot(void) {
    char text[64];
    cleanup_fd int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    text[got > 0 ? got : 0] = '\0';
    return xstrndup(text, strcspn(text, "\n"));
}
