/* What is remembered of programs before a patch, so that they can be started again when it has ended them for good.
 */
#ifndef PINION_TOOLS_PATCH_RESTART_MEMORY_H
#define PINION_TOOLS_PATCH_RESTART_MEMORY_H

#include "tools/patch/restart.h"

struct restart_memory *restart_memory_make(void);

struct restart_facts {
    char *const *start;       /* the command that restarts it, as root; NULL: its own command line, as its own user */
    char *const *environment; /* for commands that restart it */
    bool supervised;          /* somebody else starts it */
    bool protected;           /* by libpinion.so */
};
void restart_memory_add(struct restart_memory *memory, const struct target *target, const struct process_facts *process,
                        const struct restart_facts *facts);

void restart_memory_set_ways(struct restart_memory *memory, char *ways); /* which it owns from then on */
/* A program is told to restart now, and ends or hands its sockets on. NULL: nothing. */
void restart_memory_touches(struct restart_memory *memory, bool stops);

/* Whether the patch is being taken back: nothing comes after that. */
bool restart_memory_is_last(const struct restart_memory *memory);

/* Of a program that was protected: the environment for commands that restart it, for the caller, or NULL: it was not. */
char **restart_memory_protection(const struct restart_memory *memory, const char *program);

/* Whether all processes of programs that were protected are; else a text about one that is not. */
char *restart_memory_unprotected(const struct restart_memory *memory, const struct target *target);

/* That a process has no libpinion.so. */
char *restart_unprotected_text(const struct restart_memory *memory, const struct process_facts *process);

#endif
