/* Reading off a stage what it changed: the upper layer of its overlay, compared with the target. Both are walked by
 * descriptors, and nothing in them is followed.
 */
#include "tools/patch/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/node.h"

#define PATH_MOST 4000
#define CHANGES_MOST 100000 /* what is done for each pair of them has to end */

struct list {
    struct change *items;
    size_t count;
};

struct walk {
    struct list made, removed;
    const struct target *target;
    struct mistake *mistake;
};

/* A place in both trees: directories, and the name in them that is looked at. */
struct place {
    int upper, target; /* target: -1 where it has no such directory */
    const char *name;
    char *path;
    struct stat before, after; /* st_ino is 0: not there */
};

static bool is_left_out(const char *path) {
    static const char *const left_out[] = {"/dev", "/proc", "/sys", "/run", "/tmp", STAGE_WORK, "/var/lib/pinion"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(path, left_out[i]) == 0)
            return true;
    return false;
}

static bool cannot_read(const struct walk *walk, const char *path) {
    return text_mistake(walk->mistake, 0, "cannot read \"%s\", which the patch changes: %s", path, strerror(errno));
}

static int open_below(int directory, const char *name) {
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    return (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
}

/* Is it there, and on the file system of its directory? */
static bool look(const struct walk *walk, int directory, const char *name, const char *path, struct stat *status) {
    struct statx more;
    *status = (struct stat){.st_ino = 0};
    if (directory < 0)
        return true;
    if (fstatat(directory, name, status, AT_SYMLINK_NOFOLLOW) != 0) {
        *status = (struct stat){.st_ino = 0};
        return errno == ENOENT || cannot_read(walk, path);
    }
    if (statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &more) != 0)
        return cannot_read(walk, path);
    if ((more.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
        return text_mistake(walk->mistake, 0,
                            "\"%s%s\" is on a mount of its own, which a patch cannot change together with the rest; "
                            "unmount it, or patch the image",
                            walk->target->root, path);
    return true;
}

static void add(struct list *list, enum change_kind kind, const struct place *place) {
    *array_append(list->items, list->count) =
        (struct change){.kind = kind, .path = xstrdup(place->path), .before = place->before, .after = place->after};
}

static bool has_room(const struct walk *walk) {
    return walk->made.count + walk->removed.count < CHANGES_MOST ||
           text_mistake(walk->mistake, 0, "the patch changes more than %d files", CHANGES_MOST);
}

/* ---- removals ---- */

static bool remove_entries(struct walk *walk, struct list *list, const struct place *above);

/* What the target has at this place goes, entries first. */
static bool remove_all(struct walk *walk, struct list *list, const struct place *place) {
    if (S_ISDIR(place->before.st_mode) && !remove_entries(walk, list, place))
        return false;
    struct place gone = *place;
    gone.after = (struct stat){.st_ino = 0};
    add(list, CHANGE_REMOVE, &gone);
    return true;
}

static bool remove_entry(struct walk *walk, struct list *list, int directory, const char *prefix, const char *name) {
    cleanup_free char *path = xasprintf("%s/%s", prefix, name);
    struct place place = {.upper = -1, .target = directory, .name = name, .path = path};
    if (!has_room(walk))
        return false;
    if (is_left_out(path))
        return text_mistake(walk->mistake, 0, "the patch removes \"%s\", which it may not", path);
    return look(walk, directory, name, path, &place.before) && remove_all(walk, list, &place);
}

static bool remove_entries(struct walk *walk, struct list *list, const struct place *above) {
    cleanup_fd int directory = open_below(above->target, above->name);
    char **names = directory >= 0 ? node_names(directory) : NULL;
    bool good = names != NULL || cannot_read(walk, above->path);
    for (size_t i = 0; good && names != NULL && names[i] != NULL; i++)
        good = remove_entry(walk, list, directory, above->path, names[i]);
    node_names_free(names);
    return good;
}

/* ---- comparing ---- */

static bool same_times(const struct stat *a, const struct stat *b) {
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool read_attributes_at(int directory, const char *name, struct attributes *attributes) {
    cleanup_fd int fd = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && attributes_read(fd, attributes);
}

/* Sets `same`; false and a mistake where it cannot be known. */
static bool same_metadata(const struct walk *walk, const struct place *place, bool *same) {
    const struct stat *before = &place->before, *after = &place->after;
    *same = before->st_mode == after->st_mode && before->st_uid == after->st_uid && before->st_gid == after->st_gid &&
            (S_ISDIR(after->st_mode) || same_times(before, after));
    if (!*same)
        return true;
    struct attributes old, new;
    if (!read_attributes_at(place->target, place->name, &old))
        return cannot_read(walk, place->path);
    bool good = read_attributes_at(place->upper, place->name, &new);
    if (good) {
        *same = attributes_equal(&old, &new);
        attributes_free(&new);
    }
    attributes_free(&old);
    return good || cannot_read(walk, place->path);
}

static bool same_content(const struct walk *walk, const struct place *place, bool *same) {
    const struct stat *before = &place->before, *after = &place->after;
    *same = (before->st_mode & S_IFMT) == (after->st_mode & S_IFMT);
    if (!*same)
        return true;
    if (S_ISLNK(after->st_mode)) {
        *same = node_same_link(place->target, place->name, place->upper, place->name);
    } else if (S_ISREG(after->st_mode)) {
        errno = 0;
        *same = before->st_size == after->st_size &&
                node_same_content(place->target, place->name, place->upper, place->name);
        return *same || errno == 0 || before->st_size != after->st_size || cannot_read(walk, place->path);
    } else {
        *same = before->st_rdev == after->st_rdev;
    }
    return true;
}

/* ---- what the stage has ---- */

static bool walk_directory(struct walk *walk, int upper, int target, const char *prefix);

/* The entries of the target's directory that an opaque one hides. */
static bool remove_hidden(struct walk *walk, int upper, int target, const char *prefix) {
    char **names = node_names(target);
    bool good = names != NULL || cannot_read(walk, prefix);
    for (size_t i = 0; good && names != NULL && names[i] != NULL; i++) {
        struct stat status;
        if (fstatat(upper, names[i], &status, AT_SYMLINK_NOFOLLOW) != 0)
            good = errno == ENOENT ? remove_entry(walk, &walk->removed, target, prefix, names[i])
                                   : cannot_read(walk, prefix);
    }
    node_names_free(names);
    return good;
}

/* The stage itself makes what leads to STAGE_WORK: without anything else in it, that is no change. */
static bool is_way_to_work(const char *path) {
    size_t length = strlen(path);
    return strncmp(path, STAGE_WORK, length) == 0 && STAGE_WORK[length] == '/';
}

static bool walk_made(struct walk *walk, int upper, const char *path) {
    size_t count = walk->made.count;
    if (!walk_directory(walk, upper, -1, path))
        return false;
    if (is_way_to_work(path) && walk->made.count == count)
        free(walk->made.items[--walk->made.count].path);
    return true;
}

static bool take_directory(struct walk *walk, const struct place *place) {
    bool there = place->before.st_ino != 0, same = true;
    cleanup_fd int upper = open_below(place->upper, place->name), target = -1;
    if (there && S_ISDIR(place->before.st_mode)) {
        target = open_below(place->target, place->name);
        if (target < 0)
            return cannot_read(walk, place->path);
        if (!same_metadata(walk, place, &same))
            return false;
        if (!same)
            add(&walk->made, CHANGE_METADATA, place);
    } else {
        add(&walk->made, there ? CHANGE_REPLACE : CHANGE_CREATE, place);
    }
    if (upper < 0)
        return cannot_read(walk, place->path);
    if (!there)
        return walk_made(walk, upper, place->path);
    bool opaque;
    if (!node_is_opaque(upper, &opaque))
        return cannot_read(walk, place->path);
    if (target >= 0 && opaque && !remove_hidden(walk, upper, target, place->path))
        return false;
    return walk_directory(walk, upper, target, place->path);
}

/* Packages bring no device nodes. Whoever may make none must not come to one of the machine's disk by being patched. */
static bool is_fresh_device(const struct place *place) {
    const struct stat *before = &place->before, *after = &place->after;
    return (S_ISCHR(after->st_mode) || S_ISBLK(after->st_mode)) &&
           (before->st_ino == 0 || (before->st_mode & S_IFMT) != (after->st_mode & S_IFMT) ||
            before->st_rdev != after->st_rdev);
}

static bool take_other(struct walk *walk, const struct place *place) {
    if (is_fresh_device(place))
        return text_mistake(walk->mistake, 0, "the patch makes the device node \"%s\", which it may not", place->path);
    if (place->before.st_ino == 0) {
        add(&walk->made, CHANGE_CREATE, place);
        return true;
    }
    if (S_ISDIR(place->before.st_mode)) {
        bool good = remove_entries(walk, &walk->made, place);
        add(&walk->made, CHANGE_REPLACE, place);
        return good;
    }
    bool content, metadata;
    if (!same_content(walk, place, &content) || !same_metadata(walk, place, &metadata))
        return false;
    /* One of several names for a file stays that: it is made anew together with the others. */
    bool linked = place->after.st_nlink > 1;
    if (!content || linked)
        add(&walk->made, CHANGE_REPLACE, place);
    else if (!metadata)
        add(&walk->made, CHANGE_METADATA, place);
    return true;
}

static bool is_whiteout(const struct stat *status) {
    return S_ISCHR(status->st_mode) && status->st_rdev == 0;
}

static bool take(struct walk *walk, struct place *place) {
    if (is_left_out(place->path))
        return true;
    if (!has_room(walk))
        return false;
    if (strlen(place->path) > PATH_MOST)
        return text_mistake(walk->mistake, 0, "the patch makes a path of more than %d bytes", PATH_MOST);
    if (fstatat(place->upper, place->name, &place->after, AT_SYMLINK_NOFOLLOW) != 0)
        return cannot_read(walk, place->path);
    if (!look(walk, place->target, place->name, place->path, &place->before))
        return false;
    if (is_whiteout(&place->after))
        return place->before.st_ino == 0 || remove_all(walk, &walk->removed, place);
    return S_ISDIR(place->after.st_mode) ? take_directory(walk, place) : take_other(walk, place);
}

static bool walk_directory(struct walk *walk, int upper, int target, const char *prefix) {
    char **names = node_names(upper);
    bool good = names != NULL || cannot_read(walk, prefix);
    for (size_t i = 0; good && names != NULL && names[i] != NULL; i++) {
        struct place place = {.upper = upper, .target = target, .name = names[i]};
        place.path = xasprintf("%s/%s", prefix, names[i]);
        good = take(walk, &place);
        free(place.path);
    }
    node_names_free(names);
    return good;
}

/* ---- all of them ---- */

static bool is_counted_already(const struct changes *changes, size_t index) {
    const struct stat *file = &changes->items[index].after;
    for (size_t i = 0; file->st_nlink > 1 && i < index; i++)
        if (changes->items[i].after.st_ino == file->st_ino && changes->items[i].after.st_dev == file->st_dev)
            return true;
    return false;
}

static void count_bytes(struct changes *changes) {
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (change->kind == CHANGE_METADATA)
            continue;
        changes->bytes_before += (uint64_t)change->before.st_blocks * 512;
        if (!is_counted_already(changes, i))
            changes->bytes_after += (uint64_t)change->after.st_blocks * 512;
    }
}

bool changes_read(struct changes *changes, const struct stage *stage, struct mistake *mistake) {
    struct walk walk = {.target = stage->target, .mistake = mistake};
    *changes = (struct changes){.count = 0};
    cleanup_fd int upper = open(stage->upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool good =
        upper >= 0 ? walk_directory(&walk, upper, stage->target->descriptor, "") : cannot_read(&walk, stage->upper);
    for (size_t i = 0; i < walk.removed.count; i++)
        *array_append(walk.made.items, walk.made.count) = walk.removed.items[i];
    free(walk.removed.items);
    changes->items = walk.made.items;
    changes->count = walk.made.count;
    if (good)
        count_bytes(changes);
    else
        changes_free(changes);
    return good;
}

void changes_free(struct changes *changes) {
    for (size_t i = 0; i < changes->count; i++)
        free(changes->items[i].path);
    free(changes->items);
    *changes = (struct changes){.count = 0};
}

struct file_identity *changes_old_files(const struct changes *changes, size_t *count) {
    struct file_identity *files = xcalloc(changes->count + 1, sizeof *files);
    *count = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (change->kind == CHANGE_REPLACE || change->kind == CHANGE_REMOVE)
            files[(*count)++] =
                (struct file_identity){change->before.st_dev, change->before.st_ino, xstrdup(change->path)};
    }
    return files;
}
