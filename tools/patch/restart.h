/* Bringing the processes that run old code to the new one, as gently as the program can.
 *
 * What is restarted is found from what runs: the process that opened the listening sockets of an old process, or the
 * topmost of its program. How: what the recipe says of the program, else restart.def, else the service of the target
 * (systemd's unit, or the script in /etc/init.d that says it runs). A program with neither is refused before anything
 * is touched: nothing is restarted by guess.
 */
#ifndef PINION_TOOLS_PATCH_RESTART_H
#define PINION_TOOLS_PATCH_RESTART_H

#include "tools/patch/processes.h"
#include "tools/patch/recipe.h"

/* How a known program is best restarted (restart.def); RESTART_AUTO asks this table. */
struct restart_row {
    const char *program; /* base name of the executable */
    enum restart_how how;
    const char *signal; /* RESTART_UPGRADE, RESTART_RELOAD: to the first process. Or NULL */
    const char
        *stop; /* RESTART_SERVICE: ends the first process, before its script or command line starts it. Or NULL */
    const char *script;  /* RESTART_SERVICE: in /etc/init.d, where it does not name the program. Or NULL */
    const char *command; /* shell line in the target, or NULL */
    const char *package; /* whose recipes get this hint */
    bool children;       /* `signal` is understood only where the first process has children of its program */
    bool sessions;       /* children without the listening socket are people's sessions: they are left to end */
    const char *why;
};
const struct restart_row *restart_known(const char *program);

/* One line of the plan for each program; the caller frees. Where it runs in the target (may be NULL), it is the way that
 * would be taken, and why; else what is known of the program. */
char *restart_describe(const struct target *target, const struct recipe *recipe, const char *program);

/* What is needed to start programs again that a patch has ended: taken down before anything is touched. */
struct restart_memory;
void restart_memory_free(struct restart_memory *memory); /* NULL: nothing */

/* Writes it to a file that root alone can read, and again before each program is ended, so that a helper that comes after
 * this one was killed finds it; with it the addresses that answered. Environments hold secrets: whoever ends the incident
 * removes the file. */
bool restart_memory_keep(struct restart_memory *memory, const char *path, int64_t incident,
                         const struct listener *listeners, size_t count, struct mistake *mistake);
/* What a helper that was killed has kept of this incident, or NULL and a mistake. */
struct restart_memory *restart_memory_read(const char *path, int64_t incident, struct mistake *mistake);
/* The addresses that answered, to be asked again; the caller frees with listeners_free. */
size_t restart_memory_listeners(const struct restart_memory *memory, const struct target *target,
                                struct listener **listeners);

/* Whether restart_stale knows a way for all of them; else the mistake says what the recipe has to give. Changes
 * nothing. `memory` (may be NULL) gets what restart_missing needs. */
bool restart_possible(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                      size_t count, struct restart_memory **memory, struct mistake *mistake);

/* In a roll-back, before restart_stale: starts the programs of which nothing runs any more, as their services do, or with
 * the command line, environment, user and directory that they had; and ends and starts those that a helper that was killed
 * may have told to end. Where that memory was on disk, what they write to standard output goes nowhere. */
bool restart_missing(struct restart_memory *memory, const struct target *target, unsigned timeout_seconds,
                     struct mistake *mistake);
const char *restart_started(const struct restart_memory *memory); /* what it started, for people; "": nothing */
/* "PROGRAM: how, by what: why; ...", of the last restart, or as it will be; "" without a memory. */
const char *restart_ways(const struct restart_memory *memory);
/* CLOCK_MONOTONIC, nanoseconds: when the first program was stopped; 0: none was, or sockets were handed on. */
uint64_t restart_stopped(const struct restart_memory *memory);

/* Restarts what runs old code, one program after the other, and waits until none of these processes maps the old files
 * and a new one runs. What is protected by libpinion.so, or was so before the patch, has to be so again, or it is a
 * mistake: `memory` (may be NULL) has what it was before. Processes that are not
 * servers (nobody reaches them, nor their parents or children, and neither recipe nor table names them), and sessions
 * of people, are left to end by themselves and named in `left`, a text owned by the caller, or NULL. Commands carry no
 * COMMAND_MARK: the services that they start are there to stay. At most two
 * minutes are taken, whatever the timeout. */
bool restart_stale(const struct target *target, const struct recipe *recipe, const struct stale_process *processes,
                   size_t count, struct restart_memory *memory, unsigned timeout_seconds, char **left,
                   struct mistake *mistake);

#endif
