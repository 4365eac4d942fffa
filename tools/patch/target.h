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
    pid_t process;  /* whose namespaces commands enter; 0: none to enter */
    uint64_t device, inode; /* of the root directory: processes that share it belong to the target */
};

/* The root of a running process, which keeps being reachable while `process` lives; the process itself is chosen by the
 * caller to live on (the container's first process rather than a worker). */
bool target_of_process(struct target *target, pid_t process, struct mistake *mistake);
bool target_of_directory(struct target *target, const char *directory, struct mistake *mistake);
void target_close(struct target *target);

/* Opens a path of the target without leaving it, whatever links are on the way (openat2, RESOLVE_IN_ROOT); -1 and
 * errno. */
int target_openat(const struct target *target, const char *path, int flags, mode_t mode);

/* Runs a command in the target as its own programs would run: root, namespaces. `command->enter` must be NULL. */
bool target_run(const struct target *target, const struct command *command, struct command_result *result,
                struct mistake *mistake);

/* Whether the process is one of the target's. */
bool target_has(const struct target *target, pid_t process);

#endif
