/* Making a commit, in this order: look whether all is as it was; make the new files and second names of the old ones in
 * the commit's own directory; all that to the disk; the manifest, to the disk; only then the changes, each by one rename.
 * Nothing outside of the commit's directory is touched before the manifest is on disk.
 */
#include "tools/patch/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/commit_place.h"
#include "tools/patch/node.h"

#define SPACE_MARGIN (1u << 20)
#define SPACE_OF_ENTRY 4096u

struct commit {
    const struct target *target;
    const struct change **order; /* as they are made: the manifest's order */
    size_t count;
    uint64_t bytes; /* that they need on disk */
    struct commit_place place;
    int upper; /* of the stage, O_PATH */
    struct mistake *mistake;
};

static bool cannot(const struct commit *commit, const char *what, const char *path) {
    return text_mistake(commit->mistake, 0, "cannot %s \"%s%s\": %s", what, commit->target->root, path,
                        strerror(errno));
}

static bool was_directory(const struct change *change) {
    return change->before.st_ino != 0 && S_ISDIR(change->before.st_mode);
}

static bool is_directory(const struct change *change) {
    return change->after.st_ino != 0 && S_ISDIR(change->after.st_mode);
}

/* Something other than a directory that has to be kept under a second name. */
static bool has_old(const struct change *change) {
    return (change->kind == CHANGE_REPLACE || change->kind == CHANGE_REMOVE) && !was_directory(change);
}

static bool has_new(const struct change *change) {
    return change->kind == CHANGE_CREATE || change->kind == CHANGE_REPLACE;
}

/* ---- the order ---- */

static bool is_above(const char *directory, const char *path) {
    size_t length = strlen(directory);
    return strncmp(directory, path, length) == 0 && path[length] == '/';
}

/* A directory that is made comes before what is in it. */
static bool is_first(const struct changes *changes, const struct change *change, bool (*first)(const char *path)) {
    if (first(change->path))
        return true;
    for (size_t i = 0; has_new(change) && is_directory(change) && i < changes->count; i++)
        if (is_above(change->path, changes->items[i].path) && first(changes->items[i].path))
            return true;
    return false;
}

static void put_in_order(struct commit *commit, const struct changes *changes, bool (*first)(const char *path)) {
    commit->order = xcalloc(changes->count + 1, sizeof(const struct change *));
    for (int turn = 1; turn >= 0; turn--)
        for (size_t i = 0; i < changes->count; i++)
            if ((first != NULL && is_first(changes, &changes->items[i], first)) == (turn == 1))
                commit->order[commit->count++] = &changes->items[i];
}

/* ---- whether all is as it was ---- */

static bool same_time(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Second names change a file's ctime: after they are made it says nothing. */
static bool is_unchanged(const struct stat *now, const struct stat *before, bool linked) {
    if (now->st_dev != before->st_dev || now->st_ino != before->st_ino || now->st_mode != before->st_mode)
        return false;
    return S_ISDIR(now->st_mode) || (now->st_size == before->st_size && same_time(&now->st_mtim, &before->st_mtim) &&
                                     (linked || same_time(&now->st_ctim, &before->st_ctim)));
}

static bool check_before(const struct commit *commit, const struct change *change, bool linked) {
    const char *name;
    struct stat now;
    cleanup_fd int parent = root_parent(commit->target->descriptor, change->path, &name);
    bool there = parent >= 0 && fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) == 0;
    bool below_other = change->kind == CHANGE_CREATE && (errno == ENOTDIR || errno == ELOOP);
    if (!there && errno != ENOENT && !below_other)
        return cannot(commit, "look at", change->path);
    bool good = there ? change->kind != CHANGE_CREATE && is_unchanged(&now, &change->before, linked)
                      : change->kind == CHANGE_CREATE;
    return good || text_mistake(commit->mistake, 0,
                                "\"%s%s\" was changed by somebody else while the patch was made ready; try again",
                                commit->target->root, change->path);
}

static bool check_all(const struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++)
        if (!check_before(commit, commit->order[i], false))
            return false;
    return true;
}

