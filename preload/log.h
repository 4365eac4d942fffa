/* The log: one JSON object a line, one write each, at most 4096 bytes; never blocks, never allocates. What does
 * not fit into a pipe or socket at once is dropped and counted; the next line that gets through tells how many.
 */
#ifndef PINION_PRELOAD_LOG_H
#define PINION_PRELOAD_LOG_H

#include "preload/check.h"

/* Opens the sink at start-up: a file (created with mode 0600, never through a symbolic link) or, with NULL,
 * standard error. Fills the log fields of the state; false when the file cannot be had. */
struct state;
bool log_open(struct state *state, const char *path);

/* A violation with the verdict that was reached. */
void log_violation(const struct call *call, const struct violation *violation, enum verdict verdict, enum mode mode);

/* Something about the whole process: a start without policy, a refused policy. */
void log_process(enum reason reason, enum verdict verdict, const char *detail);

/* An interval in alarm. The line is built in the slot, where the event lies as well. */
struct event;
void log_anomaly(const struct event *event, struct thread_slot *slot);

/* Ends the process, whatever it is: PID 1 of a container and a vfork child as well. No handler of the application runs. */
void end_process(void) __attribute__((noreturn));

#endif
