/* Putting files into the stage in the place of others. The stage looks like the target and so may hold any link: names
 * are resolved inside it alone, and the last part of a name is never followed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"
#include "tools/patch/node.h"

#define TEMPORARY ".pinion-new" /* never there for long: whatever has this name is ours */

static bool put_mistake(struct mistake *mistake, const char *path) {
    return text_mistake(mistake, 0, "%s cannot be put into the stage: %s", path, strerror(errno));
}

static bool copy_content(int from, int to) {
    for (;;) {
        ssize_t copied = copy_file_range(from, NULL, to, NULL, 1u << 30, 0);
        if (copied == 0)
            return true;
        if (copied < 0 && errno != EINTR)
            break;
    }
    char buffer[65536];
    for (ssize_t got; (got = read(from, buffer, sizeof(buffer))) != 0;) {
        if (got < 0 || write(to, buffer, (size_t)got) != got)
            return false;
    }
    return true;
}

struct place {
    int directory;
    const char *name;
    int old; /* what is replaced, or -1 */
    struct stat status;
};

static bool open_parent(const struct stage *stage, const char *path, struct place *place, struct mistake *mistake) {
    const char *slash = strrchr(path, '/');
    cleanup_free char *parent = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
    place->name = slash + 1;
    place->directory = stage_openat(stage, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return place->directory >= 0 || put_mistake(mistake, path);
}

static bool open_old(const char *path, struct place *place, struct mistake *mistake) {
    if (fstatat(place->directory, place->name, &place->status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || put_mistake(mistake, path);
    if (S_ISLNK(place->status.st_mode))
        return text_mistake(mistake, 0, "%s is a link in the target: the file that it leads to has to be named", path);
    if (!S_ISREG(place->status.st_mode))
        return text_mistake(mistake, 0, "%s is no regular file in the target", path);
    place->old = openat(place->directory, place->name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    return place->old >= 0 || put_mistake(mistake, path);
}

static void close_place(struct place *place) {
    cleanup_fd_function(&place->directory);
    cleanup_fd_function(&place->old);
}

/* Owner, labels and capabilities stay those of the file that was there; its times do not. */
static bool dress(const struct place *place, int fd, mode_t mode) {
    struct stat status;
    struct attributes attributes = {0};
    if (place->old < 0)
        return fchmod(fd, mode != 0 ? mode : 0644) == 0;
    if (fstat(fd, &status) != 0 || !attributes_read(place->old, &attributes))
        return false;
    status.st_uid = place->status.st_uid;
    status.st_gid = place->status.st_gid;
    status.st_mode = S_IFREG | (mode != 0 ? mode : place->status.st_mode & 07777);
    bool good = node_set(fd, &status, &attributes);
    attributes_free(&attributes);
    return good;
}

static bool into_place(const struct place *place) {
    if (renameat(place->directory, TEMPORARY, place->directory, place->name) == 0)
        return true;
    int error = errno;
    unlinkat(place->directory, TEMPORARY, 0);
    errno = error;
    return false;
}

static bool replace(const struct place *place, int from, mode_t mode) {
    unlinkat(place->directory, TEMPORARY, 0);
    cleanup_fd int fd = openat(place->directory, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd >= 0 && copy_content(from, fd) && dress(place, fd, mode) && into_place(place);
}

bool method_put(const struct stage *stage, int from, const char *path, mode_t mode, struct mistake *mistake) {
    struct place place = {-1, "", -1, {0}};
    bool good = open_parent(stage, path, &place, mistake) && open_old(path, &place, mistake) &&
                (replace(&place, from, mode) || put_mistake(mistake, path));
    close_place(&place);
    return good;
}

bool method_put_link(const struct stage *stage, const char *content, const char *path, struct mistake *mistake) {
    struct place place = {-1, "", -1, {0}};
    bool good = open_parent(stage, path, &place, mistake);
    if (good) {
        unlinkat(place.directory, TEMPORARY, 0);
        good =
            (symlinkat(content, place.directory, TEMPORARY) == 0 && into_place(&place)) || put_mistake(mistake, path);
    }
    close_place(&place);
    return good;
}

bool method_put_directory(const struct stage *stage, const char *path, mode_t mode, struct mistake *mistake) {
    struct place place = {-1, "", -1, {0}};
    cleanup_fd int there = stage_openat(stage, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (there >= 0)
        return true;
    bool good =
        open_parent(stage, path, &place, mistake) &&
        ((mkdirat(place.directory, place.name, 0700) == 0 && fchmodat(place.directory, place.name, mode, 0) == 0) ||
         put_mistake(mistake, path));
    close_place(&place);
    return good;
}
