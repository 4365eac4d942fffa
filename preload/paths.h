/* What a path stands for: as the kernel resolves it, not as its text reads. */
#ifndef PINION_PRELOAD_PATHS_H
#define PINION_PRELOAD_PATHS_H

#include <stdbool.h>

#include "preload/state.h"

/* The canonical path behind a name, relative to `directory` (a descriptor or AT_FDCWD); false when there is no such
 * file, or no /proc. */
bool path_resolve(int directory, const char *name, char path[PATH_BYTES]);

/* Whether writing to what this opens could undo the protection: the memory of a process (/proc/.../mem under any
 * name), a compiled policy, or the
 * page of counts. */
bool path_is_guarded(int directory, const char *name);

/* Whether the name leads over a link that means something else in another process (/proc/self/cwd, /proc/self/fd). */
bool path_depends_on_process(int directory, const char *name);

/* Opens what a descriptor stands for once more, for reading; returns a descriptor or an error. */
long path_reopen(int descriptor);

#endif
