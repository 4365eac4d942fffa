/* One process as /proc shows it: for all of the patch helper the one place that reads /proc/PID. Everything there may
 * vanish while it is read, and what it holds may be the process's own word.
 */
#ifndef PINION_TOOLS_PATCH_PROC_H
#define PINION_TOOLS_PATCH_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_OURS 0 /* in place of a process's number */

/* A file of /proc/PID with a NUL behind it, or NULL when the process is gone or may not be looked at; the caller frees.
 * Of bytes, what could be read, at most `limit`; a text is whole, or NULL. */
char *process_bytes(pid_t process, const char *name, size_t limit, size_t *size);
char *process_text(pid_t process, const char *name);

struct process_stat {
    char state;
    pid_t parent;
    uint64_t start; /* clock ticks since boot: with its number it is one process for ever */
};

/* False: it is gone. One that has ended and was not waited for is still there. */
bool process_stat(pid_t process, struct process_stat *stat);
bool process_has_ended(const struct process_stat *stat);
bool process_start(pid_t process, uint64_t *start);
/* Whether this very process still runs. */
bool process_is(pid_t process, uint64_t start);

/* What stands behind "\nKey:" in the text of a status file; "" where it is not there. */
const char *process_status(const char *status, const char *key);
/* Its number in its own namespace, the innermost; 0 where it is not told. */
pid_t process_inner(const char *status);

/* Which start of the machine this is; "" where the kernel does not say. The caller frees. */
char *machine_boot(void);

/* Whether two processes have the same of "root", "ns/mnt", ...; what cannot be looked at is not the same. */
bool process_shares(pid_t a, pid_t b, const char *what);

#endif
