/* See target.h. This library stands behind the shim in search order: the shim takes these for the real functions, and what a
 * call costs more than one of its twin is the price of the stub and of the check.
 */
#include "tests/bench/target.h"

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name): libc's own names begin with underscores

/* Whether a function begins a cache line must not make a difference. */
#define ALIGNED __attribute__((aligned(64)))

ALIGNED off_t lseek(int fd, off_t offset, int whence) {
    (void)fd, (void)offset, (void)whence;
    return 0;
}

ALIGNED off_t bare_lseek(int fd, off_t offset, int whence) {
    (void)fd, (void)offset, (void)whence;
    return 0;
}

ALIGNED int fsync(int fd) {
    (void)fd;
    return 0;
}

ALIGNED int bare_fsync(int fd) {
    (void)fd;
    return 0;
}

ALIGNED int socket(int domain, int type, int protocol) {
    (void)domain, (void)type, (void)protocol;
    return 0;
}

ALIGNED int bare_socket(int domain, int type, int protocol) {
    (void)domain, (void)type, (void)protocol;
    return 0;
}

ALIGNED int open(const char *path, int flags, ...) {
    (void)path, (void)flags;
    return 0;
}

ALIGNED int bare_open(const char *path, int flags, ...) {
    (void)path, (void)flags;
    return 0;
}

ALIGNED int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags,
                                             mode_t mode) {
    (void)actions, (void)fd, (void)path, (void)flags, (void)mode;
    return 0;
}

ALIGNED int bare_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode) {
    (void)actions, (void)fd, (void)path, (void)flags, (void)mode;
    return 0;
}

// NOLINTEND(readability-inconsistent-declaration-parameter-name)
