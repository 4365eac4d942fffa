/* What is remembered of programs before a patch, so that they can be started again when it has ended them for good.
 */
#ifndef PINION_TOOLS_PATCH_RESTART_MEMORY_H
#define PINION_TOOLS_PATCH_RESTART_MEMORY_H

#include "tools/patch/restart.h"

struct restart_memory *restart_memory_make(void);

/* `start`: the command that restarts it, as root with this environment; NULL: its own command line, as its own user.
 * `supervised`: somebody else starts it. */
void restart_memory_add(struct restart_memory *memory, const struct target *target, const struct process_facts *process,
                        char *const *start, char *const *environment, bool supervised);

#endif
