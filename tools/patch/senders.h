/* How much each sender may say. A sender is a user in a mount namespace, so that one container cannot speak for
 * another, nor a process for more by forking, nor the root of a container by being many users. Bounded, whatever they
 * do.
 */
#ifndef PINION_TOOLS_PATCH_SENDERS_H
#define PINION_TOOLS_PATCH_SENDERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SENDERS_MOST 256 /* then the namespace with the most users loses one's place */

struct sender {
    uint64_t space; /* mount namespace */
    uid_t user;
    bool used;
    double tokens;
    uint64_t last; /* nanoseconds of a clock that does not jump */
};

struct senders {
    struct sender items[SENDERS_MOST];
    struct sender spaces[SENDERS_MOST]; /* whole namespaces */
    double rate, burst;                 /* events per nanosecond, and at once */
};

void senders_begin(struct senders *senders, unsigned events_per_minute);
/* Whether one more event of this sender may be looked at. */
bool senders_may(struct senders *senders, const struct ucred *sender, uint64_t now);

#endif
