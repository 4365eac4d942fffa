/* Events: one datagram to the listener outside the process, see runtime/event.h. Sending never blocks, allocates
 * nothing, keeps errno, and may happen in a signal handler. Where nobody listens there is only the log.
 *
 * The socket is made at start-up, where its directory is there or PINION_EVENTS names it. From then on an event takes
 * fstat and write, as a line of the log does; only in a process that has set no system call filter up may it also take socket
 * and connect, when the listener was started again or the program closed the descriptor.
 */
#ifndef PINION_PRELOAD_EVENT_H
#define PINION_PRELOAD_EVENT_H

#include <stdbool.h>

#include "preload/check.h"
#include "runtime/signature.h"

/* At start-up, before the state is sealed; `path` is PINION_EVENTS or NULL. False when the path cannot be used. */
struct state;
bool event_open(struct state *state, const char *path);

/* An interval in alarm. */
struct anomaly {
    uint64_t interval;   /* its number */
    uint64_t start;      /* nanoseconds since 1970 */
    uint64_t length;     /* nanoseconds */
    int64_t score;       /* millionths */
    int64_t threshold;   /* millionths */
    uint32_t violations; /* refused calls of the container since the last anomaly */
    const struct signature *signature;
    const char *(*name)(const void *context, unsigned call); /* of the signature's calls */
    const void *context;
    unsigned calls;       /* all that `name` knows */
    const uint8_t *rises; /* of each, as signature_rise */
};

/* Logs it and sends the event. */
void event_anomaly(const struct anomaly *anomaly, struct thread_slot *slot);

/* A call that was refused: `verdict` is VERDICT_DENY or VERDICT_KILL. The log has told of it. */
void event_violation(const struct call *call, const struct violation *violation, enum verdict verdict);

#endif
