/* The environment of a protected program. */
#include "tools/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "runtime/util.h"

char *absolute_path(const char *path) {
    if (*path == '/')
        return xstrdup(path);
    cleanup_free char *directory = getcwd(NULL, 0);
    if (!directory)
        die_with_error("cannot find the current directory");
    return xasprintf("%s/%s", directory, path);
}

static void set(const char *name, const char *value) {
    if ((value ? setenv(name, value, 1) : unsetenv(name)) != 0)
        die_with_error("cannot set %s", name);
}

static void set_path(const char *name, const char *path) {
    cleanup_free char *absolute = path ? absolute_path(path) : NULL;
    set(name, absolute);
}

/* Whether an entry of LD_PRELOAD is a shim: two of them would check every call twice. */
static bool is_shim(const char *entry, size_t length) {
    static const char name[] = "libpinion.so";
    size_t name_length = sizeof name - 1;
    return length >= name_length && memcmp(entry + length - name_length, name, name_length) == 0 &&
           (length == name_length || entry[length - name_length - 1] == '/');
}

static void set_preload(const char *shim) {
    char *preload = xstrdup(shim);
    const char *rest = getenv("LD_PRELOAD");
    while (rest && *rest) {
        size_t length = strcspn(rest, ": ");
        if (length && !is_shim(rest, length)) {
            char *longer = xasprintf("%s:%.*s", preload, (int)length, rest);
            free(preload);
            preload = longer;
        }
        rest += length + (rest[length] != '\0');
    }
    set("LD_PRELOAD", preload);
    free(preload);
}

/* The shim opens its log itself; a name it cannot open is better refused here, where somebody reads the message. */
static void try_log(const char *path) {
    cleanup_fd int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
    if (log < 0)
        die_with_error("cannot write the log \"%s\"%s", path, errno == ELOOP ? " (it is a symbolic link)" : "");
}

void launch_prepare(const struct launch *launch) {
    if (launch->log)
        try_log(launch->log);
    set_preload(launch->shim);
    set_path("PINION_POLICY", launch->policy);
    set_path("PINION_POLICY_DIR", launch->directory);
    if (launch->log)
        set_path("PINION_LOG", launch->log);
    if (launch->mode)
        set("PINION_MODE", launch->mode);
    set_path("PINION_RECORD", launch->record);
    if (launch->counts)
        set_path("PINION_COUNTS", launch->counts);
}
