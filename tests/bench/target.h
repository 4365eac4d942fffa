/* The library that `calls` measures calls of: functions with the names of libc's, which do nothing and so cost nothing,
 * and a twin of each under a name that the shim does not know. A call of the twin is the bare call.
 */
#ifndef PINION_BENCH_TARGET_H
#define PINION_BENCH_TARGET_H

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

off_t bare_lseek(int fd, off_t offset, int whence);
int bare_fsync(int fd);
int bare_socket(int domain, int type, int protocol);
int bare_open(const char *path, int flags, ...);
int bare_addopen(posix_spawn_file_actions_t *actions, int fd, const char *path, int flags, mode_t mode);

#endif
