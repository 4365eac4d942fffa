/* What programs of a target may not ask of the kernel, whatever their capabilities: calls that reach past namespaces.
 */
#ifndef PINION_TOOLS_PATCH_CONFINE_H
#define PINION_TOOLS_PATCH_CONFINE_H

#include <stdbool.h>

/* Each takes away more than the one before. */
enum confinement {
    CONFINE_TARGET,  /* what a container's usual filter refuses and its capabilities do not */
    CONFINE_STAGE,   /* also namespaces, mounts, whatever changes the machine, and programs of 32 bits */
    CONFINE_SOCKETS, /* also local sockets, abstract and of files: behind them others may take root's word */
};

/* For this process and all that comes from it, for good. Needs CAP_SYS_ADMIN, as set-user-ID programs go on working: so
 * it comes before capabilities are given up. False and errno. */
bool confine_calls(enum confinement confinement);

/* Nothing but `writable` can be written to any more, nothing can be signalled, no socket reached, no capability is
 * left: for a program of ours that reads what may be hostile. Goes on in a child (command_continue_in_child), so is for
 * `enter` of a command. */
struct mistake;
bool confine_reader(const char *writable, struct mistake *mistake);

#endif
