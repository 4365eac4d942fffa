/* Checking a datagram that anyone may have sent. */
#include "runtime/event.h"

#include <stdbool.h>

static bool is_text(const char *text, size_t size) {
    size_t length = 0;
    while (length < size && text[length] != '\0')
        length++;
    if (length == size)
        return false;
    while (length < size && text[length] == '\0')
        length++;
    return length == size;
}

static bool are_names(const char (*names)[EVENT_NAME_BYTES], unsigned count, unsigned most) {
    for (unsigned i = 0; i < most; i++)
        if (!is_text(names[i], EVENT_NAME_BYTES) || (i < count) != (names[i][0] != '\0'))
            return false;
    return true;
}

static bool are_rises(const struct event *event) {
    for (unsigned i = 0; i < EVENT_RISEN_MOST; i++)
        if (event->rises[i] > RISE_FULL || (i < event->risen_count) != (event->rises[i] != 0))
            return false;
    return true;
}

static bool is_identity(const struct identity *identity) {
    return identity->kind <= IDENTITY_DERIVED && identity->length <= IDENTITY_BYTES;
}

static const char *content_problem(const struct event *event) {
    if (event->flags == 0 || event->flags > EVENT_FLAGS || !(event->flags & (EVENT_ANOMALY | EVENT_VIOLATION)) ||
        event->reserved[0] != 0 || event->reserved[1] != 0 || event->reserved[2] != 0)
        return "its flags make no sense";
    if (!is_identity(&event->program) || !is_identity(&event->module))
        return "a build-id in it is damaged";
    if (event->top_count > SIGNATURE_TOP_MOST || event->never_seen_count > SIGNATURE_NEVER_SEEN_MOST ||
        event->never_seen_total < event->never_seen_count || event->risen_count > EVENT_RISEN_MOST ||
        !are_names(event->top, event->top_count, SIGNATURE_TOP_MOST) ||
        !are_names(event->never_seen, event->never_seen_count, SIGNATURE_NEVER_SEEN_MOST) ||
        !are_names(event->risen, event->risen_count, EVENT_RISEN_MOST) || !are_rises(event))
        return "its lists of calls are damaged";
    if (!is_text(event->path, sizeof event->path) || !is_text(event->reason, sizeof event->reason) ||
        !is_text(event->api, sizeof event->api) || !is_text(event->module_path, sizeof event->module_path))
        return "a text in it does not end";
    return NULL;
}

const char *event_problem(const void *data, size_t size) {
    static const char magic[] = EVENT_MAGIC;
    const struct event *event = data;
    for (size_t i = 0; i < sizeof magic - 1; i++)
        if (size < sizeof magic - 1 || event->magic[i] != magic[i])
            return "it is no event";
    if (size < offsetof(struct event, flags) || event->version != EVENT_VERSION)
        return "it is an event of another version";
    if (size != sizeof *event || event->size != sizeof *event)
        return "it has another size than an event";
    return content_problem(event);
}
