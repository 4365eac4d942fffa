/* Setting up the environment under which a program is protected; shared by `run`, `learn` and `record`. */
#ifndef PINION_TOOLS_LAUNCH_H
#define PINION_TOOLS_LAUNCH_H

#include <stdbool.h>

struct launch {
    const char *shim;      /* absolute */
    const char *policy;    /* PINION_POLICY, or NULL */
    const char *directory; /* PINION_POLICY_DIR, or NULL */
    const char *log;       /* PINION_LOG, or NULL: as it is, else standard error */
    const char *mode;      /* PINION_MODE, or NULL: as it is, else that of the policies */
    const char *record;    /* PINION_RECORD, or NULL */
    const char *counts;    /* PINION_COUNTS, or NULL: as it is */
};

/* Sets LD_PRELOAD (the shim first, what was there behind it) and the PINION_ variables in our own environment; all
 * file names become absolute. Ends the program with a message when a file cannot be used. */
void launch_prepare(const struct launch *launch);

/* A path that stays true after chdir. */
char *absolute_path(const char *path);

#endif
