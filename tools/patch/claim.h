/* An event is a claim. What the kernel says of its sender, and what /proc says of that process, decide whether it holds.
 */
#ifndef PINION_TOOLS_PATCH_CLAIM_H
#define PINION_TOOLS_PATCH_CLAIM_H

#include <sys/socket.h>

#include "tools/patch/journal.h"
#include "tools/patch/proc.h"
#include "tools/patch/target.h"

/* Whether the sender is the process that the event tells of: it still runs, its own number is the event's, its user is
 * who the kernel says, its executable has the event's build-id (or, of an anomaly, the program it has left since), and
 * the event's signature is that of the calls it names. Fills in sender, sender_user, sender_start, claim and
 * claim_detail of the incident. */
void claim_check(struct incident *incident, const struct ucred *sender);

/* The root and the namespaces of the sender: fills in root, target and target_start. The target is
 * the process that has been in the container longest. False: it is gone, or has a user namespace of its own. */
bool claim_target(struct incident *incident);

/* Opens what claim_target, or a person, has named: false and why where it is gone, or was never known. */
bool claim_open_target(const struct incident *incident, struct target *target, struct mistake *mistake);

#endif
