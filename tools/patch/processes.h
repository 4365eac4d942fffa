/* Which processes of a target run old code: a mapped file that is no longer the file of that name.
 */
#ifndef PINION_TOOLS_PATCH_PROCESSES_H
#define PINION_TOOLS_PATCH_PROCESSES_H

#include "tools/patch/proc.h"
#include "tools/patch/target.h"

struct file_identity {
    uint64_t device, inode;
    char *path; /* in the target, or NULL */
};
/* A list with its paths. */
void file_identities_free(struct file_identity *files, size_t count);

struct stale_process {
    pid_t process, parent;
    uint64_t start;              /* clock ticks since boot */
    char *program;               /* path of its executable, in the target */
    char *mapped;                /* the first of the changed files that it maps */
    struct file_identity *files; /* all that it maps */
    size_t file_count;
};

/* The target's processes that map one of these files (device and inode of before the commit), or as code what had its path
 * and is gone, parents before their children; or, with `files` NULL, that map any deleted file of the target's root file
 * system as code. Processes that end meanwhile are not in it. */
size_t processes_mapping(const struct target *target, const struct file_identity *files, size_t file_count,
                         struct stale_process **processes);
void stale_processes_free(struct stale_process *processes, size_t count);

/* Addresses that the target's processes of these programs listen on. */
struct listener {
    char *program;
    int family;        /* AF_INET, AF_INET6, AF_UNIX */
    char address[108]; /* numeric, or a path in the target; abstract names begin with '@' */
    unsigned port;
    pid_t process; /* whose network namespace it is in */
    int network;   /* that namespace, which outlives the process; -1: could not be opened */
};
size_t processes_listeners(const struct target *target, const struct stale_process *processes, size_t count,
                           struct listener **listeners);
void listeners_free(struct listener *listeners, size_t count);

/* Accepts a connection, in the network namespace that it was found in. */
bool listener_answers(const struct target *target, const struct listener *listener);
/* Asks one after the other while there is time: so many answer, and stand first. A program may have as many as it likes
 * that never do. */
size_t listeners_answering(const struct target *target, struct listener *listeners, size_t count, unsigned seconds);

/* A process of the target, whatever it maps. */
struct process_facts {
    pid_t process, parent;
    uint64_t start;
    pid_t inner; /* its number in its own namespace: 1 is the first process of a container */
    char *program;
};

/* All of the target's processes, parents before their children. */
size_t processes_all(const struct target *target, struct process_facts **processes);
void process_facts_free(struct process_facts *processes, size_t count);

/* Whether it is systemd, that of the system or a person's: it listens for services that do not run yet, too. */
bool process_is_manager(const struct process_facts *process);

/* Sends "HUP", "SIGTERM", ... to this very process; false and a mistake where it has ended. */
bool process_signal(const struct process_facts *process, const char *name, struct mistake *mistake);

/* Whether others reach it at an address: a listening, or an unconnected datagram socket. */
bool process_serves(pid_t process);
/* Whether both have the same listening socket open. */
bool processes_share_listener(pid_t a, pid_t b);

/* A path as /proc shows it to us (maps, exe), as the target knows it: without the way to a target that is a directory. */
char *processes_inside(const struct target *target, const char *path);
#endif
