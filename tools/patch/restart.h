/* Bringing the processes that run old code to the new one, as gently as the program can.
 */
#ifndef PINION_TOOLS_PATCH_RESTART_H
#define PINION_TOOLS_PATCH_RESTART_H

#include "tools/patch/processes.h"
#include "tools/patch/recipe.h"

/* How a known program is best restarted (restart.def: program, how, command or signals, and why); RESTART_AUTO asks this table. */
struct restart_row {
    const char *program; /* base name of the executable */
    enum restart_how how;
    const char *signal;  /* or NULL */
    const char *command; /* shell line in the target, or NULL */
    const char *package; /* whose recipes get this hint */
};
const struct restart_row *restart_known(const char *program);

/* One line of the plan for each program; the caller frees. */
char *restart_describe(const struct recipe *recipe, const char *program);

/* Restarts what runs old code, one program after the other, and waits until none of these processes maps the old files.
 * Processes that are not servers (no listener, no parent that is one) are left to end by themselves and named in
 * `left`, a text owned by the caller, or NULL. */
bool restart_stale(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                   size_t count, int64_t incident, unsigned timeout_seconds, char **left, struct mistake *mistake);

#endif
