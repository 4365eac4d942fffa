/* The end of a commit: undone or kept. Undoing decides from the manifest and from what it finds, never from what it
 * remembers: a second run after a kill finds part of it done. As old/N is made before the manifest, its absence says
 * that the file is back; as new/N is made before it as well, its absence says that something of ours is in place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/commit_place.h"
#include "tools/patch/node.h"

/* What could be ours and is in the way; it is not ours while what was to come is still in `new`. */
static bool clear(const struct commit_place *place, size_t index, int parent, const char *name) {
    struct stat status;
    if (fstatat(place->new, commit_name(index).text, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return true;
    return errno == ENOENT && node_remove(parent, name);
}

/* Neither the file of before nor the one that the commit brought. */
static bool is_somebody_elses(const struct commit_place *place, size_t index, const struct manifest_entry *entry) {
    const char *name;
    struct stat now, old;
    cleanup_fd int parent = root_parent(place->target->descriptor, entry->path, &name);
    return entry->kind == CHANGE_REPLACE && parent >= 0 && fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(place->old, commit_name(index).text, &old, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino != old.st_ino &&
           now.st_ino != entry->inode;
}

static bool restore_file(const struct commit_place *place, size_t index, int parent, const char *name) {
    struct stat now, old;
    if (fstatat(place->old, commit_name(index).text, &old, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT;
    if (fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return false;
    } else if (now.st_ino == old.st_ino && now.st_dev == old.st_dev) {
        return true;
    } else if (S_ISDIR(now.st_mode) && !node_remove(parent, name)) {
        return false;
    }
    return renameat(place->old, commit_name(index).text, parent, name) == 0;
}

static bool restore_metadata(const struct manifest_entry *entry, int parent, const char *name) {
    struct stat now;
    cleanup_fd int node = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (node < 0 || fstat(node, &now) != 0)
        return false;
    errno = EBUSY;
    return (now.st_mode & S_IFMT) == (entry->before.st_mode & S_IFMT) &&
           node_set(node, &entry->before, &entry->attributes);
}

static bool restore_directory(const struct commit_place *place, size_t index, const struct manifest_entry *entry,
                              int parent, const char *name) {
    struct stat now;
    bool there = fstatat(parent, name, &now, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && !S_ISDIR(now.st_mode) && !clear(place, index, parent, name))
        return false;
    /* What lies in its place in `old` keeps room for it. */
    if (!there || !S_ISDIR(now.st_mode)) {
        unlinkat(place->old, commit_name(index).text, 0);
        if (mkdirat(parent, name, 0700) != 0)
            return false;
    }
    return restore_metadata(entry, parent, name);
}

/* Entries of a directory that is ours go with it; on a second run it may be gone. */
static bool has_no_place(const struct manifest_entry *entry) {
    return entry->kind == CHANGE_CREATE && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP);
}

static bool undo_entry(const struct commit_place *place, const struct manifest *manifest, size_t index) {
    const struct manifest_entry *entry = &manifest->entries[index];
    const char *name;
    cleanup_fd int parent = root_parent(place->target->descriptor, entry->path, &name);
    if (parent < 0)
        return has_no_place(entry);
    if (entry->kind == CHANGE_CREATE)
        return clear(place, index, parent, name);
    if (entry->kind == CHANGE_METADATA)
        return restore_metadata(entry, parent, name);
    if (entry->was_directory)
        return restore_directory(place, index, entry, parent, name);
    return restore_file(place, index, parent, name);
}

static bool undo_directory_time(const struct commit_place *place, const struct manifest_directory *directory) {
    struct timespec times[2] = {directory->before.st_atim, directory->before.st_mtim};
    if (strcmp(directory->path, "/") == 0)
        return utimensat(place->target->descriptor, "", times, AT_EMPTY_PATH) == 0;
    const char *name;
    cleanup_fd int parent = root_parent(place->target->descriptor, directory->path, &name);
    return parent >= 0 && utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

static void note(const struct commit_place *place, const char *path, bool *good, struct mistake *mistake) {
    if (*good)
        text_mistake(mistake, 0, "cannot bring back \"%s%s\": %s; what there was is in \"%s/%lld\"",
                     place->target->root, path, strerror(errno), COMMIT_DIRECTORY, (long long)place->incident);
    *good = false;
}

/* Goes on after a failure: the rest is better back than not. */
static bool undo_all(const struct commit_place *place, const struct manifest *manifest, struct mistake *mistake) {
    bool good = true;
    for (size_t i = manifest->entry_count; i-- > 0;)
        if (!undo_entry(place, manifest, i))
            note(place, manifest->entries[i].path, &good, mistake);
    for (size_t i = 0; i < manifest->directory_count; i++)
        if (!undo_directory_time(place, &manifest->directories[i]))
            note(place, manifest->directories[i].path, &good, mistake);
    if (syncfs(place->directory) != 0)
        note(place, "/", &good, mistake);
    return good;
}

/* Who has installed packages since has built on what would be taken away: the package manager replaces its database as
 * a whole each time. */
static bool check_packages(const struct commit_place *place, const struct manifest *manifest, struct mistake *mistake) {
    static const char *const databases[] = {"/var/lib/dpkg/status", "/lib/apk/db/installed",
                                            "/usr/lib/apk/db/installed"};
    for (size_t i = 0; i < manifest->entry_count; i++)
        for (size_t j = 0; j < sizeof databases / sizeof *databases; j++)
            if (strcmp(manifest->entries[i].path, databases[j]) == 0 &&
                is_somebody_elses(place, i, &manifest->entries[i]))
                return text_mistake(mistake, 0,
                                    "packages were installed in \"%s/\" since: bring back by hand what is wanted of "
                                    "\"%s/%lld\", and remove it",
                                    place->target->root, COMMIT_DIRECTORY, (long long)place->incident);
    return true;
}

/* All is decided and on disk: what is left over takes room, and nothing else. */
static void clean_up(struct commit_place *place) {
    struct mistake mistake;
    if (!commit_place_remove(place, &mistake))
        warn("%s", mistake.text);
}

static bool undo(struct commit_place *place, struct mistake *mistake) {
    struct manifest manifest;
    bool there;
    if (!commit_manifest_read(place, &manifest, &there, mistake))
        return false;
    bool good = !there || (check_packages(place, &manifest, mistake) && undo_all(place, &manifest, mistake) &&
                           commit_manifest_remove(place, mistake));
    if (good)
        clean_up(place);
    manifest_free(&manifest);
    return good;
}

bool commit_undo(const struct target *target, int64_t incident, struct mistake *mistake) {
    struct commit_place place;
    if (!commit_place_open(&place, target, incident, mistake))
        return false;
    bool good = undo(&place, mistake);
    commit_place_close(&place);
    return good;
}

struct file_identity *commit_new_files(const struct target *target, int64_t incident, size_t *count) {
    struct commit_place place;
    struct manifest manifest = {0};
    struct mistake ignored;
    struct file_identity *files = NULL;
    bool there;
    *count = 0;
    if (!commit_place_open(&place, target, incident, &ignored))
        return NULL;
    if (commit_manifest_read(&place, &manifest, &there, &ignored) && there)
        for (size_t i = 0; i < manifest.entry_count; i++)
            *array_append(files, *count) =
                (struct file_identity){target->device, manifest.entries[i].inode, xstrdup(manifest.entries[i].path)};
    manifest_free(&manifest);
    commit_place_close(&place);
    return files;
}

/* Without the manifest nothing can be undone any more, so that goes first. */
bool commit_keep(const struct target *target, int64_t incident, struct mistake *mistake) {
    struct commit_place place;
    if (!commit_place_open(&place, target, incident, mistake))
        return false;
    bool good =
        (place.directory < 0 || commit_manifest_remove(&place, mistake)) && commit_place_remove(&place, mistake);
    commit_place_close(&place);
    return good;
}

bool commit_is_under_way(const struct target *target, int64_t incident) {
    struct commit_place place;
    struct mistake ignored;
    struct manifest manifest;
    bool there = true;
    if (!commit_place_open(&place, target, incident, &ignored))
        return true; /* somebody has to look */
    if (commit_manifest_read(&place, &manifest, &there, &ignored))
        manifest_free(&manifest);
    commit_place_close(&place);
    return there;
}