static bool check_space(const struct commit *commit) {
    struct statvfs system;
    if (fstatvfs(commit->target->descriptor, &system) != 0)
        return cannot(commit, "measure the free space of", "/");
    uint64_t free_bytes = (uint64_t)system.f_bavail * system.f_frsize;
    uint64_t needed = commit->bytes + commit->count * SPACE_OF_ENTRY + SPACE_MARGIN;
    if (needed > free_bytes)
        return text_mistake(commit->mistake, 0, "\"%s/\" has %llu MiB free and %llu MiB are needed: make room",
                            commit->target->root, (unsigned long long)(free_bytes >> 20),
                            (unsigned long long)(needed >> 20) + 1);
    if (system.f_files != 0 && system.f_favail < commit->count + 16)
        return text_mistake(commit->mistake, 0, "\"%s/\" has %llu inodes free and %zu are needed: remove files",
                            commit->target->root, (unsigned long long)system.f_favail, commit->count + 16);
    return true;
}

/* ---- the manifest ---- */

static bool add_directory(const struct commit *commit, struct manifest *manifest, const char *path) {
    for (size_t i = manifest->directory_count; i-- > 0;)
        if (strcmp(manifest->directories[i].path, path) == 0)
            return true;
    struct stat status;
    cleanup_fd int fd = -1;
    if (strcmp(path, "/") == 0) {
        fd = fcntl(commit->target->descriptor, F_DUPFD_CLOEXEC, 0);
    } else {
        const char *name;
        cleanup_fd int parent = root_parent(commit->target->descriptor, path, &name);
        fd = parent >= 0 ? openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    }
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) /* the commit makes it */
        return true;
    if (fd < 0 || fstat(fd, &status) != 0)
        return cannot(commit, "look at", path);
    *array_append(manifest->directories, manifest->directory_count) =
        (struct manifest_directory){.path = xstrdup(path), .before = status};
    return true;
}

static bool add_parent(const struct commit *commit, struct manifest *manifest, const char *path) {
    size_t length = (size_t)(strrchr(path, '/') - path);
    cleanup_free char *parent = length == 0 ? xstrdup("/") : xstrndup(path, length);
    return add_directory(commit, manifest, parent);
}

static bool add_entry(const struct commit *commit, struct manifest *manifest, size_t index) {
    const struct change *change = commit->order[index];
    struct stat new;
    bool made = has_new(change) && fstatat(commit->place.new, commit_name(index).text, &new, AT_SYMLINK_NOFOLLOW) == 0;
    if (has_new(change) && !made)
        return cannot(commit, "look at the new", change->path);
    struct manifest_entry *entry = array_append(manifest->entries, manifest->entry_count);
    *entry = (struct manifest_entry){.kind = change->kind,
                                     .path = xstrdup(change->path),
                                     .was_directory = was_directory(change),
                                     .is_directory = is_directory(change),
                                     .inode = made ? new.st_ino : 0,
                                     .before = change->before};
    if (change->kind != CHANGE_METADATA && !entry->was_directory)
        return true;
    const char *name;
    cleanup_fd int parent = root_parent(commit->target->descriptor, change->path, &name);
    cleanup_fd int fd = parent >= 0 ? openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &entry->before) != 0 || !attributes_read(fd, &entry->attributes))
        return cannot(commit, "look at", change->path);
    return !entry->was_directory || add_directory(commit, manifest, change->path);
}

/* What says that something was begun, and when the directories above were changed. */
static bool fill_beginning(const struct commit *commit, struct manifest *manifest) {
    if (!add_directory(commit, manifest, "/var/lib") || !add_directory(commit, manifest, "/var/lib/pinion"))
        return false;
    for (size_t i = 0; i < commit->count; i++)
        if (!add_parent(commit, manifest, commit->order[i]->path))
            return false;
    return true;
}

static bool fill_entries(const struct commit *commit, struct manifest *manifest) {
    for (size_t i = 0; i < commit->count; i++)
        if (!add_entry(commit, manifest, i))
            return false;
    return true;
}

/* ---- new files and second names ---- */

static bool keep_old(const struct commit *commit, size_t index) {
    const struct change *change = commit->order[index];
    const char *name;
    struct commit_name old = commit_name(index);
    cleanup_fd int parent = root_parent(commit->target->descriptor, change->path, &name);
    if (parent < 0)
        return cannot(commit, "look at", change->path);
    if (linkat(parent, name, commit->place.old, old.text, 0) == 0)
        return true;
    if (errno != EPERM && errno != EMLINK && errno != EXDEV && errno != EOPNOTSUPP)
        return cannot(commit, "keep", change->path);
    return node_copy(parent, name, commit->place.old, old.text) || cannot(commit, "keep a copy of", change->path);
}

