/* A running process as /proc shows it. */
#ifndef PINION_TOOLS_PROCESS_H
#define PINION_TOOLS_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

struct process {
    pid_t pid;
    char *root;           /* what to put before its paths: "" when it sees the same files as we do */
    char *program;        /* as it sees the path */
    bool program_deleted; /* the file was replaced or removed since */
    char *shim;           /* the mapped libpinion.so, or NULL */
    bool shim_deleted;
    char *policy;           /* PINION_POLICY of its environment, or a mapped policy */
    char *policy_directory; /* PINION_POLICY_DIR of its environment */
    char *model;            /* PINION_MODEL of its environment */
};

/* Returns false with errno. */
bool process_read(struct process *process, pid_t pid);
void process_free(struct process *process);
/* Whether the shim is mapped there; not where it cannot be looked at. */
bool process_is_protected(pid_t pid);

#endif
