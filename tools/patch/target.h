/* The root that is patched: a directory, or the root of a running process with its namespaces. Everything that is done
 * to a target goes through here, so that nothing else knows of namespaces.
 */
#ifndef PINION_TOOLS_PATCH_TARGET_H
#define PINION_TOOLS_PATCH_TARGET_H

#include <sys/types.h>

#include "tools/patch/command.h"

struct target {
    char *root;     /* where its files can be reached by us, "" for our own root; paths in it are root + "/..." */
    int descriptor; /* of that directory, O_PATH */
    int mounts;     /* descriptor of its mount namespace: this process may come to have another (stage_open) */
    pid_t process;  /* whose namespaces commands enter; 0: none to enter */
    int handle;     /* descriptor of that process: its number may come to be another's; -1 without one */
    uint64_t device, inode; /* of the root directory: processes that share it belong to the target */
    bool was_inhabited;     /* a directory: processes ran in it when it was opened, and could have no more than */
    bool no_new_privileges;
    uint64_t capabilities; /* bits by number */
};

/* The root of a running process, which keeps being reachable while `process` lives; the process itself is chosen by the
 * caller to live on (the container's first process rather than a worker). */
bool target_of_process(struct target *target, pid_t process, struct mistake *mistake);
bool target_of_directory(struct target *target, const char *directory, struct mistake *mistake);
void target_close(struct target *target);

/* Opens a path of the target without leaving it, whatever links are on the way (openat2, RESOLVE_IN_ROOT); -1 and
 * errno. Only regular files and directories are ever opened (else EINVAL: a pipe or device may block or act), unless
 * with O_PATH. */
int target_openat(const struct target *target, const char *path, int flags, mode_t mode);
/* The same below any directory, which is taken as the root. */
int root_openat(int root, const char *path, int flags, mode_t mode);

/* The directory that holds the last component of a path ("/usr/lib/x.so"), O_PATH, and that component in `name`. No
 * link and no other mount is passed (ELOOP, EXDEV); the path must be absolute and plain: no "..", no "//" (EINVAL). */
int root_parent(int root, const char *path, const char **name);
bool path_is_plain(const char *path);

/* Runs a command in the target as its own programs would run: root, namespaces, control groups, and no capability that
 * they could not have. `command->enter` must be NULL. */
bool target_run(const struct target *target, const struct command *command, struct command_result *result,
                struct mistake *mistake);

/* Keeps everybody else from installing packages in the target, by the locks of dpkg, apt and apk, until unlocked or
 * this process ends. Somebody who is at it is a mistake. A lock file that is not there is not made. */
#define TARGET_LOCKS 4
struct target_lock {
    int descriptors[TARGET_LOCKS]; /* -1: not there */
};
bool target_lock_packages(const struct target *target, struct target_lock *lock, struct mistake *mistake);
void target_unlock_packages(struct target_lock *lock);

/* Leaves this process no capability but those of `allowed` (bits by number), for good. */
bool capabilities_limit(uint64_t allowed);

/* For `enter`: into the network namespace of the target. */
bool target_enter_network(const struct target *target, struct mistake *mistake);

/* Whether the process is one of the target's. */
bool target_has(const struct target *target, pid_t process);

#endif
