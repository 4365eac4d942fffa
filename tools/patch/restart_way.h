/* Which programs a patch restarts, and how: found before anything is touched, and followed when it is done.
 */
#ifndef PINION_TOOLS_PATCH_RESTART_WAY_H
#define PINION_TOOLS_PATCH_RESTART_WAY_H

#include "tools/patch/groups.h"
#include "tools/patch/restart.h"
#include "tools/patch/service.h"

/* One running instance of a program, from its first process down. */
struct restart_instance {
    struct process_facts *first; /* in work.all */
    pid_t *stale;                /* numbers of its stale processes */
    size_t stale_count;
    enum restart_how how;
    const char *signal;
    const char *why;
    char *const *command;          /* of the recipe */
    const struct restart_row *row; /* or NULL */
    struct service service;
    struct groups groups; /* where the first process is, and what takes its place belongs */
    char **environment;   /* for commands that start it: as long as it runs it can be asked */
    bool named;           /* by the recipe */
    bool serves;          /* or its parent or one of its children does */
    bool ours;            /* a helper */
    bool personal;        /* started by a person's own service manager */
    bool protected;       /* by libpinion.so */
};

struct restart_work {
    const struct target *target;
    const struct recipe *recipe;
    struct restart_memory *memory; /* or NULL */
    struct process_facts *all;
    size_t all_count;
    struct restart_instance *instances;
    size_t count;
    struct file_identity *files; /* the old ones */
    size_t file_count;
    uint64_t deadline;
};

/* Fills instances and files from the processes that map what changes. */
void restart_find(struct restart_work *work, const struct stale_process *processes, size_t count);
void restart_work_free(struct restart_work *work);

/* Whether there is a way for all that are not left to end by themselves: chosen then. */
bool restart_check(struct restart_work *work, struct mistake *mistake);
/* "PROGRAM: how, by what: why; ...", after restart_check; the caller frees. */
char *restart_tell(const struct restart_work *work);

/* NULL: it did not run when these were found. */
struct process_facts *restart_process(const struct restart_work *work, pid_t process);
/* Whether it has children of its program, as first processes have. */
bool restart_has_child(const struct restart_work *work, const struct process_facts *first);
/* The new binary of a program that hands its sockets on has the old one as its parent, which serves no more once it was
 * told to end. */
bool restart_is_predecessor(const struct process_facts *process, const struct process_facts *parent);
/* Whether this process of the program runs old code. */
bool instance_is_stale(const struct restart_instance *instance, pid_t process);
/* Nobody reaches it, or it is to be left: it ends by itself. */
bool instance_is_left(const struct restart_instance *instance);

#endif
