/* The directory of a commit. It lies in a target that may be hostile: it is reached without links, and used only where
 * nobody but root can have written to it.
 */
#include "tools/patch/commit_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/node.h"

#define MANIFEST "manifest"
#define MANIFEST_FRESH "manifest.new"

struct commit_name commit_name(size_t index) {
    struct commit_name name;
    snprintf(name.text, sizeof name.text, "%zu", index);
    return name;
}

static bool cannot(const struct commit_place *place, const char *what, struct mistake *mistake) {
    return text_mistake(mistake, 0, "cannot %s \"%s%s/%lld\": %s", what, place->target->root, COMMIT_DIRECTORY,
                        (long long)place->incident, strerror(errno));
}

/* ---- opening ---- */

/* From outermost on; what others may not do with them. */
static const struct {
    const char *path;
    mode_t forbidden;
} levels[] = {{"/var/lib/pinion", 022}, {COMMIT_DIRECTORY, 077}};
#define LEVELS (sizeof levels / sizeof *levels)

static bool is_fit(int directory, mode_t forbidden) {
    struct stat status;
    return fstat(directory, &status) == 0 && status.st_uid == 0 && (status.st_mode & forbidden) == 0;
}

/* The directory of this level, made if wanted. The directory above keeps its times. -1 and errno. */
static int open_level(const struct target *target, const char *path, bool make) {
    const char *name;
    struct stat above;
    cleanup_fd int parent = root_parent(target->descriptor, path, &name);
    if (parent < 0 || fstat(parent, &above) != 0)
        return -1;
    struct timespec times[2] = {above.st_atim, above.st_mtim};
    if (make && mkdirat(parent, name, 0700) == 0) {
        if (utimensat(parent, "", times, AT_EMPTY_PATH) != 0)
            return -1;
    } else if (make && errno != EEXIST) {
        return -1;
    }
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool open_levels(struct commit_place *place, bool make, struct mistake *mistake) {
    for (size_t i = 0; i < LEVELS; i++) {
        cleanup_fd int level = open_level(place->target, levels[i].path, make);
        if (level < 0 && errno == ENOENT && !make)
            return true;
        if (level < 0)
            return text_mistake(mistake, 0, "cannot open \"%s%s\": %s", place->target->root, levels[i].path,
                                strerror(errno));
        if (!is_fit(level, levels[i].forbidden))
            return text_mistake(mistake, 0,
                                "\"%s%s\" could have been written to by others than root: look at it, and remove it",
                                place->target->root, levels[i].path);
        if (i == LEVELS - 1)
            place->rollback = steal_fd(&level);
    }
    return true;
}

/* What is not there is fine; what cannot be seen must not be taken for that. */
static bool open_part(int directory, const char *name, int flags, int *part) {
    *part = directory >= 0 ? openat(directory, name, flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    return *part >= 0 || directory < 0 || errno == ENOENT;
}

static bool open_parts(struct commit_place *place) {
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)place->incident);
    return open_part(place->rollback, name, O_RDONLY, &place->directory) &&
           open_part(place->directory, "old", O_PATH, &place->old) &&
           open_part(place->directory, "new", O_PATH, &place->new);
}

static void begin(struct commit_place *place, const struct target *target, int64_t incident) {
    *place = (struct commit_place){
        .target = target, .incident = incident, .rollback = -1, .directory = -1, .old = -1, .new = -1};
}

bool commit_place_open(struct commit_place *place, const struct target *target, int64_t incident,
                       struct mistake *mistake) {
    begin(place, target, incident);
    if (!open_levels(place, false, mistake))
        return false;
    bool good = open_parts(place);
    if (good && (place->directory < 0 || is_fit(place->directory, 077)))
        return true;
    errno = good ? EPERM : errno;
    cannot(place, good ? "trust" : "open", mistake);
    commit_place_close(place);
    return false;
}

