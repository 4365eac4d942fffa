/* Opens files below a root that is not trusted: the kernel resolves every path as if the process had changed its root
 * there (openat2, RESOLVE_IN_ROOT), so no link leads out of it.
 */
#include "policygen/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/util.h"

static int open_inside(const struct root *root, const char *path, int flags) {
    if (root->directory < 0)
        return open(path, flags | O_CLOEXEC);
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd;
    do
        fd = (int)syscall(SYS_openat2, root->directory, path[0] == 0 ? "." : path, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN);
    return fd;
}

void root_open(struct root *root, const char *path) {
    *root = (struct root){.directory = -1, .path = realpath(path, NULL)};
    if (root->path == NULL)
        die_with_error("cannot open the image root \"%s\"", path);
    if (strcmp(root->path, "/") == 0) {
        root->path[0] = 0;
        return;
    }
    root->directory = open(root->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root->directory < 0)
        die_with_error("cannot open the image root \"%s\"", path);
    cleanup_fd int probe = open_inside(root, ".", O_PATH | O_DIRECTORY);
    if (probe < 0)
        die_with_error(
            "cannot look into \"%s\" without leaving it: this needs Linux 5.6 and, in a container, a seccomp "
            "profile that allows openat2; or change the root to it and analyse \"/\"",
            path);
}

void root_close(struct root *root) {
    if (root->directory >= 0)
        close(root->directory);
    free(root->path);
}

int root_open_file(const struct root *root, const char *path) {
    struct stat status;
    /* Looked at before it is opened: opening a device can have effects. */
    cleanup_fd int handle = root->directory < 0 ? -1 : open_inside(root, path, O_PATH);
    if (root->directory >= 0 && (handle < 0 || fstat(handle, &status) != 0))
        return -1;
    if (handle >= 0 && !S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    cleanup_fd int fd = open_inside(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0)
        return -1;
    if (!S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    return steal_fd(&fd);
}

bool root_stat(const struct root *root, const char *path, struct stat *status) {
    cleanup_fd int fd = open_inside(root, path, O_PATH);
    return fd >= 0 && fstat(fd, status) == 0;
}

char *root_real_path(const struct root *root, const char *path) {
    if (root->directory < 0)
        return realpath(path, NULL);
    cleanup_fd int fd = open_inside(root, path, O_PATH);
    if (fd < 0)
        return NULL;
    char link[32], target[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, target, sizeof target - 1) < 0)
        die_with_error("cannot read \"%s\": the real names of an image's files need /proc", link);
    size_t prefix = strlen(root->path);
    if (strncmp(target, root->path, prefix) != 0 || (target[prefix] != '/' && target[prefix] != 0)) {
        errno = EXDEV;
        return NULL;
    }
    return xstrdup(target[prefix] == 0 ? "/" : target + prefix);
}

char *root_read(const struct root *root, const char *path, size_t limit) {
    cleanup_fd int fd = root_open_file(root, path);
    if (fd < 0)
        return NULL;
    size_t size;
    return fd_read(fd, limit, &size);
}

/* ---- Directories ---- */

static int compare_entries(const void *a, const void *b) {
    const struct root_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

bool root_list(const struct root *root, const char *path, struct root_entry **entries, size_t *count) {
    *entries = NULL;
    *count = 0;
    int fd = open_inside(root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    const struct dirent *entry;
    struct stat status;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            *array_append(*entries, *count) =
                (struct root_entry){xstrdup(entry->d_name), status.st_mode, status.st_dev};
    }
    closedir(directory);
    if (*count > 0)
        qsort(*entries, *count, sizeof **entries, compare_entries);
    return true;
}

void root_list_free(struct root_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(entries[i].name);
    free(entries);
}

static void match_below(const struct root *root, const char *directory, const char *pattern,
                        void (*found)(void *context, const char *path), void *context) {
    size_t length = strcspn(pattern, "/"), count;
    const char *rest = pattern + length + strspn(pattern + length, "/");
    cleanup_free char *component = xstrndup(pattern, length);
    struct root_entry *entries;
    if (strpbrk(component, "*?[") == NULL) {
        cleanup_free char *path = xasprintf("%s/%s", directory, component);
        if (rest[0] == 0)
            found(context, path);
        else
            match_below(root, path, rest, found, context);
        return;
    }
    if (!root_list(root, directory[0] == 0 ? "/" : directory, &entries, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        cleanup_free char *path = xasprintf("%s/%s", directory, entries[i].name);
        if (fnmatch(component, entries[i].name, FNM_PERIOD) != 0)
            continue;
        if (rest[0] == 0)
            found(context, path);
        else
            match_below(root, path, rest, found, context);
    }
    root_list_free(entries, count);
}

void root_match(const struct root *root, const char *pattern, void (*found)(void *context, const char *path),
                void *context) {
    match_below(root, "", pattern + strspn(pattern, "/"), found, context);
}
