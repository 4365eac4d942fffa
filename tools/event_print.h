/* Events as people and machines read them. */
#ifndef PINION_TOOLS_EVENT_PRINT_H
#define PINION_TOOLS_EVENT_PRINT_H

#include <jansson.h>
#include <sys/socket.h>

#include "runtime/event.h"

/* An event for which event_problem has no objection, and what the kernel says of its sender; NULL: nothing. */
json_t *event_json(const struct event *event, const struct ucred *sender);

/* The same as some lines of text; no control character reaches the terminal. The caller frees. */
char *event_text(const struct event *event, const struct ucred *sender);

/* "2026-11-22T10:32:07.123456Z", from nanoseconds since 1970. */
#define EVENT_TIME_BYTES 32
void event_time_format(uint64_t nanoseconds, char text[EVENT_TIME_BYTES]);

#endif
