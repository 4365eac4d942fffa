/* A datagram of any bytes: refused with a reason, or shown without a control character. */
#include <string.h>

#include "runtime/util.h"
#include "tools/event_print.h"
#include "tools/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Random bytes hardly ever have the head of an event: half of the inputs are given one. */
static size_t make_event(const uint8_t *data, size_t size, struct event *event) {
    size_t taken = size < sizeof *event ? size : sizeof *event;
    memset(event, 0, sizeof *event);
    memcpy(event, data, taken);
    if (size > 0 && data[0] & 1)
        return size;
    memcpy(event->magic, EVENT_MAGIC, sizeof event->magic);
    event->version = EVENT_VERSION;
    event->size = sizeof *event;
    event->flags = EVENT_ANOMALY + event->flags % 15;
    return sizeof *event;
}

static void check_text(const char *text) {
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f)
            die("a control character is shown");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct ucred sender = {1, 2, 3};
    struct event event;
    size_t event_size = make_event(data, size, &event);
    /* In memory of its own size, so that reading beyond it is found. */
    cleanup_free char *exact = xmalloc(event_size > 0 ? event_size : 1);
    memcpy(exact, &event, event_size < sizeof event ? event_size : sizeof event);
    const char *problem = event_problem(exact, event_size);
    if (problem != NULL)
        return *problem == '\0' ? (die("refused without a reason"), 0) : 0;
    struct evidence evidence;
    evidence_of_event((const struct event *)exact, &evidence);
    evidence_free(&evidence);
    cleanup_free char *text = event_text((const struct event *)exact, &sender);
    check_text(text);
    json_t *object = event_json((const struct event *)exact, NULL);
    cleanup_free char *dumped = json_dumps(object, 0);
    if (dumped == NULL)
        die("no JSON");
    json_decref(object);
    return 0;
}
