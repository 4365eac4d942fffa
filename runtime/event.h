/* The event: one datagram that tells whoever listens on a Unix socket of an anomaly or of a refused call. Fixed layout,
 * little-endian, one version. Free of libc.
 *
 * An event is a claim: whoever may write to the socket can send one. What the kernel says of the sender (SO_PASSCRED)
 * and what /proc says of that process must agree with it before anything is done.
 */
#ifndef PINION_RUNTIME_EVENT_H
#define PINION_RUNTIME_EVENT_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/identity.h"
#include "runtime/signature.h"

#define EVENT_MAGIC "PINEVT\r\n"
#define EVENT_VERSION 1
#define EVENT_DIRECTORY "/run/pinion" /* only the listener writes there */
#define EVENT_SOCKET EVENT_DIRECTORY "/events"
#define EVENT_SOCKET_BYTES 108 /* the kernel's limit for a path, with the NUL */

#define EVENT_NAME_BYTES 40
#define EVENT_PATH_BYTES 256
#define EVENT_RISEN_MOST 32

enum event_flags {
    EVENT_ANOMALY = 1,   /* an interval in alarm: the fields from `interval` on hold */
    EVENT_VIOLATION = 2, /* a call that the policy does not allow: the fields from `reason` on hold; together with
                          * EVENT_ANOMALY: such calls were met since the last anomaly, see `violations` */
    EVENT_DENIED = 4,    /* it was refused */
    EVENT_KILLED = 8,    /* the process was ended */
    EVENT_FLAGS = 15,
};

/* Texts end with NUL and are cut where they do not fit; bytes behind the NUL are zero. */
struct event {
    char magic[8];
    uint32_t version;
    uint32_t size;
    uint32_t flags; /* enum event_flags */
    uint32_t pid;   /* as the process sees itself: containers have numbers of their own */
    uint32_t thread;
    uint32_t violations; /* calls of the container's refused since the last anomaly */
    uint64_t time;       /* nanoseconds since 1970 */
    struct identity program;
    char path[EVENT_PATH_BYTES]; /* of the program */

    uint64_t interval; /* its number */
    uint64_t start;    /* nanoseconds since 1970 */
    uint64_t length;   /* nanoseconds */
    int64_t score;     /* millionths */
    int64_t threshold; /* millionths */
    uint8_t signature[SHA256_BYTES];
    uint8_t top_count;
    uint8_t never_seen_count;
    uint16_t never_seen_total; /* there may have been more than there is room for */
    uint8_t risen_count;
    uint8_t reserved[3]; /* 0 */
    char top[SIGNATURE_TOP_MOST][EVENT_NAME_BYTES];
    char never_seen[SIGNATURE_NEVER_SEEN_MOST][EVENT_NAME_BYTES];
    char risen[EVENT_RISEN_MOST][EVENT_NAME_BYTES]; /* the calls that rose most */
    uint8_t rises[EVENT_RISEN_MOST];                /* and how much, as signature_rise */

    char reason[EVENT_NAME_BYTES]; /* as the log has it */
    char api[EVENT_NAME_BYTES];
    struct identity
        module; /* of the call site; of kind IDENTITY_NONE outside all modules, then `offset` is the address */
    uint64_t offset;
    char module_path[EVENT_PATH_BYTES];
};

_Static_assert(offsetof(struct event, path) == 64, "the layout is fixed");
_Static_assert(offsetof(struct event, interval) == 320, "the layout is fixed");
_Static_assert(offsetof(struct event, top) == 400, "the layout is fixed");
_Static_assert(offsetof(struct event, reason) == 2672, "the layout is fixed");
_Static_assert(sizeof(struct event) == 3040, "the layout is fixed");

/* NULL, or why this is no event that can be used. The data may be anything at all. */
const char *event_problem(const void *data, size_t size);

#endif
