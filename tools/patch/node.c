/* Objects of a file system, whole. Every access is by descriptor; nothing here follows a link.
 */
#include "tools/patch/node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "runtime/util.h"

#define OVERLAY_OWN "trusted.overlay."

/* The name by which a handle of any kind is reached by calls that take a path. */
struct handle_path {
    char text[32];
};

static struct handle_path path_of(int handle) {
    struct handle_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", handle);
    return path;
}

static int open_plain(int directory, const char *name, int flags) {
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC | O_NOFOLLOW),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
    for (int attempt = 0;; attempt++) {
        int fd = (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN || attempt == 100)
            return fd;
    }
}

/* ---- extended attributes ---- */

static int compare_attributes(const void *a, const void *b) {
    return strcmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

/* Returns -1 and errno; the caller frees what is read. */
static ssize_t read_value(const char *path, const char *name, uint8_t **value) {
    for (;;) {
        ssize_t size = getxattr(path, name, NULL, 0);
        if (size < 0)
            return -1;
        *value = xmalloc((size_t)size + 1);
        ssize_t got = getxattr(path, name, *value, (size_t)size);
        if (got >= 0 && got <= size)
            return got;
        free(steal_pointer(value));
        if (errno != ERANGE)
            return -1;
    }
}

static ssize_t read_names(const char *path, char **names) {
    for (;;) {
        ssize_t size = listxattr(path, NULL, 0);
        if (size < 0)
            return errno == ENOTSUP ? 0 : -1;
        *names = xmalloc((size_t)size + 1);
        ssize_t got = listxattr(path, *names, (size_t)size);
        if (got >= 0)
            return got;
        free(steal_pointer(names));
        if (errno != ERANGE)
            return -1;
    }
}

bool attributes_read(int handle, struct attributes *attributes) {
    *attributes = (struct attributes){.count = 0};
    struct handle_path path = path_of(handle);
    cleanup_free char *names = NULL;
    ssize_t size = read_names(path.text, &names);
    if (size < 0)
        return false;
    for (const char *name = names; name != NULL && name < names + size; name += strlen(name) + 1) {
        if (strncmp(name, OVERLAY_OWN, strlen(OVERLAY_OWN)) == 0)
            continue;
        uint8_t *value = NULL;
        ssize_t length = read_value(path.text, name, &value);
        if (length < 0) {
            int error = errno;
            attributes_free(attributes);
            errno = error;
            return false;
        }
        *array_append(attributes->items, attributes->count) =
            (struct attribute){.name = xstrdup(name), .value = value, .size = (size_t)length};
    }
    if (attributes->count > 1)
        qsort(attributes->items, attributes->count, sizeof *attributes->items, compare_attributes);
    return true;
}

static bool attribute_equal(const struct attribute *a, const struct attribute *b) {
    return strcmp(a->name, b->name) == 0 && a->size == b->size && memcmp(a->value, b->value, a->size) == 0;
}

bool attributes_equal(const struct attributes *a, const struct attributes *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!attribute_equal(&a->items[i], &b->items[i]))
            return false;
    return true;
}

void attributes_free(struct attributes *attributes) {
    for (size_t i = 0; i < attributes->count; i++) {
        free(attributes->items[i].name);
        free(attributes->items[i].value);
    }
    free(attributes->items);
    *attributes = (struct attributes){.count = 0};
}

bool node_is_opaque(int handle, bool *opaque) {
    char value[8] = "";
    ssize_t size = getxattr(path_of(handle).text, OVERLAY_OWN "opaque", value, sizeof value);
    *opaque = size == 1 && value[0] == 'y';
    return size >= 0 || errno == ENODATA || errno == EOPNOTSUPP;
}

static const struct attribute *find_attribute(const struct attributes *attributes, const char *name) {
    for (size_t i = 0; i < attributes->count; i++)
        if (strcmp(attributes->items[i].name, name) == 0)
            return &attributes->items[i];
    return NULL;
}