/* An earlier entry that is another name of the same new file; `index` itself: none. */
static size_t find_linked(const struct commit *commit, size_t index) {
    const struct stat *file = &commit->order[index]->after;
    for (size_t i = 0; file->st_nlink > 1 && i < index; i++)
        if (has_new(commit->order[i]) && commit->order[i]->after.st_ino == file->st_ino &&
            commit->order[i]->after.st_dev == file->st_dev)
            return i;
    return index;
}

static bool make_new(const struct commit *commit, size_t index) {
    const struct change *change = commit->order[index];
    struct commit_name new = commit_name(index);
    if (is_directory(change))
        return mknodat(commit->place.new, new.text, S_IFREG | 0600, 0) == 0 || cannot(commit, "prepare", change->path);
    size_t linked = find_linked(commit, index);
    if (linked != index)
        return linkat(commit->place.new, commit_name(linked).text, commit->place.new, new.text, 0) == 0 ||
               cannot(commit, "link the new", change->path);
    const char *name;
    cleanup_fd int parent = root_parent(commit->upper, change->path, &name);
    if (parent >= 0 && node_copy(parent, name, commit->place.new, new.text))
        return true;
    return cannot(commit, "copy the new", change->path);
}

/* A directory that goes is made again when the commit is undone, perhaps on a disk that is full by then: an inode and a
 * block are kept for it. */
static bool keep_room(const struct commit *commit, size_t index) {
    cleanup_fd int fd =
        openat(commit->place.old, commit_name(index).text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return (fd >= 0 && (fallocate(fd, 0, 0, SPACE_OF_ENTRY) == 0 || errno == EOPNOTSUPP)) ||
           cannot(commit, "keep room for", commit->order[index]->path);
}

static bool prepare(const struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++) {
        bool goes = was_directory(commit->order[i]) && commit->order[i]->kind != CHANGE_METADATA;
        if (goes && !keep_room(commit, i))
            return false;
        if (has_old(commit->order[i]) && !keep_old(commit, i))
            return false;
        if (has_new(commit->order[i]) && !make_new(commit, i))
            return false;
    }
    return syncfs(commit->place.directory) == 0 || cannot(commit, "flush", "/");
}

/* ---- making the changes ---- */

/* The second name was made of what is there now, and nobody has written to it since. */
static bool is_what_was_kept(const struct commit *commit, size_t index, int parent, const char *name) {
    struct stat now, old;
    const struct stat *before = &commit->order[index]->before;
    if (fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) != 0 ||
        fstatat(commit->place.old, commit_name(index).text, &old, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    errno = EBUSY;
    return now.st_size == before->st_size && same_time(&now.st_mtim, &before->st_mtim) &&
           old.st_size == before->st_size && same_time(&old.st_mtim, &before->st_mtim) &&
           (now.st_ino == old.st_ino || now.st_ino == before->st_ino);
}

/* Once more, as copying takes a while. */
static bool check_again(const struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++) {
        const struct change *change = commit->order[i];
        const char *name;
        cleanup_fd int parent = has_old(change) ? root_parent(commit->target->descriptor, change->path, &name) : -1;
        bool good = has_old(change) ? parent >= 0 && is_what_was_kept(commit, i, parent, name)
                                    : check_before(commit, change, true);
        if (!good)
            return !has_old(change) ? false : cannot(commit, "change", change->path);
    }
    return true;
}

