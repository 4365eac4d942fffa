/* Control groups, of either version: those that a process is in, for others that belong where it is, and the memory of our
 * own.
 */
#ifndef PINION_TOOLS_PATCH_GROUPS_H
#define PINION_TOOLS_PATCH_GROUPS_H

#include <stddef.h>
#include <sys/types.h>

#include "runtime/document.h"

#define GROUPS_MOST 32

/* The groups of a process that are not ours, held open: they can be joined when it has ended. */
struct groups {
    int files[GROUPS_MOST];
    size_t count;
};

/* False and a mistake when one cannot be joined from here that stands between its members and the machine's devices, or
 * accounts for all that they take. Those that could be opened are to be closed in both cases. */
bool groups_open(struct groups *groups, pid_t process, struct mistake *mistake);
/* The same of what /proc/PID/cgroup was. */
bool groups_open_told(struct groups *groups, const char *told, struct mistake *mistake);
void groups_close(struct groups *groups);

/* For this process. False and errno. */
bool groups_join(const struct groups *groups);

/* Gives the machine back what this program has freed, and what our group holds and does not need, before all pages of
 * files that were read or written once: where nobody but this program is in it, as in a service's group. In a group that is shared with others, and
 * where groups cannot be written, as in most containers, the kernel does so when it needs memory. Nothing fails. */
void groups_give_back(void);

#endif
