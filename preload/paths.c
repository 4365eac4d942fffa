/* See paths.h. A name is resolved by opening it as a place only (O_PATH): that follows links and opens nothing. */
#include "preload/paths.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>

#include "preload/libc.h"
#include "preload/raw.h"
#include "runtime/counts.h"

#define PROC_FILESYSTEM 0x9fa0
#define DESCRIPTOR_LINK "/proc/self/fd/"

#define LINK_BYTES (sizeof DESCRIPTOR_LINK + 12)

static void name_descriptor(long descriptor, char link[LINK_BYTES]) {
    char digits[12];
    unsigned count = 0, used = sizeof DESCRIPTOR_LINK - 1;
    memcpy(link, DESCRIPTOR_LINK, used);
    do {
        digits[count++] = (char)('0' + descriptor % 10);
        descriptor /= 10;
    } while (descriptor > 0);
    while (count > 0)
        link[used++] = digits[--count];
    link[used] = '\0';
}

long path_reopen(int descriptor) {
    char link[LINK_BYTES];
    if (descriptor < 0)
        return -EBADF;
    name_descriptor(descriptor, link);
    return raw(__NR_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0);
}

static bool path_of_descriptor(long descriptor, char path[PATH_BYTES]) {
    char link[LINK_BYTES];
    name_descriptor(descriptor, link);
    long length = raw(__NR_readlink, link, path, PATH_BYTES - 1);
    if (raw_failed(length))
        return false;
    path[length] = '\0';
    return true;
}

bool path_resolve(int directory, const char *name, char path[PATH_BYTES]) {
    long opened = raw(__NR_openat, directory, name, O_PATH | O_CLOEXEC, 0);
    if (raw_failed(opened))
        return false;
    bool found = path_of_descriptor(opened, path);
    raw(__NR_close, opened);
    return found;
}

static bool ends_in_mem(const char *path) {
    size_t length = strlen(path);
    return length >= 4 && memcmp(path + length - 4, "/mem", 4) == 0;
}

static bool is_in_policy_directory(const char *path) {
    size_t length = strlen(STATE->policy_directory);
    return length > 0 && strncmp(path, STATE->policy_directory, length) == 0 && path[length] == '/';
}

/* Cut short, it would end every process that has it mapped. */
static bool is_counts_page(const char *path) {
    char name[COUNTS_PATH_BYTES];
    counts_default_path(name);
    return strcmp(path, STATE->counts_path != NULL ? STATE->counts_path : name) == 0;
}

static bool is_policy(long opened) {
    struct stat status = {0};
    return raw(__NR_fstat, opened, &status) == 0 && STATE->policy != NULL && status.st_dev == STATE->policy_device &&
           status.st_ino == STATE->policy_inode;
}

bool path_is_guarded(int directory, const char *name) {
    struct statfs filesystem = {0};
    char path[PATH_BYTES];
    long opened = raw(__NR_openat, directory, name, O_PATH | O_CLOEXEC, 0);
    if (raw_failed(opened))
        return false; /* then it cannot be opened either, or is new */
    bool named = path_of_descriptor(opened, path);
    bool in_proc = raw(__NR_fstatfs, opened, &filesystem) == 0 && filesystem.f_type == PROC_FILESYSTEM;
    bool is_guarded = in_proc ? !named || ends_in_mem(path)
                              : is_policy(opened) || (named && (is_in_policy_directory(path) || is_counts_page(path)));
    raw(__NR_close, opened);
    return is_guarded;
}

static long open_resolved(int directory, const char *name, uint64_t resolve) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve};
    long opened = raw(__NR_openat2, directory, name, &how, sizeof how);
    if (!raw_failed(opened))
        raw(__NR_close, opened);
    return opened;
}

/* What is not there now may be there for the child if the way leads into another file system, as into /proc. */
bool path_depends_on_process(int directory, const char *name) {
    long opened = open_resolved(directory, name, RESOLVE_NO_MAGICLINKS);
    if (opened == -ENOENT)
        return open_resolved(directory, name, RESOLVE_NO_XDEV) == -EXDEV;
    return opened == -ELOOP || opened == -ENOSYS || opened == -EPERM;
}