static bool set_as_staged(const struct commit *commit, const struct change *change, int parent, const char *name) {
    const char *upper_name;
    struct attributes attributes;
    cleanup_fd int upper_parent = root_parent(commit->upper, change->path, &upper_name);
    cleanup_fd int upper = upper_parent >= 0 ? openat(upper_parent, upper_name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    cleanup_fd int node = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (upper < 0 || node < 0 || !attributes_read(upper, &attributes))
        return false;
    bool good = node_set(node, &change->after, &attributes);
    int error = errno;
    attributes_free(&attributes);
    errno = error;
    return good;
}

/* The file in `new` goes first: without it, undoing takes the directory for ours. */
static bool make_directory(const struct commit *commit, size_t index, int parent, const char *name) {
    return unlinkat(commit->place.new, commit_name(index).text, 0) == 0 && mkdirat(parent, name, 0700) == 0 &&
           set_as_staged(commit, commit->order[index], parent, name);
}

static bool put_in_place(const struct commit *commit, size_t index, int parent, const char *name, unsigned flags) {
    return renameat2(commit->place.new, commit_name(index).text, parent, name, flags) == 0;
}

static bool replace(const struct commit *commit, size_t index, int parent, const char *name) {
    const struct change *change = commit->order[index];
    if (was_directory(change))
        return unlinkat(parent, name, AT_REMOVEDIR) == 0 && put_in_place(commit, index, parent, name, RENAME_NOREPLACE);
    if (!is_what_was_kept(commit, index, parent, name))
        return false;
    if (is_directory(change))
        return unlinkat(parent, name, 0) == 0 && make_directory(commit, index, parent, name);
    return put_in_place(commit, index, parent, name, 0);
}

static bool create(const struct commit *commit, size_t index, int parent, const char *name) {
    struct stat other;
    if (!is_directory(commit->order[index]))
        return put_in_place(commit, index, parent, name, RENAME_NOREPLACE);
    if (fstatat(parent, name, &other, AT_SYMLINK_NOFOLLOW) == 0)
        errno = EEXIST;
    return errno == ENOENT && make_directory(commit, index, parent, name);
}

static bool take_away(const struct commit *commit, size_t index, int parent, const char *name) {
    if (was_directory(commit->order[index]))
        return unlinkat(parent, name, AT_REMOVEDIR) == 0;
    return is_what_was_kept(commit, index, parent, name) && unlinkat(parent, name, 0) == 0;
}

static bool make_change(const struct commit *commit, size_t index) {
    const struct change *change = commit->order[index];
    const char *name;
    cleanup_fd int parent = root_parent(commit->target->descriptor, change->path, &name);
    bool good = parent >= 0;
    switch (change->kind) {
    case CHANGE_CREATE: good = good && create(commit, index, parent, name); break;
    case CHANGE_REPLACE: good = good && replace(commit, index, parent, name); break;
    case CHANGE_REMOVE: good = good && take_away(commit, index, parent, name); break;
    case CHANGE_METADATA: good = good && set_as_staged(commit, change, parent, name); break;
    }
    return good || cannot(commit, "change", change->path);
}

/* A new directory gets its time when all is in it. */
static bool set_directory_time(const struct commit *commit, const struct change *change) {
    const char *name;
    cleanup_fd int parent = root_parent(commit->target->descriptor, change->path, &name);
    struct timespec times[2] = {change->after.st_atim, change->after.st_mtim};
    return (parent >= 0 && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0) ||
           cannot(commit, "set the time of", change->path);
}

static bool make_changes(const struct commit *commit) {
    for (size_t i = 0; i < commit->count; i++)
        if (!make_change(commit, i))
            return false;
    for (size_t i = commit->count; i-- > 0;)
        if (has_new(commit->order[i]) && is_directory(commit->order[i]) &&
            !set_directory_time(commit, commit->order[i]))
            return false;
    return syncfs(commit->place.directory) == 0 || cannot(commit, "flush", "/");
}

/* ---- all of it ---- */

static bool run_in_place(struct commit *commit, struct manifest *manifest) {
    return commit_manifest_write(&commit->place, manifest, commit->mistake) && prepare(commit) && check_again(commit) &&
           fill_entries(commit, manifest) && commit_manifest_write(&commit->place, manifest, commit->mistake) &&
           make_changes(commit);
}

static bool run(struct commit *commit, int64_t incident) {
    struct manifest manifest = {.incident = incident};
    bool good = check_all(commit) && check_space(commit) && fill_beginning(commit, &manifest) &&
                commit_place_make(&commit->place, commit->target, incident, commit->mistake);
    if (good) {
        good = run_in_place(commit, &manifest);
        commit_place_close(&commit->place);
    }
    manifest_free(&manifest);
    return good;
}

bool commit_make(const struct changes *changes, const struct stage *stage, bool (*first)(const char *path),
                 struct mistake *mistake) {
    cleanup_fd int upper = open(stage->upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct commit commit = {.target = stage->target, .bytes = changes->bytes_after, .upper = upper, .mistake = mistake};
    if (upper < 0)
        return text_mistake(mistake, 0, "cannot open \"%s\": %s", stage->upper, strerror(errno));
    put_in_order(&commit, changes, first);
    bool good = run(&commit, stage->incident);
    free(commit.order);
    return good;
}