static bool set_attributes(int handle, const struct attributes *wanted) {
    struct handle_path path = path_of(handle);
    struct attributes there;
    if (!attributes_read(handle, &there))
        return false;
    bool good = true;
    for (size_t i = 0; i < there.count && good; i++)
        if (find_attribute(wanted, there.items[i].name) == NULL)
            good = removexattr(path.text, there.items[i].name) == 0;
    for (size_t i = 0; i < wanted->count && good; i++) {
        const struct attribute *attribute = &wanted->items[i];
        const struct attribute *old = find_attribute(&there, attribute->name);
        if (old == NULL || !attribute_equal(old, attribute))
            good = setxattr(path.text, attribute->name, attribute->value, attribute->size, 0) == 0;
    }
    int error = errno;
    attributes_free(&there);
    errno = error;
    return good;
}

/* The owner comes first: its change takes set-user-ID bits and capabilities away. */
bool node_set(int handle, const struct stat *status, const struct attributes *attributes) {
    struct stat now;
    if (fstat(handle, &now) != 0)
        return false;
    if ((now.st_uid != status->st_uid || now.st_gid != status->st_gid) &&
        fchownat(handle, "", status->st_uid, status->st_gid, AT_EMPTY_PATH) != 0)
        return false;
    if (!S_ISLNK(status->st_mode) && chmod(path_of(handle).text, status->st_mode & 07777) != 0)
        return false;
    if (!set_attributes(handle, attributes))
        return false;
    struct timespec times[2] = {status->st_atim, status->st_mtim};
    return utimensat(handle, "", times, AT_EMPTY_PATH) == 0;
}

/* ---- comparing ---- */

static ssize_t read_full(int fd, char *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

#define COMPARED_MOST (INT64_C(4) << 30) /* a file of holes has any size; larger ones are taken to differ */

bool node_same_content(int a_directory, const char *a, int b_directory, const char *b) {
    enum {
        STEP = 1 << 17,
    };
    cleanup_fd int first = open_plain(a_directory, a, O_RDONLY | O_NONBLOCK | O_NOATIME);
    cleanup_fd int second = open_plain(b_directory, b, O_RDONLY | O_NONBLOCK | O_NOATIME);
    if (first < 0 || second < 0)
        return false;
    struct stat status;
    if (fstat(first, &status) != 0)
        return false;
    errno = 0;
    if (status.st_size > COMPARED_MOST)
        return false;
    cleanup_free char *data = xmalloc(2 * STEP);
    for (;;) {
        ssize_t got = read_full(first, data, STEP), other = read_full(second, data + STEP, STEP);
        if (got < 0 || other < 0)
            return false;
        if (got != other || memcmp(data, data + STEP, (size_t)got) != 0) {
            errno = 0;
            return false;
        }
        if (got == 0)
            return true;
    }
}

bool node_same_link(int a_directory, const char *a, int b_directory, const char *b) {
    char first[4097], second[4097];
    ssize_t length = readlinkat(a_directory, a, first, sizeof first);
    return length >= 0 && readlinkat(b_directory, b, second, sizeof second) == length &&
           memcmp(first, second, (size_t)length) == 0;
}

/* ---- copying ---- */

static bool write_full(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t wrote = write(fd, data, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return false;
        data += wrote;
        size -= (size_t)wrote;
    }
    return true;
}

static bool copy_by_hand(int from, int to, off_t size) {
    char data[65536];
    while (size > 0) {
        ssize_t got = read(from, data, (size_t)size < sizeof data ? (size_t)size : sizeof data);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (got == 0 && (errno = EIO) != 0) || !write_full(to, data, (size_t)got))
            return false;
        size -= got;
    }
    return true;
}

