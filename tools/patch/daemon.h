/* The helper's loop: events in, decisions into the journal, one worker at a time. It acts on nothing itself. */
#ifndef PINION_TOOLS_PATCH_DAEMON_H
#define PINION_TOOLS_PATCH_DAEMON_H

/* Runs by the configuration `path` until SIGTERM or SIGINT; SIGHUP reads it anew. Returns the exit status; messages go to
 * standard error. */
int daemon_run(const char *path);

#endif
