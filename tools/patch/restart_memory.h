/* What is remembered of programs before a patch, so that they can be started again when it has ended them for good: in
 * this process and, until the incident ends, on disk, for whoever comes after it.
 */
#ifndef PINION_TOOLS_PATCH_RESTART_MEMORY_H
#define PINION_TOOLS_PATCH_RESTART_MEMORY_H

#include "tools/patch/restart.h"

#define RESTART_MEMORY_BYTES_MOST (64u << 20)

/* A process, for ever. */
struct process_identity {
    pid_t process;
    uint64_t start;
};

struct remembered {
    char *program;
    char **command;     /* what restarts it, as root; of `as_itself` its own command line, as its own user. NULL: it is
                         * not known how it is started */
    char **environment; /* for `command` */
    char **given;       /* for whatever else restarts it */
    char *stop;         /* the signal that ends it before `command` starts it, or NULL: `command` does both */
    char *groups;       /* its control groups, as /proc/PID/cgroup tells them, or NULL: systemd sees to that */
    bool supervised;    /* somebody else starts it */
    bool as_itself;
    bool protected; /* by libpinion.so */
    struct command_identity identity;
    struct process_identity first;
    struct process_identity *old; /* all that ran of the program when it was told to end */
    size_t old_count;             /* 0: it was not told yet */
};

/* Somebody answered there before the patch. */
struct remembered_listener {
    char *program;
    int family;
    char *address;
    unsigned port;
    uint64_t network; /* number of its namespace */
};

struct restart_memory {
    int64_t incident;
    char *path; /* where it stands on disk; NULL: nowhere */
    struct remembered *items;
    size_t count;
    struct remembered_listener *listeners;
    size_t listener_count;
    char *ways;
    uint64_t touched, stopped; /* when the first program was told to restart, and the first one ended; or 0 */
    bool last;                 /* nothing comes after this */
    bool found;                /* on disk: of a helper that was killed */
    char *started;             /* what restart_missing has started again; or NULL */
};

struct restart_memory *restart_memory_make(void);

struct restart_facts {
    char *const *command;     /* as in struct remembered; NULL: its own command line */
    char *const *environment; /* for commands that restart it */
    const char *stop;
    bool has_unit; /* of systemd */
    bool supervised;
    bool protected;
};
void restart_memory_add(struct restart_memory *memory, const struct target *target, const struct process_facts *process,
                        const struct restart_facts *facts);

void restart_memory_set_ways(struct restart_memory *memory, char *ways); /* which it owns from then on */

/* What is remembered of the program of this process, or NULL. */
struct remembered *restart_memory_find(struct restart_memory *memory, const struct process_facts *process);
/* A program is told to restart now, and ends or hands its sockets on: that is on disk when this returns. A memory that is
 * NULL: nothing. */
bool restart_memory_touches(struct restart_memory *memory, const struct target *target,
                            const struct process_facts *process, bool stops, struct mistake *mistake);

/* Whether the patch is being taken back: nothing comes after that. */
bool restart_memory_is_last(const struct restart_memory *memory);

/* Of a program that was protected: the environment for commands that restart it, for the caller, or NULL: it was not. */
char **restart_memory_protection(const struct restart_memory *memory, const char *program);

/* Whether all processes of programs that were protected are; else a text about one that is not. */
char *restart_memory_unprotected(const struct restart_memory *memory, const struct target *target);

/* That a process has no libpinion.so. */
char *restart_unprotected_text(const struct restart_memory *memory, const struct process_facts *process);

/* ---- on disk ---- */

/* The caller frees. */
char *restart_memory_write(const struct restart_memory *memory, size_t *size);
/* Takes an empty memory; after false it is to be freed all the same. What another boot of the machine has left is read as
 * an empty one: whatever starts programs with the machine has started them. */
bool restart_memory_parse(const void *data, size_t size, struct restart_memory *memory, struct mistake *mistake);
/* Whole, or as it was before; true without a path. */
bool restart_memory_save(const struct restart_memory *memory, struct mistake *mistake);

#endif
