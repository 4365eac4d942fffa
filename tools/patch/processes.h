/* Which processes of a target run old code: a mapped file that is no longer the file of that name.
 */
#ifndef PINION_TOOLS_PATCH_PROCESSES_H
#define PINION_TOOLS_PATCH_PROCESSES_H

#include "tools/patch/target.h"

struct stale_process {
    pid_t process, parent;
    uint64_t start; /* clock ticks since boot */
    char *program;  /* path of its executable, in the target */
    char *mapped;   /* the first of the changed files that it maps */
};

/* The target's processes that map one of these files (device and inode of before the commit), parents before their
 * children; or, with `inodes` NULL, that map any deleted file of the target's root file system as code. */
struct file_identity {
    uint64_t device, inode;
};
size_t processes_mapping(const struct target *target, const struct file_identity *files, size_t file_count,
                         struct stale_process **processes);
void stale_processes_free(struct stale_process *processes, size_t count);

/* Addresses that the target's processes of these programs listen on. */
struct listener {
    char *program;
    int family;        /* AF_INET, AF_INET6, AF_UNIX */
    char address[108]; /* numeric, or a path in the target */
    unsigned port;
    pid_t process; /* whose network namespace it is in */
};
size_t processes_listeners(const struct target *target, const struct stale_process *processes, size_t count,
                           struct listener **listeners);
void listeners_free(struct listener *listeners, size_t count);

/* Accepts a connection (entering the network namespace of its process, or of the target). */
bool listener_answers(const struct target *target, const struct listener *listener);

/* Whether this very process still runs. */
bool process_is(pid_t process, uint64_t start);

#endif