bool commit_place_make(struct commit_place *place, const struct target *target, int64_t incident,
                       struct mistake *mistake) {
    begin(place, target, incident);
    if (!open_levels(place, true, mistake))
        return false;
    char name[24];
    struct stat manifest;
    snprintf(name, sizeof name, "%lld", (long long)incident);
    /* Without a manifest it was left by a helper that was killed before it did anything. */
    if (open_part(place->rollback, name, O_RDONLY, &place->directory) && place->directory >= 0 &&
        fstatat(place->directory, MANIFEST, &manifest, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        node_remove(place->rollback, name);
    if (place->directory >= 0)
        close(steal_fd(&place->directory));
    if (mkdirat(place->rollback, name, 0700) == 0 && open_part(place->rollback, name, O_RDONLY, &place->directory) &&
        mkdirat(place->directory, "old", 0700) == 0 && mkdirat(place->directory, "new", 0700) == 0 &&
        open_part(place->directory, "old", O_PATH, &place->old) &&
        open_part(place->directory, "new", O_PATH, &place->new) && place->old >= 0 && place->new >= 0)
        return true;
    cannot(place, "make", mistake);
    commit_place_close(place);
    return false;
}

void commit_place_close(struct commit_place *place) {
    int *all[] = {&place->rollback, &place->directory, &place->old, &place->new};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (*all[i] >= 0)
            close(steal_fd(all[i]));
}

/* ---- the manifest ---- */

static bool write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t wrote = write(fd, data, size);
        if (wrote < 0 && errno != EINTR)
            return false;
        data += wrote > 0 ? wrote : 0;
        size -= wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

bool commit_manifest_write(const struct commit_place *place, const struct manifest *manifest, struct mistake *mistake) {
    size_t size;
    cleanup_free char *data = manifest_write(manifest, &size);
    cleanup_fd int fd =
        openat(place->directory, MANIFEST_FRESH, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (size > MANIFEST_BYTES_MOST)
        errno = EFBIG;
    else if (fd >= 0 && write_all(fd, data, size) && fsync(fd) == 0 &&
             renameat(place->directory, MANIFEST_FRESH, place->directory, MANIFEST) == 0 &&
             fsync(place->directory) == 0 && fsync(place->rollback) == 0)
        return true;
    return cannot(place, "write the manifest in", mistake);
}

bool commit_manifest_remove(const struct commit_place *place, struct mistake *mistake) {
    if ((unlinkat(place->directory, MANIFEST, 0) == 0 || errno == ENOENT) && fsync(place->directory) == 0)
        return true;
    return cannot(place, "remove the manifest in", mistake);
}

bool commit_manifest_read(const struct commit_place *place, struct manifest *manifest, bool *there,
                          struct mistake *mistake) {
    *manifest = (struct manifest){.incident = 0};
    *there = false;
    if (place->directory < 0)
        return true;
    struct stat status;
    if (fstatat(place->directory, MANIFEST, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || cannot(place, "look for the manifest in", mistake);
    *there = true;
    size_t size;
    cleanup_fd int fd = S_ISREG(status.st_mode)
                            ? openat(place->directory, MANIFEST, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                            : -1;
    cleanup_free char *data = fd >= 0 ? fd_read(fd, MANIFEST_BYTES_MOST, &size) : NULL;
    struct mistake why = {.line = 0};
    if (data == NULL)
        return cannot(place, "read the manifest in", mistake);
    if (manifest_parse(data, size, manifest, &why) && manifest->incident == place->incident)
        return true;
    manifest_free(manifest);
    return text_mistake(mistake, 0,
                        "cannot use the manifest in \"%s%s/%lld\": %s; the files of before are in \"old\" there",
                        place->target->root, COMMIT_DIRECTORY, (long long)place->incident,
                        why.text[0] != '\0' ? why.text : "it is of another incident");
}

/* ---- removing ---- */

/* If it is empty; the directory above keeps its times. */
static bool remove_level(const struct target *target, const char *path) {
    const char *name;
    struct stat above;
    cleanup_fd int parent = root_parent(target->descriptor, path, &name);
    if (parent < 0 || fstat(parent, &above) != 0)
        return parent < 0 && errno == ENOENT;
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0)
        return errno == ENOENT || errno == ENOTEMPTY || errno == EEXIST;
    struct timespec times[2] = {above.st_atim, above.st_mtim};
    return utimensat(parent, "", times, AT_EMPTY_PATH) == 0;
}

bool commit_place_remove(struct commit_place *place, struct mistake *mistake) {
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)place->incident);
    bool good = (place->rollback < 0 || node_remove(place->rollback, name)) &&
                remove_level(place->target, levels[1].path) && remove_level(place->target, levels[0].path);
    return good || cannot(place, "remove", mistake);
}
