/* The stage: an overlay over the target's root, in mount, process and IPC namespaces of its own, where a patch is made
 * ready. Maintainer scripts write whatever they like, and all of it lands in one directory; the target is not
 * touched, its running programs are not seen, nothing can be signalled. When this process ends, however it does, the
 * stage's processes and mounts are gone with it; what is left is a directory to be removed.
 */
#ifndef PINION_TOOLS_PATCH_STAGE_H
#define PINION_TOOLS_PATCH_STAGE_H

#include "tools/patch/target.h"

struct stage {
    const struct target *target;
    char *scratch; /* ours: holds the rest; never on an overlay file system */
    char *upper;   /* what was changed */
    char *merged;  /* how the target would look: visible to this process and its children alone */
    int root;      /* descriptor of `merged`, O_PATH */
    int64_t incident;
    char *const *mirrors; /* see config.h; not owned */
    unsigned timeout;     /* seconds for one command of a method, or one download; 0: half an hour */
};

/* NULL, or why this target cannot be staged here (privilege, file system of the scratch directory, a part of the
 * target's system on a mount of its own), with the remedy; nothing is changed. The text is owned by the caller. */
char *stage_problem(const struct target *target, const char *scratch);

/* Makes the stage below `scratch`, which is made, or emptied if it is there. This process, which has one thread, gets a
 * mount namespace of its own. */
bool stage_open(struct stage *stage, const struct target *target, const char *scratch, int64_t incident,
                struct mistake *mistake);

enum stage_network {
    STAGE_OFFLINE, /* loopback only */
    STAGE_ONLINE,  /* the network of this process: for downloads */
};

/* Runs a command inside: /proc of its own, a /dev with the harmless devices, empty /run and /tmp, services are neither
 * started nor stopped (policy-rc.d says 101), no LD_PRELOAD. `command->enter` must be NULL. */
bool stage_run(const struct stage *stage, const struct command *command, enum stage_network network,
               struct command_result *result, struct mistake *mistake);

/* A path inside the stage, as this process reaches it; the caller frees. Links on the way lead wherever they lead:
 * callers that write use stage_openat, which stays inside as target_openat does. */
char *stage_path(const struct stage *stage, const char *path);
int stage_openat(const struct stage *stage, const char *path, int flags, mode_t mode);

/* A directory of the stage for downloads and build trees, "/var/cache/pinion" inside: never part of the changes. */
#define STAGE_WORK "/var/cache/pinion"

/* Below `scratch`: the tree of the target that the stage stands on, as this process sees it. */
#define STAGE_TREE "root"

/* Unmounts and removes it all. */
void stage_close(struct stage *stage);
/* Removes what a helper that was killed has left in `scratch`. */
bool stage_remove_left(const char *scratch, struct mistake *mistake);

#endif