/* One stretch of data, shared between the files where the file system can. */
static bool copy_stretch(int from, int to, off_t begin, off_t end) {
    if (lseek(from, begin, SEEK_SET) < 0 || lseek(to, begin, SEEK_SET) < 0)
        return false;
    while (begin < end) {
        ssize_t copied = copy_file_range(from, NULL, to, NULL, (size_t)(end - begin), 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
            return false;
        if (copied <= 0)
            return copy_by_hand(from, to, end - begin);
        begin += copied;
    }
    return true;
}

static bool copy_content(int from, int to, off_t size) {
    for (off_t at = 0; at < size;) {
        off_t begin = lseek(from, at, SEEK_DATA);
        if (begin < 0 && errno == ENXIO)
            break;
        off_t end = begin >= 0 ? lseek(from, begin, SEEK_HOLE) : -1;
        if (end < 0) {
            if (errno != EINVAL && errno != EOPNOTSUPP)
                return false;
            begin = at;
            end = size;
        }
        if (!copy_stretch(from, to, begin, end < size ? end : size))
            return false;
        at = end;
    }
    return ftruncate(to, size) == 0;
}

static bool copy_regular(int from_directory, const char *from, int to_directory, const char *to, off_t size) {
    cleanup_fd int in = open_plain(from_directory, from, O_RDONLY | O_NONBLOCK | O_NOATIME);
    cleanup_fd int out = openat(to_directory, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return in >= 0 && out >= 0 && copy_content(in, out, size);
}

static bool copy_link(int from_directory, const char *from, int to_directory, const char *to) {
    char text[4097];
    ssize_t length = readlinkat(from_directory, from, text, sizeof text - 1);
    if (length < 0)
        return false;
    text[length] = '\0';
    return symlinkat(text, to_directory, to) == 0;
}

bool node_copy(int from_directory, const char *from, int to_directory, const char *to) {
    cleanup_fd int source = open_plain(from_directory, from, O_PATH);
    struct stat status;
    struct attributes attributes;
    if (source < 0 || fstat(source, &status) != 0 || !attributes_read(source, &attributes))
        return false;
    bool good;
    if (S_ISREG(status.st_mode))
        good = copy_regular(from_directory, from, to_directory, to, status.st_size);
    else if (S_ISLNK(status.st_mode))
        good = copy_link(from_directory, from, to_directory, to);
    else
        good = mknodat(to_directory, to, (status.st_mode & S_IFMT) | 0600, status.st_rdev) == 0;
    cleanup_fd int copy = good ? open_plain(to_directory, to, O_PATH) : -1;
    good = copy >= 0 && node_set(copy, &status, &attributes);
    int error = errno;
    attributes_free(&attributes);
    errno = error;
    return good;
}

/* ---- removing ---- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void node_names_free(char **names) {
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        free(names[i]);
    free(names);
}

char **node_names(int directory) {
    int fd = open_plain(directory, ".", O_RDONLY | O_DIRECTORY);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    if (stream == NULL) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char **names = NULL;
    size_t count = 0;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL; errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            *array_append(names, count) = xstrdup(entry->d_name);
    int error = errno;
    closedir(stream);
    if (count > 1)
        qsort(names, count, sizeof *names, compare_names);
    *array_append(names, count) = NULL;
    if (error == 0)
        return names;
    node_names_free(names);
    errno = error;
    return NULL;
}

/* Directories below this depth are moved up to the top before they are emptied, so that no depth exhausts stack or
 * descriptors. */
#define DEPTH_MOST 64
#define ROUNDS_MOST 100000

static bool remove_at(int top, int directory, const char *name, unsigned depth);

static bool remove_entries(int top, int directory, unsigned depth) {
    char **names = node_names(directory);
    bool good = names != NULL;
    for (size_t i = 0; good && names[i] != NULL; i++)
        good = remove_at(top, directory, names[i], depth + 1);
    int error = errno;
    node_names_free(names);
    errno = error;
    return good;
}

static bool move_up(int top, int directory, const char *name) {
    static unsigned moved;
    char fresh[48];
    snprintf(fresh, sizeof fresh, ".pinion.deep.%d.%u", getpid(), moved++);
    return renameat(directory, name, top, fresh) == 0;
}

static bool remove_at(int top, int directory, const char *name, unsigned depth) {
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    if (depth > DEPTH_MOST)
        return move_up(top, directory, name);
    cleanup_fd int fd = open_plain(directory, name, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return false;
    for (int round = 0; remove_entries(depth == 0 ? fd : top, fd, depth); round++) {
        if (unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return true;
        if (depth != 0 || errno != ENOTEMPTY || round == ROUNDS_MOST)
            return false;
    }
    return false;
}

bool node_remove(int directory, const char *name) {
    return remove_at(directory, directory, name, 0);
}
